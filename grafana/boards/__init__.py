"""One module a board; each has `board()`, which returns the dashboard ready to be written."""

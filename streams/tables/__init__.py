"""Rolling tables: rows as data, `fold` to change them, `read` to see them at a moment."""

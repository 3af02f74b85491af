"""One module a source: what the source says in, contract events or a rejection out."""

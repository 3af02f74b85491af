"""Files that other systems export, as a source: rows of calls or of deals, in CSV or JSON lines. See docs/files.md."""

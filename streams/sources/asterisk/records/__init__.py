"""Asterisk by its records: CEL, queue_log and CDR."""

"""Boards as code, alert rules with their tests, and the runbook."""

"""Telemetry: the HTTP port of a worker with metrics, health and leads that need attention.

Enter at `http`.
"""

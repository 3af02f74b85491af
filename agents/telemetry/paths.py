"""Paths and limits of the worker's HTTP port that clients use too. Importing this module is cheap."""

from __future__ import annotations

from typing import Final

METRICS: Final = "/metrics"
ATTENTION: Final = "/leads/attention"
HEALTHY: Final = "/-/healthy"
READY: Final = "/-/ready"
LARGEST_PAGE: Final = 1000
"""The largest `limit` of a page of leads."""

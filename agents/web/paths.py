"""Paths and limits of callpulse's HTTP ports that clients use too. Importing this module is cheap."""

from __future__ import annotations

from typing import Final

INDEX: Final = "/"
METRICS: Final = "/metrics"
ATTENTION: Final = "/leads/attention"
HEALTHY: Final = "/-/healthy"
READY: Final = "/-/ready"
OPENAPI: Final = "/v1/openapi.json"
LARGEST_PAGE: Final = 1000
"""The largest `limit` of a page of leads."""

"""The clock of tests whose worker counts by days: for them it is never about midnight."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from streams.units import HOUR_MS

EVENING_HOUR: Final = 20


def evening_zone(now_ms: int) -> str:
    """Return the name of a zone in which it is evening: the last hours are on the same day, and midnight is far."""
    hours = EVENING_HOUR - now_ms // HOUR_MS % 24
    hours += 24 * ((hours < -12) - (hours > 14))
    return f"Etc/GMT{-hours:+}"


def wait_out_midnight(zones: Iterable[str], for_s: float) -> None:
    """Wait until no midnight of these zones is within the next `for_s` seconds."""
    for zone in sorted(set(zones)):
        now = datetime.fromtimestamp(time.time(), ZoneInfo(zone))
        if now.date() != (soon := now + timedelta(seconds=for_s)).date():
            midnight = soon.replace(hour=0, minute=0, second=0, microsecond=0)
            time.sleep((midnight - now).total_seconds() + 1)

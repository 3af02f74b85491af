"""Times and durations in headers of AMI events."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from streams.contract.events import EARLIEST_MS, LATEST_MS
from streams.units import HOUR_MS, MINUTE_MS, SECOND_MS

Ami: TypeAlias = Mapping[str, str]
_DURATION: Final = re.compile(r"(\d{1,5}):(\d\d):(\d\d)")


def event_time(ami: Ami, received_at_ms: int) -> int:
    """Return the time of an event: its `Timestamp` (seconds, with `timestampevents=yes`), or else its receipt."""
    try:
        stated = float(ami.get("timestamp", "nan"))
    except ValueError:
        stated = math.nan
    if EARLIEST_MS <= stated * 1000 <= LATEST_MS:
        return round(stated * 1000)
    return min(max(received_at_ms, EARLIEST_MS), LATEST_MS)


def cause_of(ami: Ami) -> int:
    """Return the ISDN cause of a hangup, 0 if there is none."""
    cause = ami.get("cause", "")
    return int(cause) if cause.isdecimal() and len(cause) < 4 else 0  # noqa: PLR2004 - causes are below 128


def age_ms(ami: Ami) -> int:
    """Return the age of a listed channel: `Duration` of CoreShowChannels, `Seconds` of Status."""
    found = _DURATION.fullmatch(ami.get("duration", ""))
    if found is not None:
        return int(found[1]) * HOUR_MS + int(found[2]) * MINUTE_MS + int(found[3]) * SECOND_MS
    seconds = ami.get("seconds", "") or ami.get("duration", "")
    return int(seconds) * 1000 if seconds.isdecimal() and len(seconds) < 8 else 0  # noqa: PLR2004  days, not ages

"""Local times without a zone, as many systems write them, as milliseconds since epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from streams.contract.events import EARLIEST_MS, LATEST_MS

Fold: TypeAlias = Literal[0, 1]
"""Which of two equal local times is meant, when clocks go back: 0 the earlier one, 1 the later one (PEP 495)."""
Unreadable: TypeAlias = Literal["unreadable", "ambiguous", "does not exist"]

ISO: Final = "%Y-%m-%d %H:%M:%S"
_MINUTE: Final = 16  # characters of "2026-11-29 07:46"
_MOST_KEPT: Final = 4096
_ISO_TEXT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
_FRACTION: Final = re.compile(r"%\d?q")  # Asterisk's own
_SHORT_FORMS: Final = (("%F", "%Y-%m-%d"), ("%T", "%H:%M:%S"), ("%R", "%H:%M"), ("%D", "%m/%d/%y"))


class LocalTime:
    """Reads times of one form in one zone.

    A local time that exists twice is `ambiguous` unless `fold` says which one is meant, or the caller knows a moment
    near it. One that the zone left out does not exist: no clock showed it.
    """

    def __init__(self, form: str = ISO, zone: str = "UTC", fold: Fold | None = None) -> None:
        """Raise ValueError for a zone or a form that cannot be used."""
        for short, whole in _SHORT_FORMS:
            form = form.replace(short, whole)
        self._form = _FRACTION.sub("%f", form)
        datetime.strptime(datetime(2026, 11, 29, 7, 46, tzinfo=UTC).strftime(self._form), self._form)  # noqa: DTZ007 - a test of the form
        self._is_iso = form == ISO
        self._has_zone = "%z" in form
        self._zone = ZoneInfo(zone)
        self._fold = fold
        self._offsets: dict[str, tuple[int, ...]] = {}

    def read(self, text: str, near_ms: int | None = None) -> int | Unreadable:
        """Return the moment. `near_ms`: where the text is ambiguous, the possible moment that is nearest to this one.

        A time before 2000 or after 2100 is unreadable.
        """
        try:
            if self._is_iso:
                if _ISO_TEXT.fullmatch(text) is None:
                    return "unreadable"
                local = datetime.fromisoformat(text)
            else:
                local = datetime.strptime(text, self._form)  # noqa: DTZ007 - the zone is added below
            naive = local if local.tzinfo is None else local.replace(tzinfo=None)
            wall = (naive - datetime(1970, 1, 1)) // _MILLISECOND  # noqa: DTZ001 - both are wall clocks
            if self._has_zone and local.tzinfo is not None:
                offset = local.utcoffset()
                found = wall if offset is None else wall - offset // _MILLISECOND
            else:
                offsets = self._offsets_of(naive)
                if len(offsets) != 1:
                    if not offsets:
                        return "does not exist"
                    if near_ms is not None:
                        offsets = (min(offsets, key=lambda one: abs(wall - one - near_ms)),)
                    elif self._fold is None:
                        return "ambiguous"
                    else:
                        offsets = (offsets[self._fold],)
                found = wall - offsets[0]
        except (ValueError, OverflowError):
            return "unreadable"
        return found if EARLIEST_MS <= found <= LATEST_MS else "unreadable"

    def _offsets_of(self, naive: datetime) -> tuple[int, ...]:
        """Return the offsets in ms that the zone may have at a local time: one, two for the earlier and later, none."""
        minute = naive.isoformat(" ")[:_MINUTE]
        found = self._offsets.get(minute)
        if found is None:
            if len(self._offsets) > _MOST_KEPT:
                self._offsets.clear()
            found = self._offsets[minute] = self._compute(naive)
        return found

    def _compute(self, naive: datetime) -> tuple[int, ...]:
        both = [naive.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1)]
        there = [one for one in both if one.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) == naive]
        offsets = [offset // _MILLISECOND for one in there if (offset := one.utcoffset()) is not None]
        return tuple(dict.fromkeys(offsets))


_MILLISECOND: Final = datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)


def epoch_ms(text: str) -> int | None:
    """Return the milliseconds of `seconds` or `seconds.fraction` since epoch, None outside 2000 to 2100."""
    if _EPOCH.fullmatch(text) is None:
        return None
    found = round(float(text) * 1000)
    return found if EARLIEST_MS <= found <= LATEST_MS else None


_EPOCH: Final = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)

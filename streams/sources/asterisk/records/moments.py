"""Times in record files: text in the time zone of the PBX, or seconds since epoch."""

from __future__ import annotations

import re
from typing import Final

from streams.contract.events import EARLIEST_MS, LATEST_MS
from streams.sources.times import Fold, Times
from streams.units import SECOND_MS

ISO: Final = "%Y-%m-%d %H:%M:%S"
_TO_THE_MINUTE: Final = 17  # characters of "2026-11-29 07:46:"
_MOST_KEPT: Final = 4096
_SECONDS: Final = {f"{second:02}": second * SECOND_MS for second in range(60)}
_ISO_TEXT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:[0-5]\d", re.ASCII)
_FRACTION: Final = re.compile(r"%\d?q")  # Asterisk's own
_EPOCH: Final = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)


class Moments:
    """Reads times of one form in one zone. It caches minutes that exist once, because rows come in the order of time.

    Raises:
        ValueError: the form or the zone cannot be used.
    """

    def __init__(self, form: str = ISO, zone: str = "UTC", fold: Fold | None = None) -> None:
        pattern = _FRACTION.sub("%f", form)
        self._is_iso = form == ISO
        self._times = Times(pattern, zone, fold)
        self._both = (Times(pattern, zone, "first"), Times(pattern, zone, "second"))
        self._minutes: dict[str, int] = {}

    def known(self, text: str) -> int | None:
        """Return the moment in ms if it is in a minute that was read before and exists once, else None."""
        minute = self._minutes.get(text[:_TO_THE_MINUTE])
        second = _SECONDS.get(text[_TO_THE_MINUTE:])
        return None if minute is None or second is None else minute + second

    def read(self, text: str, near_ms: int | None = None) -> int:
        """Return the moment in ms. Raises TimeError.

        `near_ms`: of a local time that exists twice, the moment nearer to this one is taken. Without it, the settings
        must decide.
        """
        if self._is_iso and _ISO_TEXT.fullmatch(text) is not None:
            minute = text[:_TO_THE_MINUTE]
            found = self._minutes.get(minute)
            if found is None:
                found = self._moment(f"{minute}00", near_ms)
                if self._is_certain(minute):
                    if len(self._minutes) >= _MOST_KEPT:
                        self._minutes.clear()
                    self._minutes[minute] = found
            return found + int(text[_TO_THE_MINUTE:]) * SECOND_MS
        return self._moment(text, near_ms)

    def first(self, text: str) -> int:
        """Return the moment in ms, of a local time that exists twice the first one. Raises TimeError."""
        return self._both[0].moment(text)

    def _is_certain(self, minute: str) -> bool:
        """Return whether a minute exists once."""
        return len({one.moment(f"{minute}00") for one in self._both}) == 1

    def _moment(self, text: str, near_ms: int | None) -> int:
        if near_ms is None:
            return self._times.moment(text)
        return min((one.moment(text) for one in self._both), key=lambda found: abs(found - near_ms))


def epoch_ms(text: str) -> int | None:
    """Return the milliseconds of `seconds` or `seconds.fraction` since epoch, None outside 2000 to 2100.

    Rounded, as the manager interface's times are: the same moment is the same number.
    """
    if _EPOCH.fullmatch(text) is None:
        return None
    found = round(float(text) * 1000)
    return found if EARLIEST_MS <= found <= LATEST_MS else None

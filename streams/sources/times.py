"""Moments and spans as systems write them: unix time, ISO 8601, a pattern in a time zone; seconds, `mm:ss`, `h:mm:ss`.

A local time that exists twice, when the clock goes back, is refused unless `fold` decides between the two. One that
never existed, when the clock goes forward, is always refused. No error quotes a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from streams.contract.events import EARLIEST_MS, LATEST_MS, LONGEST_MS
from streams.units import HOUR_MS, MINUTE_MS, SECOND_MS

Fold: TypeAlias = Literal["first", "second"]
"""The choice between two equal local times: the one before the clock went back, or the one after."""
SpanForm: TypeAlias = Literal["auto", "seconds", "milliseconds", "minutes", "clock"]
"""The notations of spans. `clock` is `mm:ss` or `h:mm:ss`; `auto` is `clock` with a colon, else seconds."""
Written: TypeAlias = str | int | float

_UNIX: Final = {"unix": 1_000_000, "unix_ms": 1_000, "unix_us": 1}  # microseconds in each
_COUNT: Final = re.compile(r"(\d{1,18})(?:\.(\d{1,9})\d*)?", re.ASCII)
_ISO: Final = r"%Y-%m-%d[T ]%H:%M(?::%S(?:[.,]%f)?)?\s?(?:%z)?"
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DIRECTIVE: Final = re.compile(r"%(.)")
_GROUPS: Final = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d\d)",
    "m": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})",
    "H": r"(?P<H>\d{1,2})",
    "I": r"(?P<I>\d{1,2})",
    "M": r"(?P<M>\d{1,2})",
    "S": r"(?P<S>\d{1,2})",
    "f": r"(?P<f>\d{1,9})",
    "p": r"(?P<p>[AaPp]\.?[Mm]\.?)",
    "b": rf"(?P<b>{'|'.join(_MONTHS)})[a-z]*\.?",
    "z": r"(?P<z>Z|[+-]\d\d(?::?\d\d)?)",
    "%": "%",
}
_SHORT: Final = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M", "D": "%m/%d/%y", "B": "%b"}
_NEEDED: Final = ({"Y", "y"}, {"m", "b"}, {"d"}, {"H", "I"})
_CLOCK: Final = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):(\d\d)(?:[.,](\d{1,9}))?", re.ASCII)
_NOON: Final = 12
_SIXTY: Final = 60
_CENTURY: Final = 69  # as in POSIX: 69 to 99 are of the twentieth century


class TimeError(ValueError):
    """A moment or a span that cannot be read. The text is the reason, without the value."""


class Times:
    """Reads moments of one form.

    `form` is `iso`, `unix`, `unix_ms`, `unix_us`, or a pattern such as `%d.%m.%Y %H:%M:%S`. `zone` is the IANA zone of
    local times: those without an offset (`%z`) of their own.

    Raises:
        ValueError: the form is none of these, or a pattern without a date and an hour.
    """

    def __init__(self, form: str = "iso", zone: str | None = None, fold: Fold | None = None) -> None:
        self._zone = None if zone is None else ZoneInfo(zone)
        self._fold = fold
        self._read: Callable[[str], int]
        if form in _UNIX:
            unit = _UNIX[form]
            self._read = lambda text: _unix(text, unit)
        else:
            self._pattern = _ISO_PATTERN if form == "iso" else _pattern(form)
            self._read = self._local

    def moment(self, value: Written) -> int:
        """Return a moment in milliseconds since epoch, UTC, from 2000 to 2100. Raises TimeError."""
        if isinstance(value, bool):
            raise TimeError("is no time")
        text = value.strip() if isinstance(value, str) else repr(value)
        found = self._read(text)
        if not EARLIEST_MS <= found <= LATEST_MS:
            raise TimeError("is before 2000 or after 2100; perhaps the unit is another one")
        return found

    def _local(self, text: str) -> int:
        found = self._pattern.fullmatch(text)
        if found is None:
            raise TimeError("is not written in the form that is set")
        parts = found.groupdict()
        try:
            naive = datetime(  # noqa: DTZ001  its zone is added below
                _year(parts), _month(parts), int(parts["d"]), _hour(parts), int(parts.get("M") or 0)
            ) + timedelta(seconds=_below_sixty(parts.get("S") or "0"))
            offset = parts.get("z")
            moment = self._placed(naive) if offset is None else naive.replace(tzinfo=_offset(offset))
            whole = int((moment - _EPOCH).total_seconds()) * SECOND_MS
        except (ValueError, OverflowError) as error:
            raise error if isinstance(error, TimeError) else TimeError("is no date and time that exists") from None
        return whole + int((parts.get("f") or "0").ljust(3, "0")[:3])

    def _placed(self, naive: datetime) -> datetime:
        """Return a local time in its zone. Raises TimeError if it exists twice, or never."""
        if self._zone is None:
            raise TimeError("has no offset from UTC, and no timezone is set")
        first, second = naive.replace(tzinfo=self._zone, fold=0), naive.replace(tzinfo=self._zone, fold=1)
        before, after = first.utcoffset(), second.utcoffset()
        if before == after:
            return first.astimezone(UTC)
        if before is not None and after is not None and before < after:
            raise TimeError("is in the hour that the clock skips when it goes forward")
        if self._fold is None:
            raise TimeError('exists twice, because the clock goes back; set fold = "first" or "second"')
        return (first if self._fold == "first" else second).astimezone(UTC)


def span(value: Written, form: SpanForm = "auto", decimal: str = ".") -> int:
    """Return a span in milliseconds, 0 to 7 days. `decimal` is the decimal separator. Raises TimeError."""
    if isinstance(value, bool):
        raise TimeError("is no span")
    text = value.strip() if isinstance(value, str) else repr(value)
    if form == "clock" or (form == "auto" and ":" in text):
        found = _clock(text)
    else:
        digits = _COUNT.fullmatch(text.replace(decimal, ".") if isinstance(value, str) and decimal != "." else text)
        if digits is None:
            raise TimeError("is no span of time")
        unit = {"milliseconds": 1, "minutes": MINUTE_MS}.get(form, SECOND_MS)
        found = int(digits[1]) * unit + int((digits[2] or "").ljust(9, "0")) * unit // 10**9
    if found > LONGEST_MS:
        raise TimeError("is longer than 7 days; perhaps the unit is another one")
    return found


def _clock(text: str) -> int:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise TimeError("is not mm:ss or h:mm:ss")
    hours, minutes, seconds, fraction = found.groups()
    if int(seconds) >= _SIXTY or (hours is not None and int(minutes) >= _SIXTY):
        raise TimeError("has 60 or more minutes or seconds beside a larger unit")
    whole = int(hours or 0) * HOUR_MS + int(minutes) * MINUTE_MS + int(seconds) * SECOND_MS
    return whole + int((fraction or "").ljust(3, "0")[:3])


def _unix(text: str, unit_us: int) -> int:
    found = _COUNT.fullmatch(text)
    if found is None:
        raise TimeError("is no unix time")
    return (int(found[1]) * unit_us + int((found[2] or "").ljust(9, "0")) * unit_us // 10**9) // 1_000


def _pattern(form: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern with directives such as `%d`. Raises ValueError."""
    for short, full in _SHORT.items():
        form = form.replace(f"%{short}", full)
    parts = _DIRECTIVE.split(form)
    names = [name for name in parts[1::2] if name != "%"]
    for name in names:
        if name not in _GROUPS:
            known = ", ".join(f"%{known}" for known in (*_GROUPS, *_SHORT))
            raise ValueError(f"%{name} is not known; known are {known}")
        if names.count(name) > 1:
            raise ValueError(f"%{name} stands twice")
    if any(needed.isdisjoint(names) for needed in _NEEDED) or ("I" in names) != ("p" in names):
        raise ValueError('is no pattern with a date and an hour; write for example "%d.%m.%Y %H:%M:%S"')
    made = "".join(_piece(parts, place) for place in range(len(parts)))
    return re.compile(made, re.ASCII | re.IGNORECASE)


def _piece(parts: list[str], place: int) -> str:
    """Return the expression of one part: at odd places directives, between them other text."""
    if place % 2 == 0:
        return re.sub(r"(?:\\?\s)+", r"[\\s\\u00a0]+", re.escape(parts[place]))
    group = _GROUPS[parts[place]]
    before = place > 1 and not parts[place - 1]
    after = place + 2 < len(parts) and not parts[place + 1]
    return group.replace("{1,2}", "{2}") if before or after else group  # %H%M has no other end


def _compiled_iso() -> re.Pattern[str]:
    return re.compile(_DIRECTIVE.sub(lambda found: _GROUPS[found[1]], _ISO), re.ASCII | re.IGNORECASE)


def _year(parts: dict[str, str | None]) -> int:
    if (full := parts.get("Y")) is not None:
        return int(full)
    short = int(parts["y"] or 0)
    return short + (1900 if short >= _CENTURY else 2000)


def _month(parts: dict[str, str | None]) -> int:
    named = parts.get("b")
    return int(parts["m"] or 0) if named is None else _MONTHS.index(named.lower()) + 1


def _hour(parts: dict[str, str | None]) -> int:
    if (half := parts.get("p")) is None:
        return int(parts["H"] or 0)
    hour = int(parts["I"] or 0)
    if not 1 <= hour <= _NOON:
        raise TimeError("has an hour above 12 beside am or pm")
    return hour % _NOON + (_NOON if half.lower().startswith("p") else 0)


def _below_sixty(text: str) -> int:
    if int(text) >= _SIXTY:
        raise TimeError("has a second above 59")
    return int(text)


def _offset(text: str) -> timezone:
    if text in ("Z", "z"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:] if len(text) > 3 else 0)  # noqa: PLR2004  +03 has no minutes
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


_ISO_PATTERN: Final = _compiled_iso()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

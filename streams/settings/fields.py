"""The notation of single settings: secrets, names, zones, times of day, weekdays, countries, servers.

Each form is a type whose `Parse` reads the text of the file. It raises ValueError with a text for the file's author.
"""

from __future__ import annotations

import hmac
import itertools
import math
import re
import zoneinfo
from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msgspec import Meta

from streams.settings.reader import Parse, did_you_mean, duration, duration_text, kind_of, quoted
from streams.units import DAY_MS

Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = get_args(Weekday)
LONGEST_NAME: Final = 128
LAST_PORT: Final = 65_535
DAY_MINUTES: Final = 24 * 60
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]")


class Secret:
    """A value that must not be shown: `reveal` is the only access to it. Empty means not set."""

    __slots__ = ("_value",)
    SHORTEST: Final = 16

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself, for the one call that needs it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret(set)" if self._value else "Secret(not set)"

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled: the bytes would contain the value."""
        raise TypeError("a Secret cannot be serialised")


def _string(value: object) -> str:
    if not isinstance(value, str):
        # A Parse refuses every error with ValueError.
        raise ValueError(f"text was expected, not {kind_of(value)}")  # noqa: TRY004
    return str(value)


def _text(value: object) -> str:
    text = _string(value)
    if not text.strip():
        raise ValueError("must not be empty")
    if _CONTROL.search(text):
        raise ValueError("must not hold control characters")
    return text


def _identifier(value: object) -> str:
    text = _text(value)
    if text != text.strip():
        raise ValueError(f"{quoted(text)} begins or ends with a space")
    if len(text) > LONGEST_NAME:
        raise ValueError(f"is {len(text)} characters long; at most {LONGEST_NAME} are allowed")
    return text


def _kafka_name(value: object) -> str:
    text = _string(value)
    if re.fullmatch(r"[A-Za-z0-9._-]*", text) is None:
        raise ValueError(f"{quoted(text)} cannot name a topic; letters, digits, dots, dashes and underscores can")
    return text


def _worker_name(value: object) -> str:
    text = _kafka_name(_identifier(value))
    if text.strip(".") == "":
        raise ValueError(f"{quoted(text)} cannot be the name of a folder")
    return text


def _zone(value: object) -> str:
    text = _string(value)
    known = _zones()
    if text not in known:
        city = f"/{text.strip().casefold().replace(' ', '_')}"
        same = sorted(zone for zone in known if zone.casefold().endswith(city))
        hint = f"; did you mean {same[0]}?" if same else did_you_mean(text, known)
        raise ValueError(f"{quoted(text)} is no IANA time zone{hint}")
    return text


def _date(value: object) -> date:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    elif isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError(f"{quoted(value)} is no date; write for example 2026-12-24")


def _time(value: object) -> str:
    # TOML has times of its own, without quotes; their text is 09:00:00.
    found = re.fullmatch(r"(\d{1,2}):([0-5]\d)(?::00)?", str(value), re.ASCII)
    if found is None or int(found[1]) * 60 + int(found[2]) > DAY_MINUTES:
        raise ValueError(f'{quoted(value)} is no time of day; write for example "09:00"')
    return f"{int(found[1]):02}:{found[2]}"


def _days(value: object) -> tuple[Weekday, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        # A Parse refuses every error with ValueError.
        raise ValueError(f'weekdays such as "mon-fri" were expected, not {kind_of(value)}')  # noqa: TRY004
    chosen: set[int] = set()
    for part in parts:
        first, dash, last = str(part).strip().lower().partition("-")
        day, until = _weekday(first), _weekday(last if dash else first)
        chosen.add(day)
        while day != until:
            day = (day + 1) % 7
            chosen.add(day)
    if not chosen:
        raise ValueError("at least one weekday is needed")
    return tuple(WEEKDAYS[day] for day in sorted(chosen))


def _weekday(word: str) -> int:
    short = word.strip()
    if short not in WEEKDAYS:
        raise ValueError(f"{quoted(short)} is no weekday; the weekdays are {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(short)


def _country(value: object) -> str:
    text = _string(value)
    if text not in (known := _countries()):
        hint = did_you_mean(text, known) or "; two-letter ISO 3166 codes such as DE or PT are"
        raise ValueError(f"{quoted(text)} is no country whose holidays are known{hint}")
    return text


def _region(value: object) -> str:
    import phonenumbers  # noqa: PLC0415  its metadata is large, and most runs set no region

    text = _string(value)
    known = {str(region) for region in phonenumbers.SUPPORTED_REGIONS}
    if text not in known:
        raise ValueError(f"{quoted(text)} is no region of telephone numbers{did_you_mean(text, known)}")
    return text


def _servers(value: object) -> str:
    servers = [part.strip() for part in _text(value).split(",")]
    for server in servers:
        host, _, port = server.rpartition(":")
        if not _HOST.fullmatch(host) or not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > LAST_PORT:
            raise ValueError(f'{quoted(server)} is no server; write "host:port", several with commas between')
    return ",".join(servers)


def _url(value: object) -> str:
    text = _string(value).strip().removesuffix("/")
    scheme, slashes, place = text.partition("://")
    host, port = place, ""
    if found := re.fullmatch(r"(.*):([0-9]*)", place):
        host, port = found[1], found[2]
    good_port = place == host or (re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) <= LAST_PORT)
    if text and not (scheme in ("http", "https") and slashes and _HOST.fullmatch(host) and good_port):
        raise ValueError(f'{quoted(text)} is no address; write for example "http://worker-1.example:8787"')
    return text


def _word(value: object) -> str:
    text = _identifier(value)
    if found := re.search(r"[@:=]", text):
        raise ValueError(f'{quoted(text)} must not hold "{found[0]}"')
    return text


def _currency(value: object) -> str:
    text = _string(value)
    if re.fullmatch(r"[A-Z]{3}", text) is None:
        hint = f"; did you mean {text.upper()}?" if re.fullmatch(r"[A-Za-z]{3}", text) else ""
        raise ValueError(f"{quoted(text)} is no currency; ISO 4217 codes such as EUR are{hint}")
    return text


def _number(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a number was expected, not {value}")
    return value


def _whole_days(ms: int) -> int:
    if ms % DAY_MS:
        raise ValueError(f"{duration_text(ms)} is no whole number of days")
    return ms


def _time_range(value: object) -> str:
    found = re.fullmatch(r"\s*(\d{1,2}:\d\d)\s*-\s*(\d{1,2}:\d\d)\s*", _string(value), re.ASCII)
    if found is None:
        raise ValueError(f'{quoted(value)} is no range of times; write for example "08:00-21:00"')
    first, last = _time(found[1]), _time(found[2])
    if minutes(first) >= minutes(last):
        raise ValueError(f'{quoted(value)} must end later than it begins; "00:00-24:00" is the whole day')
    return f"{first}-{last}"


def _secret(value: object) -> Secret:
    return Secret(_string(value))


def shift_table(value: object) -> object:
    """Read "mon-fri 09:00-18:00" as the table that it abbreviates; anything else passes. Raises ValueError."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(.*\S)\s+(\d{1,2}:\d\d)\s*-\s*(\d{1,2}:\d\d)\s*", value)
    if found is None:
        raise ValueError(f'{quoted(value)} is no shift; write for example "mon-fri 09:00-18:00"')
    return {"days": found[1], "start": found[2], "end": found[3]}


def days_text(days: tuple[Weekday, ...]) -> str:
    """Write weekdays the short way that the settings read: "mon-wed,sat"."""
    at = [WEEKDAYS.index(day) for day in days]
    runs = [[day for _, day in run] for _, run in itertools.groupby(enumerate(at), lambda pair: pair[1] - pair[0])]
    return ",".join(WEEKDAYS[run[0]] if len(run) == 1 else f"{WEEKDAYS[run[0]]}-{WEEKDAYS[run[-1]]}" for run in runs)


def minutes(time: str) -> int:
    """Return the minutes from midnight to a time of day "HH:MM", 0-1440."""
    hour, _, minute = time.partition(":")
    return int(hour) * 60 + int(minute)


def range_minutes(text: str) -> tuple[int, int]:
    """Return the two ends of "HH:MM-HH:MM" in minutes from midnight, the second one above the first, up to 1440."""
    first, _, last = text.partition("-")
    return minutes(first), minutes(last)


def subdivisions(country: str) -> tuple[str, ...]:
    """Return the subdivisions of a country that have holidays of their own, by their ISO 3166-2 codes."""
    return tuple(_countries().get(country, ()))


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - {"Factory", "localtime"}


@lru_cache(maxsize=1)
def _countries() -> dict[str, list[str]]:
    import holidays  # noqa: PLC0415  slow to import, and most runs need it only once a country is set

    return {code: list(known) for code, known in holidays.list_supported_countries(include_aliases=True).items()}


Span: TypeAlias = Annotated[int, Parse(duration)]
Text: TypeAlias = Annotated[str, Parse(_text)]
Identifier: TypeAlias = Annotated[str, Parse(_identifier)]
KafkaName: TypeAlias = Annotated[str, Parse(_kafka_name), Meta(min_length=1, max_length=100)]
KafkaPrefix: TypeAlias = Annotated[str, Parse(_kafka_name), Meta(max_length=64)]
WorkerName: TypeAlias = Annotated[str, Parse(_worker_name)]
Zone: TypeAlias = Annotated[str, Parse(_zone)]
Time: TypeAlias = Annotated[str, Parse(_time)]
Date: TypeAlias = Annotated[date, Parse(_date)]
Days: TypeAlias = Annotated[tuple[Weekday, ...], Parse(_days)]
Country: TypeAlias = Annotated[str, Parse(_country)]
Region: TypeAlias = Annotated[str, Parse(_region)]
Servers: TypeAlias = Annotated[str, Parse(_servers)]
SecretForm: TypeAlias = Annotated[Secret, Parse(_secret)]
Url: TypeAlias = Annotated[str, Parse(_url)]
Word: TypeAlias = Annotated[str, Parse(_word)]
Currency: TypeAlias = Annotated[str, Parse(_currency)]
Number: TypeAlias = Annotated[float, Parse(_number)]
WholeDays: TypeAlias = Annotated[Span, Parse(_whole_days)]
TimeRange: TypeAlias = Annotated[str, Parse(_time_range)]

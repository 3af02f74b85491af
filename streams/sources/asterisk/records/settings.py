"""The settings of Asterisk's record files: `[sources.asterisk.cel]`, `.queue_log` and `.cdr`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

from streams.sources.asterisk.records.moments import ISO, Moments
from streams.sources.times import Fold
from streams.units import DAY_MS

Path = Annotated[str, Meta(max_length=4096)]
Column = Annotated[str, Meta(min_length=1, max_length=64)]
OneCharacter = Annotated[str, Meta(min_length=1, max_length=1)]
ZoneName = Annotated[str, Meta(min_length=1, max_length=64)]
Form = Annotated[str, Meta(min_length=1, max_length=64)]

Begin = Literal["start", "end"]
"""The place from which a new file is read."""

CEL_COLUMNS: Final = (
    *("eventtype", "eventtime", "cid_name", "cid_num", "ani", "rdnis", "dnid", "exten", "context", "channame"),
    *("appname", "appdata", "amaflags", "accountcode", "uniqueid", "linkedid", "peer", "userfield", "userdeftype"),
    "extra",
)
"""The columns of Asterisk's `cel_custom.conf.sample`."""


CEL_NAMES: Final[Mapping[str, str]] = {
    "eventtype": "event", "eventenum": "event",
    "eventtime": "time",
    "channame": "channel", "channel": "channel",
    "uniqueid": "uniqueid",
    "linkedid": "linkedid",
    "cid_num": "number", "num": "number", "cidnum": "number",
    "exten": "exten",
    "context": "context",
    "appname": "app", "app": "app", "application": "app",
    "appdata": "appdata",
    "accountcode": "account",
    "extra": "extra", "eventextra": "extra",
}  # fmt: skip
"""The names of columns and of JSON fields that are read, with their meaning. Others are left out."""
CEL_REQUIRED: Final = ("event", "time", "channel", "uniqueid", "linkedid")


CDR_NAMES: Final[Mapping[str, str]] = {
    **{
        name: name for name in ("accountcode", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata")
    },
    **{name: name for name in ("start", "answer", "end", "duration", "billsec", "disposition", "uniqueid", "linkedid")},
    **{name: name for name in ("peeraccount", "sequence")},
    "calldate": "start",
}
"""The names of columns of CDR that are read. They are the same in `cdr_custom` and in databases."""
CDR_REQUIRED: Final = ("src", "dst", "channel", "dstchannel", "lastapp", "start", "end", "billsec", "disposition")


class CelSettings(Struct, frozen=True, kw_only=True):
    """The path of CEL, and its form.

    `time_format` "epoch" stands for seconds with a fraction, which Asterisk writes unless `dateformat` is set in
    cel.conf. Else it is the same text as `dateformat`, and `timezone` is that of the PBX ("" for the general one).
    """

    memory_ms: ClassVar[int] = DAY_MS  # after a night without the follower, it continues in the morning
    path: Path = ""
    begin: Begin = "start"
    format: Literal["csv", "json"] = "csv"
    columns: tuple[Column, ...] = CEL_COLUMNS
    separator: OneCharacter = ","
    quote: Annotated[str, Meta(max_length=1)] = '"'
    time_format: Form = "epoch"
    timezone: Annotated[str, Meta(max_length=64)] = ""
    fold: Fold | None = None
    ended_by: Literal["cdr", "hangup"] = "cdr"
    """"hangup" without a listener of the manager interface: CEL is the only source then."""
    queues: dict[str, Annotated[str, Meta(min_length=1, max_length=100)]] = {}
    """The names of queues by the extension that callers dial, where CEL holds no APP_START."""
    longest_call_hours: Annotated[int, Meta(ge=1, le=168)] = 12
    """A call that is open for longer is given up: its end was never written."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield every unusable field with the reason."""
        if self.time_format != "epoch":
            yield from wrong_clock(self.time_format, self.timezone)
        missing = unknown_columns(self.columns, CEL_REQUIRED, CEL_NAMES)
        if missing and self.format == "csv":
            yield "columns", f"no column says {', '.join(missing)}"
        if self.separator == self.quote:
            yield "separator", "is the same as quote"

    def clock(self, default_zone: str) -> Moments | None:
        """Return the reader of its times, None for seconds since epoch."""
        if self.time_format == "epoch":
            return None
        return Moments(self.time_format, self.timezone or default_zone, self.fold)


class QueueLogSettings(Struct, frozen=True, kw_only=True):
    """The path of `queue_log`. Its times are seconds since epoch."""

    memory_ms: ClassVar[int] = DAY_MS  # after a night without the follower, it continues in the morning
    path: Path = ""
    begin: Begin = "start"
    ended_by: Literal["cdr", "hangup"] = "cdr"

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield nothing: every value can be used."""
        yield from ()


class CdrSettings(Struct, frozen=True, kw_only=True):
    """The path of `Master.csv`, and its form.

    Without `columns` they follow from the number of columns: 16 without `loguniqueid` and `loguserfield`, and so on.
    """

    memory_ms: ClassVar[int] = DAY_MS  # after a night without the follower, it continues in the morning
    path: Path = ""
    begin: Begin = "start"
    columns: tuple[Column, ...] = ()
    separator: OneCharacter = ","
    time_format: Form = ISO
    timezone: Annotated[str, Meta(max_length=64)] = ""
    fold: Fold | None = None

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield every unusable field with the reason."""
        yield from wrong_clock(self.time_format, self.timezone)
        missing = unknown_columns(self.columns, CDR_REQUIRED, CDR_NAMES)
        if self.columns and missing:
            yield "columns", f"no column says {', '.join(missing)}"

    def clock(self, default_zone: str) -> Moments:
        """Return the reader of its times."""
        return Moments(self.time_format, self.timezone or default_zone, self.fold)


def wrong_clock(form: str, zone: str) -> Iterator[tuple[str, str]]:
    """Yield the problems of the form and the zone of times; "" stands for the general zone."""
    try:
        Moments(form)
    except ValueError as error:
        yield "time_format", str(error)
    try:
        ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield "timezone", "is no time zone, such as Europe/Berlin"


def unknown_columns(columns: Sequence[str], required: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """Return the required fields without a column."""
    held = {known.get(name.casefold()) for name in columns}
    return [name for name in required if name not in held]

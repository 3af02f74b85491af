"""The settings of Asterisk's record files: `[sources.asterisk.cel]`, `.queue_log` and `.cdr`."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

from streams.sources.asterisk.records.moments import ISO, Moments
from streams.sources.times import Fold

Path = Annotated[str, Meta(max_length=4096)]
Column = Annotated[str, Meta(min_length=1, max_length=64)]
OneCharacter = Annotated[str, Meta(min_length=1, max_length=1)]
ZoneName = Annotated[str, Meta(min_length=1, max_length=64)]
Form = Annotated[str, Meta(min_length=1, max_length=64)]

CEL_COLUMNS: Final = (
    *("eventtype", "eventtime", "cid_name", "cid_num", "ani", "rdnis", "dnid", "exten", "context", "channame"),
    *("appname", "appdata", "amaflags", "accountcode", "uniqueid", "linkedid", "peer", "userfield", "userdeftype"),
    "extra",
)
"""The columns of Asterisk's `cel_custom.conf.sample`."""


class CelSettings(Struct, frozen=True, kw_only=True):
    """Where CEL is written, and how.

    `time_format` "epoch" stands for seconds with a fraction, which Asterisk writes unless `dateformat` is set in
    cel.conf. Else it is the same text as `dateformat`, and `timezone` is that of the PBX ("" for the general one).
    """

    path: Path = ""
    format: Literal["csv", "json"] = "csv"
    columns: tuple[Column, ...] = CEL_COLUMNS
    separator: OneCharacter = ","
    quote: Annotated[str, Meta(max_length=1)] = '"'
    time_format: Form = "epoch"
    timezone: Annotated[str, Meta(max_length=64)] = ""
    fold: Fold | None = None
    ended_by: Literal["cdr", "hangup"] = "cdr"
    """"hangup" where no manager interface is listened to: CEL is then all that is known."""
    queues: dict[str, Annotated[str, Meta(min_length=1, max_length=100)]] = {}
    """The names of queues by the extension that callers dial, where CEL holds no APP_START."""
    longest_call_hours: Annotated[int, Meta(ge=1, le=168)] = 12
    """A call that is open for longer is given up: its end was never written."""

    def clock(self, default_zone: str) -> Moments | None:
        """Return the reader of its times, None for seconds since epoch."""
        if self.time_format == "epoch":
            return None
        return Moments(self.time_format, self.timezone or default_zone, self.fold)


class QueueLogSettings(Struct, frozen=True, kw_only=True):
    """Where `queue_log` is written. Its times are seconds since epoch."""

    path: Path = ""
    ended_by: Literal["cdr", "hangup"] = "cdr"


class CdrSettings(Struct, frozen=True, kw_only=True):
    """Where `Master.csv` is written, and how.

    Without `columns` they follow from the number of columns: 16 without `loguniqueid` and `loguserfield`, and so on.
    """

    path: Path = ""
    columns: tuple[Column, ...] = ()
    separator: OneCharacter = ","
    time_format: Form = ISO
    timezone: Annotated[str, Meta(max_length=64)] = ""
    fold: Fold | None = None

    def clock(self, default_zone: str) -> Moments:
        """Return the reader of its times."""
        return Moments(self.time_format, self.timezone or default_zone, self.fold)


def wrong_zone(name: str) -> str | None:
    """Return what is wrong with the name of a time zone; "" stands for the general one."""
    try:
        if name:
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return "is no time zone, such as Europe/Berlin"
    return None

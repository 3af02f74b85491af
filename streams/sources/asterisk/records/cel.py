"""Rows of CEL, Asterisk's channel event log: csv as `cel_custom` writes it, or JSON lines.

The columns are declared in the settings, because the file has no header. Fields have the names of Asterisk's sample
configurations; several releases and drafts of it use several names for one field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from streams.contract.events import Reason
from streams.sources.asterisk.records.moments import epoch_ms
from streams.sources.asterisk.records.rows import Lines, RowAssembler, refuse
from streams.sources.asterisk.records.settings import CEL_NAMES, CEL_REQUIRED, CelSettings
from streams.sources.frame import Refused
from streams.sources.times import TimeError


class CelRow(Struct, frozen=True, kw_only=True, gc=False):
    """One row. `at` is in ms. `extra` holds the fields that an event adds, {} where it has none or is unreadable."""

    event: str
    at: int
    channel: str
    uniqueid: str
    linkedid: str
    number: str = ""
    exten: str = ""
    context: str = ""
    app: str = ""
    appdata: str = ""
    account: str = ""
    extra: Mapping[str, str] = {}

    @property
    def cause(self) -> int:
        """The ISDN cause of a hangup, 0 if there is none."""
        text = self.extra.get("hangupcause", "")
        return int(text) if text.isdecimal() and len(text) < 4 else 0  # noqa: PLR2004 - causes are below 128


class CelReader:
    """Reads the lines of one CEL file."""

    def __init__(self, settings: CelSettings, default_zone: str) -> None:
        self._lines = Lines()
        self._is_json = settings.format == "json"
        self._width = len(settings.columns)
        self._places = _places(settings.columns)
        self._clock = settings.clock(default_zone)
        self._rows = RowAssembler(settings.separator, settings.quote, self._is_whole)

    @property
    def unusable(self) -> str:
        """The reason why the file cannot be read at all, "" for a readable file."""
        return self._lines.unusable

    @property
    def number(self) -> int:
        """The number of lines so far."""
        return self._lines.number

    @property
    def is_waiting(self) -> bool:
        """True if the last row goes on in the next line."""
        return self._rows.is_waiting

    def take(self, line: bytes) -> Iterator[CelRow | Refused]:
        """Yield the rows that a line completes."""
        for text in self._lines.take(line):
            where = f"line {self._lines.number}"
            if isinstance(text, Refused):
                yield text
            elif self._is_json:
                yield self._json(text, where)
            else:
                for row in self._rows.take(text, where):
                    yield row if isinstance(row, Refused) else self._csv(row, text, where)

    def _is_whole(self, fields: Sequence[str]) -> bool:
        return len(fields) == self._width and self._time(fields[self._places["time"]]) is not None

    def _csv(self, fields: Sequence[str], text: str, where: str) -> CelRow | Refused:
        if len(fields) != self._width:
            return _bad("invalid_field", f"{len(fields)} columns instead of {self._width}", text, where)
        return self._row({name: fields[place] for name, place in self._places.items()}, text, where)

    def _json(self, text: str, where: str) -> CelRow | Refused:
        try:
            held = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return _bad("not_json", "the line is no JSON object", text, where)
        if not isinstance(held, dict):
            return _bad("not_json", "the line is no JSON object", text, where)
        found: dict[str, Any] = {}
        for name, value in held.items():
            meaning = CEL_NAMES.get(name.casefold())
            if meaning is None or (meaning in found and name.casefold() == "eventtype"):
                continue
            found[meaning] = value
        if isinstance(found.get("time"), int | float) and not isinstance(found["time"], bool):
            found["time"] = str(found["time"])
        for meaning, value in found.items():
            if value is None:
                found[meaning] = ""
            elif not isinstance(value, str):  # a Uniqueid as a number: .10 has become .1, so two channels are one
                return _bad("invalid_field", f"{meaning} is no text", text, where)
        return self._row(found, text, where)

    def _row(self, held: Mapping[str, str], text: str, where: str) -> CelRow | Refused:
        for name in CEL_REQUIRED[:-1]:
            if not held.get(name):
                return _bad("missing_field", f"no {name}", text, where)
        try:
            at = self._read_time(held["time"])
        except TimeError as error:
            return _bad("invalid_time", f"eventtime {error}", text, where)
        return CelRow(
            event=held["event"].upper(),
            at=at,
            channel=held["channel"],
            uniqueid=held["uniqueid"],
            linkedid=held.get("linkedid") or held["uniqueid"],
            number=held.get("number", ""),
            exten=held.get("exten", ""),
            context=held.get("context", ""),
            app=held.get("app", ""),
            appdata=held.get("appdata", ""),
            account=held.get("account", ""),
            extra=_extra(held.get("extra", "")),
        )

    def _time(self, text: str) -> int | None:
        try:
            return self._read_time(text)
        except TimeError:
            return None

    def _read_time(self, text: str) -> int:
        if self._clock is not None:
            return self._clock.read(text)
        found = epoch_ms(text)
        if found is None:
            raise TimeError("is no number of seconds since 1970 between 2000 and 2100")
        return found


def _places(columns: Sequence[str]) -> dict[str, int]:
    return {CEL_NAMES[name.casefold()]: place for place, name in enumerate(columns) if name.casefold() in CEL_NAMES}


def _bad(reason: Reason, detail: str, text: str, where: str) -> Refused:
    return refuse(reason, detail, text.encode("utf-8", "replace"), where)


def _extra(text: str) -> Mapping[str, str]:
    if not text.startswith("{"):
        return {}
    try:
        held = msgspec.json.decode(text, type=dict[str, str | int | float | bool | None])
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return {name: "" if value is None else str(value) for name, value in held.items()}

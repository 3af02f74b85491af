"""Rows of CDR, Asterisk's call detail records: `Master.csv`, or the files of `cdr_custom`.

`Master.csv` has 16 columns; `loguniqueid`, `loguserfield` and `newcdrcolumns` of cdr.conf add others at its end. The
number of columns identifies them. Files of `cdr_custom` have the columns of the settings, or a header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from msgspec import Struct

from streams.contract.events import LONGEST_MS, Disposition, Reason
from streams.sources.asterisk.records.rows import Lines, RowAssembler, refuse
from streams.sources.asterisk.records.settings import CDR_NAMES, CdrSettings
from streams.sources.frame import Refused
from streams.sources.times import TimeError

_BASE: Final = (
    *("accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata"),
    *("start", "answer", "end", "duration", "billsec", "disposition", "amaflags"),
)
_NEW: Final = ("peeraccount", "linkedid", "sequence")
_BY_WIDTH: Final[Mapping[int, tuple[str, ...]]] = {
    16: _BASE,
    17: (*_BASE, "uniqueid"),
    18: (*_BASE, "uniqueid", "userfield"),
    19: (*_BASE, *_NEW),
    20: (*_BASE, "uniqueid", *_NEW),
    21: (*_BASE, "uniqueid", "userfield", *_NEW),
}
_HEADER_NAMES: Final = 8
_DISPOSITIONS: Final[Mapping[str, Disposition]] = {
    "ANSWERED": "answered",
    "NO ANSWER": "no_answer",
    "NOANSWER": "no_answer",
    "BUSY": "busy",
    "FAILED": "failed",
    "CONGESTION": "failed",
    "CANCEL": "canceled",
}
_WHOLE_DIGITS: Final = 7
_SECONDS: Final = re.compile(r"(\d{1,7})(?:\.(\d{1,9}))?", re.ASCII)
_CREATED: Final = re.compile(r"(\d{9,10})\.\d+$")


_READ: Final = (
    *("disposition", "billsec", "channel", "uniqueid", "sequence", "start", "answer", "end", "linkedid", "dstchannel"),
    *("src", "dst", "dcontext", "accountcode", "peeraccount", "lastapp", "lastdata"),
)


class _Places(NamedTuple):
    """The columns of rows of one width. `read` returns the fields of `_READ` from a row with "" added at its end."""

    disposition: int
    read: Callable[[Sequence[str]], tuple[str, ...]]


class CdrRow(Struct, frozen=True, gc=False):
    """One row: a pair of channels, such as a caller and a dialled channel. Times and `talk_ms` (billsec) are in ms.

    `linkedid` is "" in files without it, and so is `uniqueid`.
    """

    linkedid: str
    uniqueid: str
    channel: str
    dstchannel: str
    src: str
    dst: str
    context: str
    account: str
    peer_account: str
    app: str
    data: str
    start: int
    answer: int | None
    end: int
    talk_ms: int
    disposition: Disposition
    sequence: str = ""


class CdrReader:
    """Reads the lines of one CDR file."""

    def __init__(self, settings: CdrSettings, default_zone: str) -> None:
        self._lines = Lines()
        self._declared = tuple(settings.columns)
        self._clock = settings.clock(default_zone)
        self._rows = RowAssembler(settings.separator, '"', self._is_whole)
        self._places: dict[int, _Places] = {}

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

    def take(self, line: bytes) -> Iterator[CdrRow | Refused | None]:
        """Yield the rows that a line completes, None for a header."""
        for text in self._lines.take(line):
            where = f"line {self._lines.number}"
            if isinstance(text, Refused):
                yield text
                continue
            for fields in self._rows.take(text, where):
                if isinstance(fields, Refused):
                    yield fields
                elif "disposition" in text.lower() and self._is_header(fields):
                    yield None
                else:
                    yield self._row(fields, text, where)

    def _columns(self, width: int) -> _Places | None:
        places = self._places.get(width)
        if places is None:
            names = self._declared or _BY_WIDTH.get(width)
            if names is None or len(names) != width:
                return None
            found = {CDR_NAMES.get(name.casefold(), name.casefold()): place for place, name in enumerate(names)}
            places = self._places[width] = _Places(
                found["disposition"], itemgetter(*(found.get(name, width) for name in _READ))
            )
        return places

    def _is_whole(self, fields: Sequence[str]) -> bool:
        places = self._columns(len(fields))
        return places is not None and fields[places.disposition].upper() in _DISPOSITIONS

    def _is_header(self, fields: Sequence[str]) -> bool:
        names = [field.strip().casefold() for field in fields]
        if "disposition" not in names or sum(name in CDR_NAMES for name in names) < _HEADER_NAMES:
            return False
        if not self._declared:
            self._declared = tuple(names)
            self._places.clear()
        return True

    def _row(self, fields: list[str], text: str, where: str) -> CdrRow | Refused:
        places = self._columns(len(fields))
        if places is None:
            return _bad("invalid_field", f"{len(fields)} columns", text, where)
        fields.append("")  # a field without a column
        (
            said, billsec, channel, uniqueid, sequence, begun, answered, ended, linkedid, dstchannel, src, dst, context,
            account, peer_account, app, data,
        ) = places.read(fields)  # fmt: skip
        disposition = _DISPOSITIONS.get(said.upper())
        talk_ms = _span(billsec)
        wrong = (
            "an unknown disposition" if disposition is None
            else "billsec is no number of seconds" if talk_ms is None
            else "no channel" if not channel
            else "sequence is no number: a column is missing" if sequence and not sequence.isdecimal()
            else ""
        )  # fmt: skip
        if wrong or disposition is None or talk_ms is None:
            return _bad("invalid_field", wrong, text, where)
        try:
            start, answer, end = self._times(begun, answered, ended, uniqueid, talk_ms)
        except TimeError as error:
            return _bad("invalid_time", f"a time {error}", text, where)
        if end < start or (answer is not None and not start <= answer <= end):
            return _bad("invalid_time", "an end or an answer before the start, or an answer after the end", text, where)
        return CdrRow(
            linkedid, uniqueid, channel, dstchannel, src, dst, context, account, peer_account, app, data, start, answer,
            end, min(talk_ms, end - start + 1000, LONGEST_MS), disposition, sequence,
        )  # fmt: skip

    def _times(self, begun: str, answered: str, ended: str, uniqueid: str, talk_ms: int) -> tuple[int, int | None, int]:
        """Return start, answer and end. Raises TimeError.

        In the hour that exists twice, the id of the channel decides the start, and the start and the talk decide the
        rest. Without an id the settings decide the start, but where the call would be over before: it began before the
        clock went back.
        """
        start, answer, end = self._clock.known(begun), self._clock.known(answered), self._clock.known(ended)
        if start is not None and end is not None and (answer is not None or not answered):
            return start, answer, end
        created = _CREATED.search(uniqueid)
        start = self._clock.read(begun, None if created is None else int(created[1]) * 1000)
        answer, end = self._after(start, answered, ended, talk_ms)
        if created is None and min(end, end if answer is None else answer) < start:
            start = self._clock.first(begun)
            answer, end = self._after(start, answered, ended, talk_ms)
        return start, answer, end

    def _after(self, start: int, answered: str, ended: str, talk_ms: int) -> tuple[int | None, int]:
        """Return answer and end of a call with this start. Raises TimeError."""
        answer = self._clock.read(answered, start) if answered else None
        return answer, self._clock.read(ended, start if answer is None else answer + talk_ms)


def _span(text: str) -> int | None:
    if len(text) <= _WHOLE_DIGITS and text.isascii() and text.isdigit():
        return int(text) * 1000
    found = _SECONDS.fullmatch(text)
    return None if found is None else int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0")[:3])


def _bad(reason: Reason, detail: str, text: str, where: str) -> Refused:
    return refuse(reason, detail, text.encode("utf-8", "replace"), where)

"""Call detail records: the rows of `Master.csv`, with `loguniqueid`, `loguserfield` and `newcdrcolumns`.

A row is a pair of channels: one dials the other, or both are left after a transfer. Times are whole seconds in local
time. A row is answered from the answer of its first channel on, even if the queue or an earlier row answered it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from streams.simulator.rendering.pbx_facts import UP, Channel, PbxFact

_STATUS: Final = {"ANSWER": "ANSWERED", "BUSY": "BUSY", "CONGESTION": "FAILED"}
_US: Final = 1_000_000


class _Row(Struct):
    one: Channel
    two: Channel | None
    start_us: int
    answer_us: int | None = None
    disposition: str = "NO ANSWER"


class _Rows:
    """The rows that are open, by the channel that comes first in them."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._sequence = count(1)
        self._open: dict[str, _Row] = {}
        self._free_us: dict[str, int] = {}
        self._answered: dict[str, int] = {}
        self._ran: dict[str, Channel] = {}
        self._held: dict[str, list[bytes]] = {}

    def take(self, fact: PbxFact) -> Iterator[bytes]:
        """Follow the facts, and yield the rows that are written then."""
        one = fact.channel
        match fact.what:
            case "state" if one.state == UP:
                self._answered[one.uid] = fact.at_us
                if (row := self._open.get(one.uid)) is not None and row.answer_us is None:
                    row.answer_us = fact.at_us
            case "app" if one.uid == one.linkedid:
                self._ran[one.uid] = one
            case "dial":
                self._begin(one, fact.others["dest"], self._free_us.get(one.uid, one.at_ms * 1000))
            case "dialled":
                self._open[one.uid].disposition = _STATUS.get(fact.about["status"], "NO ANSWER")
            case "blind":
                self._end(fact.at_us, one, fact.others["transferee"])
            case "attended":
                left, other = fact.others["transferee"], fact.others["target"]
                self._end(fact.at_us, one, left, fact.others["second"])
                self._begin(left, other, fact.at_us)
                self._open[left.uid].disposition = "ANSWERED"
            case "hangup":
                yield from self._hang_up(fact)
            case _:
                return

    def _begin(self, one: Channel, two: Channel, at_us: int) -> None:
        answered = self._answered.get(one.uid)
        self._open[one.uid] = _Row(one, two, at_us, None if answered is None else max(answered, at_us))

    def _hang_up(self, fact: PbxFact) -> Iterator[bytes]:
        one = fact.channel
        pair = [row for row in self._open.values() if row.two is not None and one.uid in (row.one.uid, row.two.uid)]
        if not pair and one.uid == one.linkedid and one.uid not in self._free_us:  # without a dial
            answered = self._answered.get(one.uid)
            disposition = "NO ANSWER" if answered is None else "ANSWERED"
            yield self._line(
                _Row(self._ran.get(one.uid, one), None, one.at_ms * 1000, answered, disposition), fact.at_us
            )
        self._end(fact.at_us, *(row.one for row in pair))
        yield from self._held.pop(one.uid, ())
        self._free_us.pop(one.uid, None)
        self._answered.pop(one.uid, None)
        self._ran.pop(one.uid, None)

    def _end(self, at_us: int, *channels: Channel) -> None:
        """End the rows of channels. They are written when the channel hangs up."""
        for one in channels:
            self._free_us[one.uid] = at_us
            row = self._open.pop(one.uid, None)
            if row is not None:
                self._held.setdefault(one.uid, []).append(self._line(row, at_us))

    def _line(self, row: _Row, end_us: int) -> bytes:
        one, two = row.one, row.two
        billed = 0 if row.answer_us is None else (end_us - row.answer_us) // _US
        cells = (
            *(one.account, one.number, one.exten, one.context, f'"{one.person}" <{one.number}>', one.name),
            *("" if two is None else two.name, one.app, one.data),
            *(self._time(row.start_us), "" if row.answer_us is None else self._time(row.answer_us)),
            *(
                self._time(end_us),
                (end_us - row.start_us) // _US,
                billed,
                row.disposition,
                "DOCUMENTATION",
                one.uid,
                "",
            ),
            *("" if two is None else two.account, one.linkedid, next(self._sequence)),
        )
        return ",".join(_cell(cell) for cell in cells).encode() + b"\n"

    def _time(self, at_us: int) -> str:
        return f"{datetime.fromtimestamp(at_us // _US, UTC).astimezone(self._zone):%Y-%m-%d %H:%M:%S}"


def rows(facts: Iterable[PbxFact], zone: str = "UTC") -> Iterator[bytes]:
    """Yield the rows, each when its first channel hangs up. `zone` is the PBX's; with `usegmtime = yes`, UTC."""
    held = _Rows(zone)
    for fact in facts:
        yield from held.take(fact)


def _cell(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace('"', '""') + '"'

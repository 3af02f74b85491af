"""CDR as contract events: the rows of one call become the ends of its legs.

A row is weak evidence. It proves a call, its parties, and whether it was answered. Its talk is exact only if Dial made
the call, there was no earlier answer, and no transfer; else it includes waiting and announcements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import UNSET

from streams.contract.events import LONGEST_MS, CallEnded, Direction, Disposition
from streams.phone_numbers import digest, is_outside_number
from streams.sources.asterisk.dialled import DIGITS
from streams.sources.asterisk.mapping import AsteriskMapping, ChannelEnd, Directory
from streams.sources.asterisk.model import is_pseudo
from streams.sources.asterisk.records.cdr import CdrRow
from streams.sources.asterisk.records.cdr_open import OpenCdrCalls
from streams.sources.people import People

_AT_ONCE_MS: Final = 1_000
_MOST_REMEMBERED: Final = 100_000
_SERIAL: Final = re.compile(r"[0-9a-fA-F]+(?:;[12])?")
_PARTY_ITSELF: Final = frozenset(("appdial", "appdial2", "appqueue"))


class CdrLeg(NamedTuple):
    """The findings about one manager in the rows of a call. `is_exact`: the talk is that of the two parties."""

    end: CallEnded
    is_exact: bool
    other_calls: frozenset[str]
    """Ids that the call may have elsewhere: Asterisk's Linkedid is not always that of the customer's call."""


class _Party(NamedTuple):
    manager: str | None
    is_outside: bool


_NOBODY: Final = _Party(None, is_outside=False)


class _Device(NamedTuple):
    technology: str
    endpoint: str


class _Part(NamedTuple):
    manager: str
    direction: Direction
    row: CdrRow


class CdrCalls:
    """Joins the rows of calls. Pure: the same rows give the same events and ids, in any number of parts."""

    def __init__(self, mapping: AsteriskMapping, secret: bytes, people: People | None = None) -> None:
        """Raise ValueError for a mapping that cannot be used."""
        self._directory = Directory(mapping, secret, people)
        self._mapping = mapping
        self._secret = secret
        self.open = OpenCdrCalls(secret)
        self._parties: dict[tuple[str, str, str, str, str, bool], _Party] = {}
        self._leads: dict[str, str | None] = {}
        self._marks: dict[str, str] = {}

    def take(self, row: CdrRow, place: int = 0) -> list[CdrLeg]:
        """Return the legs of the calls that are complete now. `place` is that of the row, and does not decrease."""
        return [leg for call, rows in self.open.take(row, place) for leg in self.legs(call, rows)]

    def finish(self) -> list[CdrLeg]:
        """Return the legs of all calls: no further row is expected."""
        return [leg for call, rows in self.open.finish() for leg in self.legs(call, rows)]

    def legs(self, call: str, rows: list[CdrRow]) -> list[CdrLeg]:
        """Return the legs of one call."""
        parts: list[_Part] = []
        lead: str | None = None
        outside = False
        first: _Party | None = None
        for row in rows:
            called = _device(row.dstchannel)
            one, two = self._first(row), self._second(row, called)
            first = first or one
            outside |= one.is_outside or two.is_outside
            lead = lead or self._lead(row, one, two, called)
            parts += self._parts(row, one, two)
        managers = dict.fromkeys(part.manager for part in parts)
        answered = sum(row.disposition == "answered" and bool(row.dstchannel) for row in rows)
        name, others = self._directory.call_name(call), self._other_calls(rows)
        legs = [
            self._leg(name, others, rows, mine, lead, internal=not outside, is_single=answered == 1)
            for manager in managers
            if (mine := [part for part in parts if part.manager == manager])
        ]
        head = rows[0]
        is_missed = not answered
        # Rows of a transferred call may come long after the first: the channel that began it is not in them.
        began_it = head.uniqueid in ("", head.linkedid)
        if head.linkedid and is_missed and began_it and first is not None and first.is_outside:
            legs.append(self._missed(name, others, rows, lead))
        return legs

    # -- parties

    def _first(self, row: CdrRow) -> _Party:
        device = _device(row.channel)
        return self._party(device, row.context, row.account, row.src, is_line=False)

    def _second(self, row: CdrRow, device: _Device) -> _Party:
        if not row.dstchannel:
            return _NOBODY
        endpoint = device.endpoint
        targets = [target for target in row.data.partition(",")[0].split("&") if endpoint and endpoint in target]
        is_line = any(number != endpoint for target in targets for number in DIGITS.findall(target))
        return self._party(device, "", row.peer_account, "", is_line=is_line)

    def _party(self, device: _Device, context: str, account: str, number: str, *, is_line: bool) -> _Party:
        technology, endpoint = device
        key = (technology, endpoint, context, account, number, is_line)
        party = self._parties.get(key)
        if party is None:
            if technology.casefold() == "local" or is_pseudo(technology):
                return _NOBODY
            end = ChannelEnd(endpoint, context, account, number, is_line=is_line)
            found = self._directory.classify(end)
            party = _Party(found.manager, found.manager is None)
            if len(self._parties) < _MOST_REMEMBERED:
                self._parties[key] = party
        return party

    def _lead(self, row: CdrRow, one: _Party, two: _Party, called: _Device) -> str | None:
        if one.is_outside:
            return self._lead_of(row.src)
        if one.manager is not None and two.manager is None:
            return self._lead_of(_dialled(row, called.endpoint))
        return None

    def _lead_of(self, number: str) -> str | None:
        if number not in self._leads:
            if len(self._leads) >= _MOST_REMEMBERED:
                self._leads.clear()
            self._leads[number] = self._directory.numbers.lead(number, self._secret)
        return self._leads[number]

    # -- legs

    def _parts(self, row: CdrRow, one: _Party, two: _Party) -> Iterable[_Part]:
        """Yield the manager whose part in the call a row shows."""
        app = row.app.casefold()
        if one.manager is not None and app not in _PARTY_ITSELF:
            tried = app == "dial" and row.disposition != "answered" and is_outside_number(row.dst)
            if row.dstchannel or tried:
                yield _Part(one.manager, "outbound", row)
        if row.disposition != "answered" and row.end - row.start < _AT_ONCE_MS:
            return  # the telephone refused or forwarded before it rang
        if two.manager is not None:
            yield _Part(two.manager, "inbound", row)
        elif two.is_outside and one.is_outside and self._mapping.outside_manager:
            yield _Part(self._mapping.outside_manager, "inbound", row)

    def _leg(
        self,
        call: str,
        others: frozenset[str],
        rows: list[CdrRow],
        parts: list[_Part],
        lead: str | None,
        *,
        internal: bool,
        is_single: bool,
    ) -> CdrLeg:
        mine = [part.row for part in parts]
        answered = [row for row in mine if row.disposition == "answered"]
        counted = answered or mine
        answers = [row.answer for row in answered if row.answer is not None]
        talk_ms = answered[0].talk_ms if len(answered) == 1 else _union_ms(answered)
        exact = not answered or (
            is_single
            and all(row.app.casefold() == "dial" for row in answered)
            and all(row.answer is not None and row.answer > row.start for row in answered)
            and not any(row.channel.casefold().startswith("local/") for row in rows)
        )
        end = self._end(
            call,
            parts[0].manager,
            parts[0].direction,
            None if internal else lead,
            started_at=min(row.start for row in mine),
            answered_at=min(answers, default=None),
            at=max(row.end for row in counted),
            talk_ms=talk_ms,
            disposition="answered" if answered else mine[-1].disposition,
            internal=internal,
            uncertain=not exact,
        )
        return CdrLeg(end, exact, others)

    def _missed(self, call: str, others: frozenset[str], rows: list[CdrRow], lead: str | None) -> CdrLeg:
        queue = next((row.data.partition(",")[0] for row in rows if row.app.casefold() == "queue"), None)
        voicemail = any(self._directory.is_voicemail(row.app) for row in rows)
        end = self._end(
            call,
            self._directory.queue_name(queue),
            "inbound",
            lead,
            started_at=min(row.start for row in rows),
            answered_at=None,
            at=max(row.end for row in rows),
            talk_ms=0,
            disposition="voicemail" if voicemail else "no_answer",
            internal=False,
        )
        return CdrLeg(end, is_exact=True, other_calls=others)

    def _other_calls(self, rows: list[CdrRow]) -> frozenset[str]:
        return frozenset(self._directory.call_name(row.uniqueid) for row in rows if row.uniqueid)

    def _mark(self, manager: str) -> str:
        """Return a short hash of a manager, for ids."""
        mark = self._marks.get(manager)
        if mark is None:
            mark = self._marks[manager] = digest(manager, self._secret)[:8]
        return mark

    def _end(  # noqa: PLR0913 - an end has all these fields
        self,
        call: str,
        manager: str,
        direction: Direction,
        lead: str | None,
        *,
        started_at: int,
        answered_at: int | None,
        at: int,
        talk_ms: int,
        disposition: Disposition,
        internal: bool,
        uncertain: bool = False,
    ) -> CallEnded:
        source = self._mapping.source
        return CallEnded(
            v=1,
            id=f"{source}:{call}:cdr_row-{self._mark(manager)}-{started_at}:1",
            at=at,
            source=source,
            call=call,
            manager=manager,
            lead=lead,
            direction=direction,
            started_at=started_at,
            answered_at=answered_at,
            talk_ms=min(talk_ms, LONGEST_MS),
            disposition=disposition,
            ended_by="cdr",
            internal=internal or UNSET,
            uncertain=uncertain or UNSET,
        )


def _device(channel: str) -> _Device:
    technology, _, device = channel.partition("/")
    head, dash, serial = device.rpartition("-")
    if dash and _SERIAL.fullmatch(serial) is not None:
        device = head
    return _Device(technology, device.partition("/")[0])


def _dialled(row: CdrRow, endpoint: str) -> str:
    """Return the outside number that a row's caller dialled: that of the Dial, or else the extension.

    `endpoint` is that of the channel that was called.
    """
    if row.app.casefold() == "dial":
        for number in DIGITS.findall(row.data.partition(",")[0]):
            if number != endpoint:
                return str(number)
    return row.dst if is_outside_number(row.dst) else ""


def _union_ms(rows: Iterable[CdrRow]) -> int:
    """Return the time in which at least one of the rows was answered. Rows of a conference overlap."""
    total = until = 0
    for answer, end in sorted((row.answer or row.start, row.end) for row in rows):
        total += max(0, end - max(answer, until))
        until = max(until, end)
    return total

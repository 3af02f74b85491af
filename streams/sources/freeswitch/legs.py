"""The legs that the channels of FreeSWITCH are evidence of: one record in, the ends of legs out.

A record is that of one channel. Almost every leg is in one record, that of the manager's telephone, so the order of the
records makes no difference, and a lost one costs its own leg alone. Two facts need two records: the moment at which a
click-to-dial dialled the far end, and the millisecond of an attended transfer. Until both are there, the leg counts by
one record, as `ended_by = "cdr"`. `Memory` joins them in one process, and `FreeSwitchJoin` over several.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from streams.contract.events import CallEnded, CallTransferred, Direction, Disposition, Event
from streams.sources.frame import Statement
from streams.sources.freeswitch import causes
from streams.sources.freeswitch.joins import (
    FarEnd,
    HandedOver,
    Placed,
    Received,
    Said,
    encoded,
    exact_placed,
    exact_received,
)
from streams.sources.freeswitch.parties import Parties, Party
from streams.sources.freeswitch.recent import MOST, Recent
from streams.sources.freeswitch.record import Record, Transfer
from streams.units import SECOND_MS

_REFUSED: Final = ("busy", "failed")


class _Leg(Struct, frozen=True, kw_only=True):
    """The differences of a leg from its record. None and "" stand for the value of the record; an answer of 0 is none.

    `key` is the begin of the event's id. `is_exact`: the moments are those of the leg, to the millisecond.
    """

    manager: str
    direction: Direction
    key: str = ""
    call: str = ""
    lead: str | None = None
    is_internal: bool = False
    started_at: int | None = None
    answered_at: int | None = None
    ended_at: int | None = None
    disposition: Disposition | None = None
    is_exact: bool = True


class Memory:
    """The parts of records that wait for others: at most `most` entries of each kind, and none after a restart."""

    def __init__(self, most: int = MOST) -> None:
        self.far_ends: Recent[str, FarEnd] = Recent(most)
        self.placed: Recent[str, Placed] = Recent(most)
        self.handed_over: Recent[tuple[str, int], HandedOver] = Recent(most)
        self.received: Recent[tuple[str, int], Received] = Recent(most)
        self.consulted: Recent[str, str] = Recent(most)
        self.managers: Recent[str, str] = Recent(most)


class Legs:
    """Makes the contract events of records. Ids are made of FreeSWITCH's own, so a repeat gives the same events."""

    def __init__(self, parties: Parties, memory: Memory | None = None) -> None:
        self._parties = parties
        self._memory = memory or Memory()
        self._statements: list[Statement] = []

    def take(self, record: Record) -> list[Event]:
        """Return the events of a channel that is over."""
        self._statements.clear()
        return list(self._events(record))

    def statements(self) -> list[Statement]:
        """Return the parts of the last record that only another record completes."""
        return list(self._statements)

    def _say(self, record: Record, said: Said) -> None:
        self._statements.append(Statement(call=self._call(record, record.member), body=encoded(said)))

    def _events(self, record: Record) -> Iterator[Event]:
        party = self._parties.of(record)
        if party.role == "machine":
            return
        if party.role == "manager":
            self._memory.managers.put(record.uuid, party.manager)
            yield from self._of_manager(record, party.manager)
            yield from self._handed_over(record, party.manager)
            return
        if not record.is_originated:
            yield from self._missed(record)
        elif record.originator:
            yield from self._far_end(record)
        yield from self._transfers(record)

    # -- the telephones of managers

    def _of_manager(self, record: Record, manager: str) -> Iterator[Event]:
        if not record.is_originated:
            yield from self._dialled(record, manager)
        elif record.originator or record.member:
            yield from self._rung(record, manager)
        else:
            yield from self._placed(record, manager)

    def _rung(self, record: Record, manager: str) -> Iterator[Event]:
        """Yield the leg of a telephone that was rung on behalf of another channel."""
        answered_at = record.connected_at
        disposition = "answered" if answered_at else _unanswered(record, record.cause)
        did_ring = record.rang_at != 0 or record.answered_at
        if not did_ring and (record.cause in causes.NOT_THERE or disposition in _REFUSED):
            return
        if self._memory.consulted.get(record.uuid) or any(one.how == "attended" for one in record.transfers):
            return  # the record of the consulting telephone has this leg: this channel went on in another call
        lead = self._parties.lead(record.caller)
        internal = lead is None and self.is_colleague(record, record.caller)
        call = record.member or record.call
        yield self._ended(
            record, _Leg(manager=manager, direction="inbound", call=call, lead=lead, is_internal=internal)
        )

    def _dialled(self, record: Record, manager: str) -> Iterator[Event]:
        """Yield the leg of a telephone that dialled, and of the colleague who was consulted and got the customer."""
        lead = self._lead_dialled(record)
        internal = lead is None and self.is_colleague(record, record.dialled)
        if lead is None and not record.bridged_name and not record.legs:
            return  # a feature code, an announcement, the own voicemail
        yield self._ended(record, _Leg(manager=manager, direction="outbound", lead=lead, is_internal=internal))
        colleague = self._parties.of_name(record.bridged_name) if record.bridged_name else Party("outside")
        if record.cause == causes.ATTENDED and record.bridged_to and colleague.role == "manager" and internal:
            self._memory.consulted.put(record.bridged_to, record.uuid)
            consultation = _Leg(manager=colleague.manager, direction="inbound", key=record.bridged_to, is_internal=True)
            yield self._ended(record, consultation)

    def _placed(self, record: Record, manager: str) -> Iterator[Event]:
        """Yield the leg of a telephone that the PBX rang first, and then dialled for (click-to-dial)."""
        if not record.answered_at or not (record.legs or record.bridged_to or record.bridged_name):
            return
        lead = self._lead_dialled(record)
        internal = lead is None and self.is_colleague(record, record.dialled)
        leg = _Leg(
            manager=manager,
            direction="outbound",
            lead=lead,
            is_internal=internal,
            started_at=record.answered_at,
            is_exact=internal,
        )
        end = self._ended(record, leg)
        far = self._memory.far_ends.get(record.uuid)
        placed = Placed(self._parties.public_id(record.uuid), end, _unanswered(record, record.dial_result))
        if internal:
            yield end
        elif far is not None:
            yield exact_placed(placed, far)
        else:
            yield end
            self._memory.placed.put(record.uuid, placed)
            self._say(record, placed)

    def _lead_dialled(self, record: Record) -> str | None:
        destinations = (record.dialled, *(profile.destination for profile in record.profiles))
        return self._parties.lead(*destinations, *(number for _, number in record.legs))

    def is_colleague(self, record: Record, number: str) -> bool:
        """Return whether the other party is inside: by its channel, if known, else by its number."""
        if record.bridged_name:
            return self._parties.of_name(record.bridged_name).role == "manager"
        return bool(number) and bool(self._parties.manager_of(number))

    def _handed_over(self, record: Record, manager: str) -> Iterator[Event]:
        """Keep the moment of a manager's transfer, and yield the legs that waited for it."""
        if record.cause not in (causes.ATTENDED, causes.BLIND):
            return
        second, left = record.ended_at // SECOND_MS, HandedOver(manager, record.ended_at)
        if self._memory.handed_over.get((manager, second)) is None:
            self._memory.handed_over.put((manager, second), left)
        self._say(record, left)
        for at in (second, second - 1):
            received = self._memory.received.pop((manager, at))
            if received is not None:
                yield exact_received(received, left.at)

    # -- outside parties

    def _missed(self, record: Record) -> Iterator[Event]:
        """Yield the leg of the queue if no manager talked with a caller from outside."""
        is_unknown = record.bridged_at is None and bool(record.answered_at or record.bridged_to)
        if record.bridged_at or record.queue_result == "answered" or (is_unknown and not record.queue_result):
            return
        disposition: Disposition = "voicemail" if self._parties.is_voicemail(record.last_app) else "no_answer"
        leg = _Leg(
            manager=self._parties.queue_manager(record.queue),
            direction="inbound",
            lead=self._parties.lead(record.caller),
            answered_at=0,
            disposition=disposition,
        )
        yield self._ended(record, leg)

    def _far_end(self, record: Record) -> Iterator[Event]:
        """Remember an outside party that was dialled, and yield the click-to-dial that waited for it."""
        channel, lead = self._parties.public_id(record.originator), self._parties.lead(record.dialled)
        far = FarEnd(channel, record.started_at, record.answered_at, lead)
        known = self._memory.far_ends.get(record.originator)
        if known is not None:
            started_at = min(far.started_at, known.started_at)
            far = replace(far, started_at=started_at, answered_at=max(far.answered_at, known.answered_at))
        self._memory.far_ends.put(record.originator, far)
        placed = self._memory.placed.pop(record.originator)
        if placed is not None:
            yield exact_placed(placed, far)
        elif self._memory.managers.get(record.originator) is None:
            self._say(record, far)  # it may be a click-to-dial, which is unknown yet

    def _transfers(self, record: Record) -> Iterator[Event]:
        """Yield the transfers of an outside party, and the legs of those who received it in an attended one."""
        holder = self._first_holder(record)
        for place, transfer in enumerate(record.transfers):
            source = self._parties.manager_of(transfer.source) if transfer.source else holder
            target = self._parties.manager_of(transfer.target)
            holder = target
            if not source or not target:
                continue
            at = self._moment(record, transfer, source)
            is_exact = at is not None
            at = min(max(transfer.second * SECOND_MS, record.started_at), record.ended_at) if at is None else at
            yield CallTransferred(
                v=1,
                id=self._id(record.uuid, f"transferred:{place}"),
                at=at,
                source=self._parties.source,
                call=self._call(record),
                manager=source,
                lead=self._outside_lead(record),
                to_manager=target,
                how=transfer.how,
            )
            if transfer.how == "attended":
                end = self._received(record, place, target, at, is_exact=is_exact)
                yield end
                if not is_exact:
                    received = Received(source, transfer.second, end)
                    self._memory.received.put((source, transfer.second), received)
                    self._say(record, received)

    def _received(self, record: Record, place: int, manager: str, at: int, *, is_exact: bool) -> CallEnded:
        """Return the leg of a manager who received an outside party in an attended transfer."""
        later = record.transfers[place + 1 :]
        until = self._moment(record, later[0], manager) or later[0].second * SECOND_MS if later else record.ended_at
        leg = _Leg(
            manager=manager,
            direction="inbound",
            key=f"{record.uuid}:received:{place}",
            lead=self._outside_lead(record),
            started_at=at,
            answered_at=at,
            ended_at=max(at, until),
            is_exact=is_exact,
        )
        return self._ended(record, leg)

    def _first_holder(self, record: Record) -> str:
        """Return the manager who had an outside party before its first transfer, "" if that is not known."""
        if record.is_originated:
            return self._memory.managers.get(record.originator) or ""
        first = record.profiles[0].destination if record.profiles else record.dialled
        return self._parties.manager_of(record.agent) or self._parties.manager_of(first)

    def _moment(self, record: Record, transfer: Transfer, source: str) -> int | None:
        """Return the millisecond of a transfer, or None if only its second is known."""
        for profile in record.profiles:
            if transfer.how == "blind" and profile.transferred_at // SECOND_MS == transfer.second:
                return profile.transferred_at
        for second in (transfer.second, transfer.second + 1):
            known = self._memory.handed_over.get((source, second))
            if known is not None and record.started_at <= known.at <= record.ended_at:
                return known.at
        return None

    def _outside_lead(self, record: Record) -> str | None:
        return self._parties.lead(record.dialled if record.is_originated else record.caller)

    # -- events

    def _ended(self, record: Record, leg: _Leg) -> CallEnded:
        answered = record.connected_at if leg.answered_at is None else leg.answered_at
        ended = record.ended_at if leg.ended_at is None else leg.ended_at
        cause = record.dial_result if leg.direction == "outbound" else ""
        disposition: Disposition = "answered" if answered else _unanswered(record, cause or record.cause)
        return CallEnded(
            v=1,
            id=self._id(leg.key or record.uuid, "ended" if leg.is_exact else "cdr"),
            at=ended,
            source=self._parties.source,
            call=self._call(record, leg.call),
            manager=leg.manager,
            lead=None if leg.is_internal else leg.lead,
            direction=leg.direction,
            started_at=record.started_at if leg.started_at is None else leg.started_at,
            answered_at=answered or None,
            talk_ms=ended - answered if answered else 0,
            disposition=leg.disposition or disposition,
            ended_by="hangup" if leg.is_exact else "cdr",
            internal=leg.is_internal or UNSET,
            uncertain=not leg.is_exact or UNSET,
        )

    def _call(self, record: Record, call: str = "") -> str:
        return self._parties.public_id(call or record.call)

    def _id(self, key: str, event: str) -> str:
        uuid, colon, rest = key.partition(":")
        return f"{self._parties.source}:{self._parties.public_id(uuid)}{colon}{rest}:{event}"


def _unanswered(record: Record, cause: str) -> Disposition:
    """Return the disposition of a channel that was not connected. `cause` goes before that of its hangup."""
    if cause in ("", "SUCCESS"):
        cause = record.cause
    if record.answered_at and cause in ("", "NORMAL_CLEARING"):
        return "no_answer"  # picked up, and not accepted
    return causes.of_cause(cause)

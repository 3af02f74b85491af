"""Requests of Mango Office as pieces: the state of a leg, or the summary of a call. They hold no number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import Struct

from streams.settings.settings import Settings
from streams.sources.frame import UnreadableError
from streams.sources.gathering import checked_id, decoded
from streams.sources.mango.settings import MangoSettings
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.sources.times import TimeError, Times
from streams.units import MINUTE_MS

NAME: Final = "mango"
LegState: TypeAlias = Literal["Appeared", "Connected", "OnHold", "Disconnected"]
_STATES: Final = frozenset(get_args(LegState))
_TRANSFERS: Final = ("consultative", "blind", "return_blind")
_INTERNAL: Final = 0
_OUTBOUND: Final = 2
_AHEAD_MS: Final = 5 * MINUTE_MS
_QUARTER_MIN: Final = 15
_Seconds: TypeAlias = int | float


class _Side(Struct, frozen=True, kw_only=True):
    extension: str | int | None = None
    number: str | None = None
    taken_from_call_id: str | None = None
    acd_group: str | int | None = None


class _Call(Struct, frozen=True, kw_only=True):
    entry_id: str
    call_id: str
    timestamp: _Seconds
    call_state: str
    from_: _Side = msgspec.field(name="from")
    to: _Side
    seq: int = 0
    disconnect_reason: int = 0
    transfer: str | None = None
    callback_initiator: str | None = None


class _Summary(Struct, frozen=True, kw_only=True):
    entry_id: str
    call_direction: Literal[0, 1, 2]
    create_time: _Seconds
    talk_time: _Seconds
    end_time: _Seconds
    from_: _Side = msgspec.field(name="from", default=_Side())
    to: _Side = _Side()
    forward_time: _Seconds = 0
    disconnect_reason: int = 0


class State(Struct, frozen=True, kw_only=True, tag="state"):
    """A leg came to a state. "" stands for a missing value.

    `manager` has the leg; `colleague` is at its other end in place of a customer. `taken_from` is the leg before it,
    which gave the call away in the way of `transfer`. `first_of_two`: the PBX rings the manager, and calls the customer
    by another leg after that.
    """

    entry: str
    leg: str
    at: int
    seq: int
    state: LegState
    manager: str
    colleague: str
    outbound: bool
    lead: str | None
    group: str
    taken_from: str
    transfer: str
    reason: int
    first_of_two: bool


class Summary(Struct, frozen=True, kw_only=True, tag="summary"):
    """A call is over. `extension` is that of an employee or a group, `manager` its manager on the roster, or "".

    `rang` is the moment at which the call was passed on to the first employee, `answered` is 0 for never. `listed`: it
    comes from the statistics.
    """

    entry: str
    outbound: bool
    extension: str
    manager: str
    lead: str | None
    started: int
    rang: int
    answered: int
    ended: int
    reason: int
    listed: bool = False


Piece: TypeAlias = State | Summary


class PieceReader:
    """Reads the JSON of events by the settings."""

    def __init__(self, settings: Settings) -> None:
        own = settings.source(MangoSettings)
        self._ahead_ms = own.clock_ahead_ms
        self._secret = settings.privacy.lead_secret.reveal().encode()
        self._people = People.of(settings, self._secret)
        self._numbers = Numbers(own.numbers, settings.privacy.region)
        self._seconds = Times("unix")

    def state(self, body: bytes, now_ms: int) -> State:
        """Return the piece of `/events/call`. Raises UnreadableError."""
        call = decoded(body, _Call)
        if call.call_state not in _STATES:
            raise UnreadableError("unknown_type", "`call_state` is none that is known")
        at = self._at(call.timestamp, "timestamp", now_ms)
        if not any((call.from_.extension, call.from_.number, call.to.extension, call.to.number)):
            raise UnreadableError("missing_field", "`from` and `to` name nobody")
        from_, to = self._manager(call.from_), self._manager(call.to)
        outside = call.to if from_ else call.from_
        before = call.from_.taken_from_call_id or call.to.taken_from_call_id
        return State(
            entry=checked_id(call.entry_id, "entry_id"),
            leg=checked_id(call.call_id, "call_id"),
            at=at,
            seq=call.seq,
            state=call.call_state,  # type: ignore[arg-type]  # checked above
            manager=from_ or to,
            colleague=to if from_ else "",
            outbound=bool(from_),
            lead=None if from_ and to else self._numbers.lead(outside.number or "", self._secret),
            group=self._people.public(group) if (group := _text(call.to.acd_group)) else "",
            taken_from=checked_id(before, "taken_from_call_id") if before else "",
            transfer=call.transfer if call.transfer in _TRANSFERS else "",
            reason=call.disconnect_reason,
            first_of_two=bool(to and not from_ and call.callback_initiator),
        )

    def summary(self, body: bytes, now_ms: int) -> Summary | None:
        """Return the piece of `/events/summary`; None for a call between colleagues. Raises UnreadableError."""
        call = decoded(body, _Summary)
        entry = checked_id(call.entry_id, "entry_id")
        started = self._at(call.create_time, "create_time", now_ms)
        ended = self._at(call.end_time, "end_time", now_ms)
        answered = self._at(call.talk_time, "talk_time", now_ms) if call.talk_time else 0
        rang = self._at(call.forward_time, "forward_time", now_ms) if call.forward_time else started
        if ended < started or (answered and not started <= answered <= ended):
            raise UnreadableError("invalid_time", "its moments cannot be in this order")
        if call.call_direction == _INTERNAL:
            return None
        outbound = call.call_direction == _OUTBOUND
        own, outside = (call.from_, call.to) if outbound else (call.to, call.from_)
        extension = _text(own.extension)
        known = self._people.find(NAME, Heard(extension=extension)) if extension else None
        return Summary(
            entry=entry,
            outbound=outbound,
            extension=self._people.public(extension) if extension else "",
            manager=known.manager if known is not None else "",
            lead=self._numbers.lead(outside.number or "", self._secret),
            started=started,
            rang=max(started, min(rang, answered or ended)),
            answered=answered,
            ended=ended,
            reason=call.disconnect_reason,
        )

    def row(self, row: Mapping[str, str], now_ms: int) -> Summary | None:
        """Return the piece of a row of the statistics; None for a call between colleagues. Raises UnreadableError."""
        entry = checked_id(row["entry_id"], "entry_id")
        created, finish, answer = (
            self._at(row[name], name, now_ms, 0) if row[name] != "0" else 0 for name in ("create", "finish", "answer")
        )
        if not created <= finish or (answer and not created <= answer <= finish):
            raise UnreadableError("invalid_time", "its moments cannot be in this order")
        own = "from" if row["from_extension"] else "to"
        if row["from_extension"] and row["to_extension"]:
            return None
        extension = row[f"{own}_extension"]
        known = self._people.find(NAME, Heard(extension=extension)) if extension else None
        outside = row["to_number" if own == "from" else "from_number"]
        return Summary(
            entry=entry,
            outbound=own == "from",
            extension=self._people.public(extension) if extension else "",
            manager=known.manager if known is not None else "",
            lead=self._numbers.lead(outside, self._secret),
            started=created,
            rang=created,
            answered=answer,
            ended=finish,
            reason=int(row["disconnect_reason"]) if row["disconnect_reason"].isdecimal() else 0,
            listed=True,
        )

    def _at(self, seconds: _Seconds | str, field: str, now_ms: int, ahead_ms: int | None = None) -> int:
        try:
            at = self._seconds.moment(seconds) - (self._ahead_ms if ahead_ms is None else ahead_ms)
        except TimeError as error:
            raise UnreadableError("invalid_time", f"`{field}` {error}") from None
        if at > now_ms + _AHEAD_MS:
            about = round((at - now_ms) / MINUTE_MS / _QUARTER_MIN) * _QUARTER_MIN
            raise UnreadableError(
                "future", f"`{field}` is about {about} minutes ahead; perhaps clock_ahead has to be set"
            )
        return at

    def _manager(self, side: _Side) -> str:
        """Return the manager on a side of a leg, "" for a person outside the department."""
        extension, number = _text(side.extension), side.number or ""
        if extension:
            return self._people.resolve(NAME, Heard(extension=extension)).manager
        if number.startswith("sip:"):
            return self._people.resolve(NAME, Heard(endpoint=number)).manager
        return ""


def _text(value: str | int | None) -> str:
    return "" if value is None else str(value).strip()

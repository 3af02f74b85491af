"""The statements about a call of Twilio become its legs.

A child is a leg: the call to a salesperson's telephone, or a salesperson's call to a customer. Its parent names the
other side. An inbound parent without an answered child is a call that the queue missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from streams.contract.events import QUEUE_PREFIX, Direction, Disposition, Event
from streams.settings.settings import Settings
from streams.sources.frame import Joined, KeptStatement
from streams.sources.gathering import LegEvents
from streams.sources.twilio.settings import NAME, TwilioSettings
from streams.sources.twilio.statements import ENDS, Party, Said
from streams.units import HOUR_MS, SECOND_MS

SETTLE_MS: Final = 10 * SECOND_MS
"""The delay of a missed call, for callbacks of another telephone that are still on their way."""
_BEFORE: Final = ("queued", "initiated", "ringing")
_NO_PARENT: Final = "the parent of a call was never reported, so its salesperson is not known"


class _Call(NamedTuple):
    """The state of one call of Twilio. `ended` is None while it goes on; `arrived_ms` is its last statement's."""

    sid: str
    direction: str
    caller: Party
    callee: Party
    started: int | None
    answered: int | None
    ended: int | None
    talk_ms: int
    disposition: Disposition | None
    arrived_ms: int
    pieces: int
    """The number of statements that may change its moments."""
    listed: bool
    """True if the call is complete: the list of calls has it."""


class _Sides(NamedTuple):
    """The manager and the lead of a leg. `internal` is a call between colleagues."""

    manager: str
    lead: str | None
    direction: Direction
    internal: bool = False


class TwilioJoin:
    """Joins the statements of one parent and its children."""

    keep_ms = 6 * HOUR_MS

    def __init__(self, settings: Settings) -> None:
        self._queue = QUEUE_PREFIX + settings.source(TwilioSettings).queue

    def join(self, statements: Sequence[KeptStatement], now_ms: int) -> Joined:
        """Return the events of the legs, as `Join.join` describes."""
        calls = _calls(statements)
        call_root = next((said.root for said, _ in _read(statements)), "")
        root = next((call for call in calls if call.sid == call_root), None)
        children = [call for call in calls if call is not root]
        events: list[Event] = []
        again: int | None = None
        missing = ""
        for child in children:
            sides = _sides(child, root)
            if sides is None:
                missing = _NO_PARENT
                continue
            events += _events(_leg(call_root, child, sides), child, is_root_known=root is not None)
        if root is not None and root.ended is not None and _is_missed(root, children):
            due_ms = max(call.arrived_ms for call in calls) + SETTLE_MS
            if now_ms < due_ms:
                again = due_ms
            else:
                sides = _Sides(self._queue, root.caller.lead or None, "inbound")
                events.append(_leg(call_root, root, sides).ended(root.ended, _began(root)))
        return Joined(events=events, again_ms=again, missing=missing)


def _leg(root: str, call: _Call, sides: _Sides) -> LegEvents:
    """Return the maker of a leg's events. Callback and list give them the same ids, those of Twilio's call."""
    return LegEvents(
        source=NAME,
        stem=f"{NAME}:{call.sid}",
        call=root,
        manager=sides.manager,
        lead=sides.lead,
        direction=sides.direction,
        internal=sides.internal,
    )


def _events(leg: LegEvents, call: _Call, *, is_root_known: bool) -> Iterator[Event]:
    """Yield the events of a leg, as far as it has come."""
    if call.started is not None:
        yield leg.started(call.started)
    if call.answered is not None:
        yield leg.answered(call.answered)
    if call.ended is None or call.disposition is None:
        return
    yield leg.ended(
        call.ended,
        call.started,
        answered_at=call.answered,
        talk_ms=call.talk_ms,
        disposition=call.disposition,
        pieces=call.pieces + is_root_known,
    )


def _sides(child: _Call, root: _Call | None) -> _Sides | None:
    """Return the owner of a child's leg; None while its unknown parent decides this."""
    if child.callee.manager:
        return _rung(child, root)
    if root is None:
        return None
    agent = root.callee if root.direction == "outbound-api" else root.caller
    if agent.manager:
        return _Sides(agent.manager, child.callee.lead or None, "outbound")
    # A customer's call that is passed on to the telephone of a person without a roster entry.
    return _Sides(child.callee.phone, root.caller.lead or None, "inbound") if child.callee.phone else None


def _rung(child: _Call, root: _Call | None) -> _Sides | None:
    """Return the leg of a salesperson whose telephone rings."""
    if root is None and child.caller.own:
        return None
    other = child.caller if root is None else _customer(root)
    if other.manager:
        return _Sides(child.callee.manager, None, "inbound", internal=True)
    return _Sides(child.callee.manager, other.lead or child.caller.lead or None, "inbound")


def _customer(root: _Call) -> Party:
    return root.callee if root.direction == "outbound-api" else root.caller


def _is_missed(root: _Call, children: Sequence[_Call]) -> bool:
    """Return whether an inbound call is over without an answer. Its telephones must be known, or be none."""
    if root.direction != "inbound" or root.caller.manager or not (children or root.listed):
        return False
    return all(child.ended is not None and child.disposition != "answered" for child in children)


def _began(root: _Call) -> int | None:
    """Return the moment at which a parent began. A program answers it, and rings the telephones."""
    return min((moment for moment in (root.started, root.answered) if moment is not None), default=None)


def _read(statements: Sequence[KeptStatement]) -> Iterator[tuple[Said, int]]:
    for at_ms, body in statements:
        try:
            yield msgspec.json.decode(body, type=Said), at_ms
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue  # of another release


def _calls(statements: Sequence[KeptStatement]) -> list[_Call]:
    said: defaultdict[str, list[tuple[Said, int]]] = defaultdict(list)
    for one, at_ms in _read(statements):
        said[one.sid].append((one, at_ms))
    return [_folded(sid, said[sid]) for sid in sorted(said)]


def _folded(sid: str, heard: Sequence[tuple[Said, int]]) -> _Call:
    """Return the union of all statements about one call. Their order makes no difference."""
    every = sorted((said for said, _ in heard), key=lambda said: (said.at, msgspec.json.encode(said)))
    started = [said.at for said in every if said.status in _BEFORE]
    started += [said.created for said in every if said.created is not None]
    answers = [said.at for said in every if said.status == "in-progress"]
    ends = [said for said in every if said.status in ENDS]
    end = ends[0] if ends else None
    talk = [said.talk_ms for said in ends if said.talk_ms is not None]
    is_answered = end is not None and end.status == "completed"
    answered = min(answers, default=None)
    talk_ms = 0
    if end is not None and is_answered:
        if talk:
            talk_ms = min(talk)
            counted = end.at - talk_ms
            answered = counted if answered is None else max(min(answered, end.at), counted)
        elif answered is not None:
            talk_ms = max(0, end.at - answered)
        answered = None if answered is None else min(answered, end.at)
    elif end is not None:
        answered = None
    disposition = None if end is None else ENDS[end.status]
    if disposition == "answered" and any(said.machine for said in every):
        disposition = "voicemail"
    return _Call(
        sid=sid,
        direction=next((said.direction for said in every if said.direction), ""),
        caller=next((said.caller for said in every if said.caller != Party()), Party()),
        callee=next((said.callee for said in every if said.callee != Party()), Party()),
        started=min(started, default=None),
        answered=answered,
        ended=None if end is None else end.at,
        talk_ms=talk_ms,
        disposition=disposition,
        arrived_ms=max(at_ms for _, at_ms in heard),
        pieces=len(set(started)) + len(set(answers)) + len({(said.at, said.talk_ms) for said in ends}),
        listed=any(said.listed for said in every),
    )

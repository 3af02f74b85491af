"""The contacts of a call become its legs.

The first contact and those that transfers made are one call, under the id of the first. An outbound contact has its
agent before the customer answers: the customer's answer is the connection to the system. An inbound contact that ends
without an agent is a call that its queue missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from streams.contract.events import QUEUE_PREFIX, Direction, Event
from streams.settings.settings import Settings
from streams.sources.amazon_connect.settings import NAME, ConnectSettings
from streams.sources.amazon_connect.statements import Said
from streams.sources.frame import Joined, KeptStatement
from streams.sources.gathering import LegEvents
from streams.units import DAY_MS, SECOND_MS

SETTLE_MS: Final = 10 * SECOND_MS
"""The delay before a call without an agent counts as missed: the event of its agent may be on its way."""
_OUTBOUND: Final = frozenset(("OUTBOUND", "EXTERNAL_OUTBOUND", "CALLBACK", "API"))


class ConnectJoin:
    """Joins the statements about the contacts of one call."""

    keep_ms = DAY_MS

    def __init__(self, settings: Settings) -> None:
        self._queue = settings.source(ConnectSettings).queue

    def join(self, statements: Sequence[KeptStatement], now_ms: int) -> Joined:
        """Return the events of the legs, as `Join.join` describes."""
        contacts = _contacts(statements)
        lead = next((one.lead for one in contacts if one.lead), None)
        outbound = any(one.method in _OUTBOUND for one in contacts if not one.previous)
        is_begun = any(not one.previous for one in contacts)
        due_ms = max((one.at_ms for one in statements), default=0) + SETTLE_MS
        events: list[Event] = []
        again: int | None = None
        for contact in contacts:
            followers = [one for one in contacts if one.previous == contact.contact and one.manager]
            direction: Direction = "outbound" if outbound else "inbound"
            if contact.previous and not is_begun and now_ms < due_ms:
                again = due_ms  # the direction of a transferred call is that of its first contact
            elif contact.manager:
                leg = _leg(contact, contact.manager, lead, direction)
                events += _events(leg, contact, min(followers, key=_order, default=None))
            elif contact.ended is not None and not outbound and not followers:
                if now_ms < due_ms:
                    again = due_ms
                else:
                    leg = _leg(contact, QUEUE_PREFIX + (contact.queue or self._queue), lead, direction)
                    events.append(leg.ended(contact.ended, _earliest((contact.initiated, contact.queued))))
        return Joined(events=events, again_ms=again)


def _leg(contact: Said, manager: str, lead: str | None, direction: Direction) -> LegEvents:
    return LegEvents(
        source=NAME,
        stem=f"{NAME}:{contact.contact}",
        call=contact.root,
        manager=manager,
        lead=lead,
        direction=direction,
    )


def _events(leg: LegEvents, contact: Said, follower: Said | None) -> Iterator[Event]:
    """Yield the events of an agent's leg. `follower` is the contact to which the agent transferred the call."""
    is_outbound = leg.direction == "outbound"
    answered = contact.system if is_outbound and not contact.previous else contact.agent
    # No event tells the moment at which the telephone of an inbound call rings. A transfer begins when its contact
    # does.
    started = contact.initiated if is_outbound or contact.previous else contact.agent
    if started is not None:
        yield leg.started(started)
    if answered is not None:
        yield leg.answered(answered)
    if contact.ended is None:
        return
    if follower is not None and follower.manager != leg.manager:
        is_before = follower.initiated is not None and follower.initiated < contact.ended
        yield leg.transferred(contact.ended, follower.manager, attended=is_before)
    yield leg.ended(
        contact.ended,
        started,
        answered_at=answered,
        disposition="voicemail" if contact.machine else "no_answer",
        pieces=sum(moment is not None for moment in (started, answered, contact.ended)),
    )


def _order(contact: Said) -> tuple[int, str]:
    return contact.initiated or 0, contact.contact


def _contacts(statements: Sequence[KeptStatement]) -> list[Said]:
    """Return each contact with the union of its statements."""
    said: defaultdict[str, list[Said]] = defaultdict(list)
    for one in statements:
        try:
            found = msgspec.json.decode(one.body, type=Said)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue  # of another release
        said[found.contact].append(found)
    return [_together(said[contact]) for contact in sorted(said)]


def _together(said: Sequence[Said]) -> Said:
    return Said(
        contact=said[0].contact,
        root=said[0].root,
        previous=max(one.previous for one in said),
        method=max(one.method for one in said),
        initiated=_earliest(one.initiated for one in said),
        system=_earliest(one.system for one in said),
        queued=_earliest(one.queued for one in said),
        agent=_earliest(one.agent for one in said),
        ended=_earliest(one.ended for one in said),
        manager=max(one.manager for one in said),
        queue=max(one.queue for one in said),
        lead=max(one.lead for one in said),
        machine=any(one.machine for one in said),
    )


def _earliest(moments: Iterable[int | None]) -> int | None:
    return min((moment for moment in moments if moment is not None), default=None)

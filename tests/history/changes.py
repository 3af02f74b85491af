"""The losses of systems, as changes of a history. `losses.LOSSES` assigns them to the systems."""

from __future__ import annotations

import hmac
from itertools import pairwise
from typing import Final

import msgspec

from streams.contract.events import QUEUE_PREFIX
from streams.simulator.rendering.call_script import WAIT_MS
from streams.simulator.rendering.history import Call, History, Leg
from streams.simulator.rendering.phone_book import PhoneBook
from tests.history.departments import SECRET

MISSED: Final = f"{QUEUE_PREFIX}inbound"
"""Whose the missed calls are that were in no queue."""


def names_of_leads(history: History, book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.lead is not None:
            number = book.number(leg.lead).encode()
            leg.lead = f"phone:{hmac.new(SECRET, number, 'sha256').hexdigest()[:32]}"


def kind(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        leg.kind = None


def machines(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.disposition == "voicemail":
            leg.disposition = "no_answer" if leg.answered_at is None else "answered"


def queue_timeouts(history: History, _book: PhoneBook) -> None:
    history.calls = [
        call for call in history.calls if not (_is_of_queue(call[0]) and call[0].disposition == "no_answer")
    ]


def why_missed(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if _is_of_queue(leg):
            leg.disposition = "no_answer"


def missed_directly(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        leg = call[0]
        if leg.direction == "inbound" and leg.answered_at is None and not _is_of_queue(leg):
            missed = msgspec.structs.replace(leg, manager=MISSED, disposition="no_answer", has_start=False)
            call.append(missed)


def refused_at_once(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        call[:] = [leg for leg in call if not (leg.disposition == "busy" and _rang_for(leg) <= 1000 and _is_in(leg))]


def receivers(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        for leg, then in pairwise(call):
            if leg.transfer_at is not None:
                then.direction = "inbound"


def ends_of_transferers(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.transfer_at is not None:
            leg.ended_at, leg.has_end = leg.transfer_at, True


def consultations(history: History, _book: PhoneBook) -> None:
    """Make a separate call of the talk of two managers before one of them has the customer."""
    calls: list[Call] = []
    for call in history.calls:
        calls.append(call)
        for leg, then in pairwise(call):
            if leg.transfer_at is None or leg.how == "blind" or then.answered_at is None:
                continue
            asking = Leg(
                call=f"{leg.call}-asked",
                manager=leg.manager,
                direction="outbound",
                started_at=then.started_at,
                answered_at=then.answered_at,
                ended_at=leg.transfer_at,
                talk_ms=leg.transfer_at - then.answered_at,
                internal=True,
                has_end=True,
            )
            calls.append([asking, msgspec.structs.replace(asking, manager=then.manager, direction="inbound")])
            then.started_at = then.answered_at = leg.transfer_at
            then.talk_ms = then.ended_at - leg.transfer_at
    history.calls = calls


def directions_inside(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.internal:
            leg.direction = "outbound"


def work_after_calls(history: History, _book: PhoneBook) -> None:
    history.presences = [presence for presence in history.presences if presence.state != "after_call"]


def presence(history: History, _book: PhoneBook) -> None:
    history.presences = []


def calls_without_a_queue(history: History, _book: PhoneBook) -> None:
    history.calls = [call[:1] for call in history.calls if _is_of_queue(call[0]) or call[0].queue]
    for leg in history.legs():
        leg.transfer_at = None


def milliseconds(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        rang = _rang_for(leg) // 1000 * 1000
        leg.started_at, leg.ended_at = _second(leg.started_at), _second(leg.ended_at)
        if leg.answered_at is not None:
            leg.answered_at = _second(leg.answered_at)
            leg.started_at = leg.answered_at - rang
            leg.talk_ms = leg.ended_at - leg.answered_at
    for presence in history.presences:
        presence.at = _second(presence.at)


def who_gave_up(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.disposition == "canceled":
            leg.disposition = "no_answer"


def answers_before(history: History, _book: PhoneBook) -> None:
    """Count what the manager's channel was not there for: the wait in a queue, and the ringing after a transfer."""
    for call in history.calls:
        for before, leg in zip([None, *call], call, strict=False):
            if leg.queue and not _is_of_queue(leg) and (before is None or before.transfer_at is None):
                leg.started_at -= WAIT_MS
            elif before is not None and before.transfer_at is not None and before.manager != leg.manager:
                leg.started_at = before.transfer_at
            else:
                continue
            if leg.answered_at is not None:
                leg.answered_at = leg.started_at
                leg.talk_ms = leg.ended_at - leg.started_at


def transfers(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        leg.transfer_at = None


def seconds_of_rows(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        leg.talk_ms = _second(leg.talk_ms)
        leg.started_at, leg.ended_at = _second(leg.started_at), _second(leg.ended_at)
        leg.answered_at = None if leg.answered_at is None else _second(leg.answered_at)


def refusals(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.answered_at is None and (leg.internal or _is_in(leg)):
            leg.disposition = "no_answer"


def seconds_of_states(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        leg.started_at, leg.ended_at = _second(leg.started_at), _second(leg.ended_at)
        if leg.answered_at is not None:
            leg.answered_at = _second(leg.answered_at)
            leg.talk_ms = leg.ended_at - leg.answered_at
        if leg.transfer_at is not None:
            leg.transfer_at = _second(leg.transfer_at)


def refused_in_a_second(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        call[:] = [leg for leg in call if not (leg.disposition == "busy" and _rang_for(leg) < 1000 and _is_in(leg))]


def calls_inside(history: History, _book: PhoneBook) -> None:
    history.calls = [call for call in history.calls if not call[0].internal]


def asked_before(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        for leg, then in pairwise(call):
            if leg.transfer_at is not None and leg.how == "attended" and then.answered_at is not None:
                then.started_at = then.answered_at = leg.transfer_at
                then.talk_ms = then.ended_at - leg.transfer_at


def second_parts(history: History, _book: PhoneBook) -> None:
    calls: list[Call] = []
    for call in history.calls:
        calls.append(call)
        for leg, then in pairwise(call):
            if leg.transfer_at is not None:
                closed = {"call": f"{then.call}-part", "internal": True, "lead": None, "transfer_at": None}
                closed |= {"answered_at": then.ended_at, "talk_ms": 0, "disposition": "answered", "has_end": True}
                calls.append([msgspec.structs.replace(then, **closed)])
    history.calls = calls


def made_by_one(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        first = call[0]
        if first.direction == "outbound" and not first.internal and len(call) > 1:
            ended_at = max(leg.ended_at for leg in call)
            talk_ms = ended_at - (first.answered_at or ended_at)
            call[:] = [msgspec.structs.replace(first, ended_at=ended_at, talk_ms=talk_ms, transfer_at=None)]


def until_the_next_answer(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        over = max(leg.ended_at for leg in call)
        for leg, then in pairwise(call):
            if leg.transfer_at is not None and leg.direction == "inbound":
                leg.ended_at = over if then.answered_at is None else then.answered_at
                leg.talk_ms = leg.ended_at - (leg.answered_at or leg.ended_at)
                leg.transfer_at = None


def names_of_queues(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if _is_of_queue(leg):
            leg.manager = MISSED


def machines_before_an_answer(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.disposition == "voicemail" and leg.answered_at is None:
            leg.disposition = "no_answer"


def missed_in_queues(history: History, _book: PhoneBook) -> None:
    history.calls = [call for call in history.calls if not _is_of_queue(call[0])]


def asked_apart(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        for place, leg in enumerate(call):
            if leg.transfer_at is not None and leg.how == "attended":
                del call[place + 1 :]
                leg.transfer_at = None
                break


def callers_inside(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        if call[0].internal:
            del call[0]


def why_unanswered(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.answered_at is None:
            leg.disposition = "no_answer"


def who_rang(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        if call[0].internal:
            continue
        is_out = call[0].direction == "outbound"
        for leg, then in pairwise(call):
            if then.answered_at is None:
                leg.transfer_at = None
        call[:] = [leg for leg in call if leg is call[0] or leg.answered_at is not None or not is_out]
        for leg in call:
            if leg.answered_at is None and not is_out and not _is_of_queue(leg):
                leg.manager = f"{QUEUE_PREFIX}{leg.queue}" if leg.queue else MISSED
                leg.has_start = False


def ringing(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        if call[0].direction == "inbound" and call[0].answered_at is not None:
            call[0].started_at = call[0].answered_at


def not_in_no_time(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.ended_at == leg.started_at and not _is_of_queue(leg):
            leg.ended_at += 1


def _is_of_queue(leg: Leg) -> bool:
    return leg.manager.startswith(QUEUE_PREFIX)


def _is_in(leg: Leg) -> bool:
    return leg.direction == "inbound" and not _is_of_queue(leg)


def _rang_for(leg: Leg) -> int:
    return (leg.ended_at if leg.answered_at is None else leg.answered_at) - leg.started_at


def _second(at_ms: int) -> int:
    return at_ms // 1000 * 1000

"""What each system cannot know, or says in another way: one table, with the reason and the metrics that it concerns.

A loss changes the history as if the system's view of it were all there is. `known_to` applies those of one adapter, one
after the other; what the adapter makes of the system's bytes must then give the same tables, series by series.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from streams.contract.events import QUEUE_PREFIX
from streams.simulator.rendering.call_script import WAIT_MS
from streams.simulator.rendering.history import Call, History, Leg, copied
from streams.simulator.rendering.phone_book import PhoneBook
from tests.history.departments import SECRET, Made

MISSED: Final = f"{QUEUE_PREFIX}inbound"
"""Whose the missed calls are that were in no queue."""
ASTERISK: Final = ("ami", "cel", "queue_log", "cdr")

_ANSWERS: Final = frozenset(
    {
        *("answered_calls", "attempts_per_contact", "calls_by_disposition", "calls_talked", "connect_ratio"),
        *("short_call_ratio", "talk_time_seconds"),
    }
)
_TALKS: Final = frozenset(
    {"calls_talked", "internal_calls", "internal_talk_seconds", "short_call_ratio", "talk_time_seconds"}
)
_NOT_CALLED: Final = frozenset(
    {
        *("calls", "calls_by_disposition", "calls_by_kind", "leads_given", "open_leads_by_calls"),
        "open_leads_by_stage",
    }
)
NONE: Final[frozenset[str]] = frozenset()


class Loss(NamedTuple):
    """`change` makes of a history what the systems of `adapters` can say of it. `metrics` differ then."""

    name: str
    adapters: tuple[str, ...]
    reason: str
    change: Callable[[History, PhoneBook], None]
    metrics: frozenset[str]


def known_to(adapter: str, of: Made) -> History:
    """Return what a system can know of a history."""
    known = copied(of.history)
    for loss in losses_of(adapter):
        loss.change(known, of.book)
    return known


def losses_of(adapter: str) -> Iterator[Loss]:
    """Yield the losses of an adapter, in their order."""
    yield from (loss for loss in LOSSES if adapter in loss.adapters)


# -- what is lost


def _names_of_leads(history: History, book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.lead is not None:
            number = book.number(leg.lead).encode()
            leg.lead = f"phone:{hmac.new(SECRET, number, 'sha256').hexdigest()[:32]}"


def _kind(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        leg.kind = None


def _machines(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.disposition == "voicemail":
            leg.disposition = "no_answer" if leg.answered_at is None else "answered"


def _queue_timeouts(history: History, _book: PhoneBook) -> None:
    history.calls = [
        call for call in history.calls if not (_is_of_queue(call[0]) and call[0].disposition == "no_answer")
    ]


def _why_missed(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if _is_of_queue(leg):
            leg.disposition = "no_answer"


def _missed_directly(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        leg = call[0]
        if leg.direction == "inbound" and leg.answered_at is None and not _is_of_queue(leg):
            missed = msgspec.structs.replace(leg, manager=MISSED, disposition="no_answer", has_start=False)
            call.append(missed)


def _refused_at_once(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        call[:] = [leg for leg in call if not (leg.disposition == "busy" and _rang_for(leg) <= 1000 and _is_in(leg))]


def _receivers(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        for leg, then in pairwise(call):
            if leg.transfer_at is not None:
                then.direction = "inbound"


def _ends_of_transferers(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.transfer_at is not None:
            leg.ended_at, leg.has_end = leg.transfer_at, True


def _consultations(history: History, _book: PhoneBook) -> None:
    """Make a call of its own of what two managers say to each other before one of them has the customer."""
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


def _directions_inside(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.internal:
            leg.direction = "outbound"


def _work_after_calls(history: History, _book: PhoneBook) -> None:
    history.presences = [presence for presence in history.presences if presence.state != "after_call"]


def _presence(history: History, _book: PhoneBook) -> None:
    history.presences = []


def _calls_without_a_queue(history: History, _book: PhoneBook) -> None:
    history.calls = [call[:1] for call in history.calls if _is_of_queue(call[0]) or call[0].queue]
    for leg in history.legs():
        leg.transfer_at = None


def _milliseconds(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        rang = _rang_for(leg) // 1000 * 1000
        leg.started_at, leg.ended_at = _second(leg.started_at), _second(leg.ended_at)
        if leg.answered_at is not None:
            leg.answered_at = _second(leg.answered_at)
            leg.started_at = leg.answered_at - rang
            leg.talk_ms = leg.ended_at - leg.answered_at
    for presence in history.presences:
        presence.at = _second(presence.at)


def _who_gave_up(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.disposition == "canceled":
            leg.disposition = "no_answer"


def _answers_before(history: History, _book: PhoneBook) -> None:
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


def _transfers(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        leg.transfer_at = None


def _seconds_of_rows(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        leg.talk_ms = _second(leg.talk_ms)
        leg.started_at, leg.ended_at = _second(leg.started_at), _second(leg.ended_at)
        leg.answered_at = None if leg.answered_at is None else _second(leg.answered_at)


def _refusals(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        if leg.answered_at is None and (leg.internal or _is_in(leg)):
            leg.disposition = "no_answer"


def _seconds_of_states(history: History, _book: PhoneBook) -> None:
    for leg in history.legs():
        leg.started_at, leg.ended_at = _second(leg.started_at), _second(leg.ended_at)
        if leg.answered_at is not None:
            leg.answered_at = _second(leg.answered_at)
            leg.talk_ms = leg.ended_at - leg.answered_at
        if leg.transfer_at is not None:
            leg.transfer_at = _second(leg.transfer_at)


def _refused_in_a_second(history: History, _book: PhoneBook) -> None:
    for call in history.calls:
        call[:] = [leg for leg in call if not (leg.disposition == "busy" and _rang_for(leg) < 1000 and _is_in(leg))]


def _is_of_queue(leg: Leg) -> bool:
    return leg.manager.startswith(QUEUE_PREFIX)


def _is_in(leg: Leg) -> bool:
    return leg.direction == "inbound" and not _is_of_queue(leg)


def _rang_for(leg: Leg) -> int:
    return (leg.ended_at if leg.answered_at is None else leg.answered_at) - leg.started_at


def _second(at_ms: int) -> int:
    return at_ms // 1000 * 1000


LOSSES: Final = (
    Loss(
        "names of leads",
        (*ASTERISK, "export", "mango"),
        "a telephone system knows the number of a lead, and no id of the CRM: the lead is the number's key",
        _names_of_leads,
        frozenset({"lead_attention"}),
    ),
    Loss(
        "kind",
        (*ASTERISK, "mango"),
        "a telephone system does not know why somebody is called",
        _kind,
        frozenset({"calls_by_kind", "leads_given", "presentation_ratio"}),
    ),
    Loss(
        "machines",
        (*ASTERISK, "mango"),
        "a machine that answers is an answer; one that plays before an answer rings until the limit",
        _machines,
        _ANSWERS,
    ),
    Loss(
        "queue timeouts",
        ("queue_log",),
        "where the queue gives a caller up, the dialplan goes on with the call, which queue_log does not see",
        _queue_timeouts,
        _NOT_CALLED | {"last_activity_timestamp_seconds"},
    ),
    Loss(
        "why missed",
        (*ASTERISK, "mango"),
        "a call that nobody took is one leg of its queue, not answered, whoever gave up first",
        _why_missed,
        frozenset({"calls_by_disposition"}),
    ),
    Loss(
        "missed directly",
        ("ami", "cel", "cdr"),
        "a caller who reaches nobody was missed, without a queue, too: a leg of `queue:inbound` beside the manager's",
        _missed_directly,
        frozenset({"calls_per_lead", "open_leads_by_calls"}),
    ),
    Loss(
        "refused at once",
        ("cel",),
        "CEL has no ringing: a telephone that refuses within a second may not have rung",
        _refused_at_once,
        _NOT_CALLED | {"calls_per_lead", "first_call_deal_ratio", "mean_stage_age_seconds"},
    ),
    Loss(
        "receivers",
        ASTERISK,
        "the telephone of who gets a call rings: the leg is inbound",
        _receivers,
        frozenset({"attempts_per_contact", "calls", "connect_ratio"}),
    ),
    Loss(
        "ends of transferers",
        (*ASTERISK, "export", "mango"),
        "the leg of who hands a call over ends at the transfer, not with the channel a moment later",
        _ends_of_transferers,
        NONE,
    ),
    Loss(
        "consultations",
        ("ami", "cel", "cdr"),
        "who is asked before a transfer talks with a colleague first, in a call of its own",
        _consultations,
        _TALKS,
    ),
    Loss(
        "directions inside",
        ("export",),
        "a row says that a call was internal, and not who called",
        _directions_inside,
        NONE,
    ),
    Loss("work after calls", ASTERISK, "queues know pauses, and no work after a call", _work_after_calls, NONE),
    Loss("presence", ("cel", "export", "cdr", "mango"), "no row says who is there", _presence, frozenset({"presence"})),
    Loss(
        "calls outside queues",
        ("queue_log",),
        "only calls in queues are written, and not what becomes of those that are handed over",
        _calls_without_a_queue,
        _ANSWERS
        | _NOT_CALLED
        | {
            *("breaks_missed", "calls_per_lead", "conversations", "first_call_deal_ratio", "leads_over_called"),
            *("last_activity_timestamp_seconds", "mean_stage_age_seconds", "meaningful_calls", "next_step_ratio"),
            *("open_leads_by_conversations", "stage_moves_per_call", "work_blocks"),
            *("internal_calls", "internal_talk_seconds"),
        },
    ),
    Loss(
        "milliseconds",
        ("queue_log",),
        "times are whole seconds",
        _milliseconds,
        frozenset({"last_activity_timestamp_seconds", "talk_time_seconds"}),
    ),
    Loss(
        "who gave up",
        ("cdr",),
        "NO ANSWER is written whoever ended the dial, unless `canceldispositionenabled` is set",
        _who_gave_up,
        frozenset({"calls_by_disposition"}),
    ),
    Loss(
        "answers before",
        ("cdr",),
        "a row is answered by whoever answered: the queue, or the manager before the transfer",
        _answers_before,
        frozenset({"calls_talked", "talk_time_seconds"}),
    ),
    Loss("transfers", ("cdr",), "no row says that there was one", _transfers, NONE),
    Loss(
        "seconds of rows",
        ("cdr",),
        "times are whole seconds, and so is `billsec`",
        _seconds_of_rows,
        frozenset({"calls_talked", "internal_talk_seconds", "last_activity_timestamp_seconds", "talk_time_seconds"}),
    ),
    Loss(
        "refusals",
        ("mango",),
        "of a telephone that rang in vain, only classes of reasons are documented",
        _refusals,
        frozenset({"calls_by_disposition"}),
    ),
    Loss(
        "seconds of states",
        ("mango",),
        "times are whole seconds",
        _seconds_of_states,
        frozenset(
            {
                *("calls_talked", "internal_talk_seconds", "last_activity_timestamp_seconds", "short_call_ratio"),
                "talk_time_seconds",
            }
        ),
    ),
    Loss(
        "refused in a second",
        ("cdr",),
        "no row says that a telephone rang: one that refuses within a second may not have",
        _refused_in_a_second,
        NONE,
    ),
)

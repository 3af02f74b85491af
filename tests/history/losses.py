"""The losses of each system, and its different forms: one table, with the reason and the metrics concerned.

A loss reduces the history to the system's view of it. `known_to` applies those of one adapter in order; the events
that the adapter makes of the system's bytes must then give the same tables, series by series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from streams.simulator.rendering.history import History, copied
from streams.simulator.rendering.phone_book import PhoneBook
from tests.history import changes
from tests.history.departments import Made

ASTERISK: Final = ("ami", "cel", "queue_log", "cdr")
CLOUDS: Final = ("amazon_connect", "freeswitch", "mango", "megafon", "twilio", "zadarma")

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
    """`change` reduces a history to the part that the systems of `adapters` can know. `metrics` differ then."""

    name: str
    adapters: tuple[str, ...]
    reason: str
    change: Callable[[History, PhoneBook], None]
    metrics: frozenset[str]


def known_to(adapter: str, of: Made) -> History:
    """Return the part of a history that a system can know."""
    known = copied(of.history)
    for loss in losses_of(adapter):
        loss.change(known, of.book)
    return known


def losses_of(adapter: str) -> Iterator[Loss]:
    """Yield the losses of an adapter, in their order."""
    yield from (loss for loss in LOSSES if adapter in loss.adapters)


LOSSES: Final = (
    Loss(
        "names of leads",
        (*ASTERISK, "export", *CLOUDS),
        "a telephone system knows the number of a lead, and no id of the CRM: the lead is the number's key",
        changes.names_of_leads,
        frozenset({"lead_attention"}),
    ),
    Loss(
        "kind",
        (*ASTERISK, *CLOUDS),
        "a telephone system does not know why somebody is called",
        changes.kind,
        frozenset({"calls_by_kind", "leads_given", "presentation_ratio"}),
    ),
    Loss(
        "machines",
        (*ASTERISK, "freeswitch", "mango", "megafon", "zadarma"),
        "a machine that answers is an answer; one that plays before an answer rings until the limit",
        changes.machines,
        _ANSWERS,
    ),
    Loss(
        "queue timeouts",
        ("queue_log",),
        "where the queue gives a caller up, the dialplan goes on with the call, which queue_log does not see",
        changes.queue_timeouts,
        _NOT_CALLED | {"last_activity_timestamp_seconds"},
    ),
    Loss(
        "why missed",
        (*ASTERISK, "amazon_connect", "freeswitch", "mango", "megafon", "zadarma"),
        "a call that nobody took is one leg of its queue, not answered, whoever gave up first",
        changes.why_missed,
        frozenset({"calls_by_disposition"}),
    ),
    Loss(
        "missed directly",
        ("ami", "cel", "cdr", "freeswitch", "twilio", "zadarma"),
        "a caller who reaches nobody was missed, without a queue, too: a leg of `queue:inbound` beside the manager's",
        changes.missed_directly,
        frozenset({"calls_per_lead", "open_leads_by_calls"}),
    ),
    Loss(
        "refused at once",
        ("cel",),
        "CEL has no ringing: a telephone that refuses within a second may not have rung",
        changes.refused_at_once,
        _NOT_CALLED | {"calls_per_lead", "first_call_deal_ratio", "mean_stage_age_seconds"},
    ),
    Loss(
        "receivers",
        (*ASTERISK, "freeswitch", "megafon"),
        "the telephone of who gets a call rings: the leg is inbound",
        changes.receivers,
        frozenset({"attempts_per_contact", "calls", "connect_ratio"}),
    ),
    Loss(
        "ends of transferers",
        (*ASTERISK, "export", *CLOUDS),
        "the leg of who hands a call over ends at the transfer, not with the channel a moment later",
        changes.ends_of_transferers,
        NONE,
    ),
    Loss(
        "consultations",
        ("ami", "cel", "cdr", "freeswitch"),
        "who is asked before a transfer talks with a colleague first, in a call of its own",
        changes.consultations,
        _TALKS,
    ),
    Loss(
        "directions inside",
        ("export",),
        "a row says that a call was internal, and not who called",
        changes.directions_inside,
        NONE,
    ),
    Loss("work after calls", ASTERISK, "queues know pauses, and no work after a call", changes.work_after_calls, NONE),
    Loss(
        "presence",
        ("cel", "export", "cdr", *CLOUDS),
        "no row says who is there",
        changes.presence,
        frozenset({"presence"}),
    ),
    Loss(
        "calls outside queues",
        ("queue_log",),
        "only calls in queues are written, and not what becomes of those that are handed over",
        changes.calls_without_a_queue,
        _ANSWERS
        | _NOT_CALLED
        | {
            *("breaks_missed", "calls_per_lead", "conversations", "first_call_deal_ratio", "leads_over_called"),
            *("last_activity_timestamp_seconds", "mean_stage_age_seconds", "meaningful_calls", "next_step_ratio"),
            *("open_leads_by_conversations", "stage_moves_per_call", "work_blocks"),
            *("heard_call_ratio", "internal_calls", "internal_talk_seconds"),
        },
    ),
    Loss(
        "milliseconds",
        ("queue_log",),
        "times are whole seconds",
        changes.milliseconds,
        frozenset({"last_activity_timestamp_seconds", "talk_time_seconds"}),
    ),
    Loss(
        "who gave up",
        ("cdr",),
        "NO ANSWER is written whoever ended the dial, unless `canceldispositionenabled` is set",
        changes.who_gave_up,
        frozenset({"calls_by_disposition"}),
    ),
    Loss(
        "answers before",
        ("cdr",),
        "a row is answered by whoever answered: the queue, or the manager before the transfer",
        changes.answers_before,
        frozenset({"calls_talked", "talk_time_seconds"}),
    ),
    Loss("transfers", ("cdr",), "no row says that there was one", changes.transfers, NONE),
    Loss(
        "seconds of rows",
        ("cdr",),
        "times are whole seconds, and so is `billsec`",
        changes.seconds_of_rows,
        frozenset({"calls_talked", "internal_talk_seconds", "last_activity_timestamp_seconds", "talk_time_seconds"}),
    ),
    Loss(
        "refusals",
        ("mango", "zadarma"),
        "of a telephone that rang in vain, only classes of reasons are documented",
        changes.refusals,
        frozenset({"calls_by_disposition"}),
    ),
    Loss(
        "asked before",
        ("megafon",),
        "who is asked before a transfer has the call from the transfer on",
        changes.asked_before,
        frozenset({"calls_talked", "short_call_ratio", "talk_time_seconds"}),
    ),
    Loss(
        "made by one",
        ("twilio", "zadarma"),
        "of a call that a manager made, nothing says that somebody else got it",
        changes.made_by_one,
        _ANSWERS | _NOT_CALLED | {"calls_per_lead", "conversations", "meaningful_calls", "open_leads_by_conversations"},
    ),
    Loss(
        "until the next answer",
        ("zadarma",),
        "no transfer is told: who answered has the call until somebody else answers it",
        changes.until_the_next_answer,
        NONE,
    ),
    Loss(
        "machines before an answer",
        ("amazon_connect", "twilio"),
        "a machine that plays before an answer rings until the limit",
        changes.machines_before_an_answer,
        frozenset({"calls_by_disposition"}),
    ),
    Loss(
        "missed in queues",
        ("twilio",),
        "where no telephone was dialled, callbacks do not say that a call was missed: the list of calls does",
        changes.missed_in_queues,
        frozenset({"calls_per_lead", "leads_given", "open_leads_by_calls", "open_leads_by_stage"}),
    ),
    Loss(
        "asked apart",
        ("twilio",),
        "who is asked before a transfer gets a call of its own, which nothing joins with the customer's",
        changes.asked_apart,
        NONE,
    ),
    Loss(
        "callers inside",
        ("twilio",),
        "a call to a colleague is a leg of the colleague",
        changes.callers_inside,
        frozenset({"internal_calls", "internal_talk_seconds", "last_activity_timestamp_seconds"}),
    ),
    Loss(
        "why unanswered",
        ("amazon_connect",),
        "why nobody answered is not said",
        changes.why_unanswered,
        frozenset({"calls_by_disposition"}),
    ),
    Loss(
        "who rang",
        ("amazon_connect",),
        "an agent is named who is connected: a call that nobody took is its queue's, and a transfer to nobody is none",
        changes.who_rang,
        _NOT_CALLED | {"attempts_per_contact", "calls_per_lead", "connect_ratio", "open_leads_by_conversations"},
    ),
    Loss(
        "ringing", ("amazon_connect",), "when the telephone of an inbound call rang is not said", changes.ringing, NONE
    ),
    Loss(
        "names of queues",
        ("zadarma",),
        "no queue is named: all of them are one",
        changes.names_of_queues,
        _NOT_CALLED
        | {"calls_per_lead", "first_call_deal_ratio", "last_activity_timestamp_seconds", "mean_stage_age_seconds"},
    ),
    Loss(
        "seconds of states",
        ("mango", "megafon", "twilio", "zadarma"),
        "times are whole seconds",
        changes.seconds_of_states,
        frozenset(
            {
                *("calls_talked", "internal_talk_seconds", "last_activity_timestamp_seconds", "short_call_ratio"),
                "talk_time_seconds",
            }
        ),
    ),
    Loss(
        "calls inside",
        ("amazon_connect", "megafon", "zadarma"),
        "calls between colleagues are not told",
        changes.calls_inside,
        frozenset({"breaks_missed", "internal_calls", "internal_talk_seconds", "last_activity_timestamp_seconds"}),
    ),
    Loss(
        "in no time",
        ("megafon",),
        "a leg that ends in its first second lasts a millisecond, or it would be another stretch",
        changes.not_in_no_time,
        NONE,
    ),
    Loss(
        "second parts",
        ("megafon",),
        "a call that is transferred begins as another call, which is closed as an internal one without talk",
        changes.second_parts,
        frozenset({"internal_calls"}),
    ),
    Loss(
        "refused in a second",
        ("cdr",),
        "no row says that a telephone rang: one that refuses within a second may not have",
        changes.refused_in_a_second,
        NONE,
    ),
)

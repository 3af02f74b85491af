"""The measures: the named numbers that leads contribute and outcome rows sum.

A measure is a string, as it stands in facts and in the changelog of outcomes. This module makes and parses all of them:

    HEAD                          won, lost, proposed, moves, talks, ...
    HEAD:LABEL                    calls:3, streak:5+, stage:proposal, given:cold, touch:email, amount:EUR, ...
    HEAD@DIMENSION=VALUE          won@product=..., proposed@channel=...
    amount@channel=VALUE:EUR      an amount per channel also has a currency
    reason:LABEL@STAGE            a reason of follow-up calls, by the stage of the lead
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from streams.contract.events import KINDS, KINDS_AND_UNKNOWN

# Credited to the manager who has the lead.
CALLS: Final = "calls"
CALLS_OF_DAY: Final = "sum"
OVER_DIALLED: Final = "over"
STREAK: Final = "streak"
CONSULTATION_DUE: Final = "mentor"
STUCK: Final = "stuck"
STAGE: Final = "stage"
STAGE_SINCE: Final = "since"
GIVEN: Final = "given"
REACH: Final = "reach"
# Credited to the manager of the leg.
ANSWERED: Final = "answered"
PRESENTED: Final = "presented"
PROPOSED: Final = "proposed"
STAGE_MOVES: Final = "moves"
CONVERSATIONS: Final = "talks"
NEXT_STEPS_AGREED: Final = "agreed"
REASON: Final = "reason"
OFF_HOURS: Final = "off_hours"
NEXT_STEPS_DUE: Final = "due"
NEXT_STEPS_KEPT: Final = "kept"
# Credited to the manager of the deal.
WON: Final = "won"
LOST: Final = "lost"
AMOUNT: Final = "amount"
AMOUNTS: Final = "amounts"
WIN_CALLS: Final = "win_calls"
WIN_LEADS: Final = "win_leads"
WIN_TALK_MS: Final = "win_talk"
WIN_TALKED: Final = "win_talked"
# Credited to the manager of the activity.
TOUCH: Final = "touch"
# Measures of the features of a call, in the coaching row of its manager. Those in pairs are numerator and denominator.
HEARD: Final = "heard"
HEARD_OF_KIND: Final = "heard_kind"
HEARD_TALK_MS: Final = "heard_talk"
HEARD_MOVES: Final = "heard_moves"
HEARD_CONVERSATIONS: Final = "heard_talks"
STEPS_HEARD: Final = "heard_steps"
TALK_MANAGER_MS: Final = "talk_manager"
TALK_CUSTOMER_MS: Final = "talk_customer"
FILLERS: Final = "fillers"
FILLERS_TALK_MS: Final = "fillers_talk"
MONOLOGUE_MS: Final = "monologue"
MONOLOGUES: Final = "monologues"
PATIENCE_MS: Final = "patience"
PATIENCES: Final = "patiences"
INTERRUPTIONS: Final = "interruptions"
INTERRUPTIBLE: Final = "interruptible"
SILENCE_MS: Final = "silence"
SILENCE_SPAN_MS: Final = "silence_span"
QUESTIONS: Final = "questions"
QUESTIONED: Final = "questioned"
OPEN_QUESTIONS: Final = "open_questions"
CLARIFYING: Final = "clarifying"
CLARIFIABLE: Final = "clarifiable"
OBJECTIONS: Final = "objections"
OBJECTIONS_MET: Final = "objections_met"
FLAG: Final = "flag"
COACHING: Final = (
    *(HEARD, HEARD_OF_KIND, HEARD_TALK_MS, HEARD_MOVES, HEARD_CONVERSATIONS, STEPS_HEARD),
    *(TALK_MANAGER_MS, TALK_CUSTOMER_MS, FILLERS, FILLERS_TALK_MS, MONOLOGUE_MS, MONOLOGUES),
    *(PATIENCE_MS, PATIENCES, INTERRUPTIONS, INTERRUPTIBLE, SILENCE_MS, SILENCE_SPAN_MS),
    *(QUESTIONS, QUESTIONED, OPEN_QUESTIONS, CLARIFYING, CLARIFIABLE, OBJECTIONS, OBJECTIONS_MET, FLAG),
)
"""The heads of all measures of coaching."""

NUMBERS: Final = ("1", "2", "3", "4", "5+")
"""The labels of `calls` and `streak`: a number of calls, of conversations."""
MOST: Final = 5
"""The number that the last of `NUMBERS` stands for, together with all greater ones."""
DIMENSIONS: Final = ("product", "client_type", "channel", "first_kind")
PROMISES: Final = (NEXT_STEPS_DUE, NEXT_STEPS_KEPT)
"""The measures on future days. They count once their day has come."""

_MONTH: Final = 30
_QUARTER: Final = 90
_TWO_QUARTERS: Final = 180
DAYS_READ: Final[Mapping[str, int]] = {
    **dict.fromkeys((CALLS, CALLS_OF_DAY, OVER_DIALLED, STREAK, CONSULTATION_DUE, STUCK, STAGE, STAGE_SINCE), _MONTH),
    **dict.fromkeys((REASON, STAGE_MOVES, CONVERSATIONS, NEXT_STEPS_AGREED, OFF_HOURS, *PROMISES), _MONTH),
    **dict.fromkeys((REACH, ANSWERED, PRESENTED, PROPOSED, LOST, AMOUNT, AMOUNTS, TOUCH), _QUARTER),
    **dict.fromkeys((WIN_CALLS, WIN_LEADS, WIN_TALK_MS, WIN_TALKED), _QUARTER),
    **dict.fromkeys((GIVEN, WON), _TWO_QUARTERS),
    **dict.fromkeys(COACHING, _MONTH),
}
"""Every head of a measure, with the longest window (in days) over which a figure reads it."""


def days_read(measure: str) -> int:
    """Return the longest window, in days, over which a figure reads the measure."""
    return DAYS_READ.get(measure.partition(":")[0], _QUARTER)  # no figure by dimension reads more than a quarter


class Measure(NamedTuple):
    """The parts of a measure; "" for those that it does not have.

    `label` is a number, kind, stage, reason, step, channel or currency. `value` is that of `dimension`; for a reason,
    which has no dimension, it is the stage.
    """

    head: str
    label: str = ""
    dimension: str = ""
    value: str = ""


def parse(measure: str) -> Measure:
    """Return the parts of a measure. Values may contain any character, so only the first separator counts."""
    head, at, rest = measure.partition("@")
    if ":" in head:
        head, _, label = measure.partition(":")
        if head == REASON:
            label, _, stage = label.partition("@")
            return Measure(head, label, value=stage)
        return Measure(head, label)
    dimension, equals, value = rest.partition("=")
    if not at or not equals:
        return Measure(measure)
    if head == AMOUNT:
        value, _, currency = value.rpartition(":")
        return Measure(head, currency, dimension, value)
    return Measure(head, "", dimension, value)


def labelled(head: str, label: str) -> str:
    """Return `HEAD:LABEL`."""
    return f"{head}:{label}"


def family(head: str) -> str:
    """Return `HEAD:`, with which all measures `HEAD:LABEL` begin."""
    return f"{head}:"


def all_labelled(head: str, labels: Iterable[str]) -> tuple[str, ...]:
    """Return `HEAD:LABEL` for each label."""
    return tuple(f"{head}:{label}" for label in labels)


def by_dimension(head: str, dimension: str, value: str) -> str:
    """Return `HEAD@DIMENSION=VALUE`."""
    return f"{head}@{dimension}={value}"


def amount_by_channel(channel: str, currency: str) -> str:
    """Return the measure of amounts per channel."""
    return f"{AMOUNT}@channel={channel}:{currency}"


def reason_in_stage(reason: str, stage: str) -> str:
    """Return the measure of a reason of follow-up calls to leads in `stage`."""
    return f"{REASON}:{reason}@{stage}"


def with_value(measure: Measure, value: str) -> str:
    """Return the measure by dimension `measure` with another value."""
    suffix = ":" + measure.label if measure.head == AMOUNT else ""
    return f"{measure.head}@{measure.dimension}={value}{suffix}"


CALLS_BY_NUMBER: Final = all_labelled(CALLS, NUMBERS)
STREAK_BY_NUMBER: Final = all_labelled(STREAK, NUMBERS)
GIVEN_BY_KIND: Final = all_labelled(GIVEN, KINDS_AND_UNKNOWN)
ANSWERED_BY_KIND: Final = all_labelled(ANSWERED, KINDS_AND_UNKNOWN)
PRESENTED_BY_KIND: Final = all_labelled(PRESENTED, KINDS_AND_UNKNOWN)
PRESENTED_BY_KNOWN_KIND: Final = all_labelled(PRESENTED, KINDS)
REACH_CALL: Final = "reach:call"
REACH_PRESENTATION: Final = "reach:presentation"
REACH_PROPOSAL: Final = "reach:proposal"
REACH_WON: Final = "reach:won"

"""The contributions of a lead to the figures of managers: a pure function of its summary.

A contribution adds `n` to a measure of a manager on one local day, and names its evidence. Outcome rows add them up.
When a lead changes, the difference of its contributions is emitted (`deltas`). All measures, by the manager who is
credited:

    the lead's owner     calls:K sum over streak:K mentor stuck stage:S since:S given:K reach:STEP
    the leg's manager    answered:K presented:K proposed proposed@D=V moves talks agreed reason:R@S off_hours due kept
    the deal's manager   won won@D=V amount:CUR amounts:CUR amount@channel=H:CUR win_calls win_leads win_talk win_talked
                         lost
    the activity's       touch:CHANNEL

`mentor` is "consultation due" and `over` is "dialled too often on a day"; the changelog keeps the short names. The sum
over the days from a cut-off on is the figure of a window. Contributions on the day of the lead's newest leg (streak,
mentor, stuck, stage, since) therefore count the leads that were called inside the window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from streams.contract.events import KINDS_AND_UNKNOWN
from streams.contract.facts import Attention
from streams.settings.results import LOST, NONE, PRESENTATION, PROPOSAL
from streams.tables import measures
from streams.tables.lead.merge import counts_by_day
from streams.tables.lead.policy import FARTHEST_DUE_MS, MAX_THOUSANDTHS, LeadPolicy
from streams.tables.lead.records import (
    FLAG_ANSWERED,
    FLAG_CONVERSATION,
    FLAG_OUTBOUND,
    LeadLeg,
    Note,
    end_order,
    newest_day,
)
from streams.tables.lead.state import CALLS_MASK, DIALS_SHIFT
from streams.tables.lead.summary import DealState, LeadSummary, kind_of

Evidence: TypeAlias = Literal["lead", "call", "deal", "activity"]


class Contribution(NamedTuple):
    """The lead adds `n` to `measure` of `manager` on a local day. `of` and `id` name the evidence."""

    manager: str
    measure: str
    day: int
    n: int
    of: Evidence = "lead"
    id: str = ""

    @property
    def ref(self) -> str:
        """The evidence: "call:ID", "deal:ID", "activity:ID" or "lead"."""
        return f"{self.of}:{self.id}" if self.id else self.of


Entry: TypeAlias = tuple[str, str, int, int, Evidence, str]
"""A contribution as a plain tuple: a fold makes hundreds of thousands of them per second."""
Component: TypeAlias = Callable[[LeadSummary, LeadPolicy], Iterable[Entry]]
"""A function that yields the contributions of one group of measures."""
Totals: TypeAlias = dict[tuple[str, str, int], int]
"""(manager, measure, day) → n."""

_PROPOSED_BY_FIRST_KIND: Final = tuple(
    measures.by_dimension(measures.PROPOSED, "first_kind", kind) for kind in KINDS_AND_UNKNOWN
)
_WON_BY_FIRST_KIND: Final = tuple(measures.by_dimension(measures.WON, "first_kind", kind) for kind in KINDS_AND_UNKNOWN)
_STAGE_NONE: Final = measures.labelled(measures.STAGE, NONE)
_SINCE_NONE: Final = measures.labelled(measures.STAGE_SINCE, NONE)
_WON_WITHOUT_CALL: Final = measures.by_dimension(measures.WON, "first_kind", NONE)


def days(summary: LeadSummary, policy: LeadPolicy) -> list[Entry]:
    """Return the counts of the lead's calls: `calls:K`, `sum`, `over`, on the newest day of a leg and the 31 before it.

    `calls:K` and `sum` count only while the lead is open.

    `calls:K` are steps: the sum of the entries on days >= cutoff is 1 if the lead has K calls on
    the days from `cutoff` on, otherwise 0. `sum` is the number of calls of the day, `over` is 1 on a day on which the
    lead was dialled too often.

        day        10    12    15                 cutoff   calls from it on
        calls       1     2     1                 <= 10    4
        calls:1                +1                 11-12    3
        calls:3          +1    -1                 13-15    1
        calls:4    +1    -1                       > 15     0
    """
    entries: list[Entry] = []
    owner = summary.owner
    counts = counts_by_day(summary.state)
    is_open = summary.counts_as_open
    later = 0
    for day in sorted(counts, reverse=True):
        packed = counts[day]
        called = packed & CALLS_MASK
        if is_open:
            entries.append((owner, measures.CALLS_OF_DAY, day, called, "lead", ""))
        if is_open and later < measures.MOST:
            now = min(later + called, measures.MOST)
            if now > later:
                entries.append((owner, measures.CALLS_BY_NUMBER[now - 1], day, 1, "lead", ""))
                if later:
                    entries.append((owner, measures.CALLS_BY_NUMBER[later - 1], day, -1, "lead", ""))
            later = now
        if packed >> DIALS_SHIFT > policy.calls_per_day:
            entries.append((owner, measures.OVER_DIALLED, day, 1, "lead", ""))
    return entries


def streaks(summary: LeadSummary, policy: LeadPolicy) -> list[Entry]:
    """Return an open lead's conversations without progress, on its newest day: `streak:K`, `mentor`, `stuck`."""
    entries: list[Entry] = []
    legs = summary.legs
    if not legs or not summary.is_open:
        return entries
    without = summary.conversations_since(summary.progress_at)
    if without:
        owner = summary.owner
        day = newest_day(legs)
        entries.append((owner, measures.STREAK_BY_NUMBER[min(without, measures.MOST) - 1], day, 1, "lead", ""))
        if without >= policy.stuck_after:
            entries.append((owner, measures.STUCK, day, 1, "lead", ""))
        if without >= policy.mentor_after and is_consultation_due(summary, policy):
            entries.append((owner, measures.CONSULTATION_DUE, day, 1, "lead", ""))
    return entries


def stages(summary: LeadSummary, policy: LeadPolicy) -> list[Entry]:
    """Return an open lead's stage and the day it entered it, on its newest day: `stage:S`, `since:S`."""
    entries: list[Entry] = []
    legs = summary.legs
    if not legs or not summary.is_open:
        return entries
    owner = summary.owner
    day = newest_day(legs)
    deal = summary.lead_deal
    if deal is None:
        entries.append((owner, _STAGE_NONE, day, 1, "lead", ""))
        entries.append((owner, _SINCE_NONE, day, legs[0].day, "lead", ""))
    else:
        entries.append((owner, measures.labelled(measures.STAGE, deal.stage), day, 1, "deal", deal.id))
        entries.append(
            (
                owner,
                measures.labelled(measures.STAGE_SINCE, deal.stage),
                day,
                policy.day(owner, deal.since),
                "deal",
                deal.id,
            )
        )
    return entries


def is_consultation_due(summary: LeadSummary, policy: LeadPolicy) -> bool:
    """Return whether a consultation is due on an open lead."""
    since = max(summary.progress_at, summary.state.consulted_at)
    return summary.conversations_since(since) >= policy.mentor_after


def attention(summary: LeadSummary, policy: LeadPolicy) -> Attention | None:
    """Return the lead's entry in its owner's list of leads that need help; None if it needs none."""
    if not summary.is_open:
        return None
    without = summary.conversations_since(summary.progress_at)
    stuck = without >= policy.stuck_after
    if not stuck and not (without >= policy.mentor_after and is_consultation_due(summary, policy)):
        return None
    legs = summary.legs
    return Attention(
        attempts=sum([1 for leg in legs if leg.flags & FLAG_OUTBOUND]),
        without_progress=without,
        stage=summary.stage,
        stage_since=summary.stage_since,
        why="stuck" if stuck else "consultation",
        day=newest_day(legs),
        reason=next((note.reason for _, note in reversed(summary.noted) if note.reason), None),
    )


def given(summary: LeadSummary, policy: LeadPolicy) -> list[Entry]:  # noqa: ARG001 - the signature of all components
    """Return the day on which the lead was given to the department, by the kind of its first call: `given:K`."""
    entries: list[Entry] = []
    first = summary.first
    if first is not None:
        entries.append((summary.owner, measures.GIVEN_BY_KIND[summary.first_kind], first.day, 1, "call", first.call))
    return entries


def reach(summary: LeadSummary, policy: LeadPolicy) -> list[Entry]:
    """Return the steps of the funnel that the lead reached, on the day it did: `reach:STEP`."""
    entries: list[Entry] = []
    owner = summary.owner
    if not owner:
        return entries
    presented = _reached(summary, policy, policy.presentation)
    conversation = _first_conversation(summary, presented)
    steps = (
        (measures.REACH_CALL, conversation),
        (measures.REACH_PRESENTATION, presented),
        (measures.REACH_PROPOSAL, None if presented is None else _reached(summary, policy, policy.proposal)),
        (measures.REACH_WON, _reached_by_deals(summary, policy.won)),
    )
    for measure, reached in steps:
        if reached is not None:
            entries.append((owner, measure, policy.day(owner, reached[0]), 1, reached[1], reached[2]))
    return entries


Reached: TypeAlias = tuple[int, Evidence, str]
"""The moment at which a step was reached (ms), and the evidence."""


def first_conversation_at(summary: LeadSummary, policy: LeadPolicy) -> int | None:
    """Return the moment of the lead's first conversation, or of an earlier presentation."""
    reached = _first_conversation(summary, _reached(summary, policy, policy.presentation))
    return None if reached is None else reached[0]


def _first_conversation(summary: LeadSummary, presented: Reached | None) -> Reached | None:
    first: tuple[int, str, str] | None = None
    for leg in summary.legs:
        if leg.flags & FLAG_CONVERSATION and (first is None or end_order(leg) < first):
            first = end_order(leg)
    if first is None or (presented is not None and presented[0] < first[0]):
        return presented
    return first[0], "call", first[1]


def _reached(summary: LeadSummary, policy: LeadPolicy, rank: int) -> Reached | None:
    """Return the moment at which the lead reached a rank of the funnel, by a note or by a deal."""
    ranks = policy.ranks
    reached = _reached_by_deals(summary, rank)
    for leg, note in summary.noted:
        if note.stages and max([ranks.get(stage, -1) for stage in note.stages]) >= rank:
            if reached is None or leg.at < reached[0]:
                reached = leg.at, "call", leg.call
            break  # the pairs are in order
    return reached


def _reached_by_deals(summary: LeadSummary, rank: int) -> Reached | None:
    reached: Reached | None = None
    for deal in summary.deals.values():
        if len(deal.reached) > rank and (reached is None or deal.reached[rank] < reached[0]):
            reached = deal.reached[rank], "deal", deal.id
    return reached


def legs(summary: LeadSummary, policy: LeadPolicy) -> list[Entry]:
    """Return the legs: `answered:K`, `talks`, `off_hours`."""
    entries: list[Entry] = []
    noted = {id(leg): note for leg, note in summary.noted}
    for leg in summary.legs:
        entries.extend(one_leg(leg, kind_of(leg, noted.get(id(leg))), policy))
    return entries


def one_leg(leg: LeadLeg, kind: int, policy: LeadPolicy) -> list[Entry]:
    """Return the contributions of one leg of a kind."""
    entries: list[Entry] = []
    flags = leg.flags
    if flags & FLAG_ANSWERED:
        entries.append((leg.manager, measures.ANSWERED_BY_KIND[kind], leg.day, 1, "call", leg.call))
    if flags & FLAG_CONVERSATION:
        entries.append((leg.manager, measures.CONVERSATIONS, leg.day, 1, "call", leg.call))
    if flags & FLAG_OUTBOUND and policy.is_off_hours(leg.manager, leg.started_at):
        entries.append((leg.manager, measures.OFF_HOURS, leg.day, 1, "call", leg.call))
    return entries


def notes(summary: LeadSummary, policy: LeadPolicy, only: str | None = None) -> Iterator[Entry]:  # noqa: ARG001 - the signature of all components
    """Yield the notes, of all calls or `only` of one: `presented:K`, `proposed…`, `agreed`, `moves`, `reason:R@S`."""
    named: set[str] = set()
    for leg, note in summary.noted:
        manager, day, call, stages = leg.manager, leg.day, leg.call, note.stages
        before = len(named)
        if stages:
            named.update(stages)
        if only is not None and call != only:
            continue
        if stages and leg.flags & FLAG_ANSWERED:
            if PRESENTATION in stages:
                yield manager, measures.PRESENTED_BY_KIND[kind_of(leg, note)], day, 1, "call", call
            if PROPOSAL in stages:
                yield from _proposed(summary, leg)
        if note.agreed and leg.flags & FLAG_CONVERSATION:
            yield manager, measures.NEXT_STEPS_AGREED, day, 1, "call", call
        if len(named) > before:
            yield manager, measures.STAGE_MOVES, day, len(named) - before, "call", call
        if note.reason:
            yield manager, measures.reason_in_stage(note.reason, summary.stage_at(leg.at)), day, 1, "call", call


def _proposed(summary: LeadSummary, leg: LeadLeg) -> Iterator[Entry]:
    manager, day, call = leg.manager, leg.day, leg.call
    deal = summary.lead_deal
    yield manager, measures.PROPOSED, day, 1, "call", call
    yield (
        manager,
        measures.by_dimension(measures.PROPOSED, "product", NONE if deal is None else deal.product),
        day,
        1,
        "call",
        call,
    )
    yield (
        manager,
        measures.by_dimension(measures.PROPOSED, "client_type", NONE if deal is None else deal.client_type),
        day,
        1,
        "call",
        call,
    )
    yield (
        manager,
        measures.by_dimension(measures.PROPOSED, "channel", NONE if deal is None else deal.channel),
        day,
        1,
        "call",
        call,
    )
    yield manager, _PROPOSED_BY_FIRST_KIND[summary.first_kind], day, 1, "call", call


def promises(summary: LeadSummary, policy: LeadPolicy, only: str | None = None) -> Iterator[Entry]:
    """Yield the agreed next steps, of all calls or `only` of one, on the day they are due: `due`, `kept`."""
    for leg, note in summary.noted:
        if is_promise(leg, note) and (only is None or leg.call == only):
            local = policy.local(leg.manager)
            day = local.day(note.due_at)
            yield leg.manager, measures.NEXT_STEPS_DUE, day, 1, "call", leg.call
            if summary.is_kept(leg, local.day_bounds(day)[1]):
                yield leg.manager, measures.NEXT_STEPS_KEPT, day, 1, "call", leg.call


def is_promise(leg: LeadLeg, note: Note) -> bool:
    """Return whether a next step was agreed in the leg, with a plausible due time."""
    return bool(note.due_at) and leg.at <= note.due_at <= leg.at + FARTHEST_DUE_MS


def deals(summary: LeadSummary, policy: LeadPolicy) -> Iterator[Entry]:
    """Yield the won and lost deals on the day they were closed: `won…`, `amount…`, `win_…`, `lost`."""
    for deal in summary.deals.values():
        if deal.is_closed:
            manager = deal.manager or summary.owner
            if manager:
                yield from _closed(summary, policy, deal, manager)


def _closed(summary: LeadSummary, policy: LeadPolicy, deal: DealState, manager: str) -> Iterator[Entry]:
    day = policy.day(manager, deal.since)
    if deal.stage == LOST:
        yield manager, measures.LOST, day, 1, "deal", deal.id
        return
    yield manager, measures.WON, day, 1, "deal", deal.id
    yield manager, measures.by_dimension(measures.WON, "product", deal.product), day, 1, "deal", deal.id
    yield manager, measures.by_dimension(measures.WON, "client_type", deal.client_type), day, 1, "deal", deal.id
    yield manager, measures.by_dimension(measures.WON, "channel", deal.channel), day, 1, "deal", deal.id
    first_kind = _WON_WITHOUT_CALL if summary.first is None else _WON_BY_FIRST_KIND[summary.first_kind]
    yield manager, first_kind, day, 1, "deal", deal.id
    amount, currency = deal.amount, deal.currency
    if amount is not None and currency in policy.currencies and abs(amount) <= MAX_THOUSANDTHS:
        yield manager, measures.labelled(measures.AMOUNT, currency), day, amount, "deal", deal.id
        yield manager, measures.labelled(measures.AMOUNTS, currency), day, 1, "deal", deal.id
        yield manager, measures.amount_by_channel(deal.channel, currency), day, amount, "deal", deal.id
    legs = summary.legs
    if legs:
        yield (
            manager,
            measures.WIN_CALLS,
            day,
            sum([1 for leg in legs if leg.started_at <= deal.since]),
            "deal",
            deal.id,
        )
        yield manager, measures.WIN_LEADS, day, 1, "deal", deal.id
        talk_ms = next((leg.talk_ms for leg in legs if leg.flags & FLAG_ANSWERED and leg.talk_ms >= 0), None)
        if talk_ms is not None:
            yield manager, measures.WIN_TALK_MS, day, talk_ms, "deal", deal.id
            yield manager, measures.WIN_TALKED, day, 1, "deal", deal.id


def activities(summary: LeadSummary, policy: LeadPolicy) -> Iterator[Entry]:
    """Yield the lead's activities other than calls: `touch:CHANNEL`."""
    for activity in summary.state.activities:
        manager = activity.manager or summary.owner
        if manager:
            day = policy.day(manager, activity.at)
            yield manager, measures.labelled(measures.TOUCH, activity.channel), day, 1, "activity", activity.id


CURRENT: Final[tuple[Component, ...]] = (days, streaks, stages, given, reach)
"""The components that describe the present state of the lead and its progress.

The others are history: when retention drops a record, its contributions stay counted.
"""
ALL: Final[tuple[Component, ...]] = (*CURRENT, legs, notes, promises, deals, activities)


def contributions(summary: LeadSummary, policy: LeadPolicy) -> Iterator[Contribution]:
    """Yield all contributions of a lead, with their evidence."""
    for component in ALL:
        for entry in component(summary, policy):
            if entry[3]:
                yield Contribution(*entry)


def totals(summary: LeadSummary, policy: LeadPolicy) -> Totals:
    """Return the sums of the contributions by manager, measure and day, without zeros."""
    counts: Counter[tuple[str, str, int]] = Counter()
    for component in ALL:
        for manager, measure, day, n, _, _ in component(summary, policy):
            counts[manager, measure, day] += n
    return {key: n for key, n in counts.items() if n}

"""What a lead means for managers: claims, a pure function of what is known of it.

A claim gives a manager `n` of a measure at a local day, and names the evidence. Outcome rows add them up; a change of
the lead is told as the difference between the claims after it and those before. All measures, by whom they credit:

    the lead's owner     calls:K sum over streak:K mentor stuck stage:S since:S given:K reach:STEP
    the leg's manager    answered:K presented:K proposed proposed@D=V moves talks agreed reason:R@S off_hours due kept
    the deal's manager   won won@D=V amount:CUR amounts:CUR amount@channel=H:CUR win_calls win_leads win_talk win_talked
                         lost
    the activity's       touch:CHANNEL

Sums over days from a cut-off on answer for any window. Claims at the day of the lead's newest leg (streak, mentor,
stuck, stage, since) so tell of the leads that were called inside the window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from streams.contract.facts import Attention
from streams.settings.results import LOST, NONE, PRESENTATION, PROPOSAL, WON
from streams.tables.lead.merge import counts_by_day
from streams.tables.lead.records import ANSWERED, CONVERSATION, KINDS, OUTBOUND, Leg, Note, ended, newest_day
from streams.tables.lead.state import CALLS, DIALS
from streams.tables.lead.summary import FARTHEST_DUE_MS, MAX_THOUSANDTHS, Rules, Standing, Story, kind_of

MANY: Final = 5
BUCKETS: Final = ("1", "2", "3", "4", "5+")
MEASURES_BOUNDED: Final = ("due", "kept")
"""The measures that are at a day to come: a window ends with today for them."""

Evidence: TypeAlias = Literal["lead", "call", "deal", "activity"]


class Claim(NamedTuple):
    """A manager is given `n` of `measure` at a local day, because of the call, deal or activity `id`, or the lead."""

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


Raw: TypeAlias = tuple[str, str, int, int, Evidence, str]
"""A claim as a plain tuple: a fold makes hundreds of thousands of them a second."""
Component: TypeAlias = Callable[[Story, Rules], Iterable[Raw]]
Contribution: TypeAlias = dict[tuple[str, str, int], int]
"""(manager, measure, day) → n."""

_ANSWERED: Final = tuple("answered:" + kind for kind in KINDS)
_PRESENTED: Final = tuple("presented:" + kind for kind in KINDS)
_GIVEN: Final = tuple("given:" + kind for kind in KINDS)
_PROPOSED_FIRST: Final = tuple("proposed@first_kind=" + kind for kind in KINDS)
_WON_FIRST: Final = tuple("won@first_kind=" + kind for kind in KINDS)
REACH_CALL: Final = "reach:call"
STREAKS: Final = ("", *("streak:" + bucket for bucket in BUCKETS))
CALLED: Final = tuple("calls:" + bucket for bucket in BUCKETS)


def days(story: Story, rules: Rules) -> Iterator[Raw]:
    """Yield how often the lead was called: `calls:K`, `sum`, `over`, for the 31 days before the newest leg's.

    `calls:K` are steps (`windows.Steps`): the sum of the entries at days >= cutoff is 1 where the lead has K calls in
    the days from `cutoff` on, else 0. `sum` is the calls of the day, `over` is 1 on days on which the lead was dialled
    too often.

        day        10    12    15                 cutoff   calls from it on
        calls       1     2     1                 <= 10    4
        calls:1                +1                 11-12    3
        calls:3          +1    -1                 13-15    1
        calls:4    +1    -1                       > 15     0
    """
    owner = story.owner
    counts = counts_by_day(story.state)
    later = 0
    for day in sorted(counts, reverse=True):
        packed = counts[day]
        called = packed & CALLS
        yield owner, "sum", day, called, "lead", ""
        if later < MANY:
            now = min(later + called, MANY)
            if now > later:
                yield owner, CALLED[now - 1], day, 1, "lead", ""
                if later:
                    yield owner, CALLED[later - 1], day, -1, "lead", ""
            later = now
        if packed >> DIALS > rules.calls_per_day:
            yield owner, "over", day, 1, "lead", ""


def streaks(story: Story, rules: Rules) -> Iterator[Raw]:
    """Yield, at its newest leg's day, an open lead's conversations without progress: `streak:K`, `mentor`, `stuck`."""
    legs = story.legs
    if not legs or not story.is_open:
        return
    without = story.conversations_since(story.progress_at)
    if without:
        owner = story.owner
        day = newest_day(legs)
        yield owner, STREAKS[min(without, MANY)], day, 1, "lead", ""
        if without >= rules.stuck_after:
            yield owner, "stuck", day, 1, "lead", ""
        if without >= rules.mentor_after and is_due(story, rules):
            yield owner, "mentor", day, 1, "lead", ""


def stages(story: Story, rules: Rules) -> Iterator[Raw]:
    """Yield, at its newest leg's day, the stage of an open lead, and the day since when: `stage:S`, `since:S`."""
    legs = story.legs
    if not legs or not story.is_open:
        return
    owner = story.owner
    day = newest_day(legs)
    deal = story.lead_deal
    if deal is None:
        yield owner, "stage:none", day, 1, "lead", ""
        yield owner, "since:none", day, legs[0].day, "lead", ""
    else:
        yield owner, "stage:" + deal.stage, day, 1, "deal", deal.id
        yield owner, "since:" + deal.stage, day, rules.day(owner, deal.since), "deal", deal.id


def is_due(story: Story, rules: Rules) -> bool:
    """Tell whether a consultation is due on an open lead."""
    since = max(story.progress_at, story.state.consulted_at)
    return story.conversations_since(since) >= rules.mentor_after


def attention(story: Story, rules: Rules) -> Attention | None:
    """Return how the lead is listed for its owner among those that need help; None where it needs none."""
    if not story.is_open:
        return None
    without = story.conversations_since(story.progress_at)
    stuck = without >= rules.stuck_after
    if not stuck and not (without >= rules.mentor_after and is_due(story, rules)):
        return None
    legs = story.legs
    return Attention(
        attempts=sum([1 for leg in legs if leg.flags & OUTBOUND]),
        without_progress=without,
        stage=story.stage,
        stage_since=story.stage_since,
        why="stuck" if stuck else "consultation",
        day=newest_day(legs),
        reason=next((note.reason for _, note in reversed(story.noted) if note.reason), None),
    )


def given(story: Story, rules: Rules) -> Iterator[Raw]:  # noqa: ARG001 - as all components
    """Yield when and as what the lead was given: `given:K`."""
    first = story.first
    if first is not None:
        yield story.owner, _GIVEN[story.first_kind], first.day, 1, "call", first.call


def reach(story: Story, rules: Rules) -> Iterator[Raw]:
    """Yield how far the lead came, and when: `reach:STEP`."""
    owner = story.owner
    if not owner:
        return
    presented = _reached(story, rules, rules.presentation)
    call = _talked(story, presented)
    moments = (
        (REACH_CALL, call),
        ("reach:presentation", presented),
        ("reach:proposal", None if presented is None else _reached(story, rules, rules.proposal)),
        ("reach:won", _reached_deals(story, rules.won)),
    )
    for measure, moment in moments:
        if moment is not None:
            yield owner, measure, rules.day(owner, moment[0]), 1, moment[1], moment[2]


def talked_at(story: Story, rules: Rules) -> int | None:
    """Return when the lead was first talked to: the first conversation, or a presentation that was before it."""
    moment = _talked(story, _reached(story, rules, rules.presentation))
    return None if moment is None else moment[0]


def _talked(story: Story, presented: tuple[int, Evidence, str] | None) -> tuple[int, Evidence, str] | None:
    talked: tuple[int, str, str] | None = None
    for leg in story.legs:
        if leg.flags & CONVERSATION and (talked is None or ended(leg) < talked):
            talked = ended(leg)
    if talked is None or (presented is not None and presented[0] < talked[0]):
        return presented
    return talked[0], "call", talked[1]


def _reached(story: Story, rules: Rules, rank: int) -> tuple[int, Evidence, str] | None:
    """Return when the lead came to a rank, in a leg or by a deal, and what shows it."""
    ranks = rules.ranks
    moment = _reached_deals(story, rank)
    for leg, note in story.noted:
        if note.stages and max([ranks.get(stage, -1) for stage in note.stages]) >= rank:
            if moment is None or leg.at < moment[0]:
                moment = leg.at, "call", leg.call
            break  # they are in order
    return moment


def _reached_deals(story: Story, rank: int) -> tuple[int, Evidence, str] | None:
    moment: tuple[int, Evidence, str] | None = None
    for deal in story.deals.values():
        if len(deal.reached) > rank and (moment is None or deal.reached[rank] < moment[0]):
            moment = deal.reached[rank], "deal", deal.id
    return moment


def legs(story: Story, rules: Rules) -> Iterator[Raw]:
    """Yield what the legs were: `answered:K`, `talks`, `off_hours`."""
    noted = {id(leg): note for leg, note in story.noted}
    for leg in story.legs:
        yield from one_leg(leg, kind_of(leg, noted.get(id(leg))), rules)


def one_leg(leg: Leg, kind: int, rules: Rules) -> Iterator[Raw]:
    """Yield what a leg of a kind was."""
    flags = leg.flags
    if flags & ANSWERED:
        yield leg.manager, _ANSWERED[kind], leg.day, 1, "call", leg.call
    if flags & CONVERSATION:
        yield leg.manager, "talks", leg.day, 1, "call", leg.call
    if flags & OUTBOUND and rules.is_off_hours(leg.manager, leg.started_at):
        yield leg.manager, "off_hours", leg.day, 1, "call", leg.call


def said(story: Story, rules: Rules, only: str | None = None) -> Iterator[Raw]:  # noqa: ARG001 - as all components
    """Yield what was said in legs: `presented:K`, `proposed…`, `agreed`, `moves`, `reason:R@S`; `only` in one call."""
    named: set[str] = set()
    for leg, note in story.noted:
        manager, day, call, stages = leg.manager, leg.day, leg.call, note.stages
        before = len(named)
        if stages:
            named.update(stages)
        if only is not None and call != only:
            continue
        if stages and leg.flags & ANSWERED:
            if PRESENTATION in stages:
                yield manager, _PRESENTED[kind_of(leg, note)], day, 1, "call", call
            if PROPOSAL in stages:
                yield from _proposed(story, leg)
        if note.agreed and leg.flags & CONVERSATION:
            yield manager, "agreed", day, 1, "call", call
        if len(named) > before:
            yield manager, "moves", day, len(named) - before, "call", call
        if note.reason:
            yield manager, f"reason:{note.reason}@{story.stage_at(leg.at)}", day, 1, "call", call


def _proposed(story: Story, leg: Leg) -> Iterator[Raw]:
    manager, day, call = leg.manager, leg.day, leg.call
    deal = story.lead_deal
    yield manager, "proposed", day, 1, "call", call
    yield manager, "proposed@product=" + (NONE if deal is None else deal.product), day, 1, "call", call
    yield manager, "proposed@client_type=" + (NONE if deal is None else deal.client_type), day, 1, "call", call
    yield manager, "proposed@channel=" + (NONE if deal is None else deal.channel), day, 1, "call", call
    yield manager, _PROPOSED_FIRST[story.first_kind], day, 1, "call", call


def promises(story: Story, rules: Rules, only: str | None = None) -> Iterator[Raw]:
    """Yield the next steps that were agreed, at the day they are `due`, and which were `kept`; `only` of one call."""
    for leg, note in story.noted:
        if is_promise(leg, note) and (only is None or leg.call == only):
            local = rules.local(leg.manager)
            day = local.day(note.due_at)
            yield leg.manager, "due", day, 1, "call", leg.call
            if story.is_kept(leg, local.day_bounds(day)[1]):
                yield leg.manager, "kept", day, 1, "call", leg.call


def is_promise(leg: Leg, note: Note) -> bool:
    """Tell whether a next step was agreed in the leg that is due at a moment which can be meant."""
    return bool(note.due_at) and leg.at <= note.due_at <= leg.at + FARTHEST_DUE_MS


def deals(story: Story, rules: Rules) -> Iterator[Raw]:
    """Yield what was won and lost, at the day it was: `won…`, `amount…`, `win_…`, `lost`."""
    for deal in story.deals.values():
        if deal.is_closed:
            manager = deal.manager or story.owner
            if manager:
                yield from _closed(story, rules, deal, manager)


def _closed(story: Story, rules: Rules, deal: Standing, manager: str) -> Iterator[Raw]:
    day = rules.day(manager, deal.since)
    if deal.stage == LOST:
        yield manager, LOST, day, 1, "deal", deal.id
        return
    yield manager, WON, day, 1, "deal", deal.id
    yield manager, "won@product=" + deal.product, day, 1, "deal", deal.id
    yield manager, "won@client_type=" + deal.client_type, day, 1, "deal", deal.id
    yield manager, "won@channel=" + deal.channel, day, 1, "deal", deal.id
    first_kind = "won@first_kind=none" if story.first is None else _WON_FIRST[story.first_kind]
    yield manager, first_kind, day, 1, "deal", deal.id
    amount, currency = deal.amount, deal.currency
    if amount is not None and currency in rules.currencies and abs(amount) <= MAX_THOUSANDTHS:
        yield manager, f"amount:{currency}", day, amount, "deal", deal.id
        yield manager, f"amounts:{currency}", day, 1, "deal", deal.id
        yield manager, f"amount@channel={deal.channel}:{currency}", day, amount, "deal", deal.id
    legs = story.legs
    if legs:
        yield manager, "win_calls", day, sum([1 for leg in legs if leg.started_at <= deal.since]), "deal", deal.id
        yield manager, "win_leads", day, 1, "deal", deal.id
        talk_ms = next((leg.talk_ms for leg in legs if leg.flags & ANSWERED and leg.talk_ms >= 0), None)
        if talk_ms is not None:
            yield manager, "win_talk", day, talk_ms, "deal", deal.id
            yield manager, "win_talked", day, 1, "deal", deal.id


def touches(story: Story, rules: Rules) -> Iterator[Raw]:
    """Yield the lead's activities other than calls: `touch:CHANNEL`."""
    for activity in story.state.activities:
        manager = activity.manager or story.owner
        if manager:
            day = rules.day(manager, activity.at)
            yield manager, "touch:" + activity.channel, day, 1, "activity", activity.id


NOW: Final[tuple[Component, ...]] = (streaks, stages, given, reach)
"""How the lead stands and how far it came; all but these, and the days of calls, is history that stays as it is."""
EVERYTHING: Final[tuple[Component, ...]] = (days, *NOW, legs, said, promises, deals, touches)


def claims(story: Story, rules: Rules) -> Iterator[Claim]:
    """Yield all that the lead means, with the evidence."""
    for component in EVERYTHING:
        for claim in component(story, rules):
            if claim[3]:
                yield Claim(*claim)


def contribution(story: Story, rules: Rules) -> Contribution:
    """Return what the lead means in all, by manager, measure and day; nothing that comes to 0."""
    counts: Counter[tuple[str, str, int]] = Counter()
    for component in EVERYTHING:
        for manager, measure, day, n, _, _ in component(story, rules):
            counts[manager, measure, day] += n
    return {key: n for key, n in counts.items() if n}

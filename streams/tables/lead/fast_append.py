"""The fast path for the most frequent fact: a further leg of a lead that changes neither its first leg nor its owner.

Invariant: `append` returns the deltas that `deltas.Difference` over all components would return, and changes the state
in the same way. Tests compare both at every fact (`tests/streams/lead_cases.py`).

It may be taken for a leg that is new, has no note, started after the lead's first leg, and either belongs to the
lead's owner or did not start last (`is_append`). Such a leg can change only: the calls of its day and of earlier days,
the streak and the stage of an open lead, the first conversation, the next steps that it keeps, and its own
contributions. `append` computes each of these from one pass over the legs.

It falls back: `append` returns None if the leg may be one of those by which a deal was won, and the caller then takes
the general path. Days beyond the bounds are computed by `contributions.days` before and after.

Gain, measured in November 2026 on a machine of 2 cores, with 20,000 legs of 3,000 leads in memory: compiled 84,000 legs
per second with this path and 34,000 without it (2.5 times), interpreted 29,000 and 16,000 (1.8 times).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from mypy_extensions import mypyc_attr

from streams.settings.results import NONE, WON
from streams.tables import measures
from streams.tables.lead import contributions
from streams.tables.lead.contributions import Entry
from streams.tables.lead.deltas import ChangeList, ManagerDelta, deltas_of
from streams.tables.lead.policy import LeadPolicy
from streams.tables.lead.records import (
    FLAG_ANSWERED,
    FLAG_CONVERSATION,
    FLAG_OUTBOUND,
    KIND_MASK,
    LeadLeg,
    start_order,
)
from streams.tables.lead.state import CALL_DAYS_KEPT
from streams.tables.lead.summary import LeadSummary, reaches

_MANY: Final = measures.MOST
_STREAKS: Final = ("", *measures.STREAK_BY_NUMBER)
"""The measure of a number of conversations without progress; none for 0."""


def is_append(summary: LeadSummary, leg: LeadLeg) -> bool:
    """Return whether a new leg without a note changes neither the first leg of the lead nor its owner."""
    legs = summary.legs
    if not legs:
        return False
    key = start_order(leg)
    return key > start_order(legs[0]) and (leg.manager == summary.owner or key < start_order(legs[-1]))


def append(lead: str, summary: LeadSummary, policy: LeadPolicy, leg: LeadLeg) -> tuple[ManagerDelta, ...] | None:
    """Add a leg for which `is_append` holds, and return the deltas. Return None, and change nothing, to fall back."""
    if summary.deals and _may_count_for_won(summary, leg):
        return None
    earlier_legs = _EarlierLegs(summary, leg)
    owner = summary.owner
    changes: ChangeList = []
    by_manager = {owner: changes}
    must_recount = earlier_legs.exceeds_days_kept or summary.state.forgotten
    days = contributions.days(summary, policy) if must_recount else None
    if days is None:
        _add_days(changes, policy, leg, earlier_legs, is_open=summary.counts_as_open)
    if summary.is_open:
        _add_streak_and_stage(changes, summary, policy, leg, earlier_legs)
    conversation_at = earlier_legs.first_conversation_at
    if leg.flags & FLAG_CONVERSATION and (conversation_at == 0 or leg.at < conversation_at):
        _add_first_conversation(changes, summary, policy, leg)
    if summary.noted and leg.flags & (FLAG_OUTBOUND | FLAG_ANSWERED):
        _add_kept(by_manager, summary, policy, leg)
    for manager, measure, day, n, _, _ in contributions.one_leg(leg, leg.flags & KIND_MASK, policy):
        by_manager.setdefault(manager, []).append((measure, day, n))
    may_be_listed = summary.is_open and earlier_legs.without_progress + 1 >= policy.least_listed
    was = contributions.attention(summary, policy) if may_be_listed else None
    _insert(summary.legs, leg)
    now = contributions.attention(summary, policy) if may_be_listed else None
    if days is not None:
        _add_difference(changes, days, contributions.days(summary, policy))
    if not changes:
        del by_manager[owner]
    summary.update_legs()
    return deltas_of(by_manager, lead, (owner, was), (owner, now))


def _insert(legs: list[LeadLeg], leg: LeadLeg) -> None:
    """Insert a leg that is not the first in the order of starts. It mostly belongs at the end."""
    index = len(legs)
    key = start_order(leg)
    while start_order(legs[index - 1]) > key:
        index -= 1
    legs.insert(index, leg)


@final
@mypyc_attr(acyclic=True)
class _EarlierLegs:
    """Counts over the legs that a lead had before `leg`, made in one pass.

    `calls_later`, `calls_same_day` and `dials_same_day` count the legs on days after that of `leg`, and on its day.
    `earlier_days` are the days of the legs before it, newest first. `without_progress` and `since_consultation` count
    conversations since the last progress and since the consultation. `first_conversation_at` is the end of the first
    conversation, 0 if there was none.
    """

    __slots__ = (
        "_day",
        "calls_later",
        "calls_same_day",
        "dials_same_day",
        "earlier_days",
        "first_conversation_at",
        "newest_day",
        "oldest_day",
        "since_consultation",
        "without_progress",
    )

    def __init__(self, summary: LeadSummary, leg: LeadLeg) -> None:
        self._day = day = leg.day
        progress_at = summary.progress_at
        consulted_at = max(progress_at, summary.state.consulted_at)
        later = same = dials = without = since = conversation_at = newest = 0
        oldest = day
        earlier: list[int] = []
        for other in summary.legs:
            other_day = other.day
            if other_day < day:
                earlier.append(other_day)
                oldest = min(other_day, oldest)
            elif other_day == day:
                same += 1
                if other.flags & FLAG_OUTBOUND:
                    dials += 1
            else:
                later += 1
            newest = max(newest, other_day)
            if other.flags & FLAG_CONVERSATION:
                at = other.at
                if at > progress_at:
                    without += 1
                    if at > consulted_at:
                        since += 1
                if not conversation_at or at < conversation_at:
                    conversation_at = at
        earlier.sort(reverse=True)
        self.calls_later, self.calls_same_day, self.dials_same_day, self.earlier_days = later, same, dials, earlier
        self.newest_day, self.oldest_day = newest, oldest
        self.without_progress, self.since_consultation = without, since
        self.first_conversation_at = conversation_at

    @property
    def exceeds_days_kept(self) -> bool:
        """True if a leg is, or now becomes, older than the days on which calls are counted."""
        return max(self.newest_day, self._day) - CALL_DAYS_KEPT > self.oldest_day


def _may_count_for_won(summary: LeadSummary, leg: LeadLeg) -> bool:
    """Return whether the leg may be one of those by which a deal was won."""
    return any(
        deal.stage == WON and (leg.flags & FLAG_ANSWERED or leg.started_at <= deal.since)
        for deal in summary.deals.values()
    )


def _add_difference(changes: ChangeList, before: Iterable[Entry], after: Iterable[Entry]) -> None:
    counts: dict[tuple[str, int], int] = {}
    for _, measure, day, n, _, _ in before:
        counts[measure, day] = counts.get((measure, day), 0) - n
    for _, measure, day, n, _, _ in after:
        counts[measure, day] = counts.get((measure, day), 0) + n
    changes += [(measure, day, n) for (measure, day), n in counts.items() if n]


def _add_days(
    changes: ChangeList, policy: LeadPolicy, leg: LeadLeg, earlier_legs: _EarlierLegs, *, is_open: bool
) -> None:
    """Add the change of `contributions.days`."""
    day = leg.day
    if leg.flags & FLAG_OUTBOUND and earlier_legs.dials_same_day == policy.calls_per_day:
        changes.append((measures.OVER_DIALLED, day, 1))
    if not is_open:
        return
    changes.append((measures.CALLS_OF_DAY, day, 1))
    later, same = earlier_legs.calls_later, earlier_legs.calls_same_day
    if later + same >= _MANY:
        return  # on this day and before it, the bucket is 5+ already
    calls = later + same
    changes += [(measure, day, n) for measure, n in _BY_CALL_ON_DAY[later, calls]]
    earlier_days = earlier_legs.earlier_days
    index, end = 0, len(earlier_days)
    while index < end and calls < _MANY:
        day, calls_later = earlier_days[index], calls
        while index < end and earlier_days[index] == day:
            index += 1
            calls += 1
        calls = min(calls, _MANY)
        changes += [(measure, day, n) for measure, n in _BY_CALL_LATER[calls_later, calls]]


def _by_measure(numbers: Iterable[tuple[int, int]]) -> tuple[tuple[str, int], ...]:
    counts = [0] * (_MANY + 1)
    for number, n in numbers:
        counts[number] += n
    return tuple((measures.CALLS_BY_NUMBER[number - 1], n) for number, n in enumerate(counts) if number and n)


def _steps(later: int, now: int, sign: int) -> tuple[tuple[int, int], ...]:
    """Return the steps of a day on which the number of calls rises from `later` to `now`."""
    return ((now, sign), (later, -sign)) if now != later else ()


_PAIRS: Final = tuple((later, calls) for calls in range(_MANY + 1) for later in range(calls + 1))
_BY_CALL_ON_DAY: Final = {
    (later, calls): _by_measure([*_steps(later, calls, -1), *_steps(later, min(calls + 1, _MANY), 1)])
    for later, calls in _PAIRS
}
"""The change of a day's steps by one more call on that day, by (calls on later days, calls on the day or later)."""
_BY_CALL_LATER: Final = {
    (later, calls): _by_measure([*_steps(later, calls, -1), *_steps(min(later + 1, _MANY), min(calls + 1, _MANY), 1)])
    for later, calls in _PAIRS
}
"""The change of a day's steps by one more call on a later day."""


def _add_streak_and_stage(
    changes: ChangeList, summary: LeadSummary, policy: LeadPolicy, leg: LeadLeg, earlier_legs: _EarlierLegs
) -> None:
    """Add the change of `contributions.streaks` and `contributions.stages` of an open lead."""
    was = now = earlier_legs.without_progress
    was_since = now_since = earlier_legs.since_consultation
    if leg.flags & FLAG_CONVERSATION and leg.at > summary.progress_at:
        now += 1
        if leg.at > summary.state.consulted_at:
            now_since += 1
    was_day, day = earlier_legs.newest_day, leg.day
    if day > was_day:
        if summary.lead_deal is None:
            stage, since_day = NONE, summary.legs[0].day
        else:
            stage, since_day = summary.lead_deal.stage, policy.day(summary.owner, summary.lead_deal.since)
        stage_measure = measures.labelled(measures.STAGE, stage)
        since_measure = measures.labelled(measures.STAGE_SINCE, stage)
        changes.append((stage_measure, was_day, -1))
        changes.append((since_measure, was_day, -since_day))
        changes.append((stage_measure, day, 1))
        changes.append((since_measure, day, since_day))
    elif now == was:
        return
    else:
        day = was_day
    for measure, was_due, is_due in (
        (measures.STUCK, was >= policy.stuck_after, now >= policy.stuck_after),
        (measures.CONSULTATION_DUE, was_since >= policy.mentor_after, now_since >= policy.mentor_after),
    ):
        _add_move(changes, measure if was_due else "", was_day, measure if is_due else "", day)
    _add_move(changes, _STREAKS[min(was, _MANY)], was_day, _STREAKS[min(now, _MANY)], day)


def _add_move(changes: ChangeList, was: str, was_day: int, now: str, day: int) -> None:
    """Add the move of one contribution to another measure or day; "" is no measure."""
    if was != now or was_day != day:
        if was:
            changes.append((was, was_day, -1))
        if now:
            changes.append((now, day, 1))


def _add_first_conversation(changes: ChangeList, summary: LeadSummary, policy: LeadPolicy, leg: LeadLeg) -> None:
    """Add the change of `reach:call` by a conversation before all others."""
    was = contributions.first_conversation_at(summary, policy)
    if was is None or leg.at < was:
        day = policy.day(summary.owner, leg.at)
        was_day = day if was is None else policy.day(summary.owner, was)
        if was is None or was_day != day:
            measure = measures.REACH_CALL
            _add_move(changes, "" if was is None else measure, was_day, measure, day)


def _add_kept(by_manager: dict[str, ChangeList], summary: LeadSummary, policy: LeadPolicy, leg: LeadLeg) -> None:
    """Add the next steps that the leg keeps."""
    for other, note in summary.noted:
        if leg.started_at > other.at and contributions.is_promise(other, note):
            local = policy.local(other.manager)
            day = local.day(note.due_at)
            end_ms = local.day_bounds(day)[1]
            if reaches(leg, other.at, end_ms) and not summary.is_kept(other, end_ms):
                by_manager.setdefault(other.manager, []).append((measures.NEXT_STEPS_KEPT, day, 1))

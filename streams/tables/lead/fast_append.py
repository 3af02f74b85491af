"""A leg on top of others, which is what most facts are: what is told of it, written out.

A leg that leaves alone which leg is the first, whose the lead is and what was noted can change but little: the calls of
its day and of those before it, the conversations without progress, a promise that it keeps. Each is told as it changes,
without all claims before and after; tests hold that against them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from mypy_extensions import mypyc_attr

from streams.settings.results import NONE, WON
from streams.tables.lead import contributions as of
from streams.tables.lead.contributions import Raw
from streams.tables.lead.deltas import Steps, Told, told
from streams.tables.lead.records import ANSWERED, CONVERSATION, KIND, OUTBOUND, Leg, begun
from streams.tables.lead.state import DAYS_KEPT
from streams.tables.lead.summary import Rules, Story, reaches

_MANY: Final = of.MANY


def is_on_top(story: Story, leg: Leg) -> bool:
    """Tell whether a leg that is new, and was not noted, leaves alone which leg is the first and whose the lead is."""
    legs = story.legs
    if not legs:
        return False
    key = begun(leg)
    return key > begun(legs[0]) and (leg.manager == story.owner or key < begun(legs[-1]))


def add_on_top(lead: str, story: Story, rules: Rules, leg: Leg) -> tuple[Told, ...] | None:
    """Add a leg that `is_on_top`; return None, and do nothing, for one that may touch more than is looked at here."""
    if story.deals and _touches_won(story, leg):
        return None
    seen = _Seen(story, leg)
    owner = story.owner
    steps: Steps = []
    by_manager = {owner: steps}
    days = tuple(of.days(story, rules)) if seen.is_old_news or story.state.forgotten else None
    if days is None:
        _tell_days(steps, rules, leg, seen)
    if story.is_open:
        _tell_standing(steps, story, rules, leg, seen)
    if leg.flags & CONVERSATION and (seen.talked == 0 or leg.at < seen.talked):
        _tell_first_talk(steps, story, rules, leg)
    if story.noted and leg.flags & (OUTBOUND | ANSWERED):
        _tell_kept(by_manager, story, rules, leg)
    for manager, measure, day, n, _, _ in of.one_leg(leg, leg.flags & KIND, rules):
        by_manager.setdefault(manager, []).append((measure, day, n))
    may_be_listed = story.is_open and seen.without + 1 >= rules.least_listed
    was = of.attention(story, rules) if may_be_listed else None
    _insert(story.legs, leg)
    now = of.attention(story, rules) if may_be_listed else None
    if days is not None:
        _tell_difference(steps, days, of.days(story, rules))
    if not steps:
        del by_manager[owner]
    return told(by_manager, lead, (owner, was), (owner, now))


def _insert(legs: list[Leg], leg: Leg) -> None:
    """Insert a leg that is not the first where it belongs, most often at the end."""
    place = len(legs)
    key = begun(leg)
    while begun(legs[place - 1]) > key:
        place -= 1
    legs.insert(place, leg)


@final
@mypyc_attr(acyclic=True)
class _Seen:
    """What the legs are that were there before `leg`, seen in one look.

    `later`, `same` and `earlier` are the calls on days after, on, and before its own (these by day); `dials` those of
    the same day. `without` and `since_help` are the conversations since the last progress, and since the consultation;
    `talked` is the end of the first conversation, 0 without any.
    """

    __slots__ = ("_day", "dials", "earlier", "later", "newest", "oldest", "same", "since_help", "talked", "without")

    def __init__(self, story: Story, leg: Leg) -> None:
        self._day = day = leg.day
        progress_at = story.progress_at
        help_at = max(progress_at, story.state.consulted_at)
        later = same = dials = without = since_help = talked = newest = 0
        oldest = day
        earlier: list[int] = []
        for other in story.legs:
            on = other.day
            if on < day:
                earlier.append(on)
                oldest = min(on, oldest)
            elif on == day:
                same += 1
                if other.flags & OUTBOUND:
                    dials += 1
            else:
                later += 1
            newest = max(newest, on)
            if other.flags & CONVERSATION:
                at = other.at
                if at > progress_at:
                    without += 1
                    if at > help_at:
                        since_help += 1
                if not talked or at < talked:
                    talked = at
        earlier.sort(reverse=True)
        self.later, self.same, self.dials, self.earlier = later, same, dials, earlier
        self.newest, self.oldest = newest, oldest
        self.without, self.since_help, self.talked = without, since_help, talked

    @property
    def is_old_news(self) -> bool:
        """Whether a day is, or comes to be, too far back to be counted."""
        return max(self.newest, self._day) - DAYS_KEPT > self.oldest


def _touches_won(story: Story, leg: Leg) -> bool:
    """Tell whether the leg may be one of those by which a deal was won."""
    return any(
        deal.stage == WON and (leg.flags & ANSWERED or leg.started_at <= deal.since) for deal in story.deals.values()
    )


def _tell_difference(steps: Steps, before: Iterable[Raw], after: Iterable[Raw]) -> None:
    counts: dict[tuple[str, int], int] = {}
    for _, measure, day, n, _, _ in before:
        counts[measure, day] = counts.get((measure, day), 0) - n
    for _, measure, day, n, _, _ in after:
        counts[measure, day] = counts.get((measure, day), 0) + n
    steps += [(measure, day, n) for (measure, day), n in counts.items() if n]


def _tell_days(steps: Steps, rules: Rules, leg: Leg, seen: _Seen) -> None:
    """Tell by how much `contributions.days` changes."""
    day = leg.day
    steps.append(("sum", day, 1))
    if leg.flags & OUTBOUND and seen.dials == rules.calls_per_day:
        steps.append(("over", day, 1))
    later, same = seen.later, seen.same
    if later + same >= _MANY:
        return  # further back it is 5+ before and after
    was = later + same
    steps += [(measure, day, n) for measure, n in _STEPS[later, was]]
    earlier = seen.earlier
    place, end = 0, len(earlier)
    while place < end and was < _MANY:
        day, was_later = earlier[place], was
        while place < end and earlier[place] == day:
            place += 1
            was += 1
        was = min(was, _MANY)
        steps += [(measure, day, n) for measure, n in _SHIFTS[was_later, was]]


def _by_measure(by: Iterable[tuple[int, int]]) -> tuple[tuple[str, int], ...]:
    counts = [0] * (_MANY + 1)
    for number, n in by:
        counts[number] += n
    return tuple((of.CALLED[number - 1], n) for number, n in enumerate(counts) if number and n)


def _step(later: int, now: int, sign: int) -> tuple[tuple[int, int], ...]:
    """Return how a day counts that brings the calls from `later` to `now`."""
    return ((now, sign), (later, -sign)) if now != later else ()


_PAIRS: Final = tuple((later, now) for now in range(_MANY + 1) for later in range(now + 1))
_STEPS: Final = {
    (later, was): _by_measure([*_step(later, was, -1), *_step(later, min(was + 1, _MANY), 1)]) for later, was in _PAIRS
}
"""By calls on later days, and on the day too: how a call more on the day changes what the day counts."""
_SHIFTS: Final = {
    (later, was): _by_measure([*_step(later, was, -1), *_step(min(later + 1, _MANY), min(was + 1, _MANY), 1)])
    for later, was in _PAIRS
}
"""The same for a call more on a later day."""


def _tell_standing(steps: Steps, story: Story, rules: Rules, leg: Leg, seen: _Seen) -> None:
    """Tell by how much what `contributions.streaks` and `stages` yield changes for an open lead."""
    was = now = seen.without
    was_help = now_help = seen.since_help
    if leg.flags & CONVERSATION and leg.at > story.progress_at:
        now += 1
        if leg.at > story.state.consulted_at:
            now_help += 1
    was_day, day = seen.newest, leg.day
    if day > was_day:
        if story.lead_deal is None:
            stage, since = NONE, story.legs[0].day
        else:
            stage, since = story.lead_deal.stage, rules.day(story.owner, story.lead_deal.since)
        stage_measure, since_measure = "stage:" + stage, "since:" + stage
        steps.append((stage_measure, was_day, -1))
        steps.append((since_measure, was_day, -since))
        steps.append((stage_measure, day, 1))
        steps.append((since_measure, day, since))
    elif now == was:
        return
    else:
        day = was_day
    for measure, held, holds in (
        ("stuck", was >= rules.stuck_after, now >= rules.stuck_after),
        ("mentor", was_help >= rules.mentor_after, now_help >= rules.mentor_after),
    ):
        _tell_moved(steps, measure if held else "", was_day, measure if holds else "", day)
    _tell_moved(steps, of.STREAKS[min(was, _MANY)], was_day, of.STREAKS[min(now, _MANY)], day)


def _tell_moved(steps: Steps, was: str, was_day: int, now: str, day: int) -> None:
    """Tell that one measure at a day gives way to another; "" is none."""
    if was != now or was_day != day:
        if was:
            steps.append((was, was_day, -1))
        if now:
            steps.append((now, day, 1))


def _tell_first_talk(steps: Steps, story: Story, rules: Rules, leg: Leg) -> None:
    """Tell by how much `reach:call` changes by a conversation before all others."""
    was = of.talked_at(story, rules)
    if was is None or leg.at < was:
        day = rules.day(story.owner, leg.at)
        was_day = day if was is None else rules.day(story.owner, was)
        if was is None or was_day != day:
            _tell_moved(steps, "" if was is None else of.REACH_CALL, was_day, of.REACH_CALL, day)


def _tell_kept(by_manager: dict[str, Steps], story: Story, rules: Rules, leg: Leg) -> None:
    """Tell of the promises that the leg keeps."""
    for other, note in story.noted:
        if leg.started_at > other.at and of.is_promise(other, note):
            local = rules.local(other.manager)
            day = local.day(note.due_at)
            end_ms = local.day_bounds(day)[1]
            if reaches(leg, other.at, end_ms) and not story.is_kept(other, end_ms):
                by_manager.setdefault(other.manager, []).append(("kept", day, 1))

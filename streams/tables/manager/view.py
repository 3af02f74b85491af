"""The figures of a manager at a moment, read from the row: windows, calls in progress, work and presence.

Windows of days are sums over day rows. The sums of the days before today change rarely, so a reader keeps them in a
`ManagerCache`: they are computed anew when a past day changes, and move on by one day with the manager's local day.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import Struct

from streams.settings.settings import Settings
from streams.tables.coaching.view import CoachingCache, CoachingReader, CoachingView
from streams.tables.manager.baseline import Baseline, Expectation, Weekday, baseline, expectation
from streams.tables.manager.counts import (
    HISTOGRAM,
    HOUR_CALLS,
    INBOUND,
    INTERNAL_LEGS,
    INTERNAL_TALK_MS,
    OUTBOUND,
    WIDTH_MINUTE,
    WIDTH_WITH_INTERNAL,
    unpack_counts,
)
from streams.tables.manager.records import INTERNAL
from streams.tables.manager.results import since_ms
from streams.tables.manager.row import NO_DAY, ManagerRow
from streams.tables.outcome.fold import OutcomeRow
from streams.tables.outcome.view import OutcomeCache, OutcomeReader, OutcomeView
from streams.units import HOUR_MS
from streams.windows import DAYS, HOUR, PREVIOUS, TODAY, last_hour, total

# Of a manager without shifts, presence that is older than a working day is not trusted.
_PRESENCE_HOLDS_MS: Final = 16 * HOUR_MS
_QUARTER: Final = DAYS["90d"]
_LONGER: Final = tuple((window, length) for window, length in DAYS.items() if window != TODAY)


class Roster(Struct, frozen=True, gc=False):
    """The manager's shifts at the moment of reading.

    `shift` is the shift that covers it, (begin, end) in ms, or None; `has_shifts` is False for a manager without any.
    """

    shift: tuple[int, int] | None = None
    has_shifts: bool = False


NO_ROSTER: Final = Roster()


class ManagerSpeech(NamedTuple):
    """The transcripts of a manager: the coaching row, and the length of a monologue in a call in progress, ms."""

    row: OutcomeRow | None = None
    talking_ms: int = 0


NO_SPEECH: Final = ManagerSpeech()


class ManagerView(Struct, gc=False):
    """The figures of a manager at a moment. Spans and moments are in ms.

    `counts` maps windows to buckets with the places of `counts.py`: that of `1h` has only those that minutes keep, that
    of `today` all, those of longer windows the ones before `HOUR_CALLS`. `longest` is the age of the oldest leg in
    progress, `last_activity` the moment of the last telephony event; 0 if there is none. `legs` and `legs_before` are
    the finished legs of the last 90 days and of the 90 before (None if day rows are not kept for that long), `cost` is
    the cost of all touches of the 90 days. `talking` is the length of the manager's monologue in a call in progress, 0
    without a transcript. The catalogue defines the other figures.
    """

    counts: Mapping[str, list[int]]
    internal_legs: int
    internal_talk: int
    in_progress: int
    longest: int
    last_activity: int
    idle: int
    on_shift: bool
    presence: str
    work_block: int
    work_blocks: int
    breaks_missed: int
    legs: int
    legs_before: int | None
    plan_deals: float | None
    cost: float
    expectation: Expectation
    weekdays: tuple[Weekday, ...]
    outcome: OutcomeView
    coaching: CoachingView
    talking: int


class ManagerCache:
    """The sums that a reader keeps of one row between two readings. It may be used with another row: it starts anew.

    `sums` are those of the days before `sums_day`, by window. They and `baseline` are valid as long as
    `row.changes_before(sums_day)` equals `sums_changes`. `counts` are the windows of days as they were at `counts_at`,
    (position, local day). Use a cache with one reader only.
    """

    __slots__ = ("baseline", "coaching", "counts", "counts_at", "outcome", "row", "sums", "sums_changes", "sums_day")

    def __init__(self) -> None:
        self.row: ManagerRow | None = None
        self.outcome = OutcomeCache()
        self.coaching = CoachingCache()
        self.clear()

    def clear(self) -> None:
        """Drop the values read from the manager's row."""
        self.sums: dict[str, list[int]] = {}
        self.sums_day = NO_DAY
        self.sums_changes = 0
        self.counts: dict[str, list[int]] = {}
        self.counts_at = -1, NO_DAY
        self.baseline: Baseline | None = None


class ManagerReader:
    """Reads manager rows under the given settings. Stateless; a `ManagerCache` makes repeated readings fast."""

    def __init__(self, settings: Settings) -> None:
        thresholds = settings.thresholds
        self._outcomes = OutcomeReader(settings)
        self._coaching = CoachingReader(settings)
        self._cost_of_call = settings.economics.costs.call
        self._keeps_quarters = thresholds.day_rows >= 2 * _QUARTER
        self._width = HISTOGRAM + len(thresholds.histogram_ms) + 1
        self._max_call_ms = thresholds.max_call_ms
        self._work_gap_ms = thresholds.work_gap_ms
        self._work_block_ms = thresholds.work_block_ms
        self._break_after_ms = thresholds.break_after_ms

    def read(
        self,
        row: ManagerRow,
        now_ms: int,
        roster: Roster = NO_ROSTER,
        outcome: OutcomeRow | None = None,
        plan_deals: float | None = None,
        cache: ManagerCache | None = None,
        speech: ManagerSpeech = NO_SPEECH,
    ) -> ManagerView:
        """Return the manager's figures at `now_ms`; they are all 0 for a row without events.

        `cache` is the one of the previous reading, if any.
        """
        cache = cache or ManagerCache()
        if cache.row is not row:
            cache.clear()
            cache.row = row
        live = row.live
        today = row.local.day(now_ms)
        begun_after = now_ms - self._max_call_ms
        in_progress, since, is_busy = 0, now_ms, False
        for leg in live.open.values():
            leg_since = since_ms(leg)
            if leg_since > begun_after:
                is_busy = True
                if leg.kind != INTERNAL:
                    in_progress += 1
                    since = min(since, leg_since)
        runs = live.runs
        last_activity = runs[-1][1] if runs else 0
        on_shift, shift_start = _shift(row, now_ms, roster)
        idle = 0
        if on_shift and not is_busy:
            idle = max(0, now_ms - max(last_activity, shift_start))
        work_block, work_blocks, breaks_missed = self._work(row, now_ms, today, in_progress=is_busy)
        counts = self._windows(row, now_ms, today, cache)
        base = cache.baseline
        if base is None:
            base = cache.baseline = baseline(row, today)
        results = self._outcomes.nothing if outcome is None else self._outcomes.read(outcome, today, cache.outcome)
        coaching = self._coaching.nothing
        if speech.row is not None:
            coaching = self._coaching.read(speech.row, today, cache.coaching)
        quarter, of_today = counts["90d"], counts[TODAY]
        has_internal = len(of_today) >= WIDTH_WITH_INTERNAL
        legs = quarter[INBOUND] + quarter[OUTBOUND]
        return ManagerView(
            counts=counts,
            internal_legs=of_today[INTERNAL_LEGS] if has_internal else 0,
            internal_talk=of_today[INTERNAL_TALK_MS] if has_internal else 0,
            in_progress=in_progress,
            longest=max(0, now_ms - since),
            last_activity=last_activity,
            idle=idle,
            on_shift=on_shift,
            presence=live.presence,
            work_block=work_block,
            work_blocks=work_blocks,
            breaks_missed=breaks_missed,
            legs=legs,
            legs_before=cache.sums[PREVIOUS][0] if self._keeps_quarters else None,
            plan_deals=plan_deals,
            cost=legs * self._cost_of_call + results.touch_cost,
            expectation=expectation(base, now_ms, counts[HOUR]),
            weekdays=base.weekdays,
            outcome=results,
            coaching=coaching,
            talking=speech.talking_ms,
        )

    def _windows(self, row: ManagerRow, now_ms: int, today: int, cache: ManagerCache) -> dict[str, list[int]]:
        now_at = row.live.pos, today
        if cache.counts_at != now_at:
            is_valid = row.changes_before(cache.sums_day) == cache.sums_changes
            if cache.sums_day != today or not is_valid:
                self._sum_past_days(row, today, cache, advance=is_valid and cache.sums_day == today - 1)
            of_today = self._day(row, today)
            sums = cache.sums
            cache.counts = {TODAY: of_today}
            for window, _ in _LONGER:
                cache.counts[window] = [a + b for a, b in zip(of_today, sums[window], strict=False)]
            cache.counts_at = now_at
        return {HOUR: total(last_hour(row.live.ring, now_ms), WIDTH_MINUTE), **cache.counts}

    def _sum_past_days(self, row: ManagerRow, today: int, cache: ManagerCache, *, advance: bool) -> None:
        """Bring the sums of the days before `today` up to date; `advance` those of yesterday, which are valid."""
        sums = cache.sums
        if advance:
            yesterday = self._day(row, today - 1)
            for window, length in _LONGER:
                gone = self._day(row, today - length)
                sums[window] = [a + b - c for a, b, c in zip(sums[window], yesterday, gone, strict=False)]
            sums[PREVIOUS] = [
                sums[PREVIOUS][0] + self._legs(row, today - _QUARTER) - self._legs(row, today - 2 * _QUARTER)
            ]
        else:
            so_far: list[int] = [0] * HOUR_CALLS
            newer = today
            for window, length in _LONGER:
                oldest = today - length + 1
                days = (self._day(row, day) for day in range(oldest, newer) if _has(row, day))
                so_far = total([so_far, *days], HOUR_CALLS)
                newer = oldest
                sums[window] = so_far
            sums[PREVIOUS] = [
                sum(self._legs(row, day) for day in range(today - 2 * _QUARTER + 1, newer) if _has(row, day))
            ]
        cache.sums_day = today
        cache.sums_changes = row.changes_before(today)
        cache.baseline = None

    def _legs(self, row: ManagerRow, day: int) -> int:
        counts = self._day(row, day)
        return counts[INBOUND] + counts[OUTBOUND]

    def _day(self, row: ManagerRow, day: int) -> list[int]:
        """Return a copy of the counts of a day, with a number for each place of a bucket."""
        counts = row.days.get(day)
        if counts is None:
            packed = row.cold.get(day)
            if packed is None:
                return [0] * self._width
            counts = unpack_counts(packed)
        return counts + [0] * max(0, self._width - len(counts))

    def _work(self, row: ManagerRow, now_ms: int, today: int, *, in_progress: bool) -> tuple[int, int, int]:
        """Return the length of the current run of work, and today's number of long runs and of missed breaks."""
        runs = row.live.runs
        if not runs:
            return 0, 0, 0
        midnight, tomorrow = row.local.day_bounds(today)
        last_start, last_end = runs[-1]
        is_current = in_progress or now_ms - last_end < self._work_gap_ms
        lasted_until = max(now_ms, last_end) if in_progress else last_end
        blocks = breaks = 0
        for start, end in runs:
            if midnight <= start < tomorrow:
                length = (lasted_until if start == last_start else end) - start
                blocks += length >= self._work_block_ms
                breaks += length // self._break_after_ms
        return lasted_until - last_start if is_current else 0, blocks, breaks


def _shift(row: ManagerRow, now_ms: int, roster: Roster) -> tuple[bool, int]:
    """Return whether the manager is on shift, and the moment from which on idle time counts."""
    live = row.live
    if roster.has_shifts:
        if roster.shift is None or live.presence == "offline":
            return False, 0
        return True, roster.shift[0]
    is_here = live.presence not in {"", "offline"} and now_ms - live.presence_at <= _PRESENCE_HOLDS_MS
    return is_here, live.presence_at


def _has(row: ManagerRow, day: int) -> bool:
    return day in row.cold or day in row.days

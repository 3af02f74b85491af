"""What a manager's row says at a moment: windows, calls in progress, work and presence, as plain data.

Windows of days are sums over day rows. The sums of the days before today change rarely, so the row keeps them: they are
made anew when a past day changes, and go on by one day when the manager's local day does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from streams.settings.settings import Settings
from streams.tables.manager.baseline import Expectation, Weekday, expectation, norms
from streams.tables.manager.counts import HISTOGRAM, HOUR_CALLS, INBOUND, OUTBOUND, WIDTH_MINUTE, unpack_counts
from streams.tables.manager.row import ManagerRow
from streams.tables.outcome.fold import OutcomeRow
from streams.tables.outcome.totals import PREVIOUS
from streams.tables.outcome.view import OutcomeReader, OutcomeView
from streams.units import HOUR_MS
from streams.windows import DAYS, HOUR, TODAY, last_hour, total

# Without a shift to go by, presence that is older than a working day says nothing.
_PRESENCE_HOLDS_MS: Final = 16 * HOUR_MS
_QUARTER: Final = DAYS["90d"]
_LONGER: Final = tuple((window, length) for window, length in DAYS.items() if window != TODAY)


class Roster(Struct, frozen=True, gc=False):
    """What the roster says of a manager at the moment of reading.

    `shift` is the shift that covers it, (begin, end) in ms, or None; `has_shifts` is False for a manager without any.
    """

    shift: tuple[int, int] | None = None
    has_shifts: bool = False


NO_ROSTER: Final = Roster()


class ManagerView(Struct, gc=False):
    """A manager at a moment. Spans and moments are in ms.

    `counts` maps windows to buckets with the places of `counts.py`: that of `1h` has only those that minutes keep, that
    of `today` all, those of longer windows the ones before `HOUR_CALLS`. `longest` is how long the oldest leg in
    progress has lasted, `last_activity` when the last telephony event happened; 0 where there is none. `legs` and
    `legs_before` are the finished legs of the last 90 days and of the 90 before (None where rows are not kept for so
    long), `cost` what all touches of the 90 days cost. The catalogue says what the others mean.
    """

    counts: Mapping[str, list[int]]
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


class ManagerReader:
    """Reads manager rows under the given settings. Keeps nothing but what it caches in the rows."""

    def __init__(self, settings: Settings) -> None:
        thresholds = settings.thresholds
        self._outcomes = OutcomeReader(settings)
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
    ) -> ManagerView:
        """Return what is known of the manager at `now_ms`; a row without events gives a view full of zeros."""
        live = row.live
        today = row.local.day(now_ms)
        begun_after = now_ms - self._max_call_ms
        in_progress, since = 0, now_ms
        for leg in live.open.values():
            seen = leg.since_ms
            if seen > begun_after:
                in_progress += 1
                since = min(since, seen)
        runs = live.runs
        last_activity = runs[-1][1] if runs else 0
        on_shift, shift_start = _shift(row, now_ms, roster)
        idle = 0
        if on_shift and not in_progress:
            idle = max(0, now_ms - max(last_activity, shift_start))
        work_block, work_blocks, breaks_missed = self._work(row, now_ms, today, in_progress=in_progress > 0)
        counts = self._windows(row, now_ms, today)  # before norms: these are kept beside the sums
        of_leads = self._outcomes.nothing if outcome is None else self._outcomes.read(outcome, today)
        quarter = counts["90d"]
        legs = quarter[INBOUND] + quarter[OUTBOUND]
        return ManagerView(
            counts=counts,
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
            legs_before=row.sums[PREVIOUS][0] if self._keeps_quarters else None,
            plan_deals=plan_deals,
            cost=legs * self._cost_of_call + of_leads.touch_cost,
            expectation=expectation(row, now_ms, counts[HOUR]),
            weekdays=norms(row, today).weekdays,
            outcome=of_leads,
        )

    def _windows(self, row: ManagerRow, now_ms: int, today: int) -> dict[str, list[int]]:
        now_at = row.live.pos, today
        if row.counts_at != now_at:
            if row.sums_day != today:
                self._sum_past_days(row, today)
            of_today = self._day(row, today)
            sums = row.sums
            row.counts = {TODAY: of_today}
            for window, _ in _LONGER:
                row.counts[window] = [a + b for a, b in zip(of_today, sums[window], strict=False)]
            row.counts_at = now_at
        return {HOUR: total(last_hour(row.live.ring, now_ms), WIDTH_MINUTE), **row.counts}

    def _sum_past_days(self, row: ManagerRow, today: int) -> None:
        """Bring the sums of the days before `today` up to it."""
        sums = row.sums
        if row.sums_day == today - 1:
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
        row.sums_day = today

    def _legs(self, row: ManagerRow, day: int) -> int:
        counts = self._day(row, day)
        return counts[INBOUND] + counts[OUTBOUND]

    def _day(self, row: ManagerRow, day: int) -> list[int]:
        """Return a copy of the counts of a day, as many as there are places."""
        counts = row.days.get(day)
        if counts is None:
            packed = row.cold.get(day)
            if packed is None:
                return [0] * self._width
            counts = unpack_counts(packed)
        return counts + [0] * max(0, self._width - len(counts))

    def _work(self, row: ManagerRow, now_ms: int, today: int, *, in_progress: bool) -> tuple[int, int, int]:
        """Return the length of the current run of calling, and of today's runs: the long ones, the breaks not taken."""
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
    """Tell whether the manager is on shift, and since when to count idleness."""
    live = row.live
    if roster.has_shifts:
        if roster.shift is None or live.presence == "offline":
            return False, 0
        return True, roster.shift[0]
    is_here = live.presence not in {"", "offline"} and now_ms - live.presence_at <= _PRESENCE_HOLDS_MS
    return is_here, live.presence_at


def _has(row: ManagerRow, day: int) -> bool:
    return day in row.cold or day in row.days

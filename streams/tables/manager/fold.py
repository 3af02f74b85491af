"""The fold of the manager's rolling table: telephony events in; calls, talk, work and presence out.

Folding an event merges it into its leg (`legs.py`), takes back what the leg counted before and adds what it counts now
(`counts.py`) to the manager's row (`row.py`). A leg is `open` while it is in progress; after that it is
remembered for the retry horizon in `past`, or in `timed_out` until its real end comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from streams.contract.events import CallAnswered, CallEnded, CallsEvent, CallStarted, CallTransferred, ManagerPresence
from streams.settings.settings import Thresholds
from streams.tables.manager.counts import WIDTH_MINUTE, Counter
from streams.tables.manager.derived import SOURCE, handed_over, timeout
from streams.tables.manager.effect import APPLIED, DUPLICATE, LATE, NOTHING, TOO_LATE, Effect, Leave, Told
from streams.tables.manager.legs import NOT_KNOWN, RANKS, TIMEOUT, Finished, Leg, Transfer, alike, worth
from streams.tables.manager.row import NO_DAY, Live, ManagerRow, dissolve, warm
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS
from streams.windows import merge_run

__all__ = ["APPLIED", "DUPLICATE", "LATE", "SOURCE", "TOO_LATE", "Effect", "Leave", "ManagerFold", "ManagerRow", "Told"]

LATE_MS: Final = 10 * MINUTE_MS
_RING_MINUTES: Final = 70  # an hour, and the clock skew that sources are allowed
_RUNS_KEPT_MS: Final = 48 * HOUR_MS
# A night without calls is no time in which repeats could have come: what the evening told may be repeated next morning.
_LONGEST_TICK_MS: Final = 30 * MINUTE_MS
_FORGET_EVERY_MS: Final = 30 * MINUTE_MS
_TIMED_OUT_KEPT: Final = 2000
_PRESENCES_KEPT: Final = 64


class ManagerFold:
    """Folds telephony events into manager rows by the given thresholds. Holds no state of its own.

    `note` hears of each finished leg when it is counted (1) and when that is taken back (-1).
    """

    def __init__(self, thresholds: Thresholds, note: Callable[[Finished, int], None] | None = None) -> None:
        self._counter = Counter(thresholds)
        self._note = note
        self._width = self._counter.width
        self._max_call_ms = thresholds.max_call_ms
        self._work_gap_ms = thresholds.work_gap_ms
        self._kept_ms = thresholds.day_rows * DAY_MS
        # Long enough that an open leg is never forgotten before it times out.
        self._memory_ms = max(thresholds.retry_horizon_ms, thresholds.max_call_ms + LATE_MS)

    def fold(self, row: ManagerRow, event: CallsEvent, pos: int) -> Effect:  # noqa: C901 - a branch for each type
        """Apply `event`, the record at offset `pos` of the manager's partition, to `row`.

        A record at or below the row's `live.pos` must not be given again: the caller checks, because it also skips
        decoding.
        """
        live = row.live
        live.pos = pos
        at = event.at
        behind = live.watermark - at
        if behind <= 0:
            if event.source != SOURCE:  # an end that we conclude is dated hours ahead of what the sources have told
                live.watermark = at
                live.clock += min(-behind, _LONGEST_TICK_MS)
                if live.clock - live.forgot_at > _FORGET_EVERY_MS:
                    self._forget(row)
        elif behind > self._memory_ms and self._is_too_late(live, event, behind):
            return TOO_LATE
        told: tuple[Told, ...] | None  # None: the event is known already
        if type(event) is CallStarted:
            told = self._started(row, live, event)
        elif type(event) is CallEnded:
            told = self._ended(row, live, event)
        elif type(event) is ManagerPresence:
            told = self._presence(live, event)
        elif type(event) is CallAnswered:
            told = self._answered(row, live, event)
        else:
            told = self._transferred(row, live, event)
        if not told:
            if told is None:
                return DUPLICATE
            return APPLIED if behind <= LATE_MS else LATE
        return Effect("applied" if behind <= LATE_MS else "late", told)

    def timeouts(self, row: ManagerRow, now_ms: int) -> list[CallEnded]:
        """Return the ends that are due for legs whose own end never came. They go through `calls` like any event.

        So the log alone decides what counted, and a real end that overtakes its timeout simply wins.
        """
        begun_by = now_ms - self._max_call_ms
        return [
            timeout(row.id, call, leg, leg.started_at + self._max_call_ms)
            for call, leg in row.live.open.items()
            if 0 < leg.started_at <= begun_by
        ]

    def _is_too_late(self, live: Live, event: CallsEvent, behind: int) -> bool:
        kind = type(event)
        if kind is CallEnded or kind is ManagerPresence:
            return behind > self._kept_ms
        # Its end may have been counted and forgotten; a leg that is opened now would time out and count twice.
        return event.call not in live.open  # type: ignore[union-attr]  # presence is dealt with above

    # -- events; each returns what must be told, or None where the event is known already

    def _presence(self, live: Live, event: ManagerPresence) -> tuple[Told, ...] | None:
        presences = live.presences
        if event.id in presences:
            return None
        presences[event.id] = None
        if len(presences) > _PRESENCES_KEPT:  # many at once: finding a dictionary's first key passes over removed ones
            for gone in list(presences)[: _PRESENCES_KEPT // 4]:
                del presences[gone]
        at = event.at
        if at > live.presence_at or (at == live.presence_at and event.id > live.presence_id):
            live.presence, live.presence_at, live.presence_id = event.state, at, event.id
        return NOTHING

    def _started(self, row: ManagerRow, live: Live, event: CallStarted) -> tuple[Told, ...] | None:
        call = event.call
        at = event.at
        leg = live.open.get(call) or row.past.get(call) or row.timed_out.get(call)
        if leg is None:
            live.open[call] = Leg(at, event.id, event.direction, event.kind, event.lead, event.queue)
            self._work(live, at, at)
            return NOTHING
        if leg.knows(event.id):
            return None
        self._work(live, at, at)
        before = leg.concluded()
        was_described = leg.described
        if not leg.started_at or (at, event.id) < (leg.started_at, leg.start_id):
            if leg.start_id:
                leg.others += (leg.start_id,)
            leg.started_at, leg.start_id = at, event.id
            leg.direction, leg.kind, leg.lead, leg.queue = event.direction, event.kind, event.lead, event.queue
        else:
            leg.others += (event.id,)
        if call in live.open:
            return NOTHING
        told = self._settle(row, call, leg, before)
        return told if was_described else told + handed_over(row.id, call, leg, leg.transfers)

    def _answered(self, row: ManagerRow, live: Live, event: CallAnswered) -> tuple[Told, ...] | None:
        call = event.call
        at = event.at
        leg = live.open.get(call)
        if leg is not None and not leg.answered_at:
            leg.answered_at, leg.answer_id = at, event.id
            self._work(live, at, at)
            return NOTHING
        if leg is None:
            leg = row.past.get(call) or row.timed_out.get(call)
            if leg is None:
                leg = live.open[call] = Leg()
                leg.stamp = live.clock
        if leg.knows(event.id):
            return None
        self._work(live, at, at)
        before = leg.concluded()
        if not leg.answered_at or (at, event.id) < (leg.answered_at, leg.answer_id):
            if leg.answer_id:
                leg.others += (leg.answer_id,)
            leg.answered_at, leg.answer_id = at, event.id
        else:
            leg.others += (event.id,)
        return NOTHING if call in live.open else self._settle(row, call, leg, before)

    def _ended(self, row: ManagerRow, live: Live, event: CallEnded) -> tuple[Told, ...] | None:
        call = event.call
        at = event.at
        rank = RANKS[event.ended_by]
        leg = live.open.pop(call, None)
        was_open = leg is not None
        if leg is None:
            leg = row.past.get(call) or row.timed_out.get(call)
            if leg is None:
                if rank == TIMEOUT and event.source == SOURCE:
                    return None  # its real end came first, and is forgotten
                leg = Leg()
                was_open = True
            elif leg.knows(event.id):
                return None
        if rank != TIMEOUT:
            self._work(live, max(event.started_at, at - self._max_call_ms), at)
        end = Finished(
            at,
            event.started_at,
            event.direction,
            event.kind,
            event.disposition,
            event.talk_ms if rank != TIMEOUT else NOT_KNOWN,
            event.lead,
            rank,
            event.id,
        )
        if was_open:
            leg.end = end
            leg.stamp = live.clock
            row.fresh[call] = leg
            if rank != TIMEOUT:
                row.past[call] = leg
            else:
                row.timed_out[call] = leg
                end = leg.concluded() or end
                self._bound_timed_out(row)
            self._count(row, end, 1)
            return NOTHING if end.lead is None else (Leave(call, end, withdrawn=False),)
        before = leg.concluded()
        was_described = leg.described
        if leg.end is None or worth(end) > worth(leg.end):
            if leg.end is not None:
                leg.others += (leg.end.id,)
            leg.end = end
        else:
            leg.others += (end.id,)
        told = self._settle(row, call, leg, before)
        return told if was_described else told + handed_over(row.id, call, leg, leg.transfers)

    def _transferred(self, row: ManagerRow, live: Live, event: CallTransferred) -> tuple[Told, ...] | None:
        call = event.call
        leg = live.open.pop(call, None)
        if leg is None:
            leg = row.past.get(call) or row.timed_out.get(call)
            if leg is not None and leg.knows(event.id):
                return None
        self._work(live, event.at, event.at)
        transfer = Transfer(event.at, event.to_manager, event.how, event.id)
        if leg is None:
            leg = Leg()
        before = leg.concluded()
        leg.transfers += (transfer,)
        if call not in row.past and call not in row.timed_out:
            leg.stamp = live.clock
            row.past[call] = leg
        told = self._settle(row, call, leg, before)
        return told + handed_over(row.id, call, leg, (transfer,)) if leg.described else told

    # -- counting

    def _settle(self, row: ManagerRow, call: str, leg: Leg, before: Finished | None) -> tuple[Told, ...]:
        """Let a leg that is not in progress count what it does now instead of `before`."""
        if call not in row.fresh:
            row.fresh[call] = leg
            dissolve(row, call)
        after = leg.concluded()
        if after is not None and after.rank != TIMEOUT and row.timed_out.pop(call, None) is not None:
            leg.stamp = row.live.clock
            row.past[call] = leg
        if alike(before, after):
            return NOTHING
        told: tuple[Told, ...] = NOTHING
        if before is not None:
            self._count(row, before, -1)
            if before.lead is not None:
                told = (Leave(call, before, withdrawn=True),)
        if after is not None:
            self._count(row, after, 1)
            if after.lead is not None:
                told += (Leave(call, after, withdrawn=False),)
        return told

    def _count(self, row: ManagerRow, leg: Finished, sign: int) -> None:
        live = row.live
        at = leg.at
        minute = at // MINUTE_MS
        ring = live.ring
        bucket = ring.get(minute)
        if bucket is None:
            bucket = [0] * WIDTH_MINUTE
            if minute > live.watermark // MINUTE_MS - _RING_MINUTES:
                ring[minute] = bucket
                if len(ring) > 2 * _RING_MINUTES:  # only ends that were concluded, for days: they forget nothing
                    _trim(ring, max(ring) * MINUTE_MS)
        day, hour = row.local.day_hour(at)
        counts = row.days.get(day) or warm(row, day)
        if len(counts) < self._width:
            counts += [0] * (self._width - len(counts))
        if day < row.sums_day:
            row.sums_day = NO_DAY
            row.norms = None
        self._counter.add(leg, sign, bucket, counts, hour)
        if self._note is not None:
            self._note(leg, sign)

    def _work(self, live: Live, start_ms: int, end_ms: int) -> None:
        """Note that the manager was at work on calls in `[start_ms, end_ms]`."""
        runs = live.runs
        if runs:
            last = runs[-1]
            if last[0] <= start_ms < last[1] + self._work_gap_ms:
                last[1] = max(last[1], end_ms)
                return
            if end_ms < last[1] - _RUNS_KEPT_MS:
                return
        merge_run(runs, start_ms, end_ms, self._work_gap_ms)
        while runs[0][1] < runs[-1][1] - _RUNS_KEPT_MS:
            del runs[0]

    # -- forgetting

    def _forget(self, row: ManagerRow) -> None:
        """Drop what is past its horizon."""
        live = row.live
        live.forgot_at = live.clock
        horizon = live.horizon = live.clock - self._memory_ms
        past = row.past
        gone = []
        for call, leg in past.items():  # in the order of their stamps
            if leg.stamp >= horizon:
                break
            gone.append(call)
        for call in gone:
            del past[call]
            row.fresh.pop(call, None)
        # An answer whose start and end were lost says too little to count; a leg with a start waits for its timeout.
        for call in [c for c, leg in live.open.items() if not leg.started_at and leg.stamp < horizon]:
            del live.open[call]
        _trim(live.ring, live.watermark)

    def _bound_timed_out(self, row: ManagerRow) -> None:
        if len(row.timed_out) > _TIMED_OUT_KEPT:
            call = min(row.timed_out, key=lambda call: (row.timed_out[call].stamp, call))
            if row.fresh.pop(call, None) is None:
                dissolve(row, call)
            del row.timed_out[call]
            row.fresh.pop(call, None)


def _trim(ring: dict[int, list[int]], newest_ms: int) -> None:
    """Drop the minutes that no window will ever hold."""
    oldest = newest_ms // MINUTE_MS - _RING_MINUTES
    for minute in [minute for minute in ring if minute <= oldest]:
        del ring[minute]

"""The fold of the manager table: telephony events change the row's counts, legs, work and presence.

The fold merges an event into its leg (`legs.py`), subtracts the old result of the leg, and adds the new one
(`counts.py`). A leg is in `open` while it is in progress. A finished leg is remembered in `past` for the retry horizon,
a leg that timed out in `timed_out` until its real end comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from streams.contract.events import CallAnswered, CallEnded, CallsEvent, CallStarted, CallTransferred, ManagerPresence
from streams.settings.settings import Thresholds
from streams.tables.manager.counts import WIDTH_MINUTE, Counter
from streams.tables.manager.effect import APPLIED, DUPLICATE, LATE, NOTHING, TOO_LATE, Emitted, LegChange, ManagerEffect
from streams.tables.manager.legs import TIMEOUT, UNKNOWN_TALK, Finished, Leg, Transfer, counts_alike, rank_of
from streams.tables.manager.records import INTERNAL, LegKind
from streams.tables.manager.results import is_in_progress, last_start, result_of
from streams.tables.manager.row import Live, ManagerRow, invalidate_block, writable_day
from streams.tables.manager.synthetic import SOURCE, timeout_end, transfer_starts
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS
from streams.windows import merge_run

LATE_MS: Final = 10 * MINUTE_MS
_RING_MINUTES: Final = 70  # an hour, and the clock skew that sources may have
_RUNS_KEPT_MS: Final = 48 * HOUR_MS
# No duplicates come during a night without events: those of the evening may come the next morning. So the clock that
# decides when legs are forgotten advances by no more than this between two events.
_LONGEST_TICK_MS: Final = 30 * MINUTE_MS
_FORGET_EVERY_MS: Final = 30 * MINUTE_MS
_TIMED_OUT_KEPT: Final = 2000
_PRESENCES_KEPT: Final = 64


class ManagerFold:
    """Folds telephony events into manager rows by the given thresholds. Stateless.

    `note` is called with each finished leg when the leg is counted (1) and when its count is taken back (-1).
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

    def fold(self, row: ManagerRow, event: CallsEvent, pos: int) -> ManagerEffect:  # noqa: C901 - a branch for each type
        """Apply `event`, the record at offset `pos` of the manager's partition, to `row`.

        The caller skips records at or below the row's `live.pos`: it does so before it decodes them.
        """
        live = row.live
        live.pos = pos
        at = event.at
        behind = live.watermark - at
        if behind <= 0:
            if event.source != SOURCE:  # a timeout may be dated hours after the newest event of a source
                live.watermark = at
                live.clock += min(-behind, _LONGEST_TICK_MS)
                if live.clock - live.forgot_at > _FORGET_EVERY_MS:
                    self._forget(row)
        elif behind > self._memory_ms and self._is_too_late(row, event, behind):
            return TOO_LATE
        emitted: tuple[Emitted, ...] | None  # None: the event is a duplicate
        if type(event) is CallStarted:
            emitted = self._started(row, live, event)
        elif type(event) is CallEnded:
            emitted = self._ended(row, live, event)
        elif type(event) is ManagerPresence:
            emitted = self._presence(live, event)
        elif type(event) is CallAnswered:
            emitted = self._answered(row, live, event)
        else:
            emitted = self._transferred(row, live, event)
        if not emitted:
            if emitted is None:
                return DUPLICATE
            return APPLIED if behind <= LATE_MS else LATE
        return ManagerEffect("applied" if behind <= LATE_MS else "late", emitted)

    def timeouts(self, row: ManagerRow, now_ms: int) -> list[CallEnded]:
        """Return the timeouts of legs whose own end did not come. They go through `calls` like any event.

        So the log alone decides the counts, and a real end overrides the timeout, whichever of the two comes first.
        """
        begun_by = now_ms - self._max_call_ms
        return [
            timeout_end(row.id, call, leg, last_start(leg) + self._max_call_ms)
            for call, leg in row.live.open.items()
            if 0 < last_start(leg) <= begun_by
        ]

    def _is_too_late(self, row: ManagerRow, event: CallsEvent, behind: int) -> bool:
        kind = type(event)
        if kind is CallEnded or kind is ManagerPresence:
            return behind > self._kept_ms
        # The leg's end may be counted and forgotten; a leg that is opened now would time out and count twice.
        call = event.call  # type: ignore[union-attr]  # presence is handled above
        return call not in row.live.open and call not in row.timed_out

    # -- events; each method returns the emitted events and facts, or None for a duplicate

    def _presence(self, live: Live, event: ManagerPresence) -> tuple[Emitted, ...] | None:
        presences = live.presences
        if event.id in presences:
            return None
        presences[event.id] = None
        if len(presences) > _PRESENCES_KEPT:  # several at once: a dictionary scans removed keys to find its first one
            for gone in list(presences)[: _PRESENCES_KEPT // 4]:
                del presences[gone]
        at = event.at
        if at > live.presence_at or (at == live.presence_at and event.id > live.presence_id):
            live.presence, live.presence_at, live.presence_id = event.state, at, event.id
        return NOTHING

    def _started(self, row: ManagerRow, live: Live, event: CallStarted) -> tuple[Emitted, ...] | None:
        call = event.call
        at = event.at
        leg = live.open.get(call) or row.past.get(call) or row.timed_out.get(call)
        if leg is None:
            live.open[call] = Leg(at, event.id, event.direction, _kind(event), _lead(event), event.queue)
            self._work(live, at, at)
            return NOTHING
        if leg.includes(event.id):
            return None
        self._work(live, at, at)
        before = result_of(leg)
        was_described = leg.described
        if leg.add_start(at, event.id):
            leg.direction, leg.kind, leg.lead, leg.queue = event.direction, _kind(event), _lead(event), event.queue
        if before is None and call in live.open:
            return NOTHING
        emitted = self._settle(row, call, leg, before)
        return emitted if was_described else emitted + transfer_starts(row.id, call, leg, leg.transfers)

    def _answered(self, row: ManagerRow, live: Live, event: CallAnswered) -> tuple[Emitted, ...] | None:
        call = event.call
        at = event.at
        leg = live.open.get(call)
        if leg is not None and not leg.answered_at and leg.end is None and not leg.transfers:
            leg.answered_at, leg.answer_id = at, event.id
            self._work(live, at, at)
            return NOTHING
        if leg is None:
            leg = row.past.get(call) or row.timed_out.get(call)
            if leg is None:
                leg = live.open[call] = Leg()
                leg.stamp = live.clock
        if leg.includes(event.id):
            return None
        self._work(live, at, at)
        before = result_of(leg)
        leg.add_answer(at, event.id)
        return NOTHING if before is None and call in live.open else self._settle(row, call, leg, before)

    def _ended(self, row: ManagerRow, live: Live, event: CallEnded) -> tuple[Emitted, ...] | None:
        call = event.call
        at = event.at
        rank = rank_of(event)
        leg = live.open.get(call)
        if leg is None:
            leg = row.past.get(call) or row.timed_out.get(call)
            if leg is None:
                if rank == TIMEOUT and event.source == SOURCE:
                    return None  # the real end came first and is forgotten
                leg = Leg()
        if not leg.is_plain and leg.includes(event.id):
            return None
        if rank != TIMEOUT:
            self._work(live, max(event.started_at, at - self._max_call_ms), at)
        end = Finished(
            at,
            event.started_at,
            event.direction,
            _kind(event),
            event.disposition,
            event.talk_ms if rank != TIMEOUT else UNKNOWN_TALK,
            _lead(event),
            rank,
            event.id,
        )
        if leg.is_plain and leg.started_at <= at:  # the leg has one stretch, and this is its end
            live.open.pop(call, None)
            leg.end = end
            self._keep(row, call, leg, end)
            end = result_of(leg) or end
            self._count(row, end, 1)
            return (LegChange(call, end, withdrawn=False),) if _is_sent(end) else NOTHING
        before = result_of(leg)
        was_described = leg.described
        leg.add_end(end)
        emitted = self._settle(row, call, leg, before)
        return emitted if was_described else emitted + transfer_starts(row.id, call, leg, leg.transfers)

    def _transferred(self, row: ManagerRow, live: Live, event: CallTransferred) -> tuple[Emitted, ...] | None:
        call = event.call
        leg = live.open.get(call) or row.past.get(call) or row.timed_out.get(call) or Leg()
        if leg.includes(event.id):
            return None
        self._work(live, event.at, event.at)
        transfer = Transfer(event.at, event.to_manager, event.how, event.id)
        before = result_of(leg)
        leg.transfers += (transfer,)
        emitted = self._settle(row, call, leg, before)
        return emitted + transfer_starts(row.id, call, leg, (transfer,)) if leg.described else emitted

    # -- counting

    def _settle(self, row: ManagerRow, call: str, leg: Leg, before: Finished | None) -> tuple[Emitted, ...]:
        """Move a leg to its present place, and count its present result instead of `before`; return the changes."""
        after = result_of(leg)
        if not is_in_progress(leg):
            self._keep(row, call, leg, after)
        elif call not in row.live.open:  # it has begun again
            row.live.open[call] = leg
            if row.past.pop(call, None) is None:
                row.timed_out.pop(call, None)
            if row.fresh.pop(call, None) is None:
                invalidate_block(row, call)
        if counts_alike(before, after):
            return NOTHING
        emitted: tuple[Emitted, ...] = NOTHING
        if before is not None:
            self._count(row, before, -1)
            if _is_sent(before):
                emitted = (LegChange(call, before, withdrawn=True),)
        if after is not None:
            self._count(row, after, 1)
            if _is_sent(after):
                emitted += (LegChange(call, after, withdrawn=False),)
        return emitted

    def _keep(self, row: ManagerRow, call: str, leg: Leg, result: Finished | None) -> None:
        """Remember a leg that is not in progress, in `past` or in `timed_out`."""
        is_timed_out = result is not None and result.rank == TIMEOUT
        here, there = (row.timed_out, row.past) if is_timed_out else (row.past, row.timed_out)
        was_kept = call in here or there.pop(call, None) is not None
        if call not in here:
            row.live.open.pop(call, None)
            leg.stamp = row.live.clock
            here[call] = leg
        if call not in row.fresh:
            row.fresh[call] = leg
            if was_kept:
                invalidate_block(row, call)
        if is_timed_out:
            self._bound_timed_out(row)

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
                if len(ring) > 2 * _RING_MINUTES:  # after days with timeouts only, which drop no minutes
                    _trim(ring, max(ring) * MINUTE_MS)
        day, hour = row.local.day_hour(at)
        counts = row.days.get(day) or writable_day(row, day)
        if len(counts) < self._width:
            counts += [0] * (self._width - len(counts))
        row.note_change(day)
        self._counter.add(leg, sign, bucket, counts, hour)
        if self._note is not None:
            self._note(leg, sign)

    def _work(self, live: Live, start_ms: int, end_ms: int) -> None:
        """Add `[start_ms, end_ms]` to the spans in which the manager worked on calls."""
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
        """Drop the legs and minutes that are past their horizon."""
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
        # An answer whose start and end were lost cannot be counted. A leg with a start waits for its timeout.
        for call in [c for c, leg in live.open.items() if not leg.started_at and leg.stamp < horizon]:
            del live.open[call]
        _trim(live.ring, live.watermark)

    def _bound_timed_out(self, row: ManagerRow) -> None:
        if len(row.timed_out) > _TIMED_OUT_KEPT:
            call = min(row.timed_out, key=lambda call: (row.timed_out[call].stamp, call))
            if row.fresh.pop(call, None) is None:
                invalidate_block(row, call)
            del row.timed_out[call]
            row.fresh.pop(call, None)


def _kind(event: CallStarted | CallEnded) -> LegKind | None:
    return INTERNAL if event.internal is True else event.kind


def _lead(event: CallStarted | CallEnded) -> str | None:
    return None if event.internal is True else event.lead


def _is_sent(leg: Finished) -> bool:
    """Return whether facts about the leg are emitted: to its lead, or to its transcript if it was answered."""
    return leg.lead is not None or (leg.disposition == "answered" and leg.kind != INTERNAL)


def _trim(ring: dict[int, list[int]], newest_ms: int) -> None:
    """Drop the minutes that no window can hold any more."""
    oldest = newest_ms // MINUTE_MS - _RING_MINUTES
    for minute in [minute for minute in ring if minute <= oldest]:
        del ring[minute]

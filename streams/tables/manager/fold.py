"""The fold of the manager table: telephony events change the row's counts, legs, work and presence.

The fold merges an event into its leg (`legs.py`), subtracts what the leg counted as before, and adds what it counts as
now (`counts.py`). A leg is in `open` while it is in progress. A finished leg is remembered in `past` for the retry
horizon, a leg that timed out in `timed_out` until its real end comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from streams.contract.events import CallAnswered, CallEnded, CallsEvent, CallStarted, CallTransferred, ManagerPresence
from streams.settings.settings import Thresholds
from streams.tables.manager.counts import WIDTH_MINUTE, Counter
from streams.tables.manager.effect import APPLIED, DUPLICATE, LATE, NOTHING, TOO_LATE, Emitted, LegChange, ManagerEffect
from streams.tables.manager.legs import RANKS, TIMEOUT, UNKNOWN_TALK, Finished, Leg, Transfer, counts_alike, precedence
from streams.tables.manager.row import Live, ManagerRow, invalidate_block, writable_day
from streams.tables.manager.synthetic import SOURCE, timeout_end, transfer_starts
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS
from streams.windows import merge_run

LATE_MS: Final = 10 * MINUTE_MS
_RING_MINUTES: Final = 70  # an hour, and the clock skew that sources may have
_RUNS_KEPT_MS: Final = 48 * HOUR_MS
# Duplicates do not come during a night without events: those of the evening may come the next morning. So the clock
# that decides what is forgotten advances by no more than this between two events.
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
        elif behind > self._memory_ms and self._is_too_late(live, event, behind):
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
        """Return the ends that are due for legs whose own end did not come. They go through `calls` like any event.

        So the log alone decides what counts, and a real end overrides the timeout, whichever of the two comes first.
        """
        begun_by = now_ms - self._max_call_ms
        return [
            timeout_end(row.id, call, leg, leg.started_at + self._max_call_ms)
            for call, leg in row.live.open.items()
            if 0 < leg.started_at <= begun_by
        ]

    def _is_too_late(self, live: Live, event: CallsEvent, behind: int) -> bool:
        kind = type(event)
        if kind is CallEnded or kind is ManagerPresence:
            return behind > self._kept_ms
        # The leg's end may be counted and forgotten; a leg that is opened now would time out and count twice.
        return event.call not in live.open  # type: ignore[union-attr]  # presence is dealt with above

    # -- events; each method returns what it emits, or None for a duplicate

    def _presence(self, live: Live, event: ManagerPresence) -> tuple[Emitted, ...] | None:
        presences = live.presences
        if event.id in presences:
            return None
        presences[event.id] = None
        if (
            len(presences) > _PRESENCES_KEPT
        ):  # several at once: the first key of a dictionary is found only after the removed ones
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
            live.open[call] = Leg(at, event.id, event.direction, event.kind, event.lead, event.queue)
            self._work(live, at, at)
            return NOTHING
        if leg.includes(event.id):
            return None
        self._work(live, at, at)
        before = leg.result()
        was_described = leg.described
        if not leg.started_at or (at, event.id) < (leg.started_at, leg.start_id):
            if leg.start_id:
                leg.superseded += (leg.start_id,)
            leg.started_at, leg.start_id = at, event.id
            leg.direction, leg.kind, leg.lead, leg.queue = event.direction, event.kind, event.lead, event.queue
        else:
            leg.superseded += (event.id,)
        if call in live.open:
            return NOTHING
        emitted = self._settle(row, call, leg, before)
        return emitted if was_described else emitted + transfer_starts(row.id, call, leg, leg.transfers)

    def _answered(self, row: ManagerRow, live: Live, event: CallAnswered) -> tuple[Emitted, ...] | None:
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
        if leg.includes(event.id):
            return None
        self._work(live, at, at)
        before = leg.result()
        if not leg.answered_at or (at, event.id) < (leg.answered_at, leg.answer_id):
            if leg.answer_id:
                leg.superseded += (leg.answer_id,)
            leg.answered_at, leg.answer_id = at, event.id
        else:
            leg.superseded += (event.id,)
        return NOTHING if call in live.open else self._settle(row, call, leg, before)

    def _ended(self, row: ManagerRow, live: Live, event: CallEnded) -> tuple[Emitted, ...] | None:
        call = event.call
        at = event.at
        rank = RANKS[event.ended_by]
        leg = live.open.pop(call, None)
        was_open = leg is not None
        if leg is None:
            leg = row.past.get(call) or row.timed_out.get(call)
            if leg is None:
                if rank == TIMEOUT and event.source == SOURCE:
                    return None  # the real end came first and is forgotten
                leg = Leg()
                was_open = True
            elif leg.includes(event.id):
                return None
        if rank != TIMEOUT:
            self._work(live, max(event.started_at, at - self._max_call_ms), at)
        end = Finished(
            at,
            event.started_at,
            event.direction,
            event.kind,
            event.disposition,
            event.talk_ms if rank != TIMEOUT else UNKNOWN_TALK,
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
                end = leg.result() or end
                self._bound_timed_out(row)
            self._count(row, end, 1)
            return NOTHING if end.lead is None else (LegChange(call, end, withdrawn=False),)
        before = leg.result()
        was_described = leg.described
        if leg.end is None or precedence(end) > precedence(leg.end):
            if leg.end is not None:
                leg.superseded += (leg.end.id,)
            leg.end = end
        else:
            leg.superseded += (end.id,)
        emitted = self._settle(row, call, leg, before)
        return emitted if was_described else emitted + transfer_starts(row.id, call, leg, leg.transfers)

    def _transferred(self, row: ManagerRow, live: Live, event: CallTransferred) -> tuple[Emitted, ...] | None:
        call = event.call
        leg = live.open.pop(call, None)
        if leg is None:
            leg = row.past.get(call) or row.timed_out.get(call)
            if leg is not None and leg.includes(event.id):
                return None
        self._work(live, event.at, event.at)
        transfer = Transfer(event.at, event.to_manager, event.how, event.id)
        if leg is None:
            leg = Leg()
        before = leg.result()
        leg.transfers += (transfer,)
        if call not in row.past and call not in row.timed_out:
            leg.stamp = live.clock
            row.past[call] = leg
        emitted = self._settle(row, call, leg, before)
        return emitted + transfer_starts(row.id, call, leg, (transfer,)) if leg.described else emitted

    # -- counting

    def _settle(self, row: ManagerRow, call: str, leg: Leg, before: Finished | None) -> tuple[Emitted, ...]:
        """Replace `before` by the present result of a leg that is not in progress; return the changes."""
        if call not in row.fresh:
            row.fresh[call] = leg
            invalidate_block(row, call)
        after = leg.result()
        if after is not None and after.rank != TIMEOUT and row.timed_out.pop(call, None) is not None:
            leg.stamp = row.live.clock
            row.past[call] = leg
        if counts_alike(before, after):
            return NOTHING
        emitted: tuple[Emitted, ...] = NOTHING
        if before is not None:
            self._count(row, before, -1)
            if before.lead is not None:
                emitted = (LegChange(call, before, withdrawn=True),)
        if after is not None:
            self._count(row, after, 1)
            if after.lead is not None:
                emitted += (LegChange(call, after, withdrawn=False),)
        return emitted

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
                if len(ring) > 2 * _RING_MINUTES:  # for days there were only timeouts, which forget nothing
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


def _trim(ring: dict[int, list[int]], newest_ms: int) -> None:
    """Drop the minutes that no window can hold any more."""
    oldest = newest_ms // MINUTE_MS - _RING_MINUTES
    for minute in [minute for minute in ring if minute <= oldest]:
        del ring[minute]

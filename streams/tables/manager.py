"""The manager's rolling table: telephony events in, calls by direction, kind and disposition, talk, work and presence out.

A row is made of *legs*. A leg's state is merged from its events in a way that does not depend on their order, and what
it counts is a function of that state alone; folding an event takes back what the leg counted before and adds what it
counts now. So disorder, repeats and a late end that replaces a timeout all come to the same row. The buckets are a ring
of minutes and one row a local day; see `streams/windows.py`.

State is written to the changelog as one record for the live row and one for each day row that changed, the live row
last. Each carries the offset it has applied (`pos`), so a record that is folded again after a crash changes only those
that have not seen it yet.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from streams.calendars import LocalTime
from streams.events import (
    DISPOSITIONS,
    KINDS,
    CallAnswered,
    CallEnded,
    CallsEvent,
    CallStarted,
    CallTransferred,
    Direction,
    Disposition,
    Kind,
    ManagerPresence,
)
from streams.settings import Thresholds
from streams.windows import MINUTE_MS, merge_run

SOURCE: Final = "callpulse"  # `source` of the events that callpulse itself adds to `calls`

# Places in a bucket. The first WIDTH_MINUTE are kept a minute as well as a day.
INBOUND: Final = 0
OUTBOUND: Final = 1
ANSWERED: Final = 2
CONNECTED: Final = 3  # outbound and answered
TALKED: Final = 4  # answered, and the talk time is known
SHORT: Final = 5
MEANINGFUL: Final = 6
CONVERSATIONS: Final = 7
TALK_MS: Final = 8
TIMED_OUT: Final = 9
WIDTH_MINUTE: Final = 10
KIND: Final = 10
ALL_KINDS: Final = (*KINDS, "unknown")
DISPOSITION: Final = KIND + len(ALL_KINDS)
HOUR_CALLS: Final = DISPOSITION + len(DISPOSITIONS)
HOUR_TALK_MS: Final = HOUR_CALLS + 24
HISTOGRAM: Final = HOUR_TALK_MS + 24

_KIND_PLACE: Final[Mapping[str | None, int]] = {
    **{kind: KIND + place for place, kind in enumerate(ALL_KINDS)},
    None: KIND + len(KINDS),
}
_DISPOSITION_PLACE: Final[Mapping[str, int]] = {d: DISPOSITION + place for place, d in enumerate(DISPOSITIONS)}

# What is known about a leg's end, from the weakest source to the strongest.
_TIMEOUT, _TRANSFER, _CDR, _HANGUP = range(4)
_RANK: Final[Mapping[str, int]] = {"timeout": _TIMEOUT, "cdr": _CDR, "hangup": _HANGUP}

_LATE_MS: Final = 10 * MINUTE_MS
_RING_MINUTES: Final = 70  # an hour, and the clock skew that sources are allowed
_RUNS_KEPT_MS: Final = 48 * 60 * MINUTE_MS
_TIMEOUTS_KEPT: Final = 1000


class Finished(Struct, frozen=True, gc=False, array_like=True):
    """What a finished leg counts. `talk_ms` is -1 where it is not known; such a leg is left out of talk time."""

    at: int
    started_at: int
    direction: Direction
    kind: Kind | None
    disposition: Disposition
    talk_ms: int
    lead: str | None
    rank: int
    id: str


class Leg(Struct, gc=False, array_like=True):
    """A leg that has begun and, as far as is known, not ended."""

    started_at: int | None = None
    start_id: str = ""
    direction: Direction | None = None
    kind: Kind | None = None
    lead: str | None = None
    queue: str | None = None
    answered_at: int | None = None
    stamp: int = 0

    @property
    def since_ms(self) -> int:
        """When the leg was first seen."""
        return min(at for at in (self.started_at, self.answered_at) if at is not None)


class Handover(Struct, frozen=True, gc=False, array_like=True):
    """A transfer of `call` to another manager."""

    call: str
    at: int
    to_manager: str
    how: Literal["blind", "attended"]
    id: str
    stamp: int


class Done(Struct, gc=False, array_like=True):
    """A leg that counts. Remembered for the retry horizon, so that a repeat or a better end finds it.

    `leg` is kept where the end was concluded (timeout, transfer): a start or an answer that comes after it still counts.
    """

    finished: Finished
    stamp: int
    leg: Leg | None = None


class Live(Struct, gc=False, array_like=True):
    """The manager's live row. `stamp`s and dict orders serve forgetting only; they hold event time, not arrival time."""

    pos: int = -1
    watermark: int = 0
    activity_at: int = 0
    presence: str = ""
    presence_at: int = 0
    presence_id: str = ""
    pruned_at: int = 0
    ring: dict[int, list[int]] = msgspec.field(default_factory=dict)
    open: dict[str, Leg] = msgspec.field(default_factory=dict)
    done: dict[str, Done] = msgspec.field(default_factory=dict)
    timed_out: dict[str, Done] = msgspec.field(default_factory=dict)
    handovers: dict[str, Handover] = msgspec.field(default_factory=dict)
    runs: list[list[int]] = msgspec.field(default_factory=list)
    ids: dict[str, int] = msgspec.field(default_factory=dict)


class Day:
    """The counts of one local day."""

    __slots__ = ("counts", "pos")

    def __init__(self, pos: int, counts: array[int]) -> None:
        self.pos = pos
        self.counts = counts


class ManagerRow:
    """Everything that is known of one manager. `days` maps local days (since 1970-01-01) to their counts."""

    __slots__ = ("changed_days", "days", "id", "live", "local", "sums")

    def __init__(self, manager: str, local: LocalTime, live: Live | None = None) -> None:
        self.id = manager
        self.local = local
        self.live = live or Live()
        self.days: dict[int, Day] = {}
        self.changed_days: set[int] = set()  # to be written to the changelog
        self.sums: object = None  # a cache of `read`, dropped when a day before today changes


class Leave(Struct, frozen=True, gc=False):
    """A finished leg that the lead must hear of, or must forget (`withdrawn`)."""

    call: str
    finished: Finished
    withdrawn: bool


Told: TypeAlias = Leave | CallsEvent


class Effect(Struct, frozen=True, gc=False):
    """What folding an event did: `outcome`, and what must be told to others because of it."""

    outcome: Literal["applied", "late", "duplicate", "too_late"]
    told: tuple[Told, ...] = ()


APPLIED: Final = Effect("applied")
LATE: Final = Effect("late")
DUPLICATE: Final = Effect("duplicate")
TOO_LATE: Final = Effect("too_late")


class ManagerFold:
    """Folds telephony events into manager rows by the given thresholds. Holds no state of its own."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._t = thresholds
        self.width = HISTOGRAM + len(thresholds.histogram_ms) + 1
        # Long enough that an open leg is never forgotten before it times out.
        self._memory_ms = max(thresholds.retry_horizon_ms, thresholds.max_call_ms + _LATE_MS)

    def fold(self, row: ManagerRow, event: CallsEvent, pos: int) -> Effect:
        """Apply `event`, the record at offset `pos` of the manager's partition, to `row`.

        A record at or below the row's `pos` must not be given again: the caller checks, because it also skips decoding.
        """
        live = row.live
        live.pos = pos
        at = event.at
        if event.id in live.ids:
            return DUPLICATE
        late = at < live.watermark - _LATE_MS
        if late and at < live.watermark - self._t.day_rows * 86_400_000:
            return TOO_LATE
        if type(event) is CallEnded:
            told = self._ended(row, event, pos)
        elif type(event) is ManagerPresence:
            told = ()
            if (at, event.id) > (live.presence_at, live.presence_id):
                live.presence, live.presence_at, live.presence_id = event.state, at, event.id
        elif late and at < live.watermark - self._memory_ms and event.call not in live.open:
            # Its end may have been counted and forgotten; a leg that is opened now would time out and count twice.
            return TOO_LATE
        elif type(event) is CallStarted:
            told = self._started(row, event, pos)
        elif type(event) is CallAnswered:
            told = self._answered(row, event, pos)
        else:
            told = self._transferred(row, event, pos)
        if told is None:
            return DUPLICATE
        if at > live.watermark:
            live.watermark = at
        live.ids[event.id] = live.watermark
        if live.watermark - live.pruned_at > MINUTE_MS:
            self._forget(row)
        if told:
            return Effect("late" if late else "applied", told)
        return LATE if late else APPLIED

    def timeouts(self, row: ManagerRow, now_ms: int) -> list[CallEnded]:
        """Return the ends that are due for legs whose own end never came. They go through `calls` like any event.

        So the log alone decides what counted, and a real end that overtakes its timeout simply wins.
        """
        ends = []
        for call, leg in row.live.open.items():
            if leg.started_at is None or leg.direction is None or leg.started_at + self._t.max_call_ms > now_ms:
                continue
            ends.append(
                CallEnded(
                    v=1,
                    id=_derived_id("timeout", call, row.id),
                    at=leg.started_at + self._t.max_call_ms,
                    source=SOURCE,
                    call=call,
                    manager=row.id,
                    lead=leg.lead,
                    direction=leg.direction,
                    kind=leg.kind,
                    started_at=leg.started_at,
                    talk_ms=0,
                    disposition="answered" if leg.answered_at is not None else "no_answer",
                    ended_by="timeout",
                )
            )
        return ends

    # -- the events of a leg; each returns what must be told, or None where the event says nothing new

    def _started(self, row: ManagerRow, event: CallStarted, pos: int) -> tuple[Told, ...]:
        live = row.live
        self._active(live, event.at, event.at)
        leg, done = self._leg(live, event.call, event.at)
        if leg is None:
            return ()
        if leg.started_at is None or (event.at, event.id) < (leg.started_at, leg.start_id):
            leg.started_at, leg.start_id = event.at, event.id
            leg.direction, leg.kind, leg.lead, leg.queue = event.direction, event.kind, event.lead, event.queue
        told = self._conclude_again(row, event.call, done, pos)
        return told + self._waiting(row, event.call, leg, pos) if live.handovers else told

    def _answered(self, row: ManagerRow, event: CallAnswered, pos: int) -> tuple[Told, ...]:
        self._active(row.live, event.at, event.at)
        leg, done = self._leg(row.live, event.call, event.at)
        if leg is None:
            return ()
        if leg.answered_at is None or event.at < leg.answered_at:
            leg.answered_at = event.at
        return self._conclude_again(row, event.call, done, pos)

    def _transferred(self, row: ManagerRow, event: CallTransferred, pos: int) -> tuple[Told, ...]:
        live = row.live
        self._active(live, event.at, event.at)
        handover = Handover(event.call, event.at, event.to_manager, event.how, event.id, max(live.watermark, event.at))
        leg = live.open.get(event.call)
        if leg is None:
            done = live.done.get(event.call) or live.timed_out.get(event.call)
            leg = None if done is None else done.leg or _leg_of(done.finished)
        if leg is None or leg.started_at is None:
            live.handovers[event.id] = handover
            return ()
        return self._hand_over(row, leg, handover, pos)

    def _ended(self, row: ManagerRow, event: CallEnded, pos: int) -> tuple[Told, ...] | None:
        live = row.live
        rank = _RANK[event.ended_by]
        leg = live.open.get(event.call)
        if rank == _TIMEOUT:
            if event.source == SOURCE and leg is None:
                return None  # its real end came first
        else:
            self._active(live, max(event.started_at, event.at - self._t.max_call_ms), event.at)
        finished = Finished(
            event.at,
            event.started_at,
            event.direction,
            event.kind,
            event.disposition,
            -1 if rank == _TIMEOUT else event.talk_ms,
            event.lead,
            rank,
            event.id,
        )
        told = self._finish(row, event.call, finished, leg if rank == _TIMEOUT else None, pos)
        return told + self._waiting(row, event.call, _leg_of(finished), pos) if live.handovers else told

    def _leg(self, live: Live, call: str, at: int) -> tuple[Leg | None, Done | None]:
        """Return the leg that an event of `call` belongs to, begun if need be; None where its own end is known."""
        done = live.done.get(call) or live.timed_out.get(call)
        if done is not None:
            return done.leg, done
        leg = live.open.get(call)
        if leg is None:
            leg = live.open[call] = Leg()
        leg.stamp = max(live.watermark, at)
        return leg, None

    def _waiting(self, row: ManagerRow, call: str, leg: Leg, pos: int) -> tuple[Told, ...]:
        """Carry out the transfers that came before anything else of the leg."""
        told: tuple[Told, ...] = ()
        for key in [key for key, handover in row.live.handovers.items() if handover.call == call]:
            told += self._hand_over(row, leg, row.live.handovers.pop(key), pos)
        return told

    def _hand_over(self, row: ManagerRow, leg: Leg, to: Handover, pos: int) -> tuple[Told, ...]:
        """End the leg at the transfer, unless its own end is known, and begin the other manager's."""
        told = self._finish(row, to.call, _until_transfer(leg, to.at, to.id), leg, pos)
        if to.to_manager == row.id or leg.direction is None:
            return told
        begun = CallStarted(
            v=1,
            id=_derived_id("transfer", to.call, to.to_manager, to.id),
            at=to.at,
            source=SOURCE,
            call=to.call,
            manager=to.to_manager,
            lead=leg.lead,
            direction=leg.direction,
            kind=leg.kind,
            queue=leg.queue,
        )
        if to.how == "blind":
            return (*told, begun)
        joined = CallAnswered(  # the two have talked already
            v=1,
            id=_derived_id("joined", to.call, to.to_manager, to.id),
            at=to.at,
            source=SOURCE,
            call=to.call,
            manager=to.to_manager,
            lead=leg.lead,
        )
        return (*told, begun, joined)

    # -- counting

    def _finish(self, row: ManagerRow, call: str, finished: Finished, leg: Leg | None, pos: int) -> tuple[Told, ...]:
        """Let `finished` count for the leg if it is the best that is known of its end."""
        live = row.live
        live.open.pop(call, None)
        done = live.done.get(call) or live.timed_out.get(call)
        if done is not None:
            return (
                self._replace(row, call, done, finished, leg, pos) if _worth(finished) > _worth(done.finished) else ()
            )
        self._move(row, None, finished, pos)
        memory = live.timed_out if finished.rank == _TIMEOUT else live.done
        memory[call] = Done(finished, max(live.watermark, finished.at), leg)
        return () if finished.lead is None else (Leave(call, finished, withdrawn=False),)

    def _conclude_again(self, row: ManagerRow, call: str, done: Done | None, pos: int) -> tuple[Told, ...]:
        """Let what was learnt about a leg after its end was concluded change that end."""
        if done is None or done.leg is None:
            return ()
        old, leg = done.finished, done.leg
        if old.rank == _TRANSFER:
            new = _until_transfer(leg, old.at, old.id)
        else:
            disposition: Disposition = "no_answer" if leg.answered_at is None else "answered"
            new = msgspec.structs.replace(old, disposition=disposition)
        return () if new == old else self._replace(row, call, done, new, leg, pos)

    def _replace(
        self, row: ManagerRow, call: str, done: Done, new: Finished, leg: Leg | None, pos: int
    ) -> tuple[Told, ...]:
        """Take back what the leg counted and count `new`."""
        old = done.finished
        self._move(row, old, new, pos)
        done.finished, done.leg = new, leg
        if old.rank == _TIMEOUT != new.rank:
            row.live.done[call] = row.live.timed_out.pop(call)
            done.stamp = max(row.live.watermark, new.at)
        told = (Leave(call, old, withdrawn=True), Leave(call, new, withdrawn=False))
        return tuple(leave for leave in told if leave.finished.lead is not None)

    def _move(self, row: ManagerRow, old: Finished | None, new: Finished, pos: int) -> None:
        """Take `old` out of its buckets and put `new` into its own."""
        day, hour = row.local.day_hour(new.at)
        days = [(new, day, hour, 1)]
        if old is not None:
            days.append((old, *row.local.day_hour(old.at), -1))
        # A day row that was written ahead of the live row has seen this record already. All are asked before any is
        # changed, because both legs may lie in one day.
        fresh = [self._day(row, day).pos < pos for _, day, _, _ in days]
        for (leg, day, hour, sign), is_fresh in zip(days, fresh, strict=True):
            self._count(self._minute(row.live, leg.at), leg, sign)
            if is_fresh:
                target = row.days[day]
                target.pos = pos
                counts = target.counts
                self._count(counts, leg, sign)
                counts[_KIND_PLACE[leg.kind]] += sign
                counts[_DISPOSITION_PLACE[leg.disposition]] += sign
                counts[HOUR_CALLS + hour] += sign
                if leg.disposition == "answered" and leg.talk_ms >= 0:
                    counts[HOUR_TALK_MS + hour] += sign * leg.talk_ms
                    counts[HISTOGRAM + bisect_left(self._t.histogram_ms, leg.talk_ms)] += sign
                row.changed_days.add(day)
                row.sums = None

    def _count(self, counts: array[int] | list[int], leg: Finished, sign: int) -> None:
        """Add what `leg` counts to the places that minutes and days share."""
        outbound = leg.direction == "outbound"
        counts[OUTBOUND if outbound else INBOUND] += sign
        if leg.rank == _TIMEOUT:
            counts[TIMED_OUT] += sign
        if leg.disposition == "answered":
            counts[ANSWERED] += sign
            if outbound:
                counts[CONNECTED] += sign
            talk_ms = leg.talk_ms
            if talk_ms >= 0:
                thresholds = self._t
                counts[TALKED] += sign
                counts[TALK_MS] += sign * talk_ms
                if talk_ms < thresholds.short_ms:
                    counts[SHORT] += sign
                if talk_ms >= thresholds.conversation_ms:
                    counts[CONVERSATIONS] += sign
                    if talk_ms >= thresholds.meaningful_ms:
                        counts[MEANINGFUL] += sign

    def _minute(self, live: Live, at: int) -> list[int]:
        """Return the bucket of the minute of `at`; one that nobody keeps where that minute is past the ring."""
        minute = at // MINUTE_MS
        bucket = live.ring.get(minute)
        if bucket is None:
            bucket = [0] * WIDTH_MINUTE
            if minute > live.watermark // MINUTE_MS - _RING_MINUTES:
                live.ring[minute] = bucket
        return bucket

    def _day(self, row: ManagerRow, day: int) -> Day:
        found = row.days.get(day)
        if found is None:
            found = row.days[day] = Day(-1, array("q", bytes(8 * self.width)))
        return found

    def _active(self, live: Live, start_ms: int, end_ms: int) -> None:
        """Note that the manager was at work on calls in `[start_ms, end_ms]`."""
        live.activity_at = max(live.activity_at, end_ms)
        if end_ms < live.watermark - _RUNS_KEPT_MS:
            return
        runs = live.runs
        if runs and runs[-1][0] <= start_ms < runs[-1][1] + self._t.work_gap_ms:
            if end_ms > runs[-1][1]:
                runs[-1][1] = end_ms
        else:
            merge_run(runs, start_ms, end_ms, self._t.work_gap_ms)

    def _forget(self, row: ManagerRow) -> None:
        """Drop what is past its horizon. Event time alone decides, so a replay forgets the same."""
        live = row.live
        live.pruned_at = live.watermark
        horizon = live.watermark - self._memory_ms
        for memory in (live.done, live.handovers):
            for key in [key for key, kept in memory.items() if kept.stamp < horizon]:
                del memory[key]
        # An answer whose start and end were both lost says too little to count; a leg with a start waits for its timeout.
        for call in [c for c, leg in live.open.items() if leg.started_at is None and leg.stamp < horizon]:
            del live.open[call]
        ids = live.ids
        for key in [key for key, stamp in _while_before(ids, live.watermark - self._t.retry_horizon_ms)]:
            del ids[key]
        oldest = live.watermark // MINUTE_MS - _RING_MINUTES
        for minute in [minute for minute in live.ring if minute <= oldest]:
            del live.ring[minute]
        while live.runs and live.runs[0][1] < live.watermark - _RUNS_KEPT_MS:
            del live.runs[0]
        while len(live.timed_out) > _TIMEOUTS_KEPT:
            del live.timed_out[next(iter(live.timed_out))]


def _while_before(stamps: Mapping[str, int], horizon: int) -> list[tuple[str, int]]:
    """Return the entries at the front of `stamps`, whose stamps never fall, that lie before `horizon`."""
    found = []
    for entry in stamps.items():
        if entry[1] >= horizon:
            break
        found.append(entry)
    return found


def _worth(finished: Finished) -> tuple[int, bool, int, str]:
    """Order ends of one leg from the weakest knowledge to the strongest, and never leave two of them equal."""
    return finished.rank, finished.disposition == "answered", finished.at, finished.id


def _leg_of(finished: Finished) -> Leg:
    """Return the leg that a self-contained end describes."""
    return Leg(finished.started_at, "", finished.direction, finished.kind, finished.lead)


def _until_transfer(leg: Leg, at: int, transfer_id: str) -> Finished:
    """Return what a leg counts that was transferred at `at`: who hands a call over has talked."""
    talk_ms = -1 if leg.answered_at is None else max(0, at - leg.answered_at)
    started_at = at if leg.started_at is None else leg.started_at
    direction = leg.direction or "inbound"
    return Finished(at, started_at, direction, leg.kind, "answered", talk_ms, leg.lead, _TRANSFER, transfer_id)


def _derived_id(*parts: str) -> str:
    """Return an id that says the same whenever the same cause is met again."""
    return f"{parts[0]}:{blake2b(chr(0).join(parts).encode(), digest_size=16).hexdigest()}"

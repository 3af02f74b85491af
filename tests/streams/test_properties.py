"""Properties of the manager table: disorder, repeats, batches, crashes and suspended workers change no figure."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any, Final, NamedTuple

from hypothesis import event as note
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from streams.calendars import local_time
from streams.contract.events import (
    DISPOSITIONS,
    KINDS_AND_UNKNOWN,
    CallEnded,
    CallsEvent,
    CallTransferred,
    EndedBy,
    PresenceState,
)
from streams.tables.manager.codec import ManagerRecords
from streams.tables.manager.counts import (
    ANSWERED,
    CONNECTED,
    CONVERSATIONS,
    DISPOSITION,
    HISTOGRAM,
    HOUR_CALLS,
    INBOUND,
    INTERNAL_LEGS,
    INTERNAL_TALK_MS,
    KIND,
    MEANINGFUL,
    OUTBOUND,
    SHORT,
    TALK_MS,
    TALKED,
    TIMED_OUT,
)
from streams.tables.manager.effect import LegChange, ManagerEffect
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.results import result_of
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.view import ManagerCache, ManagerView
from tests.examples import examples
from tests.streams.recount import Counted, counted_legs, recount
from tests.streams.timeline import (
    DAY,
    FOLD,
    HOUR,
    MANAGER,
    MINUTE,
    NINE,
    THRESHOLDS,
    ZONE,
    answered,
    ended,
    folded,
    new_row,
    passing,
    presence,
    seen,
    started,
    transferred,
)

KEY = MANAGER.encode()
# Histories drawn here are short: blocks of 2 legs come up in them as blocks of 16 do in a day of calls.
RECORDS = ManagerRecords(lambda _: local_time(ZONE), day_rows=400, block_legs=2)
LATEST_ARRIVAL = 5 * HOUR  # well inside the retry horizon of 6 h, legs being shorter than one


def figures(view: ManagerView) -> dict[Any, Any]:
    """Return the view under the names that `recount` uses."""
    found: dict[Any, Any] = {}
    for window, counts in view.counts.items():
        names = {
            "inbound": INBOUND,
            "outbound": OUTBOUND,
            "answered": ANSWERED,
            "connected": CONNECTED,
            "talked": TALKED,
            "talk": TALK_MS,
            "short": SHORT,
            "meaningful": MEANINGFUL,
        }
        if window != "1h":
            names |= {"conversations": CONVERSATIONS, "timed_out": TIMED_OUT}
            found["kinds", window] = Counter(dict(zip(KINDS_AND_UNKNOWN, counts[KIND:DISPOSITION], strict=True)))
            by_disposition = dict(zip(DISPOSITIONS, counts[DISPOSITION:HOUR_CALLS], strict=True))
            found["dispositions", window] = Counter(by_disposition)
        if window == "today":
            internal = counts[INTERNAL_LEGS : INTERNAL_TALK_MS + 1] or [0, 0]
            found["internal", window], found["internal_talk", window] = internal
            found["histogram", window] = list(itertools.accumulate(counts[HISTOGRAM : HISTOGRAM + 9]))
        found.update({(name, window): counts[place] for name, place in names.items()})
    for name in ("in_progress", "longest", "last_activity", "presence", "work_block", "work_blocks", "breaks_missed"):
        found[name] = getattr(view, name)
    return found


def expected(events: list[CallsEvent], now: int, like: dict[Any, Any]) -> dict[Any, Any]:
    """Return the recount, of those figures that a view has."""
    counted = recount(events, now, ZONE)
    return {name: counted[name] for name in like}


ENDS: st.SearchStrategy[EndedBy] = st.sampled_from(["hangup", "hangup", "cdr", "timeout"])
DOUBTS = st.sampled_from([UNSET, UNSET, True, False])
STATES: st.SearchStrategy[PresenceState] = st.sampled_from(["available", "offline"])


@st.composite
def legs(draw: st.DrawFn, span: int) -> list[CallsEvent]:
    """Draw the events of one leg, some of which may be missing or there twice, or contradict each other."""
    call = f"c{draw(st.integers(0, 10**6))}"
    begun = NINE + draw(st.integers(0, span))
    lead = draw(st.sampled_from([None, "lead-1", "lead-2"]))
    said = {
        "direction": draw(st.sampled_from(["outbound", "inbound"])),
        "kind": draw(st.sampled_from([None, "cold", "repeat"])),
        "lead": lead,
        "internal": draw(st.sampled_from([UNSET, UNSET, UNSET, False, True])),
    }
    moment = st.integers(0, 50 * MINUTE)
    starts = draw(st.sampled_from([[0], [0], [700], [], [0, 700]]))
    answers = draw(st.lists(moment, max_size=2))
    events: list[CallsEvent] = [started(call, begun + after, **said) for after in starts]
    events += [answered(call, begun + after) for after in answers]
    for by in draw(st.lists(ENDS, max_size=2)):
        at = begun + draw(moment)
        talk = draw(st.sampled_from([None, 0, 59_999, 60_000, 119_999, 120_000, 299_999, 300_000]))
        events.append(ended(call, at, begun=begun, talk=talk, by=by, uncertain=draw(DOUBTS), **said))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        to = draw(st.sampled_from(["boris", "clara", MANAGER]))
        events.append(transferred(call, begun + draw(moment), to, draw(st.sampled_from(["blind", "attended"]))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):  # the call comes back to the manager
        back = begun + draw(moment)
        talked = draw(st.integers(0, 10 * MINUTE))
        by = draw(ENDS)
        again: list[CallsEvent] = [
            started(call, back, **said),
            answered(call, back + draw(st.sampled_from([0, 5_000, MINUTE]))),
            ended(call, back + talked, begun=back, talk=talked, by=by, uncertain=draw(DOUBTS), **said)
            if draw(st.booleans())
            else transferred(call, back + talked, "boris"),
        ]
        events += again[draw(st.integers(0, 2)) : draw(st.sampled_from([2, 3]))]
    return list({event.id: event for event in events}.values())


def call_of(leg: list[CallsEvent]) -> str:
    return getattr(leg[0], "call", "") if leg else ""


@st.composite
def histories(draw: st.DrawFn) -> list[CallsEvent]:
    """Draw some legs and presence, in the order of time."""
    span = draw(st.sampled_from([HOUR, 14 * HOUR, 3 * DAY]))
    drawn = draw(st.lists(legs(span), max_size=8, unique_by=call_of))
    events = [event for leg in drawn for event in leg]
    if draw(st.booleans()):  # a busy day, after which the morning's legs are forgotten
        events += passing(NINE, NINE + 16 * HOUR)
    for at, state in draw(st.lists(st.tuples(st.integers(0, 3 * DAY), STATES))):
        events.append(presence(state, NINE + at))
    return sorted({event.id: event for event in events}.values(), key=lambda event: event.at)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[CallsEvent], list[CallsEvent]]:
    """Draw a history, and the same as it may arrive: late within the bound, disordered, with repeats."""
    history = draw(histories())
    again = draw(st.lists(st.sampled_from(history), max_size=5)) if history else []
    late = st.sampled_from([0, 0, 1, 5_000, 11 * MINUTE, 2 * HOUR, LATEST_ARRIVAL])
    arrived = [(event.at + draw(late), draw(st.integers()), event) for event in history + again]
    return history, [event for _, _, event in sorted(arrived, key=lambda item: item[:2])]


def moments(history: list[CallsEvent]) -> st.SearchStrategy[int]:
    """Draw a moment at or after the newest event, from seconds to months."""
    newest = max((event.at for event in history), default=NINE)
    after = st.sampled_from([0, 1, 30_000, 14 * MINUTE, 16 * MINUTE, 59 * MINUTE, HOUR, 5 * HOUR])
    days = st.sampled_from([0, 0, 1, 5, 6, 7, 28, 29, 30, 88, 89, 90, 91])
    return st.builds(lambda more, day: newest + more + day * DAY, after, days)


def is_sent(leg: Counted) -> bool:
    """Return whether a leg emits facts: to its lead, or to its transcript where it was answered."""
    return leg.lead is not None or (leg.disposition == "answered" and leg.kind != "internal")


def net_of(effects: list[ManagerEffect]) -> dict[str, Any]:
    """Return the state of each call in its lead once every fact has arrived."""
    believed: dict[str, list[Any]] = {}
    for effect in effects:
        for told in effect.emitted:
            if isinstance(told, LegChange):
                legs_of_call = believed.setdefault(told.call, [])
                finished = told.finished
                talk = None if finished.talk_ms < 0 or finished.disposition != "answered" else finished.talk_ms
                kind = finished.kind or "unknown"
                is_timeout = finished.rank == 0
                spoken = (finished.at, finished.started_at, finished.direction, kind, finished.disposition, talk)
                leg = (*spoken, finished.lead, is_timeout)
                if told.withdrawn:
                    legs_of_call.remove(leg)
                else:
                    legs_of_call.append(leg)
    return {call: found for call, found in believed.items() if found}


@examples(400)
@given(arrivals(), st.data())
def test_a_row_reads_as_a_recount_of_its_events_whatever_their_order(
    drawn: tuple[list[CallsEvent], list[CallsEvent]], data: st.DataObject
) -> None:
    history, arrived = drawn
    row, effects = folded(arrived)
    now = data.draw(moments(history))
    cache = ManagerCache()
    found = figures(seen(row, now, cache=cache))
    assert found == expected(history, now, found)
    # Read again: caches of the first read must not change the result.
    later = now + data.draw(st.sampled_from([0, HOUR, DAY, 2 * DAY, 30 * DAY]))
    found = figures(seen(row, later, cache=cache))
    assert found == expected(history, later, found)
    known = {call: [tuple(leg)] for call, leg in counted_legs(history).items() if is_sent(leg)}
    assert net_of(effects) == known
    repeats = len(arrived) - len(history)
    assert sum(effect.outcome == "duplicate" for effect in effects) == repeats
    note(f"repeats: {min(repeats, 3)}")


@examples(150)
@given(arrivals(), st.data())
def test_reading_between_events_changes_nothing(
    drawn: tuple[list[CallsEvent], list[CallsEvent]], data: st.DataObject
) -> None:
    history, arrived = drawn
    now = data.draw(moments(history))
    row, cache = new_row(), ManagerCache()
    for pos, event in enumerate(arrived):
        FOLD.fold(row, event, pos)
        if data.draw(st.booleans(), label="read"):
            seen(row, now - data.draw(st.sampled_from([0, 0, DAY])), cache=cache)
    found = figures(seen(row, now, cache=cache))
    assert found == expected(history, now, found)


@examples(150)
@given(arrivals())
def test_a_row_that_is_written_is_restored_as_it_was(drawn: tuple[list[CallsEvent], list[CallsEvent]]) -> None:
    _, arrived = drawn
    row, _ = folded(arrived)
    assert restored(RECORDS.changelog(KEY, row)) == (row, False)


def restored(log: list[tuple[bytes, bytes | None]]) -> tuple[ManagerRow, bool]:
    """Return the row that the changelog holds, and whether some of it has to be written again."""
    rows: dict[bytes, ManagerRow] = {}
    stale = [key for key, value in log if RECORDS.restore(rows, key, value) is not None]
    return rows.get(KEY) or new_row(), bool(stale)


def compacted(log: list[tuple[bytes, bytes | None]]) -> list[tuple[bytes, bytes | None]]:
    """Return the changelog as Kafka's log cleaner may leave it: the last record of each key."""
    last = {key: place for place, (key, _) in enumerate(log)}
    return [record for place, record in enumerate(log) if last[record[0]] == place]


@examples(300)
@given(arrivals(), st.data())
def test_a_crash_at_any_record_of_any_checkpoint_changes_nothing(
    drawn: tuple[list[CallsEvent], list[CallsEvent]], data: st.DataObject
) -> None:
    """
    offsets     0 1 2 3 4 5 6 7 ...
    worker 1    ● ● ●[checkpoint, all written] ● ● [checkpoint, cut off]
    worker 2          ◄── folds again from the last committed offset; what its row has seen is passed over
    """
    _, arrived = drawn
    undisturbed, effects = folded(arrived)
    log: list[tuple[bytes, bytes | None]] = []
    facts: dict[tuple[int, int], Any] = {}
    committed = 0
    row = new_row()
    crashes = 0
    while committed < len(arrived):
        stop = data.draw(st.integers(committed + 1, len(arrived)), label="checkpoint before")
        for pos in range(committed, stop):
            if pos > row.live.pos:
                for slot, told in enumerate(FOLD.fold(row, arrived[pos], pos).emitted):
                    assert facts.setdefault((pos, slot), told) == told  # sent again, it is the same
        records = RECORDS.changelog(KEY, row)
        cut = data.draw(st.one_of(st.none(), st.integers(0, len(records))), label="records written")
        if cut is not None and crashes < 20:
            crashes += 1
            log += records[:cut]
            row, _ = restored(log)
            continue
        log += records
        if data.draw(st.booleans(), label="compact"):
            log = compacted(log)
        committed = stop
    assert row == undisturbed
    assert restored(log)[0] == undisturbed
    assert restored(compacted(log))[0] == undisturbed
    assert list(facts.values()) == [told for effect in effects for told in effect.emitted]


@examples(200)
@given(arrivals(), st.data())
def test_rows_that_a_suspended_worker_writes_late_are_passed_over(
    drawn: tuple[list[CallsEvent], list[CallsEvent]], data: st.DataObject
) -> None:
    """
    worker 1   ●●●●[checkpoint]●●● suspended ............ [its checkpoint arrives] ends
    worker 2                       ●●●●●●●●●[checkpoint]                           ●●[checkpoint]
    worker 3                                                                                     restores
    """
    _, arrived = drawn
    undisturbed, _ = folded(arrived)
    first, second, third = sorted(data.draw(st.integers(0, len(arrived)), label="stop") for _ in range(3))
    log: list[tuple[bytes, bytes | None]] = []
    suspended, _ = folded(arrived[:first])
    log += RECORDS.changelog(KEY, suspended)
    other, _ = restored(log)
    folded(arrived[first:second], suspended)
    late = RECORDS.changelog(KEY, suspended)
    for stop in (data.draw(st.integers(first, third), label="in between"), third):
        folded(arrived[other.live.pos + 1 : stop], other)
        log += RECORDS.changelog(KEY, other)
    log += late
    last, is_stale = restored(log)
    assert last.live.pos == max(second, third) - 1
    if is_stale:
        log += RECORDS.changelog(KEY, last)
        assert restored(compacted(log))[0] == last
    folded(arrived[last.live.pos + 1 :], last)
    assert last == undisturbed


class Sweeps(NamedTuple):
    """After which of the events that arrive timeouts are sent, or a worker starts again; and which ends are lost."""

    after: tuple[int, ...] = ()
    restarts: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()


def sweeps() -> st.SearchStrategy[Sweeps]:
    places = st.lists(st.integers(0, 40), max_size=12).map(tuple)
    return st.builds(Sweeps, places, places, places)


# A leg that is forgotten before its last event comes is another matter.
REMEMBERING: Final = ManagerFold(replace(THRESHOLDS, retry_horizon_ms=7 * DAY))
LATE_START: Final[list[CallsEvent]] = [started("c1", NINE + MINUTE), started("c1", NINE, id="earlier", lead="lead-2")]


@examples(150)
@example((LATE_START, LATE_START), Sweeps(after=(0,)))
@given(arrivals(), sweeps())
def test_a_timeout_counts_the_same_whenever_it_is_sent_and_whichever_start_it_knew(
    drawn: tuple[list[CallsEvent], list[CallsEvent]], plan: Sweeps
) -> None:
    """
    one worker     s  ●  sweep: timeout of the start that is known ●  an earlier start comes late  ●  crash, sweep again
    the other      s  ●                                            ●  an earlier start comes late  ●  sweep
    """
    history, arrived = drawn
    arrived = [event for place, event in enumerate(arrived) if place not in plan.lost or not _ends(event)]
    newest = max((event.at for event in history), default=NINE)
    row, once = new_row(), new_row()
    changelog: list[tuple[bytes, bytes | None]] = []
    for place, event in enumerate(arrived):
        REMEMBERING.fold(row, event, row.live.pos + 1)
        REMEMBERING.fold(once, event, once.live.pos + 1)
        if place in plan.after:
            due = REMEMBERING.timeouts(row, event.at + 4 * HOUR)
            for end in [*due, *due]:  # a worker that was started again sends them twice
                REMEMBERING.fold(row, end, row.live.pos + 1)
        if place in plan.restarts:
            changelog += RECORDS.changelog(KEY, row)
            row, _ = restored(changelog)
    now = newest + 5 * HOUR
    for each in (row, once):
        for _ in range(4):  # a leg that begins again times out again
            for end in REMEMBERING.timeouts(each, now):
                REMEMBERING.fold(each, end, each.live.pos + 1)
        assert REMEMBERING.timeouts(each, now) == []
    assert results(row) == results(once)
    for moment in (now, now + DAY, now + 6 * DAY):
        assert figures(seen(row, moment)) == figures(seen(once, moment))


def results(row: ManagerRow) -> dict[str, Any]:
    """Return the result of each leg, from any of its events."""
    found = {call: result_of(leg) for call, leg in {**row.past, **row.timed_out}.items()}
    return {call: result.packed()[:-1] for call, result in found.items() if result is not None}


def _ends(event: CallsEvent) -> bool:
    return isinstance(event, CallEnded | CallTransferred)


@examples(150)
@given(arrivals(), st.data())
def test_timeouts_of_lost_ends_are_replaced_by_ends_that_come_after_all(
    drawn: tuple[list[CallsEvent], list[CallsEvent]], data: st.DataObject
) -> None:
    history, arrived = drawn
    lost = {event.id for event in history if isinstance(event, CallEnded) and data.draw(st.booleans(), label="lost")}
    row, effects = folded([event for event in arrived if event.id not in lost])
    now = max((event.at for event in history), default=NINE) + 5 * HOUR
    timeouts = FOLD.timeouts(row, now)
    assert all(timeout.at <= now for timeout in timeouts)
    more, others = folded(timeouts, row)[1], [event for event in history if event.id not in lost]
    assert FOLD.timeouts(row, now) == []
    found = figures(seen(row, now))
    assert found == expected([*others, *timeouts], now, found)
    # The worker that took over sends them once more, then the lost ends are found: in the CDR file, say.
    assert {effect.outcome for effect in folded(timeouts, row)[1]} <= {"duplicate"}
    if now - min((event.at for event in history if event.id in lost), default=now) < 6 * HOUR:
        effects += more + folded([event for event in history if event.id in lost], row)[1]
        found = figures(seen(row, now))
        assert found == expected([*history, *timeouts], now, found)


@examples(100)
@given(arrivals())
def test_windows_decay_to_zero_without_any_event(drawn: tuple[list[CallsEvent], list[CallsEvent]]) -> None:
    history, arrived = drawn
    row, _ = folded(arrived)
    newest = max((event.at for event in history), default=NINE)
    assert not any(seen(row, newest + HOUR + MINUTE).counts["1h"])
    assert not any(seen(row, newest + DAY).counts["today"])
    assert not any(seen(row, newest + 7 * DAY).counts["7d"])
    assert not any(seen(row, newest + 30 * DAY).counts["30d"])
    view = seen(row, newest + 90 * DAY)
    assert not any(itertools.chain(*view.counts.values()))
    assert (view.in_progress, view.work_block, view.work_blocks, view.breaks_missed) == (0, 0, 0, 0)

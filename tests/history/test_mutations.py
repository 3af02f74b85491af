"""Faults on the way of a history have the effects that are declared here, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from random import Random
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.contract.events import LATEST_MS, CallEnded, CallEvent, Event
from streams.simulator.rendering import ami, cdr, cel, export, queue_log
from streams.simulator.rendering.ami import State
from streams.simulator.rendering.pbx_facts import TRUNK, PbxFact
from streams.simulator.truth.figures import Figures
from streams.sources.asterisk import Asterisk
from streams.sources.skew import looks_like_zone
from streams.units import HOUR_MS, MINUTE_MS, SECOND_MS
from tests.examples import USUAL
from tests.history.adapters import (
    MAPPING,
    cdr_source,
    cel_source,
    of_bytes,
    of_export,
    of_frames,
    of_lines,
    queue_log_source,
)
from tests.history.departments import MONDAY_MS, SECRET, ZONE, Made, differences, made, tables
from tests.history.losses import known_to
from tests.history.mutations import frames, reordered

pytestmark = pytest.mark.slow

FEW: Final = max(1, USUAL // 10)
SEEDS: Final = st.integers(0, 2**32)


def small() -> Made:
    return made(managers=3)


@cache
def want(of: Made, adapter: str) -> Figures:
    return tables(of, known_to(adapter, of).events())


@cache
def heard(of: Made) -> tuple[Event, ...]:
    return tuple(of_frames(of, ami.write(of.facts)))


@cache
def written(of: Made) -> tuple[Event, ...]:
    """Return the events of CEL beside a live listener."""
    return tuple(of_lines(cel_source(of, "cdr"), cel.csv(of.facts), of.end_ms))


@cache
def of_queues(of: Made) -> tuple[Event, ...]:
    return tuple(of_lines(queue_log_source(of, "cdr"), queue_log.lines(of.facts), of.end_ms))


def in_order(*sources: Iterable[Event]) -> list[Event]:
    return sorted((event for source in sources for event in source), key=lambda event: event.at)


# -- doubled


def test_messages_that_come_twice_change_nothing() -> None:
    of = small()
    doubled = [frame for frame in frames(of.facts) for _ in range(2)]
    assert differences(want(of, "ami"), tables(of, of_frames(of, doubled))) == {}


@pytest.mark.parametrize("late_us", [1, 1_000_000, 20_000_000])
def test_two_connections_change_nothing(late_us: int) -> None:
    of = small()
    both = [(fact.at_us + late, fact) for fact in of.facts for late in (0, late_us)]
    again = [fact for _, fact in sorted(both, key=lambda pair: pair[0])]
    assert differences(want(of, "ami"), tables(of, of_frames(of, frames(again)))) == {}


@pytest.mark.parametrize(
    ("adapter", "lines"),
    [("cel", lambda of: [*cel.csv(of.facts)]), ("queue_log", lambda of: [*queue_log.lines(of.facts)])],
)
def test_a_file_that_is_read_twice_changes_nothing(adapter: str, lines: Callable[[Made], list[bytes]]) -> None:
    """The second reading is hours late: a memory of a day is needed, as where records are imported at night."""
    of = remembering(small())
    make = cel_source if adapter == "cel" else queue_log_source
    events = [event for _ in range(2) for event in of_lines(make(of), lines(of), of.end_ms)]
    assert differences(want(of, adapter), tables(of, events)) == {}


def test_an_export_that_is_read_twice_changes_nothing() -> None:
    of = remembering(small())
    data = b"".join(export.rows(of.history, of.book, ZONE))
    assert differences(want(of, "export"), tables(of, [*of_export(of, data), *of_export(of, data)])) == {}


@cache
def remembering(of: Made) -> Made:
    """Return the department with a memory of two days."""
    longer = msgspec.structs.replace(of.settings.thresholds, retry_horizon_ms=48 * HOUR_MS)
    held = {**vars(of), "settings": msgspec.structs.replace(of.settings, thresholds=longer)}
    return Made(**held)


# -- in another order


@settings(max_examples=FEW)
@given(SEEDS)
def test_the_order_of_messages_of_one_moment_changes_nothing(seed: int) -> None:
    of = small()
    shuffled = reordered(of.facts, Random(seed))
    assert differences(want(of, "ami"), tables(of, of_frames(of, frames(shuffled)))) == {}


@settings(max_examples=FEW)
@given(SEEDS)
def test_the_order_of_rows_of_one_moment_changes_nothing(seed: int) -> None:
    of = small()
    rows = cel.csv(reordered(of.facts, Random(seed)))
    assert differences(want(of, "cel"), tables(of, of_lines(cel_source(of), rows, of.end_ms))) == {}


# -- late


def test_records_of_the_day_that_come_after_a_day_change_nothing() -> None:
    """The live events come first, the records of the whole day after them. That needs the memory."""
    of = remembering(small())
    assert differences(want(of, "ami"), tables(of, [*heard(of), *written(of), *of_queues(of)])) == {}


def test_calls_of_the_morning_that_come_after_those_of_the_evening_count_at_their_own_time() -> None:
    of = small()
    events = of_lines(cel_source(of), cel.csv(of.facts), of.end_ms)
    noon = MONDAY_MS + 12 * HOUR_MS
    morning, evening = ([event for event in events if (event.at < noon) is early] for early in (True, False))
    assert morning
    assert evening
    assert differences(want(of, "cel"), tables(of, [*evening, *morning])) == {}


# -- lost


def _telephones(facts: Sequence[PbxFact]) -> list[PbxFact]:
    """Return the hangups of telephones, but for those in calls that were handed over: their legs had ended before."""
    handed = {fact.channel.linkedid for fact in facts if fact.what in ("blind", "attended")}
    handed |= {other.linkedid for fact in facts if fact.what == "attended" for other in fact.others.values()}
    return [
        fact
        for fact in facts
        if fact.what == "hangup" and fact.channel.device != TRUNK and fact.channel.linkedid not in handed
    ]


@settings(max_examples=FEW)
@given(SEEDS)
def test_a_lost_hangup_costs_the_end_of_its_leg_and_nothing_else(seed: int) -> None:
    of = small()
    lost = {id(fact) for fact in Random(seed).sample(_telephones(of.facts), 20)}
    uids = {fact.channel.uid for fact in of.facts if id(fact) in lost}
    left = [fact for fact in of.facts if id(fact) not in lost]
    events = of_frames(of, frames(left))
    missing = {event.id for event in heard(of)} - {event.id for event in events}
    assert missing == {
        event.id for event in heard(of) if isinstance(event, CallEnded) and event.id.split(":")[1] in uids
    }
    assert {event.id for event in events} <= {event.id for event in heard(of)}
    timed_out = sum(value for (name, labels), value in tables(of, events).items() if name == "calls_timed_out")
    assert timed_out > 0
    # The records know the end.
    assert differences(want(of, "ami"), tables(of, in_order(events, written(of)))) == {}


# -- a link that is cut


def _cut(of: Made, since_ms: int, until_ms: int) -> list[Event]:
    """Return the events of a listener with a gap, which requests the channels and the queues afterwards."""
    listening, state = Asterisk(MAPPING, SECRET, people=of.people), State()
    before = [fact for fact in of.facts if fact.at_us < since_ms * 1000]
    after = [fact for fact in of.facts if fact.at_us >= until_ms * 1000]
    for fact in of.facts:
        if fact.at_us < until_ms * 1000:
            state.take(fact)
    events = of_bytes(listening, b"".join([ami.GREETING, *frames(before)]), since_ms)
    listening.begin_connection()
    events += of_bytes(listening, ami.GREETING + state.lists(until_ms), until_ms)
    return events + of_bytes(listening, b"".join(frames(after)), until_ms)


@pytest.mark.parametrize("minute", [0, 37, 95, 170, 301])
@pytest.mark.parametrize("length", [20 * SECOND_MS, 3 * MINUTE_MS])
def test_a_link_that_is_cut_costs_what_nobody_heard(minute: int, length: int) -> None:
    of = made()
    since = MONDAY_MS + 9 * HOUR_MS + minute * MINUTE_MS
    until = since + length
    events = _cut(of, since, until)
    spans: dict[str, tuple[int, int]] = {}
    for event in heard(of):
        if isinstance(event, CallEvent):
            first, last = spans.get(event.call, (event.at, event.at))
            spans[event.call] = min(first, event.at), max(last, event.at)
    touched = {call for call, (first, last) in spans.items() if last >= since - SECOND_MS and first <= until}

    def apart(all_: Iterable[Event]) -> set[Event]:
        return {event for event in all_ if isinstance(event, CallEvent) and event.call not in touched}

    assert touched
    assert apart(events) == apart(heard(of))
    assert all(value == 0 for (name, _), value in tables(of, events).items() if name == "calls_in_progress")
    # CEL has all of it, and its end replaces an uncertain one.
    assert differences(want(of, "ami"), tables(of, in_order(events, written(of)))) == {}


def test_records_that_come_before_what_was_heard_in_part_are_not_overridden_by_it() -> None:
    of = remembering(small())
    talk = next(event for event in heard(of) if isinstance(event, CallEnded) and event.talk_ms > 3 * MINUTE_MS)
    since = talk.at - talk.talk_ms - SECOND_MS
    events = _cut(of, since, since + 2 * MINUTE_MS)
    assert any(isinstance(event, CallEnded) and event.uncertain is True for event in events)
    assert differences(want(of, "ami"), tables(of, [*written(of), *events])) == {}


# -- another zone


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Asia/Yekaterinburg", "Asia/Kolkata", "Europe/Lisbon"])
def test_a_wrong_zone_shows_in_the_skew(zone: str) -> None:
    """A row is read some seconds after its call has ended."""
    of = small()
    true = sorted(leg.ended_at for leg in of.history.legs())
    skews: dict[str, list[int]] = {}
    for written_in in (zone, ZONE):
        data = b"".join(export.rows(of.history, of.book, written_in))
        ends = [event.at for event in of_export(of, data, latest_ms=LATEST_MS) if isinstance(event, CallEnded)]
        skews[written_in] = [ended + 5 * SECOND_MS - at for ended, at in zip(true, ends, strict=True)]
    assert looks_like_zone(skews[zone])
    assert not looks_like_zone(skews[ZONE])


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Europe/Berlin"])
def test_local_times_of_cdr_that_are_read_as_utc_show_in_the_skew(zone: str) -> None:
    of = small()
    skews: dict[str, list[int]] = {}
    for written_in in (zone, "UTC"):
        source = cdr_source(of)
        ends = of_lines(source, cdr.rows(of.facts, written_in), LATEST_MS)
        true = {event.call: event.at for event in detailed(of) if isinstance(event, CallEnded)}
        read = {event.call: event.at for event in ends if isinstance(event, CallEnded)}
        skews[written_in] = [true[call] + 5 * SECOND_MS - at for call, at in read.items()]
    assert looks_like_zone(skews[zone])
    assert not looks_like_zone(skews["UTC"])


def test_rows_of_a_zone_to_the_east_are_refused_as_of_the_future() -> None:
    of = small()
    with pytest.raises(AssertionError, match="future"):
        of_export(of, b"".join(export.rows(of.history, of.book, "Asia/Kolkata")))


# -- several sources of one call


@cache
def detailed(of: Made) -> tuple[Event, ...]:
    return tuple(of_lines(cdr_source(of), cdr.rows(of.facts), of.end_ms))


@pytest.mark.parametrize("names", ["AC", "AQ", "AD", "CA", "ACQ", "CQA", "ACD", "DQCA"])
def test_several_sources_of_one_call_count_it_once(names: str) -> None:
    of = made()
    sources = {"A": heard(of), "C": written(of), "Q": of_queues(of), "D": detailed(of)}
    assert differences(want(of, "ami"), tables(of, in_order(*(sources[name] for name in names)))) == {}


@settings(max_examples=FEW)
@given(SEEDS)
def test_records_that_lag_behind_by_minutes_change_nothing(seed: int) -> None:
    of = small()
    random = Random(seed)
    lags = {name: random.randint(0, 20 * MINUTE_MS) for name in ("cel", "queue_log")}
    due = [(event.at, event) for event in heard(of)]
    due += [(event.at + lags["cel"], event) for event in written(of)]
    due += [(event.at + lags["queue_log"], event) for event in of_queues(of)]
    events = [event for _, event in sorted(due, key=lambda pair: pair[0])]
    assert differences(want(of, "ami"), tables(of, events)) == {}

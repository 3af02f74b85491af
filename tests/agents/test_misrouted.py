"""Misrouted records: each group that reads a topic from its start sends them on again, and each counts once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from streams.contract import events, topics
from streams.contract.events import CallEnded, CallsEvent, CrmEvents
from streams.contract.origin import HEADER, Origin, header, origin_of
from streams.settings.settings import Settings, load
from tests.broker.in_process import START_MS, call_ended
from tests.broker.leads_fixture import annotated, deal, linked
from tests.upgrade.in_memory import Installation
from tests.upgrade.today import Record

HOUR_MS = 3_600_000
SETTINGS = load('timezone = "UTC"\n[kafka]\npartitions = 4', {})
MANAGER = "m001"
HOME = topics.partition_of(MANAGER.encode(), 4)
ELSEWHERE = (HOME + 1) % 4
NOW_MS = START_MS + 40 * HOUR_MS


def home_of(manager: str) -> int:
    """Return the partition of a manager."""
    return topics.partition_of(manager.encode(), 4)


def put(
    installation: Installation,
    some: Iterable[CallsEvent | CrmEvents],
    partition: int | None = None,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> None:
    """Append events to their topics, each to the partition of its key or to `partition`."""
    for event in some:
        is_call = isinstance(event, events.CallEvent)
        topic, key = ("calls", getattr(event, "manager", "")) if is_call else ("crm", getattr(event, "lead", ""))
        assert key
        home = topics.partition_of(key.encode(), 4) if partition is None else partition
        log = installation.topics.logs[topic][home]
        log.append(Record(key.encode(), events.encode(event), len(log), NOW_MS, headers))


def group_after(
    first: Installation, settings: Settings = SETTINGS, maker: bytes | None = None, *, deal_rows: bool = False
) -> Installation:
    """Return another group on the same topics, which reads them from their start."""
    second = Installation(settings, maker=maker, deal_rows=deal_rows)
    for name in ("calls", "crm", "contacts", "outcomes"):
        second.topics.logs[name] = first.topics.logs[name]
    return second


def figures(installation: Installation) -> dict[str, float]:
    installation.work([], NOW_MS)
    return installation.figures(NOW_MS)


def calls(numbers: Iterable[int], manager: str = MANAGER) -> list[CallEnded]:
    """Calls of one manager, ten minutes after each other."""
    return [
        call_ended(number, manager, at=at, started_at=at - 100_000, answered_at=at - 90_000)
        for number in numbers
        for at in [START_MS + number * 600_000]
    ]


def test_a_new_group_sends_misrouted_calls_on_again_and_they_count_once_for_both_groups() -> None:
    """Between the two copies lie more than six hours of events, so the ids are forgotten."""
    first = Installation(SETTINGS)
    put(first, calls(range(5)), partition=ELSEWHERE)
    put(first, calls(range(5, 10)))
    first.work([], NOW_MS)
    put(first, calls(range(100, 160)))
    put(first, calls(range(160, 163)), partition=ELSEWHERE)
    expected = figures(first)
    counted = [value for name, value in expected.items() if "calls" in name and f'"{MANAGER}"' in name]
    assert max(counted) == 73
    second = group_after(first)
    assert figures(second) == expected
    assert len(first.topics.logs["calls"][HOME]) == 65 + 2 * 8, "the second group sent all of them again"
    assert figures(first) == expected, "the first group reads the copies of the second"
    third = group_after(first)
    assert figures(third) == expected


def test_events_that_callpulse_adds_itself_change_nothing_on_a_replay() -> None:
    """The start after a transfer and the end by timeout are in the log. A new group adds the start again."""
    other = next(name for name in ("m002", "m003", "m004") if topics.partition_of(name.encode(), 4) != HOME)
    first = Installation(SETTINGS)
    began, moved = events.CallStarted, events.CallTransferred
    some: list[CallsEvent | CrmEvents] = []
    for call in ("with an end", "without"):
        of_leg: dict[str, Any] = {"v": 1, "source": "t", "call": call, "manager": MANAGER}
        some.append(began(**of_leg, id=f"s {call}", at=START_MS, direction="outbound"))
        some.append(moved(**of_leg, id=f"x {call}", at=START_MS + 60_000, to_manager=other, how="blind"))
    put(first, some)
    first.work([], START_MS + 120_000)
    put(
        first,
        [
            call_ended(
                900,
                other,
                at=START_MS + 130_000,
                call="with an end",
                started_at=START_MS + 60_000,
                answered_at=None,
                talk_ms=0,
            )
        ],
    )
    first.work([], START_MS + 240_000)
    put(first, calls(range(60)))
    put(first, calls(range(60), other))
    expected = figures(first)
    added = b"".join(record.value or b"" for record in first.topics.logs["calls"][home_of(other)])
    assert b'"timeout"' in added
    second = group_after(first)
    assert figures(second) == expected
    assert figures(first) == expected
    assert figures(second) == expected


def test_the_origins_survive_a_restart() -> None:
    first = Installation(SETTINGS)
    put(first, calls(range(5)), partition=ELSEWHERE)
    first.work([], NOW_MS)
    put(first, calls(range(100, 160)))
    expected = figures(first)
    again = Installation(SETTINGS)
    again.topics.logs = first.topics.logs
    for name, table in again.tables.items():
        for partition, part in table.parts.items():
            log = first.topics.logs[first.tables[name].changelog][partition]
            part.restore(log, len(log))
            part.restored(len(log))
    # The group's committed offsets are lost: all records are read again.
    assert figures(again) == expected


def test_a_misrouted_event_of_the_crm_reaches_its_lead_once() -> None:
    first = Installation(SETTINGS)
    lead = "lead-1"
    home = topics.partition_of(lead.encode(), 4)
    some: Sequence[CrmEvents] = [annotated(1, lead, "c1"), deal(2, lead, "won"), linked(3, lead, "phone:1")]
    put(first, some, partition=(home + 1) % 4)
    expected = figures(first)
    rows = first.tables["leads"].part(home).rows
    before = rows[lead.encode()].state.revision
    second = group_after(first)
    assert figures(second) == expected
    assert figures(first) == expected
    assert rows[lead.encode()].state.revision == before, "the second copy changed the row"


def test_a_copy_is_never_sent_on_again() -> None:
    """Workers with different numbers of partitions would send a record round in a circle."""
    first = Installation(SETTINGS, refuse=False)
    put(first, calls([1]), partition=ELSEWHERE, headers=(header("calls", Origin(HOME, 7)),))
    first.work([], NOW_MS)
    assert first.topics.logs["calls"][HOME] == []
    letters = [record for log in first.topics.logs["rejected"] for record in log]
    assert [dict(letter.headers)["reason"] for letter in letters] == [b"wrong_key"]


def test_a_misrouted_event_from_the_future_is_refused_where_it_lies() -> None:
    """A copy of a later group arrives later: the same event would count there."""
    first = Installation(SETTINGS, refuse=False)
    put(first, [call_ended(1, MANAGER, at=NOW_MS + HOUR_MS)], partition=ELSEWHERE)
    first.work([], NOW_MS)
    assert first.topics.logs["calls"][HOME] == []
    letters = [record for log in first.topics.logs["rejected"] for record in log]
    assert [dict(letter.headers)["reason"] for letter in letters] == [b"future"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"calls/1/100", Origin(1, 100)),
        (b"a/calls/1/100", None),
        (b"other/1/100", None),
        (b"calls/1", None),
        (b"calls/-1/100", None),
        (b"calls/1/x", None),
        (b"\xff/1/2", None),
        (b"", None),
    ],
)
def test_only_an_origin_in_the_same_topic_is_one(value: bytes, expected: Origin | None) -> None:
    assert origin_of([("other", b"x"), (HEADER, value)], "calls") == expected

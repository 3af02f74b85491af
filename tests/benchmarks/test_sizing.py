"""Scaling, growth and the rebuild of a quarter: their loads, and the figures calculated from measurements."""

import threading
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks import department, growth, plot, progress_worker, rebuild_quarter, scaling
from benchmarks.installation import Port
from benchmarks.progress_worker import Step
from benchmarks.rebuild_quarter import Rebuilt
from benchmarks.scaling import Pause
from benchmarks.workload import PARTITIONS, Record
from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, Rejection
from streams.contract.topics import partition_of
from streams.units import DAY_MS, HOUR_MS

NOW_MS = 1_796_030_000_000  # a Monday, 2026-11-30
MANAGERS = 4


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


@pytest.mark.parametrize(("days", "weeks"), [(1, 1), (5, 1), (6, 2), (65, 13)])
def test_working_days_begin_on_a_monday_and_are_over(days: int, weeks: int) -> None:
    start = department.start_of(days, NOW_MS)
    end = department.end_of(days, start)
    assert moment(start).weekday() == 0
    assert start % DAY_MS == 0
    assert end <= NOW_MS
    assert NOW_MS - start < (weeks + 1) * 7 * DAY_MS
    worked = [day for day in range(start, end, DAY_MS) if moment(day).weekday() < 5]
    assert len(worked) == days


@pytest.fixture(scope="module")
def some_hours() -> list[department.Hour]:
    return list(department.hours(MANAGERS, 1, department.start_of(1, NOW_MS)))


@pytest.mark.slow
def test_both_halves_of_a_department_speak_of_their_own_managers_calls_and_deals(some_hours: Any) -> None:
    managers = [f"manager-{number:04d}" for number in range(MANAGERS)]
    calls = [record for hour in some_hours for record in hour.calls]
    events = [orjson.loads(value) for *_, value in calls]
    assert {event["manager"] for event in events} == {*managers, "queue:team-0-0", "queue:team-1-0"}
    assert all(partition == partition_of(key, PARTITIONS) for partition, key, _ in calls)
    assert len({event["id"] for event in events}) == len(events)
    legs: dict[str, set[bool]] = {}
    for event in events:
        if "call" in event:
            legs.setdefault(event["call"], set()).add(event["manager"] in (*managers[::2], "queue:team-0-0"))
    assert all(len(sides) == 1 for sides in legs.values())
    deals = [orjson.loads(value) for hour in some_hours for *_, value in hour.crm]
    assert len({event["id"] for event in deals}) == len(deals) > 0


@pytest.mark.slow
def test_hours_come_in_order_and_hold_an_hour_each(some_hours: Any) -> None:
    decode = Decoder[CallsEvent]("calls").decode
    for hour in some_hours:
        assert all(not isinstance(decode(value), Rejection) for *_, value in hour.calls)
    due = [hour.due_ms for hour in some_hours]
    assert max(due) - min(due) > 8 * HOUR_MS


@pytest.mark.slow
def test_what_is_moved_to_a_later_day_is_said_anew_of_the_same_lead(some_hours: Any) -> None:
    calls = [record for hour in some_hours for record in hour.calls]
    moved = list(department.later(calls, 7))
    for (_, key, before), (_, same_key, after) in zip(calls, moved, strict=True):
        old, new = orjson.loads(before), orjson.loads(after)
        assert key == same_key
        assert new["at"] - old["at"] == 7 * DAY_MS
        assert new["id"] != old["id"]
        assert new.get("lead") == old.get("lead")
        assert new.get("talk_ms") == old.get("talk_ms")
    assert department._moved({"next_step": {"due_at": NOW_MS, "agreed": True}, "amount": "1.5"}, 5) == {
        "next_step": {"due_at": NOW_MS + 5, "agreed": True},
        "amount": "1.5",
    }


def steps(*of: tuple[float, str, int, int]) -> list[Step]:
    return [Step(*one) for one in of]


MOMENTS = [(1, 0.0, 1.0), (2, 4.0, 6.0), (4, 9.0, 10.0)]  # workers, started, settled
STEPS = steps(
    (0.9, "calls", 0, 50),
    (2.0, "calls", 0, 100),
    (3.0, "crm", 1, 20),
    (3.5, "contacts", 1, 40),
    (3.9, "calls", 1, 10),
    (5.5, "calls", 0, 70),
    (7.0, "calls", 1, 30),
    (8.0, "calls", 0, 90),
)


def test_a_phase_runs_from_when_all_workers_fold_until_the_next_ones_start_or_nothing_is_left() -> None:
    found = scaling.phases(STEPS, MOMENTS, {"calls", "crm"})
    assert [(one.workers, one.begun, one.ended, one.events, one.all_records) for one in found] == [
        (1, 1.0, 4.0, 130, 170),
        (2, 6.0, 8.0, 120, 120),
    ]
    assert found[1].rate == 60


def test_the_longest_pause_is_that_of_the_partition_that_stood_still_while_workers_were_added() -> None:
    pauses = scaling.longest_pauses(STEPS, MOMENTS, "calls")
    assert pauses == {2: Pause(3.5, 2.0, 0)}
    slow = scaling.longest_pauses([*STEPS, *steps((13.0, "calls", 1, 5))], MOMENTS, "calls")
    assert slow[4] == Pause(6.0, 7.0, 1)


def test_events_are_counted_in_seconds_from_the_first_of_them() -> None:
    assert scaling.rates(STEPS[:4], {"calls", "crm"}) == [(0.0, 50.0), (1.0, 100.0), (2.0, 20.0)]


def test_the_steps_of_all_workers_are_read_in_order_without_a_line_that_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("2.0 calls 0 5\n3.0 calls 1 7")
    (tmp_path / "b").write_text("1.5 crm 3 1\n")
    found = progress_worker.read(tmp_path / name for name in ("a", "b", "none"))
    assert found == steps((1.5, "crm", 3, 1), (2.0, "calls", 0, 5))


def test_a_worker_that_is_watched_folds_as_before_and_notes_each_step(tmp_path: Path) -> None:
    class Agent:
        def __init__(self) -> None:
            self.folded: list[Any] = []

        def fold(self, _tp: Any, records: list[Any]) -> None:
            self.folded += records

    class Partition:
        topic, partition = "calls", 2

    agent = Agent()
    with (tmp_path / "a").open("w") as file:
        progress_worker.Noted(agent, file).fold(Partition(), [1, 2, 3])
    (step,) = progress_worker.read([tmp_path / "a"])
    assert agent.folded == [1, 2, 3]
    assert (step.topic, step.partition, step.records) == ("calls", 2, 3)


SIZE = growth.Size(managers=5, leads=20, days=4)


def test_the_history_of_a_point_has_every_manager_on_every_day_and_every_lead() -> None:
    names = [f"m{number}" for number in range(SIZE.managers)]
    decode = Decoder[CallsEvent]("calls").decode
    records: list[Record] = list(growth.past(names, SIZE, 40, NOW_MS))
    events: list[Any] = [decode(value) for *_, value in records]
    assert not [event for event in events if isinstance(event, Rejection)]
    days = Counter((event.manager, event.at // DAY_MS) for event in events)
    assert days == dict.fromkeys(((name, NOW_MS // DAY_MS - back) for name in names for back in range(1, 5)), 2)
    assert len({event.lead for event in events}) == SIZE.leads
    assert [event.at for event in events] == sorted(event.at for event in events)
    now: list[Any] = [decode(value) for *_, value in growth.present(names, SIZE.leads, 60)]
    owner = {event.lead: event.manager for event in events}
    ends = [event for event in now if event.type == "call.ended"] if hasattr(now[0], "type") else now[2::3]
    assert len(now) == 60
    assert all(owner[event.lead] == event.manager for event in ends)


def point(event: float, scrape: float, series: int = 100, **size: Any) -> growth.Point:
    return growth.Point(
        size=growth.Size(**size),
        history=1,
        event_micros=event,
        scrape_s=scrape,
        scrape_cpu_s=scrape,
        sent=1,
        plain=1,
        series=series,
        memory_mib=1.0,
        peak_mib=None,
        disk_mib=1.0,
    )


def test_a_point_is_compared_with_the_one_in_the_middle_and_a_scrape_with_more_managers_by_its_series() -> None:
    middle = point(20.0, 1.0)
    points = [
        point(90.0, 9.0, grows="managers", managers=100),
        middle,
        point(30.0, 11.0, 1_000, grows="managers", managers=10_000),
        point(40.0, 1.5, grows="days", days=400),
    ]
    assert [(target.name, round(target.value, 3), target.met) for target in growth.compared(points, middle)] == [
        ("an event with 10,000 managers, times as much", 1.5, True),
        ("a series of a scrape with 10,000 managers, times as much", 1.1, True),
        ("an event with 400 days, times as much", 2.0, False),
        ("a scrape with 400 days, times as much", 1.5, False),
    ]


def rebuilt(days: int, seconds: float, events: int) -> Rebuilt:
    return Rebuilt(
        days=days, events=events, ready_s=3.0, seconds=seconds, cpu_s=seconds, peak_mib=None, rows={}, taken=events
    )


@pytest.mark.parametrize(
    ("many", "minutes"), [(rebuilt(2, 30.0, 800), (3 + 30 + 63 * 16) / 60), (rebuilt(65, 900.0, 26_000), 903 / 60)]
)
def test_a_quarter_takes_what_it_took_or_what_each_further_day_takes(many: Any, minutes: float) -> None:
    assert rebuild_quarter.minutes_of_quarter(rebuilt(1, 14.0, 400), many) == pytest.approx(minutes)


def test_a_rebuild_in_which_an_event_of_more_days_takes_longer_misses_its_target_and_a_lost_event_is_told() -> None:
    few, many = rebuilt(1, 10.0, 400), rebuilt(2, 30.0, 800)
    result = rebuild_quarter._result(rebuild_quarter.Size(), [few, msgspec.structs.replace(many, taken=799.0)])
    assert [target.met for target in result.targets] == [False, False]
    assert result.wrong == ["799 of 800 events of 2 days were folded"]
    assert result.figures["quarter_events"] == 26_000


@pytest.mark.parametrize(
    ("least", "most", "log", "expected"),
    [
        (0, 10, False, [0, 2.5, 5, 7.5, 10]),
        (3, 41_000, False, [0, 20_000, 40_000, 60_000]),
        (0.2, 0.9, False, [0, 0.25, 0.5, 0.75, 1.0]),
        (30, 400, True, [10, 100, 1_000]),
        (0.05, 5, True, [0.01, 0.1, 1, 10]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(least: float, most: float, *, log: bool, expected: list[float]) -> None:
    assert plot.ticks(least, most, log=log) == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(0, plot.WIDTH), st.integers(1, 10).map(lambda n: n * plot.LETTER)), max_size=5))
def test_labels_never_overlap_nor_leave_the_panel(labels: list[tuple[float, float]]) -> None:
    labels.sort()
    assume(sum(width + plot.APART for _, width in labels) - plot.APART <= plot.WIDTH)
    middles = plot.spread(labels)
    spans = [(middle - width / 2, middle + width / 2) for middle, (_, width) in zip(middles, labels, strict=True)]
    assert all(begin > -0.001 and end < plot.WIDTH + 0.001 for begin, end in spans)
    assert all(after - end > plot.APART - 0.001 for (_, end), (after, _) in pairwise(spans))


def test_a_label_with_room_stands_at_its_place_and_two_that_would_touch_move_by_the_same() -> None:
    assert plot.spread([(90, 60), (200, 60)]) == [90, 200]
    assert plot.spread([(90, 60), (140, 60)]) == [81, 149]
    with pytest.raises(ValueError, match="do not fit"):
        plot.spread([(100, 200), (200, 200)])


def test_the_plots_hold_every_value_and_no_text_of_a_page_breaks_them(tmp_path: Path) -> None:
    points = [
        point(20.0, 1.0),
        point(31.5, 9.0, grows="managers", managers=10_000),
        point(22.0, 1.0, grows="days", days=400),
    ]
    told: dict[str, dict[str, Any]] = {
        "growth": {"points": [msgspec.to_builtins(one) for one in points]},
        "scaling": {
            "started": {"1": -3.0, "2": 8.0},
            "rates": [(0.0, 25_000.0), (1.0, 31_000.0)],
            "longest_pause_seconds": {"2": 3.25},
            "fresh_p50_seconds": {"1": 0.25, "2": 0.5},
            "fresh_p99_seconds": {"1": 0.75, "2": 0.875},
        },
    }
    files = plot.write(told, tmp_path)
    assert [file.name for file in files] == ["scaling.svg", "growth.svg"]
    scaled, grown = ("".join(ET.fromstring(file.read_text()).itertext()) for file in files)  # noqa: S314 - our own
    assert all(
        text in scaled for text in ("2 workers", "3.25", "0.875", "Event → /metrics", "prefers-color-scheme: dark")
    )
    assert all(text in grown for text in ("31.5", "22", "10k", "400", "days of history"))
    assert plot.write({"delay": {}}, tmp_path) == []


def test_a_connection_that_the_worker_closed_meanwhile_is_made_anew() -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # the answer promises to keep the connection

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"up")
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = Port(server.server_port)
        assert [port.get("/metrics") for _ in range(3)] == [(200, b"up")] * 3
        server.shutdown()
    assert port.get("/metrics") == (0, b"")

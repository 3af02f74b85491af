from __future__ import annotations

import pytest
from faust.types import TP

from agents.delivery.transport import Fetched
from agents.telemetry.health import Health, NotReadyError
from tests.agents.stand_in import StandIn, stand_in

SETTINGS = '[worker]\nstall_deadline = "60s"\nrestore_deadline = "5m"\n'
CALLS_0 = TP("calls", 0)
CALLS_1 = TP("calls", 1)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A worker whose health is observed every second."""

    def __init__(self, *partitions: int) -> None:
        self.clock = Clock()
        self.parts: StandIn = stand_in(SETTINGS)
        self.health = Health(
            self.parts.settings.worker,
            state=self.parts.worker.state,
            tracker=self.parts.tracker,
            lag=self.parts.worker.lag,
            recovery=self.parts.worker.recovery,
            fail=self.parts.worker.fail,
            clock=self.clock,
        )
        if partitions:
            self.parts.own(*partitions)
        self.ends: dict[TP, int] = {}

    def open(self, **ends: int) -> None:
        for name, end in ends.items():
            tp = TP("calls", int(name.removeprefix("calls_")))
            self.parts.tracker.open({tp: 0})
            self.produce(tp, end)

    def produce(self, tp: TP, end: int) -> None:
        self.parts.consumer.positions[tp] = Fetched(end=end)

    def fold(self, tp: TP, until: int) -> None:
        self.parts.tracker.close([tp])
        self.parts.tracker.open({tp: until})

    def wait(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.health.observe()
            self.clock.now = min(until, self.clock.now + 1)

    @property
    def stalled(self) -> list[int]:
        return [partition.partition for partition in self.health.stalled()]


class TestProgress:
    #    lag   │ 5   5   5   5 ...      healthy for a minute, and then not
    def test_a_partition_with_lag_that_does_not_move_is_stalled_after_the_deadline(self) -> None:
        worker = Watched(0, 1)
        worker.open(calls_0=5, calls_1=0)
        worker.wait(60)
        assert worker.stalled == []
        worker.wait(1)
        assert worker.health.liveness() == {
            "healthy": False,
            "stalled": [
                {"topic": "calls", "partition": 0, "next_offset": 0, "lag_records": 5, "stalled_seconds": 61.0}
            ],
        }

    def test_one_that_moves_is_healthy_however_far_behind_it_is(self) -> None:
        worker = Watched(0)
        worker.open(calls_0=1_000_000)
        for offset in range(1, 10):
            worker.wait(50)
            worker.fold(CALLS_0, offset)
        assert worker.stalled == []
        worker.wait(61)
        assert worker.stalled == [0]

    def test_one_without_lag_has_nothing_to_do(self) -> None:
        worker = Watched(0)
        worker.open(calls_0=0)
        worker.wait(10_000)
        assert worker.health.liveness() == {"healthy": True, "stalled": []}

    def test_after_an_idle_hour_the_wait_begins_with_the_first_new_record(self) -> None:
        worker = Watched(0)
        worker.open(calls_0=3)
        worker.fold(CALLS_0, 3)
        worker.wait(3600)
        worker.produce(CALLS_0, 4)
        worker.wait(60)
        assert worker.stalled == []
        worker.wait(1)
        assert worker.stalled == [0]

    def test_to_be_opened_at_the_same_offset_again_and_again_is_no_progress(self) -> None:
        worker = Watched(0)
        worker.open(calls_0=5)
        for _ in range(31):
            worker.wait(2)
            worker.fold(CALLS_0, 0)
        assert worker.stalled == [0]

    def test_it_is_healthy_again_when_it_moves(self) -> None:
        worker = Watched(0)
        worker.open(calls_0=5)
        worker.wait(61)
        assert worker.stalled == [0]
        worker.fold(CALLS_0, 1)
        assert worker.stalled == []

    def test_a_partition_that_left_is_another_workers_business(self) -> None:
        worker = Watched(0, 1)
        worker.open(calls_0=5, calls_1=5)
        worker.wait(61)
        assert worker.stalled == [0, 1]
        worker.parts.tracker.close([CALLS_0])
        assert worker.stalled == [1]

    def test_while_tables_are_restored_nothing_need_move(self) -> None:
        worker = Watched(0)
        worker.open(calls_0=5)
        worker.wait(50)
        worker.parts.assign(0)
        worker.wait(100)
        assert worker.stalled == []
        worker.parts.own(0)
        worker.wait(60)
        assert worker.stalled == []
        worker.wait(1)
        assert worker.stalled == [0]


class TestReadiness:
    def test_it_waits_for_the_group_first(self) -> None:
        worker = Watched()
        told = worker.health.readiness()
        assert told["ready"] is False
        assert told["waiting_for"] == [
            "group callpulse at 127.0.0.1:9092 has not assigned partitions to this worker yet"
        ]

    def test_then_for_every_table(self) -> None:
        worker = Watched()
        worker.parts.assign(0, 1)
        worker.parts.tables["leads"].owned = frozenset({0, 1})
        assert worker.health.readiness() == {
            "ready": False,
            "waiting_for": [
                "table managers: 0% of 2 partitions restored",
                "table outcomes: 0% of 2 partitions restored",
                "table transcripts: 0% of 2 partitions restored",
                "table coaching: 0% of 2 partitions restored",
            ],
            "partitions": {"managers": [], "leads": [0, 1], "outcomes": [], "transcripts": [], "coaching": []},
        }

    def test_then_for_the_place_in_the_source_topics(self) -> None:
        worker = Watched(0)
        worker.parts.app.rebalancing = True
        assert worker.health.readiness()["waiting_for"] == ["the source partitions are being sought"]

    def test_then_it_is_ready(self) -> None:
        worker = Watched(2, 3)
        assert worker.health.readiness() == {
            "ready": True,
            "waiting_for": [],
            "partitions": {key: [2, 3] for key in ("managers", "leads", "outcomes", "transcripts", "coaching")},
        }

    def test_a_worker_that_was_assigned_nothing_stands_by(self) -> None:
        worker = Watched()
        worker.parts.own()
        assert worker.health.readiness()["ready"] is True

    def test_before_the_assignment_is_there_nothing_is_not_enough(self) -> None:
        worker = Watched()
        worker.parts.app.rebalancing_count = 1
        worker.parts.app.rebalancing = True
        assert worker.health.readiness()["ready"] is False
        worker.parts.consumer.assigned = set()
        assert worker.health.readiness()["ready"] is False

    def test_a_partition_revoked_from_a_table_makes_it_wait_again(self) -> None:
        worker = Watched(0, 1)
        worker.parts.tables["outcomes"].release(1)
        assert worker.health.readiness()["ready"] is False

    def test_a_worker_that_stops_is_not_ready(self) -> None:
        worker = Watched(0)
        worker.parts.worker.recovery.stopping = True
        assert worker.health.readiness()["waiting_for"] == ["the worker is stopping"]


class TestRestoreDeadline:
    def test_a_restore_that_takes_too_long_ends_the_process_once(self) -> None:
        worker = Watched()
        worker.parts.assign(0)
        worker.wait(300)
        assert worker.parts.failures == []
        worker.wait(10)
        (error,) = worker.parts.failures
        assert isinstance(error, NotReadyError)
        assert "table managers: 0% of 1 partition restored" in str(error)

    def test_so_does_a_group_that_never_assigns(self) -> None:
        worker = Watched()
        worker.wait(302)
        assert "not ready within 300 s: group callpulse" in str(worker.parts.failures[0])

    def test_every_assignment_has_its_own_deadline(self) -> None:
        worker = Watched()
        for _ in range(5):
            worker.parts.assign(0)
            worker.wait(250)
        assert worker.parts.failures == []

    def test_a_worker_that_was_ready_has_the_whole_deadline_again(self) -> None:
        worker = Watched()
        worker.parts.assign(0)
        worker.wait(100)
        worker.parts.restored(0)
        worker.wait(1000)
        worker.parts.tables["managers"].release(0)
        worker.wait(300)
        assert worker.parts.failures == []
        worker.wait(2)
        assert len(worker.parts.failures) == 1

    @pytest.mark.parametrize("seconds", [301, 10_000])
    def test_whoever_is_ready_or_stopping_has_no_deadline(self, seconds: int) -> None:
        ready, stopping = Watched(0), Watched()
        stopping.parts.worker.recovery.stopping = True
        for worker in (ready, stopping):
            worker.wait(seconds)
            assert worker.parts.failures == []

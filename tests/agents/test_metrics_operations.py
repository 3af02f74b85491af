"""The metrics of the worker itself that are looked up at a scrape: lag, ownership, rows, restore, commits."""

from __future__ import annotations

import asyncio

import pytest
from faust.types import TP

from agents.delivery.transport import Fetched
from tests.agents.stand_in import NOON_MS, StandIn, ended, stand_in

CALLS_0 = TP("calls", 0)
CALLS_1 = TP("calls", 1)


def fetched(of: StandIn, tp: TP, end: int | None, position: int | None = None) -> None:
    of.consumer.positions[tp] = Fetched(position, end)


def value(of: StandIn, name: str, /, **labels: str) -> float | None:
    return of.metrics.registry.get_sample_value(f"callpulse_{name}", labels)


class TestLag:
    def test_it_is_what_the_last_fetch_saw_and_is_not_folded(self) -> None:
        of = stand_in()
        of.tracker.open({CALLS_0: 40, CALLS_1: 100})
        fetched(of, CALLS_0, end=100)
        fetched(of, CALLS_1, end=100)
        assert of.worker.lag.now() == {CALLS_0: 60, CALLS_1: 0}

    def test_it_is_not_told_before_the_end_is_known(self) -> None:
        of = stand_in()
        of.tracker.open({CALLS_0: 40, CALLS_1: 40})
        fetched(of, CALLS_0, end=None)
        assert of.worker.lag.now() == {}

    def test_partitions_that_are_not_open_have_none(self) -> None:
        of = stand_in()
        fetched(of, CALLS_0, end=100)
        assert of.worker.lag.now() == {}

    def test_what_comes_behind_the_last_record_is_no_lag(self) -> None:
        of = stand_in()
        of.tracker.open({CALLS_0: 99})
        of.consumer.fetch_from[CALLS_0] = 99
        fetched(of, CALLS_0, end=100, position=100)  # a transaction's mark: fetched, and no record
        assert of.worker.lag.now() == {CALLS_0: 0}

    def test_what_was_fetched_and_not_folded_is_lag(self) -> None:
        of = stand_in()
        of.tracker.open({CALLS_0: 40})
        of.consumer.fetch_from[CALLS_0] = 100
        fetched(of, CALLS_0, end=100, position=100)
        assert of.worker.lag.now() == {CALLS_0: 60}

    async def test_kafka_is_asked_in_case_the_fetching_has_died(self) -> None:
        of = stand_in()
        of.tracker.open({CALLS_0: 40})
        fetched(of, CALLS_0, end=40, position=40)
        of.consumer.ends = {CALLS_0: 90}
        assert await asked(of) == {CALLS_0: 50}

    async def test_a_broker_that_is_away_leaves_what_is_known(self) -> None:
        of = stand_in()
        of.tracker.open({CALLS_0: 40})
        fetched(of, CALLS_0, end=60)
        of.consumer.ends = ConnectionError("away")
        assert await asked(of) == {CALLS_0: 20}


async def asked(of: StandIn) -> dict[TP, int]:
    """Return the lag after the first request to Kafka."""
    lag = of.worker.lag
    asking = asyncio.create_task(lag.ask())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not asking.done()
    asking.cancel()
    return lag.now()


class TestGauges:
    def test_lag_is_told_by_partition_and_forgotten_with_it(self) -> None:
        of = stand_in().own(0, 1)
        exposition = of.exposition()
        of.tracker.open({CALLS_0: 40, CALLS_1: 0})
        fetched(of, CALLS_0, end=100)
        fetched(of, CALLS_1, end=5)
        exposition.gauges.refresh()
        assert value(of, "lag_records", topic="calls", partition="0") == 60
        of.tracker.close([CALLS_0])
        exposition.gauges.refresh()
        assert value(of, "lag_records", topic="calls", partition="0") is None
        assert value(of, "lag_records", topic="calls", partition="1") == 5

    def test_rows_and_partitions_are_those_owned_now(self) -> None:
        of = stand_in('[kafka]\ntopic_prefix = "eu."').own(0, 1, 2, 3)
        exposition = of.exposition()
        for number in range(20):
            of.fold(ended(f"manager-{number}", NOON_MS))
        exposition.gauges.refresh()
        assert value(of, "rows", table="managers") == 20
        assert value(of, "rows", table="leads") == 0
        assert value(of, "partitions_owned", topic="eu.calls") == 4
        of.tables["managers"].owned = frozenset({0})
        exposition.gauges.refresh()
        left = sum(of.partition_for(f"manager-{number}".encode()) == 0 for number in range(20))
        assert value(of, "rows", table="managers") == left < 20
        assert value(of, "partitions_owned", topic="eu.calls") == 1
        assert value(of, "partitions_owned", topic="eu.outcomes") == 4

    def test_commits_are_counted_and_timed_once(self) -> None:
        of = stand_in().own(0)
        exposition = of.exposition()
        of.checkpoint.count, of.checkpoint.seconds = 2, [0.25, 0.5]
        of.checkpoint.rows_written["leads"] = 30
        exposition.gauges.refresh()
        exposition.gauges.refresh()
        of.checkpoint.count = 3
        of.checkpoint.seconds.append(1.0)
        of.checkpoint.rows_written["leads"] = 31
        exposition.gauges.refresh()
        assert value(of, "commits_total") == 3
        assert value(of, "commit_duration_seconds_count") == 3
        assert value(of, "commit_duration_seconds_sum") == 1.75
        assert value(of, "changelog_rows_total", table="leads") == 31
        assert value(of, "changelog_rows_total", table="managers") == 0

    def test_rebalances_are_counted(self) -> None:
        of = stand_in()
        exposition = of.exposition()
        exposition.gauges.refresh()
        assert value(of, "rebalances_total") == 0
        of.own(0, 1).own(0)
        exposition.gauges.refresh()
        assert value(of, "rebalances_total") == 2

    def test_the_generation_of_the_group_is_exported(self) -> None:
        of = stand_in()
        of.app.consumer_generation_id = 41
        of.exposition().gauges.refresh()
        assert value(of, "group_generation") == 41

    def test_managers_are_told_by_team(self) -> None:
        of = stand_in('[[teams]]\nid = "empty"\n[[managers]]\nid = "ann"\n').own(0, 1, 2, 3)
        of.exposition().gauges.refresh()
        assert value(of, "team_managers", team="empty") == 0
        assert value(of, "team_managers", team="unassigned") == 1

    def test_teams_have_the_names_of_the_roster(self) -> None:
        of = stand_in('[[teams]]\nid = "new"\nname = "New business"\n[[managers]]\nid = "ann"\n').own(0, 1, 2, 3)
        of.exposition().gauges.refresh()
        assert value(of, "team_info", team="new", name="New business") == 1
        assert value(of, "team_info", team="unassigned", name="unassigned") == 1


class TestRestoreProgress:
    def test_it_goes_from_0_to_1_by_the_records_that_there_are(self) -> None:
        of = stand_in()
        gauges = of.exposition().gauges
        table = of.tables["leads"]
        tps = [TP(table.changelog, partition) for partition in (0, 1)]
        restoring, ends = of.restoring, of.app.tables.recovery.active_highwaters

        def ratio() -> float:
            gauges.refresh()
            found = value(of, "restore_progress_ratio", table="leads")
            assert found is not None
            return found

        assert ratio() == 0
        of.assign(0, 1)
        assert ratio() == 0
        # Records 100..199 and 0..299: a compacted changelog seldom begins at 0.
        restoring.update({tps[0]: 100, tps[1]: 0})
        ends.update({tps[0]: 199, tps[1]: 299})
        assert ratio() == 0
        restoring.update({tps[0]: 200, tps[1]: 100})
        assert ratio() == pytest.approx(0.5)
        restoring[tps[1]] = 300
        assert ratio() < 1  # all records are read, but the table is not released
        table.owned = frozenset({0, 1})
        assert ratio() == 1

    def test_a_new_assignment_begins_anew(self) -> None:
        of = stand_in()
        gauges = of.exposition().gauges
        tp = TP(of.tables["leads"].changelog, 0)
        of.assign(0)
        of.restoring[tp] = 100
        of.app.tables.recovery.active_highwaters[tp] = 199
        gauges.refresh()
        of.assign(0)
        of.restoring[tp] = 150  # compacted meanwhile: the first record is another one
        gauges.refresh()
        assert value(of, "restore_progress_ratio", table="leads") == 0

    def test_a_worker_with_nothing_to_restore_has_restored_it(self) -> None:
        of = stand_in().own()
        of.exposition().gauges.refresh()
        assert value(of, "restore_progress_ratio", table="managers") == 1

    def test_a_worker_that_waits_for_its_partitions_has_restored_nothing(self) -> None:
        of = stand_in().own()
        of.app.rebalancing = True
        of.exposition().gauges.refresh()
        assert value(of, "restore_progress_ratio", table="managers") == 0

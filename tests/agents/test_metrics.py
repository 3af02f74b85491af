from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agents.telemetry.managers import Managers
from streams.contract.events import CallStarted, ManagerPresence
from streams.contract.facts import Outcome
from streams.tables.outcome import fold as outcome
from tests.agents.manager_collector import ManagerCollector
from tests.agents.stand_in import HOUR_MS, MINUTE_MS, MONDAY_MS, NOON_MS, StandIn, ended, stand_in

ROSTER = """
timezone = "UTC"
[[teams]]
id = "north"
shifts = [{ days = "mon-fri", start = "09:00", end = "17:00" }]
[[teams]]
id = "south"
shifts = [{ days = "mon-fri", start = "09:00", end = "17:00" }]
calendar = { extra_holidays = [2026-09-28] }
[[managers]]
id = "ann"
team = "north"
[[managers]]
id = "bob"
team = "south"
[[managers]]
id = "cyd"
"""


def samples(of: StandIn, now_ms: int = NOON_MS) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the samples of all managers by (name, values of the labels in the order of their names)."""
    registry = CollectorRegistry()
    registry.register(ManagerCollector(Managers(of.settings, of.tables, of.partition_for), lambda: now_ms))
    found: dict[tuple[str, tuple[str, ...]], float] = {}
    for sample in (sample for family in registry.collect() for sample in family.samples):
        key = sample.name.removeprefix("callpulse_"), tuple(value for _, value in sorted(sample.labels.items()))
        assert key not in found, f"{key} is exported twice"
        found[key] = sample.value
    return found


def managers_of(of: StandIn) -> list[str]:
    return sorted(labels[0] for name, labels in samples(of) if name == "calls_in_progress")


class TestWhoIsExported:
    def test_everyone_on_the_roster_is_there_at_0_before_any_event(self) -> None:
        found = samples(stand_in(ROSTER).own(0, 1, 2, 3))
        assert {labels: value for (name, labels), value in found.items() if name == "meaningful_calls"} == {
            (manager, team, window): 0
            for manager, team in (("ann", "north"), ("bob", "south"), ("cyd", "unassigned"))
            for window in ("today", "7d", "30d")
        }

    def test_nobody_is_there_before_partitions_are_restored(self) -> None:
        of = stand_in(ROSTER)
        of.assign(0, 1, 2, 3)
        of.row("ann")
        assert samples(of) == {}

    def test_a_manager_unknown_to_the_roster_is_unassigned(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        of.fold(ended("stranger", NOON_MS))
        assert samples(of)["answered_calls", ("stranger", "unassigned", "1h")] == 1

    @pytest.mark.parametrize("first", [(), (0,), (0, 2), (1, 2, 3), (0, 1, 2, 3)])
    def test_two_workers_export_every_manager_once(self, first: Any) -> None:
        everyone = [f"manager-{number}" for number in range(40)]
        toml = "".join(f'[[managers]]\nid = "{manager}"\n' for manager in everyone)
        one = stand_in(toml).own(*first)
        other = stand_in(toml).own(*({0, 1, 2, 3} - set(first)))
        assert sorted(managers_of(one) + managers_of(other)) == sorted(everyone)

    def test_a_row_left_over_in_a_partition_that_is_not_owned_is_not_exported(self) -> None:
        of = stand_in().own(0, 1, 2, 3)
        of.fold(ended("stranger", NOON_MS))
        of.tables["managers"].owned -= {of.partition_for(b"stranger")}
        assert samples(of) == {}

    def test_a_partition_whose_outcomes_are_not_restored_is_not_exported(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        assert "ann" in managers_of(of)
        of.tables["outcomes"].owned -= {of.partition_for(b"ann")}
        assert "ann" not in managers_of(of)

    def test_without_a_table_of_outcomes_the_measures_of_leads_are_0(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        del of.tables["outcomes"]
        assert samples(of)["open_leads_by_calls", ("5+", "ann", "north")] == 0

    def test_registering_the_collector_reads_no_rows(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        clock = iter(())
        CollectorRegistry().register(
            ManagerCollector(Managers(of.settings, of.tables, of.partition_for), lambda: next(clock))
        )

    def test_managers_are_counted_by_team_where_they_are_exported(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        of.row("stranger")
        managers = Managers(of.settings, of.tables, of.partition_for)
        assert managers.teams() == {"north": 1, "south": 1, "unassigned": 2}
        of.own(of.partition_for(b"ann"))
        here = [manager for manager in ("bob", "cyd") if of.partition_for(manager.encode()) == of.partition_for(b"ann")]
        assert managers.teams() == {"north": 1, "south": "bob" in here, "unassigned": "cyd" in here}


class TestValues:
    def test_a_row_is_read_at_the_moment_of_the_scrape(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        of.fold(
            ended("ann", NOON_MS - 30 * MINUTE_MS, talk_ms=90_500),
            ended("ann", NOON_MS - 3 * HOUR_MS, talk_ms=300_000, direction="inbound", kind="inbound"),
        )
        found = samples(of)
        assert found["calls", ("outbound", "ann", "north", "1h")] == 1
        assert found["calls", ("inbound", "ann", "north", "1h")] == 0
        assert found["calls", ("inbound", "ann", "north", "today")] == 1
        assert found["talk_time_seconds", ("ann", "north", "today")] == 390.5
        assert found["calls_talked", ("120", "ann", "north", "today")] == 1
        assert found["calls_talked", ("+Inf", "ann", "north", "today")] == 2
        assert found["last_activity_timestamp_seconds", ("ann", "north")] == NOON_MS / 1000 - 1800
        later = samples(of, NOON_MS + 31 * MINUTE_MS)
        assert later["calls", ("outbound", "ann", "north", "1h")] == 0

    def test_a_ratio_without_a_denominator_is_not_exported(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        of.fold(ended("ann", NOON_MS - 2 * HOUR_MS))
        found = samples(of)
        assert found["connect_ratio", ("ann", "north", "today")] == 1.0
        assert ("connect_ratio", ("bob", "south", "today")) not in found
        assert ("last_activity_timestamp_seconds", ("bob", "south")) not in found

    def test_the_outcomes_of_leads_stand_beside_the_calls(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        row = outcome.OutcomeRow()
        day = NOON_MS // 86_400_000
        changes = (("calls:2", day, 7), ("sum", day, 14), ("over", day, 3))
        outcome.fold(row, Outcome(src="contacts/0", seq=0, manager="ann", changes=changes))
        of.tables["outcomes"].part(of.partition_for(b"ann")).rows[b"ann"] = row
        found = samples(of)
        assert found["open_leads_by_calls", ("2", "ann", "north")] == 7
        assert found["calls_per_lead", ("ann", "north", "30d")] == 2.0
        assert found["leads_over_called", ("ann", "north", "today")] == 3
        assert found["leads_over_called", ("bob", "south", "today")] == 0


class TestShifts:
    @pytest.mark.parametrize(
        ("manager", "hour", "on_shift", "idle_s"),
        [
            ("ann", 8, 0, 0),  # before the shift
            ("ann", 9, 1, 0),  # it begins
            ("ann", 12, 1, 3 * 3600),  # no event since
            ("ann", 17, 0, 0),  # half-open: it is over
            ("bob", 12, 0, 0),  # same shift, but the team has a holiday
            ("cyd", 12, 0, 0),  # no shifts, and no presence
        ],
    )
    def test_the_roster_says_who_is_on_shift(self, manager: str, hour: int, on_shift: int, idle_s: Any) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        found = samples(of, MONDAY_MS + hour * HOUR_MS)
        team = of.settings.manager(manager).team
        assert found["on_shift", (manager, team)] == on_shift
        assert found["idle_seconds", (manager, team)] == idle_s

    def test_whoever_is_offline_is_not_on_shift(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        of.fold(ManagerPresence(v=1, id="p", at=NOON_MS - 1, source="pbx", manager="ann", state="offline"))
        assert samples(of)["on_shift", ("ann", "north")] == 0

    def test_without_shifts_presence_says_who_is_here(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        of.fold(ManagerPresence(v=1, id="p", at=NOON_MS - HOUR_MS, source="pbx", manager="cyd", state="available"))
        found = samples(of)
        assert found["on_shift", ("cyd", "unassigned")] == 1
        assert found["presence", ("cyd", "available", "unassigned")] == 1
        assert ("presence", ("cyd", "paused", "unassigned")) not in found

    def test_nobody_with_a_call_in_progress_is_idle(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        started = CallStarted(
            v=1, id="s", at=NOON_MS - HOUR_MS, source="pbx", call="c", manager="ann", direction="outbound"
        )
        of.fold(started)
        found = samples(of)
        assert found["idle_seconds", ("ann", "north")] == 0
        assert found["longest_call_in_progress_seconds", ("ann", "north")] == 3600


class TestSnapshots:
    def test_a_snapshot_is_current_until_the_partition_leaves(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        of.row("ann")
        managers = Managers(of.settings, of.tables, of.partition_for)
        snapshot = managers.snapshot(of.partition_for(b"ann"))
        assert managers.is_current(snapshot)
        of.tables["managers"].release((of.partition_for(b"ann") + 1) % 4)
        assert managers.is_current(snapshot)
        of.tables["managers"].release(of.partition_for(b"ann"))
        assert not managers.is_current(snapshot)

    def test_one_of_a_partition_that_left_and_came_back_is_not(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        of.row("ann")
        managers = Managers(of.settings, of.tables, of.partition_for)
        snapshot = managers.snapshot(of.partition_for(b"ann"))
        of.own(0, 1, 2, 3).row("ann")
        assert not managers.is_current(snapshot)

    def test_a_first_row_does_not_change_that(self) -> None:
        of = stand_in(ROSTER).own(0, 1, 2, 3)
        managers = Managers(of.settings, of.tables, of.partition_for)
        snapshot = managers.snapshot(of.partition_for(b"ann"))
        of.row("ann")
        assert managers.is_current(snapshot)

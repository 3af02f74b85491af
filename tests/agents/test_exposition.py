from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families

from agents.telemetry.exposition import Exposition
from streams.contract.events import ManagerPresence
from streams.contract.facts import Attention, Outcome
from streams.metrics.catalogue import CATALOGUE, MANAGER_INFO, MANAGER_METRICS, TEAM_METRICS
from streams.tables.outcome import fold as outcome
from tests.agents.manager_collector import ManagerCollector
from tests.agents.stand_in import HOUR_MS, MINUTE_MS, NOON_MS, StandIn, ended, stand_in

MANAGERS = [f"manager-{number}" for number in range(30)]
ROSTER = "".join(f'[[managers]]\nid = "{manager}"\n' for manager in MANAGERS)
STRANGE = ['Zoë "the closer"', "back\\slash", "queue:Sales / Berlin", "{}", 'a"},b="', "名前"]


def of_managers(families: Iterable[Metric]) -> list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]:
    names = {metric.full_name for metric in (*MANAGER_METRICS, MANAGER_INFO, *TEAM_METRICS)}
    return [
        (
            family.name,
            family.type,
            family.documentation,
            sorted(((s.name, s.labels, s.value) for s in family.samples), key=str),
        )
        for family in families
        if family.name in names
    ]


def exported(text: bytes) -> set[str]:
    """Return the managers in a scrape, which must be the same from the first family to the last."""
    who = {
        family.name: {sample.labels["manager"] for sample in family.samples}
        for family in text_string_to_metric_families(text.decode())
        if family.name in ("callpulse_calls", "callpulse_on_shift", "callpulse_leads_over_called")
    }
    assert who["callpulse_calls"] == who["callpulse_on_shift"] == who["callpulse_leads_over_called"]
    return who["callpulse_calls"]


@pytest.fixture
def busy() -> StandIn:
    """Managers of every kind: on the roster and not, with and without events, with labels that need care."""
    of = stand_in(ROSTER).own(0, 1, 2, 3)
    for number, manager in enumerate([*MANAGERS[:10], *STRANGE]):
        for call in range(number):
            of.fold(ended(manager, NOON_MS - call * 7 * MINUTE_MS, talk_ms=1 + 33_333 * call))
        of.fold(ManagerPresence(v=1, id="p", at=NOON_MS - HOUR_MS, source="pbx", manager=manager, state="available"))
    return of


class TestText:
    async def test_it_says_what_the_collector_says_sample_by_sample(self, busy: Any) -> None:
        exposition = busy.exposition()
        registry = CollectorRegistry()
        registry.register(ManagerCollector(exposition.managers, lambda: NOON_MS))
        text = (await exposition.text(NOON_MS)).decode()
        ours, truth = of_managers(text_string_to_metric_families(text)), of_managers(registry.collect())
        assert ours == truth
        assert len(ours) == len(MANAGER_METRICS) + 1 + len(TEAM_METRICS)
        assert {labels["manager"] for _, labels, _ in ours[0][3]} == {*MANAGERS, *STRANGE}

    async def test_every_metric_of_the_catalogue_is_described_once_and_no_other(self, busy: Any) -> None:
        text = (await busy.exposition().text(NOON_MS)).decode()
        told = [line.split(" ", 3)[2:] for line in text.splitlines() if line.startswith("# HELP ")]
        assert sorted(told) == sorted([metric.full_name, metric.help] for metric in CATALOGUE)
        kinds = dict(line.split(" ")[2:] for line in text.splitlines() if line.startswith("# TYPE "))
        assert kinds == {metric.full_name: metric.type for metric in CATALOGUE}

    async def test_a_manager_has_the_name_of_the_roster_or_else_the_id(self) -> None:
        of = stand_in('managers = [{ id = "anna", name = "Anna \\"The Closer\\" Weber" }]').own(0, 1, 2, 3)
        of.fold(ended("bert", NOON_MS))
        lines = (await of.exposition().text(NOON_MS)).decode().splitlines()
        assert sorted(line for line in lines if line.startswith("callpulse_manager_info{")) == [
            r'callpulse_manager_info{manager="anna",team="unassigned",name="Anna \"The Closer\" Weber"} 1',
            'callpulse_manager_info{manager="bert",team="unassigned",name="bert"} 1',
        ]

    async def test_a_help_text_names_the_numbers_of_the_settings(self) -> None:
        text = (await stand_in(ROSTER + '\n[thresholds]\nshort = "90s"').exposition().text(NOON_MS)).decode()
        (told,) = [line for line in text.splitlines() if line.startswith("# HELP callpulse_short_call_ratio ")]
        assert "less than 90 s of talk" in told

    @pytest.mark.parametrize("number", [7, 1_000_000, 123_456_789_012_345_678])
    async def test_whole_numbers_have_all_their_digits(self, number: int) -> None:
        of = stand_in('[[managers]]\nid = "ann"\n').own(0, 1, 2, 3)
        row = outcome.OutcomeRow()
        changes = (("calls:5+", NOON_MS // 86_400_000, number),)
        outcome.fold(row, Outcome(src="contacts/0", seq=0, manager="ann", changes=changes))
        of.tables["outcomes"].part(of.partition_for(b"ann")).rows[b"ann"] = row
        text = (await of.exposition().text(NOON_MS)).decode()
        line = 'callpulse_open_leads_by_calls{manager="ann",team="unassigned",calls="5+"}'
        assert f"{line} {number}\n" in text

    @pytest.mark.parametrize(("talk_ms", "seconds"), [(1, "0.001"), (100, "0.1"), (300_000, "300.0")])
    async def test_spans_are_in_seconds_to_the_millisecond(self, talk_ms: int, seconds: str) -> None:
        of = stand_in().own(0, 1, 2, 3)
        of.fold(ended("ann", NOON_MS, talk_ms=talk_ms))
        text = (await of.exposition().text(NOON_MS)).decode()
        line = 'callpulse_talk_time_seconds{manager="ann",team="unassigned",window="1h"}'
        assert f"{line} {seconds}\n" in text

    async def test_a_worker_without_partitions_tells_of_itself_only(self) -> None:
        text = await stand_in(ROSTER).exposition().text(NOON_MS)
        assert exported(text) == set()
        assert b'callpulse_restore_progress_ratio{table="managers"} 0.0\n' in text


class TestResults:
    """Managers of two teams with all measures of leads, some of them of unknown values."""

    DAY = NOON_MS // 86_400_000

    @pytest.fixture
    def crowded(self) -> StandIn:
        of = stand_in(ROSTER.replace('"\n', '"\nteam = "north"\n') + '[[teams]]\nid = "north"\n').own(0, 1, 2, 3)
        for number, manager in enumerate([*MANAGERS, *STRANGE]):
            of.fold(ended(manager, NOON_MS - HOUR_MS), ended(manager, NOON_MS - 7 * 24 * HOUR_MS))
            of.fold(ManagerPresence(v=1, id="p", at=NOON_MS, source="pbx", manager=manager, state="paused"))
            self.tell(of, manager, 0, *self.changes(number), leads=self.leads(40))
        return of

    def changes(self, number: int) -> Iterable[tuple[str, int, int]]:
        for head in ("won", "proposed"):
            yield head, self.DAY, number + 1
            for dimension in ("product", "client_type", "channel", "first_kind"):
                yield from ((f"{head}@{dimension}=value {number}.{n}", self.DAY, 1) for n in range(80))
        yield from ((f"amount@channel=value {number}.{n}:EUR", self.DAY, 1_500) for n in range(80))
        yield from ((f"reason:reason {n}@stage {n}", self.DAY, 1) for n in range(80))
        yield from ((f"{head}:strange {n}", self.DAY, 1) for head in ("stage", "since", "given") for n in range(80))

    def leads(self, number: int) -> dict[str, Attention | None]:
        return {
            f'lead "{n}"\\': Attention(
                attempts=9, without_progress=5 + n, stage="none", stage_since=NOON_MS, why="stuck", day=self.DAY
            )
            for n in range(number)
        }

    @staticmethod
    def tell(
        of: StandIn,
        manager: str,
        seq: int,
        *changes: tuple[str, int, int],
        leads: dict[str, Attention | None] | None = None,
    ) -> None:
        key = manager.encode()
        row = of.tables["outcomes"].part(of.partition_for(key)).rows.setdefault(key, outcome.OutcomeRow())
        fact = Outcome(src="contacts/0", seq=seq, manager=manager, changes=changes, attention=leads or {})
        assert outcome.fold(row, fact) == "applied"

    async def compared(self, exposition: Exposition, now_ms: int) -> list[Metric]:
        """Return the families of a scrape, which must be those of the collector."""
        registry = CollectorRegistry()
        registry.register(ManagerCollector(exposition.managers, lambda: now_ms))
        families = list(text_string_to_metric_families((await exposition.text(now_ms)).decode()))
        assert of_managers(families) == of_managers(registry.collect())
        return families

    @pytest.mark.slow
    async def test_a_manager_has_at_most_190_series_and_unknown_values_make_none(self, crowded: Any) -> None:
        families = await self.compared(crowded.exposition(), NOON_MS)
        samples = [sample for family in families for sample in family.samples]
        of_each = Counter(sample.labels["manager"] for sample in samples if "manager" in sample.labels)
        assert of_each.keys() == {*MANAGERS, *STRANGE}
        assert max(of_each.values()) <= 190
        of_teams = Counter(
            (sample.labels["team"], sample.labels["partition"])
            for sample in samples
            if sample.name.startswith("callpulse_team_") and "partition" in sample.labels
        )
        assert of_teams.keys() == {(team, str(partition)) for team in ("north", "unassigned") for partition in range(4)}
        assert max(of_teams.values()) <= 150
        reasons = {sample.labels["reason"] for sample in samples if "reason" in sample.labels and sample.value}
        assert reasons == {"other"}

    @pytest.mark.slow
    async def test_what_is_kept_from_one_scrape_to_the_next_is_told_anew_where_it_changed(self, crowded: Any) -> None:
        exposition = crowded.exposition()
        await self.compared(exposition, NOON_MS)
        await self.compared(exposition, NOON_MS + MINUTE_MS)
        ann, bob = MANAGERS[:2]
        self.tell(crowded, ann, 1, ("won@product=value 0.1", self.DAY, -1), ("won", self.DAY, 5))
        crowded.fold(ended(bob, NOON_MS, call="new"), ended(bob, NOON_MS - 24 * HOUR_MS, call="late"))
        await self.compared(exposition, NOON_MS + MINUTE_MS)
        self.tell(crowded, ann, 2, leads={'lead "39"\\': None})
        crowded.fold(ManagerPresence(v=1, id="q", at=NOON_MS, source="pbx", manager=bob, state="offline"))
        for later in (24 * HOUR_MS, 91 * 24 * HOUR_MS):
            await self.compared(exposition, NOON_MS + later)

    @pytest.mark.slow
    async def test_a_partition_that_left_takes_its_teams_along(self, crowded: Any) -> None:
        exposition = crowded.exposition()
        before = await self.compared(exposition, NOON_MS)
        for table in crowded.tables.values():
            table.release(2)
        after = await self.compared(exposition, NOON_MS)
        crowded.own(0, 1, 2, 3)  # and comes back without rows
        again = await self.compared(exposition, NOON_MS)

        def partitions(families: list[Metric]) -> dict[str, float]:
            family = next(family for family in families if family.name == "callpulse_team_touches")
            touches: dict[str, float] = {}
            for sample in family.samples:
                touches[sample.labels["partition"]] = touches.get(sample.labels["partition"], 0) + sample.value
            return touches

        assert partitions(after) == {key: value for key, value in partitions(before).items() if key != "2"}
        assert partitions(again) == dict.fromkeys("0123", 0.0)


class TestSlices:
    async def test_the_loop_gets_air_between_managers(self, busy: Any) -> None:
        turns = 0

        async def neighbour() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(neighbour())
        await busy.exposition(slice_s=0).text(NOON_MS)
        task.cancel()
        assert turns >= len(MANAGERS) + len(STRANGE)

    @pytest.mark.parametrize("after", [1, 10, 30])
    async def test_a_partition_revoked_meanwhile_is_not_exported(self, busy: Any, after: int) -> None:
        gone = 0  # the first to be read: it leaves during its reading, or after that
        stay = {manager for manager in (*MANAGERS, *STRANGE) if busy.partition_for(manager.encode()) != gone}
        text = await self.interrupted(busy, after, lambda: busy.tables["managers"].release(gone))
        assert exported(text) == stay != {*MANAGERS, *STRANGE}

    @pytest.mark.parametrize("after", [1, 10, 30])
    async def test_nor_is_one_that_came_back_with_other_rows(self, busy: Any, after: int) -> None:
        partition = 0

        def leave_and_return() -> None:
            table = busy.tables["managers"]
            table.release(partition)
            table.owned |= {partition}
            table.part(partition)

        text = await self.interrupted(busy, after, leave_and_return)
        left = {manager for manager in (*MANAGERS, *STRANGE) if busy.partition_for(manager.encode()) == partition}
        assert left
        assert exported(text) == {*MANAGERS, *STRANGE} - left

    async def test_all_partitions_revoked_leave_the_families_empty(self, busy: Any) -> None:
        def revoke() -> None:
            for table in busy.tables.values():
                table.owned = frozenset()

        text = await self.interrupted(busy, 5, revoke)
        assert exported(text) == set()
        assert b"# TYPE callpulse_calls gauge\n" in text

    async def interrupted(self, of: StandIn, after: int, act: Any) -> bytes:
        """Return the text of a scrape into which `act` comes after some slices."""
        scrape = asyncio.create_task(of.exposition(slice_s=0).text(NOON_MS))
        for _ in range(after):
            await asyncio.sleep(0)
        assert not scrape.done()
        act()
        return await scrape

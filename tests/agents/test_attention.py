"""The list of leads that need help: of one worker and of all, in pages, as JSON and as CSV."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import pytest
from rich.console import Console

from agents.cli import leads as cli
from agents.cli.common import UserError
from agents.telemetry import http
from agents.telemetry.attention import Query, QueryError
from streams.contract import topics
from streams.contract.facts import Attention, Outcome
from streams.settings.links import Links
from streams.tables.outcome.fold import OutcomeRow, fold
from tests.agents.cli_runner import Runner, Said
from tests.agents.stand_in import StandIn, stand_in

PARTITIONS = (0, 1, 2, 3)
DAY_MS = 86_400_000
SETTINGS = """
timezone = "UTC"
[worker]
http_port = 0
[[teams]]
id = "north"
[[managers]]
id = "ann"
team = "north"
[[managers]]
id = "bob"
"""


def listed(why: str = "stuck", without_progress: int = 5, *, days_in_stage: int = 3, touched: int = 0) -> Attention:
    """A lead that needs help, with its last contact this number of days ago."""
    now_ms = time.time_ns() // 1_000_000
    return Attention(
        attempts=9,
        without_progress=without_progress,
        stage="proposal",
        stage_since=now_ms - days_in_stage * DAY_MS,
        why=why,  # type: ignore[arg-type]  # a literal
        day=now_ms // DAY_MS - touched,
        reason="price_objection",
    )


class Group:
    """Workers that share the partitions, each with the group's assignment."""

    def __init__(self) -> None:
        self.workers: list[tuple[StandIn, http.Server]] = []

    async def join(self, *partitions: int, settings: str = SETTINGS) -> http.Server:
        worker = stand_in(settings).own(*partitions)
        worker.app.assignor = SimpleNamespace(tables_metadata=self.metadata)
        server = await worker.serve()
        self.workers.append((worker, server))
        return server

    def metadata(self) -> dict[str, dict[str, list[int]]]:
        changelog = topics.changelog("outcomes").name
        return {server.url: {changelog: sorted(worker.tables["outcomes"].owned)} for worker, server in self.workers}

    def tell(self, manager: str, **leads: Attention) -> None:
        """Add leads to the rows of the worker that owns the manager."""
        for worker, _ in self.workers:
            partition = worker.partition_for(manager.encode())
            if partition in worker.tables["outcomes"].owned:
                rows = worker.tables["outcomes"].part(partition).rows
                row = rows.setdefault(manager.encode(), OutcomeRow())
                fold(row, Outcome(src="t", seq=row.state.revision, manager=manager, attention=dict(leads)))


@pytest.fixture
async def group() -> AsyncIterator[Group]:
    made = Group()
    yield made
    for _, server in made.workers:
        await server.close()


async def ask(server: http.Server, expected: int = 200, **parameters: Any) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{server.url}/leads/attention", params={k: str(v) for k, v in parameters.items()}) as response,
    ):
        assert response.status == expected, await response.text()
        return await response.json() if response.content_type == "application/json" else await response.text()


def names(page: Any) -> list[str]:
    return [lead["lead"] for lead in page["leads"]]


class TestOneWorker:
    async def test_a_department_without_trouble_has_an_empty_list(self, group: Group) -> None:
        page = await ask(await group.join(*PARTITIONS))
        assert page == {"leads": [], "total": 0, "next_offset": None, "missing_partitions": []}

    async def test_a_lead_is_told_with_what_a_supervisor_must_know(self, group: Group) -> None:
        server = await group.join(*PARTITIONS)
        group.tell("ann", **{"lead-1": listed()})
        assert (await ask(server))["leads"] == [
            {
                "team": "north",
                "manager": "ann",
                "lead": "lead-1",
                "why": "stuck",
                "without_progress": 5,
                "attempts": 9,
                "reason": "price_objection",
                "stage": "proposal",
                "days_in_stage": 3,
            }
        ]

    async def test_the_most_urgent_come_first_whoever_they_belong_to(self, group: Group) -> None:
        server = await group.join(*PARTITIONS)
        group.tell("ann", due=listed("consultation", 4), stuck=listed("stuck", 5))
        group.tell("bob", worse=listed("stuck", 7), older=listed("stuck", 5, days_in_stage=30))
        assert names(await ask(server)) == ["worse", "older", "stuck", "due"]

    async def test_a_lead_that_was_helped_leaves_the_list(self, group: Group) -> None:
        server = await group.join(*PARTITIONS)
        group.tell("ann", one=listed(), two=listed())
        group.tell("ann", one=None)  # type: ignore[arg-type]  # None: no longer listed
        assert names(await ask(server)) == ["two"]

    async def test_a_lead_that_nobody_calls_any_more_is_not_listed(self, group: Group) -> None:
        server = await group.join(*PARTITIONS)
        group.tell("ann", old=listed(touched=30), recent=listed(touched=29))
        assert names(await ask(server)) == ["recent"]

    @pytest.mark.parametrize(
        ("parameters", "expected"),
        [
            ({"manager": "ann"}, ["a-stuck", "a-due"]),
            ({"manager": "nobody"}, []),
            ({"team": "north"}, ["a-stuck", "a-due"]),
            ({"team": "unassigned"}, ["b-stuck"]),
            ({"why": "consultation"}, ["a-due"]),
            ({"manager": "ann", "team": "unassigned"}, []),
        ],
    )
    async def test_it_can_be_narrowed(self, group: Group, parameters: Any, expected: Any) -> None:
        server = await group.join(*PARTITIONS)
        group.tell("ann", **{"a-stuck": listed("stuck", 6), "a-due": listed("consultation", 3)})
        group.tell("bob", **{"b-stuck": listed("stuck", 5)})
        assert names(await ask(server, **parameters)) == expected

    async def test_pages_join_to_the_whole(self, group: Group) -> None:
        server = await group.join(*PARTITIONS)
        group.tell("ann", **{f"lead-{number:03}": listed("stuck", 500 - number) for number in range(25)})
        seen: list[str] = []
        offset: int | None = 0
        while offset is not None:
            page = await ask(server, limit=10, offset=offset)
            assert page["total"] == 25
            seen += names(page)
            offset = page["next_offset"]
        assert seen == [f"lead-{number:03}" for number in range(25)]

    @pytest.mark.parametrize(
        ("parameters", "told"),
        [
            ({"limit": 0}, "limit is a whole number from 1"),
            ({"limit": "all"}, "limit is a whole number"),
            ({"offset": -1}, "offset is a whole number"),
            ({"why": "bored"}, "why is one of stuck, consultation"),
            ({"scope": "here"}, "scope is"),
            ({"format": "xml"}, "format is"),
            ({"managr": "ann"}, "unknown parameter 'managr'"),
        ],
    )
    async def test_a_question_that_cannot_be_says_why(self, group: Group, parameters: Any, told: str) -> None:
        assert told in await ask(await group.join(*PARTITIONS), expected=400, **parameters)

    async def test_csv_is_for_spreadsheets_and_starts_no_formula(self, group: Group) -> None:
        server = await group.join(*PARTITIONS)
        group.tell("ann", **{"=cmd()": listed(), "lead, with a comma": listed(without_progress=6)})
        rows = list(csv.DictReader(io.StringIO(await ask(server, format="csv"))))
        assert [row["lead"] for row in rows] == ["lead, with a comma", "'=cmd()"]
        assert rows[0]["days_in_stage"] == "3"


class TestLinks:
    LINKED: Final = SETTINGS + '[links]\nlead = "https://crm.example/lead/{lead}"\n'

    async def test_each_lead_has_its_page_but_who_is_known_by_a_number_alone(self, group: Group) -> None:
        server = await group.join(*PARTITIONS, settings=self.LINKED)
        caller = "phone:" + 32 * "a"
        group.tell("ann", **{"a lead": listed(), caller: listed(without_progress=6)})
        first, second = (await ask(server))["leads"]
        assert (first["lead"], "link" in first) == (caller, False)
        assert (second["lead"], second["link"]) == ("a lead", "https://crm.example/lead/a%20lead")
        rows = list(csv.DictReader(io.StringIO(await ask(server, format="csv"))))
        assert [row["link"] for row in rows] == ["", "https://crm.example/lead/a%20lead"]

    async def test_without_links_nothing_is_added(self, group: Group) -> None:
        server = await group.join(*PARTITIONS)
        group.tell("ann", one=listed())
        assert "link" not in (await ask(server))["leads"][0]
        assert "link" not in (await ask(server, format="csv")).splitlines()[0]

    async def test_the_worker_that_is_asked_links_the_leads_of_the_others(self, group: Group) -> None:
        asked, _ = await group.join(0, 1, settings=self.LINKED), await group.join(2, 3)
        for number in range(9):
            group.tell(f"manager-{number}", **{f"lead-{number}": listed()})
        page = await ask(asked)
        assert len(page["leads"]) == 9
        assert all(lead["link"] == f"https://crm.example/lead/{lead['lead']}" for lead in page["leads"])


class TestAllWorkers:
    async def test_any_worker_answers_for_all(self, group: Group) -> None:
        first, second = await group.join(0, 1), await group.join(2, 3)
        for number in range(40):
            group.tell(f"manager-{number}", **{f"lead-{number}": listed("stuck", 100 - number)})
        expected = [f"lead-{number}" for number in range(40)]
        assert names(await ask(first)) == names(await ask(second)) == expected
        own = await ask(first, scope="worker")
        assert own["partitions"] == [0, 1]
        assert 0 < own["total"] < 40

    async def test_a_page_in_the_middle_is_the_same_whoever_is_asked(self, group: Group) -> None:
        servers = [await group.join(0), await group.join(1, 2), await group.join(3)]
        for number in range(40):
            group.tell(f"manager-{number}", **{f"lead-{number}": listed("stuck", 100 - number)})
        for server in servers:
            page = await ask(server, limit=7, offset=14)
            assert names(page) == [f"lead-{number}" for number in range(14, 21)]
            assert page["next_offset"] == 21

    async def test_partitions_that_nobody_answers_for_are_named(self, group: Group) -> None:
        server, other = await group.join(0, 1), await group.join(2, 3)
        await other.close()
        assert (await ask(server))["missing_partitions"] == [2, 3]

    async def test_a_worker_that_restores_has_no_answer_for_its_partitions(self, group: Group) -> None:
        server = await group.join(*PARTITIONS)
        group.workers[0][0].tables["outcomes"].owned = frozenset({0, 1, 3})
        assert (await ask(server))["missing_partitions"] == [2]

    async def test_a_peer_that_answers_nonsense_counts_as_missing(self, group: Group) -> None:
        async def nonsense(_: aiohttp.web.Request) -> aiohttp.web.Response:
            return aiohttp.web.Response(text="<html>")

        app = aiohttp.web.Application()
        app.router.add_get("/leads/attention", nonsense)
        runner = aiohttp.web.AppRunner(app)
        await runner.setup()
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            server = await group.join(0, 1)
            changelog = topics.changelog("outcomes").name
            stranger = f"http://127.0.0.1:{runner.addresses[0][1]}"
            metadata = {**group.metadata(), stranger: {changelog: [2, 3]}}
            group.workers[0][0].app.assignor.tables_metadata = lambda: metadata
            assert (await ask(server))["missing_partitions"] == [2, 3]
        finally:
            await runner.cleanup()


class TestQuery:
    def test_defaults(self) -> None:
        assert Query.read({}) == Query(offset=0, limit=100, local=False)

    @pytest.mark.parametrize("number", ["١٢", "1e3", "+5", " 5", "9999999999"])
    def test_numbers_are_plain_digits(self, number: str) -> None:
        with pytest.raises(QueryError, match="limit"):
            Query.read({"limit": number})


class TestCommand:
    async def test_it_fetches_page_after_page(self, group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cli, "LARGEST_PAGE", 10)
        server = await group.join(*PARTITIONS)
        group.tell("ann", **{f"lead-{number:02}": listed("stuck", 99 - number) for number in range(25)})
        found = await cli._fetch(server.url, {}, 23)
        assert [lead["lead"] for lead in found["leads"]] == [f"lead-{number:02}" for number in range(23)]
        assert found["total"] == 25

    @pytest.mark.parametrize("linked", [False, True])
    async def test_it_adds_the_links_of_its_own_settings(
        self, group: Group, callpulse: Runner, tmp_path: Path, *, linked: bool
    ) -> None:
        server = await group.join(*PARTITIONS, settings=TestLinks.LINKED if linked else SETTINGS)
        group.tell("ann", **{"crm-7": listed(), "phone:" + 32 * "b": listed(without_progress=9)})
        (tmp_path / "callpulse.toml").write_text('[links]\nlead = "https://here.example/{lead}"\n')

        async def run(*arguments: str) -> Said:
            return await asyncio.to_thread(callpulse, "leads", server.url, *arguments)

        link = "https://crm.example/lead/crm-7" if linked else "https://here.example/crm-7"
        assert [row.get("link") for row in (await run("--json")).json["leads"]] == [None, link]
        rows = list(csv.DictReader(io.StringIO((await run("--csv")).out)))
        assert [(row["lead"], row["link"]) for row in rows] == [("phone:" + 32 * "b", ""), ("crm-7", link)]
        shown = (await run()).out
        assert "unknown caller bbbbbbbb" in " ".join(shown.split())
        assert "example" not in shown, "no terminal, no hyperlinks"

    def test_a_terminal_gets_hyperlinks(self) -> None:
        row = {
            "manager": "ann",
            "lead": "crm-7",
            "without_progress": 5,
            "attempts": 9,
            "days_in_stage": 3,
            "why": "stuck",
        }
        row |= {"stage": "proposal", "reason": "", "link": "https://crm.example/lead/crm-7"}
        out = io.StringIO()
        terminal = Console(file=out, force_terminal=True, color_system="truecolor", width=120)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cli, "console", lambda: terminal)
            cli._show(
                {"leads": [row], "total": 1, "missing_partitions": []}, Links(manager="https://crm.example/m/{manager}")
            )
        assert re.search(r"\x1b]8;[^;]*;https://crm\.example/lead/crm-7\x1b\\crm-7\x1b]8;;\x1b\\", out.getvalue())
        assert re.search(r"\x1b]8;[^;]*;https://crm\.example/m/ann\x1b\\ann\x1b]8;;\x1b\\", out.getvalue())

    async def test_a_worker_that_is_not_there_is_named(self) -> None:
        with pytest.raises(UserError, match="Is it running"):
            await cli._fetch("http://127.0.0.1:9", {}, 10)

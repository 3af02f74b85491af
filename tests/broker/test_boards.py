"""Every query of six boards over real parts: a worker process on Kafka, and a Prometheus with our rules over it.

The topics have a prefix, so a query that asks for topics by their bare names finds nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import tests.grafana.conftest  # noqa: F401 - imports the boards, whose library warns of itself
from agents.embedded.ports import find_free
from streams.contract import events
from tests.broker.clock import evening_zone
from tests.broker.in_process import call_ended
from tests.broker.installation import Installation
from tests.grafana.backdrop import prometheus, rules_now
from tests.grafana.live import eventually
from tests.grafana.moments import Query, ask, queries
from tests.grafana.silent_queries import SILENT
from tests.kafka_fixture import produce

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(280)]

BOARDS: Final = ("team-now", "wall", "manager", "leads", "conversion", "operations")
MOMENT: Final = "tuesday"
HERE: Final = {
    "no process of the way in runs here": (
        "operations: Way in A",
        "operations: Stored within A",
        "operations: In flight A",
        "operations: Spool* A",
        "operations: Oldest waits A",
        "operations: Wrong clocks A",
        "operations: Events taken in per second A",
        "operations: Time until stored ?",
    ),
    "all records were read before the first scrape": (
        "operations: What became of the records B",
        "operations: Late, by topic A",
    ),
    "the history ends now, and may end between two calls": ("wall: Longest calls now A",),
    "four managers win few deals in eight days, and maybe none by email, messenger or meeting": (
        "conversion: * by channel [B-D]",
    ),
}
"""Queries that find nothing with these parts, and why that is right; others are in `silent_queries.py`."""

OFTEN_STUCK: Final = """
[results]
mentor_after = 1
stuck_after = 2
"""
"""Settings with which every manager has leads that need help at each hour: four managers do not have one always."""

ZONE: Final = 'timezone = "Europe/Berlin"'
"""The zone of the invented people. With another one it is evening here: just after midnight nobody has called today."""


def found(address: str, manager: str) -> dict[Query, list[dict[str, str]]]:
    """Return the labels of everything that each query finds now."""
    return {query: ask(address, query, int(time.time()), manager) for query in queries() if query.board in BOARDS}


def has_read_all(standing: Any) -> bool:
    """Tell whether the worker has managers with calls and deals, and no record waits."""
    lines = standing["lines"]
    return bool(lines) and standing["feed"]["lag"] == 0 and any(line["calls_30d"] and line["won"] for line in lines)


def known(query: Query) -> Iterator[str]:
    """Yield why the query may find nothing."""
    name = f"{query.board}: {query.panel} {query.ref}"
    for why, patterns in (*HERE.items(), *((one.why, one.queries) for one in SILENT if MOMENT in one.at)):
        yield from (why for pattern in patterns if fnmatchcase(name, pattern))


def test_every_query_finds_something_with_the_labels_that_its_panel_shows(bootstrap: str, tmp_path: Path) -> None:
    own = Installation(bootstrap, tmp_path)
    roster = tmp_path / "roster.toml"
    for arguments in (
        ("topics", "create"),
        (
            *("simulate", "--managers", "4", "--teams", "2", "--always", "--days", "8", "--seconds", "0"),
            *("--intensity", "0.5", "--roster", str(roster)),
        ),
    ):
        said = own(*arguments)
        assert said.returncode == 0, said.stderr
    invented = roster.read_text("utf-8")
    assert ZONE in invented
    here = f'timezone = "{evening_zone(int(time.time() * 1000))}"'
    planned = invented.replace(ZONE, here).replace("[[teams]]", "[[teams]]\nplan_deals = 4")
    roster.write_text(f"{OFTEN_STUCK}\n{planned}", "utf-8")
    with own.worker("--config", roster) as (_, url):
        target = url.removeprefix("http://").rstrip("/")
        jobs = [{"job_name": "callpulse", "static_configs": [{"targets": [target]}]}]
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in rules_now(tmp_path)],
            "scrape_configs": jobs,
        }
        eventually(lambda: has_read_all(own.standing(url)), "the worker has read everything", 120)
        manager = max(own.standing(url)["lines"], key=lambda line: line["won"])["manager"]
        # The last call may have been minutes ago. After ten, the feed is taken for broken, and nobody for silent.
        now_ms = int(time.time() * 1000)
        call = call_ended(0, manager, at=now_ms, started_at=now_ms - 100_000, answered_at=now_ms - 90_000)
        produce(bootstrap, own.calls, [(manager.encode(), events.encode(call))])
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
        with prometheus(tmp_path, tmp_path / "prometheus", find_free()) as address:

            def unknown() -> list[tuple[str, ...]]:
                empty = [query for query, told in found(address, manager).items() if not told]
                return sorted(query[:3] for query in empty if not any(known(query)))

            try:
                eventually(lambda: not unknown(), "every query finds something", 60)
            except AssertionError:
                assert unknown() == []
            lacking = {
                (*query[:3], label)
                for query, told in found(address, manager).items()
                for labels in told
                for label in query.labels - labels.keys()
            }
            assert {one for one in lacking if one[1] != "Active alerts"} == set()

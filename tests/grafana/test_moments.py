"""Every query of every board over a simulated department, its own figures and a real Prometheus, at six moments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.grafana.moments import BRIDGED_H, MOMENTS, History, Query, ask, exported, known, levels, queries
from tests.grafana.silent_queries import SILENT, reasons
from tests.grafana.tooling import rules

pytestmark = pytest.mark.timeout(900)  # the department is folded once, for all of them
HISTORY = History()
MANAGER = "clara.still"
QUERIES = list(queries())
Found = dict[str, dict[Query, list[dict[str, str]]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    with known(tmp_path_factory.mktemp("moments"), HISTORY) as address:
        yield {
            name: {query: ask(address, query, HISTORY.at(moment), MANAGER) for query in QUERIES}
            for name, moment in MOMENTS.items()
        }


def test_rules_are_recorded_after_those_that_they_read() -> None:
    recorded: set[str] = set()
    for level in levels(rules()):
        assert all(rule["record"] not in recorded or "callpulse" in rule["record"] for rule in level)
        recorded |= {rule["record"] for rule in level}
    assert recorded == {rule["record"] for rule in rules() if "record" in rule}


@pytest.mark.slow
def test_a_department_with_transcripts_and_a_course_is_heard_and_scraped_between_the_moments() -> None:
    history = History(days=2, minutes=0, course=True, speech=0.7)
    scraped = list(exported(history))
    times = [at for at, _ in scraped if at < history.at(MOMENTS["tuesday"])]
    assert max(later - at for at, later in pairwise(times)) <= BRIDGED_H * 3600
    heard = [line for line in scraped[-1][1] if line.startswith("callpulse_heard_calls{") and 'window="30d"' in line]
    assert sum(float(line.split()[-2]) > 0 for line in heard) > 4


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_every_query_finds_something_or_it_is_known_why_not(moment: str, found: Found) -> None:
    empty = {query for query, told in found[moment].items() if not told}
    assert [query[:3] for query in sorted(empty) if not any(reasons(query, moment))] == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_everything_that_is_found_has_the_labels_that_its_panel_shows(moment: str, found: Found) -> None:
    lacking = {
        (*query[:3], label)
        for query, told in found[moment].items()
        for labels in told
        for label in query.labels - labels.keys()
    }
    # An alert on a worker or a team has no manager; the cell stays empty.
    assert {one for one in lacking if one[1] != "Active alerts"} == set()


@pytest.mark.slow
def test_no_reason_is_left_over(found: Found) -> None:
    used: defaultdict[str, set[Any]] = defaultdict(set)
    for moment, of_moment in found.items():
        for query, told in of_moment.items():
            if not told:
                for why, pattern in reasons(query, moment):
                    used[why].add(pattern)
    assert {silent.why: set(silent.queries) - used[silent.why] for silent in SILENT} == {
        silent.why: set() for silent in SILENT
    }

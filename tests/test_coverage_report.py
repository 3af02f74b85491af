"""The end of `make test`: gaps in the coverage are listed with their reasons, those without one apart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.coverage_report import Gap, complaints, lines_of, spans


def function(lines: list[int], branches: list[list[int]]) -> dict[str, Any]:
    return {"missing_lines": lines, "missing_branches": branches}


def report() -> dict[str, Any]:
    functions = {"Worker.run": function([4, 5, 9], [[3, 4]]), "whole": function([], []), "": function([], [[20, -1]])}
    totals = {"covered_lines": 97, "num_statements": 100, "covered_branches": 8, "num_branches": 10}
    return {"files": {"agents/worker.py": {"functions": functions}}, "totals": totals}


def declared(**reasons: str) -> dict[str, Any]:
    return {"least_percent": {"lines": 97, "branches": 80}, "reasons": {"agents/worker.py": reasons}}


def test_what_is_not_covered_is_listed_with_its_reason_and_what_has_none_apart() -> None:
    assert list(lines_of(report(), declared(**{"Worker.run": "it ends the process"}))) == [
        "Coverage: 97.0 % of 100 lines, 80.0 % of 10 branches. Not covered:",
        "  agents/worker.py Worker.run: 4-5, 9: it ends the process",
        "Without a reason in uncovered.toml:",
        "  agents/worker.py <module>: 20→end",
    ]


def test_a_reason_may_stand_for_a_whole_file() -> None:
    assert not [line for line in lines_of(report(), declared(**{"*": "a demo"})) if "Without a reason" in line]


def test_a_reason_for_a_function_that_is_gone_is_named() -> None:
    *_, last = lines_of(report(), declared(**{"*": "a demo", "gone": "why"}))
    assert last.endswith("not there: agents/worker.py gone")


@pytest.mark.parametrize(
    ("lines", "expected"), [((), []), ((3,), ["3"]), ((3, 4, 5, 7), ["3-5", "7"]), ((1, 3, 4), ["1", "3-4"])]
)
def test_lines_that_follow_each_other_are_joined(lines: tuple[int, ...], expected: list[str]) -> None:
    assert list(spans(lines)) == expected


def test_a_branch_beside_lines_that_are_not_run_goes_without_saying() -> None:
    assert Gap("a.py", "f", (4,), ((3, 4), (4, 6), (7, 9))).places() == "4, 7→9"


def test_less_than_the_least_share_is_complained_of() -> None:
    assert complaints(report(), declared()) == []
    less = declared() | {"least_percent": {"lines": 97.1, "branches": 80}}
    assert complaints(report(), less) == ["97.00 % of the lines are covered, and 97.1 % are the least."]

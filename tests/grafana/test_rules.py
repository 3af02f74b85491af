"""The alert rules: sound, made of metrics that exist, tested by promtool, and each with its section in the runbook."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from grafana import queries
from grafana.config import REPOSITORY_RUNBOOK, Config
from grafana.fill import fill
from tests.grafana.promql import named
from tests.grafana.tooling import CASES, ROOT, RULES, metrics, only, rules, run
from tests.yaml_text import parsed

RUNBOOK = ROOT / "grafana/runbook.md"
ALERTS = [pytest.param(rule, id=f"{rule['alert']} {rule['labels']['severity']}") for rule in rules() if "alert" in rule]
EACH = [pytest.param(rule, id=rule.get("alert") or rule["record"]) for rule in rules()]
NAMES = sorted({only(param)["alert"] for param in ALERTS})

# Promtool takes seconds for cases that last days: a slow test tries each of them, as each of all others, alone.
LONG = {
    "consultation",
    "drop",
    "duplicates",
    "feed",
    "habits",
    "leads",
    "losses",
    "managers",
    "owners",
    "promises",
    "scrapes",
    "sources",
}
BRIEF = [path for path in CASES if path.stem not in LONG]

# The series that the group of trends reads from other groups, or they from it. It is evaluated twice an hour, so that a
# minute does not matter.
OF_OTHER_GROUPS = {
    "callpulse:feed_quiet",
    "callpulse:results_trusted",
    "callpulse:worker_behind",
    "manager:callpulse_calls_full_hour",
    "manager:callpulse_on_shift:max",
    "source:callpulse_source_heard_lately",
    "source:callpulse_source_heard_lately:avg4d",
}

SAFEGUARDS = parsed((Path(__file__).parent / "safeguards.yaml").read_text("utf-8"))


def test_the_rules_are_sound() -> None:
    done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("cases", BRIEF, ids=lambda path: path.stem)
def test_the_cases_of_the_rules_hold(cases: Any) -> None:
    done = run("promtool", "test", "rules", cases)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("without", SAFEGUARDS, ids=[entry["safeguard"] for entry in SAFEGUARDS])
def test_the_cases_notice_when_a_safeguard_is_missing(without: Any, tmp_path: Path) -> None:
    copy_rules(tmp_path)
    (tmp_path / without["file"]).write_text(taken_out(without), "utf-8")
    assert without["case"] in cases_of(without["cases"]), "the cases have changed; so must safeguards.yaml"
    (case,) = alone(without["cases"], tmp_path, without["case"]).values()
    if run("promtool", "test", "rules", case).returncode == 0:
        each = alone(without["cases"], tmp_path, *cases_of(without["cases"]))
        others = [name for name, other in each.items() if run("promtool", "test", "rules", other).returncode]
        pytest.fail(f"the case does not notice; those that do: {others}")


@pytest.mark.slow
def test_the_rules_are_sound_without_a_safeguard(tmp_path: Path) -> None:
    """Rules that cannot be read would look as if a case had noticed."""
    without = [tmp_path / f"{number}.yaml" for number in range(len(SAFEGUARDS))]
    for path, entry in zip(without, SAFEGUARDS, strict=True):
        path.write_text(taken_out(entry), "utf-8")
    done = run("promtool", "check", "rules", *without)
    assert done.returncode == 0, done.stdout + done.stderr


def taken_out(without: dict[str, str]) -> str:
    """Return a file of rules without one of its safeguards."""
    whole = (ROOT / "grafana/rules" / without["file"]).read_text("utf-8")
    assert without["take"] in whole, "the rules have changed; so must safeguards.yaml"
    return whole.replace(without["take"], without["put"])


def copy_rules(folder: Path) -> None:
    """Copy the rules, and make the folder of cases beside them."""
    (folder / "tests").mkdir()
    for path in RULES:
        (folder / path.name).write_text(path.read_text("utf-8"), "utf-8")


@cache
def cases_of(cases: str) -> dict[str, str]:
    """Return each case of a file as the text of a file of its own, by the name of the case."""
    whole = (ROOT / "grafana/rules/tests" / cases).read_text("utf-8")
    head, *each = re.split(r"^(?=  - name:)", whole, flags=re.MULTILINE)
    names = [test["name"] for test in parsed(whole)["tests"]]
    assert len(each) == len(set(names)) == len(names)
    return {name: head + case for name, case in zip(names, each, strict=True)}


def alone(cases: str, folder: Path, *names: str) -> dict[str, Path]:
    """Write cases of a file to a file for each; return these by the name of the case."""
    files = {name: folder / "tests" / f"{number}-{cases}" for number, name in enumerate(names)}
    for name, path in files.items():
        path.write_text(cases_of(cases)[name], "utf-8")
    return files


@pytest.mark.slow
@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_every_case_holds_alone(cases: Any, tmp_path: Path) -> None:
    copy_rules(tmp_path)
    done = run("promtool", "test", "rules", *alone(cases.name, tmp_path, *cases_of(cases.name)).values())
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_asserted_by_a_case_with_its_texts() -> None:
    asserted = {
        case["alertname"]
        for path in CASES
        for test in parsed(path.read_text())["tests"]
        for case in test.get("alert_rule_test", ())
        if case["exp_alerts"]
    }
    assert asserted == set(NAMES) - {"WorkersMissing"}  # needs another configuration: test_workers_missing.py


def test_every_series_recorded_of_results_and_trends_is_asserted_by_a_case() -> None:
    asked = {
        found.metric
        for path in CASES
        for test in parsed(path.read_text("utf-8"))["tests"]
        for case in test.get("promql_expr_test", ())
        for found in named(case["expr"])
    }
    names = [rule.get("record") for file in ("results", "trends") for rule in recorded_in(file)]
    assert [name for name in names if name not in {None, *asked}] == []


def recorded_in(file: str) -> list[dict[str, Any]]:
    (group,) = parsed((ROOT / f"grafana/rules/{file}.yaml").read_text("utf-8"))["groups"]
    return list(group["rules"])


@pytest.mark.parametrize("rule", EACH)
def test_every_metric_of_a_rule_exists_and_has_the_labels_that_are_asked_of_it(rule: Any) -> None:
    known, recorded = metrics(), {other["record"] for other in rules() if "record" in other}
    found = named(rule["expr"])
    assert found
    for metric, labels in found:
        if metric in recorded:
            continue
        if metric == "up":
            assert labels == {"job"}
        elif metric == "ALERTS":  # an alert that goes on once it fires
            assert f'alertname="{rule["alert"]}", alertstate="firing"' in rule["expr"]
        else:
            assert metric in known, f"{metric} is neither in the catalogue nor recorded"
            assert labels <= set(known[metric].labels), metric


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_a_rule_reads_only_recorded_series_of_its_own_group_and_those_before_it(path: Any) -> None:
    # Of a worker that was cut off in the last minutes: no rule needs it in the same evaluation.
    own = {rule["record"] for rule in rules() if "record" in rule} - {"instance:callpulse_cut_off"} - OF_OTHER_GROUPS
    for group in parsed(path.read_text())["groups"]:
        ready: set[str] = set()
        for rule in group["rules"]:
            read = {found.metric for found in named(rule["expr"])} - {rule.get("record")}  # its own, as it was before
            assert read & own <= ready, rule
            ready |= {rule["record"]} if "record" in rule else set()


@pytest.mark.parametrize("rule", [param for param in EACH if "record" in only(param)])
def test_a_recorded_series_is_named_by_level_metric_and_operation(rule: Any) -> None:
    assert re.fullmatch(
        r"((instance|job|manager|team|team_(value|step|channel|weekday)|kind|step|topic|topic_reason|source|source_(reason|result)):)?"
        r"callpulse(_[a-z0-9_]+)?(:[a-z0-9_]+)*",
        rule["record"],
    )
    assert ":" in rule["record"]


@pytest.mark.parametrize("rule", ALERTS)
def test_an_alert_says_how_bad_for_whom_and_what_to_do(rule: Any) -> None:
    assert rule["labels"].keys() == {"severity", "audience"}
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["labels"]["audience"] in ("supervisor", "ops")
    assert rule["annotations"].keys() == {"summary", "description", "command", "dashboard_url", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"{REPOSITORY_RUNBOOK}#{rule['alert'].lower()}"


@pytest.mark.parametrize("rule", ALERTS)
def test_an_alert_waits_before_it_fires(rule: Any) -> None:
    assert re.fullmatch(r"[1-9]\d*m", rule["for"])


def test_the_state_that_is_recorded_is_the_one_that_the_board_shows() -> None:
    (rule,) = (rule for rule in rules() if rule.get("record") == "manager:callpulse_state")
    drawn = fill(queries.state(), Config().words())
    picked = f"{queries.PICKED}, {queries.NO_QUEUE}"
    assert rule["expr"].strip() == drawn.replace(picked + ", ", "").replace(f"{{{picked}}}", "")


def test_the_runbook_has_a_section_for_every_alert_and_no_other() -> None:
    sections = re.findall(r"^## (.+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    assert sorted(sections) == NAMES


def test_the_page_of_alerts_names_every_alert() -> None:
    page = (ROOT / "docs/alerts.md").read_text("utf-8")
    assert [name for name in NAMES if f"`{name}`" not in page] == []

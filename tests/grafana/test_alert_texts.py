"""The texts of alerts: the number, the expectation, the beginning, a command that runs, and a board that exists."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from agents.cli import app
from grafana.config import EXTERNAL_GRAFANA, Config
from streams.explain.explainer import Explainer
from streams.settings.settings import Settings
from tests.grafana.tooling import CASES, ROOT, rules, run
from tests.yaml_text import parsed

ALERTS = [pytest.param(rule, id=f"{rule['alert']} {number}") for number, rule in enumerate(rules()) if "alert" in rule]
NUMBER = re.compile(r"\$value|\| query|^No |nothing of it is understood|does not answer")
"""A value in the summary, or the words for no value; the warning about one process names that one."""
EXPECTED = re.compile(
    r"(?i)usual|expected|should|threshold|against|by the norm|conversations or more|no mentor has|takes seconds|"
    r"fewer than|more than|longer than|retention|closed them after"
)
SINCE = re.compile(
    r"humanizeDuration|\b(?:\d+|an?|two|four|last|the|one|for) (?:h|min|hour|days?|minute|quarter|week)\b|today"
)
SINCE_IT_FIRED = {"LeadsStuck", "SpoolFilling", "SourceZoneWrong", "SourceClockWrong", "RestoreSlow", "RecordsLost"}
"""Alerts on a present state. Their time is that of the alert itself, which every receiver of ours prints."""
USAGE_ERROR = typer.BadParameter.__bases__[0]
SPOKEN = re.compile(r"`(callpulse [^`]+)`")


@cache
def command() -> Any:
    """Return the tree of commands, cached because building it takes seconds."""
    return typer.main.get_command(app)


def filled(text: str) -> str:
    """Return a command with names in the place of labels."""
    text = re.sub(r"\{\{ if match .*?\$labels\.(\w+) \}\}\{\{ else \}\}.*?\{\{ end \}\}", r"some-\1", text)
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"some-\1", text).replace("some-instance", "127.0.0.1:8791")


def parse(line: str) -> None:
    """Parse a command line as `callpulse` does, without running it. Raises UsageError for one that it refuses."""
    program, *words = shlex.split(line)
    assert program == "callpulse"
    current, parent = command(), None
    while True:
        context = current.make_context(program, words, parent=parent)
        rest = [*getattr(context, "_protected_args", ()), *context.args]
        if not isinstance(current, TyperGroup) or not rest:
            return
        _, current, words = current.resolve_command(context, rest)
        parent = context


@pytest.mark.parametrize("rule", ALERTS)
def test_an_alert_tells_the_number_what_was_expected_and_since_when(rule: Any) -> None:
    told = f"{rule['annotations']['summary']} {rule['annotations']['description']}"
    assert NUMBER.search(rule["annotations"]["summary"]), "the summary has no number"
    assert EXPECTED.search(told), "nothing says what was expected"
    if rule["alert"] not in SINCE_IT_FIRED:
        assert SINCE.search(told), "nothing says since when, or over which time"


@pytest.mark.parametrize("rule", ALERTS)
def test_the_command_of_an_alert_is_one_that_callpulse_has(rule: Any) -> None:
    line = rule["annotations"]["command"]
    asked = set(re.findall(r"\$labels\.(\w+)", line))
    parse(filled(line))
    for spoken in SPOKEN.findall(rule["annotations"]["description"]):
        parse(filled(spoken))
    if line.startswith("callpulse explain"):
        _, _, _, measure, _, window = shlex.split(filled(line))
        assert window in Explainer(Settings()).windows[measure]
    if rule["labels"]["audience"] == "supervisor" and "manager" in rule["annotations"]["dashboard_url"]:
        assert asked == {"manager"}


def test_a_command_that_callpulse_has_not_is_refused() -> None:
    for line in (
        "callpulse explian anna",
        "callpulse explain",
        "callpulse leads --wy stuck",
        "callpulse sources tst x",
    ):
        with pytest.raises(USAGE_ERROR):
            parse(line)


@pytest.mark.parametrize("rule", ALERTS)
def test_the_board_of_an_alert_exists_and_has_what_is_picked(rule: Any) -> None:
    url = rule["annotations"]["dashboard_url"]
    assert url.startswith(f"{EXTERNAL_GRAFANA}/d/{Config().uid}-")
    name, _, picked = url.removeprefix(f"{EXTERNAL_GRAFANA}/d/{Config().uid}-").partition("?")
    board = json.loads((ROOT / f"grafana/dashboards/{name}.json").read_text("utf-8"))
    assert board["uid"] == f"{Config().uid}-{name}"
    variables = {variable["name"] for variable in board["templating"]["list"]}
    wanted = {part.split("=")[0].removeprefix("var-") for part in picked.split("&") if part}
    assert wanted <= variables
    assert ("manager" in wanted) == ("manager:callpulse_manager_info:name" in rule["annotations"]["summary"])


def test_an_id_that_a_shell_would_read_is_quoted_in_the_command_and_in_the_address(tmp_path: Path) -> None:
    (source,) = (path for path in CASES if path.stem == "leads")
    case = parsed(source.read_text("utf-8"))
    strange = "an'na; rm -rf $HOME"
    test = {
        "interval": "10m",
        "input_series": [
            {"series": 'callpulse_newest_event_timestamp_seconds{topic="crm"}', "values": "1+600x20"},
            {"series": f'callpulse_on_shift{{manager="{strange}", team="b&c"}}', "values": "1x20"},
            {"series": f'callpulse_leads_stuck{{manager="{strange}", team="b&c"}}', "values": "6x20"},
        ],
        "alert_rule_test": [
            {
                "alertname": "LeadsStuck",
                "eval_time": "2h",
                "exp_alerts": [
                    {
                        "exp_labels": {
                            "severity": "warning",
                            "audience": "supervisor",
                            "manager": strange,
                            "team": "b&c",
                        },
                        "exp_annotations": {
                            "summary": f"6 leads of {strange} (b&c) are stuck",
                            "description": case["tests"][0]["alert_rule_test"][0]["exp_alerts"][0]["exp_annotations"][
                                "description"
                            ],
                            "command": "callpulse leads --manager 'an'\\''na; rm -rf $HOME' --why stuck",
                            "dashboard_url": "/d/callpulse-leads?var-manager=an%27na%3B+rm+-rf+%24HOME",
                            "runbook_url": "grafana/runbook.md#leadsstuck",
                        },
                    }
                ],
            }
        ],
    }
    document = {"rule_files": [str(ROOT / "grafana/rules/results.yaml")], "evaluation_interval": "20m", "tests": [test]}
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(document), "utf-8")
    done = run("promtool", "test", "rules", tmp_path / "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr

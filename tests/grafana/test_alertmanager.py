"""Who hears of which alert, and which alerts are held back by others: Alertmanager's own answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grafana.tooling import ROOT, rules, run
from tests.yaml_text import parsed

CONFIG = ROOT / "deploy/alertmanager/alertmanager.yml"
ALERTS = [rule for rule in rules() if "alert" in rule]
OUTAGES = [("FeedDown", "critical"), ("WorkerDown", "critical"), ("PartitionsUnowned", "critical")]


def test_the_configuration_is_sound() -> None:
    done = run("amtool", "check-config", CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']} {rule['labels']['severity']}")
def test_an_alert_reaches_its_audience_and_an_outage_reaches_both(rule: Any) -> None:
    labels = {"alertname": rule["alert"], "manager": "anna", "team": "berlin", **rule["labels"]}
    done = run(
        "amtool", "config", "routes", "test", f"--config.file={CONFIG}", *(f"{k}={v}" for k, v in labels.items())
    )
    heard = done.stdout.strip().split(",")
    if (rule["alert"], rule["labels"]["severity"]) in OUTAGES:
        assert heard == ["supervisors", "ops"]
    else:
        assert heard == {"supervisor": ["supervisors"], "ops": ["ops"]}[rule["labels"]["audience"]]


def test_what_nobody_thought_of_reaches_those_who_run_it() -> None:
    done = run("amtool", "config", "routes", "test", f"--config.file={CONFIG}", "alertname=SomethingNew")
    assert done.stdout.strip() == "ops"


def test_the_configuration_names_no_alert_that_does_not_exist() -> None:
    config = parsed(CONFIG.read_text("utf-8"))
    matchers = [matcher for route in config["route"]["routes"] for matcher in route["matchers"]]
    for rule in config["inhibit_rules"]:
        matchers += rule["source_matchers"] + rule["target_matchers"]
    named = {
        name for matcher in matchers if matcher.startswith("alertname") for name in matcher.split('"')[1].split("|")
    }
    assert named <= {rule["alert"] for rule in ALERTS}
    assert {"FeedDown", "WorkerDown", "PartitionsUnowned", "SilenceOnShift", "ActivityDrop"} <= named

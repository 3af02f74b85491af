"""The receivers of alerts, and the alerts that inhibit others: Alertmanager's own answers."""

from __future__ import annotations

import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from tests.grafana.live import alerting, eventually
from tests.grafana.tooling import ROOT, rules, run
from tests.yaml_text import parsed

CONFIG = ROOT / "deploy/alertmanager/alertmanager.yml"
ALERTS = [rule for rule in rules() if "alert" in rule]
FOLDER = CONFIG.parent
EXAMPLES = sorted(FOLDER.glob("examples/*.yml"))
OUTAGES = [(name, "critical") for name in ("FeedDown", "WorkerDown", "PartitionsUnowned", "KafkaUnreachable")]


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


def merged(example: Path, folder: Path) -> Path:
    """Write the configuration with the sections of an example, as its head describes, and return its path."""
    config, more = parsed(CONFIG.read_text("utf-8")), parsed(example.read_text("utf-8"))
    for route in config["route"]["routes"]:
        if route["receiver"] == "supervisors" and "routes" in more:
            route["routes"] = more["routes"]
    config |= {name: section for name, section in more.items() if name != "routes"}
    (folder / "callpulse.tmpl").write_text((FOLDER / "callpulse.tmpl").read_text("utf-8"), "utf-8")
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config), "utf-8")
    return path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_makes_a_sound_configuration_with_the_same_routes(example: Path, tmp_path: Path) -> None:
    config = merged(example, tmp_path)
    done = run("amtool", "check-config", config)
    assert done.returncode == 0, done.stdout + done.stderr
    for audience, team, heard in (
        ("supervisor", "berlin", "supervisors"),
        ("supervisor", "siberia", "supervisors"),
        ("supervisor", "oslo", "supervisors"),
        ("ops", "berlin", "ops"),
    ):
        labels = ("alertname=SilenceOnShift", f"audience={audience}", f"team={team}", "severity=warning")
        routed = run("amtool", "config", "routes", "test", f"--config.file={config}", *labels)
        assert routed.stdout.strip() == heard


def test_there_is_an_example_for_each_way_of_delivery() -> None:
    assert {path.stem for path in EXAMPLES} == {"email", "quiet-hours", "slack", "telegram", "webhook"}


def test_quiet_hours_are_those_of_the_team_and_never_those_of_operators(tmp_path: Path) -> None:
    config = parsed(merged(FOLDER / "examples/quiet-hours.yml", tmp_path).read_text("utf-8"))
    told = {interval["name"]: interval["time_intervals"] for interval in config["time_intervals"]}
    for route in config["route"]["routes"]:
        muted = [name for child in route.get("routes", ()) for name in child["mute_time_intervals"]]
        assert bool(muted) == (route["receiver"] == "supervisors")
        assert set(muted) <= told.keys()
    assert all(part["location"] for parts in told.values() for part in parts)


def _quiet_where_it_is_now(config: Any, location: str) -> None:
    """Give all quiet hours the same times, half an hour around what the clock shows at the location."""
    now = datetime.now(ZoneInfo(location))
    begin, end = ((now + timedelta(minutes=minutes)).strftime("%H:%M") for minutes in (-30, 30))
    spans = [(begin, end)] if begin < end else [("00:00", end), (begin, "24:00")]
    for interval in config["time_intervals"]:
        for part in interval["time_intervals"]:
            if "times" in part:
                part["times"] = [{"start_time": begin, "end_time": end} for begin, end in spans if begin < end]
            else:
                part["weekdays"] = [(now + timedelta(days=3)).strftime("%A").lower()]


def _fire(address: str, labels: list[dict[str, str]]) -> None:
    """Give Alertmanager an alert with each of these labels, as Prometheus does."""
    began = datetime.now(UTC).isoformat()
    body = json.dumps([{"labels": each, "startsAt": began} for each in labels]).encode()
    asked = urllib.request.Request(  # noqa: S310 - our own process on the loopback
        f"{address}/api/v2/alerts", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310 - as above
        assert answer.status == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("location", "muted"), [("Asia/Yekaterinburg", {"ural", "siberia"}), ("Europe/Berlin", {"berlin"})]
)
def test_in_quiet_hours_nothing_is_told_and_everything_else_is(location: str, muted: set[str], tmp_path: Path) -> None:
    config = parsed(merged(FOLDER / "examples/quiet-hours.yml", tmp_path).read_text("utf-8"))
    _quiet_where_it_is_now(config, location)
    teams = ("ural", "siberia", "berlin", "oslo")  # that of Oslo has no quiet hours
    labels = [
        {"alertname": name, "manager": team, "team": team, "audience": audience, "severity": "warning"}
        for name, audience in (("SilenceOnShift", "supervisor"), ("LeadsStuck", "supervisor"), ("CallEndsLost", "ops"))
        for team in teams
    ]
    with alerting(tmp_path, config) as (address, pager):
        _fire(address, labels)
        expected = {
            ("ops" if each["audience"] == "ops" else "supervisors", each["alertname"], each["team"], "firing")
            for each in labels
            if each["audience"] == "ops" or each["team"] not in muted
        }
        eventually(lambda: {tuple(page) for page in pager.pages} >= expected, "what is not muted is told")
        time.sleep(2)  # the slowest group waits 5 s, as those that are muted do: they have been flushed by now
        assert {tuple(page) for page in pager.pages} == expected


@pytest.mark.slow
def test_in_quiet_hours_an_outage_does_not_wake_supervisors(tmp_path: Path) -> None:
    config = parsed(merged(FOLDER / "examples/quiet-hours.yml", tmp_path).read_text("utf-8"))
    _quiet_where_it_is_now(config, "Europe/Berlin")
    with alerting(tmp_path, config) as (address, pager):
        _fire(address, [{"alertname": "FeedDown", "audience": "ops", "severity": "critical"}])
        eventually(lambda: bool(pager.pages), "operators are told")
        time.sleep(2)  # as above
        assert {page[0] for page in pager.pages} == {"ops"}


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("callpulse.tmpl", ("Since 20", "Command: ", "Board: ", "Runbook: ")),
        ("callpulse.ru.tmpl", ("С ", "Команда: ", "Доска: ", "Что делать: ")),
    ],
)
def test_a_message_has_the_text_since_when_the_command_the_board_and_the_runbook(
    template: str, words: tuple[str, ...]
) -> None:
    done = run(
        "amtool",
        "template",
        "render",
        f"--template.glob={FOLDER}/{template}",
        '--template.text={{ template "callpulse.title" . }}|{{ template "callpulse.text" . }}',
    )
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout


@pytest.mark.parametrize("page", ["https://crm.example/staff/anna", ""])
def test_a_message_has_the_page_of_the_crm_if_there_is_one(page: str, tmp_path: Path) -> None:
    told = {"summary": "silent", "dashboard_url": "/d/board", "runbook_url": "/runbook"} | (
        {"crm_url": page} if page else {}
    )
    alert = {"status": "firing", "labels": {}, "annotations": told, "startsAt": "2026-01-05T10:00:00Z"}
    (tmp_path / "data.json").write_text(json.dumps({"status": "firing", "alerts": [alert]}), "utf-8")
    done = run(
        "amtool",
        "template",
        "render",
        f"--template.glob={FOLDER}/callpulse.tmpl",
        f"--template.data={tmp_path}/data.json",
        '--template.text={{ template "callpulse.text" . }}',
    )
    assert done.returncode == 0, done.stderr
    assert (
        f"Board: /d/board\n{f'CRM: {page}' if page else ''}{chr(10) if page else ''}Runbook: /runbook\n" in done.stdout
    )

"""The configuration of boards and rules: read with clear errors, and every number and name in them follows it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from grafana import build, queries
from grafana.config import Alerts, Boards, Config, Prometheus, load
from grafana.fill import fill, select
from streams.metrics.wording import LANGUAGES, Language
from streams.settings.reader import duration_text, toml_key
from streams.settings.settings import SettingsError
from tests.grafana.promql import named
from tests.grafana.tooling import ROOT, metrics, run
from tests.yaml_text import parsed

SETTINGS = """
[kafka]
session_timeout = "11s"
[worker]
restore_deadline = "7m"
[thresholds]
conversation = "51s"
short = "97s"
meaningful = "13m"
meaningful_target = [21, 33]
attempts_target = [6, 7]
work_gap = "17m"
work_block = "100m"
break_after = "250m"
max_call = "5h"
calls_per_lead_day = 8
histogram = ["7s", "23s", "53s"]
[results]
mentor_after = 11
stuck_after = 14
attention_series = 19
permitted_hours = "07:30-19:45"
long_first_call = "8m"
quick_close = 6
[targets]
gain = 0.0125
floor = 0.023
cap = 0.0456
[speech]
flag_fillers = 5
flag_monologue = "3m"
flag_interruptions = 4
silence = "4s"
long_turn = "7m"
min_calls = 17
[links]
lead = "https://crm.example/{lead.kind}/{lead.id}"
manager = "https://crm.example/staff/{manager}"
"""
OTHER = """
settings = "callpulse.toml"
[prometheus]
job = "sales-monitor"
workers = 3
gateway_job = "sales-way-in"
selector = 'environment="prod"'
interval = "40s"
results_interval = "90s"
missed_scrapes = "4m"
runbook = "https://wiki.example/callpulse"
grafana = "https://boards.example"
[alerts]
silence = "26m"
feed_silence = "12m"
break = "95m"
source_silence = "43m"
crm_silence = "190m"
lag = "98s"
event_delay = "99s"
drop_ratio = 0.41
drop_talk = "31m"
stuck_leads = 9
consultation_shift = "9h"
week_proposals = 27
rejected_records = 12
rejected_ratio = 0.037
call_ends_lost = 16
call_ends_lost_ratio = 0.043
spool_ratio = 0.34
spool_age = "8m"
unauthenticated = 71
clock = "47s"
link_gaps = 7
unpushed = 19
poll_silence = "25m"
drift_legs = 14
drift_ratio = 0.038
provisional_days = 5
transcript_silence = "37h"
transcript_calls = 23
short_calls = 24
short_rise = 0.28
over_called_leads = 6
broken_promises = 13
kept_ratio = 0.64
norm_ratio = 0.58
pace_ratio = 0.77
duplicates = 230
[boards]
uid = "sales"
refresh = "25s"
short_ratio = [0.44, 0.66]
next_step_ratio = [0.22, 0.55]
kept_ratio = [0.6, 0.8]
signature_deals = 4
norm_deals = 7
funnel_leads = 28
"""
FIXED = {
    "en": {
        "For 5 min the workers": "how long WorkerLag waits",
        "not been ready for 10 min": "how long RestoreSlow waits",
        "in 15 min": "the window of alerts on what comes in",
        "of the last 3 h": "the window of ShortCallBurst",
        "they have for 15 min": "how long StrayRecords waits",
        "tries again within 30 s": "how often a listener tries to connect",
        "median of the last 10 min": "the window of the recorded median",
        "They have for 5 min": "how long WorkersMissing waits",
        "had an answer for 3 min": "how long KafkaUnreachable waits, and what it looks back",
    },
    "ru": {
        "Уже 5 мин на то": "how long WorkerLag waits",
        "не готов уже 10 мин": "how long RestoreSlow waits",
        "за 15 мин": "the window of alerts on what comes in",
        "за последние 3 ч": "the window of ShortCallBurst",
        "они идут уже 15 мин": "how long StrayRecords waits",
        "не реже чем раз в 30 с": "how often a listener tries to connect",
        "медиана за последние 10 мин": "the window of the recorded median",
        "Так уже 5 мин": "how long WorkersMissing waits",
        "не получают ответа уже 3 мин": "how long KafkaUnreachable waits, and what it looks back",
    },
}
"""Texts with a number that no configuration changes, and its meaning."""
NUMBERS = {"en": r"\d \w|\d to|\d %", "ru": r"\d \w|\d–|\d %"}
"""Patterns of the numbers in a text of a configuration."""


@pytest.fixture
def other(tmp_path: Path) -> Config:
    (tmp_path / "callpulse.toml").write_text(SETTINGS, "utf-8")
    (tmp_path / "boards.toml").write_text(OTHER, "utf-8")
    return load(tmp_path / "boards.toml")


def wrong(folder: Path, text: str) -> str:
    (folder / "wrong.toml").write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        load(folder / "wrong.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[alerts]\nsilense = '20m'", "alerts.silense: unknown key; did you mean silence?"),
        ("[alerts]\nsilence = 20", 'alerts.silence: 20 has no unit; write "20s", "20m" or "20h"'),
        ("[alerts]\nsilence = '30s'", "alerts.silence: must be at least 1m, not 30s"),
        ("[alerts]\nfeed_silence = '21m'", "alerts.feed_silence: is longer than silence (20m)"),
        ("[alerts]\ndrop_ratio = 2", "alerts.drop_ratio: must be at most 1"),
        ("[prometheus]\njob = 'a\"b'", "prometheus.job: "),
        ("[prometheus]\nselector = 'prod'", "prometheus.selector: 'prod' are no matchers"),
        ("[boards]\nuid = 'a b'", "boards.uid: "),
        ("silence = '1m'", "silence: unknown key; known here: settings, language, prometheus, alerts, boards"),
        ("[alerts", "the file is not TOML"),
    ],
)
def test_what_is_wrong_is_named_under_its_key(text: str, message: str, tmp_path: Path) -> None:
    assert message in wrong(tmp_path, text)


def test_a_wrong_setting_of_the_workers_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "callpulse.toml").write_text("[thresholds]\nshort = 1\n", "utf-8")
    assert "thresholds.short: " in wrong(tmp_path, "settings = 'callpulse.toml'")


def values(config: Config) -> Iterator[tuple[str, object]]:
    for name in ("prometheus", "alerts", "boards"):
        table = getattr(config, name)
        yield from ((f"{name}.{field}", getattr(table, field)) for field in table.__struct_fields__)


def test_the_other_configuration_differs_in_every_key(other: Config) -> None:
    for (key, mine), (_, default) in zip(values(other), values(Config()), strict=True):
        assert mine != default, key
    same = [word for word, text in other.words().items() if text == Config().words()[word]]
    shell = ["shell.manager", "shell.team", "shell.source", "shell.reason"]
    assert same == ["name", "team_name", "of_team", *shell, "team_word", "length.0"]


def texts(files: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield every text that a person reads: titles, descriptions, heads of columns, texts of alerts."""
    for name, text in files.items():
        if name.endswith(".json"):
            yield from _texts(name, json.loads(text))
        else:
            for group in parsed(text)["groups"]:
                for rule in group["rules"]:
                    yield from ((f"{name} {rule['alert']}", told) for told in rule.get("annotations", {}).values())


def _texts(where: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from [] if name in ("expr", "type", "id") else _texts(where, one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(where, one)
    elif isinstance(value, str):
        yield where, value


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_names_a_number_of_the_default_configuration(other: Config, language: Language) -> None:
    words = Config(language=language).words()
    defaults = {text for word, text in words.items() if re.search(NUMBERS[language], text) and word != "length.0"}
    assert {words[word] for word in ("short", "silence.text", "meaningful_target", "calls_per_lead_day")} <= defaults
    assert {words[word] for word in ("permitted_hours", "drift_ratio.text", "lag.text", "max_call")} <= defaults
    number = re.compile("|".join(rf"(?<![\w.]){re.escape(text)}(?!\w)" for text in sorted(defaults)))
    for where, text in texts(build.rendered(replace(other, language=language))):
        rest = text
        for fixed in FIXED[language]:
            rest = rest.replace(fixed, "")
        assert number.search(rest) is None, f"{where}: {text}"
    shown = " ".join(text for _, text in texts(build.rendered(Config(language=language))))
    assert [fixed for fixed in FIXED[language] if fixed not in shown] == []


def test_no_text_spells_a_number_that_a_setting_decides() -> None:
    spelt = re.compile(
        r"(?i)\b(?:three|five|half an hour|quarter of an hour) (?:conversations|deals|leads|calls|min)\b"
    )
    assert [text for _, text in texts(build.rendered(Config())) if spelt.search(text)] == []


def rules(files: dict[str, str]) -> Iterator[dict[str, Any]]:
    for name, text in files.items():
        if name.endswith(".yaml"):
            for group in parsed(text)["groups"]:
                yield from group["rules"]


def test_the_rules_of_another_configuration_are_sound(other: Config, tmp_path: Path) -> None:
    build.write(tmp_path, other)
    made = sorted((tmp_path / "rules").glob("*.yaml"))
    done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *made)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(made) == 6


def test_an_alert_fires_from_the_configured_time_on(other: Config, tmp_path: Path) -> None:
    build.write(tmp_path, other)
    case = {
        "rule_files": ["rules/activity.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f'{metric}{{environment="prod", {labels}}}', "values": values_}
                    for metric, labels, values_ in (
                        ("callpulse_on_shift", 'manager="anna", team="berlin"', "1x60"),
                        ("callpulse_idle_seconds", 'manager="anna", team="berlin"', "0+60x60"),
                        ("callpulse_on_shift", 'manager="jonas", team="berlin"', "1x60"),
                        ("callpulse_newest_event_timestamp_seconds", 'topic="calls"', "0+60x60"),
                    )
                ],
                "alert_rule_test": [
                    {"eval_time": f"{minute}m", "alertname": "SilenceOnShift", "exp_alerts": alerts}
                    for minute, alerts in (
                        (27, []),
                        (
                            28,
                            [
                                {
                                    "exp_labels": {
                                        "manager": "anna",
                                        "team": "berlin",
                                        "severity": "warning",
                                        "audience": "supervisor",
                                    },
                                    "exp_annotations": {
                                        "summary": "anna (berlin) is on shift and silent for 28m 0s",
                                        "description": "No outbound or inbound call since then, while events of other "
                                        "managers arrive. The threshold is 26 min.",
                                        "command": "callpulse explain anna calls --window today",
                                        "runbook_url": "https://wiki.example/callpulse#silenceonshift",
                                        "dashboard_url": "https://boards.example/d/sales-manager?var-manager=anna",
                                        "crm_url": "https://crm.example/staff/anna",
                                    },
                                }
                            ],
                        ),
                    )
                ],
            }
        ],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(case), "utf-8")
    done = run("promtool", "test", "rules", tmp_path / "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_query_of_a_metric_has_the_selector(other: Config) -> None:
    files = build.rendered(other)
    boards = [json.loads(text) for name, text in files.items() if name.endswith(".json")]
    exprs = [target["expr"] for board in boards for panel in board["panels"] for target in panel.get("targets", ())]
    exprs += [rule["expr"] for rule in rules(files)]
    seen = set()
    for expr in exprs:
        for metric, labels in named(expr):
            if metric in metrics() or metric == "up":
                assert "environment" in labels, expr
                seen.add(metric)
    assert len(seen) > 50
    variables = [variable["query"] for board in boards for variable in board["templating"]["list"][1:]]
    assert all('environment="prod"' in query["query"] or queries.NAMES in query["query"] for query in variables)


def test_the_names_follow_the_configuration(other: Config) -> None:
    files = build.rendered(other)
    board = json.loads(files["dashboards/manager.json"])
    assert (board["uid"], board["tags"], board["refresh"]) == ("sales-manager", ["sales"], "25s")
    assert '"url": "/d/sales-manager?' in files["dashboards/team-now.json"]
    assert 'job="callpulse"' not in "".join(files.values())
    groups = [group for text in files.values() if text.startswith("#") for group in parsed(text)["groups"]]
    assert {group["interval"] for group in groups} == {"30m", "40s", "90s"}
    assert {rule["annotations"]["runbook_url"].split("#")[0] for rule in rules(files) if "alert" in rule} == {
        "https://wiki.example/callpulse"
    }


@pytest.mark.parametrize(
    ("expr", "selected"),
    [
        ("callpulse_calls", 'callpulse_calls{e="p"}'),
        ('sum(callpulse_calls{window="1h"}[2m])', 'sum(callpulse_calls{e="p", window="1h"}[2m])'),
        ('up{job="a"} == 1', 'up{e="p", job="a"} == 1'),
        ("manager:callpulse_calls_1h:sum", "manager:callpulse_calls_1h:sum"),
        ("callpulse:feed_quiet + callpulse_x", 'callpulse:feed_quiet + callpulse_x{e="p"}'),
        ('label_replace(a, "callpulse_x", "", "", "")', 'label_replace(a, "callpulse_x", "", "", "")'),
        ("label_values(callpulse_on_shift, team)", 'label_values(callpulse_on_shift{e="p"}, team)'),
    ],
)
def test_a_selector_goes_to_metrics_and_to_nothing_else(expr: str, selected: str) -> None:
    assert select(expr, 'e="p"') == selected
    assert select(expr, "") == expr


def test_a_word_that_nobody_knows_stops_the_build() -> None:
    with pytest.raises(ValueError, match="<<silense>> stands for nothing; known: "):
        fill("<<silense>>", Config().words())


def test_the_command_writes_checks_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "boards.toml").write_text("[alerts]\nsilence = '26m'\n", "utf-8")
    given = ["--config", str(tmp_path / "boards.toml"), "--output", str(tmp_path / "made")]
    assert build.main([*given, "--check"]) == 1
    assert build.main(given) == 0
    assert build.main([*given, "--check"]) == 0
    (tmp_path / "boards.toml").write_text("[alerts]\nsilence = 26\n", "utf-8")
    assert build.main(given) == 2
    assert "alerts.silence: 26 has no unit" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        build.main(given[:2])


def test_the_page_lists_every_key_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `((?:prometheus|alerts|boards)\.[a-z_]+)` \| (.*?) \|", PAGE, re.MULTILINE))
    assert rows == {
        f"{name}.{toml_key(field)}": _written(field, getattr(table, field))
        for name, table in (("prometheus", Prometheus()), ("alerts", Alerts()), ("boards", Boards()))
        for field in table.__struct_fields__
    }


PAGE = (ROOT / "docs/alerts.md").read_text("utf-8")


def _written(field: str, value: object) -> str:
    if field == "grafana":
        return "the external label `grafana`"
    if field == "runbook":
        return "`grafana/runbook.md` below the external label `runbooks`"
    if field.endswith("_ms") and isinstance(value, int):
        return f'`"{duration_text(value)}"`'
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"

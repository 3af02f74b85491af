"""Links of boards and alerts: names, unknown callers, pages of the CRM where the settings name them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from grafana import build, common, pages, queries
from grafana.config import Config
from streams.callers import shown
from streams.settings.links import Links
from streams.settings.settings import load
from tests.grafana.tooling import RULES, run
from tests.yaml_text import parsed

CALLER = "phone:174605dd995a9e798138e50e3eab9f7d"
PLAIN = build.rendered(Config())
SET = Config(
    settings=load(
        """
        [links]
        lead = "https://crm.example/{lead.kind}/{lead.id}?tab=1"
        manager = "https://crm.example/staff/{manager}"
        """,
        {},
    )
)
LINKED = build.rendered(SET)
TEMPLATES = (
    "https://crm.example/lead/{lead}",
    "https://crm.example/lead/{lead.id}/x",
    "https://crm.example/{lead.kind}/{lead.id}/",
    "https://crm.example/{lead.source}/x{lead.id}?id={lead}",
)
IDS = st.lists(st.text("ab1._~-", min_size=1, max_size=4), min_size=1, max_size=4).map(":".join)


def address(template: str, lead: str) -> str | None:
    """The label `page` that Prometheus makes of a lead, by the meaning of label_replace."""
    found = None
    for value, pattern in re.findall(r'"page", "([^"]*)", "lead", "([^"]*)"\)', pages.with_lead_page("x", template)):
        if (match := re.fullmatch(pattern, lead)) is not None:
            for number, text in enumerate(match.groups(), 1):
                value = value.replace(f"${{{number}}}", text or "")  # noqa: PLW2901 - filled in
            found = value or None
    return found


@pytest.mark.parametrize("template", TEMPLATES)
@given(lead=IDS)
def test_a_board_leads_to_the_page_that_the_command_line_names(template: str, lead: str) -> None:
    expected = Links(lead=template).of_lead(lead)
    dots = any(set(part) <= {"."} for part in lead.split(":"))
    assert address(template, lead) == (None if dots else expected and unquote(expected))


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("lead", [CALLER, "", "a b", "a:b:ü", "a:b:1/2", "a:b:x&y=1", "::", "a:b:"])
def test_callers_and_ids_with_other_signs_have_no_page_on_a_board(template: str, lead: str) -> None:
    assert address(template, lead) is None


def test_prometheus_makes_the_same_page(tmp_path: Path) -> None:
    leads = ("bitrix24:contact:12", "crm-77", CALLER, "a:b:c:9")
    template = TEMPLATES[3]
    samples = []
    for lead in leads:
        page = address(template, lead)
        samples.append({"labels": f'x{{lead="{lead}"{f", page={json.dumps(page)}" if page else ""}}}', "value": 1})
    case = {
        "rule_files": [],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": f'x{{lead="{lead}"}}', "values": "1"} for lead in leads],
                "promql_expr_test": [
                    {"expr": pages.with_lead_page("x", template), "eval_time": "0m", "exp_samples": samples}
                ],
            }
        ],
    }
    assert sum("page" in str(sample["labels"]) for sample in samples) == 2
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(case), "utf-8")
    done = run("promtool", "test", "rules", tmp_path / "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def overrides(files: dict[str, str], head: str) -> Iterator[dict[str, Any]]:
    """Yield the properties of each column with this head, on all boards."""
    for name, text in files.items():
        for panel in json.loads(text)["panels"] if name.endswith(".json") else ():
            for one in panel.get("fieldConfig", {}).get("overrides", ()):
                if one["matcher"]["options"] == head:
                    yield {property_["id"]: property_["value"] for property_ in one["properties"]}


def test_a_caller_is_shown_as_everywhere_else() -> None:
    found = [properties["mappings"] for properties in overrides(PLAIN, "Lead")]
    assert len(found) >= 2
    for ((mapping,),) in zip(found, strict=True):
        assert mapping["type"] == "regex"
        pattern = mapping["options"]["pattern"].strip("/")
        text = mapping["options"]["result"]["text"].replace("$1", r"\1")
        for lead in (CALLER, "crm-77", "phone:home", "xphone:174605dd"):
            assert re.sub(pattern, text, lead) == shown(lead)


def test_with_links_a_lead_and_a_manager_lead_to_their_pages() -> None:
    for properties in overrides(LINKED, "Lead"):
        (link,) = properties["links"]
        assert (link["url"], link["targetBlank"]) == ("${__data.fields.CRM:raw}", True)
    hidden = list(overrides(LINKED, "CRM"))
    assert len(hidden) >= 2
    assert all(one["custom.hidden"] and one["noValue"] == "" for one in hidden)
    for properties in overrides(LINKED, "Manager"):
        board, page = properties["links"]
        assert board["url"].startswith("/d/callpulse-manager?")
        assert page["url"] == "https://crm.example/staff/${__data.fields.Id:percentencode}"
    _, link = json.loads(LINKED["dashboards/manager.json"])["links"]
    assert (link["type"], link["url"]) == ("link", "https://crm.example/staff/${manager:percentencode}")
    exprs = [
        target["expr"]
        for panel in json.loads(LINKED["dashboards/leads.json"])["panels"]
        for target in panel.get("targets", ())
        if "lead_attention" in target["expr"]
    ]
    assert all('"https://crm.example/${3}/${4}?tab=1"' in expr for expr in exprs)
    assert all("page" in re.findall(r"by \(([^)]*)\)", expr)[0].split(", ") for expr in exprs)


def test_in_russian_the_links_are_the_same() -> None:
    linked = build.rendered(replace(SET, language="ru"))
    assert {properties["links"][0]["url"] for properties in overrides(linked, "Лид")} == {"${__data.fields.CRM:raw}"}
    (text,) = {properties["mappings"][0]["options"]["result"]["text"] for properties in overrides(linked, "Лид")}
    assert text == "неизвестный звонящий $1"
    assert alerts(linked)["SilenceOnShift"]["crm_url"] == alerts(LINKED)["SilenceOnShift"]["crm_url"]
    assert "/d/callpulse-ru-manager?" in alerts(linked)["SilenceOnShift"]["dashboard_url"]


def test_without_links_there_is_nothing_of_them() -> None:
    assert all("links" not in properties for properties in overrides(PLAIN, "Lead"))
    assert all(len(properties["links"]) == 1 for properties in overrides(PLAIN, "Manager"))
    assert list(overrides(PLAIN, "CRM")) == []
    assert "crm_url" not in "".join(PLAIN.values())
    assert "${__value.text} in the CRM" not in "".join(PLAIN.values())


def alerts(files: dict[str, str]) -> dict[str, dict[str, str]]:
    """The annotations of each alert on a manager."""
    made = (parsed(text) for name, text in files.items() if name.endswith(".yaml"))
    rules = (rule for one in made for group in one["groups"] for rule in group["rules"])
    return {rule["alert"]: rule["annotations"] for rule in rules if "$labels.manager" in str(rule.get("annotations"))}


def test_every_alert_on_a_manager_links_the_board_and_the_page() -> None:
    found = alerts(LINKED)
    assert {"SilenceOnShift", "ActivityDrop", "LeadsStuck", "ConsultationIgnored", "ConversionFalling"} <= found.keys()
    assert [name for name, told in found.items() if not {"dashboard_url", "crm_url"} <= told.keys()] == []
    assert [name for name, told in alerts(PLAIN).items() if "dashboard_url" not in told] == []


@pytest.mark.parametrize(("grafana", "files"), [("", PLAIN), ("https://grafana.example", LINKED)])
def test_the_links_of_an_alert_are_addresses(grafana: str, files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/activity.yaml").write_text(files["rules/activity.yaml"], "utf-8")
    links = {"dashboard_url": f"{grafana}/d/callpulse-manager?var-manager=an+na%26%2F"}
    links |= {"crm_url": "https://crm.example/staff/an%20na%26%2F"} if files is LINKED else {}
    manager = {"manager": "an na&/", "team": "berlin"}
    series = 'manager="an na&/", team="berlin"'
    case = {
        "rule_files": ["rules/activity.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "external_labels": {"grafana": grafana} if grafana else {},
                "input_series": [
                    {"series": 'callpulse_newest_event_timestamp_seconds{topic="calls"}', "values": "0+60x60"},
                    {"series": f"callpulse_on_shift{{{series}}}", "values": "1x60"},
                    {"series": f"callpulse_idle_seconds{{{series}}}", "values": "0+60x60"},
                ],
                "alert_rule_test": [
                    {
                        "alertname": "SilenceOnShift",
                        "eval_time": "30m",
                        "exp_alerts": [
                            {
                                "exp_labels": {**manager, "severity": "warning", "audience": "supervisor"},
                                "exp_annotations": {
                                    "summary": "an na&/ (berlin) is on shift and silent for 30m 0s",
                                    "description": "No outbound or inbound call since then, while events of other "
                                    "managers arrive. The threshold is 20 min.",
                                    "runbook_url": "grafana/runbook.md#silenceonshift",
                                    "command": "callpulse explain 'an na&/' calls --window today",
                                    **links,
                                },
                            }
                        ],
                    }
                ],
            }
        ],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(case), "utf-8")
    done = run("promtool", "test", "rules", tmp_path / "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("regex", "series", "value", "text"),
    [
        (common.NAMED, '{manager="anna.weber",name="Anna Weber",team="berlin"}', "anna.weber", "Anna Weber"),
        (
            common.NAMED,
            '{manager="asterisk:201",name="asterisk:201",team="unassigned"}',
            "asterisk:201",
            "asterisk:201",
        ),
        (common.TEAM_NAMED, '{name="Berlin, new business",team="berlin-new"}', "berlin-new", "Berlin, new business"),
    ],
)
def test_a_picker_shows_the_name_and_selects_the_id(regex: str, series: str, value: str, text: str) -> None:
    # As Grafana writes a series that query_result finds: its labels in order, its value and the moment.
    found = re.search(regex.strip("/").replace("(?<", "(?P<"), f"{series} 1 1790553600000")
    assert found is not None
    assert (found["value"], found["text"]) == (value, text)


def test_every_team_with_a_manager_is_picked_by_its_name_or_else_by_its_id(tmp_path: Path) -> None:
    series = [
        'callpulse_team_info{team="berlin", name="Berlin, new business", instance="a"}',
        'callpulse_team_info{team="berlin", name="Berlin, new business", instance="b"}',
        'callpulse_team_info{team="empty", name="Nobody"}',
        'callpulse_on_shift{manager="anna", team="berlin"}',
        'callpulse_on_shift{manager="ben", team="old"}',
        'callpulse_on_shift{manager="queue:sales", team="unassigned"}',
    ]
    case = {
        "rule_files": [],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": one, "values": "1"} for one in series],
                "promql_expr_test": [
                    {
                        "expr": f"{queries.TEAM_NAMES} * 0",
                        "eval_time": "0m",
                        "exp_samples": [
                            {"labels": '{team="berlin", name="Berlin, new business"}', "value": 1},
                            {"labels": '{team="old", name="old"}', "value": 0},
                        ],
                    }
                ],
            }
        ],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(case), "utf-8")
    done = run("promtool", "test", "rules", tmp_path / "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_that_are_kept_link_no_crm() -> None:
    assert all("crm_url" not in path.read_text("utf-8") for path in RULES)

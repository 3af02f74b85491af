"""The Russian boards and alerts: every text has a translation, none is left over, and only the texts differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana import build, translation
from grafana.config import Config
from grafana.translation import Translation, UntranslatedError, placeholders, speaks
from streams.contract.events import DISPOSITIONS, KINDS_AND_UNKNOWN
from streams.settings.results import Results
from tests.grafana.tooling import ROOT, run
from tests.yaml_text import parsed

ENGLISH, RUSSIAN = Config(), Config(language="ru")
RUNBOOKS = {"en": ROOT / "grafana/runbook.md", "ru": ROOT / "docs/ru/runbook.md"}
SAME = {"Id", "CRM", "callpulse"}
"""Texts that are the same in Russian: a hidden column, an abbreviation, a name."""
OF_MACHINES = {
    *("expr", "query", "url", "regex", "renamePattern", "type", "id", "uid", "refId", "name", "tags", "unit", "to"),
    *("color", "fixedColor", "mode", "sort", "from", "format", "interval", "timezone", "group", "fill", "displayMode"),
    *(
        "align",
        "pattern",
        "alignValue",
        "match",
        "calcs",
        "cellHeight",
        "colorMode",
        "graphMode",
        "justifyMode",
        "namePlacement",
    ),
    *(
        "orientation",
        "percentChangeColorMode",
        "placement",
        "showPoints",
        "showValue",
        "sizing",
        "textMode",
    ),
    *("valueDisplayMode", "valueMode", "refresh", "axisPlacement", "repeatDirection", "icon", "auto_min", "allValue"),
}
"""Keys of a board's JSON under which no text for a reader stands."""


@cache
def made(language: str) -> Mapping[str, Any]:
    """Return the boards and rules in a language, parsed."""
    files = build.rendered(RUSSIAN if language == "ru" else ENGLISH)
    return {name: json.loads(text) if name.endswith(".json") else parsed(text) for name, text in files.items()}


def strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each string of a board's JSON, and the key under which it stands; not units and looks in overrides."""
    if isinstance(value, dict):
        if re.match(r"unit$|byFrameRefID$|custom\.", str(value.get("id"))):
            return
        for name, one in value.items():
            yield from strings(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one, key)
    elif isinstance(value, str):
        yield key, value


def alerts(language: str) -> dict[str, dict[str, Any]]:
    """Return the alerts of a language by name; an alert of two severities under its last rule."""
    groups = [group for name, file in made(language).items() if name.startswith("rules/") for group in file["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def test_every_text_that_a_reader_sees_is_russian() -> None:
    english = {text for board in made("en").values() for _, text in strings(board)}
    kept = [
        (name, key, text)
        for name, board in made("ru").items()
        if name.startswith("dashboards/")
        for key, text in strings(board)
        if key not in OF_MACHINES and text not in SAME and speaks(text) and text in english
    ]
    assert kept == []
    for alert in alerts("ru").values():
        for name, text in alert["annotations"].items():
            assert name.endswith("_url") or name == "command" or re.search("[а-яё]", text), text


def test_no_entry_of_the_file_is_left_over() -> None:
    said = Translation.load("ru")
    build.rendered(RUSSIAN, said)
    entries = {
        (section, text)
        for section, texts in said.sections.items()
        if section not in ("values", "units")
        for text in texts
    }
    assert entries - said.used == set(), "take these out of grafana/texts/ru.toml: no board and no alert has them"


def test_boards_and_rules_differ_in_texts_alone() -> None:
    english, russian = made("en"), made("ru")
    assert english.keys() == russian.keys()
    for name, board in english.items():
        if name.startswith("rules/"):
            mine = [{**rule, "annotations": 0} for group in russian[name]["groups"] for rule in group["rules"]]
            assert mine == [{**rule, "annotations": 0} for group in board["groups"] for rule in group["rules"]]
            continue
        asked = [[text for key, text in strings(each) if key == "expr"] for each in (board, russian[name])]
        assert [text.replace('"команда $1"', '"team $1"') for text in asked[1]] == asked[0]
        places = [[panel["gridPos"] for panel in each["panels"]] for each in (board, russian[name])]
        assert places[0] == places[1]
        assert russian[name]["uid"] == board["uid"].replace("callpulse-", "callpulse-ru-")
        links = [text for key, text in strings(russian[name]) if key == "url" and text.startswith("/d/")]
        assert all(link.startswith("/d/callpulse-ru-") for link in links)


def test_columns_of_a_table_have_different_heads() -> None:
    for name, board in made("ru").items():
        for panel in board.get("panels", ()):
            for step in panel.get("transformations", ()):
                heads = {
                    label: head for label, head in step["options"].get("renameByName", {}).items() if label != "Value"
                }
                assert len(set(heads.values())) == len(heads), f"{name}: {panel['title']}"


def test_a_link_takes_its_field_under_the_head_that_the_table_has() -> None:
    for board in made("ru").values():
        for panel in board.get("panels", ()):
            heads = {
                head
                for step in panel.get("transformations", ())
                for head in step["options"].get("renameByName", {}).values()
            }
            for _, url in (found for found in strings(panel) if found[0] == "url"):
                assert set(re.findall(r"__data\.fields\.(\w+)", url)) <= heads


def test_values_of_labels_have_words() -> None:
    said, results = Translation.load("ru"), Results()
    assert set(said.values("kind")) == set(KINDS_AND_UNKNOWN)
    assert set(said.values("disposition")) == set(DISPOSITIONS)
    assert set(said.values("stage")) == {*results.stages, "none", "other"}
    assert set(said.values("reason")) == {*results.reasons, "other"}
    assert set(said.values("why")) == {"consultation", "stuck"}
    assert {*KINDS_AND_UNKNOWN, *results.channels, "none", "other"} <= set(said.values("value"))


def test_legends_and_columns_show_the_words_of_values() -> None:
    leads = made("ru")["dashboards/leads.json"]
    panels = {panel["title"]: panel for panel in leads["panels"]}
    steps = panels["Почему звонят снова"]["transformations"]
    name = "price_objection, proposal"
    for step in steps:
        regex = step["options"]["regex"].strip("/").replace("$)", r"\Z)")
        name = re.sub(regex, step["options"]["renamePattern"].replace("$1", r"\1"), name)
    assert name == "возражение по цене, предложение"
    columns = {
        one["matcher"]["options"]: one["properties"]
        for one in panels["Лиды, которым нужна помощь"]["fieldConfig"]["overrides"][:1]
    }
    assert columns["Почему"][0]["value"][0]["options"]["stuck"]["text"] == "застрял"


def test_a_text_without_a_translation_stops_the_build_and_says_where_it_belongs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (translation.FOLDER / "ru.toml").read_text("utf-8")
    (tmp_path / "ru.toml").write_text(whole.replace('"Managers by state" = ', '"Managers by phase" = '), "utf-8")
    monkeypatch.setattr(translation, "FOLDER", tmp_path)
    with pytest.raises(UntranslatedError, match=r'ru\.toml has no text [^\n]*\n\[team-now\]\n"Managers by state" = $'):
        build.rendered(RUSSIAN)
    assert build.main(["--check", "--language", "ru"]) == 1
    assert '[team-now]\n"Managers by state" = ' in capsys.readouterr().err
    assert build.main(["--check", "--language", "en"]) == 0


@pytest.mark.parametrize(
    ("said", "same"),
    [
        ("<<silence.text>>: {{ $value }}", True),
        ("{{ $value }} — <<silence.text>>", True),
        ("<<silence>>: {{ $value }}", False),
        ("<<silence.text>>: {{ $labels.team }}", False),
        ("<<silence.text>>", False),
    ],
)
def test_placeholders_are_the_same_in_both(said: str, same: bool) -> None:
    text = "{{ $value }} for <<silence.text>>"
    assert (placeholders(text) == placeholders(said)) is same
    spoken = Translation("ru", {"alerts": {text: said}})
    if same:
        assert spoken.say("alerts", text) == said
    else:
        with pytest.raises(ValueError, match="differ in placeholders"):
            spoken.say("alerts", text)


def test_a_unit_has_no_english_words_on_a_board_for_supervisors() -> None:
    for name in ("team-now", "manager", "coaching"):
        units = {
            one.get("value" if one.get("id") == "unit" else "unit")
            for panel in made("ru")[f"dashboards/{name}.json"]["panels"]
            for one in (
                panel.get("fieldConfig", {}).get("defaults", {}),
                *(each for over in panel.get("fieldConfig", {}).get("overrides", ()) for each in over["properties"]),
            )
            if "unit" in one or one.get("id") == "unit"
        }
        assert "dthms" in units
        assert not units & {"s", "m", "h", "d", "ms"}


def test_what_stands_for_lengths_keeps_its_order() -> None:
    said = Translation("ru", {"all": {"<<length.N>> to <<length.N>>": "<<length.N>> – <<length.N>>"}})
    assert said.say("team-now", "<<length.3>> to <<length.4>>") == "<<length.3>> – <<length.4>>"


def test_an_annotation_in_another_form_is_refused() -> None:
    head = "- alert: A\n  annotations:\n"
    assert (
        translation.rules(head + "    summary: '{{ $value }}'\n", Translation("ru", {}))
        == head + "    summary: '{{ $value }}'\n"
    )
    for wrong in ('    summary: "a"\n', "    summary: a\n      b\n", "    summary: |\n      a\n", "    summary: >-\n"):
        with pytest.raises(ValueError, match="write the annotation"):
            translation.rules(head + wrong, Translation("ru", {"alerts": {"a": "а", "a b": "а"}}))


def test_the_russian_alert_fires_with_its_text(tmp_path: Path) -> None:
    build.write(tmp_path, RUSSIAN)
    alert = {
        "exp_labels": {"manager": "anna", "team": "berlin", "severity": "warning", "audience": "supervisor"},
        "exp_annotations": {
            "summary": "Анна (berlin) на смене и молчит уже 22 мин 0 с",
            "description": "С тех пор ни одного звонка, ни исходящего, ни входящего, а события других менеджеров "
            "приходят. Порог — 20 мин.",
            "command": "callpulse explain anna calls --window today",
            "runbook_url": "docs/ru/runbook.md#silenceonshift",
            "dashboard_url": "/d/callpulse-ru-manager?var-manager=anna",
        },
    }
    series = (
        ("callpulse_manager_info", 'manager="anna", team="berlin", name="Анна"', "1x60"),
        ("callpulse_on_shift", 'manager="anna", team="berlin"', "1x60"),
        ("callpulse_idle_seconds", 'manager="anna", team="berlin"', "0+60x60"),
        ("callpulse_on_shift", 'manager="jonas", team="berlin"', "1x60"),
        ("callpulse_newest_event_timestamp_seconds", 'topic="calls"', "0+60x60"),
    )
    case = {
        "rule_files": ["ru/rules/activity.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f"{name}{{{labels}}}", "values": values} for name, labels, values in series
                ],
                "alert_rule_test": [{"eval_time": "22m", "alertname": "SilenceOnShift", "exp_alerts": [alert]}],
            }
        ],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(case, allow_unicode=True), "utf-8")
    done = run("promtool", "test", "rules", tmp_path / "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_russian_rules_are_sound() -> None:
    done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *(ROOT / "grafana/ru/rules").glob("*.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("language", RUNBOOKS)
def test_the_runbook_of_a_language_has_a_heading_for_each_alert_of_supervisors(language: str) -> None:
    text = RUNBOOKS[language].read_text("utf-8")
    sections = dict(re.findall(r"^## (\w+)\n\n(.+?)(?=\n## |\Z)", text, re.MULTILINE | re.DOTALL))
    of_supervisors = {name for name, rule in alerts(language).items() if rule["labels"]["audience"] == "supervisor"}
    assert of_supervisors <= sections.keys()
    for name in of_supervisors:
        page = RUNBOOKS[language].relative_to(ROOT)
        assert alerts(language)[name]["annotations"]["runbook_url"].endswith(f"{page}#{name.lower()}")
    if language == "ru":
        assert of_supervisors == sections.keys(), "the page is for supervisors alone"
        for name, section in sections.items():
            parts = re.findall(r"^\*\*(.+?)\*\*", section, re.MULTILINE)
            assert parts == ["Что значит.", "Куда смотреть.", "Что делать."], name


def test_the_page_of_the_boards_calls_each_panel_and_column_as_the_boards_do() -> None:
    page = (ROOT / "docs/ru/boards.md").read_text("utf-8")
    named = {first or second for first, second in re.findall(r"\*{3}([^*\n]+)\*|(?<!\*)\*([^*\n]+)\*(?!\*)", page)}
    shown = {text for board in made("ru").values() for _, text in strings(board)}
    assert len(named) > 100
    assert {name for name in named if not any(text.startswith(name) for text in shown)} == set()


def test_the_command_writes_one_language_into_its_folder(tmp_path: Path) -> None:
    (tmp_path / "boards.toml").write_text('language = "ru"\n[boards]\nuid = "sales"\n', "utf-8")
    given = ["--config", str(tmp_path / "boards.toml"), "--output", str(tmp_path / "made")]
    assert build.main(given) == 0
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["ru"]
    board = json.loads((tmp_path / "made/ru/dashboards/manager.json").read_text("utf-8"))
    assert (board["uid"], board["title"]) == ("sales-ru-manager", "Менеджер")
    assert build.main([*given, "--language", "en"]) == 0
    assert json.loads((tmp_path / "made/dashboards/manager.json").read_text("utf-8"))["uid"] == "sales-manager"
    assert build.main([*given, "--check"]) == 0

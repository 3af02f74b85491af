"""The boards: current, made of metrics that exist, and without findings of Grafana's dashboard-linter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from grafana import build
from grafana.common import GREY, NOT_LIVE
from grafana.config import Config
from grafana.widths import width_of
from streams.metrics.reconciliation import RECONCILIATION_METRICS
from streams.metrics.wording import Language
from tests.grafana.promql import Named, named
from tests.grafana.tooling import metrics, only, rules, run

BOARDS = {
    name.removeprefix("dashboards/"): json.loads(text)
    for name, text in build.rendered(Config()).items()
    if name.endswith(".json")
}
PROMETHEUS_OWN = {
    **{name: {"job", "instance"} for name in ("up", "scrape_duration_seconds", "scrape_samples_scraped")},
    "ALERTS": {"alertname", "alertstate", "severity", "manager", "team", "source"},
}
NATURALLY_WITHOUT_UNIT = {"row", "text"}


def panels(board: Any) -> Iterator[Any]:
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


EACH_PANEL = [
    pytest.param(panel, id=f"{name}: {panel['title']}") for name, board in BOARDS.items() for panel in panels(board)
]
EACH_DRAWN = [param for param in EACH_PANEL if only(param)["type"] not in NATURALLY_WITHOUT_UNIT]
OF_RECORDS = {metric.full_name for metric in RECONCILIATION_METRICS}
EACH_EXPRESSION = [
    pytest.param(target["expr"], id=f"{param.id} {target['refId']}")
    for param in EACH_DRAWN
    for target in only(param)["targets"]
]
EACH_BOARD = [pytest.param(board, id=name) for name, board in BOARDS.items()]


def test_the_files_are_what_the_code_makes() -> None:
    assert build.stale() == [], "run `python -m grafana.build` and commit"


@pytest.mark.slow
def test_a_file_that_was_edited_or_is_made_by_nothing_is_not_current(tmp_path: Path) -> None:
    for config in build.EVERY:
        build.write(tmp_path, config)
    assert build.stale(tmp_path) == []
    for name in ("dashboards/team-now.json", "rules/activity.yaml"):
        (tmp_path / name).write_text((tmp_path / name).read_text("utf-8").replace("on shift", "at work"), "utf-8")
    (tmp_path / "dashboards/stray.json").write_text("{}")
    (tmp_path / "rules/operations.yaml").unlink()
    assert build.stale(tmp_path) == [
        "dashboards/stray.json",
        "dashboards/team-now.json",
        "rules/activity.yaml",
        "rules/operations.yaml",
    ]
    for config in build.EVERY:
        build.write(tmp_path, config)
    assert build.stale(tmp_path) == []


@pytest.mark.parametrize("panel", EACH_DRAWN)
def test_a_panel_says_what_it_shows_in_which_unit(panel: Any) -> None:
    assert panel["title"].strip()
    assert len(panel["description"]) > 30
    assert panel["fieldConfig"]["defaults"]["unit"]


def breadth(title: str) -> float:
    """Return how wide a title is, in letters of usual width of the font of Grafana."""
    return sum(0.6 if letter in " .,:-filtjr" else 1.45 if letter in "MWmwЖМШЩЫЮжмшщыю" else 1 for letter in title)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_titles_and_heads_of_columns_fit_on_a_screen_of_1400_pixels(language: Language) -> None:
    cut: list[tuple[str, ...]] = []
    for name, text in build.rendered(Config(language=language)).items():
        for panel in panels(json.loads(text)) if "dashboards/" in name else ():
            if panel["type"] != "row" and breadth(panel["title"]) > 4.85 * panel["gridPos"]["w"]:
                cut.append((name, panel["title"]))
            for column in panel.get("fieldConfig", {}).get("overrides", []) if panel["type"] == "table" else ():
                widths = [
                    one["value"] for one in column["properties"] if one["id"] in ("custom.minWidth", "custom.width")
                ]
                if widths and max(widths) < width_of(column["matcher"]["options"]):
                    cut.append((name, panel["title"], column["matcher"]["options"]))
    assert cut == []


def shown_widths(panel: Any, room: float) -> dict[str, float]:
    """Return how wide Grafana 12 draws each column of a table, by its head, where the table has so many pixels."""
    (arranged,) = (one["options"] for one in panel["transformations"] if one["id"] == "organize")
    heads = {head for name, head in arranged["renameByName"].items() if not arranged["excludeByName"].get(name)}
    custom: dict[str, dict[str, Any]] = dict.fromkeys(heads, panel["fieldConfig"]["defaults"]["custom"])
    for override in panel["fieldConfig"]["overrides"]:
        head = override["matcher"]["options"]
        own = {one["id"].removeprefix("custom."): one.get("value") for one in override["properties"]}
        custom[head] = custom.get(head, {}) | own
    shown = {head: custom[head] for head in heads if not custom[head].get("hidden")}
    given = [one["width"] for one in shown.values() if "width" in one]
    share = (room - sum(given)) / max(1, len(shown) - len(given))
    return {head: one.get("width") or max(one.get("minWidth", 150), share) for head, one in shown.items()}


@pytest.mark.parametrize("language", ["en", "ru"])
def test_all_columns_of_a_table_are_in_sight_on_a_screen_of_1400_pixels(language: Language) -> None:
    out_of_sight = []
    for name, text in build.rendered(Config(language=language)).items():
        for panel in panels(json.loads(text)) if "dashboards/" in name else ():
            if panel["type"] == "table":
                room = 1400 * panel["gridPos"]["w"] / 24 - 20  # the frame, and a bar to scroll
                widths = shown_widths(panel, room)
                if sum(widths.values()) > room + 1:
                    out_of_sight.append((name, panel["title"], widths))
    assert out_of_sight == []


@pytest.mark.parametrize("panel", EACH_DRAWN)
def test_a_panel_says_in_words_that_there_is_nothing_to_show(panel: Any) -> None:
    said = panel["fieldConfig"]["defaults"].get("noValue", "")
    assert re.search(r"\w{2}", said)
    assert panel["gridPos"]["w"] > 4 or len(said) < 16, "it does not fit into a narrow panel"


@pytest.mark.parametrize("panel", [param for param in EACH_DRAWN if only(param)["type"] == "stat"])
def test_a_number_that_is_not_there_has_no_colour_of_a_threshold(panel: Any) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    missing = [one["options"] for one in defaults["mappings"] if one["type"] == "special"]
    assert [(one["match"], one["result"]["text"]) for one in missing] == [("null+nan", defaults["noValue"])]
    assert missing[0]["result"]["color"] == GREY


@pytest.mark.parametrize("panel", EACH_DRAWN)
def test_a_panel_asks_the_data_source_that_the_reader_picks(panel: Any) -> None:
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize(("name", "board"), BOARDS.items())
def test_a_board_lets_the_reader_pick_the_data_source_first_then_team_and_manager(name: Any, board: Any) -> None:
    variables = board["templating"]["list"]
    assert [variable["name"] for variable in variables] == ["datasource", "team", "manager"]
    assert variables[0]["type"] == "datasource"
    assert variables[0]["query"] == "prometheus"
    for variable in variables[1:]:
        assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        picked = (variable["includeAll"], variable["multi"], variable.get("allValue"))
        one = name == "manager.json" and variable["name"] == "manager"
        assert picked == ((False, False, None) if one else (True, True, ".+"))


@pytest.mark.parametrize("board", EACH_BOARD)
def test_a_board_leads_to_the_others_and_keeps_what_was_picked(board: Any) -> None:
    (link,) = (link for link in board["links"] if link["type"] == "dashboards")
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
        "dashboards",
        ["callpulse"],
        True,
        True,
    )
    assert board["tags"] == ["callpulse"]


def test_a_board_for_the_wall_fits_one_screen_and_the_board_of_the_team_leads_to_it() -> None:
    board, wall = BOARDS["team-now.json"], BOARDS["wall.json"]
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels(wall)) * 38 <= 1080
    (link,) = (link for link in board["links"] if link["type"] == "link")
    assert link["url"] == f"/d/{wall['uid']}?kiosk"
    assert (link["includeVars"], link["keepTime"], board["refresh"]) == (True, True, "10s")


def test_a_name_in_a_table_leads_to_the_board_of_that_manager() -> None:
    (uid,) = (board["uid"] for name, board in BOARDS.items() if name == "manager.json")
    urls = {
        link["url"].split("?")[0]
        for param in EACH_DRAWN
        for override in only(param)["fieldConfig"]["overrides"]
        for property_ in override["properties"]
        if property_["id"] == "links"
        for link in property_["value"]
    }
    assert urls == {f"/d/{uid}"}


@pytest.mark.parametrize("board", EACH_BOARD)
def test_a_board_cannot_be_changed_in_the_browser_and_has_an_address_of_its_own(board: Any) -> None:
    assert board["editable"] is False
    assert re.fullmatch(r"callpulse-[a-z-]+", board["uid"])


def test_no_two_boards_share_an_address_or_a_title() -> None:
    for key in ("uid", "title"):
        assert len({board[key] for board in BOARDS.values()}) == len(BOARDS)


@pytest.mark.parametrize("board", EACH_BOARD)
def test_panels_are_numbered_once(board: Any) -> None:
    numbers = [panel["id"] for panel in panels(board)]
    assert all(number > 0 for number in numbers)
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("board", EACH_BOARD)
def test_panels_lie_inside_24_columns_and_on_no_other(board: Any) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in panels(board)]
    for title, place in places:
        assert place["w"] > 0, title
        assert place["h"] > 0, title
        assert 0 <= place["x"] <= 24 - place["w"], title
    for (title, a), (other, b) in combinations(places, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart or below, f"{title} lies on {other}"


@pytest.mark.parametrize("expr", EACH_EXPRESSION)
def test_every_metric_of_a_panel_exists_and_has_the_labels_that_are_asked_of_it(expr: Any) -> None:
    known, recorded = metrics(), {rule["record"] for rule in rules() if "record" in rule}
    found = named(expr)
    assert found
    for metric, labels in found:
        if metric in recorded:
            continue
        if metric in PROMETHEUS_OWN:
            assert labels <= PROMETHEUS_OWN[metric]
        else:
            assert metric in known, f"{metric} is neither in the catalogue nor recorded by a rule"
            assert labels <= {*known[metric].labels, "le", "job", "instance"}, metric


@pytest.mark.parametrize("expr", EACH_EXPRESSION)
def test_a_counter_is_only_read_as_a_rate_or_an_increase(expr: Any) -> None:
    counting = {name for name, metric in metrics().items() if metric.type in ("counter", "histogram")}
    for metric in {found.metric for found in named(expr)} & counting:
        bare = re.sub(rf"(rate|increase)\({metric}(\{{[^{{}}]*\}})?\[", "(", expr)
        assert metric not in bare


@pytest.mark.parametrize("expr", EACH_EXPRESSION)
def test_a_metric_of_a_manager_is_taken_once_although_two_workers_may_export_it(expr: Any) -> None:
    of_managers = {name for name, metric in metrics().items() if "manager" in metric.labels}
    for metric in {found.metric for found in named(expr)} & of_managers:
        once = re.sub(rf"max by \(manager[a-z, ]*\) \({metric}\{{", "(", expr)
        assert metric not in once
        chosen = [f'{metric}{{team=~"$team", manager=~"$manager"', f'{metric}{{manager=~"queue:.*"']
        if metric in OF_RECORDS:  # on the board Sources, which has no choice, too
            chosen.append(f'{metric}{{manager!~"queue:.*"')
        assert any(some in expr for some in chosen), "the reader's choice is not heeded"


@pytest.mark.parametrize("expr", EACH_EXPRESSION)
def test_a_metric_of_a_team_is_taken_once_a_partition_and_only_of_the_teams_picked(expr: Any) -> None:
    of_teams = {name for name, metric in metrics().items() if "partition" in metric.labels and "team" in metric.labels}
    for metric in {found.metric for found in named(expr)} & of_teams:
        assert metric not in re.sub(rf"max by \(team, partition[a-z, ]*\) \({metric}\{{team=~\"\$team\"", "(", expr)


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ("up", {Named("up", frozenset())}),
        ('sum by (team) (rate(a_total{job="x", le=~"1|2"}[5m]))', {Named("a_total", frozenset({"job", "le"}))}),
        ("a * on (m) group_left (x) b:c > bool 3.5 or vector(0)", {Named("a", frozenset()), Named("b:c", frozenset())}),
        ("(a:b or on () (c * 0 + Inf)) > 1 and (d)", {Named(name, frozenset()) for name in ("a:b", "c", "d")}),
        ("4 * a:b:90d / 90", {Named("a:b:90d", frozenset())}),
        ("time() - max(x offset 1h) + Inf", {Named("x", frozenset())}),
        ("avg_over_time(x[4d:10m] offset 1h) and count(y)", {Named("x", frozenset()), Named("y", frozenset())}),
    ],
)
def test_the_reader_of_expressions_finds_what_they_name(expr: str, names: Any) -> None:
    assert named(expr) == names


@pytest.mark.parametrize("board", ["team-now", "wall"])
def test_who_is_paused_is_not_counted_as_silent(board: str, tmp_path: Path) -> None:
    (expr,) = (
        re.sub(r"\$\w+", ".*", panel["targets"][0]["expr"])
        for panel in panels(BOARDS[f"{board}.json"])
        if panel["title"] == "Silent on shift"
    )
    states = {"anna": (1800, 0), "jonas": (1800, 1), "sophie": (60, 0)}
    series = [
        {"series": f'{metric}{{manager="{name}", team="berlin"{more}}}', "values": f"{value}"}
        for name, (idle_s, paused) in states.items()
        for metric, more, value in (
            ("callpulse_idle_seconds", "", idle_s),
            ("callpulse_presence", ', state="paused"', paused),
        )
    ]
    nobody = [one | {"values": "0"} if "idle" in one["series"] else one for one in series]
    cases = [
        {
            "interval": "1m",
            "input_series": given,
            "promql_expr_test": [
                {"expr": expr, "eval_time": "0m", "exp_samples": [{"labels": "{}", "value": value}]},
            ],
        }
        for given, value in ((series, 1), (nobody, 0))
    ]
    (tmp_path / "case.yaml").write_text(json.dumps({"tests": cases}), "utf-8")
    done = run("promtool", "test", "rules", tmp_path / "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_number_has_a_text_of_its_own_only_while_a_worker_answers(tmp_path: Path) -> None:
    (panel,) = (panel for panel in panels(BOARDS["manager.json"]) if panel["title"] == "Calls per deal")
    defaults = panel["fieldConfig"]["defaults"]
    (words,) = (one["options"] for one in defaults["mappings"] if one["type"] == "value")
    assert (defaults["noValue"], words[str(NOT_LIVE)]["text"]) == ("no deal yet", "unknown")
    expr = re.sub(r"\$\w+", ".*", panel["targets"][0]["expr"])
    figure = {"series": 'callpulse_calls_per_won_deal{manager="anna", team="berlin", window="90d"}', "values": "120x2"}
    labels = '{manager="anna", team="berlin"}'
    cases = [
        {
            "interval": "15s",
            "input_series": [{"series": 'up{job="callpulse"}', "values": f"{up}x2"}, *given],
            "promql_expr_test": [{"expr": expr, "eval_time": "30s", "exp_samples": said}],
        }
        for up, given, said in (
            (1, [figure], [{"labels": labels, "value": 120}]),
            (1, [], []),
            (0, [], [{"labels": "{}", "value": NOT_LIVE}]),
        )
    ]
    (tmp_path / "case.yaml").write_text(json.dumps({"tests": cases}), "utf-8")
    done = run("promtool", "test", "rules", tmp_path / "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr

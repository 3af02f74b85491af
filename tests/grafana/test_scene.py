"""The boards over an invented day: every panel has data, and the stories of the people stand out."""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from tests.grafana.backdrop import running
from tests.grafana.live import eventually, get
from tests.grafana.scene import Scene
from tests.grafana.test_boards import EACH_DRAWN
from tests.grafana.tooling import metrics


def test_the_day_is_told_in_the_names_and_labels_of_the_catalogue_each_series_once() -> None:
    known, seen = metrics(), set()
    for name, labels, _ in Scene(1_800_000_000).samples(1_800_000_000):
        if name != "up":
            assert set(labels) - {"le"} <= set(known[name].labels), name
        series = (name, *sorted(labels.items()))
        assert series not in seen
        seen.add(series)


def ask(address: str, expr: str) -> Any:
    """Return the values of an expression now, by their labels."""
    filled = re.sub(r"\$\{?[a-z_]+\}?", ".+", expr.replace("$manager|", "$manager"))
    found = get(f"{address}/api/v1/query?query={urllib.parse.quote(filled)}")
    assert found["status"] == "success", found
    return {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in found["data"]["result"]}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    scene = Scene(time.time() + 60)
    with running(tmp_path_factory.mktemp("scene"), scene, hours=1.5) as address:
        eventually(lambda: ask(address, "topic:callpulse_lag_records:sum"), "it is scraped and rules are evaluated")
        eventually(lambda: ask(address, 'ALERTS{alertname="LeadsStuck", alertstate="firing"}'), "alerts fire")
        yield address


@pytest.mark.slow
@pytest.mark.parametrize("panel", EACH_DRAWN)
def test_every_query_of_every_panel_is_understood_and_every_panel_shows_something(panel: Any, prometheus: Any) -> None:
    answers = [ask(prometheus, target["expr"]) for target in panel["targets"]]
    assert any(answers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expr", "who"),
    [
        ("manager:callpulse_busy_noise == 1", {"jonas"}),
        ("manager:callpulse_quiet_closer == 1", {"leyla", "ines"}),
        ("manager:callpulse_mix_adjusted_index:90d > 1.4", {"beatriz", "leyla"}),
        ("manager:callpulse_skill_signature == 1", {"leyla"}),
        ("manager:callpulse_norm:drift > 1.25", {"jonas", "sophie"}),
        ('ALERTS{alertname="LeadsStuck"}', {"jonas", "sophie"}),
        ('ALERTS{alertname="ConversionFalling"}', {"marek"}),
    ],
)
def test_what_stands_out_is_what_was_told(expr: str, who: Any, prometheus: Any) -> None:
    assert {dict(labels)["manager"] for labels in ask(prometheus, expr)} == who


@pytest.mark.slow
def test_the_team_that_leaks_is_seen_where_it_leaks(prometheus: Any) -> None:
    rates = ask(prometheus, 'team_step:callpulse_funnel_rate:ratio{step="proposal", window="90d"}')
    by_team = {dict(labels)["team"]: rate for labels, rate in rates.items()}
    assert by_team["berlin"] < 0.6 * min(by_team["lisbon"], by_team["inbound"])

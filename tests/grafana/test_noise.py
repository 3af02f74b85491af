"""How many pages a supervisor gets in a quarter of ordinary work; docs/alerts.md tells the counts."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.grafana.pages import Fired, Labels, Page, fired, matches, pages
from tests.grafana.quarter import Quarter, alerts, needed, table
from tests.grafana.tooling import ROOT
from tests.yaml_text import parsed

QUARTER = Quarter()
MOST = 4
"""Pages of a team on the worst day without an incident."""
BERLIN = ZoneInfo("Europe/Berlin")
CONFIG = parsed((ROOT / "deploy/alertmanager/alertmanager.yml").read_text("utf-8"))
ROUTE = {
    "receiver": "all",
    "group_by": ["team"],
    "group_wait": "1m",
    "group_interval": "10m",
    "repeat_interval": "2h",
    "routes": [{"matchers": ['alertname =~ "Slow.*"'], "receiver": "all"}],
}


def test_an_alert_begins_after_its_time_and_goes_on_while_it_holds() -> None:
    times = range(0, 100, 10)
    assert list(fired(times, {0, 10, 30, 40, 50}, {0, 10, 30, 40, 50, 60, 70}, 20)) == [(50, 80)]
    assert list(fired(times, {70, 80, 90}, {70, 80, 90}, 20)) == [(90, 91)]
    assert list(fired(times, {70, 80}, set(times), 20)) == []


def test_a_group_is_told_of_what_is_new_and_again_of_what_stays() -> None:
    anna = {"alertname": "SlowOne", "team": "berlin", "manager": "anna"}
    ben = {"alertname": "SlowOne", "team": "berlin", "manager": "ben"}
    told = pages([Fired(anna, 0, 10_000), Fired(ben, 300, 900)], {"route": ROUTE})
    assert [(page.at, len(page.alerts), [each["manager"] for each in page.new]) for page in told] == [
        (60, 1, ["anna"]),
        (660, 2, ["ben"]),
        (60 + 660 + 600 * 12 - 60, 1, []),
    ]


def test_what_is_inhibited_is_not_told() -> None:
    rule = {"source_matchers": ['alertname = "Outage"'], "target_matchers": ['team = "berlin"'], "equal": ["site"]}
    config = {"route": ROUTE, "inhibit_rules": [rule]}
    silent = Fired({"alertname": "SlowOne", "team": "berlin", "site": "a"}, 0, 500)
    assert pages([silent, Fired({"alertname": "Outage", "site": "a"}, 0, 500)], config) == []
    assert len(pages([silent, Fired({"alertname": "Outage", "site": "b"}, 0, 500)], config)) == 1
    assert not matches(['team != "berlin"', 'site = "a"'], silent.labels)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Fired]:
    return alerts(tmp_path_factory.mktemp("quarter"), QUARTER)


def told(found: list[Fired]) -> list[Page]:
    """Return the pages of supervisors, with the quiet hours of the example."""
    return [page for page in pages(found, CONFIG, quiet) if page.receiver == "supervisors"]


def quiet(at: int, _: Labels) -> bool:
    """Return whether the example of quiet hours mutes supervisors in Berlin."""
    local = datetime.fromtimestamp(at, BERLIN)
    return local.weekday() >= 5 or not 8 <= local.hour < 19


def during(page: Page, day: int, begin: float, end: float) -> bool:
    """Return whether a page was sent in these hours of a day of the quarter."""
    midnight = datetime.fromtimestamp(QUARTER.start_s, BERLIN).replace(hour=0) + timedelta(days=day)
    return midnight.timestamp() + begin * 3600 <= page.at <= midnight.timestamp() + end * 3600


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pages_are_few(found: list[Fired]) -> None:
    print(table(found, told(found)))
    teams = {alert.labels["team"] for alert in found if "team" in alert.labels}
    each: Counter[tuple[str, object]] = Counter()
    for page in told(found):
        day = datetime.fromtimestamp(page.at, BERLIN).date()
        each.update((team, day) for team in ([page.group["team"]] if page.group.get("team") else teams))
    mean = each.total() / (len(teams) * QUARTER.days * 5 / 7)
    print(f"{mean:.2f} pages a team and working day; the most: {max(each.values())}")
    assert mean <= 1
    incidents = {QUARTER.cut.day, *(span.day for span in (*QUARTER.silent.values(), *QUARTER.few.values()))}
    start = datetime.fromtimestamp(QUARTER.start_s, BERLIN).date()
    worst = {one: number for one, number in each.items() if (one[1] - start).days not in incidents}  # type: ignore[operator]  # a date
    assert max(worst.values()) <= MOST, [one for one in worst.items() if one[1] > MOST]


@pytest.mark.slow
def test_nothing_begins_at_night_or_at_the_weekend(found: list[Fired]) -> None:
    of_supervisors = [alert for alert in found if alert.labels["audience"] == "supervisor"]
    at_night = [alert for alert in of_supervisors if quiet(alert.begin, alert.labels)]
    assert [(alert.labels, datetime.fromtimestamp(alert.begin, BERLIN)) for alert in at_night] == []


@pytest.mark.slow
def test_what_really_happens_is_told(found: list[Fired]) -> None:
    ids = [member.manager.id for member in QUARTER.department().members]
    for name, happened in (("SilenceOnShift", QUARTER.silent), ("ActivityDrop", QUARTER.few)):
        for who, span in happened.items():
            heard = [
                page
                for page in told(found)
                if during(page, span.day, span.begin, span.end + 0.5)
                and any(new["alertname"] == name and new["manager"] == ids[who] for new in page.new)
            ]
            # Calls just above the limit end an alert on activity, and the next ones begin it again.
            assert 1 <= len(heard) <= (3 if name == "ActivityDrop" else 1), (name, ids[who])
    cut = [page for page in told(found) if during(page, QUARTER.cut.day, QUARTER.cut.begin, QUARTER.cut.end)]
    assert [alert["alertname"] for page in cut for alert in page.new] == ["FeedDown"]


@pytest.mark.slow
def test_the_page_has_the_counts(found: list[Fired]) -> None:
    assert table(found, told(found)) in (ROOT / "docs/alerts.md").read_text("utf-8")


def test_every_alert_of_supervisors_is_counted() -> None:
    assert {rule["alert"] for rule in needed().alerts} >= {"SilenceOnShift", "FeedDown", "LeadsStuck", "NormDrift"}

"""The stories of the simulated department: each shows in its own measure, and in no other.

A sign is a measure with a limit: the people, or teams, beyond it are those that a supervisor would look at. It is read
from the series that workers export, after the folds of all hops; where it compares people with each other, as the
recording rules do (`grafana/rules/results.yaml`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from pathlib import Path
from statistics import quantiles
from typing import Final

import pytest

from streams.contract.events import DIRECTIONS, KINDS_AND_UNKNOWN
from streams.metrics.catalogue import CATALOGUE, TEAM_METRICS
from streams.settings.settings import load
from streams.simulator import simulate
from streams.simulator.people.stories import LONG_DAYS, STORIES, Story, department
from streams.tables.team.series import Teams, TeamSeries
from tests.streams.folded import Folded
from tests.yaml_text import parsed

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY = 1_763_942_400_000  # 2025-11-24T00:00:00Z
SHORT_DAYS = 56
ROOT = Path(__file__).resolve().parents[2]
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri")
STEPS = ("call", "presentation", "proposal", "won")


class Figures:
    """The exported series of the department of the stories, after a number of days."""

    def __init__(self, days: int, seed: int) -> None:
        made = department(seed, days)
        self.now_ms = MONDAY + days * DAY - 5 * HOUR
        records = (
            record for record in simulate(made, MONDAY, MONDAY + days * DAY, crm=True) if record.due_ms <= self.now_ms
        )
        self.teams = {id_: manager.team for id_, manager in made.roster().items()}
        self.folded = folded = Folded(made.settings, records, self.now_ms)
        self._values = {
            (name, labels[0], *labels[2:]): value for (name, labels), value in folded.answers(self.now_ms).items()
        }
        sums = Teams()
        for manager, view in folded.views(self.now_ms):
            sums.update(manager.id, manager.team, view)
        series = TeamSeries(made.settings)
        for team, of_team in sums.sums.items():
            for metric, lines in zip(TEAM_METRICS, series.series(of_team), strict=True):
                self._values |= {(metric.name, team, *labels): value for labels, value in lines}

    def of(self, name: str, subject: str, *labels: str) -> float:
        """Return the value of a series, 0 where there is none."""
        return self._values.get((name, subject, *labels)) or 0.0

    def people(self, team: str) -> list[str]:
        return [id_ for id_, of in self.teams.items() if of == team]

    @cached_property
    def deals_by_kind(self) -> Counter[str]:
        """Won deals of the department by kind of the lead's first call."""
        found: Counter[str] = Counter()
        for key, value in self._values.items():
            if key[0] == "team_won_deals" and key[2:4] == ("90d", "first_kind"):
                found[key[4]] += round(value)
        return found

    def given(self, subject: str, kind: str) -> float:
        return self.of("leads_given", subject, "90d", kind)

    def index(self, subject: str, deals: float | None = None) -> float:
        """Return won deals divided by those that the department wins from leads of the same kinds."""
        expected = 0.0
        for kind in KINDS_AND_UNKNOWN:
            given = sum(self.given(each, kind) for each in self.teams)
            if given:
                expected += self.given(subject, kind) * self.deals_by_kind[kind] / given
        won = self.of("won_deals", subject, "90d") if deals is None else deals
        return won / expected if expected >= 1 else 1.0

    @cached_property
    def usual_ratio(self) -> float:
        """Won deals per lead given, in the whole department."""
        given = sum(self.given(subject, kind) for subject in self.teams for kind in KINDS_AND_UNKNOWN)
        return sum(self.of("won_deals", subject, "90d") for subject in self.teams) / given


Sign = Callable[[Figures], Iterator[str]]
Thirds = tuple[set[str], set[str]]


def thirds(values: dict[str, float]) -> Thirds:
    """Return the managers of the lower and of the upper third, by the limits of the rules."""
    deciles = quantiles(values.values(), n=10, method="inclusive")
    low, high = deciles[2], deciles[6]
    return {subject for subject, n in values.items() if n <= low < high}, {
        subject for subject, n in values.items() if n >= high > low
    }


def compared(figures: Figures) -> Iterator[tuple[Thirds, Thirds]]:
    """Yield the thirds by calls and by deals of each team of three or more."""
    for team, size in Counter(figures.teams.values()).items():
        if size >= 3:
            people = figures.people(team)
            calls = {
                subject: sum(figures.of("calls", subject, "30d", direction) for direction in DIRECTIONS)
                for subject in people
            }
            yield thirds(calls), thirds({subject: figures.of("won_deals", subject, "30d") for subject in people})


def busy_noise(figures: Figures) -> Iterator[str]:
    """In the upper third of the team by calls, in the lower by deals."""
    for calls, deals in compared(figures):
        yield from calls[1] & deals[0]


def quiet_closer(figures: Figures) -> Iterator[str]:
    """The reverse."""
    for calls, deals in compared(figures):
        yield from calls[0] & deals[1]


def reminders(figures: Figures) -> Iterator[str]:
    """Seven of ten follow-ups are reminders."""
    reasons = ("spec_clarification", "sending_proposal", "price_objection", "reminder", "other")
    for subject in figures.teams:
        calls = {reason: figures.of("follow_up_calls", subject, "30d", reason) for reason in reasons}
        if (total := sum(calls.values())) >= 20 and calls["reminder"] / total >= 0.7:
            yield subject


def stuck(figures: Figures) -> Iterator[str]:
    """A fifth of the open leads are stuck: conversation after conversation, and no progress."""
    for subject in figures.teams:
        leads = sum(figures.of("open_leads_by_conversations", subject, bucket) for bucket in ("1", "2", "3", "4", "5+"))
        if leads >= 20 and figures.of("leads_stuck", subject) / leads >= 0.2:
            yield subject


def warm_ratio(figures: Figures) -> Iterator[str]:
    """Wins a fifth more of the leads than the department does, but not when compared by kind of lead."""
    for subject in figures.teams:
        ratio = figures.of("first_call_deal_ratio", subject, "90d") / figures.usual_ratio
        index = figures.index(subject)
        if ratio > 1.2 and index < 1.15 and ratio > 1.25 * index:
            yield subject


def cold_index(figures: Figures) -> Iterator[str]:
    """Calls strangers; wins more than the department would, which is no chance (95 %)."""
    for subject in figures.teams:
        cold = figures.given(subject, "cold") / sum(figures.given(subject, kind) for kind in KINDS_AND_UNKNOWN)
        least = max(0.0, figures.of("won_deals", subject, "90d") ** 0.5 - 0.98) ** 2
        if cold > 0.8 and figures.index(subject, least) > 1:
            yield subject


def leak(figures: Figures) -> Iterator[str]:
    """From presentation to proposal fewer leads come than at any other step."""
    for team in set(figures.teams.values()):
        leads = [figures.of("team_funnel_leads", team, "90d", step) for step in STEPS]
        rates = {to: leads[at + 1] / leads[at] for at, to in enumerate(STEPS[1:]) if leads[at] >= 20}
        if rates and min(rates, key=lambda step: rates[step]) == "proposal":
            yield team


def weekday_ratio(figures: Figures, team: str, over: str, under: str) -> dict[str, float]:
    """Return the ratio of each weekday to the mean of all days."""
    parts = {day: figures.of(over, team, day) for day in WEEKDAYS}
    wholes = {day: figures.of(under, team, day) for day in WEEKDAYS}
    mean = sum(parts.values()) / sum(wholes.values())
    return {day: parts[day] / wholes[day] / mean for day in WEEKDAYS}


def dips(figures: Figures) -> Iterator[str]:
    """On some weekday a third fewer calls than usual."""
    for team in set(figures.teams.values()):
        ratio = weekday_ratio(figures, team, "team_weekday_calls", "team_weekday_days")
        yield from (f"{team} {day}" for day in WEEKDAYS if ratio[day] < 0.67)


def long_days(figures: Figures) -> Iterator[str]:
    """On some weekday talks are a half longer than usual."""
    for team in set(figures.teams.values()):
        ratio = weekday_ratio(figures, team, "team_weekday_talk_seconds", "team_weekday_calls")
        yield from (f"{team} {day}" for day in WEEKDAYS if ratio[day] > 1.4)


def drift(figures: Figures) -> Iterator[str]:
    """A won deal costs twice the calls of a quarter ago; from ten deals on."""
    for subject in figures.teams:
        now, before = (figures.of("calls_per_won_deal", subject, window) for window in ("90d", "previous"))
        if before and figures.of("won_deals", subject, "90d") >= 10 and now / before > 2:
            yield subject


SIGNS: Final[dict[str, tuple[str, tuple[Sign, ...]]]] = {  # by story: the expected people, and the signs
    "busy noise-maker": ("bruno.laut", (busy_noise,)),
    "quiet closer": ("clara.still", (quiet_closer,)),
    "only reminds": ("rita.mahn", (reminders, stuck)),
    "inherits warm clients": ("wanda.erbe", (warm_ratio,)),
    "cold caller": ("kolja.frost", (cold_index,)),
    "leaks before the proposal": ("bridge", (leak,)),
    "Thursday dip": ("ferry thu", (dips,)),
    "Monday of long talks": ("garden mon", (long_days,)),
    "norm that drifts": ("dora.weiler", (drift,)),
}


def pointed_at(story: Story, figures: Figures) -> list[set[str]]:
    """Return the people of each sign of a story."""
    return [set(sign(figures)) for sign in SIGNS[story.name][1]]


@cache
def figures_after(days: int, seed: int = 1) -> Figures:
    return Figures(days, seed)


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_after_two_quarters_each_story_is_seen_where_it_should_be_and_nobody_else_is(story: Story) -> None:
    subject, signs = SIGNS[story.name]
    assert pointed_at(story, figures_after(LONG_DAYS)) == [{subject}] * len(signs)
    assert subject.split()[0] == story.subject


@pytest.mark.slow
@pytest.mark.parametrize(
    "story", [story for story in STORIES if story.days <= SHORT_DAYS], ids=lambda story: story.name
)
def test_stories_that_need_no_quarter_are_seen_after_two_months(story: Story) -> None:
    subject, signs = SIGNS[story.name]
    assert pointed_at(story, figures_after(SHORT_DAYS, 2)) == [{subject}] * len(signs)


def test_the_catalogue_of_stories_names_measures_that_there_are_and_people_who_work_there() -> None:
    rules = parsed((ROOT / "grafana" / "rules" / "results.yaml").read_text(encoding="utf-8"))
    known = {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    known |= {metric.name for metric in CATALOGUE}
    made = department(1)
    assert {measure for story in STORIES for measure in story.measures} <= known
    assert {story.subject for story in STORIES} <= made.roster().keys() | made.settings.teams.keys()
    assert {story.name for story in STORIES} == SIGNS.keys()


def test_the_page_of_the_simulator_tells_every_story_with_who_lives_it_and_where_it_shows() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    rows = {cells[0]: cells[1:] for line in page.splitlines() if len(cells := line.strip("| ").split(" | ")) == 5}
    for story in STORIES:
        subject, sees, measures, days = rows[story.name]
        assert (subject, sees, days) == (f"`{story.subject}`", story.sees, str(story.days))
        assert measures == ", ".join(f"`{measure}`" for measure in story.measures)


def test_the_department_of_the_stories_writes_settings_that_say_the_same() -> None:
    made = department(1)
    assert load(made.toml(), {}).managers == made.roster()

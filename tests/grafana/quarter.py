"""A quarter of a simulated department, and every page that our rules and Alertmanager's routes make of it.

The folds count what the simulator says; the figures that alerts read are written into the blocks of a real Prometheus,
which evaluates our rules. What becomes of an alert then, `for:` and the routes, is computed by `pages.py`.

The department works for twelve weeks before, because some alerts compare with them: of these weeks each hour is
written. Of the quarter every minute of a shift is written for `SilenceOnShift` and `FeedDown`, every five minutes for
the other alerts of a day, and every half hour, day and night, for those on leads, deals and weeks.

`test_noise.py` prints the table of docs/alerts.md.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from agents.embedded.ports import find_free
from streams.calendars import shift_bounds
from streams.metrics.catalogue import MANAGER_METRICS
from streams.settings.settings import Settings, load
from streams.simulator import Department, Record, simulate
from streams.tables.manager.series import ManagerSeries
from streams.tables.manager.view import ManagerCache, ManagerReader, ManagerView, Roster
from streams.units import DAY_MS, HOUR_MS, SECOND_MS
from tests.grafana.backdrop import prometheus
from tests.grafana.live import get
from tests.grafana.moments import MONDAY_MS, levels
from tests.grafana.pages import Fired, Page, fired, seconds
from tests.grafana.promql import named
from tests.grafana.tooling import RULES, run
from tests.streams.folded import Folded
from tests.yaml_text import parsed

MINUTE_S: Final = 60
GRID_S: Final = 300
SLOW_S: Final = 1800
HOUR_S: Final = 3600
DAY_S: Final = 86400
POINTS: Final = 10_080  # of a range query, which may have 11,000
PATIENT_S: Final = 120
TARGET: Final = 'job="callpulse",instance="worker-1:8787"'
MINUTELY: Final = frozenset({"FeedDown", "SilenceOnShift"})
SELF: Final = re.compile(
    r"(manager:callpulse_on_shift:\w+\)?) == 1\b(?:(?!ALERTS)[\s\S])*?or on \((?:manager, )?team\) "
    r"last_over_time\(ALERTS\{[^}]*\}\[\w+\]\)"
)
"""How an alert says that it begins on shift and while data are current, and goes on until its cause has ended."""


class Span(NamedTuple):
    """Hours of Berlin on a day of the quarter, counted from 0, a Monday."""

    day: int
    begin: float
    end: float


class Quarter(NamedTuple):
    """A department, its twelve weeks of history and its quarter; and what happens in it beside ordinary work.

    `silent`, `few`: a manager makes no call, or one of seven. `cut`: nothing arrives, and all of it afterwards.
    `ill`: a manager does not come. `quiet`: a third of all calls are not made.
    """

    managers: int = 8
    teams: int = 2
    history: int = 84
    days: int = 91
    seed: int = 7
    silent: Mapping[int, Span] = {1: Span(15, 14.5, 16.5)}
    few: Mapping[int, Span] = {4: Span(24, 9.0, 13.0)}
    cut: Span = Span(36, 10.5, 11.5)
    ill: Mapping[int, Span] = {2: Span(43, 0.0, 5 * 24.0), 6: Span(59, 0.0, 2 * 24.0)}
    quiet: tuple[Span, ...] = (Span(30, 13.0, 18.5), Span(53, 13.0, 18.5))

    @property
    def start_s(self) -> int:
        """When the quarter begins."""
        return MONDAY_MS // 1000 + self.history * DAY_S

    @property
    def end_s(self) -> int:
        """When it ends."""
        return self.start_s + self.days * DAY_S

    def department(self) -> Department:
        """Return the people, who keep the holidays of Germany."""
        made = Department.make(self.seed, self.managers, self.teams)
        settings = load(f'[calendar]\ncountry = "DE"\n{made.toml()}', {})
        return Department.from_settings(settings, self.seed)

    def spans(self, span: Span) -> tuple[int, int]:
        """Return begin and end in ms; hours of summer are an hour off, which nobody minds."""
        day_ms = self.start_s * 1000 + span.day * DAY_MS - HOUR_MS
        return day_ms + round(span.begin * HOUR_MS), day_ms + round(span.end * HOUR_MS)


class World:
    """What arrives of what the simulator says, after what went wrong in the quarter."""

    def __init__(self, quarter: Quarter, department: Department) -> None:
        ids = [member.manager.id for member in department.members]
        self._silent = [(ids[who], *quarter.spans(span), 1.0) for who, span in quarter.silent.items()]
        self._silent += [(ids[who], *quarter.spans(span), 6 / 7) for who, span in quarter.few.items()]
        self._silent += [(id_, *quarter.spans(span), 1 / 3) for id_ in ids for span in quarter.quiet]
        self._ill = [(ids[who], *quarter.spans(span)) for who, span in quarter.ill.items()]
        self._cut = quarter.spans(quarter.cut)
        self._dropped: set[tuple[str, str]] = set()
        begin = MONDAY_MS
        self._records = simulate(department, begin, quarter.end_s * 1000, crm=True)
        self._held: list[Record] = []

    def records(self) -> Iterator[Record]:
        """Yield what arrives, in the order of its arrival."""
        begin, end = self._cut
        for record in self._records:
            if not self._happens(record):
                continue
            if begin <= record.due_ms < end:
                self._held.append(Record(record.topic, record.key, record.value, end))
                continue
            if self._held and record.due_ms >= end:
                yield from self._held
                self._held.clear()
            yield record

    def _happens(self, record: Record) -> bool:
        key, at = record.key, record.due_ms
        if record.topic != "calls" or key is None:
            return True
        if any(key == who and begin <= at < end for who, begin, end in self._ill):
            return False
        near = [share for who, begin, end, share in self._silent if who == key and begin <= at < end + 4 * HOUR_MS]
        if not near:
            return True
        call = re.search(rb'"call":"([^"]+)"', record.value)
        if call is None:
            return True
        one = key, call[1].decode()
        if b'"call.started"' in record.value:
            for who, begin, end, share in self._silent:
                # The number of a call is as good as chance, and the same in each run.
                if who == key and begin <= at < end and int(one[1].split("-")[2]) * 7919 % 1000 < share * 1000:
                    self._dropped.add(one)
        return one not in self._dropped


class Selector(NamedTuple):
    """A metric that a rule reads, the values of labels that it asks for, and how often the rule is computed here."""

    metric: str
    labels: Mapping[str, str]
    step_s: int


class Needed(NamedTuple):
    """Rules that alerts of supervisors read, and these alerts. `step_s` says how often each is computed."""

    rules: list[Mapping[str, Any]]
    alerts: list[Mapping[str, Any]]
    selectors: tuple[Selector, ...]
    step_s: Mapping[str, int]


def needed() -> Needed:
    """Return what the pages of supervisors are made of: their alerts, and the outage that they hear of."""
    rules, steps = [], {}
    for path in RULES:
        for group in parsed(path.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                name = rule.get("record") or rule["alert"]
                rules.append(rule)
                steps[name] = MINUTE_S if name in MINUTELY else GRID_S if path.stem == "activity" else SLOW_S
    alerts = [rule for rule in rules if rule.get("alert") in MINUTELY or _is_of_supervisors(rule)]
    recorded = {rule["record"]: rule for rule in rules if "record" in rule}
    reached: set[str] = set()
    selectors: list[Selector] = []
    waiting = sorted(alerts, key=lambda rule: rule["alert"] in MINUTELY)
    while waiting:
        rule = waiting.pop()  # first what is computed each minute, and all that it reads
        step_s = steps[rule.get("record") or rule["alert"]]
        for name in {one.metric for one in named(rule["expr"])} - {"ALERTS"}:
            if name not in recorded:
                selectors += (Selector(name, asked, step_s) for asked in _asked(name, rule["expr"]))
            elif name not in reached:
                reached.add(name)
                steps[name] = min(steps[name], step_s)
                waiting.append(recorded[name])
    chosen = [rule for name, rule in recorded.items() if name in reached]
    return Needed(chosen, alerts, tuple(selectors), steps)


def _is_of_supervisors(rule: Mapping[str, Any]) -> bool:
    return "alert" in rule and rule["labels"]["audience"] == "supervisor"


def _asked(name: str, expr: str) -> Iterator[dict[str, str]]:
    for inside in re.findall(rf"\b{name}\b(\{{[^}}]*\}})?", expr):
        yield dict(re.findall(r'(\w+)="([^"]*)"', inside))


class Exported:
    """The series of managers that alerts read, as a worker exports them."""

    def __init__(self, settings: Settings, selectors: Sequence[Selector]) -> None:
        self.settings = settings
        self._reader = ManagerReader(settings)
        self._series = ManagerSeries(settings)
        labels = {metric.name: metric.labels for metric in MANAGER_METRICS}
        self._chosen: list[tuple[int, int, str, str]] = []
        for place, (name, values) in enumerate(self._series.series):
            own = dict(zip(labels[name][2:], values, strict=True))
            steps = [
                one.step_s
                for one in selectors
                if one.metric == f"callpulse_{name}" and one.labels.items() <= own.items()
            ]
            if steps:
                inside = "".join(f'{label}="{value}",' for label, value in own.items())
                self._chosen.append((place, min(steps), name, inside))
        self._caches: defaultdict[str, ManagerCache] = defaultdict(ManagerCache)
        self._heads: dict[tuple[str, int], list[tuple[int, str]]] = {}

    def views(self, folded: Folded, now_ms: int) -> list[tuple[str, str, ManagerView]]:
        """Return id, team and figures of everybody on the roster."""
        shifts: dict[str, Roster] = {}
        found = []
        for id_, manager in self.settings.managers.items():
            if manager.team not in shifts:
                shifts[manager.team] = Roster(shift_bounds(self.settings, manager, now_ms), bool(manager.shifts))
            row, outcome = folded.row(id_), folded.outcome_rows.get(id_)
            view = self._reader.read(row, now_ms, shifts[manager.team], outcome, cache=self._caches[id_])
            found.append((id_, manager.team, view))
        return found

    def lines(self, views: Sequence[tuple[str, str, ManagerView]], at: int, step_s: int) -> Iterator[str]:
        """Yield the lines of a scrape: the series of rules that are computed every `step_s` or more often."""
        for id_, team, view in views:
            labels = f'manager="{id_}",team="{team}"'
            yield f"callpulse_on_shift{{{labels},{TARGET}}} {int(view.on_shift)} {at}\n"
            if view.on_shift:  # 0 for everybody else
                yield f"callpulse_idle_seconds{{{labels},{TARGET}}} {view.idle / 1000} {at}\n"
                if view.presence == "paused":
                    yield f'callpulse_presence{{{labels},state="paused",{TARGET}}} 1 {at}\n'
            if step_s == MINUTE_S:
                continue
            values = self._series.values(view)
            for place, head in self._head(id_, labels, step_s):
                value = values[place]
                if value is not None:
                    yield f"{head} {value} {at}\n"
            if step_s == SLOW_S:
                for (lead, why), value in self._series.varying(view)[1]:
                    if why == "consultation":
                        yield f'callpulse_lead_attention{{{labels},lead="{lead}",why="{why}",{TARGET}}} {value} {at}\n'

    def _head(self, id_: str, labels: str, step_s: int) -> list[tuple[int, str]]:
        found = self._heads.get((id_, step_s))
        if found is None:
            found = self._heads[id_, step_s] = [
                (place, f"callpulse_{name}{{{labels},{inside}{TARGET}}}")
                for place, step, name, inside in self._chosen
                if step <= step_s and name not in ("on_shift", "idle_seconds")
            ]
        return found


def on_shift(settings: Settings, now_ms: int) -> set[str]:
    """Return the teams of which somebody has a shift."""
    teams = {manager.team: manager for manager in settings.managers.values()}
    return {team for team, manager in teams.items() if shift_bounds(settings, manager, now_ms)}


def in_hours(settings: Settings, at: int) -> bool:
    """Return whether a team has a shift now or within three hours: alerts of a day compare with so long ago."""
    return any(on_shift(settings, at * 1000 + hours * HOUR_MS) for hours in range(4))


def scrapes(quarter: Quarter, wanted: Needed) -> Iterator[str]:
    """Yield the lines of all scrapes, in order of time."""
    department = quarter.department()
    folded = Folded(department.settings, (), MONDAY_MS)
    exported = Exported(department.settings, wanted.selectors)
    records = World(quarter, department).records()
    ahead = next(records, None)
    newest = dict.fromkeys(("calls", "crm"), 0)
    at = MONDAY_MS // 1000
    while at < quarter.end_s:
        now_ms = at * 1000
        while ahead is not None and ahead.due_ms <= now_ms:
            event = folded.take(ahead)
            if event is not None:
                newest[ahead.topic] = max(newest[ahead.topic], event.at)
            ahead = next(records, None)
        step_s = next(step for step in (SLOW_S, GRID_S, MINUTE_S) if at % step == 0)
        if step_s >= GRID_S:
            folded.time_out(now_ms)
        views = exported.views(folded, now_ms)
        yield from exported.lines(
            views, at, step_s if step_s == SLOW_S or in_hours(department.settings, at) else MINUTE_S
        )
        for topic, event_ms in newest.items():
            yield f'callpulse_newest_event_timestamp_seconds{{topic="{topic}",{TARGET}}} {event_ms / SECOND_MS} {at}\n'
            yield f'callpulse_lag_records{{topic="{topic}",partition="0",{TARGET}}} 0 {at}\n'
        works = on_shift(department.settings, now_ms)
        at += HOUR_S if at < quarter.start_s else MINUTE_S if works else GRID_S


def store(folder: Path, lines: Iterator[str]) -> None:
    """Make blocks of the lines, which are in order of time for each series."""
    path = folder / "lines.txt"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines)
        file.write("# EOF\n")
    command = ("promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=486h")
    done = run(*command, path, folder / "data")
    assert done.returncode == 0, done.stderr
    path.unlink()


def record(folder: Path, quarter: Quarter, wanted: Needed) -> None:
    """Record what the rules say, level by level."""
    for level in levels(wanted.rules):
        with prometheus(folder, folder / "data", find_free()) as address:
            lines = [
                line for rule in level for line in _recorded(address, quarter, rule, wanted.step_s[rule["record"]])
            ]
        lines.sort(key=itemgetter(0))  # promtool takes them in the order of time
        store(folder, (line for _, line in lines))


def _recorded(address: str, quarter: Quarter, rule: Mapping[str, Any], step_s: int) -> Iterator[tuple[int, str]]:
    found = _ranged(address, rule["expr"], quarter.start_s, quarter.end_s, step_s)
    if step_s < SLOW_S:
        found = [*_ranged(address, rule["expr"], MONDAY_MS // 1000, quarter.start_s, HOUR_S), *found]
    for labels, values in found:
        inside = ",".join(f"{key}={json.dumps(value)}" for key, value in {**labels, **rule.get("labels", {})}.items())
        head = f"{rule['record']}{{{inside}}}"
        yield from ((at, f"{head} {value} {at}\n") for at, value in values)


def _ranged(address: str, expr: str, begin: int, end: int, step_s: int) -> list[tuple[dict[str, str], list[Any]]]:
    found = []
    window_s = POINTS * step_s
    for start in range(begin, end, window_s):
        last = min(start + window_s, end) - step_s
        asked = urllib.parse.urlencode({"query": expr, "start": start, "end": last, "step": step_s})
        answer = get(f"{address}/api/v1/query_range?{asked}", PATIENT_S)
        assert answer["status"] == "success", answer
        for one in answer["data"]["result"]:
            one["metric"].pop("__name__", None)
            found.append((one["metric"], one["values"]))
    return found


def fired_in(address: str, quarter: Quarter, settings: Settings, wanted: Needed) -> list[Fired]:
    """Return every alert of the quarter."""
    hours = [at for at in range(quarter.start_s, quarter.end_s, GRID_S) if at % SLOW_S == 0 or in_hours(settings, at)]
    found = []
    for rule in wanted.alerts:
        step_s = wanted.step_s[rule["alert"]]
        times = hours if step_s == GRID_S else range(quarter.start_s, quarter.end_s, step_s)
        begins = _moments(address, rule["expr"], quarter, step_s)
        holds = begins
        if "ALERTS" in rule["expr"]:
            expr, count = SELF.subn(r"\1 >= 0", rule["expr"])
            assert count == 1, rule["expr"]
            holds = _moments(address, expr, quarter, step_s)
        for own, moments in holds.items():
            labels = {"alertname": rule["alert"], **dict(own), **rule["labels"]}
            for begin, end in fired(times, begins.get(own, set()), moments, seconds(rule["for"])):
                found.append(Fired(labels, begin, end))
    return found


def _moments(address: str, expr: str, quarter: Quarter, step_s: int) -> dict[tuple[tuple[str, str], ...], set[int]]:
    found: defaultdict[tuple[tuple[str, str], ...], set[int]] = defaultdict(set)
    for labels, values in _ranged(address, expr, quarter.start_s, quarter.end_s, step_s):
        found[tuple(sorted(labels.items()))].update(int(at) for at, _ in values)
    return found


def alerts(folder: Path, quarter: Quarter) -> list[Fired]:
    """Simulate the quarter in a folder, and return every alert that fires in it."""
    wanted, settings = needed(), quarter.department().settings
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"global": {}}), "utf-8")
    store(folder, scrapes(quarter, wanted))
    record(folder, quarter, wanted)
    with prometheus(folder, folder / "data", find_free()) as address:
        return fired_in(address, quarter, settings, wanted)


def table(found: Sequence[Fired], told: Sequence[Page]) -> str:
    """Return the table of docs/alerts.md: how often each alert fired, and in how many pages of supervisors it was."""
    fires = Counter(alert.labels["alertname"] for alert in found)
    first: Counter[str] = Counter()
    again: Counter[str] = Counter()
    for page in told:
        first.update({alert["alertname"] for alert in page.new})
        if not page.new:
            again.update({alert["alertname"] for alert in page.alerts})
    lines = ["| alert | fired | pages that tell it | pages that repeat it |", "|---|---|---|---|"]
    names = dict.fromkeys(rule["alert"] for rule in needed().alerts)
    lines += (f"| `{name}` | {fires[name]} | {first[name]} | {again[name]} |" for name in names)
    repeats = sum(not page.new for page in told)
    lines.append(f"| all | {fires.total()} | {len(told) - repeats} | {repeats} |")
    return "\n".join(lines)

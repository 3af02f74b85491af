"""A real Prometheus with the data of a simulated department at chosen moments, for every query of every board.

Prometheus cannot scrape in the past. So the worker's own exposition (`department.py`) writes its metrics of each
minute, and promtool makes blocks of a data folder of them, and of the series that our rules record from them.

`python -m tests.grafana.moments --managers 40` prints the queries without a result; `--serve` and `--pictures` show
the boards as if a moment were now.
"""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from agents.embedded.ports import find_free
from grafana import build
from grafana.config import Config
from streams.units import DAY_MS, HOUR_MS
from tests.grafana.backdrop import prometheus
from tests.grafana.department import Running, people
from tests.grafana.live import get
from tests.grafana.promql import named
from tests.grafana.test_boards import panels
from tests.grafana.tooling import RULES, run
from tests.yaml_text import parsed

MONDAY_MS: Final = 1_763_942_400_000  # 2025-11-24T00:00:00Z
BLOCK_S: Final = 7200
BRIDGED_H: Final = 6
"""Hours between the scrapes of the days before the last one."""
PATIENT_S: Final = 120  # a query of a day on a busy machine
WORKER: Final = 'job="callpulse",instance="worker-1:8787"'
GATEWAY: Final = 'job="callpulse-gateway",instance="gateway:8791"'
Labels = Mapping[str, str]


class Moment(NamedTuple):
    """A time at which boards are shown: hours of Berlin on the first day (`first`), or on the last."""

    hour: float
    first: bool = False


MOMENTS: Final = {
    "first day": Moment(10.5, first=True),
    "tuesday": Moment(10.5),
    "lunch": Moment(13.0),
    "feed down": Moment(15.25),
    "worker down": Moment(16.25),
    "night": Moment(23.5),
}
FEED_DOWN: Final = (15.0, 15.5)
WORKER_DOWN: Final = (16.0, 16.5)


class History(NamedTuple):
    """The last day is a Tuesday, `days` after a Monday. Before each moment, the last `minutes` are scraped each minute.

    With `whole`, the last day is scraped every four minutes besides, for boards that show its course. With `course`,
    the days before it are scraped every six hours, and a query over time bridges the hours between. A share `speech` of
    the answered calls has a transcript.
    """

    managers: int = 8
    days: int = 36
    minutes: int = 31
    whole: bool = False
    seed: int = 7
    course: bool = False
    speech: float = 0

    def at(self, moment: Moment) -> int:
        """Return the moment in seconds since epoch."""
        day = 0 if moment.first else self.days
        return (MONDAY_MS + day * DAY_MS + round((moment.hour - 1) * HOUR_MS)) // 1000

    def scraped(self) -> list[int]:
        """Return the moments of all scrapes, in seconds since epoch."""
        times = {self.at(moment) - minute * 60 for moment in MOMENTS.values() for minute in range(self.minutes, -1, -1)}
        if self.whole:
            times.update(range(self.at(Moment(8.0)), self.at(Moment(23.5)), 240))
        if self.course:
            begin = self.at(Moment(6.5, first=True))
            times.update(range(begin, self.at(Moment(8.0)), BRIDGED_H * 3600))
        return sorted(times)


def _within(history: History, at: int, span: tuple[float, float]) -> bool:
    return history.at(Moment(span[0])) < at < history.at(Moment(span[1]))


def _lines(text: str, target: str, at: int) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        series, _, value = line.rpartition(" ")
        inside = f"{series[:-1]},{target}}}" if series.endswith("}") else f"{series}{{{target}}}"
        yield f"{inside} {value} {at}\n"


def exported(history: History) -> Iterator[tuple[int, list[str]]]:
    """Yield the moment of each scrape and its lines, as OpenMetrics with timestamps."""
    department = people(history.managers, history.days, history.seed)
    running = Running(department, MONDAY_MS, MONDAY_MS + (history.days + 1) * DAY_MS, history.speech)
    try:
        for at in history.scraped():
            running.cut = _within(history, at, FEED_DOWN)
            running.until(at * 1000)
            up = not _within(history, at, WORKER_DOWN)
            began = time.perf_counter()
            said = list(_lines(running.scrape(), WORKER, at)) if up else []
            took = time.perf_counter() - began
            lines = [f"up{{{WORKER}}} {int(up)} {at}\n", f"up{{{GATEWAY}}} 1 {at}\n"]
            lines.append(f"scrape_duration_seconds{{{WORKER}}} {took:.4f} {at}\n")
            lines.append(f"scrape_samples_scraped{{{WORKER}}} {len(said)} {at}\n")
            yield at, [*said, *_lines(running.gateway_scrape(), GATEWAY, at), *lines]
    finally:
        running.close()


def store(folder: Path, found: Iterable[tuple[int, list[str]]]) -> None:
    """Make blocks of the lines; a file for each block, because promtool reads each file once a block."""
    files: dict[int, Any] = {}
    for at, lines in found:
        block = at // BLOCK_S
        if block not in files:
            files[block] = (folder / f"{block}.txt").open("w", encoding="utf-8")
        files[block].writelines(lines)
    for block, file in files.items():
        file.write("# EOF\n")
        file.close()
        path = folder / f"{block}.txt"
        done = run("promtool", "tsdb", "create-blocks-from", "openmetrics", path, folder / "data")
        assert done.returncode == 0, done.stderr
        path.unlink()


def levels(rules: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return the recording rules so that each reads only series of rules before it."""
    waiting = [rule for rule in rules if "record" in rule]
    found: list[list[Mapping[str, Any]]] = []
    while waiting:
        unknown = {rule["record"] for rule in waiting}
        ready = [
            rule for rule in waiting if not ({one.metric for one in named(rule["expr"])} - {rule["record"]}) & unknown
        ]
        assert ready, f"rules in a circle: {unknown}"
        found.append(ready)
        waiting = [rule for rule in waiting if rule not in ready]
    return found


def windows(times: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield begin, end and step of each stretch of scrapes that follow each other."""
    begin = last = times[0]
    for at in [*times[1:], 1 << 60]:
        if at - last > 300:
            yield begin, last, 60
            begin = at
        last = at


def record(folder: Path, history: History) -> None:
    """Record the series of the rules, level by level, and the alerts that fire."""
    rules = [rule for path in RULES for group in parsed(path.read_text("utf-8"))["groups"] for rule in group["rules"]]
    spans = list(windows(history.scraped()))
    for level in levels(rules):
        with prometheus(folder, folder / "data", find_free()) as address:
            lines = [line for rule in level for span in spans for line in _recorded(address, rule, span)]
        store(folder, _by_moment(lines))
    with prometheus(folder, folder / "data", find_free()) as address:
        alerts = [line for rule in rules if "alert" in rule for span in spans for line in _fired(address, rule, span)]
    store(folder, _by_moment(alerts))


def _by_moment(lines: list[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    found: defaultdict[int, list[str]] = defaultdict(list)
    for at, line in lines:
        found[at].append(line)
    yield from sorted(found.items())


def _ranged(address: str, expr: str, span: tuple[int, int, int]) -> Any:
    begin, end, step = span
    asked = urllib.parse.urlencode({"query": expr, "start": begin, "end": end, "step": step})
    answer = get(f"{address}/api/v1/query_range?{asked}", PATIENT_S)
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


def _series(name: str, labels: Labels) -> str:
    inside = ",".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in labels.items())
    return f"{name}{{{inside}}}"


def _recorded(address: str, rule: Mapping[str, Any], span: tuple[int, int, int]) -> Iterator[tuple[int, str]]:
    for one in _ranged(address, rule["expr"], span):
        labels = {key: value for key, value in one["metric"].items() if key != "__name__"}
        series = _series(rule["record"], {**labels, **rule.get("labels", {})})
        yield from ((int(at), f"{series} {value} {int(at)}\n") for at, value in one["values"])


def _fired(address: str, rule: Mapping[str, Any], span: tuple[int, int, int]) -> Iterator[tuple[int, str]]:
    """Yield the alert where its expression has held for its time."""
    found = re.fullmatch(r"(\d+)([smhd])", rule.get("for", "0s"))
    assert found, rule["for"]
    wait = int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
    for one in _ranged(address, rule["expr"], span):
        labels = {key: value for key, value in one["metric"].items() if key != "__name__"}
        static = {key: value for key, value in rule["labels"].items() if "{{" not in value}
        series = _series("ALERTS", {"alertname": rule["alert"], "alertstate": "firing", **labels, **static})
        since = last = 0
        for at, _ in one["values"]:
            since = at if at - last > span[2] else since
            last = at
            if at - since >= wait:
                yield int(at), f"{series} 1 {int(at)}\n"


@contextmanager
def known(folder: Path, history: History, port: int = 0) -> Iterator[str]:
    """Run a Prometheus with the history, and yield its address."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"global": {}}), "utf-8")
    store(folder, exported(history))
    record(folder, history)
    bridge = (f"--query.lookback-delta={BRIDGED_H}h",) if history.course else ()
    with prometheus(folder, folder / "data", port or find_free(), *bridge) as address:
        yield address


class Query(NamedTuple):
    """A query of a panel, and the labels that the panel shows of each series."""

    board: str
    panel: str
    ref: str
    expr: str
    labels: frozenset[str]


def queries() -> Iterator[Query]:
    """Yield every query of every board."""
    for name, text in build.rendered(Config()).items():
        if not name.startswith("dashboards/"):
            continue
        for panel in panels(json.loads(text)):
            for target in panel.get("targets", []):
                labels = set(re.findall(r"{{\s*(\w+)\s*}}", target.get("legendFormat", "")))
                if panel["type"] == "table":
                    labels |= _columns(panel)
                board = name.removeprefix("dashboards/").removesuffix(".json")
                yield Query(board, panel["title"], target["refId"], target["expr"], frozenset(labels))


def _columns(panel: Any) -> set[str]:
    heads = next(one["options"]["renameByName"] for one in panel["transformations"] if one["id"] == "organize")
    return {label for label in heads if not label.startswith("Value")}


def filled(expr: str, manager: str = ".+") -> str:
    """Return the query in the form that Grafana sends: all teams, and all managers or the one of the board."""
    spans = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "9h"}
    for word, span in spans.items():
        expr = expr.replace(word, span)
    return re.sub(r"\$\{?[a-z_]+\}?", ".+", re.sub(r"\$\{?manager\}?", manager, expr))


def ask(address: str, query: Query, at: int, manager: str) -> list[dict[str, str]]:
    """Return the labels of all series of the query at the moment."""
    one = manager if query.board == "manager" else ".+"
    asked = urllib.parse.urlencode({"query": filled(query.expr, one), "time": at})
    answer = get(f"{address}/api/v1/query?{asked}", PATIENT_S)
    assert answer["status"] == "success", answer
    return [found["metric"] for found in answer["data"]["result"]]


def main() -> None:
    """Show the boards from the command line."""
    from tests.grafana.moments_command import main as command  # noqa: PLC0415 - it imports this module

    command()


if __name__ == "__main__":
    main()

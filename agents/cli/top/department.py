"""The figures of a department at one moment, from the metrics of all workers: per manager, and of the feed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec import Struct

from agents.telemetry.scrape import Sample, Scrape, samples


class Line(Struct, kw_only=True):
    """One manager; `name` is the one of the roster. Spans in seconds; a ratio without a denominator is None.

    `today` is the manager's own local day.
    """

    manager: str
    team: str
    name: str = ""
    presence: str = ""
    on_shift: bool = False
    in_progress: int = 0
    longest_s: float = 0.0
    calls: int = 0
    connect_ratio: float | None = None
    meaningful: int = 0
    talk_s: float = 0.0
    idle_s: float = 0.0
    work_block_s: float = 0.0
    over_called: int = 0


class Feed(Struct, kw_only=True):
    """The workers and what reaches them. `age_s` is the age of the newest event, None before the first."""

    workers: int = 0
    workers_up: int = 0
    errors: tuple[str, ...] = ()
    age_s: float | None = None
    lag: int = 0
    restored: float = 1.0
    rejected: int = 0


class Department(Struct, kw_only=True):
    """The feed and a line per manager, at one moment."""

    at_ms: int
    feed: Feed
    lines: list[Line]


def _calls(line: Line, sample: Sample) -> None:
    # A gauge for each direction: the sum is the calls.
    line.calls += int(sample.value)


def _ratio(line: Line, sample: Sample) -> None:
    line.connect_ratio = sample.value


def _presence(line: Line, sample: Sample) -> None:
    if sample.value:
        line.presence = sample.labels.get("state", "")


def _number(field: str) -> Callable[[Line, Sample], None]:
    return lambda line, sample: setattr(line, field, int(sample.value))


def _seconds(field: str) -> Callable[[Line, Sample], None]:
    return lambda line, sample: setattr(line, field, sample.value)


_TODAY: Final = "today"
_OF_A_MANAGER: Final[dict[str, Callable[[Line, Sample], None]]] = {
    "manager_info": lambda line, sample: setattr(line, "name", sample.labels.get("name", "")),
    "presence": _presence,
    "on_shift": lambda line, sample: setattr(line, "on_shift", bool(sample.value)),
    "calls_in_progress": _number("in_progress"),
    "longest_call_in_progress_seconds": _seconds("longest_s"),
    "calls": _calls,
    "connect_ratio": _ratio,
    "meaningful_calls": _number("meaningful"),
    "talk_time_seconds": _seconds("talk_s"),
    "idle_seconds": _seconds("idle_s"),
    "work_block_seconds": _seconds("work_block_s"),
    "leads_over_called": _number("over_called"),
}
_OF_A_WORKER: Final = ("newest_event_timestamp_seconds", "lag_records", "restore_progress_ratio", "rejected_total")
WANTED: Final = frozenset((*_OF_A_MANAGER, *_OF_A_WORKER))


def read_department(scrapes: Iterable[Scrape], now_ms: int) -> Department:
    """Return the figures of all scrapes together.

    While partitions move, two workers may export a manager. The line with more calls is taken as a whole, because the
    other worker has read less.
    """
    lines: dict[str, Line] = {}
    feed = Feed()
    errors = []
    newest_s = 0.0
    for scrape in scrapes:
        feed.workers += 1
        if scrape.error:
            errors.append(f"{scrape.url}: {scrape.error}")
            continue
        feed.workers_up += 1
        of_this: dict[str, Line] = {}
        for sample in samples(scrape.text, WANTED):
            take = _OF_A_MANAGER.get(sample.name)
            if take is None:
                newest_s = max(newest_s, _of_worker(feed, sample))
                continue
            if sample.labels.get("window", _TODAY) != _TODAY:
                continue
            manager = sample.labels["manager"]
            line = of_this.get(manager)
            if line is None:
                line = of_this[manager] = Line(manager=manager, team=sample.labels.get("team", ""))
            take(line, sample)
        for manager, line in of_this.items():
            known = lines.get(manager)
            if known is None or line.calls > known.calls:
                lines[manager] = line
    if newest_s:
        feed.age_s = now_ms / 1000 - newest_s
    feed.errors = tuple(errors)
    return Department(at_ms=now_ms, feed=feed, lines=list(lines.values()))


def plain(department: Department) -> object:
    """Return the department as plain values for JSON."""
    return msgspec.to_builtins(department)


def _of_worker(feed: Feed, sample: Sample) -> float:
    """Add what a worker says of itself; return the moment of its newest telephony event, in seconds."""
    if sample.name == "lag_records":
        feed.lag += int(sample.value)
    elif sample.name == "restore_progress_ratio":
        feed.restored = min(feed.restored, sample.value)
    elif sample.name == "rejected_total":
        feed.rejected += int(sample.value)
    elif sample.labels.get("topic", "").endswith("calls"):
        return sample.value
    return 0.0

"""The figures of a department at one moment, from the metrics of all workers: per manager, and of the feed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import quantiles
from typing import Final

import msgspec
from msgspec import Struct

from agents.telemetry.scrape import Sample, Scrape, samples
from streams.contract.events import QUEUE_PREFIX

NOISE: Final = "busy noise"
CLOSER: Final = "quiet closer"
COMPARED: Final = 3
"""The fewest managers of a team that are compared with each other."""


class Lead(Struct, kw_only=True):
    """A lead that needs help: `talks` conversations in a row without progress, `why` is `stuck` or `consultation`."""

    lead: str
    why: str
    talks: int


class Line(Struct, kw_only=True):
    """One manager; `name` is the one of the roster. Spans in seconds; a ratio without a denominator is None.

    `today` is the manager's own local day. Calls and deals won of 30 days; conversion, its lower bound (95 %) and calls
    per won deal of 90 days; promises are next steps that came due in 30 days. `pattern` is `busy noise`, `quiet closer`
    or empty, as on the boards.
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
    calls_30d: int = 0
    won: int = 0
    conversion: float | None = None
    conversion_lower: float | None = None
    promises_due: int = 0
    promises_kept: float | None = None
    stuck: int = 0
    consult: int = 0
    pattern: str = ""
    expected_calls: float | None = None
    short_ratio: float | None = None
    calls_per_deal: float | None = None
    next_step: float | None = None
    leads: list[Lead] = []


class Feed(Struct, kw_only=True):
    """The state of the workers and their feed. `age_s` is the age of the newest event, None before the first."""

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


def _calls_30d(line: Line, sample: Sample) -> None:
    line.calls_30d += int(sample.value)


def _lead(line: Line, sample: Sample) -> None:
    lead, why = sample.labels.get("lead", ""), sample.labels.get("why", "")
    line.leads = [*line.leads, Lead(lead=lead, why=why, talks=int(sample.value))]


def _presence(line: Line, sample: Sample) -> None:
    if sample.value:
        line.presence = sample.labels.get("state", "")


def _number(field: str) -> Callable[[Line, Sample], None]:
    return lambda line, sample: setattr(line, field, int(sample.value))


def _value(field: str) -> Callable[[Line, Sample], None]:
    return lambda line, sample: setattr(line, field, sample.value)


_TODAY: Final = "today"
_OF_A_MANAGER: Final[dict[str, Callable[[Line, Sample], None]]] = {
    "manager_info": lambda line, sample: setattr(line, "name", sample.labels.get("name", "")),
    "presence": _presence,
    "on_shift": lambda line, sample: setattr(line, "on_shift", bool(sample.value)),
    "calls_in_progress": _number("in_progress"),
    "longest_call_in_progress_seconds": _value("longest_s"),
    "calls": _calls,
    "connect_ratio": _value("connect_ratio"),
    "meaningful_calls": _number("meaningful"),
    "talk_time_seconds": _value("talk_s"),
    "idle_seconds": _value("idle_s"),
    "work_block_seconds": _value("work_block_s"),
    "leads_over_called": _number("over_called"),
    "leads_stuck": _number("stuck"),
    "leads_consultation_due": _number("consult"),
    "expected_calls": _value("expected_calls"),
    "short_call_ratio": _value("short_ratio"),
    "lead_attention": _lead,
}
_OF_A_SPAN: Final[dict[tuple[str, str], Callable[[Line, Sample], None]]] = {
    ("calls", "30d"): _calls_30d,
    ("won_deals", "30d"): _number("won"),
    ("conversion_ratio", "90d"): _value("conversion"),
    ("conversion_ratio_lower", "90d"): _value("conversion_lower"),
    ("calls_per_won_deal", "90d"): _value("calls_per_deal"),
    ("next_step_ratio", "30d"): _value("next_step"),
    ("next_steps_due", "30d"): _number("promises_due"),
    ("next_steps_kept_ratio", "30d"): _value("promises_kept"),
}
"""The samples of longer windows, by metric and window."""
_OF_A_WORKER: Final = ("newest_event_timestamp_seconds", "lag_records", "restore_progress_ratio", "rejected_total")
WANTED: Final = frozenset((*_OF_A_MANAGER, *(metric for metric, _ in _OF_A_SPAN), *_OF_A_WORKER))


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
            manager = sample.labels.get("manager")
            if manager is None:
                newest_s = max(newest_s, _of_worker(feed, sample))
                continue
            window = sample.labels.get("window", _TODAY)
            take = _OF_A_SPAN.get((sample.name, window)) if window != _TODAY else _OF_A_MANAGER.get(sample.name)
            if take is None:
                continue
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
    _compare(lines.values())
    return Department(at_ms=now_ms, feed=feed, lines=list(lines.values()))


def plain(department: Department) -> object:
    """Return the department as plain values for JSON."""
    return msgspec.to_builtins(department)


def _compare(lines: Iterable[Line]) -> None:
    """Mark the managers who stand out in their team, by `manager:callpulse_busy_noise` and `..._quiet_closer`."""
    teams: defaultdict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if not line.manager.startswith(QUEUE_PREFIX):
            teams[line.team].append(line)
    for members in teams.values():
        if len(members) < COMPARED:
            continue
        few, many = _thirds([line.calls_30d for line in members])
        least, most = _thirds([line.won for line in members])
        for line in members:
            if few < line.calls_30d >= many and least >= line.won < most:
                line.pattern = NOISE
            elif few >= line.calls_30d < many and least < line.won >= most:
                line.pattern = CLOSER


def _thirds(values: list[int]) -> tuple[float, float]:
    """Return the limits of the lower and the upper third."""
    tenths = quantiles(values, n=10, method="inclusive")
    return tenths[2], tenths[6]


def _of_worker(feed: Feed, sample: Sample) -> float:
    """Add a worker's metrics of itself; return the moment of its newest telephony event, in seconds."""
    if sample.name == "lag_records":
        feed.lag += int(sample.value)
    elif sample.name == "restore_progress_ratio":
        feed.restored = min(feed.restored, sample.value)
    elif sample.name == "rejected_total":
        feed.rejected += int(sample.value)
    elif sample.labels.get("topic", "").endswith("calls"):
        return sample.value
    return 0.0

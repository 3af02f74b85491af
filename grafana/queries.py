"""PromQL that more than one panel needs.

A manager may move between workers, and for the time of a scrape two of them export the row. A worker that has lost its
session may export old figures. So `fill.current` comes before any other arithmetic, and these functions are the only
way in which a board reads a metric of a manager.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from grafana.fill import current
from streams.contract.events import QUEUE_PREFIX
from streams.metrics.catalogue import MANAGER, MANAGER_METRICS, TEAM

PICKED: Final = 'team=~"$team", manager=~"$manager"'
"""The managers that the reader of the board selected."""

NO_QUEUE: Final = f'manager!~"{QUEUE_PREFIX}.*"'
"""The value `All` of the variable selects pseudo-managers of queues too; this matcher excludes them."""

NAMES: Final = "manager:callpulse_manager_info:name"
"""1 per manager, with the name of the manager and of the team as the labels `name` and `team_name`."""

NAMES_OF_TEAMS: Final = "team:callpulse_team_info:name"
"""1 per team, with its name as the label `name`."""

TEAM_NAMES: Final = (
    "max by (team, name) (callpulse_team_info) and on (team) team:managers or on (team) "
    'label_replace(team:managers, "name", "$1", "team", "(.*)")'
).replace("team:managers", f"(max by (team) (callpulse_on_shift{{{NO_QUEUE}}}))")
"""The teams that have a manager, with their names on the roster; the id of a team that has none there."""

WHILE_CURRENT: Final = "unless on () callpulse:feed_quiet == 1 unless on () callpulse:worker_behind == 1"
"""Behind a query: no result while it is not known whether a manager is silent."""

SILENT: Final = "<<silence.s>>"
"""Idle for more seconds means silent, as in the alert rule SilenceOnShift."""


def manager(metric: str, *by: str, **labels: str) -> str:
    """Return the query of a metric per manager (and per label of `by`), of the managers picked."""
    return current(f"callpulse_{metric}{{{PICKED}, {NO_QUEUE}{_equal(labels)}}}", ", ".join((*MANAGER, *by)))


def at_end(metric: str, **labels: str) -> str:
    """Return the query of a metric per manager at the end of the span of a panel, to choose whose line is drawn."""
    return current(f"callpulse_{metric}{{{PICKED}, {NO_QUEUE}{_equal(labels)}}} @ end()", ", ".join(MANAGER))


def queue(metric: str, *by: str, **labels: str) -> str:
    """Return the query of a metric per queue: of its unanswered calls. Queues belong to no team."""
    chosen = f'manager=~"{QUEUE_PREFIX}.*"{_equal(labels)}'
    return current(f"callpulse_{metric}{{{chosen}}}", ", ".join(("manager", *by)))


def without_prefix(expr: str) -> str:
    """Return the query of an expression per queue, with the queue's own name as the label `manager`."""
    return f'label_replace({expr}, "manager", "$1", "manager", "{QUEUE_PREFIX}(.*)")'


def with_name(expr: str) -> str:
    """Return the query of an expression per manager, with the labels `name` and `team_name` of NAMES."""
    return f"({expr}) * on (manager, team) group_left (name, team_name) {NAMES}"


def with_team_name(expr: str) -> str:
    """Return the query of an expression per team, with the team's name as the label `name`."""
    return f"({expr}) * on (team) group_left (name) {NAMES_OF_TEAMS}"


def _equal(labels: Mapping[str, str]) -> str:
    return "".join(f', {name}="{value}"' for name, value in labels.items())


def recorded(series: str, **labels: str) -> str:
    """Return the query of a series that the rules record per manager, of the managers picked."""
    return f"{series}{{{PICKED}, {NO_QUEUE}{_equal(labels)}}}"


def of_teams(series: str, **labels: str) -> str:
    """Return the query of a series that the rules record per team, of the teams picked."""
    return f'{series}{{team=~"$team"{_equal(labels)}}}'


def team(metric: str, *by: str, **labels: str) -> str:
    """Return the query of a metric of a team (and per label of `by`), its partitions added, of the teams picked."""
    once = current(f'callpulse_team_{metric}{{team=~"$team"{_equal(labels)}}}', ", ".join((*TEAM, *by)))
    return f"sum by ({', '.join(('team', *by))}) ({once})"


def bound(ratio: str, of: str, sign: str) -> str:
    """Return the query of an end of Wilson's 95 % interval of a ratio of `of` trials; `sign` is + for the upper end."""
    part, middle = f"clamp_max({ratio}, 1)", "1.9208"
    half = f"1.96 * sqrt({part} * (1 - {part}) / ({of}) + 0.9604 / ({of}) ^ 2)"
    return f"({part} + {middle} / ({of}) {sign} {half}) / (1 + 3.8416 / ({of}))"


def calls(window: str) -> str:
    """Return the query of a manager's finished legs of both directions in the window."""
    return f"sum by (manager, team) ({manager('calls', 'direction', window=window)})"


def mean(ratio: str, *by: str, **labels: str) -> str:
    """Return the query of a ratio over all managers (per label of `by`): each one's own, weighted with its denominator.

    The catalogue names the denominator. Raises KeyError for a metric without one that is exported.
    """
    own, weight = manager(ratio, *by, **labels), denominator(ratio, *by, **labels)
    on = f"on ({', '.join((*MANAGER, *by))})"
    total = f"sum by ({', '.join(by)}) " if by else "sum"
    return f"{total}(({own}) * {on} ({weight})) / {total}(({weight}) and {on} ({own}))"


def denominator(ratio: str, *by: str, **labels: str) -> str:
    """Return the query of a ratio's denominator, per manager (and per label of `by`), of the managers picked.

    Raises KeyError for a metric without a denominator that is exported.
    """
    metrics = {metric.name: metric for metric in MANAGER_METRICS}
    count = metrics[ratio].denominator
    if count is None:
        raise KeyError(f"{ratio} has no denominator")
    metric, fixed = metrics[count.metric], dict(count.labels)
    matched = {name: value for name, value in labels.items() if name in metric.labels} | fixed
    others = [name for name in metric.labels if name not in (*MANAGER, *by, *matched)]
    found = manager(metric.name, *by, *others, **matched)
    return f"sum by ({', '.join((*MANAGER, *by))}) ({found})" if others else found


def usual() -> str:
    """Return the query of the usual calls in the last hour.

    The manager's own expectation, leaning on the team's where history is thin; without any the own last four days.
    """
    own = f"{expected('1h')} or on (manager, team) {recorded('manager:callpulse_calls_full_hour:avg4d')}"
    return f"max by (manager, team) ({own})"  # one series where one takes over from the other


def expected(window: str) -> str:
    """Return the query of the calls expected in the window (1h, today), leaning on the team's where history is thin."""
    return f"sum by (manager, team) ({recorded('manager:callpulse_expected_calls:shrunk', window=window)})"


def silent() -> str:
    """Return the query of how long those managers have been silent who are, as in the state `silent`."""
    return f"({manager('idle_seconds')} > {SILENT}) unless on (manager, team) ({_on_break()})"


def _on_break() -> str:
    """Return the query of the managers on a break, as the rules end it: after some time its end may be lost."""
    return f"{manager('presence', state='paused')} == 1 and on (manager, team) {manager('idle_seconds')} <= <<break.s>>"


# The states of a manager, the most urgent first.
STATE_SILENT, STATE_NO_FEED, STATE_PAUSED, STATE_READY, STATE_TALKING, STATE_OFF = 5, 4, 3, 2, 1, 0


def state() -> str:
    """Return the query of a manager's present state: the first of the states above that applies.

    The rules record the same as `manager:callpulse_state`, for panels that show its course.
    """
    idle = f"{manager('idle_seconds')} > {SILENT}"
    rules = (
        (STATE_TALKING, f"{manager('calls_in_progress')} > 0"),
        (STATE_NO_FEED, f"({idle}) and on () callpulse:feed_quiet == 1"),
        (STATE_PAUSED, f"{_on_break()} and on (manager, team) {manager('on_shift')} == 1"),
        (STATE_SILENT, idle),
        (STATE_READY, f"{manager('on_shift')} == 1"),
        (STATE_OFF, f"{manager('on_shift')} == 0"),
    )
    return "\nor ".join(f"({condition}) * 0 + {code}" for code, condition in rules)

"""What becomes of an alert's expression: when the alert fires, and which messages Alertmanager sends of it.

Prometheus and Alertmanager do both for real in `test_live.py`. To count the pages of a quarter, their rules are
computed here: `for:`, and routes, groups, repeats and inhibitions of a configuration.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MATCHER: Final = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"(.*)"')
Labels = Mapping[str, str]


class Fired(NamedTuple):
    """An alert that fired from `begin` until before `end`, in seconds since epoch."""

    labels: Labels
    begin: int
    end: int


class Page(NamedTuple):
    """A message to a receiver: when, of which group, and the alerts that fire. It tells of `new` for the first time."""

    at: int
    receiver: str
    group: Labels
    alerts: tuple[Labels, ...]
    new: tuple[Labels, ...]


def seconds(text: str) -> int:
    """Return a span such as `5m` in seconds."""
    return int(text[:-1]) * _UNITS[text[-1]]


def fired(
    times: Sequence[int], begins: Collection[int], holds: Collection[int], wait_s: int
) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each time that an alert fires, of the moments at which it is evaluated.

    It becomes pending at one of `begins`, fires when it has been so for `wait_s`, and then goes on while the moments
    are in `holds`.
    """
    since: int | None = None
    firing: int | None = None
    for at in times:
        if at in begins if firing is None else at in holds:
            since = at if since is None else since
            if firing is None and at - since >= wait_s:
                firing = at
        else:
            if firing is not None:
                yield firing, at
            since = firing = None
    if firing is not None:
        yield firing, times[-1] + 1


def matches(matchers: Iterable[str], labels: Labels) -> bool:
    """Return whether labels are those that matchers of Alertmanager ask for."""
    for matcher in matchers:
        found = _MATCHER.fullmatch(matcher)
        assert found, matcher
        name, sign, wanted = found.groups()
        value = labels.get(name, "")
        same = re.fullmatch(wanted, value) is not None if "~" in sign else value == wanted
        if same == sign.startswith("!"):
            return False
    return True


def pages(
    alerts: Sequence[Fired], config: Mapping[str, Any], quiet: Callable[[int, Labels], bool] = lambda _at, _group: False
) -> list[Page]:
    """Return the messages of a configuration with routes of one level. `quiet` says when supervisors have quiet hours.

    A message goes out for an alert that is new in its group, and again for what still fires after `repeat_interval`.
    Messages that only tell an end are left out. What a quiet hour mutes is told after it, if it still fires.
    """
    found: list[Page] = []
    root = config["route"]
    taken: set[int] = set()
    for route in root["routes"]:
        own = {**root, **route}
        groups: defaultdict[tuple[tuple[str, str], ...], list[Fired]] = defaultdict(list)
        for place, alert in enumerate(alerts):
            if place not in taken and matches(route["matchers"], alert.labels):
                groups[tuple((name, alert.labels.get(name, "")) for name in own["group_by"])].append(alert)
                if not route.get("continue"):
                    taken.add(place)
        for group, members in groups.items():
            mutes = quiet if own["receiver"] == "supervisors" else None
            for at, firing, new in _sent(members, alerts, own, config.get("inhibit_rules", ()), mutes):
                found.append(Page(at, own["receiver"], dict(group), firing, new))
    return sorted(found, key=lambda page: page.at)


def _sent(
    members: Sequence[Fired],
    all_alerts: Sequence[Fired],
    route: Mapping[str, Any],
    inhibitions: Iterable[Mapping[str, Any]],
    mutes: Callable[[int, Labels], bool] | None,
) -> Iterator[tuple[int, tuple[Labels, ...], tuple[Labels, ...]]]:
    """Yield the moments at which a group is told, the alerts that fire then, and those of them that are new."""
    wait, interval, repeat = (seconds(route[key]) for key in ("group_wait", "group_interval", "repeat_interval"))
    inhibitions = tuple(inhibitions)
    known: set[tuple[tuple[str, str], ...]] = set()
    told = 0
    at: int | None = None
    waiting = sorted(members, key=lambda alert: alert.begin)
    while waiting or at is not None:
        at = waiting[0].begin + wait if at is None else at
        here = [alert for alert in waiting if alert.begin <= at]
        firing = [
            alert.labels
            for alert in here
            if alert.end > at and not _inhibited(alert.labels, all_alerts, inhibitions, at)
        ]
        keys = {tuple(sorted(labels.items())): labels for labels in firing}
        new = tuple(labels for key, labels in keys.items() if key not in known)
        if mutes is None or not firing or not mutes(at, firing[0]):
            if new or (firing and at - told >= repeat):
                yield at, tuple(firing), new
                told = at
            known = set(keys)
        waiting = [alert for alert in waiting if alert.end > at]
        if any(alert.begin <= at for alert in waiting):
            at += interval
        else:
            at = None  # the group is empty, and begins anew with its next alert


def _inhibited(labels: Labels, alerts: Sequence[Fired], inhibitions: Iterable[Mapping[str, Any]], at: int) -> bool:
    for rule in inhibitions:
        if not matches(rule["target_matchers"], labels):
            continue
        for alert in alerts:
            if (
                alert.begin <= at < alert.end
                and matches(rule["source_matchers"], alert.labels)
                and not matches(rule["target_matchers"], alert.labels)
                and all(alert.labels.get(name, "") == labels.get(name, "") for name in rule.get("equal", ()))
            ):
                return True
    return False

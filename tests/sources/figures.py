"""The figures of a manager by plain arithmetic on expected.json: no row, fold or event of the product takes part.

Where expected.json allows several answers, a figure is a range.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from tests.sources.story import ms_of

LONG_S: Final = 300
TALK_S: Final = 60
SHORT_S: Final = 120
BOUNDS_S: Final = (30, 60, 120, 300, 600, 1200, 1800)
_DISPOSITIONS: Final = ("answered", "no_answer", "busy", "failed", "canceled", "voicemail")
_CALLS: Final = ("today", "7d", "30d", "90d")
_RATIOS: Final = ("today", "7d", "30d")


class Range(NamedTuple):
    """The smallest and the greatest value that are right. None: the series is not exported."""

    low: float | None
    high: float | None

    def holds(self, value: float | None) -> bool:
        """Return whether a value is right."""
        if self.low is None or self.high is None or value is None:
            return value is None and None in self
        return self.low - 0.001 <= value <= self.high + 0.001


class Series(NamedTuple):
    """The name of a metric, and its labels but for the manager and the team."""

    name: str
    labels: frozenset[tuple[str, str]]


def series(name: str, **labels: str) -> Series:
    """Name a series."""
    return Series(name, frozenset(labels.items()))


def figures(calls: Any, deals: Any, manager: str) -> dict[Series, Range]:
    """Return the figures of a manager after the day, by the expected.json of the telephone system and of the CRM."""
    mine = [leg for leg in calls["legs"] if manager in leg.get("manager_accept", [leg["manager"]])]
    certain = [leg for leg in mine if len(leg.get("manager_accept", [manager])) == 1]
    won = [deal for deal in deals["deals"] if _is_won(deal) and deal["manager"] == manager]
    said = [leg for leg in mine if leg["disposition"] != "unknown"]
    guessed = [leg | {"disposition": "no_answer"} for leg in mine if leg not in said]
    found = [dict(_of(legs, won)) for legs in (certain, [*said, *guessed])]
    return {
        name: one if one == two else Range(_lesser(one.low, two.low), _greater(one.high, two.high))
        for (name, one), two in zip(found[0].items(), found[1].values(), strict=True)
    }


def _lesser(one: float | None, two: float | None) -> float | None:
    return None if one is None or two is None else min(one, two)


def _greater(one: float | None, two: float | None) -> float | None:
    return None if one is None or two is None else max(one, two)


def _is_won(deal: Mapping[str, Any]) -> bool:
    return deal["deleted"] is None and bool(deal["final_stage"] == "won")


def _of(all_legs: Iterable[Any], won: list[Any]) -> Iterator[tuple[Series, Range]]:
    inside = [leg for leg in all_legs if leg.get("consultation")]
    legs = [leg for leg in all_legs if not leg.get("consultation")]
    yield series("internal_calls", window="today"), Range(0, len(inside))  # a consultation may be left out
    yield series("internal_talk_seconds", window="today"), Range(0, sum(leg["talk_s"] or 0 for leg in inside))
    yield series("calls_in_progress"), _exact(0)
    yield from _dispositions(legs)
    answered = [leg for leg in legs if leg["disposition"] in ("answered", "unknown")]
    dials = [leg for leg in legs if leg["direction"] == "outbound"]
    reached = [leg for leg in dials if leg in answered]
    known = [leg for leg in answered if leg["ended_by"] != "timeout"]
    for window in _CALLS:
        for direction in ("inbound", "outbound"):
            count = sum(leg["direction"] == direction for leg in legs)
            yield series("calls", window=window, direction=direction), _exact(count)
        slack = sum(leg.get("talk_s_tolerance", 0) for leg in known)
        yield series("talk_time_seconds", window=window), _around(sum(leg["talk_s"] for leg in known), slack)
    for window in _RATIOS:
        yield series("answered_calls", window=window), _exact(len(answered))
        yield series("connect_ratio", window=window), _ratio(len(reached), len(dials))
        short = sum(leg["talk_s"] < SHORT_S for leg in known)
        yield series("short_call_ratio", window=window), _ratio(short, len(known))
        yield series("meaningful_calls", window=window), _exact(sum(leg["talk_s"] >= LONG_S for leg in known))
    for window in ("today", "30d"):
        yield series("conversations", window=window), _exact(sum(leg["talk_s"] >= TALK_S for leg in known))
    yield series("attempts_per_contact", window="30d"), _ratio(len(dials), len(reached))
    timeouts = sum(leg["ended_by"] == "timeout" for leg in legs)
    yield series("calls_timed_out", window="today"), _exact(timeouts)
    for window in ("7d", "30d", "90d"):
        yield series("won_deals", window=window), _exact(len(won))
    yield series("calls_per_won_deal", window="90d"), _ratio(len(legs), len(won))
    amounts = [float(deal["amount"]) for deal in won]
    yield series("mean_won_amount", window="90d", currency="RUB"), _ratio(sum(amounts), len(amounts))


def _dispositions(legs: Iterable[Any]) -> Iterator[tuple[Series, Range]]:
    for disposition in _DISPOSITIONS:
        rights = [{leg["disposition"], *leg.get("disposition_accept", ())} for leg in legs]
        rights = [{"answered"} if "unknown" in right else right for right in rights]
        certain = sum(right == {disposition} for right in rights)
        possible = sum(disposition in right for right in rights)
        yield series("calls_by_disposition", window="today", disposition=disposition), Range(certain, possible)


def _exact(value: float) -> Range:
    return Range(value, value)


def _around(value: float, slack: float) -> Range:
    return Range(value - slack, value + slack)


def _ratio(count: float, of: float) -> Range:
    return _exact(count / of) if of else Range(None, None)


def story_end_ms(truth: Any) -> int:
    """Return the last moment of the story: of a call or of a change of a deal."""
    ends: list[int] = [leg["ended"] for leg in truth["legs"]]
    changes: list[int] = [one["at_ms"] for deal in truth["deals"].values() for one in deal["stages"]]
    gone = [ms_of(deal["deleted"]) for deal in truth["deals"].values() if deal["deleted"]]
    return max(ends + changes + gone)

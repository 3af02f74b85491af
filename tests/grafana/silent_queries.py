"""The queries of boards without a result at some moment, with the reasons: board, panel and letter, as patterns.

The panel has the reason, too, as its own text for no data (`test_moments.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from tests.grafana.moments import MOMENTS, Query

ALWAYS: Final = frozenset(MOMENTS)
FIRST: Final = frozenset({"first day"})


class Silent(NamedTuple):
    """Queries without a result at these moments, and the reason."""

    why: str
    at: frozenset[str]
    queries: tuple[str, ...]


SILENT: Final = (
    Silent(
        "no manager has a history yet: what is usual takes days",
        FIRST,
        (
            "team-now: Managers [DF]",
            "team-now: Calls of the last hour, and usual B",
            "manager: Usual hour A",
            "manager: Against usual A",
            "manager: Usual by now A",
            "manager: * usual * B",
        ),
    ),
    Silent(
        "no deal is won yet, no proposal discussed, and no next step due",
        FIRST,
        (
            "team-now: Does activity turn into results? [GH]",
            "manager: Fair index A",
            "manager: Calls per deal A",
            "manager: Plan per day A",
            "manager: Conversion [A-E]",
            "manager: Coaching ratios D",
            "manager: How deals are won A",
            "leads: Next steps kept A",
            "leads: Leads without progress, per manager I",
            "conversion: Calls per deal A",
            "conversion: Cost per deal A",
            "conversion: Amount per deal A",
            "conversion: Return A",
            "conversion: Where leads are lost, 90 days *",
            "conversion: Norms and fair comparison, 90 days [ABCFHK]",
            "conversion: * by channel *",
        ),
    ),
    Silent("no lead was talked to so often", FIRST, ("*: Leads that need help A",)),
    Silent("a week is compared once it is over", FIRST, ("conversion: *, by weekday ?",)),
    Silent(
        "a drift compares two quarters, and this history is of five weeks",
        ALWAYS,
        ("manager: Norm drift A", "conversion: Norms and fair comparison, 90 days G"),
    ),
    Silent("all is well", ALWAYS, ("*: Active alerts A", "*: Why * rejected A")),
    Silent("what the feed does not say is not known", frozenset({"feed down"}), ("*: Silent on shift A",)),
    Silent("nobody is silent", ALWAYS, ("wall: Who is silent A",)),
    Silent(
        "no event was delivered or counted for ten minutes",
        frozenset({"feed down"}),
        ("operations: Late, by topic A", "operations: Time until stored [AB]"),
    ),
    Silent(
        "nobody is on a call, or the end of the only ones was lost",
        frozenset({"lunch", "feed down", "night"}),
        ("wall: Longest calls now A",),
    ),
    Silent("no call has a transcript in this department", ALWAYS, ("coaching: *",)),
    Silent(
        "no value could not be read, no lead was linked twice, and there are no transcripts",
        ALWAYS,
        ("operations: What became of the records [GHIJ]",),
    ),
    Silent(
        "the two senders of this department have no live link, are not polled, and follow no file",
        ALWAYS,
        ("sources: Links down A", "sources: Sources [BHKLMNO]", "sources: Lost on the way ?", "sources: Polls ?"),
    ),
    Silent(
        "nothing was compared with records of the telephone system",
        ALWAYS,
        (
            "manager: Before today A",
            "sources: Final for all up to A",
            "sources: Provisional days A",
            "sources: * drift A",
            "sources: Drift A",
            "sources: By manager ?",
        ),
    ),
)

WITHOUT_WORKER: Final = (
    "team-now: Data A",
    "wall: Data A",
    "team-now: Managers by state ?",
    "team-now: Active alerts A",
    "operations: Newest event A",
    "operations: Workers up A",
    "operations: Unowned A",
    "operations: Workers [AGJK]",
    "operations: Scrape cost A",
    "operations: Rejected, 1 h A",
    "operations: Lost, 24 h A",
    "operations: What became of the records *",
    "operations: Versions A",
    "operations: Way in A",
    "operations: Stored within A",
    "operations: In flight A",
    "operations: Spool* A",
    "operations: Oldest waits A",
    "operations: Wrong clocks A",
    "operations: Source alerts A",
    "operations: Events taken in per second A",
    "operations: Time until stored ?",
    "sources: Quiet A",
    "sources: Rejected A",
    "sources: Wrong tokens A",
    "sources: Sources *",
    "sources: Events per minute A",
    "sources: Skew A",
)
"""Queries with a result while no worker answers; all others must be empty then. Data on Team now has the reason."""


def reasons(query: Query, moment: str) -> Iterator[tuple[str, str]]:
    """Yield the reasons for which the query may have no result at the moment, each with its pattern."""
    name = f"{query.board}: {query.panel} {query.ref}"
    for silent in SILENT:
        if moment in silent.at:
            for pattern in silent.queries:
                if fnmatchcase(name, pattern):
                    yield silent.why, pattern
    if moment == "worker down" and not any(fnmatchcase(name, pattern) for pattern in WITHOUT_WORKER):
        yield "no worker answers", ""

"""callpulse's own fold for the peers that can hold its rows, and the sums of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from benchmarks.workload import HISTOGRAM_MS, Totals
from streams.calendars import local_time
from streams.contract.events import DISPOSITIONS, KINDS_AND_UNKNOWN
from streams.settings.settings import Thresholds
from streams.tables.manager import counts
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.row import ManagerRow, all_days
from streams.tables.outcome.fold import OutcomeRow

SUMS: Final = {
    "sum": "contacts",
    "given": "leads",
    "answered": "answered",
    "talks": "conversations",
    "agreed": "agreed",
    "presented": "presented",
    "won": "won",
    "lost": "lost",
    "amount": "amount",
    "touch": "touches",
}
"""Heads of the measures of outcomes, by their names in `mix.Mix.sums`."""


def owned_rows(table: Any) -> Iterator[tuple[bytes, Any]]:
    """Yield the rows of the partitions of a worker's table that are owned and restored, by key."""
    for partition in table.owned:
        if partition in table.parts:
            yield from table.parts[partition].rows.items()


def manager_fold() -> ManagerFold:
    """Return the fold with its default thresholds, so that only the engine around it differs."""
    return ManagerFold(Thresholds())


def new_row(name: str) -> ManagerRow:
    """Return an empty row of a manager in UTC."""
    return ManagerRow(name, local_time("UTC"))


def totals(rows: Iterable[ManagerRow]) -> Totals:
    """Add up all days of callpulse's own rows."""
    places: Counter[int] = Counter()
    for row in rows:
        for day in all_days(row).values():
            places.update(dict(enumerate(day)))
    kinds = {kind: places[counts.KIND + place] for place, kind in enumerate(KINDS_AND_UNKNOWN)}
    dispositions = {name: places[counts.DISPOSITION + place] for place, name in enumerate(DISPOSITIONS)}
    return Totals(
        calls=places[counts.INBOUND] + places[counts.OUTBOUND],
        inbound=places[counts.INBOUND],
        outbound=places[counts.OUTBOUND],
        answered=places[counts.ANSWERED],
        short=places[counts.SHORT],
        talk_ms=places[counts.TALK_MS],
        kinds={kind: number for kind, number in sorted(kinds.items()) if number},
        dispositions={name: number for name, number in sorted(dispositions.items()) if number},
        histogram=[places[counts.HISTOGRAM + place] for place in range(len(HISTOGRAM_MS) + 1)],
    )


def sums(outcomes: Iterable[OutcomeRow]) -> dict[str, int]:
    """Add up the outcomes of all managers, by the names of `mix.Mix.sums`."""
    found: Counter[str] = Counter()
    for row in outcomes:
        for measure, days in row.state.steps.items():
            head = measure.partition(":")[0]
            if head in SUMS:
                found[SUMS[head]] += sum(days.values())
    return dict(found)

"""Live events and records through the fold of managers: nothing counts twice, gaps are repaired."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache

import pytest

from streams.calendars import local_time
from streams.contract.events import CallEnded, CallEvent, Event, ManagerPresence
from streams.settings.settings import Thresholds
from streams.tables.manager.effect import LegChange
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.row import ManagerRow
from tests.streams.test_asterisk_real import EXPECTED, events_of
from tests.streams.test_records_cel import real

Counts = dict[str, dict[int, tuple[int, ...]]]


def folded(events: Iterable[Event]) -> tuple[Counts, dict[str, list[str]]]:
    """Return the counts of each manager by day, and the calls that are open."""
    rows: dict[str, ManagerRow] = {}
    fold = ManagerFold(Thresholds())

    def take(event: Event) -> None:
        assert isinstance(event, CallEvent | ManagerPresence)
        row = rows.setdefault(event.manager, ManagerRow(event.manager, local_time("Europe/Berlin")))
        effect = fold.fold(row, event, row.live.pos + 1)  # type: ignore[arg-type]  # an event of topic `calls`
        for emitted in effect.emitted:
            if not isinstance(emitted, LegChange):
                take(emitted)

    for event in events:
        take(event)
    counts = {name: {day: tuple(held) for day, held in row.days.items() if any(held)} for name, row in rows.items()}
    return {name: days for name, days in counts.items() if days}, {
        name: sorted(row.live.open) for name, row in rows.items() if row.live.open
    }


@cache
def live(name: str) -> tuple[Event, ...]:
    return tuple(event for event in events_of(name) if not isinstance(event, ManagerPresence))


@cache
def records(name: str) -> tuple[Event, ...]:
    return tuple(real(name, "cdr"))


@pytest.mark.parametrize("name", EXPECTED)
def test_records_change_nothing_where_all_was_heard(name: str) -> None:
    want = folded(live(name))
    both = [*live(name), *records(name)]
    assert folded(both) == want
    assert folded([*records(name), *live(name)]) == want
    assert folded(sorted(both, key=lambda event: (event.at, event.id))) == want
    for seed in range(3):
        assert folded(random.Random(seed).sample(both, len(both))) == want


@pytest.mark.parametrize("name", EXPECTED)
def test_records_repair_the_ends_that_were_not_heard(name: str) -> None:
    heard = [event for event in live(name) if not isinstance(event, CallEnded)]
    counts, still = folded(records(name))
    repaired = folded([*heard, *records(name)])
    assert repaired[0] == counts
    assert folded([*records(name), *heard])[0] == counts
    # CEL without APP_START does not know the queue of a missed call, so it claims none. The leg times out.
    assert still == {}
    assert all(manager.startswith("queue:") for manager in repaired[1])


@pytest.mark.parametrize("name", EXPECTED)
def test_records_alone_count_what_was_heard(name: str) -> None:
    if name.startswith(("30", "31")) or EXPECTED[name]["expected"] == "won":
        return  # not everything was heard; two who picked up in one moment
    heard = {
        (end.call, end.manager, end.direction, end.disposition, end.internal)
        for end in live(name)
        if isinstance(end, CallEnded) and not end.manager.startswith("queue:")
    }
    said = {
        (end.call, end.manager, end.direction, end.disposition, end.internal)
        for end in records(name)
        if isinstance(end, CallEnded)
    }
    assert said - {one for one in said if one[1].startswith("queue:")} == heard

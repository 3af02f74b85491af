"""A simulated department for the tests of adapters: its history, its roster for sources, and the folds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from streams.contract.events import Event, encode
from streams.settings.settings import Settings, load
from streams.simulator import Department, FaultRates, Record, simulate
from streams.simulator.people.roster import BEGINNER
from streams.simulator.rendering import export
from streams.simulator.rendering.exchange import Exchange
from streams.simulator.rendering.history import History
from streams.simulator.rendering.pbx_facts import PbxFact
from streams.simulator.rendering.phone_book import PhoneBook
from streams.simulator.truth.figures import Figures
from streams.sources.people import People
from streams.sources.registry import SOURCES
from streams.units import DAY_MS, HOUR_MS
from tests.streams.folded import Folded

SECRET = b"a secret of the tests, long enough"
ZONE = "Europe/Berlin"
MONDAY_MS = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * 1000
EVENING_MS = MONDAY_MS + 20 * HOUR_MS


@dataclass(frozen=True, eq=False)
class Made:
    """A department, and its history until `end_ms`."""

    text: str
    settings: Settings
    people: People
    book: PhoneBook
    history: History
    facts: tuple[PbxFact, ...]
    end_ms: int


@cache
def made(seed: int = 7, days: int = 1, managers: int = 6) -> Made:
    """Return a department whose first day is a Monday. Half of its people transfer often, so that many calls are."""
    invented = Department.make(seed, managers, 2)
    often = {name: BEGINNER for number, name in enumerate(invented.settings.managers) if number % 2}
    department = Department.make(seed, managers, 2, personalities=often)
    end_ms = MONDAY_MS + (days - 1) * DAY_MS + EVENING_MS - MONDAY_MS
    history = History.of(simulate(department, MONDAY_MS, end_ms, faults=FaultRates.none(), internal=0.2))
    book = PhoneBook(department.settings.managers)
    settings = load(book.roster(department.text) + export.MAPPING.format(zone=ZONE), {}, SOURCES)
    facts = tuple(Exchange(book).facts(history))
    latest = max([*(leg.ended_at for leg in history.legs()), end_ms])
    return Made(department.text, settings, People.of(settings, SECRET), book, history, facts, latest + HOUR_MS)


def records(events: Iterable[Event], due_ms: int) -> list[Record]:
    """Return events as they would arrive in Kafka, all at one moment."""
    return [Record("calls", getattr(event, "manager", None), encode(event), due_ms) for event in events]


def tables(of: Made, events: Sequence[Event], now_ms: int | None = None) -> Figures:
    """Return every exported series of every manager at `now_ms`, or at the end, after `events`."""
    now_ms = of.end_ms if now_ms is None else now_ms
    return Folded(of.settings, records(events, of.end_ms + 400 * DAY_MS), now_ms).answers(now_ms)


def differences(want: Figures, got: Figures) -> dict[tuple[str, tuple[str, ...]], tuple[float | None, float | None]]:
    """Return the series that differ, with the expected and the found value."""
    return {key: (want.get(key), got.get(key)) for key in sorted({*want, *got}) if want.get(key) != got.get(key)}

"""Compares the events and figures of the demo's portal with the simulator's records of its department."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from decimal import Decimal
from typing import Final, TypeAlias, TypeVar

from msgspec import Struct

from agents.cli.demo.portal import QUEUE, DemoPortal
from agents.kafka.clients import full_name
from agents.kafka.reading import records_to_end
from agents.telemetry.scrape import Scrape, samples
from streams.contract import topics
from streams.contract.decoding import Decoder
from streams.contract.events import QUEUE_PREFIX, CallEnded, DealStageChanged, Disposition, Event
from streams.contract.topics import Topic
from streams.settings.results import WON
from streams.settings.settings import Settings
from streams.simulator import Record
from streams.simulator.rendering.bitrix24 import stage_id
from streams.simulator.rendering.history import History, Leg
from streams.units import SECOND_MS

SOURCE: Final = "bitrix24"
_MARK: Final = b'"source":"bitrix24"'
_STATE: Final = ":state:"
_WINDOW: Final = "30d"
_QUEUE: Final = QUEUE_PREFIX + QUEUE
T = TypeVar("T")
Deal: TypeAlias = "tuple[str, Decimal | None, str | None, str | None]"


class Polled(Struct):
    """The number of the portal's events in Kafka, each counted once, and the errors in them."""

    calls: int = 0
    crm: int = 0
    wrong: list[str] = []

    def counts(self) -> dict[str, int]:
        """Return the number of events in Kafka, for the report."""
        return {"calls_stored": self.calls, "crm_stored": self.crm}


async def polled(settings: Settings, portal: DemoPortal, scrape: Scrape) -> Polled:
    """Read Kafka, and compare: each call and each change of a deal once, and the calls of each manager counted."""
    calls, crm = [await _stored(settings, topic) for topic in (topics.CALLS, topics.CRM)]
    wrong = differences(calls, crm, portal.taken, settings.results.stages)
    ours = portal.managers
    legs: Counter[tuple[str, str]] = Counter(
        (leg.manager, leg.direction) for leg in _ended(portal.taken) if leg.manager in ours
    )
    wrong += _unlike("calls in the figures", _counted(scrape, "calls", ours, "direction"), legs)
    deals = _last((one.stage, one) for one in _changes(portal.taken))
    won = Counter((manager or "", "") for stage, _, _, manager in deals.elements() if stage == WON)
    wrong += _unlike("won deals in the figures", _counted(scrape, "won_deals", ours), won)
    return Polled(calls=len(calls), crm=len(crm), wrong=wrong)


def differences(
    calls: Iterable[Event], crm: Iterable[Event], records: Iterable[Record], stages: Iterable[str]
) -> list[str]:
    """Return a line for each kind of record in which the events of the portal differ from the simulator.

    A portal has whole seconds and one queue, and counts a voicemail as an answer.
    """
    happened = list(records)
    named = {stage: stage for stage in stages}
    theirs = [(named.get(one.stage, stage_id(one.stage).casefold()), one) for one in _changes(happened)]
    found = [event for event in crm if isinstance(event, DealStageChanged)]
    legs = Counter(
        (_manager(leg), leg.direction, leg.started_at // SECOND_MS, leg.talk_ms // SECOND_MS, _disposition(leg))
        for leg in _ended(happened)
    )
    ends = Counter(
        (one.manager, one.direction, one.started_at // SECOND_MS, one.talk_ms // SECOND_MS, one.disposition)
        for one in calls
        if isinstance(one, CallEnded)
    )
    moved = Counter((one.at, one.stage) for one in found if _STATE not in one.id)
    return [
        *_unlike("calls", ends, legs),
        *_unlike("changes of deals", moved, Counter((one.at, stage) for stage, one in theirs)),
        *_unlike("deals", _now(found), _last(theirs)),
    ]


def _unlike(name: str, found: Counter[T], expected: Counter[T]) -> list[str]:
    missing, more = (expected - found).total(), (found - expected).total()
    if not (missing or more):
        return []
    return [f"{name} of the portal: {missing} of {expected.total()} are missing, {more} are too many or not the same"]


def _ended(records: Iterable[Record]) -> Iterator[Leg]:
    return (leg for leg in History.of(records).legs() if leg.ended_at)


def _manager(leg: Leg) -> str:
    return _QUEUE if leg.manager.startswith(QUEUE_PREFIX) else leg.manager


def _disposition(leg: Leg) -> Disposition:
    return "answered" if leg.disposition == "voicemail" else leg.disposition


def _last(changes: Iterable[tuple[str, DealStageChanged]]) -> Counter[Deal]:
    """Return the deals as they are after their changes. A field that a change does not name stays as it was."""
    deals: dict[str, Deal] = {}
    for stage, one in changes:
        _, amount, currency, manager = deals.get(one.deal, ("", None, None, None))
        if one.amount is not None:
            amount, currency = one.amount, one.currency
        deals[one.deal] = (stage, amount, currency, one.manager or manager)
    return Counter(deals.values())


def _now(events: Iterable[DealStageChanged]) -> Counter[Deal]:
    """Return the deals as the poll saw them last."""
    deals: dict[str, DealStageChanged] = {}
    for one in events:
        if _STATE in one.id and one.at >= (deals[one.deal].at if one.deal in deals else 0):
            deals[one.deal] = one
    return Counter((one.stage, one.amount, one.currency, one.manager) for one in deals.values())


def _counted(scrape: Scrape, metric: str, managers: Container[str], label: str = "") -> Counter[tuple[str, str]]:
    """Return a metric of the managers over the window, by manager and label."""
    counted: Counter[tuple[str, str]] = Counter()
    for sample in samples(scrape.text, (metric,)):
        labels = sample.labels
        if labels.get("manager") in managers and labels.get("window") == _WINDOW:
            counted[labels["manager"], labels.get(label, "")] += int(sample.value)
    return +counted


def _changes(records: Iterable[Record]) -> Iterator[DealStageChanged]:
    decoder: Decoder[Event] = Decoder(topics.CALLS.name, topics.CRM.name)
    events = (decoder.decode(record.value) for record in records)
    return (event for event in events if isinstance(event, DealStageChanged))


async def _stored(settings: Settings, topic: Topic) -> list[Event]:
    """Return the events of the portal in a topic, each once."""
    decoder: Decoder[Event] = Decoder(topic.name)
    found: dict[str, Event] = {}
    async for record in records_to_end(settings.kafka, full_name(settings.kafka, topic)):
        if record.value is None or _MARK not in record.value:
            continue
        event = decoder.decode(record.value)
        if isinstance(event, Event) and event.source == SOURCE:
            found.setdefault(event.id, event)
    return list(found.values())

"""Calls and CRM events for tests of leads, and the invariants of the tables after any faults."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from aiokafka import AIOKafkaProducer
from faust.types import TP

from streams.calendars import local_time
from streams.contract import events, topics
from streams.contract.events import CallEvent, CrmEvent, Event, NextStep
from streams.contract.facts import RESERVED, deal_id
from streams.settings.settings import Settings
from streams.tables.lead.fold import LeadFold
from tests.broker.in_process import PARTITIONS, START_MS, Worker, call_ended, wait_until

HOUR_MS = 3_600_000


def fold_of(settings: Settings) -> LeadFold:
    """The fold that a worker with these settings uses."""
    return LeadFold(
        settings.results,
        settings.thresholds,
        settings.economics,
        lambda manager: local_time(settings.manager(manager).timezone),
    )


def annotated(number: int, lead: str, call: str, **more: Any) -> events.CallAnnotated:
    """A note of a call: a proposal was discussed and a next step agreed."""
    fields: dict[str, Any] = {
        "stages": ("presentation", "proposal"),
        "reason": "reminder",
        "next_step": NextStep(agreed=True, due_at=START_MS + 48 * HOUR_MS),
    }
    return events.CallAnnotated(
        v=1, id=f"n{number}", at=START_MS + number * 1000, source="crm", lead=lead, call=call, **{**fields, **more}
    )


def deal(number: int, lead: str, stage: str, **more: Any) -> events.DealStageChanged:
    """A change of a deal of the lead to a stage."""
    fields: dict[str, Any] = {"deal": f"deal-{lead}", "amount": Decimal("99.90"), "currency": "EUR", **more}
    at = START_MS + number * 1000
    return events.DealStageChanged(v=1, id=f"d{number}", at=at, source="crm", lead=lead, stage=stage, **fields)


def linked(number: int, lead: str, old_key: str) -> events.LeadLinked:
    """A link of `old_key` to `lead`."""
    return events.LeadLinked(
        v=1, id=f"l{number}", at=START_MS + number * 1000, source="crm", lead=lead, old_key=old_key
    )


def story(calls: int, leads: int, seed: int, *, links: float = 0.0) -> list[Event]:
    """Calls of `leads` leads, in random order with events of the CRM about them; some of the calls have old keys.

    Each old key is linked to its lead once, at a random place. Deals have old keys, too, and a tenth of their changes
    name another lead.
    """
    chance = random.Random(seed)
    made: list[Event] = []
    old: dict[str, str] = {}
    for number in range(calls):
        lead = f"lead-{number % leads}"
        key = lead
        if chance.random() < links:
            key = f"phone:{number % leads}"
            old[key] = lead
        made.append(call_ended(number, f"m{chance.randrange(12):03d}", lead=key))
        if number % 3 == 0:
            made.append(annotated(number, key, f"c{number}"))
        if number % 5 == 0:
            stage = chance.choice(["presentation", "proposal", "won", "lost"])
            named = f"lead-{(number + 1) % leads}" if chance.random() < 0.1 else key
            made.append(deal(number, named, stage, deal=f"deal-{lead}-{number % 2}"))
    made += [linked(number, lead, key) for number, (key, lead) in enumerate(sorted(old.items()))]
    chance.shuffle(made)
    return made


async def send_events(settings: Settings, some: Iterable[Event]) -> None:
    """Send events to their topics, in order, each to the partition of its key."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, linger_ms=5)
    await producer.start()
    try:
        for event in some:
            if isinstance(event, CrmEvent):
                topic, key = topics.CRM, event.lead.encode()
            else:
                assert isinstance(event, CallEvent)
                topic, key = topics.CALLS, event.manager.encode()
            partition = topics.partition_of(key, PARTITIONS)
            await producer.send(
                settings.kafka.topic_prefix + topic.name, events.encode(event), key, partition=partition
            )
        await producer.flush()
    finally:
        await producer.stop()


async def all_folded(*workers: Worker, within_s: float = 120.0) -> None:
    """Wait until all topics are read to their ends; facts between leads lead to further facts."""
    names = [workers[0].parts.name(topic) for topic in topics.TAKEN_IN]
    tps = [TP(name, number) for name in names for number in range(PARTITIONS)]
    before: Mapping[TP, int] = {}

    async def look() -> bool:
        nonlocal before
        for worker in workers:
            await worker.parts.outbox.drain()
        ends = await workers[0].parts.consumer.highwaters(*tps)
        following = {tp: at for worker in workers for tp, at in worker.app.delivery.tracker.snapshot().items()}
        done = all((following.get(tp) or 0) >= (ends[tp] or 0) for tp in tps)
        same, before = ends == before, ends
        return done and same

    def settled() -> bool:
        return watching.done() or any(worker.failures for worker in workers)

    async def watch() -> None:
        while not await look():  # noqa: ASYNC110 - there is no event of topics read to their ends
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    try:
        await wait_until(settled, "all topics are folded to their ends", within_s)
    finally:
        watching.cancel()
    for worker in workers:
        assert worker.failures == []
    await watching


def rows_of(*workers: Worker) -> dict[str, Any]:
    """The leads that the workers own, each by its key; no two may own one."""
    found: dict[str, Any] = {}
    for worker in workers:
        for key, row in worker.rows("leads"):
            assert key.decode() not in found
            if not key.decode().startswith(RESERVED):  # rows of deals are in the same table
                found[key.decode()] = row
    return found


def claimed(*workers: Worker) -> Counter[tuple[str, str, int]]:
    """Return the totals of the leads' rows, by manager, measure and day."""
    fold = fold_of(workers[0].settings)
    total: Counter[tuple[str, str, int]] = Counter()
    for row in rows_of(*workers).values():
        for what, count in fold.totals(row.state).items():
            total[what] += count
    return Counter({what: count for what, count in total.items() if count})


def told(*workers: Worker) -> Counter[tuple[str, str, int]]:
    """Return the sums in the managers' outcome rows, by manager, measure and day."""
    total: Counter[tuple[str, str, int]] = Counter()
    for worker in workers:
        for key, row in worker.rows("outcomes"):
            for measure, steps in row.state.steps.items():
                for day, count in steps.items():
                    total[key.decode(), measure, day] += count
    return Counter({what: count for what, count in total.items() if count})


def expected(some: Sequence[Event]) -> tuple[int, dict[str, int]]:
    """Return the number of all finished legs, and of those that each lead has at the end, including its old keys'."""
    leads = {event.old_key: event.lead for event in some if isinstance(event, events.LeadLinked)}
    legs = {event.call: event.lead for event in some if isinstance(event, events.CallEnded)}
    return len(legs), Counter(leads.get(lead or "", lead or "") for lead in legs.values())


def legs_by_lead(*workers: Worker) -> dict[str, int]:
    """Return the number of legs in each lead's row, without rows that have none."""
    found = {lead: len(row.state.legs) for lead, row in rows_of(*workers).items()}
    return {lead: count for lead, count in found.items() if count}


def holders(some: Sequence[Event]) -> dict[str, str]:
    """Return the holder of each deal at the end: the lead that the last change names. No two changes have one time."""
    leads = {event.old_key: event.lead for event in some if isinstance(event, events.LeadLinked)}
    changes = [event for event in some if isinstance(event, events.DealStageChanged)]
    last = {event.deal: event for event in sorted(changes, key=lambda event: event.at)}
    return {deal: leads.get(event.lead, event.lead) for deal, event in last.items()}


def assert_exact(some: Sequence[Event], *workers: Worker) -> None:
    """Assert that each leg and deal is with its lead, once, and that outcome rows are the totals of the leads' rows."""
    rows = rows_of(*workers).items()
    found = [(deal_id(deal), lead) for lead, row in rows for deal in row.state.deals]
    assert sorted(found) == sorted(holders(some).items())
    calls, by_lead = expected(some)
    assert sum(worker.calls() for worker in workers) == calls
    assert legs_by_lead(*workers) == by_lead
    mine, theirs = claimed(*workers), told(*workers)
    wrong = {what: (theirs[what], mine[what]) for what in mine | theirs if mine[what] != theirs[what]}
    assert not wrong, f"{len(wrong)} of {len(mine)} are told wrongly (told, claimed): {dict(list(wrong.items())[:20])}"
    assert mine

"""Leads on real Kafka: calls and CRM events meet in a lead's row, in any order, through crashes and rebalances."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from agents.delivery.transport import BatchConsumer
from streams.contract import events, topics
from streams.contract.events import CrmEvent
from streams.settings.settings import Settings
from tests.broker.in_process import (
    PARTITIONS,
    START_MS,
    Start,
    Worker,
    call_ended,
    settings_for,
    wait_until,
)
from tests.broker.leads_fixture import (
    all_folded,
    annotated,
    assert_exact,
    claimed,
    deal,
    linked,
    rows_of,
    send_events,
    story,
    told,
)
from tests.kafka_fixture import consume

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.timeout(180)]


async def test_calls_and_what_the_crm_says_meet_in_the_lead_and_reach_its_manager(
    start: Start, settings: Settings
) -> None:
    worker = await start(settings)
    some = [
        call_ended(1, "m001", lead="lead-1"),
        annotated(2, "lead-1", "c1"),
        deal(3, "lead-1", "won"),
        call_ended(4, "m002", lead="lead-2"),
    ]
    await send_events(settings, some)
    await all_folded(worker)
    assert_exact(some, worker)
    sums: Counter[tuple[str, str]] = Counter()
    for (manager, measure, _), count in told(worker).items():
        sums[manager, measure] += count
    for measure, count in {"won": 1, "proposed": 1, "agreed": 1, "amount:EUR": 99_900, "sum": 0}.items():
        assert sums["m001", measure] == count, measure
    assert (sums["m002", "won"], sums["m002", "sum"]) == (0, 1)
    assert worker.counted("events_applied_total", topics.CRM) == 2
    assert worker.counted("records_total", topics.CRM) == 2
    heartbeat = worker.parts.metrics.registry.get_sample_value(
        "callpulse_source_heartbeat_timestamp_seconds", {"source": "crm"}
    )
    assert heartbeat == (START_MS + 3000) / 1000


async def test_an_event_that_comes_before_its_call_counts_when_the_call_is_there(
    start: Start, settings: Settings
) -> None:
    worker = await start(settings)
    note, won, call = annotated(2, "lead-1", "c1"), deal(3, "lead-1", "won"), call_ended(1, "m001", lead="lead-1")
    await send_events(settings, [note, won])
    await all_folded(worker)
    assert told(worker) == claimed(worker) == {}
    await send_events(settings, [call])
    await all_folded(worker)
    assert_exact([note, won, call], worker)
    assert {measure for _, measure, _ in told(worker)} >= {"won", "proposed", "agreed"}


async def test_what_is_sent_twice_counts_once(start: Start, settings: Settings) -> None:
    worker = await start(settings)
    some = story(300, 40, seed=1, links=0.3)
    await send_events(settings, some)
    await send_events(settings, some)
    await all_folded(worker)
    assert_exact(some, worker)


async def test_every_lead_ends_with_its_own_calls_and_those_of_its_old_keys(start: Start, settings: Settings) -> None:
    worker = await start(settings)
    some = story(600, 60, seed=2, links=0.4)
    await send_events(settings, some)
    await all_folded(worker)
    assert_exact(some, worker)
    emptied = [row for key, row in rows_of(worker).items() if key.startswith("phone:")]
    assert len(emptied) == 60
    assert all(row.state.is_empty and row.state.linked_to for row in emptied)


async def test_a_second_link_changes_nothing_and_is_counted(start: Start, settings: Settings) -> None:
    worker = await start(settings)
    first = [call_ended(1, "m001", lead="phone:a"), linked(2, "lead-1", "phone:a")]
    await send_events(settings, first)
    await all_folded(worker)
    await send_events(settings, [linked(3, "lead-2", "phone:a"), call_ended(4, "m002", lead="phone:a")])
    await all_folded(worker)
    assert {lead: len(row.state.legs) for lead, row in rows_of(worker).items() if row.state.legs} == {"lead-1": 2}
    assert claimed(worker) == told(worker)
    assert worker.counted("links_ignored_total", topics.CONTACTS) == 1


async def test_links_in_a_circle_lose_nothing_and_end(start: Start, settings: Settings) -> None:
    worker = await start(settings)
    some = [call_ended(number, "m001", lead=f"phone:{number % 3}") for number in range(30)]
    links = [linked(number, f"phone:{(number + 1) % 3}", f"phone:{number}") for number in range(3)]
    await send_events(settings, [*some[:15], *links, *some[15:]])
    await all_folded(worker)
    assert sum(len(row.state.legs) for row in rows_of(worker).values()) == 30
    assert claimed(worker) == told(worker)


async def test_values_that_the_settings_do_not_know_are_counted(start: Start, settings: Settings) -> None:
    worker = await start(settings)
    await send_events(
        settings, [call_ended(1, "m001", lead="lead-1"), deal(2, "lead-1", "thinking"), deal(3, "lead-1", "won")]
    )
    await all_folded(worker)
    labels = {"topic": worker.parts.name(topics.CONTACTS), "field": "stage"}
    assert worker.parts.metrics.registry.get_sample_value("callpulse_folded_total", labels) == 1
    assert claimed(worker) == told(worker)


# -- bad input


GOOD = annotated(1, "lead-1", "c1")
BAD: list[tuple[bytes | None, bytes | None, str]] = [
    (b"lead-1", None, "empty"),
    (b"lead-1", b"x" * (events.MAX_BYTES + 1), "too_large"),
    (b"lead-1", b'"\xff"', "not_utf8"),
    (b"lead-1", b"not json", "not_json"),
    (b"lead-1", b"[" * 60_000, "too_deep"),
    (b"lead-1", events.encode(call_ended(1, "m001")), "unknown_type"),
    (b"lead-1", events.encode(GOOD).replace(b'"v":1', b'"v":2'), "unknown_version"),
    (b"lead-1", b'{"type":"call.annotated","v":1,"id":"a"}', "missing_field"),
    (b"lead-1", events.encode(GOOD).replace(b'"c1"', b"17"), "invalid_field"),
    (b"lead-1", events.encode(linked(1, "lead-1", "lead-1")), "invalid_field"),
    (b"lead-1", events.encode(GOOD).replace(b'"at":17', b'"at":-17'), "invalid_time"),
    (b"lead-1", events.encode(replace(GOOD, at=START_MS + 10 * 365 * 86_400_000)), "future"),
    (None, events.encode(GOOD), "no_key"),
    (b"lead-2", events.encode(GOOD), "wrong_key"),
    (b"\xff\xfe", events.encode(GOOD), "wrong_key"),
    (b"", events.encode(GOOD), "wrong_key"),
]


async def test_bad_events_of_the_crm_end_in_rejected_with_their_reason_and_the_topic_goes_on(
    start: Start, settings: Settings
) -> None:
    worker = await start(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, max_request_size=1 << 22)
    await producer.start()
    name = worker.parts.name(topics.CRM)
    for key, value, _ in BAD:
        await producer.send(name, value, key, partition=topics.partition_of(b"lead-1", PARTITIONS))
    await producer.stop()
    some = [call_ended(1, "m001", lead="lead-1"), GOOD]
    await send_events(settings, some)
    await all_folded(worker)
    assert_exact(some, worker)
    # On a thread: the worker, which runs in this event loop, may still have letters to send.
    letters = await asyncio.to_thread(
        consume, settings.kafka.bootstrap, worker.parts.name(topics.REJECTED), at_least=len(BAD)
    )
    found = Counter(
        (dict(letter.headers).get("key"), letter.value, dict(letter.headers)["reason"].decode()) for letter in letters
    )
    assert found == Counter((key, value or b"", reason) for key, value, reason in BAD)
    assert {dict(letter.headers)["topic"] for letter in letters} == {name.encode()}
    for reason, count in Counter(reason for _, _, reason in BAD).items():
        labels = {"topic": name, "reason": reason}
        assert worker.parts.metrics.registry.get_sample_value("callpulse_rejected_total", labels) == count


async def test_an_event_in_a_partition_that_is_not_its_leads_is_sent_to_the_right_one(
    start: Start, settings: Settings
) -> None:
    worker = await start(settings)
    call = call_ended(1, "m001", lead="lead-1")
    await send_events(settings, [call])
    home = topics.partition_of(b"lead-1", PARTITIONS)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
    await producer.start()
    for partition in range(PARTITIONS):
        if partition != home:
            await producer.send(worker.parts.name(topics.CRM), events.encode(GOOD), b"lead-1", partition=partition)
    await producer.stop()
    await all_folded(worker)
    assert worker.counted("rerouted_total", topics.CRM) == PARTITIONS - 1
    assert_exact([call], worker)
    assert list(rows_of(worker)) == ["lead-1"]


# -- crashes and rebalances


async def test_a_crash_between_the_hops_loses_and_doubles_nothing(start: Start, settings: Settings) -> None:
    """The first worker folds and sends, and never commits or writes a row."""
    some = story(900, 60, seed=3, links=0.4)
    await send_events(settings, some[:600])
    first = Worker(settings)

    async def no_checkpoint() -> bool:
        return True

    first.app.delivery.checkpoint = no_checkpoint
    await first.start()
    await wait_until(lambda: first.counted("records_total", topics.OUTCOMES) > 300, "facts went through both hops")
    await first.crash()
    await send_events(settings, some[600:])
    second = await start(settings)
    await all_folded(second)
    assert second.counted("duplicates_total", topics.CONTACTS) > 0
    assert_exact(some, second)


@pytest.mark.source
async def test_rows_in_the_changelog_and_not_on_the_disk_are_restored(
    start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a kill between the changelog and the disk, the disk is behind."""
    some = story(600, 50, seed=4, links=0.3)
    await send_events(settings, some[:300])
    first = await start(settings)
    await all_folded(first)
    await first.parts.state.run_checkpoint()
    with monkeypatch.context() as patch:
        patch.setattr("agents.state.rows.StoredPartition.written", lambda *_: None)
        patch.setattr(BatchConsumer, "commit_offsets", lambda *_: asyncio.sleep(0, True))
        await send_events(settings, some[300:])
        await all_folded(first)
        await first.parts.state.run_checkpoint()
        await first.crash()
    second = await start(settings)
    await all_folded(second)
    assert_exact(some, second)


async def test_links_across_partitions_go_on_through_rebalances(
    start: Start, settings: Settings, bootstrap: str, tmp_path: Path
) -> None:
    some = story(3000, 200, seed=5, links=0.5)
    first = await start(settings)
    sending = asyncio.create_task(send_events(settings, some[: len(some) // 2]))
    await wait_until(lambda: first.counted("records_total", topics.CONTACTS) > 100, "leads are being folded")
    second = await start(settings_for(bootstrap, tmp_path, group=settings.kafka.group, worker="w2"))

    def shared() -> bool:
        owned = [worker.parts.state.tables["leads"].owned for worker in (first, second)]
        return owned[0] | owned[1] == frozenset(range(PARTITIONS)) and not owned[0] & owned[1] and all(owned)

    await wait_until(shared, "the partitions are shared out")
    await sending
    sending = asyncio.create_task(send_events(settings, some[len(some) // 2 :]))
    await all_folded(first, second)
    await sending
    await all_folded(first, second)
    for worker in (first, second):
        of = {name: table.owned for name, table in worker.parts.state.tables.items()}
        assert set(of.values()) == {of["leads"]}  # the rows of a key are on one worker, in every table
        crm = {
            tp.partition for tp in worker.app.delivery.tracker.snapshot() if tp.topic == worker.parts.name(topics.CRM)
        }
        assert crm == of["leads"]
    assert_exact(some, first, second)
    await second.crash()
    await wait_until(lambda: len(first.parts.state.tables["leads"].owned) == PARTITIONS, "the first has all again")
    await all_folded(first)
    assert_exact(some, first)


async def test_what_is_told_again_after_a_crash_comes_of_the_same_order(start: Start, settings: Settings) -> None:
    """Calls and CRM events of the same leads in a race: the second worker reads the topics in another order."""
    some = story(900, 7, seed=6)
    await send_events(settings, [event for event in some if not isinstance(event, CrmEvent)])
    first = Worker(settings)

    async def no_checkpoint() -> bool:
        return True

    first.app.delivery.checkpoint = no_checkpoint
    await first.start()
    await wait_until(lambda: first.counted("records_total", topics.OUTCOMES) > 500, "calls went through both hops")
    await send_events(settings, [event for event in some if isinstance(event, CrmEvent)])
    await wait_until(lambda: first.counted("records_total", topics.CRM) > 50, "the CRM's events are on their way")
    await first.crash()
    second = await start(settings)
    await all_folded(second)
    assert_exact(some, second)

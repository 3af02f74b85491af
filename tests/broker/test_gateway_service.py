"""The shared parts of the long-running commands: the port of their state, the orderly end, and the cursors."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from agents.embedded import EmbeddedKafka
from agents.gateway import cursors
from agents.gateway.cursors import Cursors
from agents.gateway.service import Service
from agents.gateway.sink import NotStoredError, Stored
from agents.gateway.transactions import Transactions
from agents.kafka.clients import KafkaUnusableError
from streams.settings.settings import Settings
from tests.broker.gateway_process import event
from tests.broker.gateway_sender import in_topic, make_topics, settings_of
from tests.kafka_fixture import consume

pytestmark = pytest.mark.broker


@pytest.fixture
async def settings(bootstrap: str, tmp_path: Path) -> Settings:
    made = settings_of(bootstrap, tmp_path, status_port=0)
    await make_topics(made)
    return made


async def ask(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await (response.json() if "/-/" in url else response.text())


async def test_a_signal_ends_it_in_order_and_what_is_in_flight_is_stored_first(settings: Settings) -> None:
    order = []
    answers: list[asyncio.Task[list[Stored]]] = []
    async with Service(settings, "ami") as service:
        assert await ask(service.url + "/-/ready") == (200, {"ready": True, "waiting_for": []})
        assert await ask(service.url + "/-/healthy") == (200, {"healthy": True})

        async def stop_reading() -> None:
            order.append("reading")
            status, answer = await ask(service.url + "/-/ready")
            assert (status, answer["waiting_for"]) == (503, ["the process is being stopped"])
            answers.append(asyncio.create_task(service.sink.store("pbx", [event(1)])))
            await asyncio.sleep(0)

        async def stop_listening() -> None:
            order.append("listening")

        service.at_stop(stop_reading)
        service.at_stop(stop_listening)
        os.kill(os.getpid(), signal.SIGTERM)
        await service.run()
    assert order == ["listening", "reading"]
    assert await answers[0] == ["accepted"]
    assert in_topic(settings) == [1]
    with pytest.raises(NotStoredError, match="being stopped"):
        await service.sink.store("pbx", [event(2)])


async def test_the_state_is_on_a_port_of_its_own_with_the_metrics_of_the_way_in(settings: Settings) -> None:
    async with Service(settings, "ami") as service:
        await service.sink.store("pbx", [event(1), event(1)])
        status, text = await ask(service.url + "/metrics")
        assert status == 200
        for line in (
            'callpulse_source_accepted_total{source="pbx"} 1.0',
            'callpulse_source_duplicates_total{source="pbx"} 1.0',
            "callpulse_acknowledgement_seconds_count 1.0",
            "callpulse_kafka_reachable 1.0",
            "callpulse_spool_oldest_seconds 0.0",
        ):
            assert line in text.splitlines()
        service.not_ready_while(lambda: ["no connection to the PBX"])
        assert await ask(service.url + "/-/ready") == (
            503,
            {"ready": False, "waiting_for": ["no connection to the PBX"]},
        )


async def test_a_port_that_is_taken_is_said_with_the_setting_and_the_folder_is_given_up(settings: Settings) -> None:
    async with Service(settings, "one") as service:
        taken = replace(settings.gateway, status_port=int(service.url.rpartition(":")[2]))
        with pytest.raises(OSError, match=r"Set gateway\.status_port"):
            await Service(replace(settings, gateway=taken), "two").__aenter__()
        async with Service(settings, "two"):
            pass


async def test_background_work_that_breaks_ends_the_process(settings: Settings) -> None:
    failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def broken() -> None:
        raise ValueError("a defect")

    async with Service(settings, "ami", fail=failed.set_result) as service:
        service.background(broken())
        assert isinstance(await failed, ValueError)


async def test_a_cursor_is_there_after_a_restart_and_only_its_last_value_counts(settings: Settings) -> None:
    async with Cursors(settings.kafka) as held:
        assert held.get("poll:crm") is None
        for number in range(50):
            await held.put("poll:crm", b"%d" % number)
        await held.put("file:cdr", b"\x00\xff")
        assert held.get("poll:crm") == b"49"
    async with Cursors(settings.kafka) as held:
        assert (held.get("poll:crm"), held.get("file:cdr")) == (b"49", b"\x00\xff")
    records = consume(settings.kafka.bootstrap, settings.kafka.topic_prefix + "cursors")
    assert len(records) < 20  # values that came together are one record


async def test_a_cursor_behind_an_open_transaction_of_another_process_is_read(settings: Settings) -> None:
    """A reader up to the last stable offset would miss the record: the other's transaction begins before it."""
    one = replace(settings.kafka, partitions=1)
    async with Cursors(settings.kafka) as held:
        other = await Transactions.begin(one, "other")
        await other._producer.begin_transaction()
        name = settings.kafka.topic_prefix + "cursors"
        for partition in range(2):
            await (await other._producer.send(name, b"x", key=b"other", partition=partition))
        await held.put("mine", b"7")
        await held.flush()
        reading = asyncio.create_task(cursors.read(settings.kafka, [b"mine"]))
        await asyncio.sleep(1)
        assert not reading.done()
        await other._producer.abort_transaction()
        assert await reading == {b"mine": b"7"}
        await other.close()


@pytest.mark.slow
async def test_cursors_wait_for_kafka_and_readers_do_not(own_kafka: EmbeddedKafka, tmp_path: Path) -> None:
    settings = settings_of(own_kafka.bootstrap, tmp_path)
    await make_topics(settings)
    async with Cursors(settings.kafka, leave_s=60) as held:
        await held.put("a", b"1")
        await held.flush()
        await asyncio.to_thread(own_kafka.kill)
        async with asyncio.timeout(30):  # it would wait for Kafka, which is away
            await held.put("a", b"2")
        assert held.get("a") == b"2"
        with pytest.raises(KafkaUnusableError):
            await Cursors(settings.kafka).__aenter__()
        await asyncio.to_thread(own_kafka.start)
    async with Cursors(settings.kafka) as held:
        assert held.get("a") == b"2"

"""Clients of Kafka that connect at the same time."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiokafka import errors

from agents.kafka.clients import KafkaUnusableError, connected, put_into_words
from streams.settings.sections import Kafka


class Client:
    """Connects until it is made to fail, and logs the reason, as aiokafka does."""

    def __init__(self, why: str) -> None:
        self.why = why
        self.fails = asyncio.Event()

    async def start(self) -> None:
        await self.fails.wait()
        logging.getLogger("aiokafka.conn").error("no connection: %s", ConnectionRefusedError(self.why))
        raise OSError(self.why)

    async def stop(self) -> None:
        pass


async def test_the_log_of_the_client_is_as_before_whoever_of_several_connects_last(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.getLogger("aiokafka")
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.INFO, "aiokafka")
    before = (log.level, log.propagate, list(log.handlers))
    first, second = Client("first"), Client("second")

    async def fail(client: Client) -> None:
        with pytest.raises(KafkaUnusableError):
            async with connected(client, Kafka()):
                pass

    tasks = [asyncio.create_task(fail(first)), asyncio.create_task(fail(second))]
    await asyncio.sleep(0)
    for client, task in zip((first, second), tasks, strict=True):
        client.fails.set()
        await task
    assert (log.level, log.propagate, list(log.handlers)) == before
    assert caplog.text == "", "it is in the error, not in the log"
    log.warning("seen again")
    assert "seen again" in caplog.text


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (errors.TopicAuthorizationFailedError("calls"), "(TopicAuthorizationFailedError: calls)"),
        (errors.TopicAuthorizationFailedError({"crm", "calls"}), "(TopicAuthorizationFailedError: calls, crm)"),
        (errors.GroupAuthorizationFailedError("sales"), "(GroupAuthorizationFailedError: sales)"),
        (errors.TransactionalIdAuthorizationFailed("x-1"), "(TransactionalIdAuthorizationFailed: x-1)"),
        (errors.ClusterAuthorizationFailedError(), "(ClusterAuthorizationFailedError)"),
    ],
)
def test_a_right_that_is_missing_is_named_with_the_command_that_prints_it(error: Exception, named: str) -> None:
    said = put_into_words(error, Kafka(bootstrap="one:9092"))
    assert said.startswith(f"Kafka at one:9092 does not allow this client to do this {named}: ")
    assert "`callpulse topics rights` prints them" in said

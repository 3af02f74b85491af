"""TLS, certificates of clients, and passwords: the command line and a worker with a broker that requires them."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from agents.cli.common import INFRASTRUCTURE
from agents.kafka.producer import BatchProducer
from streams.contract import events, topics
from streams.settings.settings import Settings, load
from tests.agents.cli_runner import Runner
from tests.broker.in_process import Worker, call_ended, end_tasks, wait_until
from tests.broker.security import KEY_PASSWORD, PASSWORD, SECRETS, USER, WRONG_PASSWORD, SecuredKafka, secured_kafka

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

ROOT: Final = Path(__file__).parents[2]
CALLS: Final = 5
MANAGER: Final = "m001"
QUICK_S: Final = 10.0
"""Deadline of a refusal, which takes less than half a second: for a busy machine, and below a client's own (15 s)."""
REFUSED: Final = (
    r"refuses to authenticate .* check kafka\.sasl_mechanism .* kafka\.sasl_username and kafka\.sasl_password"
)
CLOSED: Final = r"closes the connection .* expects kafka\.security_protocol .*kafka\.ssl_certfile"


def sasl(mechanism: str, password: str = PASSWORD) -> dict[str, str]:
    return {"sasl_mechanism": mechanism, "sasl_username": USER, "sasl_password": password}


TRUSTED: Final = {"ssl_cafile": "ca.pem"}
CLIENT: Final = {"ssl_certfile": "client.pem", "ssl_keyfile": "client.key", "ssl_password": KEY_PASSWORD}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as kafka:
        yield kafka


@pytest.fixture
def callpulse(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runner:
    """The command line, run in a folder without settings."""
    monkeypatch.chdir(tmp_path)
    return Runner(capfd, monkeypatch)


@pytest.mark.parametrize(
    ("listener", "security"),
    [
        ("TLS", TRUSTED),
        ("TLS_CLIENT", TRUSTED | CLIENT),
        ("SASL", sasl("PLAIN")),
        ("SASL_TLS", TRUSTED | sasl("SCRAM-SHA-256")),
        ("SASL_TLS", TRUSTED | sasl("SCRAM-SHA-512")),
    ],
    ids=["TLS", "client certificate", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
)
def test_topics_are_made_a_worker_commits_and_a_figure_is_explained(
    secured: SecuredKafka,
    tmp_path: Path,
    callpulse: Runner,
    caplog: pytest.LogCaptureFixture,
    listener: str,
    security: dict[str, str],
) -> None:
    caplog.set_level(logging.INFO)
    config = secured.config(tmp_path, listener, **security)
    settings = load(config.read_text(encoding="utf-8"), {})
    made = callpulse("topics", "create", "--config", config)
    assert made.code == 0, made.err
    asyncio.run(fold_and_commit(settings))
    explained = callpulse("explain", MANAGER, "calls", "--window", "90d", "--config", config, "--json")
    assert explained.code == 0, explained.err
    assert len(explained.json["pieces"]) == CALLS
    listed = callpulse("rejected", "list", "--config", config, "--json")
    assert listed.code == 0, listed.err
    assert [letter["reason"] for letter in listed.json["letters"]] == ["not_json"]
    assert_no_secret(caplog.text, *(text for done in (made, explained, listed) for text in (done.out, done.err)))


async def fold_and_commit(settings: Settings) -> None:
    """Send a few calls and one record without an event, and let a worker fold and commit them."""
    topic = settings.kafka.topic_prefix + topics.CALLS.name
    async with BatchProducer(settings.kafka) as producer:
        for number in range(CALLS):
            at = int(time.time() * 1000) - number * 1000
            call = call_ended(number, MANAGER, at=at, started_at=at - 100_000, answered_at=at - 90_000)
            await producer.add(topic, MANAGER.encode(), events.encode(call))
        await producer.add(topic, MANAGER.encode(), b"no event")
    worker = Worker(settings)
    try:
        await worker.start()
        await wait_until(
            lambda: sum(at for tp, at in worker.committed().items() if tp.topic == topic) == CALLS + 1,
            "all is committed",
        )
        assert worker.calls() == CALLS
        assert worker.failures == []
    finally:
        await worker.crash()
        await end_tasks()


@pytest.mark.parametrize("command", [("topics", "create"), ("worker",)], ids=["topics create", "worker"])
@pytest.mark.parametrize(
    ("listener", "security", "advice"),
    [
        ("SASL", sasl("PLAIN", WRONG_PASSWORD), REFUSED),
        ("SASL_TLS", TRUSTED | sasl("SCRAM-SHA-512", WRONG_PASSWORD), REFUSED),
        ("SASL_TLS", TRUSTED | sasl("PLAIN"), REFUSED),
        ("TLS", {"ssl_cafile": "other-ca.pem"}, "a certificate that is not trusted .* check kafka.ssl_cafile"),
        ("TLS_CLIENT", TRUSTED, CLOSED),
        ("TLS_CLIENT", TRUSTED | {"ssl_certfile": "other-ca.pem", "ssl_keyfile": "other-ca.key"}, CLOSED),
        ("TLS_CLIENT", TRUSTED | CLIENT | {"ssl_password": WRONG_PASSWORD}, "Is kafka.ssl_password right"),
        ("SASL", {"security_protocol": "PLAINTEXT"}, CLOSED),
        ("SASL", TRUSTED | {"security_protocol": "SSL"}, CLOSED),
        ("TLS", {"security_protocol": "PLAINTEXT"}, CLOSED),
    ],
    ids=[
        "wrong password",
        "wrong password over TLS",
        "wrong mechanism",
        "untrusted certificate of the broker",
        "no certificate of the client",
        "untrusted certificate of the client",
        "wrong password of the key",
        "no SASL",
        "TLS instead of SASL",
        "no TLS",
    ],
)
def test_a_refusal_names_the_settings_to_check_and_no_secret(
    secured: SecuredKafka,
    tmp_path: Path,
    callpulse: Runner,
    listener: str,
    security: dict[str, str],
    advice: str,
    command: tuple[str, ...],
) -> None:
    config = secured.config(tmp_path, listener, **security)
    begun = time.monotonic()
    done = callpulse(*command, "--config", config)
    assert time.monotonic() - begun < QUICK_S
    assert done.code == INFRASTRUCTURE
    assert re.search(advice, done.err)
    assert done.err.count("\n") == 1, "no traceback"
    assert_no_secret(done.out, done.err)


def test_a_worker_process_with_a_wrong_password_logs_no_secret(secured: SecuredKafka, tmp_path: Path) -> None:
    config = secured.config(tmp_path, "SASL_TLS", **TRUSTED, **sasl("SCRAM-SHA-256", WRONG_PASSWORD))
    ended = subprocess.run(
        [sys.executable, "-m", "agents.cli", "worker", "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == INFRASTRUCTURE
    assert re.search(REFUSED, ended.stderr)
    assert_no_secret(ended.stdout, ended.stderr)


def assert_no_secret(*texts: str) -> None:
    """Assert that none of the passwords is in the output or the logs."""
    for text in texts:
        assert not [secret for secret in SECRETS if secret in text]

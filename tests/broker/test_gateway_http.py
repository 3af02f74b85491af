"""A gateway process, Kafka and a worker process: the figures count exactly the posted events."""

from __future__ import annotations

import contextlib
import gzip
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.settings.access import hashed
from tests.broker.installation import ROOT, Installation
from tests.faults.workers import unmeasured
from tests.kafka_fixture import consume, eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(280)]

TOKEN = "a-token-for-the-broker-test"  # noqa: S105 - it protects nothing
NUMBER = "+74950000101"


@contextlib.contextmanager
def gateway(
    here: Installation, config: Path, name: str, *, is_measured: bool = True
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """Run a gateway, and kill it in the end if the test has not ended it. `is_measured` is for tests that end it."""
    environment = (here.environment if is_measured else unmeasured(here.environment)) | {
        "CALLPULSE_GATEWAY__DATA_DIR": str(here.folder / "gateway"),
        "CALLPULSE_GATEWAY__HTTP_PORT": "0",
        "CALLPULSE_GATEWAY__STATUS_PORT": "0",
        "CALLPULSE_CONFIG": str(config),
    }
    with (
        (here.folder / f"{name}.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "agents.cli", "gateway", "--json", "--name", name],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            assert told, (here.folder / f"{name}.log").read_text()
            yield process, msgspec.json.decode(told)
        finally:
            process.kill()


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=data, headers=named)  # noqa: S310 - a server of this test
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def post(url: str, body: Any, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    given = {"Content_Type": "application/json", "Authorization": f"Bearer {TOKEN}"} | headers
    status, answer = ask(f"{url}/v1/events", data, **given)
    return status, msgspec.json.decode(answer)


def samples(url: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = ask(f"{url}/metrics")[1].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def calls_today(url: str) -> float:
    return sum(
        value
        for (name, labels), value in samples(url).items()
        if name == "callpulse_calls" and {("manager", "anna"), ("window", "1h")} <= labels
    )


def test_what_is_posted_is_in_the_figures(bootstrap: str, tmp_path: Path) -> None:
    here = Installation(bootstrap, tmp_path)
    config = tmp_path / "callpulse.toml"
    config.write_text(f'[sources.http.pbx]\ntokens = ["{hashed(TOKEN)}"]\n')
    assert here("topics", "create").returncode == 0
    now = time.time_ns() // 1_000_000

    def ended(number: int, **more: Any) -> dict[str, Any]:
        event: dict[str, Any] = {"v": 1, "id": f"e-{number}", "type": "call.ended", "at": now - 1000 * number}
        event |= {"source": "pbx", "call": f"c-{number}", "manager": "anna", "lead": "crm-1", "talk_ms": 9000}
        event |= {"direction": "outbound", "disposition": "answered", "started_at": now - 1000 * number - 9000}
        return event | more

    with (
        gateway(here, config, "one") as (first, one),
        gateway(here, config, "two") as (second, two),
        here.worker() as (_, worker),
    ):
        assert post(one["url"], ended(0))[0] == 202
        batch = [ended(number) for number in range(1, 40)]
        status, told = post(one["url"], [*batch, {"v": 1}, ended(99, manager=NUMBER)])
        assert (status, told["accepted"], told["rejected"]) == (202, 39, 2)
        # Repeated: compressed, as lines, and as CloudEvents; and to the other gateway.
        lines = gzip.compress(b"\n".join(map(msgspec.json.encode, batch)))
        kinds = {"Content_Type": "application/x-ndjson", "Content_Encoding": "gzip"}
        assert post(one["url"], lines, **kinds)[1]["duplicates"] == 39
        cloud = [
            {"specversion": "1.0", "id": "x", "source": "/p", "type": "callpulse.call.ended", "data": ended(number)}
            for number in range(60)
        ]
        status, told = post(two["url"], cloud, Content_Type="application/cloudevents-batch+json")
        assert (status, told["rejected"]) == (202, 0)
        assert post(two["url"], b"{", Authorization="Bearer x")[0] == 401
        eventually(lambda: calls_today(worker) == 60, within_s=90, what="60 calls of anna")
        time.sleep(1)
        assert calls_today(worker) == 60
        counted = samples(one["status"])
        source = ("source", "pbx")
        assert counted["callpulse_source_accepted_total", frozenset([source])] == 40
        assert counted["callpulse_source_duplicates_total", frozenset([source])] == 39
        for reason in ("missing_field", "invalid_field"):
            assert counted["callpulse_source_rejected_total", frozenset([source, ("reason", reason)])] == 1
        assert samples(two["url"])["callpulse_source_unauthenticated_total", frozenset([("source", "unknown")])] == 1
        at = ("--at", one["status"], "--at", two["status"])
        tried = here("sources", "test", "pbx", "--config", str(config), *at, "--seconds", "0.2", "--json")
        assert tried.returncode == 0, tried.stdout + tried.stderr
        report = msgspec.json.decode(tried.stdout)
        assert report["unmapped"] == ["anna: 100 events"]
        assert "received 141, accepted 100, duplicates 39, rejected 2" in report["facts"][0]
        assert "call.ended 100" in report["facts"][-1]
        first.send_signal(signal.SIGTERM)
        second.send_signal(signal.SIGTERM)
        assert [first.wait(30), second.wait(30)] == [0, 0]
    letters = consume(bootstrap, f"{here.environment['CALLPULSE_KAFKA__TOPIC_PREFIX']}rejected", at_least=2)
    kept = b"".join((letter.value or b"") + str(letter.headers).encode() for letter in letters)
    logs = b"".join(path.read_bytes() for path in tmp_path.glob("*.log"))
    for secret in (NUMBER, NUMBER[1:], TOKEN):
        assert secret.encode() not in kept + logs


def test_a_token_that_is_made_is_one_that_is_taken(bootstrap: str, tmp_path: Path) -> None:
    here = Installation(bootstrap, tmp_path)
    assert here("topics", "create").returncode == 0
    made = here("token", "new", "crm")
    token = made.stdout.strip()
    config = tmp_path / "callpulse.toml"
    config.write_text(made.stderr[made.stderr.index("[sources") :])
    assert here("check-config", "--config", config).returncode == 0
    with gateway(here, config, "one") as (process, url):
        headers = {"Authorization": f"Bearer {token}", "Content_Type": "application/json"}
        assert ask(f"{url['url']}/v1/events", b"[]", **headers)[0] == 202
        assert ask(f"{url['url']}/-/ready")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert token not in (tmp_path / "one.log").read_text()
    assert here("token", "new", "Not a name").returncode == 2

"""`callpulse listen esl` and `json-cdr` as processes: a FreeSWITCH on one side, Kafka on the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, Event
from tests.broker.installation import ROOT, Installation
from tests.gateway.esl_server import PASSWORD, EslServer
from tests.kafka_fixture import consume
from tests.streams.freeswitch_cases import CDR, ESL, NUMBERS, SECRET, SETTINGS, deliveries, differences

pytestmark = [pytest.mark.broker, pytest.mark.slow]

LAST_S = 1_794_915_109
"""The second in which the story ends."""
EVENTS = re.compile(rb"Content-Length: 607\n")


def moved(data: bytes, by_s: int) -> bytes:
    """The moments of the story, whole seconds later. They keep their number of digits."""

    def later(found: re.Match[bytes]) -> bytes:
        return str(int(found[1]) + by_s).encode() + found[2]

    return re.sub(rb"\b(179[49]\d{6})((?:\d{3}){0,2})\b", later, data)


@pytest.fixture
def callpulse(bootstrap: str, tmp_path: Path) -> Installation:
    made = Installation(bootstrap, tmp_path)
    made.environment["CALLPULSE_LEAD_SECRET"] = SECRET
    (tmp_path / "callpulse.toml").write_text(SETTINGS.replace(f'lead_secret = "{SECRET}"\n', ""))
    assert made("topics", "create").returncode == 0
    return made


@contextlib.asynccontextmanager
async def running(callpulse: Installation, *words: str, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command that ends by a signal."""
    folder = callpulse.folder
    environment = {
        **callpulse.environment,
        "CALLPULSE_GATEWAY__STATUS_PORT": "0",
        "CALLPULSE_GATEWAY__DATA_DIR": str(folder / "gateway"),
        **more,
    }
    with (folder / "process.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agents.cli", *words, "--json", "--config", str(folder / "callpulse.toml")),
            cwd=ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline(), (folder / "process.log").read_text()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def stored(callpulse: Installation, at_least: int) -> list[Event]:
    decode: Decoder[CallsEvent] = Decoder("calls")
    records = await asyncio.to_thread(
        consume, callpulse.bootstrap, callpulse.calls, at_least=at_least, committed_only=True, within_s=60
    )
    return [event for one in records if isinstance(event := decode.decode(one.value or b""), Event)]


async def test_the_day_over_a_killed_listener_and_from_the_folder(callpulse: Installation) -> None:
    by_s = int(time.time()) - 600 - LAST_S
    expected = json.loads(moved((ESL / "expected.json").read_bytes(), by_s))
    first, second = (moved((ESL / f"connection-{number}.bin").read_bytes(), by_s) for number in (1, 2))
    first, second = (data[EVENTS.search(data).start() :] for data in (first, second))  # type: ignore[union-attr]  # there is one
    half = first.index(b"Content-Length", len(first) // 2)
    async with EslServer() as server:
        access = {"HOST": "127.0.0.1", "PORT": str(server.port), "PASSWORD": PASSWORD}
        more = {f"CALLPULSE_SOURCES__FREESWITCH__ESL__{name}": value for name, value in access.items()}
        async with running(callpulse, "listen", "esl", **more) as process:
            await server.until(lambda: server.up, 60)
            await server.send(first[:half])
            before = await stored(callpulse, 20)
            process.kill()
        server.hang_up()
        async with running(callpulse, "listen", "esl", **more) as process:
            await server.until(lambda: server.up, 60)
            await server.send(first[half:])
            await stored(callpulse, len(before) + 20)
            server.hang_up()
            await server.until(lambda: server.up, 60)
            await server.send(second)
            await stored(callpulse, len(before) + 25)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
    heard = await stored(callpulse, len(before) + 25)
    assert [one for one in differences(heard, expected) if "A11" not in one] == []
    folder = callpulse.folder / "json_cdr"
    folder.mkdir()
    for one in deliveries("raw"):
        body = (CDR / one["file"]).read_bytes().partition(b"\r\n\r\n")[2]
        (folder / Path(one["file"]).with_suffix(".cdr.json").name).write_bytes(moved(body, by_s))
    for path in (CDR / "err-log-dir").iterdir():
        (folder / path.name).write_bytes(moved(path.read_bytes(), by_s))
    truth = json.loads(moved((CDR / "expected.json").read_bytes(), by_s))
    async with running(callpulse, "listen", "json-cdr", str(folder)) as process:
        deadline = time.monotonic() + 60
        while (wrong := differences(await stored(callpulse, len(heard)), truth)) and time.monotonic() < deadline:  # noqa: ASYNC110 - Kafka has no event for it
            await asyncio.sleep(0.5)
        assert wrong == []
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    said = (callpulse.folder / "process.log").read_text()
    assert not any(number in said for number in NUMBERS)
    assert PASSWORD not in said
    assert "Traceback" not in said

"""`callpulse listen ami` as a process: a PBX's socket on one side, Kafka and a worker on the other."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents.gateway.cursors import Cursors
from agents.gateway.follower import Follower
from agents.gateway.following import GrowingFile
from agents.gateway.live import LinkState
from agents.gateway.live_service import fill_gaps
from streams.contract.events import CallEnded, Event, encode
from streams.settings.settings import load
from streams.sources.asterisk import Asterisk
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.sources import read_until_key
from tests.agents.test_follower import Memory, cel
from tests.broker.clock import evening_zone
from tests.broker.installation import ROOT, Installation
from tests.gateway.ami_server import Account, AmiServer
from tests.kafka_fixture import consume
from tests.streams.asterisk_pbx import CUSTOMER, TRUNK, Pbx, queue_call, talking
from tests.streams.records import FOLDER, NOW_MS

pytestmark = [pytest.mark.broker, pytest.mark.slow]

SECRET = "a secret of sixteen characters"  # noqa: S105 - of the tests


@pytest.fixture
def callpulse(bootstrap: str, tmp_path: Path) -> Installation:
    made = Installation(bootstrap, tmp_path)
    assert made("topics", "create").returncode == 0
    return made


@contextlib.asynccontextmanager
async def listener(callpulse: Installation, server: AmiServer) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run the command against a PBX, and yield the process with the URL of its port."""
    prefix = "CALLPULSE_SOURCES__ASTERISK__AMI__"
    environment = {
        **callpulse.environment,
        f"{prefix}HOST": "127.0.0.1",
        f"{prefix}PORT": str(server.port),
        f"{prefix}SECRET": Account().secret,
        "CALLPULSE_GATEWAY__STATUS_PORT": "0",
        "CALLPULSE_GATEWAY__DATA_DIR": str(callpulse.folder / "gateway"),
    }
    with (callpulse.folder / "listener.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agents.cli", "listen", "ami", "--json"),
            cwd=ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        said = await process.stdout.readline()
        assert said, (callpulse.folder / "listener.log").read_text()
        yield process, orjson.loads(said)["url"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def listed(server: AmiServer) -> None:
    await server.until(lambda: server.up and server.up[-1].asked == {"CoreShowChannels", "QueueStatus"}, 60)


def replayed(pbx: Pbx) -> list[Event]:
    """Return the events that a listener without a gap makes of a session."""
    return pbx.play(Asterisk(AsteriskMapping(), SECRET.encode()))


async def stored(callpulse: Installation, at_least: int) -> list[dict[str, Any]]:
    records = await asyncio.to_thread(
        consume, callpulse.bootstrap, callpulse.calls, at_least=at_least, committed_only=True, within_s=60
    )
    return sorted((orjson.loads(record.value or b"") for record in records), key=lambda event: str(event["id"]))


def as_stored(events: list[Event]) -> list[dict[str, Any]]:
    return sorted((orjson.loads(encode(event)) for event in events), key=lambda event: str(event["id"]))


def busy(now: float) -> Pbx:
    """A morning: answered, missed and busy calls of two managers."""
    pbx = Pbx(now=now)
    for _ in range(5):
        customer, phone = talking(pbx)
        pbx.hangup(customer, phone)
        pbx.wait(5)
        out = pbx.caller("PJSIP/102", CUSTOMER, "102")
        far = pbx.ring(out, TRUNK)
        pbx.answer(out, far)
        pbx.wait(12)
        pbx.hangup(far, out)
        pbx.wait(3)
    missed = queue_call(pbx)
    pbx.hangup(missed)
    return pbx


async def test_calls_that_a_pbx_sends_are_on_the_board(callpulse: Installation) -> None:
    pbx = busy(time.time() - 900)
    callpulse.environment["CALLPULSE_TIMEZONE"] = evening_zone(time.time_ns() // 1_000_000)  # the calls are of today
    expected = replayed(pbx)
    with callpulse.worker() as (_, url):
        async with AmiServer() as server, listener(callpulse, server) as (process, own_url):
            await listed(server)
            await server.send(pbx.events)
            assert await stored(callpulse, len(expected)) == as_stored(expected)
            ended = [event for event in expected if isinstance(event, CallEnded)]
            for manager in ("101", "102"):
                mine = [event for event in ended if event.manager == manager]
                line = await eventually_line(callpulse, url, manager, len(mine))
                assert line["talk_s"] == pytest.approx(sum(event.talk_ms for event in mine) / 1000)
            text = await asyncio.to_thread(callpulse, "sources", "--at", own_url, "--json")
            (row,) = [row for row in orjson.loads(text.stdout)["sources"] if row["source"] == "asterisk"]
            assert (row["state"], row["received"], row["gaps"]) == ("connected", len(expected), 0)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
    log = (callpulse.folder / "listener.log").read_text()
    assert "Traceback" not in log
    assert CUSTOMER.lstrip("+") not in log
    assert Account().secret not in log


async def eventually_line(callpulse: Installation, url: str, manager: str, calls: int) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        standing = await asyncio.to_thread(callpulse.standing, url)
        line = next((line for line in standing["lines"] if line["manager"] == manager), {"calls": 0})
        if line["calls"] >= calls:
            assert line["calls"] == calls
            return line
        assert time.monotonic() < deadline, line
        await asyncio.sleep(0.3)


async def test_a_listener_that_is_killed_in_mid_session_goes_on_with_the_calls(callpulse: Installation) -> None:
    """During the kill one call is in conversation, one rings, and one ends while no listener runs."""
    pbx = Pbx(now=time.time() - 300)
    customer, phone = talking(pbx)
    gone_customer = pbx.caller(TRUNK, "0201234567", "+31611111111")
    gone_phone = pbx.ring(gone_customer, "PJSIP/103")
    pbx.answer(gone_customer, gone_phone)
    out = pbx.caller("PJSIP/102", CUSTOMER, "102")
    far = pbx.ring(out, TRUNK)
    before = len(pbx.events)
    async with AmiServer(clock=lambda: pbx.now) as server:
        async with listener(callpulse, server) as (process, _):
            await listed(server)
            await server.send(pbx.events)
            first = await stored(callpulse, 5)
            process.kill()
            await process.wait()
        pbx.wait(20)
        heard = pbx.events[:before]
        pbx.hangup(gone_customer, gone_phone)
        since = len(pbx.events)
        pbx.listing(customer, phone)
        pbx.listing(out, far, application="Dial")
        server.channels = [
            {name: value for name, value in event.items() if name != "Timestamp"}
            for event in pbx.events[since:]
            if event["Event"] == "CoreShowChannel"
        ]
        since = len(pbx.events)
        pbx.answer(out, far)
        pbx.wait(30)
        pbx.hangup(far, out)
        pbx.hangup(customer, phone)
        async with listener(callpulse, server) as (process, _):
            await listed(server)
            heard += pbx.events[since:]
            await server.send(pbx.events[since:])
            found = await stored(callpulse, 9)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
    assert len({event["id"] for event in found}) == len(found)
    assert [event for event in found if event in first] == first
    whole = Asterisk(AsteriskMapping(), SECRET.encode())
    expected = as_stored([made for event in heard for made in whole.feed(event, 0)])
    of_103 = [event for event in found if event["manager"] == "103"]
    others = [event for event in found if event["manager"] != "103"]
    # Ends of calls that lasted over the restart are uncertain: a source with records of all of it may correct them.
    assert sorted(event["manager"] for event in others if event.pop("uncertain", False)) == ["101", "102"]
    for event in others:
        event["id"] = event["id"].replace(":uncertain:", ":ended:")
    others.sort(key=lambda event: str(event["id"]))
    assert others == [event for event in expected if event["manager"] != "103"]
    assert [event.get("ended_by") for event in of_103 if event["type"] == "call.ended"] == ["timeout"]


async def test_a_gap_is_filled_once_cel_is_read_beyond_its_end(callpulse: Installation, tmp_path: Path) -> None:
    """The follower keeps in Kafka how far it has read, and the listener reads that."""
    settings = load("", callpulse.environment)
    rows = (FOLDER / "cel" / "cel-custom" / "Master.csv").read_bytes().splitlines(keepends=True)
    half = int(float(rows[len(rows) // 2].split(b'"')[3]) * 1000)
    path, state, source = tmp_path / "Master.csv", LinkState(unfilled=[half - 1, NOW_MS]), cel()
    path.write_bytes(b"".join(rows[: len(rows) // 2 + 1]))
    filling = asyncio.create_task(fill_gaps(settings, state, read_until_key("asterisk"), 0.05))
    try:
        async with Cursors(settings.kafka) as cursors:
            clock = [NOW_MS / 1000]
            following = Follower(GrowingFile(path), source, Memory(), cursors, key="file", clock=lambda: clock[0])
            following.read_until = source.read_until("asterisk")
            assert await following.step()
            async with asyncio.timeout(20):
                while not state.gaps_filled:  # noqa: ASYNC110 - the change has no event
                    await asyncio.sleep(0.05)
            assert (state.gaps_filled, state.unfilled) == (1, [NOW_MS])
            for _ in range(3):  # no further lines: everything until now is read
                clock[0] += 60
                assert not await following.step()
            async with asyncio.timeout(20):
                while state.unfilled:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.05)
            assert state.gaps_filled == 2
            following.growing.close()
    finally:
        filling.cancel()


async def test_a_wrong_secret_is_said_and_the_process_goes_on(callpulse: Installation) -> None:
    async with (
        AmiServer(accounts=[Account(secret="another")]) as server,  # noqa: S106 - of the tests
        listener(callpulse, server) as (process, url),
    ):
        await server.until(lambda: server.refused == 1, 60)
        await asyncio.sleep(1)
        assert server.refused == 1
        assert process.returncode is None
        done = await asyncio.to_thread(callpulse, "sources", "--at", url, "--json")
        (row,) = orjson.loads(done.stdout)["sources"]
        assert row["state"] == "not connected"
    assert "the username or the secret is wrong" in (callpulse.folder / "listener.log").read_text()

"""The link to a FreeSWITCH: logins, refusals, silence, gaps, and its test."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agents.gateway.esl import EslSource
from agents.gateway.live import LiveListener
from agents.gateway.source_report import Report
from agents.gateway.source_tests import TESTS
from streams.contract.events import CallEnded
from streams.settings.settings import Settings, load
from streams.sources.freeswitch.session import EslSession
from streams.sources.registry import SOURCES
from tests.gateway.esl_server import PASSWORD, EslServer
from tests.gateway.fake_sink import FakeSink
from tests.streams.freeswitch_cases import ESL, NUMBERS, SECRET, SETTINGS, decoded, differences, legs

EXPECTED = decoded(ESL / "expected.json")
SIZES = decoded(ESL / "chunks.json")["connection-1.bin"]
QUICK: dict[str, Any] = {"connect_timeout": "400ms", "ping_interval": "100ms", "ping_deadline": "3s"}
"""Pings soon follow each other. An answer has more time than a busy machine stands still."""
LOGIN = b"Content-Length: "


def stream(number: int) -> bytes:
    """The events of a connection of the story, without its login."""
    data = (ESL / f"connection-{number}.bin").read_bytes()
    return data[data.index(LOGIN + b"607") :]


def placed(server: EslServer, **access: Any) -> Settings:
    values = {"host": "127.0.0.1", "port": server.port, "password": PASSWORD, **access}
    environ = {f"CALLPULSE_SOURCES__FREESWITCH__ESL__{name.upper()}": str(value) for name, value in values.items()}
    return load(SETTINGS, environ, SOURCES)


@contextlib.asynccontextmanager
async def listening(server: EslServer, sink: FakeSink, **access: Any) -> AsyncIterator[LiveListener[EslSession]]:
    """Run a listener; at the end, stop it and check that everything was stored."""
    listener = LiveListener(EslSource(placed(server, **access)), sink, refused_delay_s=0.2)
    stop = asyncio.Event()
    running = asyncio.create_task(listener.run(stop))
    try:
        yield listener
        stop.set()
        assert await running == 0
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.gateway.live.FIRST_DELAY_S", 0.01)


async def test_the_story_over_a_lost_connection(caplog: pytest.LogCaptureFixture) -> None:
    """The second connection begins in the middle of a message of the first one."""
    first = stream(1)
    async with EslServer(sizes=SIZES) as server, listening(server, sink := FakeSink()) as listener:
        await server.until(lambda: listener.state.listed)
        assert listener.why_not_ready() == []
        await server.send(first + first[:700])
        server.hang_up()
        await server.until(lambda: listener.state.gaps == 1 and listener.state.listed)
        assert listener.state.gap_ms >= 0
        await server.send(stream(2))
        await server.until(lambda: any(isinstance(e, CallEnded) and e.call.startswith("1bd3") for e in sink.events))
    assert differences(sink.events, EXPECTED) == []
    assert sink.refused == []
    (lost,) = (leg for (_, manager), leg in legs(sink.events).items() if leg["ended_by"] == "timeout")
    assert lost["disposition"] == "answered"
    said = caplog.text + repr(sink.events) + repr(sink.refused)
    assert not any(number in said for number in NUMBERS)
    assert PASSWORD not in said


async def test_a_wrong_password_is_tried_again_slowly() -> None:
    server = EslServer(password="another")  # noqa: S106 - of the test
    async with server, listening(server, FakeSink()) as listener:
        await server.until(lambda: listener.state.failures)
        began_s = time.monotonic()
        assert "the PBX refuses the password" in listener.why_not_ready()[0]
        await server.until(lambda: len(server.heard) > 1)
        assert time.monotonic() - began_s > 0.1
        server.password = PASSWORD
        await server.until(lambda: listener.state.listed)
        assert listener.state.gaps == 0


async def test_an_address_that_is_kept_out() -> None:
    async with EslServer(rude=True) as server, listening(server, FakeSink()) as listener:
        await server.until(lambda: listener.state.failures)
        assert "apply-inbound-acl" in listener.why_not_ready()[0]


@pytest.mark.parametrize("stalls", ["before the login", "later"])
async def test_a_silent_link_is_made_anew(stalls: str) -> None:
    server = EslServer(stalled=stalls == "before the login")
    async with server, listening(server, FakeSink(), **QUICK) as listener:
        if stalls == "later":
            await server.until(lambda: listener.state.listed)
            server.stalled = True
        await server.until(lambda: listener.state.failures)
        word = "no answer to a ping" if stalls == "later" else "the login was not answered"
        assert word in listener.state.trouble
        server.stalled = False
        await server.until(lambda: listener.state.listed)
        assert listener.state.gaps == (stalls == "later")


async def test_framing_that_is_lost_costs_the_connection_and_not_what_was_heard() -> None:
    async with EslServer() as server, listening(server, sink := FakeSink()) as listener:
        await server.until(lambda: listener.state.listed)
        await server.send(stream(1) + b"Content-Length: many\n\n")
        await server.until(lambda: listener.state.gaps == 1 and listener.state.listed)
        assert listener.state.logins == 2
        await server.send(stream(2))
        await server.until(lambda: any(isinstance(e, CallEnded) and e.call.startswith("1bd3") for e in sink.events))
    assert differences(sink.events, EXPECTED) == []


async def test_without_a_list_of_channels_open_calls_end_at_a_gap() -> None:
    async with EslServer(lists=False) as server, listening(server, sink := FakeSink()) as listener:
        await server.until(lambda: listener.state.listed)
        await server.send(stream(1))
        await server.until(lambda: any(isinstance(e, CallEnded) and e.call.startswith("27de") for e in sink.events))
        server.hang_up()
        await server.until(lambda: listener.state.gaps == 1 and listener.state.listed)
        assert listener.state.denied == {"show channels"}


async def test_a_kafka_that_is_away_costs_nothing() -> None:
    sink = FakeSink()
    sink.closed = True
    async with EslServer() as server, listening(server, sink) as listener:
        await server.until(lambda: listener.state.listed)
        await server.send(stream(1))
        await server.until(lambda: len(listener.queue) > 40)
        server.hang_up()
        await server.until(lambda: listener.state.gaps == 1 and listener.state.listed)
        await server.send(stream(2))
        sink.closed = False
        await server.until(lambda: any(isinstance(e, CallEnded) and e.call.startswith("1bd3") for e in sink.events))
    assert differences(sink.events, EXPECTED) == []


async def report_of(server: EslServer, data: bytes = b"", **access: Any) -> Report:
    """Test a server that sends bytes while it is listened to."""

    async def send() -> None:
        await server.until(lambda: server.up)
        await server.send(data)

    async with server:
        sending = asyncio.create_task(send())
        report = await TESTS["freeswitch"](placed(server, **access), "", 0.3, SECRET.encode())
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        return report


async def test_the_test_of_a_good_pbx_has_no_problem() -> None:
    stranger = stream(2).replace(b"internal/203", b"internal/277")
    report = await report_of(EslServer(), stream(1) + stranger)
    assert report.problems == []
    assert (report.heard > report.events > 40, abs(report.clock_ahead_ms or 0) < 60_000) == (True, True)
    assert [one.split()[0] for one in report.unmapped] == ["277"]
    assert not any(number in repr(report) for number in NUMBERS)


@pytest.mark.parametrize(
    ("server", "access", "word"),
    [
        (EslServer(password="another"), {}, "the PBX refuses the password"),  # noqa: S106 - of the test
        (EslServer(rude=True), {}, "apply-inbound-acl"),
        (EslServer(lists=False), {}, "the PBX gives no list of channels"),
        (EslServer(ahead_ms=90_000), {}, "the PBX's clock is +90"),
        (EslServer(stalled=True), QUICK, "the login was not answered within"),
    ],
    ids=["password", "address", "list", "clock", "silence"],
)
async def test_the_test_says_what_to_change(server: EslServer, access: dict[str, Any], word: str) -> None:
    (problem,) = (await report_of(server, **access)).problems
    assert word in problem
    assert PASSWORD not in problem


async def test_nobody_listens_there() -> None:
    server = EslServer()
    async with server:
        pass
    report = await TESTS["freeswitch"](placed(server), "", 0.1, SECRET.encode())
    assert "cannot be reached" in report.problems[0]

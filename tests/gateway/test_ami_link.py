"""The link to a PBX: logins, refusals, rights, silence, gaps and a Kafka that is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from agents.gateway.ami import AmiSource
from agents.gateway.live import LONGEST_DELAY_S, LiveListener
from agents.gateway.sink import Stored
from streams.contract.events import CallEnded, CallStarted, Event
from streams.settings.settings import Secret
from streams.sources.asterisk.session import AmiSession
from tests.gateway.ami_listening import SECRET, at_once, listening, mapping
from tests.gateway.ami_server import Account, AmiServer, rendered
from tests.gateway.fake_sink import FakeSink
from tests.streams.asterisk_pbx import Pbx, talking

QUICK: dict[str, Any] = {"connect_timeout_ms": 400, "ping_interval_ms": 100, "ping_deadline_ms": 3000}
"""Pings soon follow each other. An answer has more time than a busy machine stands still."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)


def call() -> Pbx:
    """An inbound call of which 30 seconds were talked."""
    pbx = Pbx(now=1_790_000_000.0)
    customer, phone = talking(pbx)
    pbx.hangup(customer, phone)
    return pbx


@pytest.mark.parametrize("login", ["md5", "plain"])
async def test_it_logs_in_asks_for_the_lists_and_hears(login: str) -> None:
    async with AmiServer() as server, listening(server, sink := FakeSink(), login=login) as listener:
        await server.until(lambda: listener.state.listed)
        (session,) = server.up
        assert session.asked == {"CoreShowChannels", "QueueStatus"}
        assert [action["Action"] for action in session.heard if action["Action"] in ("Challenge", "Login")] == (
            ["Challenge", "Login"] if login == "md5" else ["Login"]
        )
        assert any("Secret" in action for action in session.heard) is (login == "plain")
        assert session.mask == {"call", "agent", "dialplan", "system"}
        await server.send(call().events)
        await server.until(lambda: any(isinstance(event, CallEnded) for event in sink.events))
        assert listener.state.version == "22.10.1"


async def test_events_that_no_figure_needs_are_not_read() -> None:
    async with AmiServer() as server, listening(server, FakeSink()) as listener:
        await server.until(lambda: listener.state.listed)
        before = listener.state.heard
        await server.send([{"Event": "VarSet", "Privilege": "dialplan,all", "Variable": "X", "Value": "1"}] * 50)
        await server.send([{"Event": "Hangup", "Privilege": "call,all", "Uniqueid": "1.1"}])
        await server.until(lambda: listener.state.heard > before)
        assert listener.state.heard == before + 1


@pytest.mark.parametrize(
    ("server", "settings", "words"),
    [
        (AmiServer(), {"secret": Secret("another one")}, "the username or the secret is wrong"),
        (AmiServer(), {"username": "nobody"}, "deny and permit"),
        (AmiServer(), {"secret": Secret("another one"), "login": "plain"}, "the username or the secret is wrong"),
        (AmiServer(has_challenge=False), {}, 'login = "plain"'),
        (AmiServer(interface="1.3"), {}, "Asterisk 11 or older"),
        (AmiServer(greeting=b"HTTP/1.1 400 Bad Request\r\n"), {}, "no manager interface"),
        (AmiServer(greeting=b"SSH-2.0-OpenSSH_9.2\r\n"), {}, "no manager interface"),
    ],
)
async def test_a_pbx_that_cannot_be_used_says_what_to_do_and_is_not_hammered(
    server: AmiServer, settings: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with server, listening(server, FakeSink(), **settings) as listener:
        await server.until(lambda: listener.state.trouble)
        assert words in listener.state.trouble
        assert not listener.state.connected
    assert "another one" not in caplog.text
    assert Account().secret not in caplog.text


async def test_a_wrong_secret_is_tried_again_only_after_the_long_delay() -> None:
    async with AmiServer() as server, listening(server, FakeSink(), secret=Secret("wrong")) as listener:
        await server.until(lambda: server.refused >= 2)
        began = time.monotonic()
        await server.until(lambda: server.refused >= 4)
        assert time.monotonic() - began >= 0.3  # two delays of 0.2 s, instead of 0.01 s after other errors
        assert listener.state.gaps == 0


async def test_an_account_in_use_says_so() -> None:
    async with (
        AmiServer(multiple_login=False) as server,
        listening(server, FakeSink()) as first,
    ):
        await server.until(lambda: first.state.listed)
        async with listening(server, FakeSink()) as second:
            await server.until(lambda: second.state.trouble)
            assert "allowmultiplelogin" in second.state.trouble


async def test_an_account_without_reporting_goes_on_without_lists(caplog: pytest.LogCaptureFixture) -> None:
    account = Account(write=frozenset())
    pbx = Pbx(now=1_790_000_000.0)
    talking(pbx)
    async with AmiServer(accounts=[account]) as server, listening(server, sink := FakeSink()) as listener:
        await server.until(lambda: listener.state.denied)
        assert "write = reporting" in caplog.text
        await server.send(pbx.events)
        await server.until(lambda: len(sink.events) == 2)
        server.hang_up(server.up[0])
        # Whether the call goes on is not known: its leg ends as uncertain, and a real end would replace that.
        await server.until(lambda: len(sink.events) == 3)
        assert isinstance(sink.events[-1], CallEnded)
        assert sink.events[-1].ended_by == "timeout"


async def test_the_clock_of_the_pbx_dates_what_has_no_timestamp() -> None:
    pbx = Pbx(timestamps=False)
    customer, phone = talking(pbx)
    pbx.hangup(customer, phone)
    async with (
        AmiServer(clock=lambda: time.time() + 3600) as server,
        listening(server, sink := FakeSink()) as listener,
    ):
        await server.until(lambda: listener.state.clock_ahead_ms is not None)
        assert abs((listener.state.clock_ahead_ms or 0) - 3_600_000) < 60_000
        await server.send(pbx.events)
        await server.until(lambda: sink.events)
        assert abs(sink.events[0].at - (time.time() + 3600) * 1000) < 60_000


async def test_a_link_without_an_answer_to_a_ping_is_given_up() -> None:
    async with AmiServer() as server, listening(server, FakeSink(), **QUICK) as listener:
        await server.until(lambda: listener.state.listed)
        await server.until(lambda: [one["Action"] for one in server.up[0].heard].count("Ping") > 3)
        assert listener.state.gaps == 0  # pings that are answered keep it
        server.stalled = True
        await server.until(lambda: listener.state.gaps == 1)
        assert "ping" in listener.state.trouble
        server.stalled = False
        await server.until(lambda: listener.state.connected)
        assert listener.state.gap_ms > 100


async def test_a_login_that_is_never_answered_is_given_up() -> None:
    async with AmiServer(stalled=True) as server, listening(server, FakeSink(), **QUICK) as listener:
        await server.until(lambda: "login was not answered" in listener.state.trouble)


async def test_a_port_where_nobody_listens_says_so() -> None:
    async with AmiServer() as server:
        await server.kill()
        async with listening(server, FakeSink()) as listener:
            await server.until(lambda: "cannot be reached" in listener.state.trouble)
            await server.start()
            await server.until(lambda: listener.state.connected)


async def test_a_pbx_that_is_killed_and_comes_back_ends_what_was_open() -> None:
    pbx = Pbx(now=1_790_000_000.0)
    talking(pbx)
    async with AmiServer() as server, listening(server, sink := FakeSink()) as listener:
        await server.until(lambda: listener.state.listed)
        await server.send(pbx.events)
        await server.until(lambda: len(sink.events) == 2)
        await server.kill()
        await server.until(lambda: not listener.state.connected)
        await server.start()
        await server.until(lambda: len(sink.events) == 3)
        assert isinstance(sink.events[-1], CallEnded)
        assert (sink.events[-1].ended_by, listener.state.gaps, listener.state.logins) == ("timeout", 1, 2)


async def test_a_call_that_goes_on_over_a_gap_is_one_leg_with_all_its_talk() -> None:
    pbx = Pbx(now=1_790_000_000.0)
    customer, phone = talking(pbx)
    async with AmiServer() as server, listening(server, sink := FakeSink()) as listener:
        await server.until(lambda: listener.state.listed)
        await server.send(pbx.events)
        await server.until(lambda: len(sink.events) == 2)
        before = len(pbx.events)
        pbx.wait(60)
        pbx.listing(customer, phone)
        server.channels = [event for event in pbx.events[before:] if event["Event"] == "CoreShowChannel"]
        server.cut({"Event": "Newstate", "Uniqueid": phone.uid}, 21)
        await server.until(lambda: listener.state.logins == 2 and listener.state.listed)
        before = len(pbx.events)
        pbx.wait(10)
        pbx.hangup(customer, phone)
        await server.send(pbx.events[before:])
        await server.until(lambda: len(sink.events) == 3)
        assert isinstance(sink.events[-1], CallEnded)
        assert (sink.events[-1].ended_by, sink.events[-1].talk_ms) == ("hangup", 100_000)
        assert sink.events[-1].uncertain is True
        (ended_ms,) = listener.state.unfilled
        assert (listener.state.fill(ended_ms - 1), listener.state.gaps_filled) == (0, 0)
        assert (listener.state.fill(ended_ms), listener.state.gaps_filled, listener.state.unfilled) == (1, 1, [])


async def test_a_list_that_was_cut_off_is_no_list() -> None:
    """Its entries must not count as those of the next one: a channel may have ended in between."""
    pbx = Pbx(now=1_790_000_000.0)
    customer, phone = talking(pbx)
    async with AmiServer() as server, listening(server, sink := FakeSink()) as listener:
        await server.until(lambda: listener.state.listed)
        await server.send(pbx.events)
        await server.until(lambda: len(sink.events) == 2)
        before = len(pbx.events)
        pbx.listing(customer, phone)
        await server.send([event for event in pbx.events[before:] if event["Event"] == "CoreShowChannel"])
        server.channels = []
        server.hang_up(server.up[0])
        await server.until(lambda: len(sink.events) == 3)
        assert isinstance(sink.events[-1], CallEnded)


async def test_a_pbx_that_boots_is_asked_again_once_it_is_up() -> None:
    account = Account(read=frozenset(("call", "agent", "dialplan", "system")))
    async with AmiServer(accounts=[account], booting=True) as server, listening(server, FakeSink()) as listener:
        await server.until(lambda: server.up and server.up[0].asked == {"CoreShowChannels"})
        server.booting = False
        await server.send([{"Event": "FullyBooted", "Privilege": "system,all"}])
        await server.until(lambda: server.up[0].asked == {"CoreShowChannels", "QueueStatus"})
        assert not listener.state.denied


async def test_a_pbx_that_boots_is_asked_again_by_an_account_that_is_not_told_of_the_end() -> None:
    async with AmiServer(booting=True) as server, listening(server, FakeSink(), **QUICK) as listener:
        await server.until(lambda: server.up and server.up[0].asked == {"CoreShowChannels"})
        server.booting = False
        await server.until(lambda: server.up[0].asked == {"CoreShowChannels", "QueueStatus"})
        assert listener.state.gaps == 0


async def test_a_pbx_without_queues_is_not_asked_for_ever() -> None:
    async with AmiServer(booting=True) as server, listening(server, FakeSink(), **QUICK) as listener:
        await server.until(lambda: [one["Action"] for one in server.up[0].heard].count("Ping") > 10 if server.up else 0)
        assert [one["Action"] for one in server.up[0].heard].count("QueueStatus") == 7
        assert listener.state.listed


async def test_while_kafka_is_away_the_pbx_is_read_and_a_full_queue_closes_the_link() -> None:
    sink = FakeSink()
    sink.closed = True
    async with AmiServer() as server, listening(server, sink, queue_events=100) as listener:
        await server.until(lambda: listener.state.listed)
        sent = 0
        while listener.state.connected:
            pbx = Pbx(now=1_790_000_000.0 + 1000 * sent)
            customer, phone = talking(pbx)
            pbx.hangup(customer, phone)
            await server.send(pbx.events)
            sent += 1
            await asyncio.sleep(0.002)
        assert len(listener.queue) >= 100
        assert "Kafka" in listener.queue.trouble
        await asyncio.sleep(0.2)
        assert listener.state.logins == 1  # it does not come back while the queue is full
        sink.closed = False
        await server.until(lambda: listener.state.logins == 2 and listener.state.listed)
        await server.until(lambda: len(sink.events) == listener.state.translated)
        assert len({event.id for event in sink.events}) == len(sink.events) >= 100
        assert listener.state.gaps == 1


async def test_a_burst_is_read_while_kafka_is_away_and_the_pbx_drops_nobody() -> None:
    """Asterisk disconnects a client that is 3 MB behind. Here are eight, most of which no figure needs."""
    sink = FakeSink()
    sink.closed = True
    event = {"Event": "VarSet", "Privilege": "dialplan,all", "Variable": "X", "Value": "x" * 900}
    newstate = {"Event": "Newstate", "Channel": "PJSIP/101-1", "Uniqueid": "1.1", "ChannelState": "6"}
    burst = rendered(event) * 50 + rendered(newstate) * 30
    async with AmiServer() as server, listening(server, sink) as listener:
        await server.until(lambda: listener.state.listed)
        before = listener.state.heard
        for _ in range(160):
            server.send_now(burst)
            await asyncio.sleep(0)
        await server.until(lambda: listener.state.heard == before + 160 * 30)
        assert (server.dropped, listener.state.gaps) == (0, 0)
        sink.closed = False


async def test_stopping_waits_for_what_was_heard() -> None:
    sink = FakeSink()
    sink.closed = True
    async with AmiServer() as server, listening(server, sink) as listener:
        await server.until(lambda: listener.state.listed)
        await server.send(call().events)
        await server.until(lambda: listener.state.translated == 3)
        asyncio.get_running_loop().call_later(0.2, lambda: setattr(sink, "closed", False))
    assert [type(event).__name__ for event in sink.events] == ["CallStarted", "CallAnswered", "CallEnded"]


async def test_a_defect_of_the_sink_ends_the_listener() -> None:
    class Broken(FakeSink):
        async def store(self, source: str, events: Sequence[Event]) -> list[Stored]:
            raise ZeroDivisionError(source, len(events))

    async with AmiServer() as server:
        listener = LiveListener(AmiSource(mapping(server), SECRET), Broken())
        running = asyncio.create_task(listener.run(asyncio.Event()))
        await server.until(lambda: listener.state.listed)
        await server.send(call().events)
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(running, 5)


@pytest.mark.slow
async def test_a_quiet_time_after_a_ringing_telephone_still_ends_its_leg() -> None:
    """The telephone stopped at a time limit, the caller still waits, and no further events are sent."""
    pbx = Pbx(now=time.time())
    customer = pbx.caller("PJSIP/provider-trunk", "0201234567", "+31612345678")
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.end_dial(customer, phone, "CANCEL")
    pbx.hangup(phone)
    async with AmiServer() as server, listening(server, sink := FakeSink()) as listener:
        await server.until(lambda: listener.state.listed)
        await server.send(pbx.events)
        await server.until(lambda: any(isinstance(event, CallEnded) for event in sink.events), 15)
        ended = sink.events[-1]
        assert isinstance(ended, CallEnded)
        assert ended.disposition == "no_answer"


def test_delays_have_jitter_and_never_grow_beyond_the_longest() -> None:
    async def listener() -> LiveListener[AmiSession]:
        return LiveListener(AmiSource(mapping(AmiServer(port=1)), SECRET), FakeSink(), chance=Random(7))

    made = asyncio.run(listener())
    delays = [[made._delay(attempt) for attempt in range(60)] for _ in range(20)]
    assert max(map(max, delays)) <= LONGEST_DELAY_S
    assert len({round(row[30], 3) for row in delays}) > 10
    assert min(row[59] for row in delays) >= LONGEST_DELAY_S / 2


async def test_the_log_holds_no_number_of_a_customer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with AmiServer() as server, listening(server, sink := FakeSink()) as listener:
        await server.until(lambda: listener.state.listed)
        await server.send(call().events)
        await server.until(lambda: any(isinstance(event, CallStarted) for event in sink.events))
        server.cut({"Event": "Newstate", "CallerIDNum": "+31612345678"}, 40)
        await server.until(lambda: listener.state.logins == 2)
    assert "31612345678" not in caplog.text

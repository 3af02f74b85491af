"""`callpulse sources test asterisk`: its reports about accounts, by the recorded events of a real Asterisk."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from agents.gateway import ami_test
from agents.gateway.source_report import Report
from agents.gateway.source_tests import TESTS
from streams.settings.settings import Settings, load
from streams.sources.asterisk import read_recording
from streams.sources.registry import SOURCES
from tests.gateway.ami_listening import FIXTURES
from tests.gateway.ami_server import Account, Ami, AmiServer
from tests.streams.asterisk_pbx import CUSTOMER, Pbx, talking

pytestmark = pytest.mark.slow

SECRET = b"a secret of the tests, long enough"
ALL = frozenset(("call", "agent", "dialplan"))


def settings(server: AmiServer, **access: Any) -> Settings:
    values = {"host": "127.0.0.1", "port": server.port, "secret": Account().secret, **access}
    environ = {f"CALLPULSE_SOURCES__ASTERISK__AMI__{name.upper()}": str(value) for name, value in values.items()}
    return load('[[managers]]\nid = "101"\n', environ, SOURCES)


def recorded(name: str) -> list[Ami]:
    read = read_recording((FIXTURES / "live" / name).read_bytes())
    return [event for event in read if isinstance(event, dict) and "Event" in event]


async def report_of(server: AmiServer, events: list[Ami], *, processed: int = 0, **access: Any) -> Report:
    """Test a server that sends `events` while it is listened to."""

    async def send() -> None:
        await server.until(lambda: server.up)
        server.processed_calls = processed
        await server.send(events)

    async with server:
        sending = asyncio.create_task(send())
        report = await TESTS["asterisk"](settings(server, **access), "", 0.6, SECRET)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        return report


def text(report: Report) -> str:
    return "\n".join(report.lines(int(time.time() * 1000)))


async def test_a_good_account_has_no_problem() -> None:
    pbx = Pbx(now=time.time() - 60)
    customer, phone = talking(pbx)
    pbx.emit("Newexten", customer.fields(), Application="Dial", AppData="PJSIP/101")
    pbx.hangup(customer, phone)
    report = await report_of(AmiServer(), pbx.events, processed=1)
    assert report.problems == []
    assert report.events == 3
    assert report.heard >= report.understood > 10
    assert "Asterisk 22.10.1" in text(report)
    assert report.last_at_ms is not None
    assert abs(report.clock_ahead_ms or 0) < 60_000


async def test_who_is_not_on_the_roster_is_named_without_a_number() -> None:
    pbx = Pbx(now=time.time() - 60)
    customer, phone = talking(pbx)
    pbx.hangup(customer, phone)
    out = pbx.caller("PJSIP/102", CUSTOMER, "102")
    pbx.hangup(out)
    report = await report_of(AmiServer(), pbx.events)
    assert [one.split()[0] for one in report.unmapped] == ["PJSIP/102"]
    assert CUSTOMER.lstrip("+") not in text(report)


@pytest.mark.parametrize(
    ("recording", "account", "processed", "words"),
    [
        ("account-docs.ami", Account(write=frozenset()), 1, ["write = reporting"]),
        ("account-nodial.ami", Account(read=ALL - {"dialplan"}), 1, ["read = dialplan"]),
        ("account-docs.ami", Account(read=ALL - {"agent"}), 1, ["read = agent"]),
        ("account-docs.ami", Account(read=frozenset(("agent",))), 5, ["read = call"]),
        ("account-docs.ami", Account(), 1, []),
        ("account-filtered.ami", Account(), 1, []),
    ],
)
async def test_a_right_that_is_missing_is_named_with_its_cost_and_the_line_to_add(
    recording: str, account: Account, processed: int, words: list[str]
) -> None:
    report = await report_of(AmiServer(accounts=[account]), recorded(recording), processed=processed)
    assert len(report.problems) == len(words), report.problems
    for problem, word in zip(report.problems, words, strict=True):
        assert f"missing {word}" in problem
        assert "It costs" in problem
        assert "manager.conf" in problem


async def test_an_account_without_timestamps_is_told_the_line() -> None:
    pbx = Pbx(timestamps=False)
    customer, phone = talking(pbx)
    pbx.emit("Newexten", customer.fields(), Application="Dial", AppData="PJSIP/101")
    pbx.hangup(customer, phone)
    report = await report_of(AmiServer(), pbx.events)
    assert [problem for problem in report.problems if "timestampevents = yes" in problem]


async def test_nothing_heard_is_no_problem_and_says_what_to_do() -> None:
    report = await report_of(AmiServer(), [])
    assert report.problems == []
    assert "make a call while the test listens" in text(report)


async def test_a_clock_that_is_wrong_is_a_problem() -> None:
    report = await report_of(AmiServer(clock=lambda: time.time() - 3600), [])
    assert any("NTP" in problem for problem in report.problems)


async def test_a_login_that_is_refused_is_the_only_thing_said() -> None:
    server = AmiServer()
    report = await report_of(server, [], secret="wrong")  # noqa: S106 - of the tests
    assert len(report.problems) == 1
    assert "the username or the secret is wrong" in report.problems[0]
    assert server.refused == 1
    assert "wrong" not in text(report).replace("the secret is wrong", "")


async def test_a_pbx_that_is_not_there_is_said() -> None:
    async with AmiServer() as server:
        there = settings(server)
    report = await ami_test.test(there, "", 1, SECRET)
    assert "cannot be reached" in report.problems[0]


async def test_nobody_answers_in_time() -> None:
    report = await report_of(AmiServer(stalled=True), [], connect_timeout="300ms")
    assert "not answered within 0.3 s" in report.problems[0]

"""Limits of the HTTP way in: slow and flooding senders do not affect others, and the end is orderly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from agents.gateway.http_admission import Admission
from agents.gateway.http_problems import ProblemError
from agents.telemetry import connections
from agents.web.addresses import address_of, client_of
from tests.gateway.raw_http import answer_of, opened
from tests.gateway.served import OTHER_TOKEN, SETTINGS, TOKEN, Served, encoded, ended, serving

pytestmark = pytest.mark.slow

SMALL = SETTINGS + "[gateway.http]\nmax_requests = 6\n"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.01)


async def test_a_sender_that_floods_gets_429_and_no_other_is_pushed_out() -> None:
    async with serving(SMALL) as served:
        served.sink.hold.clear()
        flood = [asyncio.create_task(served.post(encoded(ended(n)))) for n in range(20)]
        await until(lambda: sum(task.done() for task in flood) == 17)
        refused = [task.result() for task in flood if task.done()]
        assert {answer.problem for answer in refused} == {"too-many-requests"}
        assert all(1 <= int(answer.headers["Retry-After"]) <= 2 for answer in refused)
        others = [asyncio.create_task(served.post(encoded(ended(n)), token=OTHER_TOKEN)) for n in range(100, 102)]
        await until(lambda: served.sink.waiting == 5)
        served.sink.hold.set()
        assert [(await task).status for task in others] == [202, 202]
        assert sorted([(await task).status for task in flood]) == [202] * 3 + [429] * 17


async def test_a_sender_that_waits_with_its_bodies_is_held_to_its_share_too() -> None:
    async with serving(SETTINGS + '[gateway.http]\nmax_requests = 4\nbody_deadline = "1s"\n') as served:
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        slow = [await opened(served.url) for _ in range(6)]
        for _, writer in slow:
            writer.write((head + "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{").encode())
        answers = [asyncio.create_task(answer_of(reader)) for reader, _ in slow]
        await until(lambda: sum(task.done() for task in answers) >= 4)
        assert (await served.post(encoded(ended()), token=OTHER_TOKEN)).status == 202
        assert sorted([(await task).status for task in answers]) == [408] * 2 + [429] * 4
        for _, writer in slow:
            writer.close()


def test_with_k_sources_each_has_the_k_plus_first_part() -> None:
    admission = Admission(12, 1 << 20)
    held = []

    def take(key: str) -> int:
        taken = 0
        while True:
            context = admission.admitted(key, 10, known=True)
            try:
                context.__enter__()
            except ProblemError:
                return taken
            held.append(context)
            taken += 1

    assert [take("a"), take("b"), take("c")] == [6, 4, 2]
    with admission.admitted("d", 10, known=True):
        assert admission.requests > 12  # a source of the settings always may have one
    with pytest.raises(ProblemError) as caught, admission.admitted("stranger", 10, known=False):
        pass
    assert caught.value.slug == "overloaded"
    for context in held:
        context.__exit__(None, None, None)
    assert (admission.requests, admission.bytes) == (0, 0)


def test_bytes_have_shares_as_well() -> None:
    admission = Admission(100, 1000)
    with admission.admitted("a", 400, known=True) as ticket:
        ticket.take(400)  # as announced
        assert admission.bytes == 400
        ticket.take(50)
        assert admission.bytes == 450
        with pytest.raises(ProblemError) as caught, admission.admitted("a", 100, known=True) as second:
            second.take(200)
        assert caught.value.slug == "too-many-requests"
        with admission.admitted("b", 300, known=True):
            assert admission.bytes == 750
        with pytest.raises(ProblemError) as full, admission.admitted("c", 10, known=True) as third:
            third.take(900)
        assert full.value.slug == "overloaded"
    assert admission.bytes == 0


def test_strangers_are_held_to_the_bytes_of_all() -> None:
    admission, refused = Admission(512, 64 << 20), []
    with ExitStack() as held:
        for number in range(512):
            try:
                held.enter_context(admission.admitted(f"address {number}", 1 << 20, known=False))
            except ProblemError as problem:
                refused.append(problem.slug)
        assert (admission.bytes, admission.requests) == (64 << 20, 64)
        with admission.admitted("a source of the settings", 1 << 20, known=True):
            pass
    assert refused == ["overloaded"] * 448
    with admission.admitted("address 1", 1 << 20, known=False):
        assert admission.requests == 1  # nothing is left of those that were refused


def test_addresses_that_one_client_may_have_are_one_stranger() -> None:
    texts = ("192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8:0:0:ffff::2", "2001:db8:0:1::1", "")
    assert [client_of(address_of(text)) for text in texts] == [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.1",
        "2001:db8::/64",
        "2001:db8::/64",
        "2001:db8:0:1::/64",
        "unknown",
    ]


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["nothing", "half a head"]
)
async def test_a_head_that_does_not_come_is_not_waited_for(sent: bytes) -> None:
    async with serving(SETTINGS + '[gateway.http]\nheader_deadline = "300ms"\n') as served:
        reader, writer = await opened(served.url)
        writer.write(sent)
        began = time.monotonic()
        assert (await answer_of(reader)).status == 0
        assert time.monotonic() - began < 5
        writer.close()
        assert (await served.post(encoded(ended()))).status == 202


async def test_connections_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LOOK_EVERY_S", 0.05)
    async with serving(SETTINGS + "[gateway.http]\nmax_connections = 5\n") as served:
        idle = [await opened(served.url) for _ in range(20)]
        closed = [asyncio.create_task(reader.read()) for reader, _ in idle]
        await until(lambda: sum(task.done() for task in closed) >= 15)
        assert (await served.post(encoded(ended()))).status == 202
        for task, (_, writer) in zip(closed, idle, strict=True):
            writer.close()
            task.cancel()


async def test_a_gateway_that_stops_finishes_what_is_in_flight() -> None:
    async with serving() as served:
        served.sink.hold.clear()
        pending = asyncio.create_task(served.post(encoded(ended(1))))
        await until(lambda: served.sink.waiting == 1)
        closing = asyncio.create_task(served.gateway.close())
        await until(lambda: served.gateway.server.is_stopping)
        await asyncio.sleep(0.1)
        assert not closing.done()
        with pytest.raises(OSError, match="Connect call failed"):
            await opened(served.url)
        served.sink.hold.set()
        answer = await pending
        assert (answer.status, answer.headers["Connection"]) == (202, "close")
        await closing


async def test_it_says_so_before_for_load_balancers(monkeypatch: pytest.MonkeyPatch) -> None:
    over, slept = asyncio.Event(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await over.wait()

    # The delay lasts until the test has asked, however slow the machine is.
    monkeypatch.setattr("agents.gateway.http_server.asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": sleep}))
    async with serving(SETTINGS + '[gateway.http]\nstop_delay = "400ms"\n') as served:
        assert (await served.ask("GET", "/-/ready")).status == 200
        closing = asyncio.create_task(served.gateway.close())
        await until(lambda: served.gateway.server.is_stopping)
        assert (await served.ask("GET", "/-/ready")).status == 503
        assert (await served.ask("GET", "/-/healthy")).status == 200
        assert (await served.post(encoded(ended()))).status == 202
        assert not closing.done()
        assert slept == [0.4]
        over.set()
        await closing


async def test_two_gateways_share_a_port() -> None:
    async with serving(SETTINGS + "[gateway.http]\nreuse_port = true\n") as first:
        port = int(first.url.rpartition(":")[2])
        text = SETTINGS.replace("http_port = 0", f"http_port = {port}")
        async with serving(text + "[gateway.http]\nreuse_port = true\n") as second:
            for number in range(60):
                other: Served = first
                async with asyncio.timeout(5):
                    answer = await other.ask(
                        "POST",
                        "/v1/events",
                        encoded(ended(number)),
                        Authorization=f"Bearer {TOKEN}",
                        Content_Type="application/json",
                        Connection="close",
                    )
                assert answer.status == 202
            stored = [len(first.sink.events), len(second.sink.events)]
            assert sum(stored) == 60
            assert min(stored) > 0
        with pytest.raises(OSError, match="reuse_port"):
            async with serving(text):
                pass

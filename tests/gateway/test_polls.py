"""Polls: the worked example of docs/adding-a-source.md, polled over real HTTP by the frame of all polls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from aiohttp import web

from agents.gateway import poll_client
from agents.gateway import poller as poller_module
from agents.gateway.sink import NotStoredError
from streams.contract.events import Event
from streams.settings.polls import GatewayPolls
from streams.settings.settings import load
from streams.sources.frame import Translation
from streams.sources.polls import (
    DENIED,
    OVERLAP_MS,
    Ask,
    Asking,
    Found,
    Limits,
    Pause,
    Poll,
    Response,
    Verdict,
    ask,
    spans,
)
from streams.sources.registry import SOURCES
from streams.units import HOUR_MS, MINUTE_MS
from tests.gateway.dialit import DIALIT
from tests.gateway.polled import Api, Polling, Time, answer, polling
from tests.gateway.served import MemorySink

NOW_MS = 1_795_436_000_000
KEY = "a-key-that-nobody-must-see"
NUMBER = "+31150010001"
CALL = {"agent": "a7", "customer": NUMBER, "seconds": 95, "started": 1_795_435_200, "ended": 1_795_435_310}


def row(number: int, **changed: Any) -> dict[str, Any]:
    return {"number": number, "call": {"call": str(number), "result": "talked", **CALL, **changed}}


class Dialit:
    """The server of Dialit: rows by a growing number, `size` of them on a page."""

    def __init__(self, rows: int = 0, size: int = 100) -> None:
        self.rows = [row(number) for number in range(1, rows + 1)]
        self.size = size

    def __call__(self, request: web.Request) -> web.Response:
        if request.path.endswith("/agents"):
            return answer([{"login": "a7", "email": "anna@example.org"}, {"login": "a8"}])
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        after = int(request.query["after"])
        return answer({"calls": [one for one in self.rows if one["number"] > after][: self.size]})


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with Api(Dialit(rows=250)).serving() as made:
        yield made


def source(api: Api, more: str = "") -> Any:
    text = f"""
[privacy]
lead_secret = "sixteen characters and more"
[sources.dialit]
address = "{api.url}/v7/secret-path"
api_key = "{KEY}"
[[managers]]
id = "anna"
identities = {{ email = "anna@example.org" }}
{more}"""
    return DIALIT["dialit_poll"](load(text, {}, {**SOURCES, "dialit": DIALIT["DialitSettings"]}))


@pytest.fixture
async def dialit(api: Api) -> AsyncIterator[Polling]:
    async with polling("dialit", source(api), Time(NOW_MS), is_pushed=True) as made:
        yield made


async def test_all_pages_are_read_once_and_the_next_poll_goes_on_behind_them(api: Api, dialit: Polling) -> None:
    assert await dialit.poller.once() == "done"
    assert (len(dialit.sink.events), dialit.cursor) == (250, b"250")
    asked = len(api.requests)
    assert await dialit.poller.once() == "done"
    assert (len(dialit.sink.events), len(api.requests) - asked) == (250, 1)
    assert dialit.value("polls_total", result="done") == 2
    assert dialit.value("poll_last_success_timestamp_seconds") == NOW_MS / 1000
    assert dialit.value("polled_until_timestamp_seconds") == NOW_MS / 1000
    assert dialit.value("poll_status") == 200


async def test_the_users_are_matched_to_the_roster_once_a_day(api: Api, dialit: Polling) -> None:
    await dialit.poller.once()
    await dialit.poller.once()
    assert {getattr(event, "manager", None) for event in dialit.sink.events} == {"anna"}
    assert sum("agents" in path for path, _, _ in api.requests) == 1
    kept = msgspec.json.decode(dialit.cursors.held["people:dialit"])
    assert kept == {"managers": {"a7": "anna"}, "strangers": {"a8": "unknown"}}


async def test_a_directory_that_cannot_be_read_stops_no_poll(api: Api, dialit: Polling) -> None:
    api.answers = [answer({}, 404)]
    assert await dialit.poller.once() == "done"
    assert {getattr(event, "manager", None) for event in dialit.sink.events} == {"dialit:a7"}


async def test_what_only_the_poll_brought_is_counted_if_a_push_should_have_brought_it(
    api: Api, dialit: Polling
) -> None:
    await dialit.poller.once()
    assert dialit.value("polled_unpushed_total") == 0, "the first poll of all reads history"
    api.handler = portal = Dialit(rows=252)
    portal.rows[-1]["call"] |= {"ended": NOW_MS // 1000 - 5}
    await dialit.poller.once()
    assert dialit.value("polled_unpushed_total") == 1, "the push of the newest may still come"


LIMITED = [
    ([answer({}, 429, Retry_After="7")], 7.0),
    ([answer({}, 503, Retry_After="Sun, 15 Nov 2026 13:34:00 GMT")], None),
    ([answer({"error": "too fast"})], None),
    ([answer({"error": "too fast"}, 503) for _ in range(10)], None),
    ([answer({}, 500), answer({}, 502), answer({}, 408)], None),
]


@pytest.mark.parametrize("number", range(len(LIMITED)))
async def test_a_limit_and_a_passing_fault_cost_time_and_nothing_else(api: Api, number: int) -> None:
    answers, wait_s = LIMITED[number]
    time = Time(NOW_MS)
    async with polling("dialit", source(api), time) as dialit:
        await dialit.poller._read_people()
        api.answers = [web.Response(status=one.status, body=one.body, headers=one.headers) for one in answers]
        assert await dialit.poller.once() == "done"
    assert (len(dialit.sink.events), dialit.cursor) == (250, b"250")
    assert time.waits, "it waited"
    if wait_s is not None:
        assert wait_s in time.waits
    assert (dialit.value("poll_wait_seconds_total") or 0) == pytest.approx(sum(time.waits))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (web.Response(status=200, text="<html>please log in</html>", content_type="text/html"), "a web page"),
        (web.Response(status=200, text="{"), "no JSON"),
        (web.Response(status=200, text='{"calls": [{"number": "x"}]}'), "form"),
        (web.Response(status=302, headers={"Location": "https://elsewhere.example/"}), "another address"),
        (web.Response(status=404), "answers 404"),
        (web.Response(status=200, body=b" " * ((1 << 16) + 1)), "larger than gateway.polls.max_body_bytes"),
    ],
)
async def test_an_answer_that_is_none_fails_the_poll_and_the_cursor_stays(
    api: Api, said: web.Response, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    polls = GatewayPolls(max_body_bytes=1 << 16)
    api.handler = Dialit(rows=250, size=50)
    async with polling("dialit", source(api), Time(NOW_MS), polls=polls) as dialit:
        await dialit.poller._read_people()
        api.answers = [api.handler, said]
        with caplog.at_level(logging.DEBUG):
            assert await dialit.poller.once() == "failed"
        assert why in dialit.poller.trouble
        assert (len(dialit.sink.events), dialit.cursor) == (50, b"50"), "what was read before is kept"
        assert dialit.value("poll_failures") == 1
        assert await dialit.poller.once() == "done"
        assert (len(dialit.sink.events), dialit.value("poll_failures")) == (250, 0)
    for secret in (KEY, "secret-path", NUMBER[1:]):
        assert secret not in caplog.text


@pytest.mark.parametrize("status", [401, 403])
async def test_an_access_that_is_not_valid_is_no_fault_of_the_network(api: Api, dialit: Polling, status: int) -> None:
    await dialit.poller._read_people()
    api.answers = [answer({}, status)]
    assert await dialit.poller.once() == "unauthenticated"
    assert len(api.requests) == 2, "it is not asked again and again"
    assert dialit.value("polls_total", result="unauthenticated") == 1


async def test_nobody_at_the_address_is_said_without_the_address(caplog: pytest.LogCaptureFixture) -> None:
    api = Api(Dialit())
    async with api.serving():
        made = source(api)
    time = Time(NOW_MS)
    async with polling("dialit", made, time) as dialit:
        with caplog.at_level(logging.DEBUG):
            assert await dialit.poller.once() == "failed"
    assert "nobody answers" in dialit.poller.trouble
    assert dialit.value("poll_status") == 0
    assert "secret-path" not in caplog.text
    assert "127.0.0.1" not in dialit.poller.trouble


async def test_a_slow_answer_is_waited_for_until_the_deadline(api: Api) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    async with polling("dialit", source(api), Time(NOW_MS), polls=GatewayPolls(deadline_ms=100)) as dialit:
        await dialit.poller._read_people()
        api.answers = [never]
        assert await dialit.poller.once() == "done"
    assert len(dialit.sink.events) == 250


async def test_while_nothing_can_be_stored_the_poll_waits_and_the_cursor_stays(api: Api) -> None:
    time = Time(NOW_MS)
    sink = MemorySink()
    sink.error = NotStoredError("Kafka is away", 3)

    made: list[Polling] = []

    class Mends(Time):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if len(self.waits) == 4:
                sink.error = None
            assert sink.error is None or not made[0].cursor

    time = Mends(NOW_MS)
    async with polling("dialit", source(api), time, sink=sink) as dialit:
        made.append(dialit)
        assert await dialit.poller.once() == "done"
    assert (len(sink.events), dialit.cursor) == (250, b"250")


async def test_the_bucket_holds_whatever_the_number_of_pages(api: Api) -> None:
    api.handler = Dialit(rows=60, size=1)
    time = Time(NOW_MS)
    async with polling("dialit", source(api), time) as dialit:
        assert await dialit.poller.once() == "done"
    # 61 pages and the users; 10 at once, then 2 a second
    assert time.now_ms - NOW_MS == pytest.approx((62 - 10) * 500, abs=20)
    assert dialit.value("poll_allowance") == pytest.approx(0, abs=0.1)


async def test_a_thousand_doorbells_become_a_few_polls(dialit: Polling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller_module, "_APART_S", 0.05)
    task = asyncio.create_task(dialit.poller.run())
    for _ in range(1000):
        dialit.poller.ring()
        await asyncio.sleep(0)
    while not dialit.sink.events or dialit.poller._rung.is_set():  # noqa: ASYNC110 - the poller itself goes on
        await asyncio.sleep(0.001)
    polls = (dialit.value("polls_total", result="done") or 0) + 1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert 2 <= polls < 12
    assert dialit.value("poll_failures") is None, "another process may poll it now"


class Odd:
    """A source whose poll comes from a test."""

    limits = Limits(per_second=1000, burst=10_000)
    every_ms = 60_000
    pushed: tuple[type[Event], ...] = ()

    def __init__(self, url: str, steps: Any, verdict: Verdict | None = None) -> None:
        self.base_url = url
        self.poll = steps
        self.said = verdict

    def headers(self) -> dict[str, str]:
        return {}

    def verdict(self, _: Response) -> Verdict | None:
        return self.said


def endless(_: bytes, __: int) -> Iterator[Any]:
    while True:
        yield Ask(path="x")


def broken(_: bytes, __: int) -> Iterator[Any]:
    yield Pause(1)
    raise KeyError(NUMBER)


async def test_pages_without_an_end_and_a_defect_of_an_adapter_fail_that_poll_alone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll_client, "MOST_REQUESTS", 50)
    async with Api(lambda _: answer({})).serving() as api:
        for steps, why in ((endless, "more than 50 requests"), (broken, "a defect of the adapter")):
            async with polling("odd", Odd(api.url, steps), Time(NOW_MS)) as odd:
                assert await odd.poller.once() == "failed"
                assert why in odd.poller.trouble
    assert NUMBER[1:] not in caplog.text


class Renews(Odd):
    """A source whose first access has ended."""

    valid = False

    def verdict(self, response: Response) -> Verdict | None:
        return None if self.valid or response.headers.get("renewed") else DENIED

    def renew(self) -> Asking[None]:
        yield from ask(Ask(method="POST", path="token"))
        self.valid = True


async def test_an_access_that_ended_is_renewed_once_and_the_request_repeated() -> None:
    def steps(_: bytes, __: int) -> Any:
        yield from ask(Ask(path="calls"))

    def handler(request: web.Request) -> web.Response:
        return answer({}, Renewed="1") if request.path == "/token" else answer({})

    async with Api(handler).serving() as api:
        async with polling("renews", Renews(api.url, steps), Time(NOW_MS)) as made:
            assert await made.poller.once() == "done"
        assert [path for path, _, _ in api.requests] == ["/calls", "/token", "/calls"]


class ByTime(Odd):
    """A source with a cursor of time: its poll reads the numbers of the rows that were added since."""

    def __init__(self, url: str) -> None:
        super().__init__(url, self.rows)
        self.seen: set[int] = set()

    def rows(self, cursor: bytes, now_ms: int) -> Poll:
        for since_ms, until_ms in spans(cursor, now_ms):
            query = {"since": str(since_ms - OVERLAP_MS)}
            self.seen |= {*(yield from ask(Ask(path="rows", query=query))).json(list[int])}
            yield Found(translation=Translation(), cursor=str(until_ms).encode(), until_ms=until_ms)


@pytest.mark.parametrize("ahead_ms", [-HOUR_MS, 0, 30_000, 6 * MINUTE_MS, 11 * MINUTE_MS, 3 * HOUR_MS], ids=str)
async def test_a_clock_that_is_ahead_of_the_system_loses_no_row(ahead_ms: int) -> None:
    time = Time(NOW_MS)

    def clock() -> int:
        return time.now_ms - ahead_ms

    rows: list[int] = []

    def added(request: web.Request) -> web.Response:
        return answer([at for at in rows if at >= int(request.query["since"])])

    async with Api(added, clock).serving() as api:
        made = ByTime(api.url)
        async with polling("by_time", made, time) as by_time:
            for _ in range(60):
                rows.append(clock())
                time.now_ms += MINUTE_MS
                assert await by_time.poller.once() == "done", by_time.poller.trouble
    assert made.seen == {*rows}
    until_ms = (by_time.value("polled_until_timestamp_seconds") or 0) * 1000
    assert min(clock(), time.now_ms) - 1000 <= until_ms <= min(clock() + MINUTE_MS, time.now_ms)


async def test_after_the_clock_went_back_the_poll_goes_back_with_it() -> None:
    time = Time(NOW_MS + 3 * HOUR_MS)
    async with Api(lambda request: answer([NOW_MS] if int(request.query["since"]) <= NOW_MS else [])).serving() as api:
        made = ByTime(api.url)
        async with polling("by_time", made, time) as by_time:
            assert await by_time.poller.once() == "done"
            made.seen.clear()
            time.now_ms = NOW_MS + MINUTE_MS
            assert await by_time.poller.once() == "done"
    assert (made.seen, by_time.cursor) == ({NOW_MS}, str(time.now_ms).encode())


@pytest.mark.parametrize(
    ("date", "why"), [("Thu, 01 Jan 1970 00:00:00 GMT", "more than a day ahead"), ("yesterday", ""), ("", "")]
)
async def test_a_clock_that_is_days_ahead_fails_the_poll_and_a_date_that_is_none_changes_nothing(
    date: str, why: str
) -> None:
    async with Api(lambda _: answer([1], Date=date)).serving() as api:
        made = ByTime(api.url)
        async with polling("by_time", made, Time(NOW_MS)) as by_time:
            assert await by_time.poller.once() == ("failed" if why else "done")
    assert why in by_time.poller.trouble
    assert by_time.cursor == (None if why else str(NOW_MS).encode())

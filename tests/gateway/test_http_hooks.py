"""Hooks of other systems: the worked example of docs/adding-a-source.md itself, behind a real server."""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest

from agents.gateway.sink import NotStoredError
from streams.contract.events import CallEnded
from streams.phone_numbers import lead_key
from streams.settings.access import hashed
from streams.sources.frame import Hook, Reply, Request, Translation
from streams.sources.registry import SOURCES
from tests.gateway.dialit import DIALIT
from tests.gateway.raw_http import exchange
from tests.gateway.served import OTHER_TOKEN, SETTINGS, TOKEN, Answer, Served, encoded, serving

KEY, SECRET = "a-key-of-dialit-for-tests", "sixteen characters and more"
CALL = {
    "call": "77",
    "agent": "anna",
    "customer": "+31150010001",
    "seconds": 95,
    "started": 1_795_435_200,
    "ended": 1_795_435_310,
    "result": "talked",
}
NOW_MS = 1_795_435_311_000
MORE = f"""
[privacy]
lead_secret = "{SECRET}"
[sources.dialit]
tokens = ["{hashed(TOKEN)}"]
signing_key = "{KEY}"
[[managers]]
id = "anna"
"""


PLACE: dict[str, Any] = {
    "sources": {**SOURCES, "dialit": DIALIT["DialitSettings"]},
    "hooks": {"dialit": DIALIT["DialitHook"]},
}
TESTED = PLACE | {"hooks": {"dialit": DIALIT["TestedHook"]}}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(SETTINGS + MORE, clock=lambda: NOW_MS, **PLACE) as made:
        yield made


async def push(served: Served, body: bytes, *, token: str = TOKEN, key: str = KEY, source: str = "dialit") -> Answer:
    signature = hmac.new(key.encode(), body, sha256).hexdigest()
    headers = {"Content_Type": "text/whatever", "X_Dialit_Signature": signature}
    return await served.ask("POST", f"/hooks/{source}/{token}", body, **headers)


async def test_what_a_system_pushes_becomes_an_event_with_its_lead_key(served: Served) -> None:
    answer = await push(served, encoded(CALL))
    assert (answer.status, answer.body) == (200, b"")
    (event,) = served.sink.events
    assert isinstance(event, CallEnded)
    assert (event.id, event.talk_ms, event.disposition) == ("dialit:77:ended:1", 95_000, "answered")
    assert event.lead == lead_key("+31150010001", SECRET.encode())
    assert served.sink.sources == ["dialit"]


async def test_a_repeat_changes_nothing(served: Served) -> None:
    for _ in range(3):
        assert (await push(served, encoded(CALL))).status == 200
    assert len(served.sink.events) == 1


async def test_what_cannot_be_read_is_answered_like_a_success_and_kept_in_its_shape(served: Served) -> None:
    answer = await push(served, encoded(CALL | {"result": "call +31150010001 back"}))
    assert answer.status == 200
    (refused,) = served.sink.refused
    assert refused.reason == "invalid_field"
    assert b"150010001" not in refused.shape
    assert b'"customer":"+99999999999"' in refused.shape


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"started": 1_795_435_200_000, "ended": 1_795_435_310_000}, "invalid_time"),
        ({"ended": 1_795_435_199}, "invalid_time"),
        ({"started": 1_795_439_000, "ended": 1_795_439_100}, "future"),
    ],
)
async def test_the_gateway_checks_the_events_of_an_adapter(
    served: Served, changed: dict[str, Any], reason: str
) -> None:
    assert (await push(served, encoded(CALL | changed))).status == 200
    assert [refused.reason for refused in served.sink.refused] == [reason]
    assert served.sink.events == []


@pytest.mark.parametrize(
    ("agent", "manager"),
    [("ANNA", "anna"), ("boris", "dialit:boris"), ("", "dialit:unknown"), ("+31150010001", "dialit:[0-9a-f]{32}")],
)
async def test_whoever_is_named_is_counted_and_no_number_is_published(served: Served, agent: str, manager: str) -> None:
    assert (await push(served, encoded(CALL | {"agent": agent}))).status == 200
    (event,) = served.sink.events
    assert isinstance(event, CallEnded)
    assert re.fullmatch(manager, event.manager)


async def test_a_forged_signature_gets_the_code_of_the_source(served: Served) -> None:
    assert (await push(served, encoded(CALL), key="another")).status == 401
    assert served.counts.strangers == ["dialit"]
    assert (served.sink.events, served.sink.refused) == ([], [])


@pytest.mark.parametrize(("source", "token"), [("dialit", "wrong"), ("dialit", OTHER_TOKEN), ("nobody", TOKEN)])
async def test_a_wrong_token_and_an_unknown_source_are_answered_alike(served: Served, source: str, token: str) -> None:
    answer = await push(served, encoded(CALL), source=source, token=token)
    assert (answer.status, answer.problem) == (404, "not-found")
    assert "dialit" not in str(answer.body)
    assert served.counts.strangers == (["dialit"] if source == "dialit" else [])


async def test_nothing_is_done_with_what_is_not_stored(served: Served) -> None:
    served.sink.error = NotStoredError("away", 7)
    answer = await push(served, encoded(CALL))
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 7


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_hook_is_posted_to_unless_it_says_otherwise(served: Served, method: str) -> None:
    answer = await served.ask(method, f"/hooks/dialit/{TOKEN}")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_the_token_is_in_no_log_and_no_answer(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        await push(served, encoded(CALL)),
        await push(served, b"\xff"),
        await push(served, encoded(CALL), key="x"),
        await served.ask("GET", f"/hooks/dialit/{TOKEN}"),
        await served.ask("GET", f"/hooks/dialit/{TOKEN}/more"),
    ]
    assert TOKEN not in caplog.text + str(answers)


async def test_a_test_of_the_url_gets_its_answer_and_nothing_is_stored(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path = f"/hooks/dialit/{TOKEN}"
    async with serving(SETTINGS + MORE, **TESTED) as served:
        asked = await served.ask("GET", path + "?echo=%2B7%20abc&more=1")
        assert (asked.status, asked.body) == (200, b"+7 abc")
        assert (asked.headers["Content-Type"], asked.headers["X-Content-Type-Options"]) == (
            "text/plain; charset=utf-8",
            "nosniff",
        )
        posted = await served.ask("POST", path, X_Challenge="a-b-c")
        assert (posted.status, posted.body, posted.headers["x-challenge"]) == (200, b"", "a-b-c")
        assert (served.sink.events, served.sink.refused, served.counts.strangers) == ([], [], [])
    assert "source dialit: its URL was tested" in caplog.text
    assert TOKEN not in caplog.text
    assert "abc" not in caplog.text


async def test_a_hook_whose_url_is_tested_takes_events_and_refuses_strangers_as_before() -> None:
    async with serving(SETTINGS + MORE, clock=lambda: NOW_MS, **TESTED) as served:
        assert (await push(served, encoded(CALL))).status == 200
        assert len(served.sink.events) == 1
        assert (await push(served, encoded(CALL), key="another")).status == 401
        assert (await served.ask("GET", "/hooks/dialit/wrong?echo=1")).problem == "not-found"
        assert (await served.ask("PUT", f"/hooks/dialit/{TOKEN}")).headers["Allow"] == "GET, POST"


class Echo(Hook):
    """An adapter that answers with the query."""

    answers = DIALIT["DialitHook"].answers
    methods = ("GET",)

    def __init__(self, settings: object) -> None:
        assert settings

    def handshake(self, request: Request) -> Reply | None:
        return Reply(body=request.query.encode(), status=202, content_type="text/x")

    def is_authentic(self, request: Request) -> bool:
        return not request

    def translate(self, request: Request) -> Translation:
        raise AssertionError(request.url)


async def test_a_signature_of_the_query_finds_every_byte_of_it() -> None:
    async with serving(SETTINGS + MORE, **PLACE | {"hooks": {"dialit": Echo}}) as served:
        query = "a=%26%2b%20+%D1%8f&b&=&c=?#"
        head = f"GET /hooks/dialit/{TOKEN}?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        answer = await exchange(served.url, head)
        assert (answer.status, answer.headers["Content-Type"], answer.body.decode()) == (202, "text/x", query)


async def test_the_query_arrives_as_it_was_sent() -> None:
    async with serving(SETTINGS + MORE, **TESTED) as served:
        for query, echo in (
            (b"", b""),
            (b"?", b""),
            (b"?echo", b""),
            (b"?echo=a%26b%3Dc%2bd+e%20f", b"a&b=c+d e f"),
            (b"?echo=%d1%8f", "я".encode()),
            (b"?%=%&echo=1?2", b"1?2"),
            (b"?echo=%ff", "\ufffd".encode()),
            (b"?echo=%0d%0aSet-Cookie:%20a=b", b"\r\nSet-Cookie: a=b"),
        ):
            head = b"GET /hooks/dialit/" + TOKEN.encode() + query + b" HTTP/1.1\r\nHost: a\r\n\r\n"
            answer = await exchange(served.url, head)
            assert (answer.status, answer.body, "Set-Cookie" in answer.headers) == (200, echo, False), query


class Broken(Hook):
    """An adapter with a defect."""

    answers = DIALIT["DialitHook"].answers

    def __init__(self, settings: object) -> None:
        assert settings

    def is_authentic(self, request: Request) -> bool:
        return bool(request)

    def translate(self, request: Request) -> Translation:
        raise KeyError(request.body)


class BrokenTest(Broken):
    """An adapter with a defect in the answer to a test of its URL."""

    def handshake(self, request: Request) -> Reply | None:
        raise KeyError(request.body)


@pytest.mark.parametrize("hook", [Broken, BrokenTest])
async def test_a_defect_of_an_adapter_costs_its_request_alone(
    hook: type[Broken], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(SETTINGS + MORE, **PLACE | {"hooks": {"dialit": hook}}) as served:
        assert (await push(served, b'{"customer":"+31150010001"}')).status == 200
        assert [refused.detail for refused in served.sink.refused] == ["a defect of the adapter: KeyError"]
        assert "31150010001" not in caplog.text
        assert (await served.ask("GET", "/-/ready")).status == 200


async def test_a_source_without_tokens_has_no_hook() -> None:
    async with serving(SETTINGS, **PLACE) as served:
        assert (await push(served, encoded(CALL))).problem == "not-found"

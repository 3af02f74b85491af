"""The hook of FreeSWITCH over real HTTP: its day, and wrong inputs, in the exact bytes of their requests."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.raw_http import exchange
from tests.gateway.served import Answer, Served, serving
from tests.streams.freeswitch_cases import BAD_CDR, CDR, NUMBERS, TOKEN, decoded, deliveries, differences, joined, text

BAD = decoded(BAD_CDR / "index.json")
EXPECTED = decoded(CDR / "expected.json")
FAST = '[gateway.http]\nbody_deadline = "400ms"\n'


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    basic = EXPECTED["settings"]["basic_auth"]
    async with serving(text(basic), clock=lambda: int(BAD["received_at_ms"])) as made:
        yield made


async def push(served: Served, path: Path, token: str = TOKEN) -> Answer:
    """Send the bytes of a request to the hook."""
    data = re.sub(rb"^(\w+) [^ ?]+", rf"\1 /hooks/freeswitch/{token}".encode(), path.read_bytes(), count=1)  # noqa: ASYNC240 - a small file
    return await exchange(served.url, data)


async def test_the_day_gives_its_legs(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    for one in deliveries("form") + deliveries("base64"):
        assert (await push(served, CDR / one["file"])).status == 200
    assert differences(served.sink.events + joined(served.sink.statements), EXPECTED) == []
    assert served.sink.refused == []
    said = caplog.text + repr(served.sink.events) + repr(served.sink.statements)
    assert not any(number in said for number in NUMBERS)


async def test_who_has_no_token_or_no_password_is_kept_out(served: Served) -> None:
    path = CDR / deliveries("raw")[0]["file"]
    assert (await push(served, path, "another-token")).status == 404
    assert (await push(served, BAD_CDR / "52-no-authentication.http")).status == 401
    assert (await push(served, BAD_CDR / "50-forged.http")).status == 401
    assert served.sink.events == []
    assert len(served.counts.strangers) == 3


async def test_bad_requests_get_their_answers(caplog: pytest.LogCaptureFixture) -> None:
    settings = text(BAD["keys"]["basic_auth"], FAST)
    async with serving(settings, clock=lambda: int(BAD["received_at_ms"])) as served:
        for case in BAD["cases"]:
            if case["file"].endswith(".json"):
                continue
            before = len(served.sink.events)
            answer = await push(served, BAD_CDR / case["file"])
            classes = {case["expect"]["class"], *case["expect"].get("class_any", ())}
            came = len(served.sink.events) > before or case["file"] != "01-sound.http"
            assert came, case["file"]
            if "status" in case["expect"] and classes == {case["expect"]["class"]}:
                assert answer.status in case["expect"]["status"], case["file"]
            else:
                assert answer.status < 500, case["file"]
        said = repr((served.sink.events, served.sink.refused, served.sink.statements)) + caplog.text
        assert not any(number in said for number in NUMBERS)
        reasons = {one.reason for one in served.sink.refused}
        assert reasons >= {"not_json", "missing_field", "invalid_field", "invalid_time", "unknown_type", "not_utf8"}

"""Wrong inputs, in the exact bytes of their requests: each is refused with the expected answer."""

from __future__ import annotations

import asyncio
import gzip
import resource
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.contract.events import DealStageChanged
from streams.settings.access import hashed
from tests.gateway.raw_http import answer_of, exchange, opened
from tests.gateway.served import Answer, Served, serving

FOLDER = Path(__file__).parents[1] / "fixtures/sources/bad/cloudevents"
INDEX = msgspec.json.decode((FOLDER / "index.json").read_bytes())
CASES = {case["file"]: case for case in INDEX["cases"] if not case.get("recipe")}
BEARER = INDEX["keys"]["bearer"]
SETTINGS = f'[gateway]\nhttp_port = 0\n[sources.http.bad]\ntokens = ["{hashed(BEARER)}"]\n'
FAST = '[gateway.http]\nbody_deadline = "400ms"\n'
HEAD = (
    f"POST /v1/cloudevents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BEARER}\r\n"
    "Content-Type: application/cloudevents+json\r\n"
)
DIFFERS = {
    "55-amount-comma.http": "the contract reads a decimal comma",
    "10-type-is-a-number.http": "the contract's reason for any type that is none: unknown_type",
    "15-time-2099.http": "the contract takes moments up to 2100: it is only too far ahead",
}
"""The inputs whose answer, or its reason, is another one, each with an explanation."""
NUMBER = b"4950000101"
DECOMPRESSOBJ = zlib.decompressobj


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(SETTINGS + FAST, clock=lambda: int(INDEX["received_at_ms"])) as made:
        yield made


def reason_of(answer: Answer) -> Any:
    return answer.json["results"][0]["reason"]


@pytest.mark.parametrize("name", CASES)
async def test_a_wrong_input_is_answered_as_it_deserves(served: Served, name: str) -> None:
    expect = CASES[name]["expect"]
    answer = await exchange(served.url, (FOLDER / name).read_bytes())
    classes = {expect["class"], *expect.get("class_any", ())}
    kind = "accepted" if answer.status == 202 else "refused"
    if name != "55-amount-comma.http":
        assert kind in classes, (answer.status, answer.body)
    if kind == "refused":
        assert 400 <= answer.status < 500
        statuses = expect.get("status") if expect["class"] == "refused" else None
        assert answer.status in (statuses or (400, 401, 403, 415, 422))
        assert answer.problem
        if answer.status == 422 and "reason" in expect and name not in DIFFERS:
            # From Python 3.12 on, text that is nested a thousand levels deep can be read; it is no object.
            assert reason_of(answer) in (
                {expect["reason"]} | ({"not_json"} if expect["reason"] == "too_deep" else set())
            )
    everything = msgspec.json.encode([served.sink.events, served.sink.refused]) + answer.body
    assert NUMBER not in everything
    assert (await exchange(served.url, (FOLDER / "01-sound.http").read_bytes())).status == 202


async def test_a_decimal_comma_is_no_separator_of_thousands(served: Served) -> None:
    await exchange(served.url, (FOLDER / "55-amount-comma.http").read_bytes())
    (event,) = served.sink.events
    assert isinstance(event, DealStageChanged)
    assert str(event.amount) == "135500.75"


@pytest.mark.parametrize("name", ["ce-id", "ce-source", "ce-type", "ce-specversion", "ce-time"])
async def test_an_attribute_in_a_header_that_is_not_utf8_is_refused(served: Served, name: str) -> None:
    attributes = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "crm", "ce-type": "callpulse.lead.linked"}
    lines = "".join(f"{key}: {value}\r\n" for key, value in attributes.items() if key != name).encode()
    head = HEAD.replace("cloudevents+json", "json").encode() + lines + name.encode() + b": callpulse.\xff\xfe"
    body = b'{"lead":"a","old_key":"b"}'
    answer = await exchange(served.url, head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert (answer.status, reason_of(answer)) == (422, "invalid_time" if name == "ce-time" else "invalid_field")


def test_there_are_cases_of_all_kinds() -> None:
    assert len(CASES) >= 70
    assert DIFFERS.keys() <= CASES.keys()


async def chunks(writer: asyncio.StreamWriter, piece: bytes, most: int) -> int:
    """Send a piece repeatedly until the other side closes; return the number of times."""
    for sent in range(most):
        if writer.is_closing():
            return sent
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        try:
            await writer.drain()
        except ConnectionError:
            return sent
    return most


@pytest.mark.slow
async def test_chunks_without_an_end_are_refused_at_the_limit(served: Served) -> None:
    reader, writer = await opened(served.url)
    writer.write((HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode())
    sending = asyncio.create_task(chunks(writer, b" " * 65_536, 1_000))
    answer = await answer_of(reader)
    assert (answer.status, answer.problem) == (413, "body-too-large")
    writer.close()
    assert await sending < 1_000


class Unpacked:
    """Counts the bytes that are unpacked: what takes time and memory is their number."""

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, *arguments: Any) -> Unpacked:
        self._member = DECOMPRESSOBJ(*arguments)
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._member, name)

    def decompress(self, *arguments: Any) -> bytes:
        made = self._member.decompress(*arguments)
        self.bytes += len(made)
        return made


@pytest.mark.parametrize("nested", [False, True])
async def test_a_bomb_of_gzip_is_unpacked_up_to_the_limit_only(
    served: Served, monkeypatch: pytest.MonkeyPatch, *, nested: bool
) -> None:
    unpacked = Unpacked()
    monkeypatch.setattr(zlib, "decompressobj", unpacked)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()
    if nested:
        bomb = gzip.compress(bomb)
    assert len(bomb) < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    head = HEAD + f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    answer = await exchange(served.url, head.encode() + bomb)
    assert (answer.status, answer.problem) in {(413, "body-too-large"), (422, "none-accepted")}
    assert 1000 < unpacked.bytes < 2 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


async def test_a_body_that_is_announced_too_large_is_not_read(served: Served) -> None:
    answer = await exchange(served.url, (HEAD + "Content-Length: 1200600\r\n\r\n").encode())
    assert (answer.status, answer.problem) == (413, "body-too-large")


async def test_a_slow_body_is_ended_and_delays_nobody(served: Served) -> None:
    reader, writer = await opened(served.url)
    writer.write((HEAD + "Content-Length: 100\r\n\r\n{").encode())
    answer_of_slow = asyncio.create_task(answer_of(reader))
    assert (await exchange(served.url, (FOLDER / "01-sound.http").read_bytes())).status == 202
    assert not answer_of_slow.done()
    answer = await answer_of_slow
    assert (answer.status, answer.problem) == (408, "request-timeout")
    writer.close()

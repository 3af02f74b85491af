"""Wrong inputs through the hook of every source: each gets an answer in the form of its source.

The sources are those of the registry. Each is tested with every recipe at a real server; after each recipe the sound
delivery is taken as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import resource
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, NamedTuple

import msgspec
import pytest

from streams.settings.settings import Settings
from streams.sources.frame import Hook
from streams.sources.registry import HOOKS
from tests.gateway.raw_http import answer_of, exchange, opened
from tests.gateway.served import Answer, Served, serving
from tests.sources.pushed import FORM, JSON, NUMBER, PUSHED, RECEIVED_MS, Headers
from tests.sources.story import HOUR_MS, TOKEN

MOST_S: Final = 10  # a guard against quadratic reading; shared machines take seconds for what takes a tenth
"""The most processor time of one request, with the test's own side."""
MOST_LETTERS: Final = 100
"""The most dead letters of one request."""
MOST_KIB: Final = 64 * 1024
DEEP: Final = 50_000


def bomb_of(encoding: str) -> bytes:
    """A hundred megabytes of zeros, small."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()


BOMB: Final = bomb_of("gzip")
BOMBS: Final = {
    "gzip": BOMB,
    "x-gzip": BOMB,
    "GZIP": BOMB,
    "deflate": bomb_of("deflate"),
    "gzip, gzip": gzip.compress(BOMB),
    "identity, gzip": BOMB,
    "br": BOMB,
    "zstd": BOMB,
    "nonsense": BOMB,
}


class Sent(NamedTuple):
    """A recipe for one system, in the bytes of its request, and the codes that may answer it."""

    name: str
    data: bytes
    codes: set[int]


class Tried:
    """A system, its server, and the expected answers of its hook."""

    def __init__(self, name: str, served: Served, hook: Hook) -> None:
        self.push = PUSHED[name]
        self.served = served
        self.answers = hook.answers
        self._target = f"/hooks/{name}/{TOKEN}{self.push.tail}"
        self.problems: list[str] = []

    @property
    def read(self) -> set[int]:
        """The codes for authentic requests, readable or not."""
        return {self.answers.done, self.answers.refused}

    @property
    def any_of(self) -> set[int]:
        """The codes for requests that this system may take for those of others."""
        return self.read | {self.answers.unauthenticated}

    def request(self, body: bytes, headers: Headers, *more: str, method: str = "POST", framing: str = "") -> bytes:
        framing = framing or f"Content-Length: {len(body)}"
        lines = [f"{method} {self._target} HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, framing, *more, "", ""]).encode("utf-8", "surrogateescape") + body

    def sound(self) -> bytes:
        headers, body = self.push.signed(self.push.said)
        return self.request(body, headers)

    async def try_one(self, sent: Sent) -> None:
        letters = len(self.served.sink.refused)
        began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = await exchange(self.served.url, sent.data)
        took, grew = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        self.note(sent.name, answer, sent.codes)
        if len(self.served.sink.refused) - letters > MOST_LETTERS:
            self.problems.append(f"{sent.name}: leaves {len(self.served.sink.refused) - letters} dead letters")
        if took > MOST_S:
            self.problems.append(f"{sent.name}: takes {took:.2f} s")
        if grew > MOST_KIB:
            self.problems.append(f"{sent.name}: takes {grew} KiB")

    def note(self, name: str, answer: Answer, codes: set[int]) -> None:
        if answer.status not in codes:
            self.problems.append(f"{name}: {answer.status} instead of {sorted(codes)}")
        if NUMBER in answer.body:
            self.problems.append(f"{name}: the answer has a number")

    async def try_sound(self, name: str = "the sound delivery") -> None:
        self.note(name, await exchange(self.served.url, self.sound()), {self.answers.done})

    def stored(self) -> tuple[bytes, set[bytes]]:
        """The events, in words, and the statements that are stored."""
        sink = self.served.sink
        return msgspec.json.encode(sink.events), {one.body for one in sink.statements}


@contextlib.asynccontextmanager
async def tried(name: str, clock: Callable[[], int] = lambda: RECEIVED_MS) -> AsyncIterator[Tried]:
    made: list[Hook] = []

    def make(settings: Settings) -> Hook:
        made.append(HOOKS[name](settings))
        return made[0]

    async with serving(PUSHED[name].settings(name), hooks={name: make}, clock=clock) as served:
        yield Tried(name, served, made[0])


# -- recipes


def encodings(one: Tried) -> Iterator[Sent]:
    """Encoded bodies, some of them bombs of a hundred megabytes: hooks refuse them all, so none is unpacked."""
    headers, body = one.push.signed(one.push.said)
    for encoding, bomb in BOMBS.items():
        for what, data in (("bomb", bomb), ("sound body", gzip.compress(body))):
            yield Sent(f"{encoding} {what}", one.request(data, {**headers, "Content-Encoding": encoding}), {415})
    twice = one.request(BOMB, headers, "Content-Encoding: identity", "Content-Encoding: gzip")
    yield Sent("two encodings", twice, {415})
    yield Sent("a bomb that is not announced", one.request(BOMB, headers), one.any_of)
    plain = one.request(body, {**headers, "Content-Encoding": "Identity"})
    yield Sent("no encoding, by its name", plain, {one.answers.done})


def sizes(one: Tried) -> Iterator[Sent]:
    """Bodies and forms beyond the limits."""
    headers, body = one.push.signed(one.push.said)
    huge = body + b" " * (1_200_000 - len(body))
    yield Sent("a huge body", one.request(huge, headers), {413})
    announced = one.request(b"", headers, framing="Content-Length: 99999999999")
    yield Sent("a huge body that never comes", announced, {413})
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    endless = one.request(chunk * 20, headers, framing="Transfer-Encoding: chunked")
    yield Sent("chunks without an end", endless, {413})
    is_form = one.push.content_type == FORM
    for what, field in (("one letter", b"&a=1"), ("no name", b"&"), ("two values", b"&=&b=2")):
        many = one.request(body + field * 100_000, headers)
        yield Sent(f"100,000 fields of {what}", many, {413} if is_form else one.any_of)
    unlike = one.request(b"&".join(b"f%d=1" % number for number in range(100_000)), {**headers, "Content-Type": FORM})
    yield Sent("a form of 100,000 fields", unlike, {413} if is_form else one.any_of)
    if one.push.is_json:
        members = b",".join(b'"f%d":%d' % (number, number) for number in range(50_000))
        for what, said in (("an object", b"{%b}" % members), ("a list", b"[%b1]" % (b"{}," * 300_000))):
            more_headers, more = one.push.signed(said)
            codes = one.any_of if one.push.is_within else one.read
            yield Sent(f"{what} of very many", one.request(more, more_headers), codes | {413})


def bytes_of(one: Tried) -> Iterator[Sent]:
    """Other values in place of text: the request is authentic, so the answer is that of a readable one."""
    said = one.push.said
    opens, closes = (b"[", b"]") if said.startswith(b"[") else (b"{", b"}")
    made: dict[str, bytes] = {}
    if one.push.is_json:
        in_list = opens == b"["
        for what, value in (
            ("invalid UTF-8", b'"\xff\xc3"'),
            ("a torn sequence", b'"\xe2\x82"'),
            ("NUL", b'"\0"'),
            ("an escaped NUL", b'"\\u0000"'),
            ("a lone surrogate", b'"\\ud800"'),
            ("deep lists", b"[" * DEEP + b"]" * DEEP),
            ("deep objects", b'{"a":' * DEEP + b"1" + b"}" * DEEP),
            ("lists without an end", b"[" * DEEP),
        ):
            first = value if in_list else b'"x":' + value
            made[what] = opens + first + b"," + said[1:]
            made[f"nothing but {what}"] = value
        made["everything twice"] = said[:-1] + b"," + said[1:]
        made["a number twice"] = said.replace(NUMBER, b"4950000102")[:-1] + b"," + said[1:]
    else:
        for what, value in (
            ("invalid UTF-8", b"%ff%c3"),
            ("raw invalid UTF-8", b"\xff\xc3"),
            ("NUL", b"%00"),
            ("a raw NUL", b"\0"),
            ("broken escapes", b"%zz%"),
            ("deep brackets", b"1"),
        ):
            name = b"a" + b"[b]" * DEEP if what == "deep brackets" else b"x"
            made[what] = b"%b&%b=%b" % (said, name, value)
            made[f"nothing but {what}"] = b"%b=%b" % (name, value)
            made[f"{what} for a name"] = b"%b&%b=1" % (said, value)
            made[f"{what} for the number"] = said.replace(NUMBER, NUMBER + value)
        made["everything twice"] = said + b"&" + said
        made["a number twice"] = said + b"&" + said.replace(NUMBER, b"4950000102")
    made |= {
        "nothing": b"",
        "a bracket": closes,
        "UTF-16": said.decode().encode("utf-16"),
        "a BOM": b"\xef\xbb\xbf" + said,
    }
    for what, body in made.items():
        headers, whole = one.push.signed(body)
        is_lost = one.push.content_type == FORM or one.push.is_within  # the secret, in an unreadable body
        yield Sent(what, one.request(whole, headers), one.any_of if is_lost else one.read)


def headers_of(one: Tried) -> Iterator[Sent]:
    """Other content types, and repeated headers."""
    headers, body = one.push.signed(one.push.said)
    others = {name: value for name, value in headers.items() if name != "Content-Type"}
    for kind in ("", "text/plain", "multipart/form-data; boundary=x", "application/xml", "*/*", FORM, JSON, "\udcff"):
        named = {**others, "Content-Type": kind} if kind else others
        yield Sent(f"the type {kind!r}", one.request(body, named), one.any_of)
    for charset in ("utf-16", "nonsense", '"'):
        typed = {**headers, "Content-Type": f"{one.push.content_type}; charset={charset}"}
        yield Sent(f"the charset {charset}", one.request(body, typed), one.any_of)
    for name, value in headers.items():
        for other in (value, "x"):
            # The parser of HTTP takes some headers once only.
            twice = one.request(body, headers, f"{name}: {other}")
            yield Sent(f"{name}, and {other}", twice, {400} if name == "Content-Type" else one.any_of)
        bytes_in_it = one.request(body, {**headers, name: value + "\udcff\udcc3"})
        yield Sent(f"{name} that is not UTF-8", bytes_in_it, one.any_of)
        yield Sent(f"{name} with a NUL", one.request(body, {**headers, name: value + "\0"}), {400})
    lengths = ("Content-Length: 1", f"Content-Length: {len(body)}", "Transfer-Encoding: chunked")
    yield from (Sent(f"also {line}", one.request(body, headers, line), {400}) for line in lengths)
    for length in ("-1", "1e3", "0x10", "9" * 30, "\u0661"):
        wrong = one.request(body, headers, framing=f"Content-Length: {length}")
        yield Sent(f"a length of {length}", wrong, {400, 413})
    yield Sent("too many headers", one.request(body, headers, *(f"X-{number}: 1" for number in range(500))), {400, 431})
    for method in ("PUT", "DELETE", "TRACE", "GET "):
        yield Sent(f"the method {method}", one.request(body, headers, method=method), {400, 405})


def forged(one: Tried) -> Iterator[Sent]:
    """Other words under the signature of the sound delivery."""
    if one.push.signs:
        headers, body = one.push.signed(one.push.said)
        for old, new in ((b"7499", b"7498"), (b"%3A", b"%3B"), (b"201", b"202"), (b"6", b"7")):
            if old in body:
                yield Sent(
                    f"{old!r} changed", one.request(body.replace(old, new), headers), {one.answers.unauthenticated}
                )
        yield Sent("cut", one.request(body[9:], headers), {one.answers.unauthenticated})


RECIPES: Final = (encodings, sizes, bytes_of, headers_of, forged)


def test_each_source_with_a_hook_has_a_sound_delivery() -> None:
    assert PUSHED.keys() == HOOKS.keys(), "an entry in tests/sources/pushed.py is needed"


@pytest.mark.parametrize("name", HOOKS)
async def test_what_no_system_should_send_is_answered_in_the_way_of_its_source(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with tried(name) as one:
        await one.try_sound()
        sound = one.stored()
        for recipe in RECIPES:
            for sent in recipe(one):
                await one.try_one(sent)
        await one.try_sound("the sound delivery, after all others")
        assert one.problems == []
        events, statements = one.stored()
        assert sound[1] <= statements
        assert NUMBER not in events + b"".join(statements)
        for refused in one.served.sink.refused:
            assert "defect" not in refused.detail
            assert NUMBER not in refused.shape + refused.detail.encode() + refused.where.encode()
    assert NUMBER.decode() not in caplog.text
    assert TOKEN not in caplog.text
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("name", HOOKS)
async def test_a_body_that_does_not_come_is_ended_and_delays_nobody(name: str) -> None:
    async with tried(name) as one:
        headers, body = one.push.signed(one.push.said)
        starts = {
            "a byte of many": one.request(b"x", headers, framing="Content-Length: 9999"),
            "all but a byte": one.request(body[:-1], headers, framing=f"Content-Length: {len(body)}"),
            "no byte at all": one.request(b"", headers, framing="Content-Length: 1"),
            "half a chunk": one.request(b"10000\r\nx", headers, framing="Transfer-Encoding: chunked"),
            "chunks, and no last one": one.request(
                b"%x\r\n%b\r\n" % (len(body), body), headers, framing="Transfer-Encoding: chunked"
            ),
        }
        waiting = {what: asyncio.create_task(exchange(one.served.url, data)) for what, data in starts.items()}
        for data in starts.values():  # the other side leaves
            _, writer = await opened(one.served.url)
            writer.write(data)
            await writer.drain()
            writer.close()
        reader, writer = await opened(one.served.url)
        writer.write(one.request(b"zz\r\nx", headers, framing="Transfer-Encoding: chunked"))
        one.note("a chunk of no length", await answer_of(reader), {400})
        writer.close()
        await one.try_sound("the sound delivery, meanwhile")
        for what, task in waiting.items():
            one.note(what, await task, {408})
        await one.try_sound("the sound delivery, after that")
        assert one.problems == []
        assert one.served.sink.refused == []


@pytest.mark.parametrize("name", HOOKS)
async def test_a_delivery_that_is_replayed_changes_nothing(name: str) -> None:
    now_ms = RECEIVED_MS
    async with tried(name, lambda: now_ms) as one:
        await one.try_sound()
        (events, statements), refused = one.stored(), one.served.sink.refused
        for _ in range(5):
            await one.try_sound("a repeat")
        assert (one.stored(), one.served.sink.refused) == ((events, statements), refused)
        now_ms += HOUR_MS
        is_too_old = one.push.lasts_ms is not None
        old = Sent("an hour later", one.sound(), {one.answers.unauthenticated} if is_too_old else one.read)
        await one.try_one(old)
        assert one.problems == []
        assert one.stored()[0] == events

"""Reads the body of a request, within its limits: size, time, size after decompression."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http_exceptions import HttpProcessingError

from agents.gateway.http_problems import ProblemError

_GZIP: Final = 31  # zlib: a header of gzip is expected
_MOST_MEMBERS: Final = 8
_MOST_ENCODED: Final = {"gzip", "x-gzip"}
_IDENTITY: Final = {"", "identity"}


class BodyReader:
    """Reads bodies of at most `most_bytes`, before and after decompression, each within `deadline_s`."""

    def __init__(self, most_bytes: int, deadline_s: float) -> None:
        self._most_bytes = most_bytes
        self._deadline_s = deadline_s

    def announced(self, request: web.BaseRequest) -> int:
        """Return the length that a request announces; 0 if it announces none. Raise ProblemError if it is too long."""
        announced = request.content_length or 0
        if announced > self._most_bytes:
            raise self._too_large()
        return announced

    async def read(self, request: web.BaseRequest, on_bytes: Callable[[int], None]) -> bytes:
        """Return the body as it was sent. `on_bytes` is called with the length of each piece that arrives.

        Raises:
            ProblemError: it is too large, or did not arrive whole and in time.
        """
        await _continue(request)
        pieces: list[bytes] = []
        size = 0
        try:
            if request.content.is_eof():  # most bodies are there with their head: then no clock is needed
                body = request.content.read_nowait()
                on_bytes(len(body))
                if len(body) > self._most_bytes:
                    raise self._too_large()
                return body
            async with asyncio.timeout(self._deadline_s):
                while piece := await request.content.readany():
                    size += len(piece)
                    on_bytes(len(piece))
                    if size > self._most_bytes:
                        raise self._too_large()
                    pieces.append(piece)
        except TimeoutError:
            raise ProblemError(
                "request-timeout", f"the body must arrive within {self._deadline_s:g} s", close=True
            ) from None
        except (ClientPayloadError, HttpProcessingError, web.RequestPayloadError):
            raise ProblemError("length-mismatch", close=True) from None
        return b"".join(pieces)

    def decoded(self, request: web.BaseRequest, body: bytes) -> bytes:
        """Return the body without its Content-Encoding. Raise ProblemError where that is broken, or a bomb."""
        encoding = request.headers.get("Content-Encoding", "").strip().lower()
        if encoding in _IDENTITY:
            return body
        if encoding not in _MOST_ENCODED:
            raise ProblemError("unsupported-encoding", "gzip is understood", headers={"Accept-Encoding": "gzip"})
        try:
            return self._unzipped(body)
        except zlib.error:
            raise ProblemError("malformed-request", "the body is not gzip") from None

    def _unzipped(self, body: bytes) -> bytes:
        """Return the contents of one or some members of gzip, and stop as soon as they are too large."""
        made = b""
        for _ in range(_MOST_MEMBERS):
            member = zlib.decompressobj(_GZIP)
            made += member.decompress(body, self._most_bytes - len(made) + 1)
            if len(made) > self._most_bytes:
                raise self._too_large()
            if not member.eof:
                raise ProblemError("malformed-request", "the body ends within its gzip")
            body = member.unused_data.lstrip(b"\0")  # some writers fill the last block; gzip reads over it
            if not body:
                return made
        raise ProblemError("malformed-request", f"the body has more than {_MOST_MEMBERS} members of gzip")

    def _too_large(self) -> ProblemError:
        return ProblemError(
            "body-too-large",
            f"at most {self._most_bytes} bytes are taken, before and after decompression",
            close=True,
        )


async def _continue(request: web.BaseRequest) -> None:
    """Answer a sender that waits for it (Expect: 100-continue), so that it sends the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version.minor:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # aiohttp would take the line for the begin of an answer

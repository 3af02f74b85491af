"""Requests as exact bytes on a connection of their own."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

from tests.gateway.served import Answer

WITHIN_S = 20


async def opened(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = urlsplit(url)
    return await asyncio.open_connection(place.hostname, place.port)


async def exchange(url: str, data: bytes) -> Answer:
    """Send the bytes and return the answer."""
    reader, writer = await opened(url)
    try:
        writer.write(data)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        return await answer_of(reader)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def answer_of(reader: asyncio.StreamReader) -> Answer:
    """Read one answer. Status 0: the connection was closed without one."""
    async with asyncio.timeout(WITHIN_S):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return Answer(0, {}, b"")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.title(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("Content-Length", "0")))
        return Answer(int(first.split()[1]), headers, body)

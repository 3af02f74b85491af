"""Connections that do not finish their request are closed, and malformed requests leave no bytes in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest

from agents.telemetry import connections
from agents.telemetry.http import Server
from tests.agents.stand_in import stand_in

SETTINGS = "[worker]\nhttp_port = 0\n"
PART = b"GET /metrics HTTP/1.1\r\nHost: here\r\n"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = await stand_in(SETTINGS).own(0, 1, 2, 3).serve()
    yield running
    await running.close()


async def opened(server: Server, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    writer.write(sent)
    await writer.drain()
    return reader, writer


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Return whether the server closes the connection, without an answer, within some seconds."""
    async with asyncio.timeout(10):
        return await reader.read() == b""


async def ready(server: Server) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/-/ready") as response:
        return response.status


@pytest.mark.parametrize("sent", [b"", PART], ids=["nothing", "a part of a request"])
async def test_a_connection_without_a_whole_request_is_closed(
    server: Server, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.2)
    reader, writer = await opened(server, sent)
    assert await is_closed(reader)
    writer.close()
    assert await ready(server) == 200


async def test_so_is_one_that_stops_in_the_middle_of_its_second_request(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 0.2)
    reader, writer = await opened(server, PART + b"\r\n" + PART)
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await reader.read()  # up to the end that the server makes
    writer.close()


async def test_many_connections_that_wait_are_closed_beyond_a_bound_the_oldest_first(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST", 5)
    some = [await opened(server, PART) for _ in range(12)]
    for reader, _ in some[:7]:
        assert await is_closed(reader)
    assert await ready(server) == 200
    reader, writer = some[-1]
    writer.write(b"Connection: close\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
    for _, writer in some:
        writer.close()


async def test_a_connection_that_is_kept_for_the_next_scrape_stays(server: Server) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(f"{server.url}/-/ready") as response:
                assert response.status == 200
            await asyncio.sleep(0.6)  # longer than the watch waits between two looks
        assert len(server._runner.server.connections) == 1  # type: ignore[union-attr]  # it is open


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03 secret-4915112345678\r\n\r\n",
        b"GET / secret-4915112345678\r\n\r\n",
        b"GET /secret-4915112345678 HTTP/9.9\r\n\r\n",
    ],
)
async def test_a_malformed_request_is_refused_and_its_bytes_are_not_logged(
    server: Server, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reader, writer = await opened(server, sent)
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.")
    writer.close()
    assert "secret" not in caplog.text
    assert "Traceback" not in caplog.text

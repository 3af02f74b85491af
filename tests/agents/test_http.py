from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from agents.suspension import SuspendedError
from agents.telemetry import http
from agents.telemetry.health import Health
from tests.agents.stand_in import StandIn, eventually, stand_in

SETTINGS = '[worker]\nhttp_port = 0\nid = "w-1"\n[[managers]]\nid = "ann"\n'
PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture
def worker() -> StandIn:
    return stand_in(SETTINGS).own(0, 1, 2, 3)


@pytest.fixture
async def server(worker: Any) -> AsyncIterator[http.Server]:
    running = await worker.serve()
    yield running
    await running.close()


@pytest.fixture
async def client(server: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, auto_decompress=False) as session:
        yield session


class TestMetrics:
    async def test_it_answers_with_the_text_format(self, client: Any) -> None:
        async with client.get("/metrics", headers=PLAIN) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert "Content-Encoding" not in response.headers
            body = await response.read()
        assert b'callpulse_calls_in_progress{manager="ann",team="unassigned"} 0\n' in body

    @pytest.mark.parametrize("accepted", ["gzip", "deflate, GZIP;q=0.5", "*", "gzip;q=1.0, identity;q=0"])
    async def test_it_is_packed_for_whoever_can_unpack_it(self, client: Any, accepted: str) -> None:
        async with client.get("/metrics", headers={"Accept-Encoding": accepted}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(await response.read()).startswith(b"# HELP callpulse_calls ")

    @pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", "br, gzip; q=0.0", ""])
    async def test_and_for_nobody_else(self, client: Any, accepted: str) -> None:
        async with client.get("/metrics", headers={"Accept-Encoding": accepted}) as response:
            assert (await response.read()).startswith(b"# HELP callpulse_calls ")

    async def test_scrapes_that_come_while_one_is_written_share_it(
        self, server: Any, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written, gate = 0, asyncio.Event()

        async def text(now_ms: int) -> bytes:
            nonlocal written
            written += 1
            await gate.wait()
            return b"number %d at %d" % (written, now_ms)

        monkeypatch.setattr(server.exposition, "text", text)

        async def scrape() -> bytes:
            async with client.get("/metrics", headers=PLAIN) as response:
                return bytes(await response.read())

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            scrapes = [group.create_task(scrape()) for _ in range(3)]
            await eventually(lambda: len(server._runner.server.connections) == 3)
            gate.set()
        assert len({task.result() for task in scrapes}) == 1
        assert (await scrape()).startswith(b"number 2")

    async def test_a_scraper_that_hangs_up_does_not_end_the_scrape_of_another(
        self, server: Any, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, gate = asyncio.Event(), asyncio.Event()

        async def text(_: int) -> bytes:
            begun.set()
            await gate.wait()
            return b"told"

        monkeypatch.setattr(server.exposition, "text", text)
        _, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        async with asyncio.timeout(10):
            await begun.wait()
            writer.close()
            await writer.wait_closed()
            other = asyncio.create_task(client.get("/metrics", headers=PLAIN))
            await eventually(lambda: len(server._runner.server.connections) == 1)
            gate.set()
            async with await other as response:
                assert await response.read() == b"told"


class TestHealth:
    async def test_a_worker_that_does_its_work_is_healthy_and_ready(self, client: Any) -> None:
        async with client.get("/-/healthy") as response:
            assert response.status == 200
            assert await response.json() == {"healthy": True, "stalled": []}
        async with client.get("/-/ready") as response:
            assert response.status == 200
            assert (await response.json())["ready"] is True

    async def test_one_that_restores_is_healthy_and_says_what_it_waits_for(self, worker: Any, client: Any) -> None:
        worker.assign(0, 1)
        async with client.get("/-/healthy") as response:
            assert response.status == 200
        async with client.get("/-/ready") as response:
            assert response.status == 503
            assert "table managers: 0% of 2 partitions restored" in (await response.json())["waiting_for"]

    async def test_one_that_stalls_names_the_partition(
        self, server: Any, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = {"healthy": False, "stalled": [{"topic": "calls", "partition": 3}]}
        monkeypatch.setattr(server.health, "liveness", lambda: told)
        async with client.get("/-/healthy") as response:
            assert response.status == 503
            assert await response.json() == told

    async def test_a_watch_that_breaks_ends_the_worker(self, worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        async def broken(_: object) -> None:
            raise ValueError("broken")

        monkeypatch.setattr(Health, "watch", broken)
        server = await worker.serve()
        await eventually(lambda: bool(worker.failures))
        await server.close()
        assert str(worker.failures[0]) == "broken"


class TestSuspended:
    @pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/"])
    async def test_nothing_is_answered_after_a_pause_that_outlasts_the_membership(
        self, worker: Any, server: Any, client: Any, path: str
    ) -> None:
        real = server.suspension._clock
        server.suspension._clock = lambda: real() + 7.5  # as if the last beat had been before the pause
        async with client.get(path) as response:
            assert response.status == 503
            assert "another worker's" in await response.text()
        (error,) = worker.failures
        assert isinstance(error, SuspendedError)

    async def test_a_pause_in_the_middle_of_a_scrape_counts_too(
        self, worker: Any, server: Any, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def text(_: int) -> bytes:
            real = server.suspension._clock
            server.suspension._clock = lambda: real() + 7.5
            return b"stale"

        monkeypatch.setattr(server.exposition, "text", text)
        async with client.get("/metrics", headers=PLAIN) as response:
            assert response.status == 503
            assert b"stale" not in await response.read()
        assert len(worker.failures) == 1

    async def test_a_pause_within_the_membership_is_forgiven(self, worker: Any, server: Any, client: Any) -> None:
        real = server.suspension._clock
        server.suspension._clock = lambda: real() + 5
        async with client.get("/metrics") as response:
            assert response.status == 200
        assert worker.failures == []


class TestServer:
    async def test_the_first_page_leads_to_all_others(self, client: Any) -> None:
        async with client.get("/") as response:
            assert response.status == 200
            page = await response.text()
        assert "worker w-1" in page
        for path in ("/metrics", "/-/healthy", "/-/ready"):
            assert f'href="{path}"' in page
            async with client.get(path) as response:
                assert response.status == 200

    async def test_what_is_not_there_is_404(self, client: Any) -> None:
        async with client.get("/nothing") as response:
            assert response.status == 404

    async def test_a_port_that_is_taken_is_told_with_the_way_out(self, server: Any) -> None:
        port = int(server.url.rsplit(":", 1)[1])
        other = stand_in(SETTINGS.replace("http_port = 0", f"http_port = {port}"))
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*worker\.http_port"):
            await other.serve()
        assert other.failures == []

    async def test_its_url_is_where_it_listens(self) -> None:
        of = stand_in('[worker]\nhttp_port = 0\nhttp_host = "::1"\n')
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::1", 0))
            except OSError:
                pytest.skip("this machine has no IPv6")
        server = await of.serve()
        assert server.url.startswith("http://[::1]:")
        async with aiohttp.ClientSession() as session, session.get(server.url + "/-/healthy") as response:
            assert response.status == 200
        await server.close()

    async def test_after_closing_the_port_is_free(self, worker: Any) -> None:
        server = await worker.serve()
        host, port = server.url.removeprefix("http://").split(":")
        thread = server.suspension._thread
        await server.close()
        assert thread is not None
        await eventually(lambda: not thread.is_alive())
        with pytest.raises(OSError, match="onnect"):
            await asyncio.open_connection(host, int(port))

"""The demo's Bitrix24: a portal on the loopback in which a department of its own works.

`callpulse gateway` polls it by an incoming webhook. The portal posts the ends of calls, and rings for deals, by an
outgoing one. The poll delivers the events that are lost there.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Final

import aiohttp
import msgspec
import orjson
from aiohttp import web

from streams.contract.decoding import Decoder
from streams.contract.events import Event, Rejection
from streams.settings.access import hashed
from streams.settings.settings import Manager, load
from streams.simulator import Department, FaultRates, Record, simulate
from streams.simulator.rendering import bitrix24_rest
from streams.simulator.rendering.bitrix24 import Bitrix24, Notice, stage_id
from streams.simulator.rendering.phone_book import PhoneBook
from streams.units import DAY_MS

MANAGERS: Final = 5
QUEUE: Final = "portal"
"""The queue of calls without a manager: no team of the demo's other department has this name."""
_MOST_DAYS: Final = 1.0
_HORIZON_MS: Final = 30 * DAY_MS
_ANSWER_S: Final = 10.0


class DemoPortal:
    """A portal with `days` of history, a day at most. The port is taken at once; `working` answers at it.

    Live, its people call `intensity` times as much, and they began `warm_up_ms` before the start.
    """

    def __init__(self, seed: int, days: float, intensity: float, warm_up_ms: int) -> None:
        self._department = _department(seed)
        settings = self._department.settings
        self._bitrix24 = Bitrix24(settings.managers, PhoneBook(settings.managers))
        self._days, self._intensity, self._warm_up_ms = min(days, _MOST_DAYS), intensity, warm_up_ms
        self._code, self._token, self._application_token = (secrets.token_hex(12) for _ in range(3))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._decoder: Decoder[Event] = Decoder("calls", "crm")
        self._stop = asyncio.Event()
        self._live: asyncio.Task[None] | None = None
        host, port = self._socket.getsockname()
        self.url = f"http://{host}:{port}"
        self.taken: list[Record] = []
        """The records of the department until now, from the simulator."""
        self.requests = self.posted = 0

    @property
    def managers(self) -> Mapping[str, Manager]:
        """The managers who are its users, by id."""
        return self._department.settings.managers

    def counts(self) -> dict[str, int]:
        """Return the number of the portal's entries, of requests to it and of its posts, for the report."""
        shown = self._bitrix24
        return {
            "calls": shown.calls, "deals": shown.deals, "changes": shown.changes, "requests": self.requests,
            "posted": self.posted,
        }  # fmt: skip

    def text(self) -> str:
        """Return the settings with which the gateway reaches it, and the managers who are its users."""
        stages = "\n".join(f'"{stage_id(stage)}" = "{stage}"' for stage in self._department.settings.results.stages)
        return f"""
{self._bitrix24.roster(self._department.text)}
[sources.bitrix24]
webhook = "{self.url}{self._path}"
tokens = ["{hashed(self._token)}"]
application_token = "{self._application_token}"
queue = "{QUEUE}"
every = "10s"
since = "2d"

[sources.bitrix24.stages]
{stages}
"""

    @property
    def _path(self) -> str:
        return f"/rest/1/{self._code}/"

    def close(self) -> None:
        """Give the port back, if it was never used."""
        self._socket.close()

    @contextlib.asynccontextmanager
    async def working(self, gateway: str) -> AsyncIterator[None]:
        """Fill in the history, then answer, and go on live; the outgoing webhook posts to `gateway`."""
        now_ms = int(time.time() * 1000)
        records = self._records(now_ms)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        first = self._history(records, now_ms)
        await web.SockSite(runner, self._socket).start()
        self._live = asyncio.create_task(self._go_on(first, records, f"{gateway}/hooks/bitrix24/{self._token}"))
        try:
            yield
        finally:
            self._live.cancel()
            await asyncio.gather(self._live, return_exceptions=True)
            await runner.cleanup()

    async def finish(self) -> None:
        """Stop the department. The portal still answers."""
        self._stop.set()
        if self._live is not None:
            await self._live

    def _records(self, now_ms: int) -> Iterator[Record]:
        """Return the records: the history in its usual rhythm, then live with the demo's intensity."""
        none, department = FaultRates.none(), self._department
        history = simulate(department, now_ms - int(self._days * DAY_MS), now_ms, faults=none, crm=True)
        live = simulate(
            department,
            now_ms - self._warm_up_ms,
            now_ms + _HORIZON_MS,
            faults=none,
            intensity=self._intensity,
            crm=True,
        )
        return heapq.merge(history, live, key=attrgetter("due_ms"))

    def _history(self, records: Iterator[Record], now_ms: int) -> Record | None:
        """Take the records before now, and return the next one."""
        for record in records:
            if record.due_ms > now_ms:
                return record
            self._take(record)
        return None

    async def _go_on(self, first: Record | None, records: Iterator[Record], hook: str) -> None:
        """Take each record when it is due, and post the portal's notices of it."""
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for record in [] if first is None else _with(first, records):
                left_s = record.due_ms / 1000 - time.time()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), max(0.0, left_s))
                if self._stop.is_set():
                    return
                for notice in self._take(record):
                    await self._post(session, hook, notice)

    def _take(self, record: Record) -> list[Notice]:
        event = self._decoder.decode(record.value)
        if isinstance(event, Rejection):
            return []
        self.taken.append(record)
        return self._bitrix24.take(event)

    async def _post(self, session: aiohttp.ClientSession, hook: str, notice: Notice) -> None:
        """Post once, as the real portal does: the poll delivers a notice that is not taken."""
        form = {
            "event": notice.event,
            **notice.data,
            "ts": str(int(time.time())),
            "auth[application_token]": self._application_token,
        }
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with session.post(hook, data=form) as answer:
                self.posted += answer.ok

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path != self._path + "batch.json":
            return _json({"error": "INVALID_CREDENTIALS"}, 401)
        self.requests += 1
        try:
            commands = msgspec.json.decode(await request.read(), type=_Batch).cmd
            return _json(bitrix24_rest.batch(commands, self._run))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            return _json({"error": "ERROR_ARGUMENT"}, 400)

    def _run(self, method: str, parameters: dict[str, bitrix24_rest.Parameter]) -> object:
        return bitrix24_rest.call(method, parameters, self._bitrix24.rows)


class _Batch(msgspec.Struct):
    cmd: dict[str, str] = {}


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


def _with(first: Record, rest: Iterable[Record]) -> Iterator[Record]:
    yield first
    yield from rest


def _department(seed: int) -> Department:
    """Return a small department whose names differ from those of the demo's other department."""
    invented = Department.make(seed, MANAGERS, 1, always=True)
    text = invented.text.replace('id = "', 'id = "portal-').replace('team = "', 'team = "portal-')
    made = Department.from_settings(load(text, {}), seed, always=True)
    return msgspec.structs.replace(made, text=text)

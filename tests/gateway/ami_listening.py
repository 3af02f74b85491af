"""A listener that runs beside a test, and its settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from agents.gateway.ami import AmiSource
from agents.gateway.live import LiveListener
from streams.settings.settings import Secret, load
from streams.sources.asterisk import AsteriskMapping
from streams.sources.asterisk.access import AmiAccess
from streams.sources.asterisk.session import AmiSession
from streams.sources.registry import SOURCES
from tests.gateway.ami_server import Account, AmiServer
from tests.gateway.fake_sink import FakeSink

FIXTURES: Final = Path(__file__).parents[1] / "fixtures" / "asterisk"
MAPPING: Final = load((FIXTURES / "callpulse.toml").read_text(), {}, SOURCES).source(AsteriskMapping)
PLAIN: Final = AsteriskMapping()
SECRET: Final = b"a secret of the tests, long enough"


def mapping(server: AmiServer, base: AsteriskMapping = PLAIN, **settings: Any) -> AsteriskMapping:
    """Return settings for a server of the tests: `base` with the access to it."""
    account = Account()
    access = {
        "host": "127.0.0.1",
        "port": server.port,
        "username": account.username,
        "secret": Secret(account.secret),
        **settings,
    }
    return msgspec.structs.replace(base, ami=AmiAccess(**access))


@contextlib.asynccontextmanager
async def listening(
    server: AmiServer,
    sink: FakeSink,
    *,
    base: AsteriskMapping = PLAIN,
    clock: Callable[[], int] | None = None,
    **settings: Any,
) -> AsyncIterator[LiveListener[AmiSession]]:
    """Run a listener; at the end, stop it and check that everything was stored."""
    more: dict[str, Any] = {} if clock is None else {"clock": clock}
    source = AmiSource(mapping(server, base, **settings), SECRET)
    listener = LiveListener(source, sink, refused_delay_s=0.2, **more)
    stop = asyncio.Event()
    running = asyncio.create_task(listener.run(stop))
    try:
        yield listener
        stop.set()
        assert await running == 0
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def at_once(monkeypatch: Any) -> None:
    """Let a listener connect again without the usual delay."""
    monkeypatch.setattr("agents.gateway.live.FIRST_DELAY_S", 0.01)

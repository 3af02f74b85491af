"""One worker process: the application, its HTTP port and its signals, from start to an orderly end."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import signal
import sys
from collections.abc import Callable
from typing import Final

from yarl import URL

from agents.app import Callpulse, create_app
from agents.core import Fail, leave
from agents.kafka.settings_log import agree
from agents.telemetry import http
from agents.telemetry.health import background
from streams.settings.settings import Settings

log = logging.getLogger("callpulse")

START_DEADLINE_S: Final = 20.0
STOP_DEADLINE_S: Final = 30.0
# Faust fetches in a thread of its own, which at Python's default of 5 ms waits longer for its turn than for Kafka.
_SWITCH_S: Final = 0.001
_M_ARENA_MAX: Final = -8  # malloc.h


async def run(
    settings: Settings,
    *,
    on_ready: Callable[[str], None] | None = None,
    fail: Fail = leave,
    accept: bool = False,
) -> int:
    """Run a worker until SIGTERM or SIGINT; return the exit code.

    `on_ready` is called with the base URL of the worker's HTTP port once that answers; `/-/ready` says when the tables
    are whole. `accept` goes on with tables that were made by other settings. Raise MeaningChangedError for such tables,
    KafkaUnusableError, OSError for a port that cannot be had, and for rows on disk that another worker has.
    """
    await agree(settings, accept=accept)
    sys.setswitchinterval(_SWITCH_S)
    _bound_arenas()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = create_app(settings, fail=fail)
    core = app.callpulse
    core.open_stores()
    server = await http.serve(core, settings)
    # Told to the group with every assignment: so workers find each other.
    app.conf.canonical_url = URL(server.attention.own_url)
    tasks = [asyncio.create_task(work) for work in background(core)]
    for task in tasks:
        task.add_done_callback(lambda done: _fail_if_broken(done, fail))
    try:
        if on_ready is not None:
            on_ready(server.url)
        starting = asyncio.create_task(app.start())
        starting.add_done_callback(lambda done: _fail_if_broken(done, fail))
        ended = asyncio.create_task(app.wait_until_stopped())
        await asyncio.wait({ended, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            fail(core.crashed_service() or RuntimeError("the application stopped by itself; its log says why"))
            return 1
        # Faust can be stopped only once it has started: before, it would wait for its own thread for ever.
        await asyncio.wait({starting}, timeout=START_DEADLINE_S)
        await _finish(app, fail)
        return 0
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.close()


def _bound_arenas() -> None:
    """Let glibc keep freed memory in two places, not in one for each of RocksDB's threads: tens of MiB less."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)


async def _finish(app: Callpulse, fail: Fail) -> None:
    """Fold no more, make durable what was folded, and let the group know. What hangs ends the process."""
    log.info("stopping: writing the last checkpoint")
    core = app.callpulse
    core.stopping = True
    try:
        async with asyncio.timeout(STOP_DEADLINE_S):
            if app.consumer is not None and core.tables_owned:
                # First no more folding, then the checkpoint of what was folded: nothing comes between.
                offsets = core.freeze()
                await core.run_checkpoint(offsets)
            core.release_all()
            await app.stop()
    except TimeoutError:
        fail(TimeoutError(f"the worker did not stop within {STOP_DEADLINE_S:g} s"))


def _fail_if_broken(task: asyncio.Task[None], fail: Fail) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        fail(error)

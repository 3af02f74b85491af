"""One worker process: the application, its HTTP port and its signals, from start to an orderly end."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

from yarl import URL

from agents.app import Worker, create_worker
from agents.exit import Fail, abort, leave
from agents.gc_tuning import collect_in_short_steps
from agents.kafka import reconciliations
from agents.kafka.clients import DENIED, KafkaUnusableError, put_into_words
from agents.kafka.internals import check_internals
from agents.kafka.settings_log import agree
from agents.kafka.topic_ids import watch_topics
from agents.speech import SpeechAgent
from agents.suspension import SuspensionDetector, watch_loop
from agents.telemetry.attention import AttentionList
from agents.telemetry.exposition import Exposition
from agents.telemetry.gauges import Gauges
from agents.telemetry.health import Health
from agents.telemetry.http import Server
from agents.telemetry.managers import OUTCOMES, Managers
from agents.telemetry.reconciliations import ReconciliationLines
from agents.web.client import web_client
from streams.settings.settings import Kafka, Settings
from streams.sources.reconciled import Ledger

log = logging.getLogger("callpulse")

STOP_DEADLINE_S: Final = 30.0
# Faust fetches in a thread of its own. At Python's default of 5 ms it waits longer for the interpreter than for Kafka.
_SWITCH_S: Final = 0.001
_LOOK_EVERY_S: Final = 0.2
_M_ARENA_MAX: Final = -8  # malloc.h


async def run(
    settings: Settings,
    *,
    on_ready: Callable[[str], None] | None = None,
    fail: Fail = abort,
    leave: Callable[[], None] = leave,
    accept: bool = False,
) -> int:
    """Run a worker until SIGTERM or SIGINT; return the exit code.

    `on_ready` is called with the base URL of the worker's HTTP port once that answers; `/-/ready` answers 200 once the
    tables are restored. `accept` continues with tables that were made by other settings. Raise MeaningChangedError for
    such tables, KafkaUnusableError, IncompatibleLibraryError, and OSError for a port that is taken, for a web file that
    cannot be used, and for rows on disk that another worker uses.
    """
    check_internals()
    fail = in_words(fail, settings.kafka)
    agreed = await agree(settings, accept=accept)
    sys.setswitchinterval(_SWITCH_S)
    _bound_arenas()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    worker = create_worker(settings, fail, agreed.topics, named_facts=agreed.named_facts, deal_rows=agreed.deal_rows)
    app = worker.app
    worker.state.open_stores()
    ledger = Ledger()
    server = create_server(worker, ledger)
    await server.open()
    # The group's assignments carry it, so that workers find each other.
    app.conf.canonical_url = URL(server.attention.own_url)
    ids = {name: topic.id for name, topic in agreed.topics.items() if topic.id}
    background = (
        watch_loop(worker.metrics.histogram("loop_stall_seconds")),
        collect_in_short_steps(),
        watch_topics(settings.kafka, ids, fail),
        reconciliations.follow(settings.kafka, ledger),
    )
    tasks = [asyncio.create_task(work) for work in background]
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
            fail(app.crash_error() or RuntimeError("the application stopped by itself; its log says why"))
            return 1
        await _finish(worker, leave)
        return 0
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.close()


def in_words(fail: Fail, kafka: Kafka) -> Fail:
    """Return `fail` for errors of which those about access rights are put into words, with the remedy."""

    def fail_in_words(error: BaseException) -> None:
        fail(KafkaUnusableError(put_into_words(error, kafka)) if isinstance(error, DENIED) else error)

    return fail_in_words


def _talking_ms(worker: Worker) -> Callable[[bytes, int], int]:
    """Return the function that gives the time that a manager has talked in a call in progress."""
    speech = worker.agents.get("transcripts")
    return speech.talking_ms if isinstance(speech, SpeechAgent) else lambda _manager, _now_ms: 0


def create_server(worker: Worker, ledger: Ledger | None = None) -> Server:
    """Return the HTTP server of a worker, with the sources of its answers; it does not listen yet.

    `ledger` holds the results of reconciliations.
    """
    settings, state, kafka = worker.settings, worker.state, worker.settings.kafka
    managers = Managers(
        settings, state.tables, worker.partition_for, lambda: worker.session.is_over, _talking_ms(worker)
    )
    gauges = Gauges(worker.metrics, state, worker.lag, worker.recovery, managers, worker.session)
    return Server(
        settings.worker,
        exposition=Exposition(
            managers,
            gauges,
            worker.metrics.registry,
            ReconciliationLines(ledger or Ledger(), worker.partition_for),
        ),
        attention=AttentionList(
            managers,
            state.tables[OUTCOMES],
            partition_for=worker.partition_for,
            partitions=kafka.partitions,
            owners=worker.app.assignor.tables_metadata,
            links=settings.links,
            client=web_client(settings.worker.web_client),
        ),
        health=Health(
            settings.worker,
            state=state,
            tracker=worker.tracker,
            lag=worker.lag,
            recovery=worker.recovery,
            fail=worker.fail,
        ),
        # The session begins with the last heartbeat that arrived, which may have been one interval ago.
        suspension=SuspensionDetector((kafka.session_timeout_ms - kafka.heartbeat_interval_ms) / 1000, worker.fail),
        watch_lag=worker.lag.ask,
        fail=worker.fail,
    )


def _bound_arenas() -> None:
    """Let glibc keep freed memory in two arenas, not in one for each thread of RocksDB. It saves tens of MiB."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)


async def _finish(worker: Worker, leave: Callable[[], None]) -> None:
    """Fold no more, make durable what was folded, and leave the group.

    Without Kafka that would hang: then `leave` is called, and the records since the last checkpoint are folded again.
    `leave` is also called while the worker owns no partition: no record is folded, and Faust can be stopped only once
    it has started. A stop that hangs for another reason ends the process.
    """
    worker.recovery.stopping = True
    if not worker.state.owns_any:
        log.info("stopping: this worker owns no partition yet")
        worker.state.close_stores()
        leave()
        return
    log.info("stopping: writing the last checkpoint")
    stopping = asyncio.create_task(_stop(worker))
    deadline = time.monotonic() + STOP_DEADLINE_S
    while not stopping.done():
        await asyncio.wait({stopping}, timeout=_LOOK_EVERY_S)
        if stopping.done():
            break
        if worker.session.is_silent:
            log.warning("stopped without a last checkpoint: Kafka does not answer; the records since are folded again")
            leave()
            break
        if time.monotonic() > deadline:
            worker.fail(TimeoutError(f"the worker did not stop within {STOP_DEADLINE_S:g} s"))
            break
    if not stopping.done():
        stopping.cancel()
        return
    stopping.result()


async def _stop(worker: Worker) -> None:
    # First no more folding, then the checkpoint of what was folded: nothing comes between.
    offsets = worker.tracker.freeze()
    await worker.state.run_checkpoint(offsets)
    worker.state.release_all()
    await worker.app.stop()


def _fail_if_broken(task: asyncio.Task[None], fail: Fail) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        fail(error)

"""The demo as it runs: what is started in which order, what is fed in, how it is watched, compared and taken down."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from msgspec import Struct
from msgspec.structs import replace

from agents.cli.common import FAILED, UserError, say
from agents.cli.demo.children import Child, start_worker
from agents.cli.demo.companions import ROOT, companions
from agents.cli.demo.probe import Probe
from agents.cli.demo.verdict import mismatches
from agents.cli.replay import read_sessions
from agents.cli.scrape import Scrape, fetch_all, samples
from agents.cli.simulate import Pending, records, stop_on_signals
from agents.cli.top import watch
from agents.cli.top.board import View
from agents.embedded import EmbeddedKafka
from agents.kafka import admin
from agents.kafka.feeder import Feeder
from agents.kafka.producer import BatchProducer
from streams.contract import topics
from streams.contract.events import encode
from streams.settings.settings import Settings, load
from streams.simulator import Department, FaultRates, Truth
from streams.sources.asterisk import AsteriskMapping
from streams.sources.registry import SOURCES
from streams.units import DAY_MS

RECORDINGS: Final = ROOT / "tests" / "fixtures" / "ami"
WARM_UP_MS: Final = 180_000
"""Nobody dials in the first minute at the desk: the live department has been there for a while when it goes live."""
SETTLE_DEADLINE_S: Final = 120.0
_EXAMPLES: Final = 20
_PRODUCED: Final = (topics.CALLS.name, topics.CRM.name)
_BAD: Final = ((b"nobody", b"this is no JSON"), (b"nobody", b'{"v": 1, "type": "call.imagined"}'))
_COUNTERS: Final = {
    "applied": "events_applied_total",
    "duplicates": "duplicates_total",
    "late": "late_total",
    "rejected": "rejected_total",
}


class Plan(Struct, frozen=True, kw_only=True):
    """The options of the command line."""

    seconds: float | None
    managers: int
    days: float
    intensity: float
    seed: int
    board: bool


class Place(NamedTuple):
    """Where everything is, once it runs."""

    settings: Settings
    department: Department
    worker: Child
    url: str
    addresses: dict[str, str]

    @property
    def metrics(self) -> str:
        """The URL to scrape."""
        return f"{self.url}/metrics"


def perform(plan: Plan) -> dict[str, Any]:
    """Run the demo and return the report. Raises KeyboardInterrupt, with everything taken down, on Ctrl-C."""
    with _set_up(plan) as place:
        _introduce(place)
        return asyncio.run(_live(plan, place))


@contextlib.contextmanager
def _set_up(plan: Plan) -> Iterator[Place]:
    """Start what is needed, and take it down in the end, whatever happens meanwhile."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="callpulse-demo-"))
    with contextlib.ExitStack() as stack:
        for number, handler in before:
            stack.callback(signal.signal, number, handler)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        say("starting Kafka")
        kafka = stack.enter_context(EmbeddedKafka())
        department = Department.make(plan.seed, plan.managers, max(1, min(5, plan.managers // 4)), always=True)
        text = department.toml() + _installation(kafka.bootstrap, folder)
        config = folder / "callpulse.toml"
        config.write_text(text, encoding="utf-8")
        settings = load(text, {}, SOURCES)
        asyncio.run(admin.create(settings.kafka))
        say("starting a worker")
        worker, url = start_worker(config, folder / "worker.log")
        stack.callback(worker.stop)
        addresses = stack.enter_context(companions(folder, url))
        stack.callback(_do_not_disturb)  # runs first
        yield Place(settings, department, worker, url, addresses)


def _do_not_disturb() -> None:
    """Take everything down in peace: a second Ctrl-C would leave half of it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    say("taking everything down")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _installation(bootstrap: str, folder: Path) -> str:
    """Return the settings of the demo's own Kafka and worker, to stand behind the roster."""
    return f"""
[kafka]
bootstrap = "{bootstrap}"

[worker]
id = "demo"
data_dir = {orjson.dumps(str(folder / "data")).decode()}
http_port = 0

[privacy]
lead_secret = "{secrets.token_hex(16)}"
region = "DE"

[sources.asterisk]
default_queue = "pbx"
"""


def _introduce(place: Place) -> None:
    say(f"  Kafka      {place.settings.kafka.bootstrap}")
    say(f"  metrics    {place.metrics}")
    for name, address in place.addresses.items():
        say(f"  {name:10} {address}")


async def _live(plan: Plan, place: Place) -> dict[str, Any]:
    """Feed everything in, watch, and compare if the demo is to end by itself."""
    truth = Truth(place.department.settings)
    now_ms = int(time.time() * 1000)
    probe = Probe(place.metrics, topics.CALLS.name)
    async with BatchProducer(place.settings.kafka) as producer:
        others = await _feed_recordings(place, producer, now_ms)

        def sent(record: Pending) -> None:
            record.sent()
            if caught_up.is_set() and record.topic == topics.CALLS.name:
                probe.sent(record)

        caught_up = asyncio.Event()
        feeder: Feeder[Pending] = Feeder(producer, on_sent=sent)
        stop_on_signals(feeder)
        feeding = asyncio.create_task(feeder.run(_work(plan, place.department, truth, now_ms)))
        watching = asyncio.create_task(_watch(plan, place, feeder))
        measuring = asyncio.create_task(probe.run())
        timing = asyncio.create_task(_stop_after(plan.seconds, place, feeder, caught_up))
        try:
            await _until_fed(feeding, place, feeder)
            interrupted = not timing.done() or plan.seconds is None
        finally:
            for task in (watching, measuring, timing):
                task.cancel()
            await asyncio.gather(watching, measuring, timing, return_exceptions=True)
    if interrupted and plan.seconds is not None:
        raise KeyboardInterrupt
    say(f"{feeder.sent + others} records sent")
    scrape, wrong = (await _compare(place, truth)) if not interrupted else (await _scrape(place), [])
    return _report(place, scrape, wrong, produced=feeder.sent + others, probe=probe)


def _work(plan: Plan, department: Department, truth: Truth, now_ms: int) -> Iterator[Pending]:
    """Return the records of the department: its history in its usual rhythm, then live with the plan's intensity.

    Calls that began before now end later, and late events of the history arrive live.
    """
    # History of weeks arrives within seconds: too fast to derive a second leg from the transfer alone. So the history
    # loses no starts.
    history_faults = FaultRates(lost_starts=0.0)
    history = records(department, now_ms - int(plan.days * DAY_MS), now_ms, truth, history_faults)
    live = records(department, now_ms - WARM_UP_MS, None, truth, FaultRates(), plan.intensity)
    return heapq.merge(history, live, key=attrgetter("due_ms"))


async def _feed_recordings(place: Place, producer: BatchProducer, now_ms: int) -> int:
    """Send the recorded sessions as if they had just happened, and two records that are no events."""
    count = 0
    files = sorted(path for path in RECORDINGS.glob("*.json") if path.name != "peer_expected.json")
    if not files:
        say("The recorded sessions of a PBX are not part of the package, and are left out; the source folder has them.")
    privacy = place.settings.privacy
    mapping = replace(place.settings.source(AsteriskMapping), manager_prefix="pbx-")
    for session in read_sessions(files, mapping, privacy.lead_secret.reveal().encode(), now_ms):
        for event in session.events:
            manager: str = getattr(event, "manager")  # noqa: B009 - every event of this topic has one
            await producer.add(topics.CALLS.name, manager.encode(), encode(event))
            count += 1
    for key, value in _BAD:
        await producer.add(topics.CALLS.name, key, value)
    await producer.flush()
    say(
        f"{count} events of {len(files)} recorded sessions of a PBX are in Kafka, and {len(_BAD)} records that are none"
    )
    return count + len(_BAD)


async def _until_fed(feeding: asyncio.Task[None], place: Place, feeder: Feeder[Pending]) -> None:
    """Wait until nothing more is fed in. Raises UserError if the worker ends meanwhile."""
    while not feeding.done():
        await asyncio.wait({feeding}, timeout=0.5)
        if not place.worker.running:
            feeder.stop.set()
            await asyncio.wait({feeding})
            raise UserError(f"the worker ended. It said last:\n{place.worker.tail()}", FAILED)
    await feeding


async def _stop_after(seconds: float | None, place: Place, feeder: Feeder[Pending], caught_up: asyncio.Event) -> None:
    """Say when the worker has read the history; from then on it is live, for so many seconds."""
    await feeder.live.wait()
    while _lag(await _scrape(place)) != 0:  # noqa: ASYNC110 - the worker is another process, there is no event of it
        await asyncio.sleep(0.5)
    caught_up.set()
    if seconds is not None:
        await asyncio.sleep(seconds)
        feeder.stop.set()


async def _watch(plan: Plan, place: Place, feeder: Feeder[Pending]) -> None:
    """Show the board, or say now and then how it goes where there is no terminal for it."""
    if plan.board and sys.stdout.isatty():
        view = View(place.settings.thresholds, place.settings.managers, f"callpulse demo   {place.metrics}")
        await watch([place.metrics], view, interval_s=1.0)
        return
    while True:
        say(f"{feeder.sent} records sent{', live' if feeder.live.is_set() else ' of the history'}")
        await asyncio.sleep(10)


async def _compare(place: Place, truth: Truth) -> tuple[Scrape, list[str]]:
    """Return the last scrape and what is wrong in it; looks again until nothing is, or the deadline has passed."""
    say("comparing every figure with what the simulator knows")
    deadline = time.monotonic() + SETTLE_DEADLINE_S
    while True:
        scrape = await _scrape(place)
        wrong = mismatches(scrape, truth) if _lag(scrape) == 0 else ["the worker is still reading"]
        if not wrong or time.monotonic() > deadline:
            return scrape, wrong
        await asyncio.sleep(1)


def _lag(scrape: Scrape) -> float | None:
    """Return how many records the worker has yet to read, None while it does not know."""
    lags = [sample.value for sample in samples(scrape.text, ("lag_records",))]
    return sum(lags) if lags else None


async def _scrape(place: Place) -> Scrape:
    scrape = (await fetch_all([place.metrics]))[0]
    if scrape.error and not place.worker.running:
        raise UserError(f"the worker ended. It said last:\n{place.worker.tail()}", FAILED)
    return scrape


def _report(place: Place, scrape: Scrape, wrong: list[str], *, produced: int, probe: Probe) -> dict[str, Any]:
    totals = dict.fromkeys(_COUNTERS, 0)
    managers = set()
    for sample in samples(scrape.text, {*_COUNTERS.values(), "calls_in_progress"}):
        if sample.name == "calls_in_progress":
            managers.add(sample.labels["manager"])
            continue
        # Facts between the agents are not events that were produced.
        if sample.labels.get("topic") in _PRODUCED:
            totals[next(name for name, metric in _COUNTERS.items() if metric == sample.name)] += int(sample.value)
    return {
        "produced": produced,
        **totals,
        "managers": len(managers),
        "mismatches": len(wrong),
        "examples": wrong[:_EXAMPLES],
        "p50_delay_ms": probe.percentile(0.5),
        "p99_delay_ms": probe.percentile(0.99),
        "metrics_url": place.metrics,
        "kafka": place.settings.kafka.bootstrap,
        **place.addresses,
    }

"""The course of the demo: it starts the programs, feeds records in, shows the board, compares figures and stops all."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import sys
import time
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Final, NamedTuple

from msgspec import Struct

from agents.cli.common import say
from agents.cli.demo.crm import Crm
from agents.cli.demo.installation import Place, installation
from agents.cli.demo.portal import DemoPortal
from agents.cli.demo.portal_check import Polled, polled
from agents.cli.demo.probe import Probe
from agents.cli.demo.verdict import mismatches
from agents.cli.demo.ways import Heard, Ways, hear, in_report, uncounted
from agents.cli.simulate import Pending, records, stop_on_signals
from agents.cli.top import watch
from agents.cli.top.board import View
from agents.kafka.feeder import Feeder
from agents.kafka.producer import BatchProducer
from agents.telemetry.scrape import Scrape, fetch_all, samples
from streams.contract import topics
from streams.simulator import Department, FaultRates, Truth
from streams.units import DAY_MS

WARM_UP_MS: Final = 180_000
"""Managers do not dial in their first minute at the desk: the live department begins this long before it goes live."""
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
    """The options of the command line. `source` names an additional system, "" for none."""

    seconds: float | None
    managers: int
    days: float
    intensity: float
    seed: int
    board: bool
    source: str = ""


class _Fed(NamedTuple):
    """The input of the demo, and the expected figures."""

    truth: Truth
    ways: Ways
    crm: Crm
    heard: Heard
    polled: Polled


def perform(plan: Plan) -> dict[str, Any]:
    """Run the demo and return the report. Raises KeyboardInterrupt, with everything taken down, on Ctrl-C."""
    department = Department.make(plan.seed, plan.managers, max(1, min(5, plan.managers // 4)), always=True)
    portal = DemoPortal(plan.seed, plan.days, plan.intensity, WARM_UP_MS) if plan.source else None
    with installation(department, portal) as place:
        _introduce(place)
        return asyncio.run(_live(plan, place))


def _introduce(place: Place) -> None:
    say(f"  Kafka      {place.settings.kafka.bootstrap}")
    say(f"  metrics    {place.metrics}")
    say(f"  gateway    {place.gateway}/v1/events")
    if place.listener:
        host, port = place.pbx.address
        say(f"  listener   {place.listener}/metrics")
        say(f"  PBX        {host}:{port}")
    if place.portal is not None:
        say(f"  portal     {place.portal.url}")
    for name, address in place.addresses.items():
        say(f"  {name:10} {address}")


async def _live(plan: Plan, place: Place) -> dict[str, Any]:
    """Feed everything in, watch, and compare if the demo is to end by itself."""
    truth = Truth(place.department.settings)
    now_ms = int(time.time() * 1000)
    probe = Probe(place.metrics, topics.CALLS.name)
    async with (
        BatchProducer(place.settings.kafka) as producer,
        Crm(place.gateway, place.token) as crm,
        place.pbx,
        contextlib.nullcontext() if place.portal is None else place.portal.working(place.gateway),
    ):
        ways = Ways(producer, crm)
        for key, value in _BAD:
            await producer.add(topics.CALLS.name, key, value)

        def sent(record: Pending) -> None:
            record.sent()
            if caught_up.is_set() and record.topic == topics.CALLS.name:
                probe.sent(record)

        caught_up = asyncio.Event()
        feeder: Feeder[Pending] = Feeder(ways, on_sent=sent)
        stop_on_signals(feeder)
        feeding = asyncio.create_task(feeder.run(_work(plan, place.department, truth, now_ms)))
        hearing = asyncio.create_task(_hear(place, feeder.live))
        watching = asyncio.create_task(_watch(plan, place, feeder))
        measuring = asyncio.create_task(probe.run())
        timing = asyncio.create_task(_stop_after(plan.seconds, place, feeder, caught_up, hearing))
        try:
            await _until_fed(feeding, place)
            interrupted = not timing.done() or plan.seconds is None
            heard = Heard() if interrupted else await hearing
            if place.portal is not None:
                await place.portal.finish()
        finally:
            tasks = (feeding, hearing, watching, measuring, timing)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if interrupted and plan.seconds is not None:
            raise KeyboardInterrupt
        say(
            f"{sum(ways.direct.values()) + len(_BAD)} records went into Kafka, {crm.posted} events of the CRM to the "
            f"gateway in {crm.requests} requests"
        )
        fed = _Fed(truth, ways, crm, heard, Polled())
        scrape, wrong, fed = (await _scrape(place), [], fed) if interrupted else await _compare(place, fed)
    return _report(place, scrape, wrong, fed=fed, probe=probe)


async def _hear(place: Place, history: asyncio.Event) -> Heard:
    """Play the recorded sessions, and report their events."""
    if not place.pbx.sessions:
        say("The recorded sessions of a PBX are not part of the package, and are left out; the source folder has them.")
    heard = await hear(place, history)
    if heard.sessions:
        say(
            f"{heard.messages} messages of {heard.sessions} recorded sessions of a PBX went over its socket; the "
            f"listener made {heard.events} events of them"
        )
    return heard


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


async def _until_fed(feeding: asyncio.Task[None], place: Place) -> None:
    """Wait until all records are fed in. Raises UserError if a program ends meanwhile."""
    while not feeding.done():
        await asyncio.wait({feeding}, timeout=0.5)
        place.check()
    await feeding


async def _stop_after(
    seconds: float | None,
    place: Place,
    feeder: Feeder[Pending],
    caught_up: asyncio.Event,
    hearing: asyncio.Task[Heard],
) -> None:
    """Report when the worker has read the history and the sessions; from then on it is live for the planned seconds."""
    await feeder.live.wait()
    await asyncio.wait({hearing})
    while _lag(await _scrape(place)) != 0:  # noqa: ASYNC110 - the worker is another process and has no event
        await asyncio.sleep(0.5)
    caught_up.set()
    if seconds is not None:
        await asyncio.sleep(seconds)
        feeder.stop.set()


async def _watch(plan: Plan, place: Place, feeder: Feeder[Pending]) -> None:
    """Show the board, or print the progress now and then where there is no terminal."""
    if plan.board and sys.stdout.isatty():
        view = View(place.settings.thresholds, place.settings.managers, f"callpulse demo   {place.metrics}")
        await watch([place.metrics], view, interval_s=1.0)
        return
    while True:
        say(f"{feeder.sent} records sent{', live' if feeder.live.is_set() else ' of the history'}")
        await asyncio.sleep(10)


async def _compare(place: Place, fed: _Fed) -> tuple[Scrape, list[str], _Fed]:
    """Return the last scrape and its errors; scrapes again until there are none, or the deadline has passed.

    The returned input includes the portal's events in Kafka.
    """
    say("comparing every figure with what the simulator knows, and what was counted with what went in")
    deadline = time.monotonic() + SETTLE_DEADLINE_S
    while True:
        scrape = await _scrape(place)
        wrong = ["the worker is still reading"]
        if _lag(scrape) == 0:
            if place.portal is not None:
                fed = fed._replace(polled=await polled(place.settings, place.portal, scrape))
            ways = await uncounted(place, scrape, fed.crm, fed.ways, more=len(_BAD), heard=fed.heard, polled=fed.polled)
            wrong = [*fed.heard.wrong, *fed.polled.wrong, *ways, *mismatches(scrape, fed.truth)]
        if not wrong or time.monotonic() > deadline:
            return scrape, wrong, fed
        await asyncio.sleep(1)


def _lag(scrape: Scrape) -> float | None:
    """Return the number of records that the worker has yet to read, None while it is not known."""
    lags = [sample.value for sample in samples(scrape.text, ("lag_records",))]
    return sum(lags) if lags else None


async def _scrape(place: Place) -> Scrape:
    scrape = (await fetch_all([place.metrics]))[0]
    if scrape.error:
        place.check()
    return scrape


def _report(place: Place, scrape: Scrape, wrong: list[str], *, fed: _Fed, probe: Probe) -> dict[str, Any]:
    totals = dict.fromkeys(_COUNTERS, 0)
    managers = set()
    for sample in samples(scrape.text, {*_COUNTERS.values(), "calls_in_progress"}):
        if sample.name == "calls_in_progress":
            managers.add(sample.labels["manager"])
            continue
        # Facts between the agents are not events of a source.
        if sample.labels.get("topic") in _PRODUCED:
            totals[next(name for name, metric in _COUNTERS.items() if metric == sample.name)] += int(sample.value)
    shown = {} if place.portal is None else {"portal": place.portal.counts() | fed.polled.counts()}
    events = fed.heard.events + fed.polled.calls + fed.polled.crm
    return {
        "produced": sum(fed.ways.direct.values()) + len(_BAD) + fed.crm.posted + events,
        "ways": in_report(fed.crm, fed.ways, fed.heard) | shown,
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

"""Throughput: callpulse's calls agent and its peers, on one topic, in turn, run after run."""

from __future__ import annotations

import shutil
import sys
import tempfile
import uuid
from collections import defaultdict
from statistics import median
from typing import Final

from tests.benchmarks import broker, workload
from tests.benchmarks.measures import Result, Target, span, spread
from tests.benchmarks.peers.catalogue import CALLPULSE, PEERS, Peer, PeerError, run
from tests.benchmarks.peers.job import Answer, Job

SHORT_EVENTS: Final = 30_000
FULL: Final = "bench.calls"
SHORT: Final = "bench.calls-short"


def measure(bootstrap: str, *, runs: int, events: int, only: frozenset[str] = frozenset()) -> Result:
    """Run every peer `runs` times, interleaved. `only`: names of peers, empty for all."""
    bench = _Bench(bootstrap, events)
    peers = [peer for peer in PEERS if not only or peer.name in only]
    answers: dict[str, list[Answer]] = defaultdict(list)
    missing: list[str] = []
    wrong: list[str] = []
    for number in range(runs):
        for peer in list(peers):
            try:
                told = bench.run(peer)
            except PeerError as error:
                _say(f"{peer.name}: {error}")
                wrong.append(str(error))
                peers.remove(peer)
                continue
            if told is None:
                missing.append(f"{peer.title}: not measured, what it needs is not installed")
                peers.remove(peer)
                continue
            if (complaint := bench.complaint(peer, told)) is not None:
                _say(complaint)
                wrong.append(complaint)
            answers[peer.name].append(told)
            _say(f"run {number + 1}/{runs}  {peer.name:<10} {told.events / told.seconds:>12,.0f} events/s")
    return _result(answers, bench, missing, wrong)


class _Bench:
    """The topics, filled once, and what they must come to."""

    def __init__(self, bootstrap: str, events: int) -> None:
        self.bootstrap = bootstrap
        self.full = workload.make(events)
        self.short = workload.make(min(events, SHORT_EVENTS))
        for topic, load in ((FULL, self.full), (SHORT, self.short)):
            broker.create_calls(bootstrap, topic)
            broker.fill(bootstrap, topic, load.records)
            found = broker.records_in(bootstrap, topic)
            if found != len(load.records):
                raise RuntimeError(f"{topic} has {found} records instead of {len(load.records)}")
        self._warm_up()

    def load_of(self, peer: Peer) -> workload.Workload:
        """Return what the peer has to work on."""
        return self.short if peer.slow else self.full

    def run(self, peer: Peer) -> Answer | None:
        """Run a peer once on its topic."""
        run_id = f"{peer.name}-{uuid.uuid4().hex[:8]}"
        topic = SHORT if peer.slow else FULL
        load = self.load_of(peer)
        if peer.own_topic:
            topic = f"{run_id}.calls"
            broker.create_installation(self.bootstrap, run_id, f"{run_id}.")
            broker.fill(self.bootstrap, topic, load.records)
        folder = tempfile.mkdtemp(prefix="callpulse-bench-")
        try:
            job = Job(
                bootstrap=self.bootstrap,
                topic=topic,
                events=len(load.records),
                run=run_id,
                folder=folder,
                variant=peer.variant,
            )
            return run(peer, job)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def complaint(self, peer: Peer, told: Answer) -> str | None:
        """Return what is wrong with an answer, None where it is the known one."""
        load = self.load_of(peer)
        if told.events != len(load.records):
            return f"{peer.name} processed {told.events} events instead of {len(load.records)}"
        if told.totals is None:
            return None if peer.name == "raw" else f"{peer.name} gave no totals"
        return None if told.totals == load.totals else f"{peer.name}: {told.totals} is not {load.totals}"

    def _warm_up(self) -> None:
        """Bring the log into the page cache and the broker's JVM to speed: neither is what is measured."""
        raw = next(peer for peer in PEERS if peer.name == "raw")
        for _ in range(2):
            self.run(raw)


def _result(answers: dict[str, list[Answer]], bench: _Bench, missing: list[str], wrong: list[str]) -> Result:
    rates = {name: [told.events / told.seconds for told in given] for name, given in answers.items()}
    medians = {name: median(values) for name, values in rates.items()}
    ours = medians.get(CALLPULSE)
    table = [["what", "events/s, median", "least to most", "CPU µs/event", "callpulse is"]]
    figures: dict[str, object] = {}
    for peer in PEERS:
        if peer.name not in rates:
            continue
        cpu = median(told.cpu_seconds / told.events for told in answers[peer.name]) * 1e6
        times = "" if ours is None or peer.name == CALLPULSE else f"{ours / medians[peer.name]:.2f} times as fast"
        values = rates[peer.name]
        table.append(
            [
                peer.title + (" ¹" if peer.slow else ""),
                f"{medians[peer.name]:,.0f}",
                span(values, ",.0f"),
                f"{cpu:.2f}",
                times,
            ]
        )
        figures[peer.name] = {
            "events_per_second": spread(values),
            "cpu_us_per_event": cpu,
            "events": answers[peer.name][0].events,
            "runs": len(values),
            "durable_seconds": [told.durable_seconds for told in answers[peer.name]],
            "seconds": [told.seconds for told in answers[peer.name]],
        }
    workload_note = (
        f"{len(bench.full.records):,} events of {bench.full.mean_bytes:.0f} bytes on average, "
        f"{workload.MANAGERS} managers, {workload.PARTITIONS} partitions; runs interleaved."
    )
    notes = [
        workload_note,
        f"¹ on the first {len(bench.short.records):,} events only, because it is slow.",
        "Every answer's totals were compared with the known ones (the limit has none: it decodes and forgets).",
        *missing,
    ]
    return Result("throughput", figures, table, _targets(medians), notes, wrong)


def _targets(medians: dict[str, float]) -> list[Target]:
    ours = medians.get(CALLPULSE)
    if ours is None:
        return []
    bounds = {"raw": 0.25, "faust": 20.0, "quix": 2.0, "bytewax": 1.0, "kstreams": 1.0, "loop": 1 / 1.6}
    ratios = [
        Target(f"callpulse ÷ {name}", ours / medians[name], at_least=bound)
        for name, bound in bounds.items()
        if name in medians
    ]
    return [Target("callpulse, events/s", ours, at_least=120_000), *ratios]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

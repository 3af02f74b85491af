"""Throughput: callpulse's calls agent and its peers, on one topic, in turn, run after run."""

from __future__ import annotations

from typing import Final

from benchmarks import broker, workload
from benchmarks.interleaved import Answers, interleave, run_once
from benchmarks.measures import Result, Target
from benchmarks.peers.catalogue import CALLPULSE, PEERS, Peer
from benchmarks.peers.job import Answer

SHORT_EVENTS: Final = 30_000
FULL: Final = "bench.calls"
SHORT: Final = "bench.calls-short"


def measure(bootstrap: str, *, runs: int, events: int, only: frozenset[str] = frozenset(), **_: object) -> Result:
    """Run every peer `runs` times, interleaved. `only`: names of peers, empty for all."""
    bench = _Bench(bootstrap, events)
    peers = [peer for peer in PEERS if not only or peer.name in only]
    return _result(interleave(peers, runs, bench.run, bench.complaint), bench)


class _Bench:
    """The topics, filled once, and their expected totals."""

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
        """Return the topic of the peer."""
        return self.short if peer.slow else self.full

    def run(self, peer: Peer) -> Answer | None:
        """Run a peer once on its topic."""
        records = self.load_of(peer).records
        return run_once(self.bootstrap, peer, SHORT if peer.slow else FULL, len(records), {"calls": records})

    def complaint(self, peer: Peer, answer: Answer) -> str | None:
        """Return the error of an answer, None for the known one."""
        load = self.load_of(peer)
        if answer.events != len(load.records):
            return f"{peer.name} processed {answer.events} events instead of {len(load.records)}"
        if answer.totals is None:
            return None if peer.name == "raw" else f"{peer.name} gave no totals"
        return None if answer.totals == load.totals else f"{peer.name}: {answer.totals} is not {load.totals}"

    def _warm_up(self) -> None:
        """Read the log once, to fill the page cache and to warm up the broker's JVM: neither is measured."""
        raw = next(peer for peer in PEERS if peer.name == "raw")
        for _ in range(2):
            self.run(raw)


def _result(answers: Answers, bench: _Bench) -> Result:
    workload_note = (
        f"{len(bench.full.records):,} events of {bench.full.mean_bytes:.0f} bytes on average, "
        f"{workload.MANAGERS} managers, {workload.PARTITIONS} partitions; runs interleaved."
    )
    notes = [
        workload_note,
        f"¹ on the first {len(bench.short.records):,} events only, because it is slow.",
        "Every answer's totals were compared with the known ones (the limit has none: it decodes and forgets).",
        *answers.missing,
    ]
    table = answers.table(PEERS, CALLPULSE, lambda peer: " ¹" if peer.slow else "")
    return Result("throughput", answers.figures(), table, _targets(answers.medians()), notes, answers.wrong)


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

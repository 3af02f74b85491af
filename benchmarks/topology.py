"""The whole topology on the simulated mix of telephony and CRM: callpulse's worker, and the same in Quix Streams."""

from __future__ import annotations

from typing import Any, Final

from benchmarks import broker, mix
from benchmarks.interleaved import interleave, run_once
from benchmarks.measures import Result, Target, wrong_sums
from benchmarks.peers.catalogue import CALLPULSE, TOPOLOGY, Peer
from benchmarks.peers.job import Answer
from benchmarks.workload import MANAGERS, PARTITIONS

CALLS: Final = "bench.mix-calls"
CRM: Final = "bench.mix-crm"
LEAST_TIMES: Final = 2.0


def measure(bootstrap: str, *, runs: int, events: int, only: frozenset[str] = frozenset(), **_: Any) -> Result:
    """Run both `runs` times, interleaved, on about `events` events. `only`: names of peers, empty for both."""
    peers = [peer for peer in TOPOLOGY if not only or peer.name in only]
    load = mix.make(events)
    topics = {"calls": load.calls, "crm": load.crm}
    count = len(load.calls) + len(load.crm)
    for name, records in ((CALLS, load.calls), (CRM, load.crm)):
        broker.create_calls(bootstrap, name)
        broker.fill(bootstrap, name, records)

    def run(peer: Peer) -> Answer | None:
        return run_once(bootstrap, peer, f"{CALLS},{CRM}", count, topics)

    def complaint(peer: Peer, answer: Answer) -> str | None:
        return wrong_sums(peer.name, answer.sums, load.sums)

    answers = interleave(peers, runs, run, complaint)
    medians = answers.medians()
    targets = [
        Target(f"callpulse ÷ {name}", medians[CALLPULSE] / rate, at_least=LEAST_TIMES)
        for name, rate in medians.items()
        if name != CALLPULSE and CALLPULSE in medians
    ]
    notes = [
        (
            f"{len(load.calls):,} events of calls and {len(load.crm):,} of the CRM, {load.mean_bytes:.0f} bytes each, "
            f"{load.sums['contacts']:,} contacts, {load.sums['leads']:,} leads, {MANAGERS} managers, "
            f"{PARTITIONS} partitions; runs interleaved."
        ),
        f"Every answer's sums were compared with the known ones: {', '.join(load.sums)}.",
        *answers.missing,
    ]
    return Result("topology", answers.figures(), answers.table(TOPOLOGY, CALLPULSE), targets, notes, answers.wrong)

"""Leads: contacts and events of the CRM through both hops, into lead rows on disk and on to the outcomes of managers.

The topics hold the records that a worker finds after some days without one: all contacts in `contacts`, all events in
`crm`. An event of `crm` goes into `contacts` first, so it passes three agents; the outcomes of both pass one more. An
event counts once, and the time ends when no topic has a record left.
"""

from __future__ import annotations

from typing import Any, Final

from benchmarks import mix
from benchmarks.interleaved import interleave, run_once
from benchmarks.measures import Result, Target, wrong_sums
from benchmarks.peers.catalogue import CALLPULSE, LEADS, Peer
from benchmarks.peers.job import Answer
from benchmarks.workload import MANAGERS, PARTITIONS

LEAST: Final = 20_000


def measure(bootstrap: str, *, runs: int, events: int, **_: Any) -> Result:
    """Run the worker on the contacts and CRM events of `events` events of the mix."""
    load = mix.make(events)
    topics = {"contacts": load.contacts, "crm": load.crm}
    count = len(load.contacts) + len(load.crm)

    def run(peer: Peer) -> Answer | None:
        return run_once(bootstrap, peer, "", count, topics)

    def complaint(peer: Peer, answer: Answer) -> str | None:
        return wrong_sums(peer.name, answer.sums, load.lead_sums)

    answers = interleave(LEADS, runs, run, complaint)
    medians = answers.medians()
    targets = [Target("contacts and CRM events/s", medians[CALLPULSE], at_least=LEAST)] if CALLPULSE in medians else []
    notes = [
        (
            f"{len(load.contacts):,} contacts and {len(load.crm):,} CRM events, {load.sums['leads']:,} leads, "
            f"{MANAGERS} managers, {PARTITIONS} partitions; runs interleaved."
        ),
        f"Every answer's sums were compared with the known ones: {', '.join(load.lead_sums)}.",
    ]
    return Result("leads", answers.figures(), answers.table(LEADS, CALLPULSE), targets, notes, answers.wrong)

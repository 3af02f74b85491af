"""Candidates in turn, run after run, so that a disturbance of the machine affects all of them."""

from __future__ import annotations

import shutil
import sys
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct, field

from benchmarks import broker
from benchmarks.measures import span, spread
from benchmarks.peers.catalogue import Peer, PeerError, run
from benchmarks.peers.job import Answer, Job
from benchmarks.workload import Record


class Answers(Struct):
    """The answers of each candidate by name, the candidates without a measurement, and the errors."""

    given: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def rates(self) -> dict[str, list[float]]:
        """Return the events a second of every run."""
        return {name: [answer.events / answer.seconds for answer in answers] for name, answers in self.given.items()}

    def medians(self) -> dict[str, float]:
        """Return the events a second of the median run."""
        return {name: median(rates) for name, rates in self.rates().items()}

    def cpu_us(self, name: str) -> float:
        """Return the processor time an event of the median run, microseconds."""
        return median(answer.cpu_seconds / answer.events for answer in self.given[name]) * 1e6

    def figures(self) -> dict[str, object]:
        """Return all measurements, for machines."""
        return {
            name: {
                "events_per_second": spread(rates),
                "cpu_us_per_event": self.cpu_us(name),
                "events": self.given[name][0].events,
                "runs": len(rates),
                "durable_seconds": [answer.durable_seconds for answer in self.given[name]],
                "seconds": [answer.seconds for answer in self.given[name]],
            }
            for name, rates in self.rates().items()
        }

    def table(self, peers: Iterable[Peer], than: str, note: Callable[[Peer], str] = lambda _: "") -> list[list[str]]:
        """Return the figures for people; the last column compares the candidate `than` with the others."""
        rates, medians = self.rates(), self.medians()
        ours = medians.get(than)
        table = [["what", "events/s, median", "least to most", "CPU µs/event", "callpulse is"]]
        for peer in peers:
            if peer.name in rates:
                name = peer.name
                times = "" if ours is None or name == than else f"{ours / medians[name]:.2f} times as fast"
                cells = [f"{medians[name]:,.0f}", span(rates[name], ",.0f"), f"{self.cpu_us(name):.2f}", times]
                table.append([peer.title + note(peer), *cells])
        return table


def interleave(
    peers: Sequence[Peer],
    runs: int,
    measure: Callable[[Peer], Answer | None],
    complaint: Callable[[Peer, Answer], str | None],
) -> Answers:
    """Let every peer run `runs` times, one after the other and all of them again.

    `complaint` returns an error of an answer.
    """
    found = Answers()
    running = list(peers)
    for number in range(runs):
        for peer in list(running):
            try:
                answer = measure(peer)
            except PeerError as error:
                _say(f"{peer.name}: {error}")
                found.wrong.append(str(error))
                running.remove(peer)
                continue
            if answer is None:
                found.missing.append(f"{peer.title}: not measured, what it needs is not installed")
                running.remove(peer)
                continue
            if (wrong := complaint(peer, answer)) is not None:
                _say(wrong)
                found.wrong.append(wrong)
            found.given[peer.name].append(answer)
            _say(f"run {number + 1}/{runs}  {peer.name:<10} {answer.events / answer.seconds:>12,.0f} events/s")
    return found


def run_once(bootstrap: str, peer: Peer, topic: str, events: int, own: Mapping[str, list[Record]]) -> Answer | None:
    """Run a peer once on `topic`, or on topics of its own that are filled with `own` (by name without prefix)."""
    run_id = f"{peer.name}-{uuid.uuid4().hex[:8]}"
    if peer.own_topic:
        topic = f"{run_id}.calls"
        broker.create_installation(bootstrap, run_id, f"{run_id}.")
        for name, records in own.items():
            broker.fill(bootstrap, f"{run_id}.{name}", records)
    folder = tempfile.mkdtemp(prefix="callpulse-bench-")
    try:
        job = Job(
            bootstrap=bootstrap,
            topic=topic,
            events=events,
            run=run_id,
            folder=folder,
            variant=peer.variant,
            store=peer.store,
        )
        return run(peer, job)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

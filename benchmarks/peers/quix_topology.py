"""Quix Streams: the whole topology, in one application with a dataframe a topic.

    calls ─► per manager ─► contacts ─► per lead ─► outcomes ─► per manager
    crm ───────────────────────┘ └─ links ◄─┘

The same Kafka, topics, number of partitions, keys and commit interval as callpulse, and like it one process. State is
in RocksDB with changelog topics, in three stores. Per manager, the state of calls is that of `quix.py`: open legs, a
ring of minutes, a row a day. Per lead it is one value, `plain_leads`. Per manager, that of outcomes is a value a day
with all its counts: one read and one write for each day that changes, and not for each measure.

Events of the CRM go through `contacts`, as in callpulse. Quix can also join the two topics (`concat`), but then it
synchronises them by time, which is not needed here, because `plain_leads` does not depend on order.

Like its model it does less than callpulse: see `plain` and `plain_leads`. Besides, after a crash it keeps rows that are
ahead of their offsets, it writes no dead letters, and it exports no metrics.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application
from quixstreams.models import TopicConfig

from benchmarks.peers import plain, plain_leads
from benchmarks.peers.job import ONE_SECOND, Job, Stopwatch, answer_sums, read
from benchmarks.workload import PARTITIONS
from streams.units import DAY_MS


class Topology:
    """The functions that Quix calls, and the count of records on their way between them."""

    def __init__(self, events: int) -> None:
        self._left = events  # records of `calls` and `crm` not yet seen
        self._on_the_way = 0  # records of `contacts` and `outcomes` that were made and not yet seen
        self._events = events
        self._clock = Stopwatch()
        self._days: dict[tuple[str, int], list[int]] = {}
        self._outcomes: dict[tuple[str, int], dict[str, int]] = {}

    def call(self, event: dict[str, Any], state: Any) -> list[dict[str, Any]]:
        """Apply an event of `calls` to its manager; return the fact for the lead."""
        self._clock.start()
        self._left -= 1
        at, kind = event["at"], event["type"]
        emitted: list[dict[str, Any]] = []
        if kind == "manager.presence":
            state.set("presence", [event["state"], at])
        elif kind == "call.started":
            state.set(f"leg:{event['call']}", [at, 0])
        elif kind == "call.answered":
            leg = state.get(f"leg:{event['call']}")
            if leg is not None:
                state.set(f"leg:{event['call']}", [leg[0], at])
        elif kind == "call.ended":
            self._ended(event, state)
            contact = plain_leads.contact_of(event)
            emitted = [] if contact is None else [contact]
        self._on_the_way += len(emitted)
        self._end_if_done()
        return emitted

    def crm(self, event: dict[str, Any]) -> dict[str, Any]:
        """Pass an event of `crm` on to its lead."""
        self._clock.start()
        self._left -= 1
        self._on_the_way += 1
        return event

    def lead(self, fact: dict[str, Any], state: Any) -> list[dict[str, Any]]:
        """Apply a record of `contacts` to the lead; return the facts for managers and for other leads."""
        known = state.get("lead") or plain_leads.empty()
        emitted = plain_leads.apply(known, fact)
        state.set("lead", known)
        self._on_the_way += len(emitted) - 1
        self._end_if_done()
        return emitted

    def outcome(self, fact: dict[str, Any], state: Any) -> None:
        """Add changes to the sums of the manager's leads."""
        days: dict[int, dict[str, int]] = {}
        for measure, day, by in fact["changes"]:
            counts = days.get(day)
            if counts is None:
                counts = days[day] = state.get(f"day:{day}") or {}
            counts[measure] = counts.get(measure, 0) + by
        for day, counts in days.items():
            state.set(f"day:{day}", counts)
            # Only to add up the sums at the end: a state cannot be listed.
            self._outcomes[fact["manager"], day] = counts
        self._on_the_way -= 1
        self._end_if_done()

    def _ended(self, event: dict[str, Any], state: Any) -> None:
        state.delete(f"leg:{event['call']}")
        ring = f"ring:{plain.slot(event['at'])}"
        state.set(ring, plain.count_minute(state.get(ring), event))
        number = event["at"] // DAY_MS
        day = state.get(f"day:{number}") or [0] * plain.WIDTH_DAY
        plain.count_day(day, event)
        state.set(f"day:{number}", day)
        self._days[event["manager"], number] = day

    def _end_if_done(self) -> None:
        if self._left or self._on_the_way:
            return
        elapsed = self._clock.read()
        totals = plain.totals(self._days.values())
        sums = {"calls": totals.calls, "calls_answered": totals.answered, "calls_talk_ms": totals.talk_ms}
        for counts in self._outcomes.values():
            for measure, count in counts.items():
                head = measure.partition(":")[0]
                sums[head] = sums.get(head, 0) + count
        answer_sums(self._events, elapsed, sums)


def run(job: Job) -> None:
    """Run the application until all records are folded."""
    app = Application(
        broker_address=job.bootstrap,
        consumer_group=job.run,
        auto_offset_reset="earliest",
        commit_interval=ONE_SECOND,
        state_dir=job.folder,
        use_changelog_topics=True,
        loglevel="ERROR",
    )
    form: dict[str, Any] = {"key_deserializer": "str", "value_deserializer": "json"}
    between = {**form, "config": TopicConfig(num_partitions=PARTITIONS, replication_factor=1)}
    calls, crm = (app.topic(name, **form) for name in job.topic.split(","))
    contacts, outcomes = (app.topic(f"{job.run}.{name}", **between) for name in ("contacts", "outcomes"))
    work = Topology(job.events)
    app.dataframe(calls).apply(work.call, stateful=True, expand=True).to_topic(contacts, key=_lead)
    app.dataframe(crm).apply(work.crm).to_topic(contacts, key=_lead)
    emitted = app.dataframe(contacts).apply(work.lead, stateful=True, expand=True)
    emitted.to_topic(lambda fact, *_: outcomes if fact["type"] == "outcome" else contacts, key=_addressee)
    app.dataframe(outcomes).apply(work.outcome, stateful=True)
    app.run()


def _lead(fact: dict[str, Any]) -> str:
    lead: str = fact["lead"]
    return lead


def _addressee(fact: dict[str, Any]) -> str:
    to: str = fact["manager"] if fact["type"] == "outcome" else fact["lead"]
    return to


if __name__ == "__main__":
    run(read())

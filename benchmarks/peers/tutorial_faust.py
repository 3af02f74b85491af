"""Faust as in its tutorial: a Record model, a table, an agent that takes one event at a time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import faust

from benchmarks.peers import plain
from benchmarks.peers.job import ONE_SECOND, Job, Stopwatch, answer, read
from benchmarks.workload import PARTITIONS
from streams.units import DAY_MS


class TelephonyEvent(faust.Record, serializer="json"):
    """All the fields of the events, most of them optional."""

    type: str
    id: str
    at: int
    manager: str
    source: str = ""
    call: str | None = None
    lead: str | None = None
    direction: str | None = None
    kind: str | None = None
    state: str | None = None
    started_at: int | None = None
    answered_at: int | None = None
    talk_ms: int | None = None
    disposition: str | None = None


def fold(row: dict[str, Any], event: TelephonyEvent) -> None:
    """Apply one event to a manager's row."""
    row["last"] = max(row.get("last", 0), event.at)
    if event.type == "manager.presence":
        row["presence"] = event.state
    elif event.type == "call.started":
        row.setdefault("legs", {})[event.call] = [event.at, None]
    elif event.type == "call.answered":
        if event.call in row.get("legs", {}):
            row["legs"][event.call][1] = event.at
    else:
        row.get("legs", {}).pop(event.call, None)
        end = event.asdict()
        ring = row.setdefault("ring", {})
        slot = str(plain.slot(event.at))
        ring[slot] = plain.count_minute(ring.get(slot), end)
        day = row.setdefault("days", {}).setdefault(str(event.at // DAY_MS), [0] * plain.WIDTH_DAY)
        plain.count_day(day, end)


def make_app(job: Job) -> faust.App:
    """Return the application; its agent ends the process after the last event."""
    app = faust.App(
        job.run,
        broker=f"kafka://{job.bootstrap}",
        store="memory://",
        datadir=str(Path(job.folder)),
        topic_partitions=PARTITIONS,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=ONE_SECOND,
        topic_disable_leader=True,
        web_enabled=False,
    )
    topic = app.topic(job.topic, key_type=bytes, value_type=TelephonyEvent)
    table = app.Table("managers", default=dict, partitions=PARTITIONS)
    clock = Stopwatch()

    @app.agent(topic)
    async def telephony(stream: Any) -> None:
        seen = 0
        async for event in stream:
            clock.start()
            row = table[event.manager]
            fold(row, event)
            table[event.manager] = row
            seen += 1
            if seen == job.events:
                elapsed = clock.read()
                days = [day for row in table.values() for day in row.get("days", {}).values()]
                answer(seen, elapsed, plain.totals(days))

    return app


if __name__ == "__main__":
    faust_app = make_app(read())
    sys.argv = ["faust", "worker", "--without-web", "--loglevel", "error"]
    faust_app.main()

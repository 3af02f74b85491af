"""Quix Streams: one stateful function over the topic, state in RocksDB with its changelog topic."""

from __future__ import annotations

from typing import Any

from quixstreams import Application

from benchmarks.peers import plain
from benchmarks.peers.job import ONE_SECOND, Job, Stopwatch, answer, read
from streams.units import DAY_MS


class Fold:
    """The function that Quix calls for every event. State is many small values per manager, which suits its store."""

    def __init__(self, events: int) -> None:
        self._events = events
        self._clock = Stopwatch()
        self._seen = 0
        self._day_rows: dict[tuple[str, int], list[int]] = {}

    def __call__(self, event: dict[str, Any], state: Any) -> None:
        """Apply one event to the manager's state."""
        self._clock.start()
        at, kind = event["at"], event["type"]
        if kind == "manager.presence":
            state.set("presence", [event["state"], at])
        elif kind == "call.started":
            state.set(f"leg:{event['call']}", [at, 0])
        elif kind == "call.answered":
            leg = state.get(f"leg:{event['call']}")
            if leg is not None:
                state.set(f"leg:{event['call']}", [leg[0], at])
        else:
            self._ended(event, state)
        self._seen += 1
        if self._seen == self._events:
            answer(self._seen, self._clock.read(), plain.totals(self._day_rows.values()))

    def _ended(self, event: dict[str, Any], state: Any) -> None:
        state.delete(f"leg:{event['call']}")
        ring = f"ring:{plain.slot(event['at'])}"
        state.set(ring, plain.count_minute(state.get(ring), event))
        number = event["at"] // DAY_MS
        day = state.get(f"day:{number}") or [0] * plain.WIDTH_DAY
        plain.count_day(day, event)
        state.set(f"day:{number}", day)
        # Only to add up the totals at the end: a state cannot be listed. The counts themselves came out of the state.
        self._day_rows[event["manager"], number] = day


def run(job: Job) -> None:
    """Run the application until the fold ends the process."""
    app = Application(
        broker_address=job.bootstrap,
        consumer_group=job.run,
        auto_offset_reset="earliest",
        commit_interval=ONE_SECOND,
        state_dir=job.folder,
        use_changelog_topics=True,
        loglevel="ERROR",
    )
    topic = app.topic(job.topic, key_deserializer="str", value_deserializer="json")
    frame = app.dataframe(topic)
    frame.apply(Fold(job.events), stateful=True)
    app.run()


if __name__ == "__main__":
    run(read())

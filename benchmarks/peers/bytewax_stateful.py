"""Bytewax: a stateful operator over its own Kafka source with callpulse's decoder and fold; recovery is off."""

from __future__ import annotations

from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main

from benchmarks.peers import rows as own
from benchmarks.peers.job import Job, Stopwatch, answer, read
from streams.contract.decoding import Decoder
from streams.tables.manager.row import ManagerRow


class _Nothing(StatelessSinkPartition[Any]):  # type: ignore[misc]  # Bytewax is installed for `make bench` only
    def write_batch(self, items: list[Any]) -> None:
        """Drop the items; only the tables count."""


class _NoOutput(DynamicSink[Any]):  # type: ignore[misc]  # as above
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Nothing:  # noqa: ARG002 - Bytewax's signature
        """Return the sink of a worker."""
        return _Nothing()


class _Fold(StatefulBatchLogic[Any, None, None]):  # type: ignore[misc]  # as above
    """The state of one manager. `snapshot` returns nothing: recovery is off, and a copy would only take time."""

    def __init__(self, progress: _Progress, row: ManagerRow) -> None:
        self._progress = progress
        self._row = row

    def on_batch(self, values: list[Any]) -> tuple[list[None], bool]:
        """Fold the messages of a batch; emit no items."""
        decode, fold, row = self._progress.decode, self._progress.fold, self._row
        for message in values:
            fold(row, decode(message.value), message.offset)
        self._progress.add(len(values))
        return [], StatefulBatchLogic.RETAIN

    def snapshot(self) -> None:
        """Return the state that recovery would store."""


class _Progress:
    """Counts events over all managers and stops the clock at the last one."""

    def __init__(self, events: int) -> None:
        self.clock = Stopwatch()
        self.elapsed = (0.0, 0.0)
        self.seen = 0
        self.rows: list[ManagerRow] = []
        self.decode: Any = Decoder("calls").decode
        self.fold: Any = own.manager_fold().fold
        self._events = events

    def add(self, events: int) -> None:
        """Count."""
        self.seen += events
        if self.seen >= self._events:
            self.elapsed = self.clock.read()


def run(job: Job) -> None:
    """Run the dataflow to the end of the topic."""
    progress = _Progress(job.events)

    def keyed(message: Any) -> tuple[str, Any]:
        progress.clock.start()
        return message.key.decode(), message

    def begin(_: None) -> _Fold:
        row = own.new_row(f"row-{len(progress.rows)}")  # Bytewax does not pass the key
        progress.rows.append(row)
        return _Fold(progress, row)

    flow = Dataflow("bench")
    source = KafkaSource([job.bootstrap], [job.topic], tail=False, batch_size=5000)
    stream = op.input("calls", flow, source)
    folded = op.stateful_batch("fold", op.map("key", stream, keyed), begin)
    op.output("nothing", folded, _NoOutput())
    cli_main(flow)
    answer(progress.seen, progress.elapsed, own.totals(progress.rows))


if __name__ == "__main__":
    run(read())

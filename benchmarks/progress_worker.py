"""`callpulse worker` that writes its progress: the time, partition and number of records of each step of folding.

    python -m benchmarks.progress_worker FILE worker --config ...

FILE gets a line for each step of folding, at once: seconds since epoch, topic, partition, records. So it shows the
pause of a partition that moves from one worker to another.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from msgspec import Struct

import agents.app
import agents.worker
from agents import cli


class Step(Struct, frozen=True):
    """A step of folding: `at` is its end, seconds since epoch."""

    at: float
    topic: str
    partition: int
    records: int


class Noted:
    """A proxy of an agent that notes each of its steps."""

    def __init__(self, agent: Any, file: TextIO) -> None:
        self._fold = agent.fold
        self._file = file

    def fold(self, tp: Any, records: list[Any]) -> None:
        """Fold like the agent."""
        self._fold(tp, records)
        self._file.write(f"{time.time():.4f} {tp.topic} {tp.partition} {len(records)}\n")


def read(files: Iterable[Path]) -> list[Step]:
    """Return the steps of all workers in the order of time. An incomplete line is left out."""
    steps = []
    for file in files:
        for line in file.read_text(encoding="ascii").splitlines(keepends=True) if file.exists() else ():
            if line.endswith("\n"):
                at, topic, partition, records = line.split()
                steps.append(Step(float(at), topic, int(partition), int(records)))
    return sorted(steps, key=lambda step: step.at)


def watch(file: TextIO) -> None:
    """Make every worker of this process write its steps to `file`."""
    create = agents.app.create_worker

    def watched(*args: Any, **kwargs: Any) -> Any:
        worker = create(*args, **kwargs)
        consume = worker.loop.consume

        async def noted(stream: Any, agent: Any, topic: str) -> None:
            await consume(stream, Noted(agent, file), topic)

        worker.loop.consume = noted  # type: ignore[method-assign]  # for this worker alone
        return worker

    setattr(agents.worker, "create_worker", watched)  # noqa: B010 - the module does not export it


if __name__ == "__main__":
    with Path(sys.argv[1]).open("w", encoding="ascii", buffering=1) as progress:
        watch(progress)
        sys.argv = ["callpulse", *sys.argv[2:]]
        cli.main()

"""callpulse itself: the worker as the command line starts it, watched from inside its process.

Variant `calls` has the calls agent alone, which does the work of the peers of that benchmark. The facts for the leads
are sent all the same. The other variants are the whole worker: `worker` counts calls, `topology` calls and events of
the CRM, `leads` the facts for leads; these two answer with sums, and end when no topic has a record left.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any
from unittest import mock

import agents.app
import agents.worker
from agents.loop import Fold
from benchmarks.peers import rows
from benchmarks.peers.job import Job, Stopwatch, answer, answer_sums, read
from streams.settings.settings import load

QUIET_S = 1.0
COUNTED = {
    "calls": ("managers",),
    "": ("managers",),
    "topology": ("managers", "crm"),
    "leads": ("leads",),
}
"""The agents, by variant, whose records are the events of the job."""
CONFIG = """\
[kafka]
bootstrap = "{bootstrap}"
group = "{run}"
topic_prefix = "{run}."

[worker]
id = "bench"
data_dir = "{folder}"
http_port = 0
store = "{store}"
"""


class Timed:
    """A proxy of an agent that times each fold."""

    def __init__(self, fold: Any) -> None:
        self.fold = fold


class Watch:
    """Times the folds of all agents; ends the process when all is folded and the checkpoint after it is done."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._counted = COUNTED[job.variant]
        self._whole = job.variant in ("topology", "leads")
        self._clock = Stopwatch()
        self._worker: Any = None
        self._seen = 0
        self._elapsed = (0.0, 0.0)
        self._last = 0.0
        self._durable = self._durable_at = 0.0

    def attach(self, worker: Any) -> None:
        """Wrap folds at their calls (compiled agents are not changed), and checkpoints."""
        self._worker = worker
        consume = worker.loop.consume
        names = {id(agent): name for name, agent in worker.agents.items()}

        async def timed_consume(stream: Any, agent: Any, topic: str) -> None:
            await consume(stream, Timed(self._timed(agent.fold, counts=names[id(agent)] in self._counted)), topic)

        worker.loop.consume = timed_consume
        checkpoint = worker.state.checkpoint.run

        async def timed_checkpoint(*args: Any) -> bool:
            begun = self._seen, self._last
            committed: bool = await checkpoint(*args)
            if committed and begun[0] >= self._job.events and (not self._durable or begun[1] > self._durable_at):
                self._durable = self._clock.read()[0]
                self._durable_at = self._last
            self._end_if_quiet()
            return committed

        worker.state.checkpoint.run = timed_checkpoint

    def _timed(self, fold: Any, *, counts: bool) -> Any:
        def timed_fold(partition: Any, records: list[Any]) -> None:
            self._clock.start()
            fold(partition, records)
            if counts:
                self._seen += len(records)
            # Records that the worker itself adds to the topic during its catch-up are not part of the job.
            if counts and not self._whole and self._seen - len(records) >= self._job.events:
                return
            self._last = time.monotonic()
            self._elapsed = self._clock.read()

        return timed_fold

    def _end_if_quiet(self) -> None:
        if not self._durable or time.monotonic() - self._last < QUIET_S:
            return
        if not self._whole:
            managers = [row for _, row in rows.owned_rows(self._worker.state.tables["managers"])]
            answer(self._job.events, self._elapsed, rows.totals(managers), durable=self._durable)
        elif not any(self._worker.lag.now().values()):
            answer_sums(self._job.events, self._elapsed, self._sums(), durable=self._durable)

    def _sums(self) -> dict[str, int]:
        managers = [row for _, row in rows.owned_rows(self._worker.state.tables["managers"])]
        outcomes = [row for _, row in rows.owned_rows(self._worker.state.tables["outcomes"])]
        totals = rows.totals(managers)
        calls = {"calls": totals.calls, "calls_answered": totals.answered, "calls_talk_ms": totals.talk_ms}
        return calls | rows.sums(outcomes)


async def main(job: Job) -> None:
    """Run the worker until the watch ends the process."""
    settings = load(CONFIG.format(bootstrap=job.bootstrap, run=job.run, folder=job.folder, store=job.store), {})
    watch = Watch(job)
    create_worker, make_agents = agents.app.create_worker, agents.app._agents
    background = agents.app._background

    def watched(*args: Any, **kwargs: Any) -> Any:
        if job.variant == "leads":
            kwargs["named_facts"] = False  # no group made the facts in `contacts`
        worker = create_worker(*args, **kwargs)
        watch.attach(worker)
        return worker

    def calls_alone(*args: Any, **kwargs: Any) -> dict[str, Fold]:
        return {"managers": make_agents(*args, **kwargs)["managers"]}

    with mock.patch.object(agents.worker, "create_worker", watched):
        if job.variant == "calls":
            with (
                mock.patch.object(agents.app, "_agents", calls_alone),
                mock.patch.object(
                    agents.app, "_background", lambda worker: background(worker)[:1]
                ),  # there are no leads
            ):
                await agents.worker.run(settings)
        else:
            await agents.worker.run(settings)


if __name__ == "__main__":
    asyncio.run(main(read()))

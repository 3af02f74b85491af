"""callpulse itself: the worker as the command line starts it, watched from inside its process.

Variant `calls` leaves out the agents of leads and outcomes: what the peers do is the calls agent's work alone. The
facts for the leads are sent all the same.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any
from unittest import mock

import agents.app
import agents.worker
from streams.settings import load
from tests.benchmarks.peers import rows
from tests.benchmarks.peers.job import Job, Stopwatch, answer, read

QUIET_S = 1.0
CONFIG = """\
[kafka]
bootstrap = "{bootstrap}"
group = "{run}"
topic_prefix = "{run}."

[worker]
id = "bench"
data_dir = "{folder}"
http_port = 0
"""


class Watch:
    """Times the folds of all agents; ends the process when all is folded and the checkpoint after it is done."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._clock = Stopwatch()
        self._core: Any = None
        self._seen = 0
        self._elapsed = (0.0, 0.0)
        self._last = 0.0
        self._durable = 0.0

    def attach(self, app: Any) -> None:
        """Wrap what is watched: the agents' folds and the checkpoint."""
        self._core = core = app.callpulse
        for name, agent in core.agents.items():
            agent.fold = self._timed(agent.fold, counts=name == "managers")
        checkpoint = core.checkpoint.run

        async def timed_checkpoint(*args: Any) -> bool:
            begun = self._seen
            committed: bool = await checkpoint(*args)
            if committed and begun >= self._job.events and not self._durable:
                self._durable = self._clock.read()[0]
            self._end_if_quiet()
            return committed

        core.checkpoint.run = timed_checkpoint

    def _timed(self, fold: Any, *, counts: bool) -> Any:
        def timed_fold(partition: Any, records: list[Any]) -> None:
            self._clock.start()
            fold(partition, records)
            if counts:
                self._seen += len(records)
            # What the worker itself adds to the topic while it catches up is beyond what was asked for.
            if counts and self._seen - len(records) >= self._job.events:
                return
            self._last = time.monotonic()
            self._elapsed = self._clock.read()

        return timed_fold

    def _end_if_quiet(self) -> None:
        if self._durable and time.monotonic() - self._last > QUIET_S:
            managers = [row for _, row in self._core.tables["managers"].owned_rows()]
            answer(self._job.events, self._elapsed, rows.totals(managers), durable=self._durable)


async def main(job: Job) -> None:
    """Run the worker until the watch ends the process."""
    settings = load(CONFIG.format(bootstrap=job.bootstrap, run=job.run, folder=job.folder), {})
    watch = Watch(job)
    create_app, kinds = agents.app.create_app, agents.app._kinds

    def watched(*args: Any, **kwargs: Any) -> Any:
        app = create_app(*args, **kwargs)
        watch.attach(app)
        return app

    def calls_only(of: Any) -> Any:
        return {"managers": kinds(of)["managers"]}

    with mock.patch.object(agents.worker, "create_app", watched):
        if job.variant == "calls":
            with mock.patch.object(agents.app, "_kinds", calls_only):
                await agents.worker.run(settings)
        else:
            await agents.worker.run(settings)


if __name__ == "__main__":
    asyncio.run(main(read()))

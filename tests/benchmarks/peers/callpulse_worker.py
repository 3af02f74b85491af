"""callpulse itself: the worker's own application with its calls agent, changelog, facts and commits."""

from __future__ import annotations

import sys
from typing import Any

from tests.benchmarks.peers import rows as own
from tests.benchmarks.peers.job import Job, Stopwatch, answer, read

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


def make_app(job: Job) -> Any:
    """Return callpulse's Faust application with the calls agent alone, as the worker command would make it.

    The one place to change when `agents.app.create_app` changes.
    """
    from agents.app import create_app  # noqa: PLC0415 - the other peers must not depend on it
    from agents.tables import manager_kind  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    settings = load(CONFIG.format(bootstrap=job.bootstrap, run=job.run, folder=job.folder), {})
    return create_app(settings, {"managers": manager_kind(settings)})


def watch(app: Any, job: Job) -> None:
    """Time the calls agent from its first batch to its last, and end the process once that is committed."""
    core = app.callpulse
    agent = core.agents["managers"]
    fold, checkpoint = agent.fold, core.checkpoint.run
    clock = Stopwatch()
    seen = 0
    elapsed: tuple[float, float] | None = None

    def timed_fold(batch: Any, records: list[Any]) -> None:
        nonlocal seen, elapsed
        clock.start()
        fold(batch, records)
        seen += len(records)
        if seen >= job.events and elapsed is None:
            elapsed = clock.read()

    async def timed_checkpoint(consumer: Any) -> bool:
        whole = elapsed is not None
        committed = await checkpoint(consumer)
        if whole and committed and elapsed is not None:
            rows = [row for _, row in core.tables["managers"].owned_rows()]
            answer(seen, elapsed, own.totals(rows), durable=clock.read()[0])
        return bool(committed)

    agent.fold = timed_fold
    core.checkpoint.run = timed_checkpoint


if __name__ == "__main__":
    the_job = read()
    the_app = make_app(the_job)
    watch(the_app, the_job)
    sys.argv = ["callpulse", "worker", "--without-web", "--loglevel", "error"]
    the_app.main()

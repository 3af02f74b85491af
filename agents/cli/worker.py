"""`callpulse worker`: run one worker process until a signal ends it."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.common import (
    INFRASTRUCTURE,
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    bullets,
    print_json,
    read_settings,
    run,
    say,
)
from agents.cli.service import log_to_stderr
from streams.contract import topics
from streams.settings.settings import SettingsError
from streams.tables.manager.series import series_count

AcceptOption = Annotated[
    bool,
    typer.Option(
        "--accept-settings-change",
        help="Go on with tables that were made by other settings. Once: from then on the group is made by these.",
    ),
]


def worker(
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    accept: AcceptOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a worker: take events from Kafka, keep the tables, answer /metrics, /-/healthy and /-/ready.

    Start as many as the topics have partitions, each with its own worker.id (CALLPULSE_WORKER_ID); they share the
    managers. SIGTERM or Ctrl-C ends a worker in good order. A worker that must not go on ends itself with 70, for
    whatever supervises it to start it again.

    Settings that decide what rows mean (thresholds, stages, time zones) are kept with the tables. Where others are set
    now, the worker does not start, names them, and ends with 2.

    With --json, the first line on standard output gives the address as soon as the port answers.

    For example:

        callpulse worker --config callpulse.toml

        CALLPULSE_WORKER_ID=worker-2 CALLPULSE_HTTP_PORT=8788 callpulse worker
    """
    settings = read_settings(config, bootstrap)
    try:
        series_count(settings)
    except SettingsError as error:
        raise UserError(f"the settings cannot be used:\n{bullets(map(str, error.problems))}", USAGE) from None
    from agents import worker  # noqa: PLC0415 - slow to import
    from agents.kafka import admin, settings_log  # noqa: PLC0415 - slow to import

    log_to_stderr()
    kafka = settings.kafka
    differences = run(admin.check(kafka, topics.of_worker(kafka.group, kafka.topic_prefix)))
    if differences:
        listed = "\n".join(f"  {difference}" for difference in differences)
        raise UserError(
            f"the topics are not as declared; without that no figure would be right:\n{listed}", INFRASTRUCTURE
        )

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "metrics": f"{url}/metrics", "worker": settings.worker.id})
        else:
            say(f"worker {settings.worker.id} answers at {url}/metrics")

    try:
        code = run(worker.run(settings, on_ready=ready, accept=accept))
    except settings_log.MeaningChangedError as error:
        raise UserError(str(error), USAGE) from None
    except OSError as error:
        raise UserError(error.strerror or str(error), INFRASTRUCTURE) from None
    if code:
        raise UserError(f"the worker ended by itself ({code})", code)

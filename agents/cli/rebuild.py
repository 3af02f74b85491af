"""`callpulse rebuild`: a new group that makes all tables from the topics again, beside the running one."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from msgspec import to_builtins
from msgspec.structs import replace
from rich.table import Table

from agents.cli.common import (
    FAILED,
    INFRASTRUCTURE,
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    bullets,
    cell,
    console,
    print_json,
    progress,
    read_settings,
    run,
    say,
)
from agents.cli.comparison import Difference, Figures, by_metric, differing, figures
from agents.cli.ports import client_of, worker_metrics
from agents.telemetry.scrape import Scrape, fetch_all
from agents.web.client import WebClient

if TYPE_CHECKING:
    from agents.cli.demo.children import Child
    from streams.settings.settings import Kafka, Settings

_ROUNDS: Final = 5
_BETWEEN_S: Final = 2.0
_TIMEOUTS_S: Final = 6.0
"""A worker concludes ends that never came every five seconds, once its partitions have no lag."""


def rebuild(
    workers: Annotated[list[str] | None, typer.Argument(metavar="[URL...]", show_default=False)] = None,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    group: Annotated[
        str | None,
        typer.Option(show_default=False, help="The new group. Without it: kafka.group with the next number."),
    ] = None,
    compare: Annotated[bool, typer.Option(help="Compare with the running workers at the end.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Make all tables anew from the topics, in a new group, by the settings as they are now.

    The running group goes on meanwhile. At the end the figures of both are compared: which metrics differ, in how many
    series, and the largest difference. Then the command prints how to switch without a gap in the metrics. URLs are
    those of all running workers; without them, of the worker that the settings describe.

    A command that was interrupted continues where it stopped. Ends with 1 if figures could not be compared.

    For example:

        callpulse rebuild

        callpulse rebuild --config new.toml --group callpulse-2 http://worker-1:8787 http://worker-2:8787
    """
    settings = read_settings(config, bootstrap)
    old = settings.kafka
    kafka = replace(old, group=group or next_group(old.group))
    if kafka.group == old.group:
        raise UserError(f"the new group must have another name than kafka.group, {old.group}", USAGE)
    client = client_of(settings)
    urls = worker_metrics(settings, workers) if compare else []
    _look(urls, client)
    changed = _prepare(settings, kafka)
    with tempfile.TemporaryDirectory(prefix="callpulse-rebuild-") as folder:
        records, found = _build(settings, kafka, config, Path(folder), urls, quiet=as_json)
    compared = found is not None
    differences, series = found or ([], 0)
    if as_json:
        print_json(
            {
                "group": kafka.group,
                "replaces": old.group,
                "changed_settings": changed,
                "records": records,
                "compared": compared,
                "figures": series,
                "differences": to_builtins(differences),
            }
        )
    else:
        typer.echo(f"Group {kafka.group} has all tables, made from {records:,} records of calls and crm.")
        for change in changed:
            typer.echo(f"  changed: {change}")
        if compared:
            _show(differences, series)
        typer.echo(how_to_switch(old.group, kafka.group))
    if compare and not compared:
        say("callpulse: the running workers did not answer at the end, so no figures were compared.")
        raise typer.Exit(FAILED)


def next_group(group: str) -> str:
    """Return the name of a group with the next number: `callpulse-2` after `callpulse`."""
    numbered = re.fullmatch(r"(.+)-(\d+)", group)
    return f"{numbered[1]}-{int(numbered[2]) + 1}" if numbered else f"{group}-2"


def how_to_switch(old: str, new: str) -> str:
    """Return the steps of a switch by which every scrape has all managers."""
    return f"""\
To switch without a gap in the metrics:
  1. Beside each running worker start another one with the settings of this command and with
       CALLPULSE_KAFKA__GROUP={new}
       CALLPULSE_WORKER_ID, CALLPULSE_HTTP_PORT: others than those of the running worker
  2. Wait until /-/ready of each new worker answers 200, and let Prometheus scrape them, too.
     While both groups run, boards show the greater of two figures that differ.
  3. Stop the workers of group {old}, and take them out of Prometheus.
  4. Set kafka.group = "{new}" in the settings file. The variable of step 1 is not needed any more.
To go back, start workers of group {old} again. Its topics, {old}-…, may be deleted when they are not needed."""


def _look(urls: Sequence[str], client: WebClient) -> None:
    """Raise UserError if a running worker does not answer."""
    silent = [f"{scrape.url}: {scrape.error}" for scrape in run(fetch_all(urls, client)) if scrape.error]
    if silent:
        raise UserError(
            f"the running workers must answer, so that figures can be compared:\n{bullets(silent)}\n"
            "Give the addresses of all running workers, or --no-compare.",
            INFRASTRUCTURE,
        )


def _prepare(settings: Settings, kafka: Kafka) -> list[str]:
    """Make the topics of the new group; return the settings that differ from those of the running one."""
    from agents.kafka import admin  # noqa: PLC0415 - slow to import
    from agents.kafka.clients import KafkaUnusableError  # noqa: PLC0415 - slow to import
    from agents.kafka.settings_log import meaning_of  # noqa: PLC0415 - slow to import
    from streams.contract import topics  # noqa: PLC0415 - kept beside its user
    from streams.settings import compatibility  # noqa: PLC0415 - kept beside its user

    # The topics of the running group do not matter: it may have another number of partitions.
    old = settings.kafka.group
    of_group = {*(topics.changelog(table, old).name for table in topics.TABLES), topics.settings_log(old).name}
    wrong = [difference for difference in run(admin.check(settings.kafka)) if difference.topic not in of_group]
    if wrong:
        raise UserError(f"the topics are not as declared:\n{bullets(map(str, wrong))}", INFRASTRUCTURE)
    run(admin.create(kafka))
    now = compatibility.of(settings)
    made = run(meaning_of(kafka))
    if made is not None and (changes := compatibility.changes(made, now)):
        raise UserError(
            f"group {kafka.group} has tables that are made by other settings:\n{bullets(map(str, changes))}\n"
            "Give the new group another name (--group).",
            USAGE,
        )
    try:
        was = run(meaning_of(settings.kafka))
    except KafkaUnusableError:
        return []  # the running group has other topics, or is of an earlier release
    return [] if was is None else [str(change) for change in compatibility.changes(was, now)]


def _build(
    settings: Settings, kafka: Kafka, config: Path | None, folder: Path, urls: Sequence[str], *, quiet: bool
) -> tuple[int, tuple[list[Difference], int] | None]:
    """Run a worker of the new group until it has caught up.

    Return the number of records that it has folded, and the differences with the number of figures that were compared.
    """
    from agents.cli.demo.children import start_worker  # noqa: PLC0415 - slow to import
    from agents.kafka.catch_up import catch_up, source_records  # noqa: PLC0415 - slow to import

    name = f"rebuild-{kafka.group}"
    total = run(source_records(kafka))
    child, url = start_worker(config, folder / "worker.log", _environment(settings, kafka, name))
    try:
        with progress("making tables from calls and crm", total, quiet=quiet) as advance:
            run(catch_up(kafka, lambda: _check(child), advance))
            time.sleep(_TIMEOUTS_S)
            records = run(catch_up(kafka, lambda: _check(child)))
        found = _compare(urls, [f"{url}/metrics"], client_of(settings)) if urls else None
        _check(child)
    finally:
        child.stop()
        shutil.rmtree(Path(settings.worker.data_dir) / name, ignore_errors=True)
    return records, found


def _environment(settings: Settings, kafka: Kafka, name: str) -> dict[str, str]:
    """Return the settings of the worker that makes the tables, beside those of the file."""
    given = {key: value for key, value in os.environ.items() if key.startswith("CALLPULSE_")}
    return {
        **given,
        "CALLPULSE_BOOTSTRAP": kafka.bootstrap,
        "CALLPULSE_KAFKA__GROUP": kafka.group,
        "CALLPULSE_WORKER_ID": name,
        "CALLPULSE_DATA_DIR": settings.worker.data_dir,
        "CALLPULSE_HTTP_HOST": "127.0.0.1",
        "CALLPULSE_HTTP_PORT": "0",
        "CALLPULSE_WORKER__ADVERTISED_URL": "",
    }


def _check(child: Child) -> None:
    """Raise UserError if the worker has ended."""
    if not child.running:
        raise UserError(
            f"the worker that makes the tables ended. It said last:\n{child.tail()}\n"
            "Start the command again: it continues where it stopped.",
            INFRASTRUCTURE,
        )


def _compare(running: Sequence[str], rebuilt: Sequence[str], client: WebClient) -> tuple[list[Difference], int] | None:
    """Return the differences and the number of figures; None if a worker does not answer.

    New records reach the two groups at different moments. So only figures that differ in each of several rounds count.
    """
    wrong: set[Any] | None = None
    before: Figures = {}
    after: Figures = {}
    for round_ in range(_ROUNDS):
        if round_:
            time.sleep(_BETWEEN_S)
        scrapes = run(fetch_all([*running, *rebuilt], client))
        if any(scrape.error for scrape in scrapes):
            return None
        before, after = figures(scrapes[: len(running)]), figures(scrapes[len(running) :])
        found = differing(before, after, _elapsed_s(scrapes))
        wrong = found if wrong is None else wrong & found
        if not wrong:
            break
    return by_metric(before, after, wrong or ()), len(before.keys() | after.keys())


def _elapsed_s(scrapes: Sequence[Scrape]) -> float:
    began_ms, ended_ms = min(scrape.began_ms for scrape in scrapes), max(scrape.ended_ms for scrape in scrapes)
    return (ended_ms - began_ms) / 1000


def _show(differences: Sequence[Difference], series: int) -> None:
    """Print the differences."""
    count = sum(difference.differing for difference in differences)
    typer.echo(f"Compared {series:,} figures with the running workers: {count:,} differ.")
    if not differences:
        return
    table = Table("metric", "differ", "of", "largest difference", "running", "rebuilt", box=None, pad_edge=False)
    for difference in differences:
        where = ", ".join(f"{name}={value}" for name, value in difference.labels.items())
        table.add_row(
            difference.metric,
            str(difference.differing),
            str(difference.series),
            cell(where),
            _number(difference.before),
            _number(difference.after),
        )
    console().print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"

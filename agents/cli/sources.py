"""`callpulse sources`: the sources that are configured, their state, and a test of one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.table import Table

from agents.cli.common import (
    FAILED,
    ConfigOption,
    JsonOption,
    cell,
    console,
    print_json,
    read_settings,
    run,
)
from agents.cli.polled_sources import POLL_COLUMNS, POLL_METRICS, poll_states
from agents.cli.ports import client_of, status_metrics
from agents.cli.source_stages import stages
from agents.cli.source_test import Asked, report_of
from agents.telemetry.scrape import Sample, fetch_all, samples
from streams.settings.settings import Settings
from streams.sources.asterisk import DRY_RUN_SECRET

app = typer.Typer()

_COLUMNS: Final = ("SOURCE", "STATE", "LAST HEARD", "RECEIVED", "REJECTED", "GAPS", "SKEW")
_WANTED: Final = frozenset(
    f"source_{name}"
    for name in (
        *("received_total", "rejected_total", "gaps_total", "connected", "skew_seconds"),
        *("last_heard_timestamp_seconds", "accepted_total"),
    )
)
_STALE_S: Final = 3600.0


AtOption = Annotated[
    list[str] | None,
    typer.Option(
        "--at",
        metavar="HOST:PORT",
        show_default=False,
        help="The port of a process that takes events in (gateway.status_port); may be given several times. "
        "Without it: the one of the settings.",
    ),
]


@app.callback(invoke_without_command=True)
def sources(
    context: typer.Context,
    config: ConfigOption = None,
    *,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """List all sources that are configured or that a running process has heard, with their state.

    For example:

        callpulse sources

        callpulse sources --at 127.0.0.1:8791 --at 127.0.0.1:8792
    """
    if context.invoked_subcommand is not None:
        return
    settings = read_settings(config)
    scrapes = run(fetch_all(status_metrics(settings, at), client_of(settings)))
    silent = [f"{one.url}: {one.error}" for one in scrapes if one.error]
    found = [sample for one in scrapes if not one.error for sample in samples(one.text, _WANTED | POLL_METRICS)]
    rows, polls = list(states(settings, found, time.time())), list(poll_states(found, time.time()))
    if as_json:
        print_json({"sources": rows, "polls": polls, "silent": silent})
        return
    _print(_COLUMNS, rows)
    if polls:
        typer.echo()
        _print(POLL_COLUMNS, polls)
    for line in silent:
        typer.echo(f"no answer from {line}")


def _print(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(cell(_shown(row[name.lower().replace(" ", "_")])) for name in columns))
    console().print(table)


def states(settings: Settings, found: list[Sample], now_s: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each source: the configured ones in the order of the settings, then others with events."""
    by_source: dict[str, dict[str, float]] = {name: {} for name in configured(settings)}
    for sample in found:
        if sample.name not in _WANTED:
            continue
        values = by_source.setdefault(sample.labels["source"], {})
        key = sample.name.removeprefix("source_").removesuffix("_total")
        if key == "last_heard_timestamp_seconds":
            values[key] = max(values.get(key, 0.0), sample.value)
        else:
            values[key] = values.get(key, 0.0) + sample.value
    for name, values in by_source.items():
        heard = values.get("last_heard_timestamp_seconds")
        age_s = None if not heard else max(0.0, now_s - heard)
        yield {
            "source": name,
            "state": _state(values, age_s),
            "last_heard": None if age_s is None else f"{age_s:.0f} s ago",
            "received": int(values.get("received", 0)),
            "rejected": int(values.get("rejected", 0)),
            "gaps": int(values.get("gaps", 0)),
            "skew": None if "skew_seconds" not in values else f"{values['skew_seconds']:.1f} s",
        }


def _state(values: Mapping[str, float], age_s: float | None) -> str:
    if not values:
        return "not heard of"
    if "connected" in values:
        return "connected" if values["connected"] else "not connected"
    if age_s is None:
        return "nothing yet"
    return "heard" if age_s < _STALE_S else "silent"


def configured(settings: Settings) -> list[str]:
    """Return the sources that the settings set up, by the names under which their events are counted."""
    names = []
    for table in settings.sources.__struct_fields__:
        held = getattr(settings.sources, table)
        if isinstance(held, Mapping):
            names += [str(getattr(one, "source", None) or name) for name, one in held.items()]
        elif f"sources.{table}" in settings.origins or any(
            key.startswith(f"sources.{table}.") and origin != "privacy.region"
            for key, origin in settings.origins.items()
        ):
            names.append(getattr(held, "source", table))
    return list(dict.fromkeys(names))


def _shown(value: object) -> str:
    return "-" if value is None else str(value)


@app.command("test")
def try_out(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The source, such as asterisk.")],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", show_default=False, help="Of a source of files: the file to read."),
    ] = None,
    config: ConfigOption = None,
    *,
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, help="How long to listen.")] = 20.0,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Listen to a source for a while, or read its file, and say what was understood and what is missing.

    Nothing is stored. It says how many events were heard and understood, and when the last one was; how the other
    system's clock stands to ours; what is refused and why; who is not on the roster; and what this source cannot know.
    With a problem the exit code is 1.

    asterisk: it connects to the manager interface as the listener does, and says which right the account lacks.

    asterisk.cel, asterisk.queue_log, asterisk.cdr, and mappings of files: it reads the newest MiB of the file.

    Senders to the gateway, hooks and polls: it compares what running processes count, and reads the last day in Kafka.

    For example:

        callpulse sources test asterisk --seconds 60

        callpulse sources test exports /srv/exports/calls.csv

        callpulse sources test crm --at 127.0.0.1:8791
    """
    settings = read_settings(config)
    asked = Asked(
        name=name,
        seconds=seconds,
        secret=settings.privacy.lead_secret.reveal().encode() or DRY_RUN_SECRET,
        names=configured(settings),
        gateways=status_metrics(settings, at),
        client=client_of(settings),
        file=file,
    )
    report = report_of(settings, asked)
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        for line in report.lines(int(time.time() * 1000)):
            typer.echo(line)
    if not report.is_good:
        raise typer.Exit(FAILED)


app.command("stages")(stages)

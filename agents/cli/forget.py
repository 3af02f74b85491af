"""`callpulse forget`: removes a lead from the tables, and lists the records that remain, with their expiry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from agents.cli.common import (
    FAILED,
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    console,
    print_json,
    progress,
    read_settings,
    run,
    say,
)

if TYPE_CHECKING:
    from agents.kafka.forgetting import Kept
    from streams.settings.settings import Settings

OUTSIDE: Final = (
    "spools of gateways (gateway.data_dir), until Kafka has taken what is in them",
    "files that callpulse follows or has imported",
    "older versions of rows in changelogs, until Kafka compacts them: a day or more",
    "Prometheus, where the lead was shown as one that needs help: by its own retention",
    "the telephone system, the recogniser and the CRM",
)


def forget(
    lead: Annotated[str, typer.Argument(help="The lead: its id in the CRM, or its lead key.", show_default=False)],
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is kept.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget a lead: remove its rows, those of its deals, linked keys and transcripts; say what remains, and how long.

    Workers empty the rows when they read the request, and soon remove the empty rows, from Kafka too; run the command
    again with --dry-run to see it. Sums of managers stay: they are counts without names. Kafka cannot remove single
    records from a topic, so those of the lead stay until the retention of their topic removes them. What a source says
    of the lead later makes a new row. Ends with 1 if nothing is kept of the lead.

    For example:

        callpulse forget crm-7741 --dry-run

        callpulse forget crm-7741
    """
    from agents.kafka import forgetting  # noqa: PLC0415 - slow to import
    from streams.contract.facts import RESERVED  # noqa: PLC0415 - only needed here

    settings = read_settings(config, bootstrap)
    if not lead or lead.startswith(RESERVED):
        raise UserError("this is no name of a lead.", USAGE)
    with progress("looking for the lead", None, quiet=as_json) as advance:
        kept = run(forgetting.find(settings.kafka, lead, advance))
    if kept.rows and not dry_run:
        run(forgetting.ask(settings.kafka, kept))
    if as_json:
        print_json(_report(settings, lead, kept, dry_run=dry_run))
    elif not kept.is_unknown:
        _show(settings, kept, dry_run=dry_run)
    if kept.is_unknown:
        say("callpulse: this lead is unknown: no table and no topic names it.")
        raise typer.Exit(FAILED)


def _report(settings: Settings, lead: str, kept: Kept, *, dry_run: bool) -> dict[str, Any]:
    return {
        "lead": lead,
        "known": not kept.is_unknown,
        "asked": bool(kept.rows) and not dry_run,
        "rows": {
            "leads": len(kept.keys) + len(kept.deals),
            "transcripts": len(kept.calls),
            "outcomes": kept.lists,
            "managers": kept.recent,
        },
        "linked_keys": len(set(kept.keys) - {lead}),
        "deals": len(kept.deals),
        "managers_until_events_are_older_by_s": settings.thresholds.retry_horizon_ms // 1000,
        "topics": [
            {"topic": each.topic, "records": each.records, "newest": _when(each.newest), "until": _when(each.until)}
            for each in kept.records
        ],
        "outside": OUTSIDE,
    }


def _show(settings: Settings, kept: Kept, *, dry_run: bool) -> None:
    fate = "would be removed" if dry_run else "is emptied at once, then removed"
    hours = settings.thresholds.retry_horizon_ms / 3_600_000
    table = Table("table", "rows", "what happens", box=None, pad_edge=False)
    table.add_row("leads", str(len(kept.keys)), fate)
    table.add_row("leads (deals)", str(len(kept.deals)), fate)
    table.add_row("transcripts", str(len(kept.calls)), fate)
    table.add_row("outcomes", str(kept.lists), "the lead leaves the list of leads that need help; sums stay")
    table.add_row("managers", str(kept.recent), f"stays until the call is {hours:g} h older than the manager's newest")
    console().print(table)
    if not kept.records:
        typer.echo("No topic has records of the lead.")
    else:
        rest = Table("topic", "records", "newest arrived", "retention removes them", box=None, pad_edge=False)
        for each in kept.records:
            rest.add_row(each.topic, str(each.records), _when(each.newest), f"after {_when(each.until)}")
        console().print(rest)
    typer.echo("Not looked at:")
    for place in OUTSIDE:
        typer.echo(f"  {place}")


def _when(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%MZ}"

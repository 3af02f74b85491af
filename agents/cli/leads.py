"""`callpulse leads`: the leads that need help now, of all managers, from any worker."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import aiohttp
import typer
from rich.table import Table

from agents.cli.cells import linked
from agents.cli.common import (
    INFRASTRUCTURE,
    USAGE,
    ConfigOption,
    JsonOption,
    UserError,
    cell,
    console,
    print_json,
    read_settings,
    run,
    say,
    write,
)
from agents.cli.ports import client_of, worker_url
from agents.web.client import NOBODY, WebClient
from agents.web.paths import ATTENTION, LARGEST_PAGE
from streams.callers import shown
from streams.settings.links import Links

_TIMEOUT_S: Final = 15.0
_WHY: Final = {"stuck": "stuck: bring in somebody else", "consultation": "talk it over with a mentor"}


def leads(
    worker: Annotated[str | None, typer.Argument(metavar="[URL]", show_default=False)] = None,
    config: ConfigOption = None,
    *,
    manager: Annotated[str | None, typer.Option(help="Only this manager's.", show_default=False)] = None,
    team: Annotated[str | None, typer.Option(help="Only this team's.", show_default=False)] = None,
    why: Annotated[
        Literal["consultation", "stuck"] | None, typer.Option(help="Only for this reason.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show, the most urgent first.")] = 50,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for a spreadsheet.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the leads that need help: conversation after conversation, and nothing comes of it.

    After three conversations in a row without progress (no next step agreed, no new stage reached) a consultation with
    a mentor is due; after five the lead is stuck. The list is the same whichever worker is asked; without a URL it is
    the one that the settings describe. Ends with 1 if some worker did not answer, because then leads are missing.

    With `links.lead` in the settings each lead is a link to its page, and CSV and JSON have it as `link`. A lead that
    is known by a number alone is an unknown caller with a short reference; `callpulse lead-key` makes it of a number.

    For example:

        callpulse leads --team inbound

        callpulse leads http://worker-1:8787 --why stuck --csv > stuck.csv
    """
    if as_csv and as_json:
        raise UserError("choose one of --csv and --json.", USAGE)
    settings = read_settings(config)
    own, links = settings.worker, settings.links
    if not (worker or own.advertised_url or own.http_port):
        raise UserError(
            "worker.http_port is 0, any free one: name the URL that the worker printed at its start.", USAGE
        )
    address = worker or own.advertised_url or worker_url(settings)
    url = address if "://" in address else f"http://{address}"
    parameters = {"manager": manager, "team": team, "why": why}
    query = {name: value for name, value in parameters.items() if value is not None}
    found = run(_fetch(url.rstrip("/"), query, limit, client_of(settings)))
    for row in found["leads"]:  # the worker's own settings may name no page
        if "link" not in row and (page := links.of_lead(row["lead"])):
            row["link"] = page
    if as_json:
        print_json(found)
    elif as_csv:
        write(_as_csv(found["leads"], links).encode())
    else:
        _show(found, links)
    if missing := found["missing_partitions"]:
        say(f"no worker answered for partition {', '.join(map(str, missing))}: their leads are missing here.")
        raise typer.Exit(1)


async def _fetch(url: str, query: dict[str, str], limit: int, client: WebClient = NOBODY) -> dict[str, Any]:
    """Return the list, page after page, as one. Raises UserError where the worker does not answer."""
    found: dict[str, Any] = {"leads": [], "total": 0, "missing_partitions": []}
    try:
        url, headers = client.addressed(url)
        async with client.session(_TIMEOUT_S) as session:
            offset: int | None = 0
            while offset is not None and len(found["leads"]) < limit:
                page_size = str(min(LARGEST_PAGE, limit - len(found["leads"])))
                async with session.get(
                    f"{url}{ATTENTION}",
                    params={**query, "limit": page_size, "offset": str(offset)},
                    headers=headers,
                ) as response:
                    if response.status != 200:  # noqa: PLR2004 - HTTP's own number
                        text = (await response.text()).strip()
                        raise UserError(f"{url} answered {response.status}: {text}", INFRASTRUCTURE)
                    page = await response.json()
                found["leads"] += page["leads"]
                found["total"] = page["total"]
                found["missing_partitions"] = sorted({*found["missing_partitions"], *page["missing_partitions"]})
                offset = page["next_offset"]
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        text = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        raise UserError(
            f"the worker at {url} cannot be asked: {text}. Is it running? `callpulse worker` prints its address.",
            INFRASTRUCTURE,
        ) from None
    return found


def _as_csv(rows: list[dict[str, Any]], links: Links) -> str:
    from msgspec import convert  # noqa: PLC0415 - slow to import, and only here

    from agents.telemetry.attention import Listed, Page, as_csv  # noqa: PLC0415 - slow to import, and only here

    listed = convert(rows, list[Listed])
    page = Page(leads=listed, total=len(listed), next_offset=None, missing_partitions=[])
    return as_csv(page, linked=bool(links.lead) or any("link" in row for row in rows))


def _show(found: dict[str, Any], links: Links) -> None:
    rows = found["leads"]
    if not rows:
        typer.echo("No lead needs help now." if not found["missing_partitions"] else "None that is known of.")
        return
    typer.echo(f"{len(rows)} of {found['total']} leads that need help")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("manager", "lead"):
        table.add_column(name, overflow="fold")
    for name in ("no progress", "dials", "days in stage"):
        table.add_column(name, justify="right")
    for name in ("stage", "last reason", "what to do"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            linked(row["manager"], links.of_manager(row["manager"])),
            linked(shown(row["lead"]), row.get("link")),
            str(row["without_progress"]),
            str(row["attempts"]),
            str(row["days_in_stage"]),
            cell(row["stage"]),
            cell(row["reason"] or "-"),
            _WHY[row["why"]],
        )
    console().print(table)

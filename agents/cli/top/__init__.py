"""`callpulse top`: the live board on the terminal, for use without Grafana."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from agents.cli.common import (
    INFRASTRUCTURE,
    ConfigOption,
    JsonOption,
    UserError,
    console,
    print_json,
    read_settings,
    run,
)
from agents.cli.ports import client_of, worker_metrics
from agents.cli.top.board import View, board, in_order, nobody
from agents.cli.top.department import Department, plain, read_department
from agents.cli.top.keys import LEAVE, moved, pressed
from agents.cli.top.page import page
from agents.telemetry.scrape import fetch_all
from agents.web.client import NOBODY, WebClient
from streams.settings.settings import Manager

PICTURE_WIDTH: Final = 150
_PICTURE: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; }}
{styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""
"""rich's own template of a terminal, without the fonts that it would fetch from another server."""


def top(
    workers: Annotated[list[str] | None, typer.Argument(metavar="[MANAGER] [URL...]", show_default=False)] = None,
    config: ConfigOption = None,
    *,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    team: Annotated[str | None, typer.Option(help="Show one team.", show_default=False)] = None,
    sort: Annotated[
        Literal["team", "idle", "calls", "talk", "meaningful", "won", "stuck"], typer.Option(help="Order of the lines.")
    ] = "team",
    once: Annotated[bool, typer.Option("--once", help="Print the board once and leave.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Save the board as a picture and leave.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch the managers live on the terminal: who is on a call, who is silent on shift, and what comes of the calls.

    Result stands beside activity: deals won in 30 days; conversion and the lower end of its 95 % interval, 90 days;
    promises kept, the next steps of 30 days; leads that are stuck; who stands out with many calls and few deals, or the
    reverse. With a MANAGER of the roster, by id or name, it is the page of that manager; on a terminal the arrow keys
    choose a line, Enter shows its page, Esc all lines again, and q leaves.

    Reads the metrics of one or several workers; without URLs, of the worker that the settings describe. Red: on shift
    and silent for longer than a pause. The top line shows the age of the newest event: if it is old, silence means
    that the feed is down, not that nobody works.

    For example:

        callpulse top

        callpulse top "Anna Weber"

        callpulse top http://worker-1:8787 http://worker-2:8787 --team inbound

        callpulse top --json | jq '.lines[] | select(.idle_s > 900) | .manager'
    """
    settings = read_settings(config)
    manager, addresses = _whose(workers or [], settings.managers)
    urls, client = worker_metrics(settings, addresses), client_of(settings)
    view = View(settings.thresholds, settings.managers, manager=manager, links=settings.links)
    if as_json or once or svg is not None:
        _once(urls, client, view, team, sort, svg=svg, as_json=as_json)
        return
    try:
        run(watch(urls, view, client=client, interval_s=interval, team=team, order=sort))
    except KeyboardInterrupt:
        return  # the usual way to leave the board


def _whose(given: Sequence[str], roster: Mapping[str, Manager]) -> tuple[str | None, list[str] | None]:
    """Return the manager whom the first argument names by id or name, None for no manager, and the addresses."""
    if given:
        for id_, manager in roster.items():
            if given[0].casefold() in (id_.casefold(), manager.name.casefold()):
                return id_, [*given[1:]] or None
    return None, [*given] or None


async def look(urls: Sequence[str], team: str | None = None, client: WebClient = NOBODY) -> Department:
    """Return the present figures of the department, of one team or of all teams."""
    found = read_department(await fetch_all(urls, client), int(time.time() * 1000))
    if team is not None:
        found.lines = [line for line in found.lines if line.team == team]
    return found


async def watch(
    urls: Sequence[str],
    view: View,
    *,
    client: WebClient = NOBODY,
    interval_s: float,
    team: str | None = None,
    order: str = "team",
    ended: asyncio.Event | None = None,
) -> None:
    """Show the board on the terminal until it is cancelled or `ended` is set."""
    ended = ended or asyncio.Event()
    screen = Console()
    with (
        Live(Text("waiting for the workers"), console=screen, screen=screen.is_terminal, auto_refresh=False) as live,
        pressed(shown=screen.is_terminal) as keys,
    ):
        view = view._replace(keys=keys is not None)
        while not ended.is_set():
            found = await look(urls, team, client)
            until = asyncio.get_running_loop().time() + interval_s
            key: str | None = ""
            while key is not None:
                live.update(drawn(found, view, screen.width, screen.height, order), refresh=True)
                key = await _next(keys, ended, until)
                if key == LEAVE:
                    return
                if key is not None:
                    lines = [line.manager for line in in_order(found, order) if not nobody(line)]
                    view = moved(view, key, lines)


async def _next(keys: asyncio.Queue[str] | None, ended: asyncio.Event, until: float) -> str | None:
    """Return the next key, None at `until` or once `ended` is set."""
    ending = asyncio.create_task(ended.wait())
    pressing = None if keys is None else asyncio.create_task(keys.get())
    waiting = [task for task in (ending, pressing) if task is not None]
    try:
        rest = max(0.0, until - asyncio.get_running_loop().time())
        await asyncio.wait(waiting, timeout=rest, return_when=asyncio.FIRST_COMPLETED)
        return pressing.result() if pressing is not None and pressing.done() else None
    finally:
        for task in waiting:
            task.cancel()


def drawn(found: Department, view: View, width: int, height: int | None = None, order: str = "team") -> RenderableType:
    """Return the board of all, or the page of the manager in the view."""
    return board(found, view, width, height, order) if view.manager is None else page(found, view, view.manager)


def picture(found: Department, view: View, order: str = "team") -> str:
    """Return the board as SVG."""
    recorder = Console(
        record=True, width=PICTURE_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    recorder.print(drawn(found, view, PICTURE_WIDTH, order=order))
    return recorder.export_svg(title="callpulse top", code_format=_PICTURE, unique_id="top")


def _once(
    urls: list[str],
    client: WebClient,
    view: View,
    team: str | None,
    order: str,
    *,
    svg: Path | None,
    as_json: bool,
) -> None:
    found = run(look(urls, team, client))
    if not found.feed.workers_up:
        raise UserError(
            "no worker answers, so there is nothing to show:\n"
            + "\n".join(f"  {error}" for error in found.feed.errors)
            + "\nIs it running (`callpulse worker`), and is this its address (worker.http_host, worker.http_port)?",
            INFRASTRUCTURE,
        )
    if as_json:
        if view.manager is not None:
            found.lines = [line for line in found.lines if line.manager == view.manager]
        print_json(plain(found))
    elif svg is not None:
        svg.write_text(picture(found, view, order), encoding="utf-8")
        typer.echo(f"{svg} shows {len(found.lines)} managers.")
    else:
        shown = console()
        shown.print(drawn(found, view, shown.width, order=order))

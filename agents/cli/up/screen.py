"""The output of `callpulse up`: a screen with all parts on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agents.cli.common import cell, say
from agents.cli.up.supervisor import FAILED, NOT_READY, READY, STARTING, STOPPED, WAITING, Supervised

_STYLES: Final = {
    READY: "green",
    STARTING: "cyan",
    NOT_READY: "yellow",
    WAITING: "yellow",
    FAILED: "red",
    STOPPED: "dim",
}


def state_of(one: Supervised) -> str:
    """Return the state of a part in words."""
    if one.state == WAITING:
        return f"died, starts again in {one.pause_s:.0f} s"
    if one.state == FAILED:
        return "failed: its settings are wrong"
    again = f", started {one.restarts + 1} times" if one.restarts and one.state != STOPPED else ""
    return f"{one.state}{again}"


def line_of(one: Supervised) -> str:
    """Return a line with the state of a part, and with the last line of its log if it has died."""
    process = "" if one.pid is None else f" (process {one.pid})"
    last = one.tail(1).strip() if one.state in (WAITING, FAILED) else ""
    return f"{one.part.name:<14} {state_of(one)}  {one.part.url}{process}{f'; it said last: {last}' if last else ''}"


def board(supervised: Sequence[Supervised], notes: Sequence[str]) -> RenderableType:
    """Return the screen: a line for each part, with its last line of log, and the notes below."""
    table = Table(box=None, header_style="bold", pad_edge=False, expand=True)
    for name in ("part", "state", "address", "process"):
        table.add_column(name, no_wrap=True)
    table.add_column("last line of its log", no_wrap=True, overflow="ellipsis", ratio=1)
    for one in supervised:
        style = _STYLES[one.state]
        last_line = cell(one.tail(1).strip())
        pid = "" if one.pid is None else str(one.pid)
        table.add_row(one.part.name, Text(state_of(one), style=style), one.part.url, pid, last_line)
    return Group(table, Text(), *(Text(note) for note in notes))


class Screen:
    """Shows the parts: `show` draws on a terminal, `changed` writes a line elsewhere. `is_silent`: both do nothing."""

    def __init__(self, notes: Sequence[str], *, is_silent: bool) -> None:
        self._notes = notes
        self._is_silent = is_silent
        console = Console(stderr=True)
        draws = console.is_terminal and not is_silent
        self._live = Live(console=console, auto_refresh=False, transient=True) if draws else None
        if self._live is None and not is_silent:
            for note in notes:
                say(note)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def changed(self, one: Supervised) -> None:
        """Write the new state of a part."""
        if self._live is None and not self._is_silent:
            say(line_of(one))

    def show(self, supervised: Sequence[Supervised]) -> None:
        """Draw all parts."""
        if self._live is not None:
            self._live.update(board(supervised, self._notes), refresh=True)

"""Keys of the live board: reading them from the terminal, and their effect on the view."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TextIO

from agents.cli.top.board import View

UP, DOWN, OPEN, BACK, LEAVE = "up", "down", "open", "back", "leave"
_NAMES: Final = {
    **dict.fromkeys(("\x1b[A", "\x1bOA", "k"), UP),
    **dict.fromkeys(("\x1b[B", "\x1bOB", "j"), DOWN),
    **dict.fromkeys(("\r", "\n", "\x1b[C", "\x1bOC", "l"), OPEN),
    **dict.fromkeys(("\x1b", "\x7f", "\x08", "\x1b[D", "\x1bOD", "h"), BACK),
    **dict.fromkeys(("q", "Q", "\x04"), LEAVE),
}
"""The meaning of the sequences that a terminal sends: arrows in both modes, Enter, Esc, Backspace, letters of vi."""
_PRESSED: Final = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_READ_BYTES: Final = 1024


def names(text: str) -> Iterator[str]:
    """Yield the meaning of each key in the input of a terminal; other keys are left out."""
    for found in _PRESSED.findall(text):
        if found in _NAMES:
            yield _NAMES[found]


def moved(view: View, key: str, order: Sequence[str]) -> View:
    """Return the view after the key; `order` has the managers' ids from the first line of the board to the last.

    Up and down choose the line before or after, and on the page of a manager the page before or after. If the chosen
    manager is no longer on the board, the first line is chosen.
    """
    if not order:
        return view
    place = order.index(view.chosen) if view.chosen in order else None
    if key in (UP, DOWN):
        step = 1 if key == DOWN else -1
        chosen = order[0] if place is None else order[min(max(place + step, 0), len(order) - 1)]
        return view._replace(chosen=chosen, manager=None if view.manager is None else chosen)
    if key == OPEN:
        chosen = order[place or 0]
        return view._replace(chosen=chosen, manager=chosen)
    return view._replace(manager=None, chosen=view.manager or view.chosen) if key == BACK else view


@contextmanager
def pressed(stream: TextIO | None = None, *, shown: bool = True) -> Iterator[asyncio.Queue[str] | None]:
    """Yield a queue of the pressed keys; None if the stream (standard input by default) is no terminal, or not `shown`.

    Until the end the terminal sends each key at once and echoes none. The end restores its state, also after an error.
    SIGTERM counts as the key that leaves. Requires a running event loop in the main thread.
    """
    stream = stream or sys.stdin
    if not shown or stream.closed or not stream.isatty():
        yield None
        return
    terminal, loop = stream.fileno(), asyncio.get_running_loop()
    queue: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        text = os.read(terminal, _READ_BYTES).decode("utf-8", "replace")
        for key in names(text) if text else (LEAVE,):  # nothing is read from a terminal that is gone
            queue.put_nowait(key)

    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        loop.add_reader(terminal, read)
        loop.add_signal_handler(signal.SIGTERM, queue.put_nowait, LEAVE)
        yield queue
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)

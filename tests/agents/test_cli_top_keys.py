"""The keys of the live board: on a real terminal, and what each does to what is shown."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from agents.cli.top.board import View, board, in_order
from agents.cli.top.department import Department, Feed, Line
from agents.cli.top.keys import BACK, DOWN, LEAVE, OPEN, UP, moved, names, pressed
from streams.settings.settings import Thresholds
from tests.agents.test_cli_top import address as address  # noqa: PLC0414 - the fixture

VIEW = View(Thresholds(), {}, keys=True)
ORDER = ("anna", "bert", "cora")


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("\x1b[A\x1bOB", [UP, DOWN]),
        ("\r\n", [OPEN, OPEN]),
        ("\x1b", [BACK]),
        ("\x1b[D\x7f", [BACK, BACK]),
        ("jkq", [DOWN, UP, LEAVE]),
        ("\x1b[5~\x1b[1;5Hxé7", []),  # a page up and others that mean nothing
        ("\x04", [LEAVE]),
    ],
)
def test_keys_are_read_from_what_the_terminal_sends(sent: str, keys: list[str]) -> None:
    assert list(names(sent)) == keys


@pytest.mark.parametrize(
    ("chosen", "manager", "key", "then"),
    [
        (None, None, DOWN, ("anna", None)),
        ("anna", None, DOWN, ("bert", None)),
        ("anna", None, UP, ("anna", None)),
        ("cora", None, DOWN, ("cora", None)),
        ("gone", None, UP, ("anna", None)),
        (None, None, OPEN, ("anna", "anna")),
        ("bert", None, OPEN, ("bert", "bert")),
        ("bert", "bert", DOWN, ("cora", "cora")),
        ("bert", "bert", BACK, ("bert", None)),
        (None, "cora", BACK, ("cora", None)),
        ("bert", None, BACK, ("bert", None)),
    ],
)
def test_a_key_chooses_a_line_or_shows_a_page(
    chosen: str | None, manager: str | None, key: str, then: tuple[str, str | None]
) -> None:
    after = moved(VIEW._replace(chosen=chosen, manager=manager), key, ORDER)
    assert (after.chosen, after.manager) == then


@pytest.mark.parametrize("key", [UP, DOWN, OPEN, BACK])
def test_without_managers_a_key_does_nothing(key: str) -> None:
    assert moved(VIEW, key, ()) == VIEW


@pytest.mark.parametrize("chosen", ["m000", "m012", "m049"])
def test_the_chosen_line_is_in_sight_and_the_board_fits_the_height(chosen: str) -> None:
    lines = [Line(manager=f"m{number:03}", team="t") for number in range(50)]
    found = Department(at_ms=0, feed=Feed(workers=1, workers_up=1, age_s=2.0), lines=lines)
    screen = Console(file=io.StringIO(), width=80, record=True)
    screen.print(board(found, VIEW._replace(chosen=chosen), 80, 20))
    text = screen.export_text()
    assert chosen in text
    assert "Enter shows the page" in text
    assert len(text.rstrip().splitlines()) <= 20
    assert in_order(found, "team")[0].manager == "m000"


def test_what_is_no_terminal_has_no_keys() -> None:
    async def asked() -> None:
        with pressed(io.StringIO()) as keys:
            assert keys is None

    asyncio.run(asked())


@contextmanager
def on_a_terminal(address: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `callpulse top` on a terminal; give the process and our end, and end it."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    command = (sys.executable, "-m", "agents.cli", "top", address, "--interval", "60")
    process = subprocess.Popen(
        command,
        stdin=its,
        stdout=its,
        stderr=its,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
    )
    try:
        yield process, ours
        assert termios.tcgetattr(its)[3] & (termios.ECHO | termios.ICANON) == termios.ECHO | termios.ICANON
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=30)
        os.close(ours)
        os.close(its)


def shown(terminal: int, word: str, within_s: float = 60) -> str:
    """Return what the terminal shows until the word does. AssertionError with all of it where it does not in time."""
    text, end = "", time.monotonic() + within_s
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            text += os.read(terminal, 65536).decode("utf-8", "replace")
            if word in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text):
                return text
    raise AssertionError(f"{word!r} is not shown: {text!r}")


def test_a_manager_is_chosen_and_shown_and_the_terminal_is_as_it_was(address: str) -> None:
    with on_a_terminal(address) as (process, terminal):
        shown(terminal, "q leaves")
        os.write(terminal, b"\x1b[B\r")
        shown(terminal, "Esc shows everybody")
        os.write(terminal, b"\x1b")
        shown(terminal, "Enter shows the page")
        os.write(terminal, b"q")
        shown(terminal, "")  # what it says at the end is taken, so that it can end
        assert process.wait(timeout=30) == 0


def test_a_signal_that_ends_it_leaves_the_terminal_as_it_was(address: str) -> None:
    with on_a_terminal(address) as (process, terminal):
        shown(terminal, "q leaves")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0

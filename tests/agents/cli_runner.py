"""Runs the command line inside the test's own process, and keeps its output."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, NamedTuple

import orjson
import pytest
import typer.main

from agents.cli import main

_command = cache(typer.main.get_command)
"""Building the tree of commands takes longer than most commands run."""


class Said(NamedTuple):
    """The result of a run of the command line: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The standard output, decoded from JSON."""
        return orjson.loads(self.out)


class Runner:
    """`runner("topics", "check")` is `callpulse topics check` in an empty folder, with no CALLPULSE_ variable set."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd = capfd
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: object, **environment: str) -> Said:
        """Run a command, and return its result."""
        with self._monkeypatch.context() as patch:
            patch.setattr(typer.main, "get_command", _command)
            patch.setattr(sys, "argv", ["callpulse", *map(str, arguments)])
            for name, value in environment.items():
                patch.setenv(name, value)
            self._capfd.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        out, err = self._capfd.readouterr()
        return Said(int(ended.value.code or 0), out, err)

"""Runs `callpulse COMMAND` to its end, in a fork of a process that has imported the command line already.

The import takes a second of the processor, twice that where coverage is measured, and most commands take little more
than that. `python -m agents.cli` itself is tested with long-running commands: the worker, the gateway, the listeners.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Final

from tests.measuring import PAUSED_CONFIG, PROCESS_CONFIG

ROOT: Final = Path(__file__).parents[2]
_SERVER: Final = multiprocessing.get_context("forkserver")
_IMPORTED: Final = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("agents/cli", "agents/kafka", "streams")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "__main__.py"
]
_SERVER.set_forkserver_preload([*_IMPORTED, "agents.worker", "holidays"])


def run(*arguments: object, environment: Mapping[str, str], timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder with only the variables of `environment`; return its output and status.

    Raises `subprocess.TimeoutExpired`, after it has ended the process.
    """
    with started(*arguments, environment=environment) as process:
        status = process.wait(timeout_s)
        words = ["callpulse", *map(str, arguments)]
        if status is None:
            raise subprocess.TimeoutExpired(words, timeout_s)
        return subprocess.CompletedProcess(words, status, process.out(), process.err())


class Started:
    """A command that runs."""

    def __init__(self, process: BaseProcess, out: IO[str], err: IO[str]) -> None:
        self._process = process
        self._out = out
        self._err = err

    @property
    def is_running(self) -> bool:
        """True until the process ends."""
        return self._process.exitcode is None

    def out(self) -> str:
        """Return the standard output so far."""
        return _all(self._out)

    def err(self) -> str:
        """Return the standard error so far."""
        return _all(self._err)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the end of the process, and return its status; None if it still runs."""
        self._process.join(timeout_s)
        return self._process.exitcode

    def end(self, timeout_s: float = 30) -> int | None:
        """Tell the process to end, as a service manager does, and return its status; None if it still runs."""
        self._process.terminate()
        return self.wait(timeout_s)


@contextmanager
def started(*arguments: object, environment: Mapping[str, str]) -> Iterator[Started]:
    """Start a command as `run` does, and kill it at last."""
    words = ["callpulse", *map(str, arguments)]
    _ensure_server()
    with tempfile.NamedTemporaryFile("w+") as out, tempfile.NamedTemporaryFile("w+") as err:
        files = [out.name, err.name]
        process = _SERVER.Process(target=_command, args=(words, dict(environment), files), daemon=True)
        process.start()
        try:
            yield Started(process, out, err)
        finally:
            if process.exitcode is None:
                process.kill()
                process.join()
            process.close()


def _all(file: IO[str]) -> str:
    """Return the text in a file that another process writes."""
    file.seek(0)
    return file.read()


def stop() -> None:
    """End the server, and wait until it has written its coverage."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # there is no public way


def _ensure_server() -> None:
    """Start the server where it does not run. It measures coverage where the tests do, also if this one does not count.

    The commands of this test decide for themselves (`_command`): the server serves later tests, too.
    """
    measured = os.environ.pop(PROCESS_CONFIG, None)
    try:
        resource_tracker.ensure_running()  # a helper of the server that outlives it: it runs no code of callpulse
        config = measured or os.environ.get(PAUSED_CONFIG)
        if config is not None:
            os.environ[PROCESS_CONFIG] = config
        forkserver.ensure_running()
    finally:
        os.environ.pop(PROCESS_CONFIG, None)
        if measured is not None:
            os.environ[PROCESS_CONFIG] = measured


def _command(words: list[str], environment: dict[str, str], files: list[str]) -> None:
    """Be a process of `callpulse`, with its standard output and its standard error in `files`."""
    for number, path in enumerate(files, 1):
        file = os.open(path, os.O_WRONLY)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115 - for as long as the process lives
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = words
    coverage = sys.modules.get("coverage")
    measurement = coverage and coverage.Coverage.current()
    if measurement is not None and PROCESS_CONFIG not in environment:
        measurement.stop()
    from agents.cli import main  # noqa: PLC0415 - the server has imported it; the tests' own process need not

    main()

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
from collections.abc import Mapping
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Final

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
    words = ["callpulse", *map(str, arguments)]
    _ensure_server()
    with tempfile.NamedTemporaryFile("w+") as out, tempfile.NamedTemporaryFile("w+") as err:
        files = [out.name, err.name]
        process = _SERVER.Process(target=_command, args=(words, dict(environment), files), daemon=True)
        process.start()
        try:
            process.join(timeout_s)
            if process.exitcode is None:
                process.kill()
                process.join()
                raise subprocess.TimeoutExpired(words, timeout_s)
            return subprocess.CompletedProcess(words, process.exitcode, out.read(), err.read())
        finally:
            process.close()


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

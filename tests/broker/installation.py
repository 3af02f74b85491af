"""An installation on the shared broker: names of its own, and its command line."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from tests.broker import command_line
from tests.faults.workers import unmeasured
from tests.kafka_fixture import unique

ROOT = Path(__file__).parents[2]


class Installation:
    """Names of its own on the shared broker, and the command line in it."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        name = unique("live")
        self.calls = f"{name}.calls"
        self.crm = f"{name}.crm"
        self.bootstrap = bootstrap
        self.folder = folder
        self.environment = {
            **os.environ,
            "CALLPULSE_BOOTSTRAP": bootstrap,
            "CALLPULSE_KAFKA__GROUP": name,
            "CALLPULSE_KAFKA__TOPIC_PREFIX": f"{name}.",
            "CALLPULSE_HTTP_PORT": "0",
            "CALLPULSE_WORKER_ID": name,
            "CALLPULSE_DATA_DIR": str(folder / "data"),
            "CALLPULSE_LEAD_SECRET": "a secret of sixteen characters",
            "COLUMNS": "140",
        }

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return command_line.run(*arguments, environment=self.environment, timeout_s=200)

    @contextlib.contextmanager
    def worker(self, *arguments: object, is_measured: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
        """Run a worker, yield it with its URL, and kill it in the end.

        The coverage of a killed process is lost, so measuring it only takes time: `is_measured` is for tests that end
        the worker in good order.
        """
        with (
            (self.folder / "worker.log").open("wb") as log,
            subprocess.Popen(
                [sys.executable, "-m", "agents.cli", "worker", "--json", *map(str, arguments)],
                cwd=ROOT,
                env=self.environment if is_measured else unmeasured(self.environment),
                stdout=subprocess.PIPE,
                stderr=log,
            ) as process,
        ):
            try:
                assert process.stdout is not None
                told = process.stdout.readline()
                assert told, (self.folder / "worker.log").read_text()
                yield process, orjson.loads(told)["url"]
            finally:
                process.kill()

    def standing(self, url: str) -> dict[str, Any]:
        """Return the output of `top --json`."""
        done = self("top", url, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = orjson.loads(done.stdout)
        return found

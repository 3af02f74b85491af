"""Worker processes as an operator runs them, each with a settings file, a log and a port of its own."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import orjson
import pytest

from tests.measuring import PROCESS_CONFIG

ROOT: Final = Path(__file__).parents[2]
START_S: Final = 60.0
STOP_S: Final = 45.0
NOT_ONE_OF_OURS: Final = "CALLPULSE_"


def unmeasured(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which a process does not measure coverage."""
    return {name: value for name, value in environment.items() if name != PROCESS_CONFIG}


class Scrape(NamedTuple):
    """An answer of /metrics, and the moments between which it was written."""

    began_ms: int
    ended_ms: int
    text: str


class WorkerProcess:
    """`callpulse worker` with the settings of `config`, its output in `log`. Ended by `kill` or `terminate`.

    `is_measured`: its coverage counts, unless it is killed, which loses it.
    """

    def __init__(self, name: str, config: Path, log: Path, *, is_measured: bool = False) -> None:
        self.name = name
        self.log = log
        self._from = log.stat().st_size if log.exists() else 0
        environment = {key: value for key, value in os.environ.items() if not key.startswith(NOT_ONE_OF_OURS)}
        environment = environment if is_measured else unmeasured(environment)
        environment["CALLPULSE_WORKER_ID"] = name
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agents.cli", "worker", "--json", "--config", str(config)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._url = ""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._process.poll()

    @property
    def url(self) -> str:
        """The URL of its port; empty until it has printed it."""
        if not self._url:
            for line in self.said().splitlines():
                if line.startswith('{"url"') and line.endswith("}"):
                    self._url = orjson.loads(line)["url"]
        return self._url

    def said(self) -> str:
        """Return the output of this process."""
        with self.log.open("rb") as file:
            file.seek(self._from)
            return file.read().decode(errors="replace")

    def get(self, path: str, timeout_s: float = 10.0) -> tuple[int, bytes] | None:
        """Return status and body; None without an answer."""
        if not self.url:
            return None
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as answer:  # noqa: S310 - our own address
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (OSError, http.client.HTTPException):  # killed in the middle of an answer, too
            return None

    def scrape(self, timeout_s: float = 10.0) -> Scrape | None:
        """Return its present metrics; None where it does not answer with 200."""
        began_ms = int(time.time() * 1000)
        answer = self.get("/metrics", timeout_s)
        if answer is None or answer[0] != 200:
            return None
        return Scrape(began_ms, int(time.time() * 1000), answer[1].decode())

    @property
    def ready(self) -> bool:
        """True once it has partitions with complete tables, or is a standby without partitions."""
        answer = self.get("/-/ready")
        return answer is not None and answer[0] == 200

    def await_url(self) -> None:
        """Wait until the port answers; fail the test with the end of its log if it ends instead."""
        deadline = time.monotonic() + START_S
        while not self.url:
            if self.status is not None or time.monotonic() > deadline:
                pytest.fail(f"{self.name} did not start (status {self.status}):\n{self.tail()}")
            time.sleep(0.02)

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.said().splitlines()[-lines:])

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        if self.status is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it with kill -9."""
        self.send(signal.SIGKILL)
        self._process.wait(STOP_S)

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Request it to end, and return its status. Fail the test where it does not."""
        self.send(number)
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            tail = self.tail()
            self.kill()
            pytest.fail(f"{self.name} did not end within {STOP_S:g} s of {number.name}:\n{tail}")

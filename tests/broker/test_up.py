"""`callpulse up` with its real parts: figures survive a stop and a kill, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from agents.embedded.ports import find_free
from agents.telemetry.scrape import samples
from streams.settings.access import hashed
from tests.broker.clock import evening_zone

TOKEN = "a-token-of-this-test"  # noqa: S105 - it opens a gateway that lives for one test
SETTINGS = f"""
[kafka]
bootstrap = "127.0.0.1:{{port}}"
partitions = 2
commit_interval = "200ms"
[worker]
http_port = 0
[gateway]
http_port = 0
status_port = 0
[sources.http.crm]
tokens = ["{hashed(TOKEN)}"]
[[managers]]
id = "anna"
"""
DEADLINE_S = 120.0


class Up:
    """A running `callpulse up`, and its output once all parts ran."""

    def __init__(self, process: subprocess.Popen[bytes], said: dict[str, Any]) -> None:
        self.process = process
        self.said = said

    def url(self, part: str) -> str:
        return str(self.said["parts"][part]["url"])

    def calls(self) -> float:
        """Return the number of calls that all workers count."""
        texts = [got(f"{self.url(part)}/metrics") for part in self.said["parts"] if part.startswith("worker-")]
        return sum(
            sample.value
            for text in texts
            for sample in samples(text, {"calls"})
            if sample.labels.get("window") == "today" and sample.labels["manager"] == "anna"
        )


def got(url: str, data: bytes | None = None) -> str:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - of this machine
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        return str(answer.read().decode())


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


def command(folder: Path, *more: str) -> list[str]:
    options = ("--config", str(folder / "callpulse.toml"), "--data-dir", str(folder / "data"))
    return [sys.executable, "-m", "agents.cli", "up", "--json", *options, *more]


@contextmanager
def running(folder: Path, *more: str) -> Iterator[Up]:
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command(folder, *more), stdout=said, stderr=subprocess.STDOUT)
    try:
        until(lambda: process.poll() is not None or (folder / "said").read_bytes().startswith(b"{"))
        assert process.poll() is None, (folder / "said").read_text(encoding="utf-8")
        up = Up(process, orjson.loads((folder / "said").read_bytes()))
        children = psutil.Process(process.pid).children(recursive=True)
        yield up
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.timeout(600)  # it starts seven programs twice, which takes minutes on a busy machine
def test_figures_survive_a_stop_and_a_worker_that_is_killed_comes_back(tmp_path: Path) -> None:
    now = int(time.time() * 1000)
    text = f'timezone = "{evening_zone(now)}"\n' + SETTINGS.format(port=find_free())  # the calls are of today
    (tmp_path / "callpulse.toml").write_text(text, encoding="utf-8")
    events = [
        {
            "v": 1,
            "id": f"call-{each}",
            "type": "call.ended",
            "at": now - 1000,
            "source": "pbx",
            "call": f"c-{each}",
            "manager": "anna",
            "lead": f"crm-{each}",
            "direction": "outbound",
            "started_at": now - 2000,
            "disposition": "no_answer",
            "talk_ms": 0,
        }
        for each in range(5)
    ]
    with running(tmp_path) as up:
        assert up.said["ready"]
        assert up.said["parts"].keys() >= {"kafka", "gateway", "worker-1", "prometheus", "alertmanager"}
        answer = orjson.loads(got(up.url("gateway"), orjson.dumps(events)))
        assert answer["accepted"] == 5, answer
        until(lambda: up.calls() == 5)

        targets = f"{up.url('prometheus')}/api/v1/targets"
        until(lambda: all(one["health"] == "up" for one in orjson.loads(got(targets))["data"]["activeTargets"]))
        assert len(orjson.loads(got(targets))["data"]["activeTargets"]) == 2

        os.kill(up.said["parts"]["worker-1"]["pid"], signal.SIGKILL)
        until(lambda: "ready" in got(f"{up.url('worker-1')}/-/ready"))
        until(lambda: up.calls() == 5)
    with running(tmp_path, "--no-monitoring") as up:
        assert list(up.said["parts"]) == ["kafka", "gateway", "worker-1"]
        until(lambda: up.calls() == 5)

"""The demo on a terminal and in a script: it ends by itself, shows the true figures, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil
import pytest

from agents.cli.demo.installation import RECORDINGS
from tests.faults.workers import unmeasured
from tests.kafka_fixture import eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SMALL = ("--managers", "6", "--days", "0.5", "--no-board")


@contextlib.contextmanager
def demo(tmp_path: Path, *arguments: str, is_measured: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """A demo with a temporary folder of its own, ended when the test is over.

    `is_measured` is for tests whose demo ends in good order, and by lines that no other test has.
    """
    # The folders for temporary files have short names, so that a test can check that they are empty in the end.
    environment = {**os.environ, "TMPDIR": str(tmp_path), "CALLPULSE_BOOTSTRAP": "127.0.0.1:1"}
    environment = environment if is_measured else unmeasured(environment)
    with (
        (tmp_path / "said").open("w") as said,
        subprocess.Popen(
            [sys.executable, "-m", "agents.cli", "demo", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def said(tmp_path: Path) -> str:
    """Return the output of the demo so far."""
    return (tmp_path / "said").read_text()


def ports_of(tmp_path: Path) -> list[int]:
    """Return the ports that the demo has printed."""
    return [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", said(tmp_path))]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_demo_that_ends_by_itself_reports_figures_that_are_true(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ("--seconds", "8", "--intensity", "20", "--source", "bitrix24", "--report", str(report))
    with demo(tmp_path, *SMALL, *options) as process:
        code = process.wait(280)
    assert code == 0, said(tmp_path)
    told = orjson.loads(report.read_bytes())
    assert told["mismatches"] == 0
    assert told["produced"] > 1000
    assert told["applied"] > 0.9 * told["produced"]
    assert told["rejected"] >= 2
    assert told["managers"] > 6
    assert told["duplicates"] > 0
    assert 0 < told["p50_delay_ms"] <= told["p99_delay_ms"]
    kafka, gateway, heard, portal = (told["ways"][way] for way in ("kafka", "gateway", "socket", "portal"))
    stored = portal["calls_stored"] + portal["crm_stored"]
    assert told["produced"] == sum(kafka.values()) + 2 + gateway["posted"] + heard["events"] + stored
    assert gateway["posted"] == gateway["accepted"] + gateway["duplicates"] + gateway["rejected"]
    assert gateway["acknowledged"] == gateway["accepted"] > 100
    assert heard["sessions"] > 20
    assert heard["messages"] > 1000
    assert heard["events"] > 100
    assert f"All {heard['events']} events of the recorded sessions came out" in said(tmp_path)
    assert portal["calls_stored"] == portal["calls"] > 100
    assert portal["crm_stored"] > portal["changes"] > portal["deals"] > 10
    assert portal["requests"] > 3
    assert f"All {portal['calls']} calls and {portal['deals']} deals of the portal are counted" in said(tmp_path)
    assert len(ports_of(tmp_path)) >= 6  # Kafka, the worker, the gateway, the listener, the PBX, the portal
    assert not any(listens(port) for port in ports_of(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"said", "report.json"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_ctrl_c_leaves_no_process_no_port_and_no_file(tmp_path: Path, number: signal.Signals) -> None:
    with demo(tmp_path, *SMALL, is_measured=number == signal.SIGINT) as process:
        eventually(lambda: "records sent, live" in said(tmp_path), within_s=150, what="the demo is live")
        family = psutil.Process(process.pid).children(recursive=True)
        ports = ports_of(tmp_path)
        assert len(family) >= 8  # four guards, Kafka, the worker, the gateway, the listener
        assert len(ports) >= 5
        assert all(listens(port) for port in ports)
        os.killpg(process.pid, number)
        assert process.wait(100) == 0, said(tmp_path)
        assert psutil.wait_procs(family, timeout=30)[1] == []
        assert not any(listens(port) for port in ports)
        assert {path.name for path in tmp_path.iterdir()} == {"said"}


def test_when_the_demo_is_killed_everything_it_started_ends_too(tmp_path: Path) -> None:
    with demo(tmp_path, *SMALL, is_measured=False) as process:
        eventually(lambda: "metrics" in said(tmp_path), within_s=150, what="the worker runs")
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        assert psutil.wait_procs(family, timeout=30)[1] == []


def test_a_demo_that_is_interrupted_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path, *SMALL) as process:
        eventually(lambda: "starting Kafka" in said(tmp_path), within_s=60)
        time.sleep(0.3)  # anywhere in the start: the test holds for every moment
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, said(tmp_path)
        assert psutil.wait_procs(family, timeout=30)[1] == []
        assert {path.name for path in tmp_path.iterdir()} == {"said"}


def test_the_recordings_are_found_where_the_demo_looks() -> None:
    assert len(list(RECORDINGS.glob("*.json"))) > 20

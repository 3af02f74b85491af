"""`callpulse listen files` as a process: each row of a growing file is in Kafka once, also over a restart."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.broker.installation import ROOT, Installation
from tests.kafka_fixture import consume
from tests.streams.files_cases import FIXTURES, ROSTER, STORY

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ONE = (FIXTURES / "storyA" / "csv_en" / "calls-1.csv").read_bytes()


@pytest.fixture
def callpulse(bootstrap: str, tmp_path: Path) -> Installation:
    made = Installation(bootstrap, tmp_path)
    config = tmp_path / "files.toml"
    config.write_text(ROSTER + STORY, encoding="utf-8")
    made.environment["CALLPULSE_CONFIG"] = str(config)
    made.environment["CALLPULSE_GATEWAY__DATA_DIR"] = str(tmp_path / "gateway")
    made.environment["CALLPULSE_GATEWAY__STATUS_PORT"] = "0"
    assert made("topics", "create").returncode == 0
    return made


@contextlib.contextmanager
def following(callpulse: Installation, path: Path) -> Iterator[None]:
    """Run the command until the block ends; it has to end in good order."""
    command = [sys.executable, "-m", "agents.cli", "listen", "files", "csv_en", str(path), "--json"]
    with subprocess.Popen(
        command, cwd=ROOT, env=callpulse.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert orjson.loads(process.stdout.readline())["name"] == "csv_en"
            yield
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, errors.decode()


def ids(callpulse: Installation, at_least: int) -> list[str]:
    return [
        orjson.loads(record.value)["id"] for record in consume(callpulse.bootstrap, callpulse.calls, at_least=at_least)
    ]


def test_a_file_that_grows_is_in_kafka_once_over_a_restart(callpulse: Installation, tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    rows = ONE.splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:5]))
    with following(callpulse, path):
        assert len(ids(callpulse, 3)) == 3  # one row has two lines
        with path.open("ab") as stream:
            stream.write(rows[5][:20])
    with path.open("ab") as stream:
        stream.write(rows[5][20:] + b"".join(rows[6:]))
    with following(callpulse, path):
        found = ids(callpulse, 9)
    assert len(found) == len(set(found)) == 9


def test_a_mapping_that_is_not_there_is_told(callpulse: Installation) -> None:
    done = callpulse("listen", "files", "csv_enn", "calls.csv")
    assert done.returncode == 2
    assert "did you mean csv_en?" in done.stderr

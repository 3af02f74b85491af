"""The command line, and a store of rows on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.state.rocksdb import Store
from tests.agents.cli_runner import Runner


@pytest.fixture
def callpulse(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runner:
    """The command line, run in an empty folder and without settings from the environment."""
    for name in list(os.environ):
        if name.startswith("CALLPULSE_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("COLUMNS", raising=False)  # a test that depends on the width sets it
    monkeypatch.chdir(tmp_path)
    return Runner(capfd, monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store, open."""
    made = Store(tmp_path / "leads", {})
    made.open()
    yield made
    made.close()

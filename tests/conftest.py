"""Fixtures that every folder of tests may use, and the order in which processes beside each other take the folders."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

from tests.examples import QUICK, USUAL
from tests.kafka_fixture import bootstrap, kafka, own_kafka

__all__ = ["bootstrap", "kafka", "own_kafka"]

LONG: Final = ("faults", "broker", "test_native.py", "oracle", "grafana")
"""Folders, and a file, of which one can take minutes, the longest first."""

# Brokers of tests live for seconds: what the JVM's second compiler does for them costs more than it ever gives back.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")

# A shell lets what it starts in the background ignore Ctrl-C, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# By the clock, an example takes as long as the other process lets it; pytest-timeout ends what hangs.
settings.register_profile("beside others", deadline=None)
settings.register_profile(QUICK, deadline=None, max_examples=USUAL // 10)  # --hypothesis-profile=quick
settings.load_profile("beside others")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With more than one process begin with what takes long, so that none is left alone with it in the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.path))


def _turn(path: Path) -> int:
    folder = path.relative_to(Path(__file__).parent).parts[0]
    return LONG.index(folder) if folder in LONG else len(LONG)

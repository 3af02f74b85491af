"""Fixtures of all folders of tests, and the order in which parallel processes take the folders."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from tests.examples import FUZZ, QUICK, THOROUGH, USUAL
from tests.kafka_fixture import bootstrap, kafka, own_kafka
from tests.measuring import PAUSED_CONFIG, PROCESS_CONFIG, paused

__all__ = ["bootstrap", "kafka", "own_kafka"]

FIRST: Final = ("test_native.py", "faults")
"""A file and a folder that take minutes: they begin, so that no process is left alone with them in the end."""

COMPUTING: Final = ("grafana", "history", "oracle")
"""Folders of slow tests that need no Kafka, the longest first; those of other folders come after them."""

NOT_COUNTED: Final = ("faults", "oracle", "grafana", "benchmarks", "test_native.py")
"""Folders, and a file, whose tests do not count for the coverage: they run long, or run code that others measure."""

# Brokers of tests live for seconds: the JVM's second compiler costs them more time than it saves.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")

# Background processes of a shell ignore Ctrl-C, and so would the processes that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The time of an example depends on other processes, so it has no deadline; pytest-timeout ends tests that hang.
settings.register_profile("beside others", deadline=None)
settings.register_profile(QUICK, deadline=None, max_examples=USUAL // 10)  # --hypothesis-profile=quick
settings.register_profile(THOROUGH, deadline=None, max_examples=USUAL * 10)  # --hypothesis-profile=thorough
settings.register_profile(  # --hypothesis-profile=fuzz: `make fuzz`, which ends by the time it is given
    FUZZ, deadline=None, max_examples=USUAL * 10, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("beside others")

# Garbage collection among thousands of tests and their imports took a twentieth of the processor's time.
gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Pause the measuring of coverage while tests are collected, which takes twice as long with it.

    Each process collects all tests, so that counts. `tests/imports.py` measures the import of the modules once. Results
    that are kept are forgotten, or the tests would not run the lines that made them.
    """
    measured = _measured()
    if measured is None:
        return (yield)
    with paused(measured):
        try:
            return (yield)
        finally:
            for name, module in list(sys.modules.items()):
                # Forms of settings stay: settings are only equal if their classes are the same.
                if name.startswith(("streams.", "agents.")) and not name.startswith("streams.settings."):
                    for value in vars(module).values():
                        if isinstance(value, _lru_cache_wrapper):
                            value.cache_clear()


def pytest_collection_finish() -> None:
    """Exclude the objects from before the first test from garbage collection: they stay to the end."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With more than one process begin with what takes long, and mix what waits for Kafka with what computes.

    Three processes that all wait leave the processors idle, and three that all compute share two processors.
    """
    if hasattr(config, "workerinput"):
        turns = _turns(items)
        items.sort(key=lambda item: turns[item.path])


def _turns(items: Iterable[pytest.Item]) -> dict[Path, float]:
    """Return when the turn of each file comes: below 0 what begins, up to 1 what is mixed, then all brief files."""
    marks: dict[Path, set[str]] = {}
    for item in items:
        marks.setdefault(item.path, set()).update(mark.name for mark in item.iter_markers())
    turns = dict.fromkeys(marks, 2.0)
    rest = [path for path in marks if _folder(path) not in FIRST]
    waiting = sorted((path for path in rest if "broker" in marks[path]), key=lambda path: "slow" not in marks[path])
    computing = [path for path in rest if "slow" in marks[path] and "broker" not in marks[path]]
    computing.sort(key=lambda path: _place(COMPUTING, path))
    for mixed in (waiting, computing):
        turns |= {path: number / len(mixed) for number, path in enumerate(mixed)}
    return turns | {path: _place(FIRST, path) - len(FIRST) for path in marks if _folder(path) in FIRST}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Pause the measuring of coverage (`make test`) for a test that does not count, and for its processes."""
    measured = _measured()
    if measured is None or _counts(item):
        return (yield)
    processes = os.environ.pop(PROCESS_CONFIG, None)
    if processes is not None:
        os.environ[PAUSED_CONFIG] = processes
    try:
        with paused(measured):
            return (yield)
    finally:
        if processes is not None:
            os.environ[PROCESS_CONFIG] = os.environ.pop(PAUSED_CONFIG)


def _measured() -> Any:
    """Return the running measurement of coverage, or None."""
    coverage = sys.modules.get("coverage")
    return coverage and coverage.Coverage.current()


def _counts(item: pytest.Item) -> bool:
    """Return whether a test counts for the coverage. Tests with drawn examples do not: they reach lines by chance.

    Measuring takes two to three times the processor's time, so slow tests are left out, except those that wait for
    Kafka most of the time.
    """
    drawn = getattr(getattr(item, "function", None), "is_hypothesis_test", False)
    marks = {mark.name for mark in item.iter_markers()}
    heavy = "no_cover" in marks or ("slow" in marks and "broker" not in marks)
    return not drawn and not heavy and _folder(item.path) not in NOT_COUNTED


def _place(folders: Sequence[str], path: Path) -> int:
    folder = _folder(path)
    return folders.index(folder) if folder in folders else len(folders)


def _folder(path: Path) -> str:
    return path.relative_to(Path(__file__).parent).parts[0]

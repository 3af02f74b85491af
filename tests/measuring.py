"""Measuring of coverage: its pauses, and the variables of the environment by which processes are measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

PROCESS_CONFIG: Final = "COVERAGE_PROCESS_CONFIG"
"""With it coverage measures a process that starts, and those that this one starts."""
PAUSED_CONFIG: Final = "PAUSED_COVERAGE_PROCESS_CONFIG"
"""Its value while a test runs that does not count for the coverage."""


@contextmanager
def paused(measured: Any) -> Iterator[None]:
    """Pause a running `coverage.Coverage`."""
    measured.stop()
    try:
        yield
    finally:
        # Its first start has applied the patches. Each further one would wrap `os._exit` once more, and after a
        # thousand of them a forked process could not end.
        measured.set_option("run:patch", [])
        measured.start()

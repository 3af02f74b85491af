"""The variables of the environment by which the coverage of processes is measured."""

from __future__ import annotations

from typing import Final

PROCESS_CONFIG: Final = "COVERAGE_PROCESS_CONFIG"
"""With it coverage measures a process that starts, and those that this one starts."""
PAUSED_CONFIG: Final = "PAUSED_COVERAGE_PROCESS_CONFIG"
"""Its value while a test runs that does not count for the coverage."""

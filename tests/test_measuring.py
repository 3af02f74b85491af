"""Pauses of the measuring of coverage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.measuring import PAUSED_CONFIG, PROCESS_CONFIG

PAUSES = """\
import os
import coverage
from tests.measuring import paused

measured = coverage.Coverage(data_file=None, config_file=False)
measured.set_option("run:patch", ["_exit"])
measured.start()
for _ in range(2000):
    with paused(measured):
        assert not measured._started
    assert measured._started
os._exit(7)
"""


def test_a_process_can_end_after_any_number_of_pauses() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {PROCESS_CONFIG, PAUSED_CONFIG}}
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", PAUSES], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (7, "")

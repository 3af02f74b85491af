"""The pause between two checkpoints."""

from __future__ import annotations

import pytest

from agents.delivery.pace import checkpoint_pause_s


@pytest.mark.parametrize(
    ("interval_s", "took_s", "pause_s"),
    [
        (1.0, 0.0, 1.0),
        (1.0, 0.1, 0.9),  # checkpoints begin every second
        (1.0, 0.25, 0.75),  # here they take a quarter of the time
        (1.0, 0.5, 1.5),
        (1.0, 5.0, 3.0),  # no longer than three seconds
        (60.0, 1.0, 59.0),
        (60.0, 70.0, 3.0),
    ],
)
def test_checkpoints_that_take_long_run_less_often(interval_s: float, took_s: float, pause_s: float) -> None:
    assert checkpoint_pause_s(interval_s, took_s) == pytest.approx(pause_s)

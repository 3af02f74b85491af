"""The pace of checkpoints."""

from __future__ import annotations

from typing import Final

_PAUSE_TIMES: Final = 3
"""The least pause between two checkpoints, as a multiple of the time that the last one took."""
_LONGEST_PAUSE_S: Final = 3.0
"""The longest pause that the time of a checkpoint makes, in seconds."""


def checkpoint_pause_s(interval_s: float, took_s: float) -> float:
    """Return the pause after a checkpoint that took `took_s`, in seconds.

    Checkpoints begin every `interval_s`. A checkpoint writes all rows that changed since the last one. With thousands
    of managers that takes long, and most of these rows change again before the next one. So the pause is at least
    `_PAUSE_TIMES` as long as the checkpoint, up to `_LONGEST_PAUSE_S`: others wait for the offsets that it commits.
    """
    return max(interval_s - took_s, min(_PAUSE_TIMES * took_s, _LONGEST_PAUSE_S), 0.0)

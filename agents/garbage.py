"""Garbage collection in short steps: Python's own full collections would hold the event loop up for a second.

A worker keeps millions of objects that live as long as it does, and a full collection looks at all of them, folding
and heartbeats waiting. Here the automatic ones look at young objects only. Before many have grown old, those are
collected once and then frozen: no later collection looks at them again. What is frozen is still freed when its last
reference goes; only a ring of references that breaks apart after it was frozen stays.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Final

_YOUNG: Final = 50_000  # more than the records of some fetches: these are freed before anybody looks at them
_STEPS: Final = 2
_NEVER: Final = 1_000_000
_LOOK_EVERY_S: Final = 0.5


async def collect_in_short_steps() -> None:
    """Take over from Python's full collections, for as long as the worker lives."""
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, _STEPS, _NEVER)
    try:
        while True:
            if gc.get_count()[2]:  # up to _YOUNG * _STEPS objects have grown old since the last time
                gc.collect()
                gc.freeze()
            await asyncio.sleep(_LOOK_EVERY_S)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()

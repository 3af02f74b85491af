"""Garbage collection in short steps: Python's own full collections would hold the event loop up for a second.

A worker keeps millions of objects that live as long as it does, and a full collection looks at all of them, folding
and heartbeats waiting. Here what is young is collected when there is much of it, and what survives is frozen: no later
collection looks at it again. What is frozen is still freed when its last reference goes; only a ring of references that
breaks apart after it was frozen stays. So every object that lives is looked at once: Python's own three generations
would look three times, and under load that was 8 % of what a worker did.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Final

_MANY: Final = 50_000  # more than the records of some fetches: most of these are freed before anybody looks at them
_MOST: Final = 200_000  # should the loop be held up
_NEVER: Final = 1_000_000
_LOOK_EVERY_S: Final = 0.1


async def collect_in_short_steps() -> None:
    """Take over from Python's full collections, for as long as the worker lives."""
    before = gc.get_threshold()
    gc.set_threshold(_MOST, _NEVER, _NEVER)
    try:
        while True:
            young, collections, _ = gc.get_count()
            if young > _MANY or collections:
                gc.collect()
                gc.freeze()
            await asyncio.sleep(_LOOK_EVERY_S)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()

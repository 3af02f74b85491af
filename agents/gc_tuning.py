"""Garbage collection in short steps: Python's own full collections would block the event loop for a second.

A worker keeps millions of objects for as long as it runs. A full collection visits all of them, while folding and
heartbeats wait. Here young objects are collected when there are many of them, and the survivors are frozen: no later
collection visits them. A frozen object is still freed when its last reference goes; only a reference cycle that is
abandoned after it was frozen stays. So each surviving object is visited once. Python's own three generations would
visit it three times, and under load that took 8 % of a worker's time.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# More than the records of some fetches and the rows that change between two checkpoints: most of them are freed before
# a collection. With a third of this, collections took 8 % of a worker's time while it caught up.
_MANY: Final = 150_000
_MOST: Final = 400_000  # in case the loop is blocked
_MANY_OF_REQUESTS: Final = 50_000
_NEVER: Final = 1_000_000
_LOOK_EVERY_S: Final = 0.1
_OLDER: Final = 10  # collections of young objects before one of older ones: Python's own value


async def collect_in_short_steps() -> None:
    """Collect instead of Python's full collections, for as long as the worker lives."""
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


@contextmanager
def without_the_start() -> Iterator[None]:
    """Leave the objects that are there now out of all collections, and collect young ones less often.

    For a process that keeps little and makes many objects that live for one request: collections took 15 % of its time,
    most of it for modules and classes. Nothing is frozen later, because connections leave reference cycles.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_MANY_OF_REQUESTS, _OLDER, _OLDER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()

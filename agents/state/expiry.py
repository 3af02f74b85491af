"""Expiry: rows of leads without events for a long time are removed, so that a table does not grow for ever.

By then their contributions have left every window, so nothing has to be emitted. Rows are looked at in small steps, and
removed like any other change: at the next checkpoint, from the changelog and from the disk.

Rows that `callpulse forget` emptied are removed as well, a few checkpoints later.

A deal's row stays twice as long. Calls may keep its lead's row meanwhile, and only the deal's row can take the deal
away from that lead, if it comes to another one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Any, Final

from agents.state.tables import RowTable
from streams.contract.facts import RESERVED
from streams.tables.changelog import FORGOTTEN_AT
from streams.tables.lead.codec import heard_at
from streams.tables.lead.row import LeadRow

STEP_ROWS: Final = 500
_DEAL: Final = RESERVED.encode()
STEP_S: Final = 1.0
"""A million leads take half an hour, at less than a hundredth of a processor."""


EMPTIED_KEPT_MS: Final = 10_000
"""Time from the first sight of an emptied row to its removal: the offset of the request is committed by then."""


class Emptied:
    """Remembers when each emptied row was first seen."""

    def __init__(self) -> None:
        self._since: dict[bytes, int] = {}

    def is_over(self, key: bytes, now_ms: int) -> bool:
        """Return whether the emptied row `key` has been kept long enough."""
        if now_ms - self._since.setdefault(key, now_ms) < EMPTIED_KEPT_MS:
            return False
        del self._since[key]
        return True

    def forget(self, key: bytes) -> None:
        """Note that the row is not empty."""
        if self._since:
            self._since.pop(key, None)


class Expiry:
    """Removes the leads whose last event is older than `after_ms`, in rounds over the rows of a table."""

    def __init__(self, table: RowTable[LeadRow], after_ms: int) -> None:
        self._table = table
        self._after_ms = after_ms
        self._at: dict[int, tuple[Any, bytes]] = {}  # by partition: its rows, and the key that was looked at last
        self._emptied = Emptied()
        self.expired = 0

    async def run(self, caught_up: Callable[[], set[int]]) -> None:
        """Run for as long as the worker lives. `caught_up` returns the partitions of `contacts` without lag."""
        while True:
            await asyncio.sleep(STEP_S)
            self.step(int(time.time() * 1000), caught_up())

    def step(self, now_ms: int, partitions: Collection[int], rows: int = STEP_ROWS) -> None:
        """Look at up to `rows` rows of the owned ones among `partitions`."""
        ours = [partition for partition in self._table.owned if partition in partitions]
        for partition in ours:
            part = self._table.part(partition)
            known, last = self._at.get(partition, (None, b""))
            if known is not part:
                last = b""  # the partition was revoked and assigned again
            found = part.after(last, max(1, rows // len(ours)))
            self._at[partition] = part, found[-1][0] if found else b""
            for key, row in found:
                heard_ms = _heard_at(row)
                after_ms = 2 * self._after_ms if key.startswith(_DEAL) else self._after_ms
                if heard_ms == FORGOTTEN_AT:
                    is_over = self._emptied.is_over(key, now_ms)
                else:
                    self._emptied.forget(key)
                    is_over = 0 < heard_ms < now_ms - after_ms
                if is_over:
                    part.rows.pop(key, None)
                    part.dirty[key] = None
                    self.expired += 1


def _heard_at(row: LeadRow) -> int:
    if row.unpacked is not None:
        return row.unpacked.heard_at
    return 0 if row.packed is None else heard_at(row.packed)

"""The duplicate memory: ids of events that were stored lately, in a bounded number of bytes.

Two tables of 64-bit numbers with open addressing. When the newer one is full, it becomes the older one, and what the
older one held is forgotten. So the memory, once full, always holds between half and all of the ids that fit into it.

With ten million ids, a new event is taken for a known one with a probability of 5e-13.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from typing import Final

_ID_BYTES: Final = 8
_FULLEST: Final = 0.6  # beyond that, probing takes long


class RecentIds:
    """Remembers ids, which are numbers of 64 bits. It takes `max_bytes` at most, once it is full."""

    def __init__(self, max_bytes: int) -> None:
        slots = 1 << ((max_bytes // 2 // _ID_BYTES).bit_length() - 1)
        self._mask = slots - 1
        self._most = int(slots * _FULLEST)
        self._newer = _table(slots)
        self._older = _table(1)
        self._older_mask = 0
        self._count = 0
        self._older_count = 0

    def __len__(self) -> int:
        return self._count + self._older_count

    def __contains__(self, number: int) -> bool:
        number = number or 1
        if _has(self._newer, self._mask, number):
            return True
        return self._older_count > 0 and _has(self._older, self._older_mask, number)

    def add(self, numbers: Iterable[int]) -> None:
        """Remember ids; some of the oldest may be forgotten."""
        for given in numbers:
            number = given or 1  # 0 marks an empty slot
            table, mask = self._newer, self._mask
            slot = number & mask
            while (held := table[slot]) and held != number:
                slot = (slot + 1) & mask
            if held == number:
                continue
            table[slot] = number
            self._count += 1
            if self._count >= self._most:
                self._older, self._older_mask, self._older_count = table, mask, self._count
                self._newer, self._count = _table(mask + 1), 0


def _has(table: memoryview, mask: int, number: int) -> bool:
    slot = number & mask
    while held := table[slot]:
        if held == number:
            return True
        slot = (slot + 1) & mask
    return False


def _table(slots: int) -> memoryview:
    """Return zeros. The system gives memory to the parts that are used."""
    return memoryview(mmap.mmap(-1, slots * _ID_BYTES)).cast("Q")

"""Positions of the rows that a restore has put on disk, so that it does not read each of them again.

Of two records of a row the one that was written for the later position counts, whichever comes last in the changelog. A
changelog that is not compacted yet holds many records per row, and looking each of them up on disk takes several times
as long as the rest of the restore. So positions are kept in memory while a table is restored, up to a bound that its
partitions share. Beyond the bound they are dropped and looked up again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from weakref import WeakSet

from agents.state.rocksdb import NO_CHECKPOINT, PartitionStore
from streams.tables.changelog import position

ABSENT: Final = -2
"""In place of the position of a row that is not there; less than any."""
MOST_POSITIONS: Final = 1 << 20
"""Of keys of a dozen bytes: about 120 MB."""


class Positions:
    """The known positions of the rows in `store`. `siblings` are the Positions of the table's other partitions.

    `rows` is changed along with the store. After `learn`, a key that is not in `rows` is not in the store.
    """

    def __init__(self, store: PartitionStore, siblings: WeakSet[Positions]) -> None:
        self.rows: dict[bytes, int] = {}
        self._store = store
        # In a store that begins empty, every row has been added to `rows`.
        self._whole = store.checkpoint == NO_CHECKPOINT
        self._siblings = siblings
        siblings.add(self)

    def learn(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """Look up the keys that are not in `rows`; return `rows`."""
        rows = self.rows
        if not self._whole:
            unknown = list({key for key in keys if key not in rows})
            for key, value in zip(unknown, self._store.get_many(unknown), strict=True):
                rows[key] = ABSENT if value is None else position(value)
        return rows

    def bound(self) -> None:
        """Drop all positions if there are too many, those of the siblings included."""
        if sum(len(positions.rows) for positions in self._siblings) > MOST_POSITIONS:
            self.forget()

    def forget(self) -> None:
        """Drop all positions."""
        self.rows = {}
        self._whole = False

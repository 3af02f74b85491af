"""Positions: what a restore to disk remembers of the rows that it has put there, so as not to read each of them again.

Of two records of a row the one that was written for the later position counts, whichever comes last in the changelog. A
changelog that has not been compacted yet holds many records of a row; to look each of them up on disk takes several
times as long as all the rest. So the positions are kept in memory while a table is restored, up to a bound that its
partitions share; beyond it they are forgotten, and looked up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from weakref import WeakSet

from agents.state.rocksdb import NOTHING, Shelf
from streams.tables.changelog import position

ABSENT: Final = -2
"""In place of the position of a row that is not there; less than any."""
MOST_POSITIONS: Final = 1 << 20
"""Of keys of a dozen bytes: about 120 MB."""


class Positions:
    """The positions of the rows on a shelf, as far as they are known. `company`: those of the table's other partitions.

    `rows` may be changed along with the shelf. What is not in it is not on the shelf, for the keys that were `learn`t.
    """

    def __init__(self, shelf: Shelf, company: WeakSet[Positions]) -> None:
        self.rows: dict[bytes, int] = {}
        self._shelf = shelf
        self._whole = shelf.mark == NOTHING  # then there is nothing on the shelf but what comes to be in `rows`
        self._company = company
        company.add(self)

    def learn(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """Look up what is not known of `keys`; return `rows`."""
        rows = self.rows
        if not self._whole:
            unknown = list({key for key in keys if key not in rows})
            for key, value in zip(unknown, self._shelf.get_many(unknown), strict=True):
                rows[key] = ABSENT if value is None else position(value)
        return rows

    def bound(self) -> None:
        """Forget all where there are too many, with those of the company."""
        if sum(len(positions.rows) for positions in self._company) > MOST_POSITIONS:
            self.forget()

    def forget(self) -> None:
        """Know nothing, from now on."""
        self.rows = {}
        self._whole = False

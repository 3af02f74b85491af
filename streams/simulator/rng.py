"""Random numbers that depend on a seed only."""

from __future__ import annotations

from random import Random
from typing import Self


class SeededRandom(Random):
    """A random generator seeded by names. The same names give the same draws."""

    def __new__(cls, *_: object) -> Self:
        """Create the generator. `__init__` seeds it by the names."""
        return super().__new__(cls)

    def __init__(self, *names: object) -> None:
        super().__init__(":".join(map(str, names)))

    def happens(self, probability: float) -> bool:
        """Draw whether something of the given probability happens."""
        return self.random() < probability

    def between(self, low: int, high: int) -> int:
        """Draw a whole number from `low` to `high`, both included. Faster than `randint`."""
        return low + int(self.random() * (high - low + 1))

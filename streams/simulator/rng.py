"""Chance, from a seed and nothing else."""

from __future__ import annotations

from random import Random
from typing import Self


class Chance(Random):
    """A source of randomness that is named: the same names give the same draws, other names give others."""

    def __new__(cls, *_: object) -> Self:
        """Make one; `__init__` takes the names."""
        return super().__new__(cls)

    def __init__(self, *names: object) -> None:
        super().__init__(":".join(map(str, names)))

    def happens(self, probability: float) -> bool:
        """Draw whether something of the given probability happens."""
        return self.random() < probability

    def between(self, low: int, high: int) -> int:
        """Draw a whole number from `low` to `high`, both included. Faster than `randint`."""
        return low + int(self.random() * (high - low + 1))

"""A line of a scrape of the invented day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Labels = Mapping[str, str]


class Sample(NamedTuple):
    """One line of a scrape."""

    name: str
    labels: Labels
    value: float

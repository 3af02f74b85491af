"""The origin of a copy: the topic, partition and offset of the misrouted record that was sent on.

The original stays in its partition. Each group that reads the topic from its start sends it on again, so the right
partition may hold several copies. The origin is in a header of the copy, and the receiver folds the first copy only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

HEADER: Final = "callpulse-origin"


class Origin(NamedTuple):
    """The place of the original in the same topic."""

    partition: int
    offset: int


def header(topic: str, origin: Origin) -> tuple[str, bytes]:
    """Return the header of a copy of the record at `origin` of `topic`."""
    return HEADER, f"{topic}/{origin.partition}/{origin.offset}".encode()


def origin_of(headers: Iterable[tuple[str, bytes]], topic: str) -> Origin | None:
    """Return the origin that the headers of a record of `topic` name; None for a record that is no copy.

    A header that names another topic comes from a mirror of that topic: its offsets are not valid here, so it is
    ignored.
    """
    for name, value in headers:
        if name == HEADER and (origin := parse(value, topic)) is not None:
            return origin
    return None


def parse(value: bytes, topic: str) -> Origin | None:
    """Return the place in `topic` that a header's value names; None for another topic, or without a valid place."""
    parts = value.decode(errors="replace").rsplit("/", 2) if value else []
    if len(parts) == 3 and parts[0] == topic and parts[1].isdecimal() and parts[2].isdecimal():  # noqa: PLR2004 - topic, partition, offset
        return Origin(int(parts[1]), int(parts[2]))
    return None

"""Exported files of calls for a reconciliation: the legs of their rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.contract.events import QUEUE_PREFIX, CallEnded
from streams.sources.files.mapping import FileMapping
from streams.sources.files.reader import FileReader
from streams.sources.frame import Translation
from streams.sources.people import People
from streams.sources.reconciliation import Records, legs_of, records_of

_EVER_MS: Final = 1 << 62


def of_files(
    files: Iterable[Iterable[bytes]], name: str, mapping: FileMapping, secret: bytes, people: People
) -> Records:
    """Return the records in exported files of the mapping `name`. Raises UnreadableFileError for another kind of file.

    The files show whether they distinguish canceled and missed calls: an export without canceled calls may use another
    word.
    """
    ends: list[CallEnded] = []
    refused = 0

    def take(found: Translation) -> int:
        ends.extend(event for event in found.events if isinstance(event, CallEnded))
        return len(found.refused)

    for lines in files:
        reader = FileReader(name, mapping, people, secret, _EVER_MS)
        for line in lines:
            refused += take(reader.feed(line))
        refused += take(reader.finish())
    return records_of(
        name,
        mapping.source or name,
        legs_of(ends),
        refused,
        knows_cancels=any(end.disposition == "canceled" for end in ends),
        knows_missed=any(end.manager.startswith(QUEUE_PREFIX) for end in ends),
    )

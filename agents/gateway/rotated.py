"""The rotated predecessors of a file: dated, numbered, packed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from agents.gateway.file_identity import PACKED, age

_MOST: Final = 1000
# As logrotate and Asterisk name them: Master.csv.1, .2.gz, -20261129, queue_log.1764400000
_OLDER: Final = re.compile(r"[._-][\d._T-]*\d(\.gz)?|\.old(\.gz)?")


def siblings(path: Path) -> list[Path]:
    """Return the files beside `path` that may be its predecessors, the newest first.

    A packed file whose original is there too is left out: it is not complete yet, or its packing was broken off.
    """
    try:
        start = path.name
        beside = [other for other in path.parent.iterdir() if other.name.startswith(start)]
        found = [other for other in beside if _OLDER.fullmatch(other.name[len(start) :]) and other.is_file()]
        names = {other.name for other in found}
        whole = [other for other in found if other.suffix != PACKED or other.stem not in names]
        return sorted(whole, key=age, reverse=True)[:_MOST]
    except OSError:
        return []


def since(path: Path, since_ms: int) -> list[Path]:
    """Return the files of `path` that were written to at `since_ms` or later, the oldest first, and `path` itself."""
    older = [other for other in siblings(path) if age(other)[0] >= since_ms * 1_000_000]
    return [*reversed(older), path]

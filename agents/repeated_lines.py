"""Keeps the log readable while Kafka is away: its clients write the same line up to a hundred times a second."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Final

EVERY_S: Final = 30.0
NOISY: Final = ("aiokafka", "faust", "mode")
_NUMBER: Final = re.compile(r"\d+")
_MOST_KINDS: Final = 1000


class RepeatedLines(logging.Filter):
    """A filter of log lines: of lines that differ only in numbers, one in 30 s passes, with the count of the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        if record.name.partition(".")[0] not in NOISY:
            return True
        kind = record.name, _NUMBER.sub("#", record.getMessage())
        now = self._clock()
        written_at, left_out = self._seen.get(kind, (-EVERY_S, 0))
        if now - written_at < EVERY_S:
            self._seen[kind] = written_at, left_out + 1
            return False
        if len(self._seen) >= _MOST_KINDS:
            self._seen.clear()
        self._seen[kind] = now, 0
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more like it)", ()
        return True

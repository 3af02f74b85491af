"""The delay from sending a record to the first scrape that shows it, measured from outside while the demo is live."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Struct

from agents.telemetry.scrape import fetch, samples

LOOK_EVERY_S: Final = 0.1
_NEWEST: Final = "newest_event_timestamp_seconds"


class _Dated(Struct):
    at: int


class Probe:
    """Measures delays: it gets every live record when it is sent, and polls the time of the worker's newest event.

    Only the arrival of a record that is newer than all earlier ones is visible from outside, so only these are
    measured. `delays_ms` include the time of the scrape and the wait for the next poll.
    """

    def __init__(self, url: str, topic: str) -> None:
        self._url = url
        self._topic = topic
        self._decode = msgspec.json.Decoder(_Dated).decode
        self._waiting: deque[tuple[int, float]] = deque()
        self._newest = 0
        self.delays_ms: list[float] = []

    def sent(self, record: Any) -> None:
        """Take note of a record that was just sent."""
        try:
            at = self._decode(record.value).at
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if self._newest < at <= record.due_ms:
            self._newest = at
            self._waiting.append((at, time.monotonic()))

    async def run(self) -> None:
        """Look until it is cancelled."""
        async with aiohttp.ClientSession() as session:
            while True:
                if self._waiting:
                    self.seen((await fetch(session, self._url)).text, time.monotonic())
                await asyncio.sleep(LOOK_EVERY_S)

    def seen(self, text: str, now: float) -> None:
        """Take note of a scrape that ended at `now` (monotonic clock)."""
        newest = [sample.value for sample in samples(text, (_NEWEST,)) if sample.labels.get("topic") == self._topic]
        shown_ms = round(max(newest, default=0.0) * 1000)
        while self._waiting and self._waiting[0][0] <= shown_ms:
            self.delays_ms.append((now - self._waiting.popleft()[1]) * 1000)

    def percentile(self, share: float) -> float | None:
        """Return the delay that `share` (0 to 1) of the records did not exceed, in milliseconds."""
        ordered = sorted(self.delays_ms)
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None

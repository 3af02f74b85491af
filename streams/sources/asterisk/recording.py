"""Recorded AMI sessions as contract events, with estimated times if the recording has none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from streams.contract.events import EARLIEST_MS, LATEST_MS, Event
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.translator import Asterisk

DRY_RUN_SECRET: Final = b"callpulse dry run: no protection"
"""Keys the numbers of a dry run. It is public, so its hashes give no protection: do not publish them."""
_SECOND: Final = re.compile(r"(\d{9,10})\.\d+$")


class RecordingClock:
    """Estimates the times of recorded events without a `Timestamp`.

    A Uniqueid holds the second in which its channel was created. So the time is the second of the youngest channel seen
    so far, plus a millisecond for every event since: order is kept, durations are too short, no time is in the future.
    """

    def __init__(self, start_ms: int = EARLIEST_MS) -> None:
        self._now_ms = start_ms - 1

    def read(self, event: Mapping[str, str]) -> int:
        """Return the estimated time of the next event."""
        self._now_ms += 1
        for name in ("Uniqueid", "DestUniqueid", "Linkedid"):
            found = _SECOND.search(event.get(name, ""))
            if found is not None and self._now_ms < int(found[1]) * 1000 <= LATEST_MS:
                self._now_ms = int(found[1]) * 1000
        return self._now_ms


def replay(
    events: Iterable[Mapping[str, str]],
    mapping: AsteriskMapping | None = None,
    secret: bytes = DRY_RUN_SECRET,
    *,
    close: bool = True,
) -> Iterator[Event]:
    """Yield the contract events of one recorded session, and with `close` an end for every leg that it leaves open.

    Several recordings are several sessions: their channels must not share one translator.
    """
    translator = Asterisk(mapping or AsteriskMapping(), secret)
    clock = RecordingClock()
    now = EARLIEST_MS
    for event in events:
        now = clock.read(event)
        for found in translator.feed(event, now):
            now = max(now, found.at)
            yield found
    if close:
        yield from translator.finish(now)

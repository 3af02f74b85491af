"""Recorded AMI sessions as contract events, with estimated times if the recording has none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from streams.contract.events import EARLIEST_MS, LATEST_MS, Event
from streams.sources.asterisk.checks import RecordingChecks
from streams.sources.asterisk.headers import age_ms, event_time
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.translator import Asterisk
from streams.sources.people import People

DRY_RUN_SECRET: Final = b"callpulse dry run: no protection"
"""Keys the numbers of a dry run. It is public, so its hashes give no protection: do not publish them."""
_SECOND: Final = re.compile(r"(\d{9,10})\.\d+$")


class RecordingClock:
    """Gives each event of a recording a time: its `Timestamp`, or else an estimate.

    A Uniqueid holds the second in which its channel was created, and a list of channels the age of each. So an event
    without a `Timestamp` is a millisecond after the event before it, but not before the youngest channel seen so far:
    order is kept, durations may be too short, no time is in the future.
    """

    def __init__(self, start_ms: int = EARLIEST_MS) -> None:
        self._now_ms = start_ms - 1

    def read(self, event: Mapping[str, str]) -> int:
        """Return the time of the next event."""
        ami = {name.lower(): value for name, value in event.items()}
        stamped = event_time(ami, 0)
        if stamped > EARLIEST_MS:
            self._now_ms = stamped
            return stamped
        self._now_ms += 1
        for name in ("uniqueid", "destuniqueid", "linkedid"):
            found = _SECOND.search(ami.get(name, ""))
            if found is not None:
                created_ms = int(found[1]) * 1000 + (age_ms(ami) if name == "uniqueid" else 0)
                if self._now_ms < created_ms <= LATEST_MS:
                    self._now_ms = created_ms
        return self._now_ms


def replay(
    events: Iterable[Mapping[str, str]],
    mapping: AsteriskMapping | None = None,
    secret: bytes = DRY_RUN_SECRET,
    *,
    close: bool = True,
    checks: RecordingChecks | None = None,
    people: People | None = None,
) -> Iterator[Event]:
    """Yield the contract events of one recorded session, and with `close` an end for every leg that it leaves open.

    Several recordings are several sessions: their channels must not share one translator. No end is dated before the
    last time seen. `checks` collects signs of wrong settings. `people` has the roster's identities.
    """
    translator = Asterisk(mapping or AsteriskMapping(), secret, checks, people)
    clock = RecordingClock()
    last = EARLIEST_MS
    for event in events:
        now = clock.read(event)
        last = max(last, now)
        for found in translator.feed(event, now):
            last = max(last, found.at)
            yield found
    if close:
        yield from translator.finish(last)

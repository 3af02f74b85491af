"""The clock of a poll: that of this machine or that of the system, whichever is behind.

The cursor of a poll is mostly a moment, and the system compares it with moments of its own clock. By a clock that is
ahead, the next poll would begin behind changes that no poll has read.
"""

from __future__ import annotations

from typing import Final

from streams.sources.poll_verdicts import date_s
from streams.sources.polls import Poll, Polled, PollError, Response
from streams.units import DAY_MS, MINUTE_MS, SECOND_MS

_NEAR_MS: Final = MINUTE_MS
"""A difference that does no harm: polls go back further before their cursors, and an answer takes a while."""


def by_slower_clock(source: Polled, cursor: bytes, now_ms: int) -> Poll:
    """Poll a source, at `now_ms` by this machine's clock.

    The poll begins again, at an earlier moment, if the first answer with a date shows that this clock is ahead. Raises
    PollError if it is ahead by more than a day.
    """
    steps = source.poll(cursor, now_ms)
    response: Response | None = None
    is_compared = False
    while True:
        try:
            step = steps.send(response)
        except StopIteration:
            return
        response = yield step
        if is_compared or response is None or (at_s := date_s(response.headers.get("date", ""))) is None:
            continue
        is_compared = True
        ahead_ms = response.at_ms - round(at_s * SECOND_MS)
        if ahead_ms > DAY_MS:
            raise PollError("the clock of this machine is more than a day ahead of the system's: which one is right?")
        if ahead_ms > _NEAR_MS:
            steps.close()
            steps, response = source.poll(cursor, now_ms - ahead_ms), None

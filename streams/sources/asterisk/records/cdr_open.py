"""CDR rows of calls that may go on, and the place from which a restart has to read.

Pure: the same rows at the same places give the same completed calls, also after a restart.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final, NamedTuple

from msgspec import Struct

from streams.phone_numbers import digest
from streams.sources.asterisk.records.cdr import CdrRow

_SETTLE_MS: Final = 10_000
"""Asterisk writes the rows of a call at its end, one after the other."""
_MOST_OPEN: Final = 50_000
_LOOK_EVERY: Final = 1_000


class CompletedCall(NamedTuple):
    """A call without further rows. `call` is its id."""

    call: str
    rows: list[CdrRow]


class _Open(Struct):
    """The rows of a call that may go on, and the places of the first and the last of them.

    `newest_before` is the newest end of all rows before the first one, ms.
    """

    rows: list[CdrRow]
    first_place: int
    last_place: int
    newest_before: int


class _Done(NamedTuple):
    last_place: int
    first_place: int
    newest_before: int


class OpenCdrCalls:
    """The calls that may go on. `secret` makes ids for rows without one."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._open: dict[str, _Open] = {}
        self._due: list[tuple[int, int, str]] = []  # a heap: end and place of a call's last row, and the call
        self._newest = 0
        self._done: list[_Done] = []

    @property
    def oldest(self) -> int | None:
        """The place from which a restart has to read: that of the first row of all calls that may go on.

        A complete call with rows before and after that place is read as a whole, too: half of its rows would give other
        legs. None if no call may go on.
        """
        oldest, _ = self._restart()
        return oldest

    @property
    def newest_before_oldest(self) -> int:
        """The newest end of a row before `oldest`, ms: with it a restart completes each call at the same row."""
        _, newest = self._restart()
        return newest

    def resume(self, newest_ms: int) -> None:
        """Continue behind rows of which the newest ended at `newest_ms`."""
        self._newest = newest_ms

    def take(self, row: CdrRow, place: int) -> list[CompletedCall]:
        """Add a row, and return the calls that are complete now. `place` is that of the row, and does not decrease.

        A call is complete once a row of any call ended long enough after its last row. So that depends on no other call
        that is open.
        """
        key = row.linkedid or row.uniqueid
        if not key:  # rows of one call cannot be joined: each is a call
            key = digest(f"{row.channel} {row.dstchannel} {row.start} {row.end}", self._secret)
        held = self._open.get(key)
        if held is None:
            held = self._open[key] = _Open([], place, place, self._newest)
        if row not in held.rows:
            held.rows.append(row)
        held.last_place = place
        heappush(self._due, (held.rows[-1].end, place, key))
        self._newest = max(self._newest, row.end)
        done: list[CompletedCall] = []
        while self._due and (self._due[0][0] <= self._newest - _SETTLE_MS or len(self._open) > _MOST_OPEN):
            end, last_place, call = heappop(self._due)
            known = self._open.get(call)
            # A later row of the call has an entry of its own. Rows of one line have the same place.
            if known is not None and (known.rows[-1].end, known.last_place) == (end, last_place):
                done.append(self._complete(call))
        return done

    def finish(self) -> list[CompletedCall]:
        """Return all calls: no further row is expected."""
        self._due.clear()
        return [self._complete(call) for call in list(self._open)]

    def _complete(self, call: str) -> CompletedCall:
        held = self._open.pop(call)
        self._done.append(_Done(held.last_place, held.first_place, held.newest_before))
        if not len(self._done) % _LOOK_EVERY:
            self._restart()  # drops the calls that no restart reads
        return CompletedCall(call, held.rows)

    def _restart(self) -> tuple[int | None, int]:
        first = min(self._open.values(), key=lambda held: held.first_place, default=None)
        if first is None:
            self._done.clear()
            return None, self._newest
        oldest, newest = first.first_place, first.newest_before
        self._done.sort()
        for done in reversed(self._done):
            if done.last_place < oldest:
                break
            if done.first_place < oldest:
                oldest, newest = done.first_place, done.newest_before
        self._done = [done for done in self._done if done.last_place >= oldest]
        return oldest, newest

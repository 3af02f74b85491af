"""The places of a bucket, and the numbers that a finished leg adds to them.

A bucket is a list of integers. The places that a bucket of a minute has come first. The bucket of a day also has places
for the figures of days, for calls and talk by hour of the day, and for the histogram of talk time (not cumulative).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

import msgspec

from streams.contract.events import DISPOSITIONS, KINDS, KINDS_AND_UNKNOWN
from streams.settings.settings import Thresholds
from streams.tables.changelog import body, seal
from streams.tables.manager.legs import TIMEOUT, Finished
from streams.tables.manager.records import INTERNAL

INBOUND: Final = 0
OUTBOUND: Final = 1
ANSWERED: Final = 2
CONNECTED: Final = 3  # outbound and answered
TALKED: Final = 4  # answered, and the talk time is known
SHORT: Final = 5
MEANINGFUL: Final = 6
TALK_MS: Final = 7
WIDTH_MINUTE: Final = 8
CONVERSATIONS: Final = 8
TIMED_OUT: Final = 9
KIND: Final = 10
DISPOSITION: Final = KIND + len(KINDS_AND_UNKNOWN)
HOUR_CALLS: Final = DISPOSITION + len(DISPOSITIONS)
HOUR_TALK_MS: Final = HOUR_CALLS + 24
HISTOGRAM: Final = HOUR_TALK_MS + 24
# Only days with internal legs have these places, behind the longest histogram that settings allow (16 bounds).
INTERNAL_LEGS: Final = HISTOGRAM + 17
INTERNAL_TALK_MS: Final = INTERNAL_LEGS + 1
WIDTH_WITH_INTERNAL: Final = INTERNAL_TALK_MS + 1

_KIND_PLACE: Final[Mapping[str | None, int]] = {
    **{kind: KIND + place for place, kind in enumerate(KINDS_AND_UNKNOWN)},
    None: KIND + len(KINDS),
}
_DISPOSITION_PLACE: Final[Mapping[str, int]] = {d: DISPOSITION + place for place, d in enumerate(DISPOSITIONS)}
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[int]).decode


class Counter:
    """Counts finished legs by the given thresholds. Stateless."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.width = HISTOGRAM + len(thresholds.histogram_ms) + 1
        self._bounds = thresholds.histogram_ms
        self._short_ms = thresholds.short_ms
        self._conversation_ms = thresholds.conversation_ms
        self._meaningful_ms = thresholds.meaningful_ms

    def add(self, leg: Finished, sign: int, minute: list[int], day: list[int], hour: int) -> None:
        """Add `leg` (`sign` -1: subtract it) to the buckets of its minute and of its local day."""
        if leg.kind == INTERNAL:
            _add_internal(leg, sign, day)
            return
        day[_KIND_PLACE[leg.kind]] += sign
        day[_DISPOSITION_PLACE[leg.disposition]] += sign
        day[HOUR_CALLS + hour] += sign
        outbound = leg.direction == "outbound"
        place = OUTBOUND if outbound else INBOUND
        minute[place] += sign
        day[place] += sign
        if leg.rank == TIMEOUT:
            day[TIMED_OUT] += sign
        if leg.disposition != "answered":
            return
        minute[ANSWERED] += sign
        day[ANSWERED] += sign
        if outbound:
            minute[CONNECTED] += sign
            day[CONNECTED] += sign
        talk_ms = leg.talk_ms
        if talk_ms < 0:
            return
        minute[TALKED] += sign
        day[TALKED] += sign
        if talk_ms < self._short_ms:
            minute[SHORT] += sign
            day[SHORT] += sign
        if talk_ms >= self._meaningful_ms:
            minute[MEANINGFUL] += sign
            day[MEANINGFUL] += sign
        if talk_ms >= self._conversation_ms:
            day[CONVERSATIONS] += sign
        day[HISTOGRAM + bisect_left(self._bounds, talk_ms)] += sign
        talk_ms *= sign
        minute[TALK_MS] += talk_ms
        day[TALK_MS] += talk_ms
        day[HOUR_TALK_MS + hour] += talk_ms


def _add_internal(leg: Finished, sign: int, day: list[int]) -> None:
    """Add an internal leg to the bucket of its day. It counts apart from all other legs."""
    if len(day) < WIDTH_WITH_INTERNAL:
        day += [0] * (WIDTH_WITH_INTERNAL - len(day))
    day[INTERNAL_LEGS] += sign
    if leg.disposition == "answered" and leg.talk_ms > 0:
        day[INTERNAL_TALK_MS] += sign * leg.talk_ms


def pack_counts(counts: list[int], pos: int) -> bytes:
    """Return the changelog record of a day's bucket as it is at offset `pos`."""
    return seal(pos, _encode(counts))


def unpack_counts(value: bytes) -> list[int]:
    """Return the bucket that the record holds. Raise LayoutError for one in the layout of another release."""
    return _decode(body(value))

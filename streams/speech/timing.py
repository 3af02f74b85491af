"""Features of time: talk, longest turns, interruptions and silences of a call.

They depend on the speech of each side, and on the utterances that are back-channels. docs/coaching.md, section *Time*,
has the definitions and their sources. A feature that a transcript cannot show is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from streams.contract.events import Capabilities
from streams.settings.speech import Speech
from streams.speech.intervals import Interval, Intervals, common, longest, total, union, without
from streams.speech.marks import UtteranceMarks

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000


class SideTiming(Struct, frozen=True, kw_only=True):
    """One side of a call.

    `talk_ms` is the union of its speech, short gaps bridged. `longest_turn` is the longest stretch in which it alone
    had the floor: of the manager the longest monologue, of the customer the longest story. `interruptions` are the
    moments at which it cut the other side off, `talk_overs` those at which it talked over the other for as long, and
    did not get the floor. `back_channels` is the number of its "yes" and "I see" inside the other's speech.
    """

    words: int
    talk_ms: int | None
    longest_turn: Interval | None
    interruptions: tuple[int, ...] | None
    talk_overs: tuple[int, ...] | None
    back_channels: int | None

    @property
    def words_per_minute(self) -> float | None:
        """Words in a minute of the side's own speech."""
        return self.words * MINUTE_MS / self.talk_ms if self.talk_ms else None


class Timing(Struct, frozen=True, kw_only=True):
    """The features of time of one call; moments and spans in ms from the moment of answer.

    `span` reaches from the first speech to the last. `silences` are the stretches of at least `speech.silence` in which
    neither side spoke, `quiet_ms` is all time of the span without speech, of whatever length. `overlap_ms` is the time
    in which both spoke. `patience_ms` is the median pause before the manager's `replies`.
    """

    span: Interval | None
    manager: SideTiming
    customer: SideTiming
    silences: tuple[Interval, ...] | None
    quiet_ms: int | None
    overlap_ms: int | None
    patience_ms: int | None
    replies: int | None

    @property
    def span_ms(self) -> int:
        """The time from the first speech to the last; 0 of a call without speech."""
        return self.span[1] - self.span[0] if self.span else 0

    @property
    def talk_share(self) -> float | None:
        """The manager's part of the talk of both sides."""
        manager, customer = self.manager.talk_ms, self.customer.talk_ms
        if manager is None or customer is None:
            return None
        return manager / (manager + customer)

    @property
    def silence_ms(self) -> int | None:
        """The length of the silences together."""
        return None if self.silences is None else total(self.silences)

    @property
    def silence_share(self) -> float | None:
        """The silences' part of the span."""
        return self._share(self.silence_ms)

    @property
    def quiet_share(self) -> float | None:
        """The part of the span without speech."""
        return self._share(self.quiet_ms)

    @property
    def overlap_share(self) -> float | None:
        """The part of the span in which both spoke."""
        return self._share(self.overlap_ms)

    def _share(self, length: int | None) -> float | None:
        return None if length is None or not self.span_ms else length / self.span_ms


class _Side:
    """The speech of one side: all of it, and its floor, which is the speech without back-channels."""

    __slots__ = ("back_channels", "floor", "nods", "spans", "speech", "words")

    def __init__(self) -> None:
        self.words = 0
        self.spans: Intervals = []
        self.nods: list[tuple[Interval, ...]] = []
        self.speech: Intervals = []
        self.floor: Intervals = []
        self.back_channels = 0


class _Heard:
    """Both sides of a call as far as they were heard, whatever the order of the utterances."""

    __slots__ = ("customer", "manager", "timed", "unclear", "whole_seconds")

    def __init__(self, utterances: Mapping[str, UtteranceMarks], speech: Speech) -> None:
        self.manager = _Side()
        self.customer = _Side()
        self.timed = True
        self.unclear: Intervals = []
        for marks in utterances.values():
            if not marks.words:  # a noise, or nothing: no speech
                continue
            side = self.manager if marks.role == "manager" else self.customer
            side.words += marks.words
            if marks.back_channel:
                side.nods.append(marks.stretches)
            else:
                side.spans.extend(marks.stretches)
            self.timed = self.timed and marks.timed
            if marks.unclear:
                self.unclear.extend(marks.unclear)
        gap = speech.word_gap_ms
        for side in (self.manager, self.customer):
            side.speech = union([*side.spans, *(span for nod in side.nods for span in nod)], gap)
        _give_floor(self.manager, self.customer.speech, gap)
        _give_floor(self.customer, self.manager.speech, gap)
        self.whole_seconds = self._in_whole_seconds()

    def _in_whole_seconds(self) -> bool:
        """Return whether all moments lie a whole number of seconds apart. Moment 0 may be where a recording was cut."""
        grain = -1
        for side in (self.manager, self.customer):
            for start, end in side.speech:
                for moment in (start, end):
                    if grain < 0 < moment:
                        grain = moment % SECOND_MS
                    elif moment and moment % SECOND_MS != grain:
                        return False
        return True

    def plausible(self, speech: Speech) -> bool:
        """Return whether the overlap of both sides, by their times, is plausible."""
        both = common(self.manager.floor, self.customer.floor)
        less = min(total(self.manager.floor), total(self.customer.floor))
        return both <= max(speech.plausible_overlap_ms, speech.plausible_overlap_share * less)


def _give_floor(side: _Side, other: Intervals, gap: int) -> None:
    """Set the side's floor: its speech without back-channels that begin inside the other's speech. Count the latter."""
    inside: Intervals = []
    outside: Intervals = []
    for nod in side.nods:
        (inside if _begins_inside(nod[0][0], other) else outside).extend(nod)
    side.floor = union(side.spans + outside, gap) if inside else side.speech
    side.back_channels = len(union(inside, gap))


def _begins_inside(moment: int, spans: Intervals) -> bool:
    """Return whether a moment lies inside one of the intervals, later than its start."""
    low, high = 0, len(spans)
    while low < high:
        middle = (low + high) // 2
        if spans[middle][0] < moment:
            low = middle + 1
        else:
            high = middle
    return low > 0 and moment < spans[low - 1][1]


def _overlaps(side: Intervals, other: Intervals, overlap_ms: int) -> tuple[list[int], list[int]]:
    """Return the moments of interruptions and of talking over: longer than `overlap_ms` over the other's speech."""
    taken: list[int] = []
    missed: list[int] = []
    place, count = -1, len(other)
    for start, end in side:
        while place + 1 < count and other[place + 1][0] < start:
            place += 1
        if place >= 0 and min(end, other[place][1]) - start > overlap_ms:
            (taken if other[place][1] < end else missed).append(start)
    return taken, missed


def _pauses(side: Intervals, other: Intervals) -> list[int]:
    """Return the pauses before each reply: where the side took the floor after the other had it, 0 if too early."""
    pauses: list[int] = []
    place, count, before = -1, len(other), -1
    for start, end in side:
        while place + 1 < count and other[place + 1][0] < start:
            place += 1
        if place >= 0 and before < other[place][1] < end:
            pauses.append(max(0, start - other[place][1]))
        before = end
    return pauses


def _turns(side: Intervals, other: Intervals, pause_ms: int) -> Intervals:
    """Return the stretches in which the side alone had the floor, over its own pauses of at most `pause_ms`."""
    turns: Intervals = []
    place, count = 0, len(other)
    begun, reached = 0, -1
    for start, end in without(side, other):
        while place < count and other[place][1] <= reached:
            place += 1
        if reached >= 0 and start - reached <= pause_ms and not (place < count and other[place][0] < start):
            reached = end
            continue
        if reached >= 0:
            turns.append((begun, reached))
        begun, reached = start, end
    if reached >= 0:
        turns.append((begun, reached))
    return turns


def _median(numbers: Sequence[int]) -> int | None:
    """Return the middle of the numbers, of two middles their mean, rounded down; None of none."""
    if not numbers:
        return None
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2


def _silences(speech: Intervals, unclear: Intervals, silence_ms: int) -> tuple[Interval, ...]:
    gaps = [(before[1], after[0]) for before, after in pairwise(speech)]
    if unclear:
        gaps = without(gaps, union(unclear, 0))
    return tuple(gap for gap in gaps if gap[1] - gap[0] >= silence_ms)


def timing(utterances: Mapping[str, UtteranceMarks], speech: Speech, capabilities: Capabilities | None) -> Timing:
    """Return the features of time of a call. `capabilities` are what its source declares, or None.

    They depend on the set of utterances alone, and interims count like finals. A feature is None if the transcript
    cannot show it: one that needs both sides, if only one was heard; one that needs simultaneous speech, if the sides
    share a channel; one that needs fine times, if they are whole seconds; one that needs a common zero and true
    boundaries, if both sides talk at once for implausibly long. In the last case the talk is None as well, unless words
    have times.
    """
    heard = _Heard(utterances, speech)
    manager, customer = heard.manager, heard.customer
    everything = union(manager.speech + customer.speech, 0)
    span = (everything[0][0], everything[-1][1]) if everything else None
    if not manager.speech or not customer.speech or not heard.plausible(speech):
        measured = heard.timed or not manager.speech or not customer.speech
        return Timing(
            span=span,
            manager=_alone(manager, measured),
            customer=_alone(customer, measured),
            silences=None,
            quiet_ms=None,
            overlap_ms=None,
            patience_ms=None,
            replies=None,
        )
    fine = capabilities.fine_times is not False if capabilities else True
    if capabilities is None or capabilities.fine_times is not True:
        fine = fine and not heard.whole_seconds
    at_once = fine and (capabilities is None or capabilities.channels_apart is not False)
    pauses = _pauses(manager.floor, customer.floor)
    talk = total(everything)
    return Timing(
        span=span,
        manager=_side(manager, customer, speech, at_once=at_once),
        customer=_side(customer, manager, speech, at_once=at_once),
        silences=_silences(everything, heard.unclear, speech.silence_ms),
        quiet_ms=everything[-1][1] - everything[0][0] - talk if fine else None,
        overlap_ms=total(manager.speech) + total(customer.speech) - talk if at_once else None,
        patience_ms=_median(pauses) if fine else None,
        replies=len(pauses) if fine else None,
    )


def _alone(side: _Side, measured: bool) -> SideTiming:
    talk = total(side.speech) if side.speech and measured else None
    return SideTiming(
        words=side.words, talk_ms=talk, longest_turn=None, interruptions=None, talk_overs=None, back_channels=None
    )


def _side(side: _Side, other: _Side, speech: Speech, *, at_once: bool) -> SideTiming:
    taken, missed = _overlaps(side.floor, other.floor, speech.overlap_ms)
    return SideTiming(
        words=side.words,
        talk_ms=total(side.speech),
        longest_turn=longest(_turns(side.floor, other.floor, speech.monologue_pause_ms)),
        interruptions=tuple(taken) if at_once else None,
        talk_overs=tuple(missed) if at_once else None,
        back_channels=side.back_channels if at_once else None,
    )


def open_monologue(utterances: Mapping[str, UtteranceMarks], speech: Speech) -> Interval | None:
    """Return the manager's monologue that goes on at the newest speech of the call: its start and its end so far.

    None, if the customer had the floor since, if only back-channels were heard for longer than a monologue's pause, or
    if the transcript cannot show it: the customer was not heard, or both talk at once for implausibly long.
    """
    heard = _Heard(utterances, speech)
    manager, customer = heard.manager, heard.customer
    if not manager.floor or not customer.speech or not heard.plausible(speech):
        return None
    turns = _turns(manager.floor, customer.floor, speech.monologue_pause_ms)
    if not turns or (customer.floor and customer.floor[-1][1] > turns[-1][1]):
        return None
    newest = max(manager.speech[-1][1], customer.speech[-1][1])
    return turns[-1] if newest - turns[-1][1] <= speech.monologue_pause_ms else None

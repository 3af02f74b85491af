"""The fold of a transcript: utterances, its end and its leg into a row, and the features that the row sends.

A row is a set of utterances with the leg and the capabilities of the source. Its state does not depend on the order in
which records arrive, except that the later of two equal revisions stays. Features are sent by two kinds of records
only, an end and a leg, so the log alone decides which facts there are; a worker that reads the same records again sends
the same facts again. Changes after the end are sent with the next end, which callpulse adds to the topic itself.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from streams.contract.events import SpeechEnded, SpeechUtterance
from streams.contract.features import HeardCall, SpokenLeg
from streams.settings.speech import Speech
from streams.speech.features import call_features
from streams.speech.marks import UtteranceMarks
from streams.speech.reading import Reader
from streams.tables.changelog import FORGOTTEN_AT
from streams.tables.transcript.row import TranscriptRow, TranscriptState
from streams.units import DAY_MS

MOST_UTTERANCES: Final = 4_000
"""The greatest number of utterances kept of a leg; a call of four hours has fewer."""
KEPT_MS: Final = 8 * DAY_MS
"""Retention of a row after its last record: text is kept for a week, and replays need a little more."""
_SETTLE_MS: Final = 5_000

Outcome: TypeAlias = Literal["applied", "duplicate", "too_many"]


class Sent(NamedTuple):
    """The features that a row sends because of a record: those of the call now, and those that it sent before."""

    now: HeardCall | None = None
    before: HeardCall | None = None


NOTHING: Final = Sent()
"""The result of a record that changes a row without features to send."""


class TranscriptFold:
    """Folds records of topic `speech` into transcript rows. `reader` makes marks of text; no text is stored.

    `lexicon` is the version of the lexicon that the reader looks words up in.
    """

    def __init__(self, reader: Reader, speech: Speech, lexicon: str) -> None:
        self._reader = reader
        self._speech = speech
        self.lexicon = lexicon

    def utterance(self, row: TranscriptRow, event: SpeechUtterance) -> Outcome:
        """Keep the marks of `event`, unless the row has marks of the same utterance that replace them."""
        state = row.state
        known = state.marks.get(event.utterance)
        if known is None and len(state.marks) >= MOST_UTTERANCES:
            return "too_many"
        if known is not None and (known.final, known.revision) > (event.final, event.revision):
            return "duplicate"
        marks = self._reader.read(event)
        if marks == known:
            return "duplicate"
        state.marks[event.utterance] = marks
        state.unsent = state.unsent or state.ended
        return "applied"

    def ended(self, row: TranscriptRow, event: SpeechEnded) -> Sent:
        """Note that the transcript is complete; return the features to send."""
        state = row.state
        state.ended = True
        if event.capabilities is not None:
            state.capabilities = event.capabilities
        return self._settle(state)

    def leg(self, row: TranscriptRow, leg: SpokenLeg) -> Sent | None:
        """Store the leg of the transcript; return the features to send, None for a leg older than the stored one."""
        state = row.state
        if state.leg is not None and leg.seq <= state.leg.seq:
            return None
        state.leg = leg
        return self._settle(state) if state.ended or leg.withdrawn else NOTHING

    def forget(self, row: TranscriptRow) -> Sent:
        """Empty the row except for its position. The features that it sent before stay counted."""
        state = row.state
        state.leg = state.capabilities = state.sent = None
        state.marks = {}
        state.ended, state.unsent = True, False
        state.heard_at = FORGOTTEN_AT
        return NOTHING

    def _settle(self, state: TranscriptState) -> Sent:
        state.unsent = False
        now = self.heard(state)
        before = state.sent
        if now == before:
            return NOTHING
        state.sent = now
        return Sent(now, before)

    def heard(self, state: TranscriptState) -> HeardCall | None:
        """Return the leg with the features of its transcript; None without a leg, or without speech."""
        leg = state.leg
        if leg is None or leg.withdrawn or not any(marks.words for marks in state.marks.values()):
            return None
        return HeardCall(
            day=leg.day,
            at=leg.at,
            direction=leg.direction,
            kind=leg.kind,
            conversation=leg.conversation,
            talk_ms=leg.talk_ms,
            features=call_features(state.marks, self._speech, state.capabilities, conversation=leg.conversation),
        )


def is_due(state: TranscriptState, now_ms: int, grace_ms: int) -> bool:
    """Return whether callpulse has to end the transcript itself, or to end it again because it changed after its end.

    `now_ms` is a time of the clock that stamps the arrival of records.
    """
    if state.leg is None or state.leg.withdrawn or not state.marks:
        return False
    quiet_ms = now_ms - state.heard_at
    return (quiet_ms >= _SETTLE_MS and state.unsent) if state.ended else quiet_ms >= grace_ms


def live_marks(state: TranscriptState) -> dict[str, UtteranceMarks] | None:
    """Return the marks of a call in progress; None for a call whose transcript or leg is over."""
    return None if state.ended or state.leg is not None else state.marks

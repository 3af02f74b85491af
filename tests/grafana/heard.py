"""The transcripts of a simulated department: the folds of the speech and coaching agents, in one process."""

from __future__ import annotations

from typing import Final

from agents.lexicons import lexicon_of
from streams.contract.decoding import Decoder
from streams.contract.events import Rejection, SpeechEnded, SpeechEvents, SpeechUtterance
from streams.contract.facts import SLOTS, Outcome
from streams.contract.features import Features
from streams.settings.settings import Settings
from streams.simulator import Record
from streams.speech.reading import Reader
from streams.tables.coaching.contributions import changes
from streams.tables.manager.contacts import spoken_leg_of
from streams.tables.manager.effect import LegChange
from streams.tables.manager.row import ManagerRow
from streams.tables.outcome import fold as outcomes
from streams.tables.outcome.fold import OutcomeRow
from streams.tables.transcript.fold import NOTHING, Sent, TranscriptFold, is_due
from streams.tables.transcript.row import SEPARATOR, TranscriptRow

_SOURCE: Final = "speech/0"


class Heard:
    """Rows of calls with a transcript (`calls`) and of the coaching figures of managers (`coaching`)."""

    def __init__(self, settings: Settings) -> None:
        lexicon = lexicon_of(settings)
        self.calls: dict[str, TranscriptRow] = {}
        self.coaching: dict[str, OutcomeRow] = {}
        self._fold = TranscriptFold(Reader(lexicon, settings.speech), settings.speech, lexicon.version)
        self._grace_ms = settings.speech.grace_ms
        self._least_ms = settings.thresholds.conversation_ms
        self._decoder: Decoder[SpeechEvents] = Decoder("speech")
        self._open: set[str] = set()
        self._seq = 0

    def take(self, record: Record) -> SpeechEvents | None:
        """Fold a record of topic `speech`; return its event, or None for one that is refused."""
        event = self._decoder.decode(record.value)
        if isinstance(event, Rejection):
            return None
        key, row = self._row(event.manager, event.call)
        row.state.heard_at = record.due_ms
        self._open.add(key)
        if isinstance(event, SpeechUtterance):
            self._fold.utterance(row, event)
        elif isinstance(event, SpeechEnded):
            self._count(event.manager, event.call, self._fold.ended(row, event))
        return event

    def leg(self, row: ManagerRow, change: LegChange) -> None:
        """Fold a leg that the calls agent emits."""
        if change.finished.disposition != "answered":
            return
        self._seq += SLOTS
        leg = spoken_leg_of(row, change, "calls/0", self._seq, self._least_ms)
        _, call = self._row(leg.manager, leg.call)
        sent = self._fold.leg(call, leg)
        if sent is not None:
            self._count(leg.manager, leg.call, sent)

    def settle(self, now_ms: int) -> None:
        """End the transcripts whose own end never came, or that changed after it."""
        for key in list(self._open):
            row = self.calls[key]
            if is_due(row.state, now_ms, self._grace_ms):
                manager, _, call = key.partition(SEPARATOR)
                end = SpeechEnded(v=1, id=f"{call}:end", at=now_ms, source="callpulse", call=call, manager=manager)
                self._count(manager, call, self._fold.ended(row, end))
            if row.state.ended and not row.state.unsent and row.state.leg is not None:
                self._open.discard(key)

    def _row(self, manager: str, call: str) -> tuple[str, TranscriptRow]:
        key = f"{manager}{SEPARATOR}{call}"
        return key, self.calls.setdefault(key, TranscriptRow())

    def _count(self, manager: str, call: str, sent: Sent) -> None:
        if sent is NOTHING:
            return
        self._seq += SLOTS
        fact = Features(
            src=_SOURCE,
            seq=self._seq,
            manager=manager,
            call=call,
            lexicon=self._fold.lexicon,
            lead=None,
            now=sent.now,
            before=sent.before,
        )
        told = Outcome(src=fact.src, seq=fact.seq, manager=manager, changes=changes(fact))
        outcomes.fold(self.coaching.setdefault(manager, OutcomeRow()), told)

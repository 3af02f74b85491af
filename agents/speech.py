"""The speech agent: folds transcripts and the legs that they belong to, and sends the features of calls as facts.

Text ends here. A record that is refused leaves no text behind: its dead letter has the place and the reason only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from faust.types import TP

from agents.delivery.intake import FUTURE, Intake
from agents.delivery.outbox import RecordQueue
from agents.state.expiry import Emptied
from agents.state.tables import RowTable
from streams.contract import events, facts
from streams.contract.decoding import Decoder
from streams.contract.events import Rejection, SpeechEnded, SpeechEvents, SpeechUtterance
from streams.contract.features import HEADER, Features, ForgottenCall, HeardCall, SpokenLeg, spoken_decoder
from streams.settings.settings import Settings
from streams.speech.timing import open_monologue
from streams.tables.changelog import FORGOTTEN_AT
from streams.tables.manager.synthetic import SOURCE
from streams.tables.transcript.fold import KEPT_MS, NOTHING, Sent, TranscriptFold, is_due, live_marks
from streams.tables.transcript.row import SEPARATOR, TranscriptRow, row_key

_Spoken: TypeAlias = SpeechEvents | SpokenLeg | ForgottenCall
_ASK_AGAIN_S: Final = 60.0
_NOT_PRINTABLE: Final = Rejection("invalid_field", "`manager` has control characters")
_ROWS_A_SWEEP: Final = 500
_LIVE_MS: Final = 600_000
"""Time without an utterance after which a call no longer counts as one in progress."""


class SpeechAgent:
    """Folds batches of topic `speech` into the table of transcripts."""

    def __init__(
        self,
        settings: Settings,
        table: RowTable[TranscriptRow],
        fold: TranscriptFold,
        intake: Intake,
        outbox: RecordQueue,
        partition_for: Callable[[bytes], int],
        features: str,
    ) -> None:
        self._table = table
        self._fold = fold
        self._intake = intake
        self._outbox = outbox
        self._partition_for = partition_for
        self._features = features
        self._future_ms = settings.thresholds.future_ms
        self._grace_ms = settings.speech.grace_ms
        self._enabled = settings.speech.enabled
        self._speech = settings.speech
        self._decoder: Decoder[SpeechEvents] = Decoder("speech")
        self._asked: dict[str, float] = {}
        self._walked: dict[int, tuple[Any, bytes]] = {}  # by partition: its rows, and the key that was looked at last
        # Calls in progress by manager, and rows that wait for an end. Both are found again by walking over the rows.
        self._live: dict[bytes, dict[bytes, TranscriptRow]] = {}
        self._waiting: dict[int, tuple[Any, dict[bytes, TranscriptRow]]] = {}
        self._emptied = Emptied()
        self._without_call = intake.count_of("transcripts_without_call_total")
        self._swapped = intake.count_of("transcripts_swapped_total")
        self.expired = 0

    def fold(self, tp: TP, records: list[Any]) -> None:
        """Fold `records` of `tp` in one step of the event loop."""
        if not self._enabled:
            self._intake.counted(len(records), applied=0, duplicates=0, times_ms=[], sources={})
            return
        read = [(record, row_key(event.manager, event.call), event) for record, event in self._read_all(tp, records)]
        part = self._table.part(tp.partition)
        part.fetch([key for _, key, _ in read])
        rows, dirty = part.rows, part.dirty
        waiting = self._waiting_of(tp.partition, part)
        base, src = self._intake.position_base, f"{tp.topic}/{tp.partition}"
        times_ms: list[int] = []
        applied = duplicates = 0
        for record, key, event in read:
            row = rows.get(key)
            if row is None:
                if self._intake.is_misrouted(tp, record):
                    self._intake.reroute(tp, record)
                    continue
                if isinstance(event, ForgottenCall):
                    duplicates += 1  # the call has no row
                    continue
                row = TranscriptRow()
            state, pos = row.state, base + record.offset
            sent = self._apply(row, event) if pos > state.pos else None  # else folded before a restart
            if sent is None:
                duplicates += 1
                continue
            state.pos = pos
            if not isinstance(event, ForgottenCall):
                state.heard_at = max(state.heard_at, record.timestamp)
            rows[key] = row
            dirty[key] = row
            applied += 1
            self._note(record.key, key, row, waiting)
            if not isinstance(event, (SpokenLeg, ForgottenCall)) and event.source != SOURCE:
                times_ms.append(event.at)
            if sent is not NOTHING:
                self._send(src, pos, event, state.leg, sent)
        # No heartbeats: a recogniser may process the calls at night, and its silence by day is no error.
        self._intake.counted(len(records), applied=applied, duplicates=duplicates, times_ms=times_ms, sources={})

    def _apply(self, row: TranscriptRow, event: _Spoken) -> Sent | None:
        """Fold into a row; return the facts to send, NOTHING, or None where nothing changed."""
        if isinstance(event, SpeechUtterance):
            outcome = self._fold.utterance(row, event)
            if outcome == "too_many":
                self._intake.count_of("folded_total", "utterances").inc()
            return NOTHING if outcome == "applied" else None
        if isinstance(event, SpeechEnded):
            return self._fold.ended(row, event)
        if isinstance(event, ForgottenCall):
            return self._fold.forget(row)
        return self._fold.leg(row, event)

    def _read_all(self, tp: TP, records: list[Any]) -> Iterator[tuple[Any, _Spoken]]:
        for record in records:
            event = self._read(tp, record)
            if event is not None:
                yield record, event

    def _read(self, tp: TP, record: Any) -> _Spoken | None:
        """Return the event in `record`; None where it is refused, or another group made it."""
        if any(name == HEADER for name, _ in record.headers):
            if self._intake.is_foreign(record):
                return None
            ours: SpokenLeg | ForgottenCall | None = self._intake.fact(tp, record, spoken_decoder.decode)
            return ours
        event = self._decoder.decode(record.value)
        refusal = event if isinstance(event, Rejection) else self._refusal(record, event)
        if refusal is not None:
            self._intake.reject(tp, record, refusal)
            return None
        assert not isinstance(event, Rejection)  # noqa: S101 - tells mypy
        return event

    def _refusal(self, record: Any, event: SpeechEvents) -> Rejection | None:
        refusal = self._intake.key_refusal(record.key, event.manager)
        if refusal is not None:
            return refusal
        if not event.manager.isprintable():
            return _NOT_PRINTABLE
        return FUTURE if event.at > record.timestamp + self._future_ms else None

    # -- transcripts in progress, and their ends

    def sweep(self, now_ms: int, partitions: set[int]) -> None:
        """Send the ends that are due in `partitions`, and remove rows that are past their time.

        Rows that changed since the start are looked at each time, the others in rounds. Where transcripts are not read,
        no agent would fold the ends: rows are removed only.
        """
        self._forget_silent(now_ms)
        now = time.monotonic()
        self._asked = {key: at for key, at in self._asked.items() if at + _ASK_AGAIN_S > now}
        owned = self._table.owned
        self._waiting = {partition: known for partition, known in self._waiting.items() if partition in owned}
        ours = [partition for partition in owned if partition in partitions]
        for partition in ours:
            part = self._table.part(partition)
            waiting = self._waiting_of(partition, part)
            known, last = self._walked.get(partition, (None, b""))
            found = part.after(last if known is part else b"", max(1, _ROWS_A_SWEEP // len(ours)))
            self._walked[partition] = part, found[-1][0] if found else b""
            for key, row in found:
                if row.heard_at == FORGOTTEN_AT:
                    is_over = self._emptied.is_over(key, now_ms)
                else:
                    self._emptied.forget(key)
                    is_over = row.heard_at < now_ms - KEPT_MS
                if is_over:
                    part.rows.pop(key, None)
                    part.dirty[key] = None
                    waiting.pop(key, None)
                    self.expired += 1
                elif self._enabled and key not in waiting and is_due(row.state, now_ms, self._grace_ms):
                    waiting[key] = row
            for key, row in list(waiting.items()):
                if is_due(row.state, now_ms, self._grace_ms):
                    self._end(key, row, now)
                elif not _waits(row, now_ms, self._grace_ms):
                    del waiting[key]
                    if row.state.leg is None and row.state.heard_at != FORGOTTEN_AT:
                        self._without_call.inc()

    def talking_ms(self, manager: bytes, now_ms: int) -> int:
        """Return how long `manager` has talked without a pause in a call in progress, as far as was heard; 0 if not."""
        rows = self._live.get(manager)
        if not rows:
            return 0
        longest = 0
        for key, row in list(rows.items()):
            state = row.state
            marks = live_marks(state)
            if marks is None or state.heard_at < now_ms - _LIVE_MS:
                del rows[key]
                continue
            open_now = open_monologue(marks, self._speech)
            if open_now is not None:
                longest = max(longest, open_now[1] - open_now[0])
        return longest

    def _forget_silent(self, now_ms: int) -> None:
        """Forget calls in progress that nobody ended, so that a recogniser that never says so does not fill memory."""
        for manager, rows in list(self._live.items()):
            for key, row in list(rows.items()):
                if row.state.heard_at < now_ms - _LIVE_MS:
                    del rows[key]
            if not rows:
                del self._live[manager]

    def _note(self, manager: bytes, key: bytes, row: TranscriptRow, waiting: dict[bytes, TranscriptRow]) -> None:
        state = row.state
        if state.marks:
            waiting[key] = row
        if live_marks(state) is None:
            self._live.get(manager, {}).pop(key, None)
        else:
            self._live.setdefault(manager, {})[key] = row

    def _waiting_of(self, partition: int, part: Any) -> dict[bytes, TranscriptRow]:
        known = self._waiting.get(partition)
        if known is None or known[0] is not part:
            self._live.clear()  # a partition came or left: its calls are heard again with their next utterance
            known = self._waiting[partition] = part, {}
        return known[1]

    def _end(self, key: bytes, row: TranscriptRow, now: float) -> None:
        manager, _, call = key.decode().partition(SEPARATOR)
        state = row.state
        assert state.leg is not None  # noqa: S101 - it is due
        event_id = f"{SOURCE}:{call}:speech:{state.pos}"[-128:]
        if event_id in self._asked:
            return
        self._asked[event_id] = now
        event = SpeechEnded(v=1, id=event_id, at=state.leg.at, source=SOURCE, call=call, manager=manager)
        subject = manager.encode()
        self._outbox.add(self._intake.topic, self._partition_for(subject), subject, events.encode(event))

    def _send(self, src: str, pos: int, event: _Spoken, leg: SpokenLeg | None, sent: Sent) -> None:
        if _looks_swapped(sent.now) and not _looks_swapped(sent.before):
            self._swapped.inc()
        fact = Features(
            src=src,
            seq=pos * facts.SLOTS,
            manager=event.manager,
            call=event.call,
            lexicon=self._fold.lexicon,
            lead=None if leg is None else leg.lead,
            now=sent.now,
            before=sent.before,
        )
        key = event.manager.encode()
        self._outbox.add(self._features, self._partition_for(key), key, facts.encode(fact), self._intake.fact_headers)


def _looks_swapped(heard: HeardCall | None) -> bool:
    return heard is not None and heard.features.swapped


def _waits(row: TranscriptRow, now_ms: int, grace_ms: int) -> bool:
    """Return whether the row may become due without a further record."""
    state = row.state
    if state.leg is None:  # it comes with a record, if at all
        return now_ms - state.heard_at < grace_ms
    return not state.ended or state.unsent

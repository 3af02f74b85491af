"""The calls agent: folds telephony events into manager rows, and sends finished legs to their leads as facts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from faust.types import TP

from agents.delivery.intake import FUTURE, Intake, heard
from agents.delivery.outbox import RecordQueue
from agents.state.tables import RowTable
from streams.calendars import manager_time
from streams.contract import events, facts
from streams.contract.decoding import Decoder
from streams.contract.events import CallAnswered, CallEnded, CallsEvent, CallStarted, Rejection
from streams.contract.features import HEADER
from streams.contract.origin import Origin, origin_of
from streams.settings.settings import Settings
from streams.tables.manager.contacts import contact_of, spoken_leg_of
from streams.tables.manager.effect import APPLIED, Emitted, LegChange
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.row import ManagerRow

_ASK_AGAIN_S = 60.0
_NOT_PRINTABLE = Rejection("invalid_field", "`manager` has control characters")


class CallsAgent:
    """Folds batches of topic `calls` into the table of managers."""

    def __init__(
        self,
        settings: Settings,
        table: RowTable[ManagerRow],
        intake: Intake,
        outbox: RecordQueue,
        partition_for: Callable[[bytes], int],
        contacts: str,
        speech: str,
    ) -> None:
        self._settings = settings
        self._table = table
        self._intake = intake
        self._outbox = outbox
        self._partition_for = partition_for
        self._contacts = contacts
        self._speech = speech if settings.speech.enabled else ""
        self._leg_headers = [*intake.fact_headers, (HEADER, b"1")]
        self._decoder: Decoder[CallsEvent] = Decoder("calls")
        self._fold = ManagerFold(settings.thresholds)
        self._future_ms = settings.thresholds.future_ms
        self._conversation_ms = settings.thresholds.conversation_ms
        self._late = intake.count_of("late_total")
        self._too_late = intake.count_of("too_late_total")
        self._asked: dict[str, float] = {}

    def fold(self, tp: TP, records: list[Any]) -> None:  # noqa: C901, PLR0912, PLR0915 - the hot loop: a call a record would show
        """Fold `records` of `tp` in one step of the event loop."""
        part = self._table.part(tp.partition)
        # Rows of managers are in memory. With this type the compiler makes plain dict lookups.
        rows: dict[bytes, ManagerRow] = cast(dict[bytes, ManagerRow], part.rows)
        dirty: dict[bytes, ManagerRow | None] = part.dirty
        decoder, folder = self._decoder, self._fold
        future_ms, base = self._future_ms, self._intake.position_base
        src = f"{tp.topic}/{tp.partition}"
        times_ms: list[int] = []
        sources: dict[str, int] = {}
        again = late = too_late = duplicates = 0
        for record in records:
            key, offset = record.key, base + record.offset  # aiokafka makes a new object each time it is asked
            row = rows.get(key)
            if row is not None and offset <= row.live.pos:
                again += 1  # folded before a restart
                continue
            event = decoder.decode(record.value)
            if type(event) is Rejection:
                self._intake.reject(tp, record, event)
                continue
            at = event.at
            latest = record.timestamp + future_ms
            if row is None or event.manager != row.id:
                made = self._new_row(tp, record, event, latest)
                if made is None:
                    continue
                if at <= latest:
                    rows[key] = made
                row = made
            if at > latest:
                self._intake.reject(tp, record, FUTURE)
                continue
            if record.headers and self._is_repeat(row, record):
                duplicates += 1
                continue
            effect = folder.fold(row, event, offset)
            dirty[key] = row
            heard(sources, event.source, at)
            if effect is not APPLIED:
                outcome = effect.outcome
                if outcome == "late":
                    late += 1
                elif outcome == "duplicate":
                    duplicates += 1
                    continue
                elif outcome == "too_late":
                    too_late += 1
                    continue
                if effect.emitted:
                    self._emit(src, offset, row, effect.emitted)
            times_ms.append(at)
        self._late.inc(late)
        self._too_late.inc(too_late)
        self._intake.counted(
            len(records), applied=len(times_ms), duplicates=duplicates + again, times_ms=times_ms, sources=sources
        )

    def sweep(self, now_ms: int, partitions: set[int]) -> None:
        """Send the ends that are due in `partitions`, for legs whose own end never came."""
        now = time.monotonic()
        self._asked = {key: at for key, at in self._asked.items() if at + _ASK_AGAIN_S > now}
        for partition in self._table.owned & partitions:
            for row in self._table.part(partition).rows.values():
                for event in self._fold.timeouts(row, now_ms):
                    if event.id not in self._asked:
                        self._asked[event.id] = now
                        self._send(event)

    def _is_repeat(self, row: ManagerRow, record: Any) -> bool:
        """Return whether the record is a further copy of a misrouted one; remember the origin of a first copy."""
        origin = origin_of(record.headers, self._intake.topic)
        if origin is None:
            return False
        origin = Origin(origin.partition, self._intake.position_base + origin.offset)
        if row.live.includes(origin):
            return True
        row.live.origins[origin.partition] = origin.offset
        return False

    def _new_row(self, tp: TP, record: Any, event: CallsEvent, latest: int) -> ManagerRow | None:
        """Return a row for the record's manager; None where the record is misrouted or refused."""
        manager = event.manager
        refusal = self._intake.key_refusal(record.key, manager)
        if refusal is None and not manager.isprintable():
            refusal = _NOT_PRINTABLE
        misrouted = refusal is None and self._intake.is_misrouted(tp, record)
        if misrouted and event.at > latest:
            refusal = FUTURE  # a copy arrives later: it would not be in the future any more
        if refusal is not None:
            self._intake.reject(tp, record, refusal)
        elif misrouted:
            self._intake.reroute(tp, record)
        else:
            return ManagerRow(manager, manager_time(self._settings, manager))
        return None

    def _emit(self, src: str, offset: int, row: ManagerRow, emitted: tuple[Emitted, ...]) -> None:
        """Send the records that the record at `offset` of `src` emits."""
        for slot, item in enumerate(emitted):
            if type(item) is LegChange:
                seq = offset * facts.SLOTS + slot
                finished = item.finished
                if finished.lead is not None:
                    contact = contact_of(row, item, src, seq, self._conversation_ms)
                    key = contact.lead.encode()
                    headers = self._intake.fact_headers
                    self._outbox.add(self._contacts, self._partition_for(key), key, facts.encode(contact), headers)
                if self._speech and finished.disposition == "answered":
                    leg = spoken_leg_of(row, item, src, seq, self._conversation_ms)
                    key = leg.manager.encode()
                    value = facts.encode(leg)
                    self._outbox.add(self._speech, self._partition_for(key), key, value, self._leg_headers)
            else:
                self._send(item)

    def _send(self, event: CallStarted | CallAnswered | CallEnded) -> None:
        key = event.manager.encode()
        self._outbox.add(self._intake.topic, self._partition_for(key), key, events.encode(event))

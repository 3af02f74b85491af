"""The speech agent without Kafka: it folds, refuses, sends on and removes."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from faust.types import TP
from msgspec.structs import replace

from agents.delivery.intake import PrivateIntake
from agents.kafka.batch_sender import Headers
from agents.speech import SpeechAgent
from agents.state.in_memory import MemoryPartition
from streams.contract import events, facts
from streams.contract.events import SpeechEnded, SpeechUtterance
from streams.contract.features import HEADER, SpokenLeg, features_decoder
from streams.settings.settings import Settings
from streams.speech.reading import Reader
from streams.tables.transcript.fold import KEPT_MS, TranscriptFold
from streams.tables.transcript.row import TranscriptRecords, row_key
from tests.agents.stand_in import StandIn, stand_in
from tests.lexicons import lexicon

AT = 1_795_435_200_000
WORDS = "zanzibar elephants"
KEY = row_key("anna", "c")


class Record(NamedTuple):
    """A record in the form of the client."""

    key: bytes | None
    value: bytes
    offset: int
    timestamp: int = AT
    headers: tuple[tuple[str, bytes], ...] = ()


class Sent(NamedTuple):
    """A record that the agent sends."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Any = ()


class Outbox(list[Sent]):
    """Takes the records that an agent sends."""

    def add(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = None) -> None:
        self.append(Sent(topic, partition, key, value, headers or ()))


class Parts:
    """An agent with its table, around a stand-in of a worker that owns all partitions."""

    def __init__(self, settings: Settings | None = None, maker: bytes | None = None) -> None:
        self.worker: StandIn = stand_in().own(0, 1, 2, 3)
        settings = settings or self.worker.settings
        self.sent = Outbox()
        self.table = self.worker.tables["transcripts"]
        for partition in range(4):
            self.table.parts[partition] = MemoryPartition(TranscriptRecords())
        intake = PrivateIntake(
            "speech",
            outbox=self.sent,
            metrics=self.worker.metrics,
            partition_for=self.worker.partition_for,
            rejected="rejected",
            key_rule="the key is the manager",
            maker=maker,
        )
        fold = TranscriptFold(Reader(lexicon(), settings.speech), settings.speech, lexicon().version)
        self.agent = SpeechAgent(
            settings,
            self.table,
            fold,
            intake,
            self.sent,
            self.worker.partition_for,
            "features",
        )
        self.home = self.worker.partition_for(b"anna")
        self._offset = 0

    def take(self, *some: SpeechUtterance | SpeechEnded | SpokenLeg | Record, partition: int | None = None) -> None:
        records = []
        for one in some:
            self._offset += 1
            if isinstance(one, Record):
                records.append(one._replace(offset=self._offset))
            elif isinstance(one, SpokenLeg):
                records.append(Record(b"anna", facts.encode(one), self._offset, headers=((HEADER, b"1"),)))
            else:
                records.append(Record(one.manager.encode(), events.encode(one), self._offset))
        self.agent.fold(TP("speech", self.home if partition is None else partition), records)

    @property
    def rows(self) -> dict[bytes, Any]:
        return dict(self.table.part(self.home).rows)

    def counted(self, name: str, **labels: str) -> float:
        found = self.worker.metrics.registry.get_sample_value(f"callpulse_{name}", {"topic": "speech", **labels})
        return found or 0


def said(number: int = 1, role: str = "manager", text: str = WORDS, start_ms: int = 0) -> SpeechUtterance:
    return SpeechUtterance(
        v=1,
        id=f"s{number}",
        at=AT,
        source="stt",
        call="c",
        manager="anna",
        utterance=f"u{number}",
        role=role,  # type: ignore[arg-type]  # one of the two
        start_ms=start_ms,
        end_ms=start_ms + 4_000,
        text=text,
        final=True,
    )


END = SpeechEnded(v=1, id="end", at=AT, source="stt", call="c", manager="anna")
LEG = SpokenLeg(
    src="calls/0", seq=1, manager="anna", call="c", day=20_780, at=AT, direction="outbound", kind="cold", talk_ms=9_000
)


def test_a_call_that_is_over_sends_its_features_once() -> None:
    parts = Parts()
    parts.take(said(), LEG, END, END)
    (fact,) = parts.sent
    assert (fact.topic, fact.partition, fact.key) == ("features", parts.home, b"anna")
    found = features_decoder.decode(fact.value or b"")
    assert (found.src, found.call, found.before) == (f"speech/{parts.home}", "c", None)
    assert found.lexicon == lexicon().version
    assert found.now is not None
    assert found.now.features.words is not None


def test_the_same_records_after_a_restart_change_and_send_nothing() -> None:
    parts = Parts()
    records = [
        Record(b"anna", events.encode(said()), 0),
        Record(b"anna", facts.encode(LEG), 0, headers=((HEADER, b"1"),)),
        Record(b"anna", events.encode(END), 0),
    ]
    parts.take(*records)
    (first,) = parts.sent
    parts._offset = 0
    parts.take(*records)
    assert parts.sent == [first]
    assert parts.counted("duplicates_total") == 3


def test_a_refused_record_leaves_its_place_and_reason_and_nothing_else() -> None:
    parts = Parts()
    late = replace(said(), at=AT + 86_400_000)
    for record in (
        Record(b"anna", events.encode(said())[:-9], 0),
        Record(WORDS.encode(), events.encode(said()), 0),
        Record(None, events.encode(said()), 0),
        Record(b"anna", events.encode(late), 0),
    ):
        parts.take(record)
    assert [letter.topic for letter in parts.sent] == ["rejected"] * 4
    assert [dict(letter.headers)["reason"] for letter in parts.sent] == [
        b"not_json",
        b"wrong_key",
        b"no_key",
        b"future",
    ]
    assert b"zanzibar" not in repr(parts.sent).encode()
    assert parts.rows == {}


def test_a_record_in_the_wrong_partition_is_sent_on_whole() -> None:
    parts = Parts()
    elsewhere = (parts.home + 1) % 4
    parts.take(said(), partition=elsewhere)
    (copy,) = parts.sent
    assert (copy.topic, copy.partition, copy.key, copy.value) == ("speech", parts.home, b"anna", events.encode(said()))
    assert dict(parts.table.part(elsewhere).rows) == {}


def test_a_leg_of_another_group_is_none_of_ours() -> None:
    parts = Parts(maker=b"callpulse")
    foreign = Record(b"anna", facts.encode(LEG), 0, headers=(("callpulse-group", b"other"), (HEADER, b"1")))
    ours = Record(b"anna", facts.encode(LEG), 0, headers=(("callpulse-group", b"callpulse"), (HEADER, b"1")))
    parts.take(said(), END, foreign)
    assert parts.sent == []
    parts.take(ours)
    assert [fact.topic for fact in parts.sent] == ["features"]


def test_nothing_is_read_where_speech_is_switched_off() -> None:
    settings = stand_in().settings
    parts = Parts(replace(settings, speech=replace(settings.speech, enabled=False)))
    parts.take(said(), LEG, END, Record(b"anna", WORDS.encode(), 0))
    assert (parts.rows, parts.sent) == ({}, [])


def test_it_ends_transcripts_that_have_no_end_and_asks_only_once_a_minute() -> None:
    parts = Parts()
    parts.take(said(), LEG)
    everywhere = set(range(4))
    parts.agent.sweep(AT + 299_000, everywhere)
    assert parts.sent == []
    parts.agent.sweep(AT + 300_000, set())  # not caught up: the end may be on its way
    assert parts.sent == []
    for _ in range(2):
        parts.agent.sweep(AT + 300_000, everywhere)
    (end,) = parts.sent
    assert (end.topic, end.partition) == ("speech", parts.home)
    parts.take(Record(end.key, end.value or b"", 0))
    assert parts.sent[-1].topic == "features"


def test_a_transcript_whose_call_nobody_knows_is_counted() -> None:
    parts = Parts()
    parts.take(said(), END)
    everywhere = set(range(4))
    parts.agent.sweep(AT + 299_000, everywhere)
    assert parts.counted("transcripts_without_call_total") == 0
    for _ in range(2):
        parts.agent.sweep(AT + 300_000, everywhere)
    assert parts.counted("transcripts_without_call_total") == 1
    assert parts.sent == []
    parts.take(LEG)  # late, and welcome
    assert [fact.topic for fact in parts.sent] == ["features"]


def test_a_transcript_whose_sides_look_swapped_is_counted_once() -> None:
    parts = Parts()
    parts.take(
        said(1, "customer", "Good morning, my name is Anna, I'm calling from Vector. We offer a system."),
        said(2, "manager", "It's too expensive for us, and I have no time.", start_ms=5_000),
        LEG,
        END,
    )
    assert parts.counted("transcripts_swapped_total") == 1
    parts.take(said(3, text="you know", start_ms=10_000), replace(END, id="end2"))
    assert len(parts.sent) == 2
    assert parts.counted("transcripts_swapped_total") == 1
    assert all(features_decoder.decode(fact.value or b"").now.features.swapped for fact in parts.sent)  # type: ignore[union-attr]  # they have features


def test_where_transcripts_are_not_read_no_end_is_sent() -> None:
    parts = Parts()
    parts.take(said(), LEG)
    ((key, value),) = TranscriptRecords().changelog(KEY, parts.rows[KEY])
    settings = parts.worker.settings
    off = Parts(replace(settings, speech=replace(settings.speech, enabled=False)))
    TranscriptRecords().restore(off.table.part(off.home).rows, key, value)
    off.agent.sweep(AT + 300_000, set(range(4)))
    assert off.sent == []
    for _ in range(2):
        off.agent.sweep(AT + KEPT_MS + 1, set(range(4)))
    assert off.rows == {}


def test_ends_that_callpulse_adds_are_no_sign_of_a_recogniser() -> None:
    parts = Parts()
    parts.take(LEG, replace(END, source="callpulse", at=AT - 60_000))
    assert parts.counted("newest_event_timestamp_seconds") == 0
    parts.take(replace(said(), at=AT - 30_000))
    assert parts.counted("newest_event_timestamp_seconds") == (AT - 30_000) / 1000


def test_a_row_that_was_restored_is_found_on_the_walk() -> None:
    parts = Parts()
    parts.take(said(), LEG)
    ((key, value),) = TranscriptRecords().changelog(KEY, parts.rows[KEY])
    restored = Parts()
    TranscriptRecords().restore(restored.table.part(restored.home).rows, key, value)
    restored.agent.sweep(AT + 300_000, set(range(4)))
    assert [record.topic for record in restored.sent] == ["speech"]


def test_rows_go_when_their_time_is_over() -> None:
    parts = Parts()
    parts.take(said(), LEG, END)
    for _ in range(2):  # a round over the rows, and its end
        parts.agent.sweep(AT + KEPT_MS, set(range(4)))
    assert KEY in parts.rows
    for _ in range(2):
        parts.agent.sweep(AT + KEPT_MS + 1, set(range(4)))
    assert parts.rows == {}
    assert parts.table.part(parts.home).dirty[KEY] is None
    assert parts.agent.expired == 1


def test_a_monologue_in_a_call_in_progress_is_seen_until_the_call_is_over() -> None:
    parts = Parts()
    talk = [said(1, "customer", "yes, please tell me more", 0)]
    talk += [said(2 + number, text=f"{WORDS} {number}", start_ms=5_123 + number * 4_400) for number in range(30)]
    parts.take(*talk)
    assert parts.agent.talking_ms(b"anna", AT) == pytest.approx(30 * 4_400 - 400, abs=10)
    assert parts.agent.talking_ms(b"bert", AT) == 0
    assert parts.agent.talking_ms(b"anna", AT + 3_600_000) == 0  # no utterance for an hour
    parts.take(said(99, text=f"{WORDS} again", start_ms=5_123 + 30 * 4_400))
    assert parts.agent.talking_ms(b"anna", AT) > 0
    parts.take(LEG)
    assert parts.agent.talking_ms(b"anna", AT) == 0


def test_calls_in_progress_that_never_end_are_not_kept() -> None:
    parts = Parts()
    parts.agent.sweep(AT, set(range(4)))  # it knows its partitions now
    for number in range(50):
        event = replace(said(), id=f"s{number}", manager=f"m{number}", call=f"c{number}")
        parts.take(event, partition=parts.worker.partition_for(event.manager.encode()))
    parts.take(said(), LEG)  # a call that is over
    parts.agent.sweep(AT + 600_000, set(range(4)))
    assert len(parts.agent._live) == 50
    parts.agent.sweep(AT + 600_001, set(range(4)))
    assert parts.agent._live == {}
    parts.take(replace(said(2), call="d"))
    parts.agent.sweep(AT, set())
    assert list(parts.agent._live) == [b"anna"]

"""Transcripts on real Kafka: the features of calls reach their managers exactly, and no text goes further."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from agents.kafka.heard import read_features
from streams.contract import events, topics
from streams.contract.events import CallEnded, Event, SpeechEnded, SpeechUtterance
from streams.contract.facts import GROUP
from streams.explain.coaching import latest
from streams.settings.settings import Settings
from streams.tables.outcome.fold import OutcomeRow
from tests.broker.in_process import PARTITIONS, START_MS, Start, Worker, call_ended, wait_until
from tests.broker.leads_fixture import all_folded
from tests.kafka_fixture import consume

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]
MANAGERS = 5
WORDS = "zanzibar purple elephants"  # in every text, and in no lexicon
DAY = START_MS // 86_400_000


def utterance(
    call: int, number: int, role: str, text: str, *, revision: int = 0, final: bool = True
) -> SpeechUtterance:
    """Utterances of a call follow each other without a gap; each lasts four seconds."""
    return SpeechUtterance(
        v=1,
        id=f"s{call}-{number}-{revision}-{final}",
        at=START_MS + call * 1000,
        source="stt",
        call=f"c{call}",
        manager=f"m{call % MANAGERS:03d}",
        utterance=f"u{number}",
        role=role,  # type: ignore[arg-type]  # one of the two
        start_ms=number * 4_000,
        end_ms=number * 4_000 + 4_000,
        text=f"{text} {WORDS}",
        final=final,
        revision=revision,
    )


def ended(call: int) -> SpeechEnded:
    return SpeechEnded(
        v=1,
        id=f"s{call}-end",
        at=START_MS + call * 1000,
        source="stt",
        call=f"c{call}",
        manager=f"m{call % MANAGERS:03d}",
    )


class Said:
    """The content of one call, from which the expected figures are calculated by hand."""

    def __init__(self, call: int, chance: random.Random) -> None:
        self.call = call
        self.roles = [chance.choice(["manager", "customer"]) for _ in range(chance.randint(2, 9))]
        self.fillers = [chance.randint(0, 2) if role == "manager" else 0 for role in self.roles]

    def events(self) -> list[Event]:
        made: list[Event] = [ended(self.call)]
        for number, (role, fillers) in enumerate(zip(self.roles, self.fillers, strict=True)):
            last = utterance(self.call, number, role, "you know " * fillers, revision=1)
            # An interim and an older revision of the same utterance, with other fillers, in any order with it.
            made += [last, replace(last, revision=0, id=last.id + "r", text="you know")]
            made.append(replace(last, final=False, revision=0, id=last.id + "i", text="you know, you know"))
        return made

    def leg(self) -> CallEnded:
        return call_ended(self.call, f"m{self.call % MANAGERS:03d}", kind="cold", lead=f"lead-{self.call}")


def expected(said: Iterable[Said]) -> dict[tuple[str, str], int]:
    """The sums of 30 days by manager, counted from the story alone."""
    sums: dict[tuple[str, str], int] = {}

    def add(call: Said, measure: str, number: int) -> None:
        if number:
            place = f"m{call.call % MANAGERS:03d}", measure
            sums[place] = sums.get(place, 0) + number

    for call in said:
        add(call, "heard", 1)
        add(call, "heard_kind:cold", 1)
        add(call, "heard_talk:cold", 90_000)
        if len(set(call.roles)) == 2:  # both sides were heard: the share of talk is known
            add(call, "talk_manager", 4_000 * call.roles.count("manager"))
            add(call, "talk_customer", 4_000 * call.roles.count("customer"))
            add(call, "fillers", sum(call.fillers))
    return sums


MEASURES = ("heard", "heard_kind:cold", "heard_talk:cold", "talk_manager", "talk_customer", "fillers")


def sums_of(*workers: Worker) -> dict[tuple[str, str], int]:
    found = {}
    for worker in workers:
        for key, row in worker.rows("coaching"):
            assert isinstance(row, OutcomeRow)
            for measure in MEASURES:
                number = sum(row.state.steps.get(measure, {}).values())
                if number:
                    found[key.decode(), measure] = number
    return found


def files_with(folder: Path, words: bytes) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if words in path.read_bytes()]


async def send(settings: Settings, some: Iterable[Event]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, linger_ms=5)
    await producer.start()
    try:
        for event in some:
            topic = topics.SPEECH if isinstance(event, SpeechUtterance | SpeechEnded) else topics.CALLS
            key = event.manager.encode()  # type: ignore[attr-defined]  # both kinds have one
            await producer.send(
                settings.kafka.topic_prefix + topic.name,
                events.encode(event),
                key,
                partition=topics.partition_of(key, PARTITIONS),
            )
        await producer.flush()
    finally:
        await producer.stop()


def with_speech(settings: Settings, **more: Any) -> Settings:
    return replace(settings, speech=replace(settings.speech, min_calls=1, **more))


async def test_what_is_heard_counts_whatever_the_order_and_repetition(start: Start, settings: Settings) -> None:
    settings = with_speech(settings)
    chance = random.Random(1)
    said = [Said(call, chance) for call in range(40)]
    some: list[Event] = [event for call in said for event in (*call.events(), call.leg())]
    some += chance.sample(some, 60)
    chance.shuffle(some)
    # The ends of transcripts come again at the end: utterances after the first end are sent with the last.
    worker = await start(settings)
    await send(settings, some)
    await send(settings, [replace(ended(call.call), id=f"again-{call.call}") for call in said])
    await all_folded(worker)
    await asyncio.sleep(0.5)  # legs go from `calls` to `speech`, and features to their topic
    await all_folded(worker)
    assert sums_of(worker) == expected(said)
    await commands_read_the_same(worker, settings, said)


async def commands_read_the_same(worker: Worker, settings: Settings, said: list[Said]) -> None:
    """The facts of topic `features` that `callpulse coaching` reads have the same sums, without other groups' facts."""
    await worker.parts.outbox.drain()
    name, key = settings.kafka.topic_prefix + topics.FEATURES.name, b"m000"
    place = topics.partition_of(key, PARTITIONS)
    facts = await read_features(settings.kafka, 0)
    before_ms = max(record.timestamp for record in await asyncio.to_thread(consume, settings.kafka.bootstrap, name))
    stranger = replace(facts[0], call="of another group")
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
    await producer.start()
    try:
        for value, headers in [
            (msgspec.json.encode(stranger), [(GROUP, b"another")]),
            (msgspec.json.encode(stranger)[:-9], [(GROUP, settings.kafka.group.encode())]),
            (b"no fact", []),
            (None, []),
        ]:
            await producer.send_and_wait(name, value, key, place, headers=headers)
        last = await producer.send_and_wait(
            name, msgspec.json.encode(replace(stranger, call="without a group's name")), key, place
        )
    finally:
        await producer.stop()
    advanced: list[int] = []
    again = await read_features(settings.kafka, 0, advanced.append)
    assert sum(advanced) == len(facts) + 5
    assert [fact.call for fact in again if fact not in facts] == ["without a group's name"]
    found: dict[tuple[str, str], int] = {}
    for call in latest(facts):
        if call.heard.features.talk is None:
            continue  # one side only: it counts for no rate
        for filler, count in call.heard.features.fillers.items():
            assert filler == "you know"
            place_of = call.manager, "fillers"
            found[place_of] = found.get(place_of, 0) + count
    fillers = {place: number for place, number in expected(said).items() if place[1] == "fillers"}
    assert {place: number for place, number in found.items() if place in fillers} == fillers
    assert len(latest(facts)) == len(said)
    assert last.timestamp > before_ms
    assert [fact.call for fact in await read_features(settings.kafka, last.timestamp)] == ["without a group's name"]


async def test_a_crash_at_any_moment_changes_no_figure(start: Start, settings: Settings) -> None:
    settings = with_speech(settings)
    chance = random.Random(2)
    said = [Said(call, chance) for call in range(60)]
    some: list[Event] = [event for call in said for event in (*call.events(), call.leg())]
    chance.shuffle(some)
    some += [replace(ended(call.call), id=f"again-{call.call}") for call in said]
    worker = await start(settings)
    for part in range(4):
        await send(settings, some[part::4] if part < 3 else [*some[3::4], *some[-60:]])
        await asyncio.sleep(chance.random())
        await worker.crash()
        worker = await start(settings)
    await all_folded(worker)
    await asyncio.sleep(0.5)
    await all_folded(worker)
    assert sums_of(worker) == expected(said)


async def test_callpulse_ends_a_transcript_itself_and_sends_what_changed_after_the_end(
    start: Start, settings: Settings
) -> None:
    settings = with_speech(settings, grace_ms=1_000)
    worker = await start(settings)
    said = Said(7, random.Random(3))
    await send(settings, [event for event in (*said.events(), said.leg()) if not isinstance(event, SpeechEnded)])
    await wait_until(lambda: sums_of(worker) == expected([said]), "the transcript is ended by callpulse", 30)
    late = utterance(7, 30, "manager", "you know")
    await send(settings, [late])
    said.roles.append("manager")
    said.fillers.append(1)
    await wait_until(lambda: sums_of(worker) == expected([said]), "the late utterance is sent on", 30)


async def test_an_utterance_of_a_call_that_never_was_counts_nowhere(start: Start, settings: Settings) -> None:
    worker = await start(with_speech(settings))
    await send(settings, [*Said(3, random.Random(4)).events()])
    await all_folded(worker)
    assert sums_of(worker) == {}
    assert len(worker.rows("transcripts")) == 1


async def test_a_leg_that_is_withdrawn_takes_its_transcript_back(start: Start, settings: Settings) -> None:
    worker = await start(with_speech(settings))
    said = Said(3, random.Random(4))
    cdr = replace(said.leg(), ended_by="cdr", id="cdr")
    await send(settings, [*said.events(), ended(3), cdr])
    await all_folded(worker)
    assert sums_of(worker)["m003", "heard"] == 1
    # A hangup is better evidence than a record: the call was not answered, so there was no talk.
    await send(settings, [replace(cdr, ended_by="hangup", id="hangup", disposition="no_answer", talk_ms=0)])
    await all_folded(worker)
    await asyncio.sleep(0.5)
    await all_folded(worker)
    assert sums_of(worker) == {}


async def test_no_text_is_anywhere_but_in_its_topic(start: Start, settings: Settings, tmp_path: Path) -> None:
    worker = await start(with_speech(settings))
    said = [Said(call, random.Random(call)) for call in range(6)]
    await send(settings, [event for call in said for event in (*call.events(), call.leg())])
    good = utterance(1, 3, "customer", "my secret")
    name = settings.kafka.topic_prefix + topics.SPEECH.name
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
    await producer.start()
    bad: list[tuple[bytes | None, bytes]] = [
        (b"another", events.encode(good)),
        (WORDS.encode(), events.encode(good)),
        (None, events.encode(good)),
        (b"m001", events.encode(replace(good, at=START_MS + 10**12))),
        (b"m001", events.encode(good)[:-20]),
        (b"m001", events.encode(good).replace(b'"manager"', b'"zanzibar"')),
        (b"m001", msgspec.json.encode({**msgspec.to_builtins(good), "end_ms": -5})),
        (b"m001", msgspec.json.encode({**msgspec.to_builtins(good), "text": WORDS * 10_000})),
        (b"m001", WORDS.encode()),
        (b"m001", b"\xff\xfe" + WORDS.encode()),
    ]
    for key, value in bad:
        await producer.send(name, value, key, partition=1 if key is None else topics.partition_of(key, PARTITIONS))
    await producer.stop()
    await all_folded(worker)
    await worker.parts.state.run_checkpoint()
    await worker.parts.outbox.drain()
    rejected = await asyncio.to_thread(
        consume, settings.kafka.bootstrap, settings.kafka.topic_prefix + topics.REJECTED.name
    )
    assert len(rejected) == len(bad)
    assert all(not record.value and b"zanzibar" not in repr(record.headers).encode() for record in rejected)
    others = [topics.REJECTED, topics.FEATURES, topics.CONTACTS, topics.OUTCOMES]
    names = [settings.kafka.topic_prefix + topic.name for topic in others]
    names += [topics.changelog(table, settings.kafka.group).name for table in topics.TABLES]
    for topic in names:
        for record in await asyncio.to_thread(consume, settings.kafka.bootstrap, topic):
            assert b"zanzibar" not in (record.value or b"") + (record.key or b"") + repr(record.headers).encode(), topic
    await worker.stop()
    assert files_with(tmp_path, b"zanzibar") == []

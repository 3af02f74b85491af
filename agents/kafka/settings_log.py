"""The settings log: the settings by which the tables of a group are made, so that no table mixes two sets of them.

It is a topic of the group, next to its changelogs. Each record holds the folded settings
(`streams/settings/compatibility.py`) and the offset of the record that it replaces. A record that replaces anything but
the last valid record is invalid: if two workers write at the same time, the first record in the log wins, and the other
worker finds out when it reads again. A worker reads the topic before it joins the group; folds, checkpoints and
restores are not involved.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer
from msgspec import Struct

from agents.kafka.clients import LARGEST_REQUEST, KafkaUnusableError, client_options, connected
from agents.kafka.reading import records_to_end
from agents.kafka.topic_history import KnownTopic, advance
from agents.kafka.topic_ids import group_topics
from streams.contract import topics
from streams.settings import compatibility
from streams.settings.compatibility import Change, Meaning
from streams.settings.settings import Kafka, Settings

log = logging.getLogger("callpulse")

_PARTITION: Final = 0
_NOTHING: Final = -1
_ATTEMPTS: Final = 20
_NAMED: Final = 12
_ANEW: Final = (
    "make all tables anew by the new ones: `callpulse rebuild`, while the workers go on with the old ones "
    '(docs/operations.md, "Rebuild all tables")'
)


class Agreed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record of the topic: the meaning of rows from here on. It replaces the record at offset `replaces`.

    `topics` are the topics that the group counts, by name. Records of earlier releases have none. `named_facts` carry
    the name of the group that made them, and the group folds no others. Groups of earlier releases made facts without
    a name. They go on with these, as long as they last.

    With `deal_rows`, deals have rows of their own. In groups of earlier releases, a deal is a part of each lead that
    its events name. They go on like that: rows do not say which change named which lead, and a worker of an earlier
    release beside a new one could not read the facts of deals.
    """

    replaces: int
    meaning: Meaning
    at_ms: int
    worker: str
    topics: dict[str, KnownTopic] = {}
    named_facts: bool = False
    deal_rows: bool = False


class MeaningChangedError(RuntimeError):
    """The settings give rows another meaning than the settings that the rows were made by."""

    def __init__(self, group: str, changes: list[Change]) -> None:
        self.changes = tuple(changes)
        super().__init__(_difference_text(group, changes))


_decode: Final = msgspec.json.Decoder(Agreed).decode


async def agree(settings: Settings, *, accept: bool = False) -> Agreed:
    """Return the record that holds once the group's tables are made by `settings`.

    It is written if nothing is there yet, and if a topic was deleted and created again since the last start: this topic
    has a new generation.

    Raise MeaningChangedError where other settings made them; with `accept` only if the rows cannot be continued.
    Raise KafkaUnusableError, and ChangelogLostError for a table that cannot be rebuilt.
    """
    kafka = settings.kafka
    now = compatibility.of(settings)
    for _ in range(_ATTEMPTS):
        offset, agreed = last_that_counts(await _read(kafka))
        found = [] if agreed is None else compatibility.changes(agreed.meaning, now)
        if found and not (accept and may_be_accepted(found)):
            raise MeaningChangedError(kafka.group, found)
        before = {} if agreed is None else agreed.topics
        sentences: list[str] = []
        counted = advance(kafka, before, await group_topics(kafka, before), sentences.append)
        if agreed is not None and agreed.meaning == now and counted == before:
            return agreed
        for change in found:
            log.warning("accepted for group %s: %s", kafka.group, change)
        for sentence in sentences:
            log.warning("%s", sentence)
        is_new = agreed is None and not await _has_rows(kafka)
        made = Agreed(
            replaces=offset,
            meaning=now,
            at_ms=int(time.time() * 1000),
            worker=settings.worker.id,
            topics=counted,
            named_facts=is_new if agreed is None else agreed.named_facts,
            deal_rows=is_new if agreed is None else agreed.deal_rows,
        )
        await _write(kafka, msgspec.json.encode(made))
    raise KafkaUnusableError(f"others write {topics.settings_log(kafka.group).name} all the time; start again")


def last_that_counts(records: Iterable[tuple[int, bytes | None]]) -> tuple[int, Agreed | None]:
    """Return the last valid record of `records` (offset and value, in their order), with its offset."""
    offset, agreed = _NOTHING, None
    for at, value in records:
        try:
            read = _decode(value or b"")
        except msgspec.MsgspecError:
            continue  # not ours
        if read.replaces == offset:
            offset, agreed = at, read
    return offset, agreed


def may_be_accepted(changes: Iterable[Change]) -> bool:
    """Return whether the rows can be continued."""
    return all(change.effect != "unusable" for change in changes)


def _difference_text(group: str, changes: list[Change]) -> str:
    lines = [f"the tables of group {group} are made by other settings:"]
    lines += [f"  {change}" for change in changes[:_NAMED]]
    if len(changes) > _NAMED:
        lines.append(f"  and {len(changes) - _NAMED} more")
    lines.append(f"Set them back, or {_ANEW}.")
    unusable, wrong = (
        ", ".join([change.key for change in changes if change.effect == effect][:_NAMED])
        for effect in ("unusable", "wrong")
    )
    if unusable:
        lines.append(f"Rows that were made by the old {unusable} cannot be continued.")
    else:
        lines.append("Or start one worker once with --accept-settings-change: earlier counts keep their old meaning.")
    if wrong and not unusable:
        lines.append(
            f"But after a change of {wrong}, leads subtract values that they never added: figures are wrong, even "
            "below 0, until the earlier counts have left their windows."
        )
    return "\n".join(lines)


async def _read(kafka: Kafka) -> list[tuple[int, bytes | None]]:
    """Return offset and value of each record in the settings log now."""
    topic = topics.settings_log(kafka.group).name
    return [(record.offset, record.value) async for record in records_to_end(kafka, topic, [_PARTITION])]


async def meaning_of(kafka: Kafka) -> Meaning | None:
    """Return the settings by which the tables of a group are made; None for a group without any."""
    agreed = last_that_counts(await _read(kafka))[1]
    return None if agreed is None else agreed.meaning


async def marks_facts(kafka: Kafka) -> bool:
    """Return whether the facts of the group carry its name."""
    agreed = last_that_counts(await _read(kafka))[1]
    return agreed is not None and agreed.named_facts


async def _has_rows(kafka: Kafka) -> bool:
    """Return whether the group has rows: one without recorded settings is then of an earlier release."""
    topic = topics.changelog("managers", kafka.group).name
    async for _ in records_to_end(kafka, topic):
        return True
    return False


async def _write(kafka: Kafka, value: bytes) -> None:
    producer = AIOKafkaProducer(
        **client_options(kafka), acks="all", enable_idempotence=True, max_request_size=LARGEST_REQUEST
    )
    async with connected(producer, kafka):
        await producer.send_and_wait(topics.settings_log(kafka.group).name, value, partition=_PARTITION)

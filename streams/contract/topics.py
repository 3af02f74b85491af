"""The only declaration of the topics: names, contents, keys, partitions and retention.

The application, the command line, the documentation and the deployment read it. All topics that a table is built from
have the same number of partitions, so that all records of one manager (or lead) are on one worker. `rejected` has the
same number, for another one has no advantage.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace
from mypy_extensions import i64

from streams.units import DAY_MS

REMOVALS_KEPT_MS: Final = 7 * DAY_MS
"""Retention of tombstones in a changelog. A store on a worker's disk that is older may have missed some of them."""
APP: Final = "callpulse"


class Topic(Struct, frozen=True, kw_only=True):
    """One topic. `key` names the field of the value that is the record's key.

    `when_made` is further configuration of a new topic. An existing topic need not have it.
    """

    name: str
    key: Literal[
        "manager", "lead", "source position", "row", "cursor", "source call", "source, records, manager, day", "none"
    ]
    purpose: str
    cleanup: Literal["delete", "compact", "compact,delete"] = "delete"
    retention_ms: int = -1
    extra: Mapping[str, str] = {}
    when_made: Mapping[str, str] = {}

    @property
    def config(self) -> dict[str, str]:
        """The topic's configuration as Kafka names it."""
        config = {"cleanup.policy": self.cleanup, **self.extra}
        if "delete" in self.cleanup:
            config["retention.ms"] = str(self.retention_ms)
        return config


# The broker's clock stamps every record on arrival, so all workers and all replays use the same time. It decides
# whether an event lies in the future. Kafka keeps an old history that was written lately.
_ARRIVAL: Final = {"message.timestamp.type": "LogAppendTime"}

CALLS: Final = Topic(
    name="calls",
    key="manager",
    purpose="Telephony events, one leg's after the other.",
    retention_ms=90 * DAY_MS,
    extra=_ARRIVAL,
)
CRM: Final = Topic(
    name="crm",
    key="lead",
    purpose="What the CRM, or the manager in it, says of a lead.",
    retention_ms=90 * DAY_MS,
    extra=_ARRIVAL,
)
SPEECH: Final = Topic(
    name="speech",
    key="manager",
    purpose="Transcripts, and the ends of the legs that they belong to. Kept for a week: they hold customers' words.",
    retention_ms=7 * DAY_MS,
    extra=_ARRIVAL,
)
FEATURES: Final = Topic(
    name="features",
    key="manager",
    purpose="Facts of the speech agent: what was heard in a call, in numbers and names of the lexicon, without text.",
    retention_ms=90 * DAY_MS,
    extra=_ARRIVAL,
)
CONTACTS: Final = Topic(
    name="contacts",
    key="lead",
    purpose="All that reaches a lead, in one order: finished legs, events of `crm`, facts between leads.",
    retention_ms=90 * DAY_MS,
    extra=_ARRIVAL,
)
OUTCOMES: Final = Topic(
    name="outcomes",
    key="manager",
    purpose="Facts of the leads agent: what a change of a lead means for its manager.",
    retention_ms=90 * DAY_MS,
    extra=_ARRIVAL,
)
REJECTED: Final = Topic(
    name="rejected",
    key="source position",
    purpose="Dead letters: records that are no events, as they came, with the reason.",
    retention_ms=30 * DAY_MS,
    extra={**_ARRIVAL, "max.message.bytes": str(4 * 1024 * 1024)},
)
CURSORS: Final = Topic(
    name="cursors",
    key="cursor",
    purpose="How far the way in has come: polls, followed files and spools; the last record of a key counts.",
    cleanup="compact",
    # A gateway reads all of it when it starts, and writes a record with each of its transactions.
    extra={"min.cleanable.dirty.ratio": "0.1", "segment.bytes": str(4 * 1024 * 1024)},
)
STATEMENTS: Final = Topic(
    name="statements",
    key="source call",
    purpose="What systems say about calls, where only several deliveries together make an event.",
    # No statement about a call comes after its longest duration and the longest delay of a sender.
    retention_ms=2 * DAY_MS,
    extra=_ARRIVAL,
)
RECONCILIATIONS: Final = Topic(
    name="reconciliations",
    key="source, records, manager, day",
    purpose="What records say of a manager's day against what was counted; the last record of a key counts.",
    cleanup="compact,delete",
    retention_ms=90 * DAY_MS,
    extra={**_ARRIVAL, "segment.bytes": str(16 * 1024 * 1024)},
)
SOURCES: Final = (CALLS, CRM, SPEECH, CONTACTS, OUTCOMES, FEATURES)
TAKEN_IN: Final = SOURCES
"""The topics that an agent reads."""

TABLES: Final[Mapping[str, Topic]] = {
    "managers": CALLS,
    "leads": CONTACTS,
    "outcomes": OUTCOMES,
    "transcripts": SPEECH,
    "coaching": FEATURES,
}
"""The tables by name, each with the topic whose partitions its own follow."""


def changelog(table: str, group: str = APP) -> Topic:
    """Return the topic that a table of the consumer group `group` is restored from."""
    return Topic(
        name=f"{group}-{table}-changelog",
        key="row",
        purpose=f"The rows of table `{table}`; the last record of a key is the row.",
        cleanup="compact",
        # A worker that was suspended and lost its partitions may still write an old row behind a newer one. Restoring
        # takes the newer of the two, so both must be there until the partition has been restored once.
        extra={
            "min.compaction.lag.ms": str(DAY_MS),
            "delete.retention.ms": str(REMOVALS_KEPT_MS),
            "max.message.bytes": str(4 * 1024 * 1024),
        },
        # Kafka compacts no segment that it still writes to. Without a largest lag it would begin a new one after a week
        # or a gigabyte, and a worker without its folder would have all of that to read.
        when_made={"max.compaction.lag.ms": str(DAY_MS)},
    )


def settings_log(group: str = APP) -> Topic:
    """Return the topic with the settings by which the tables of the consumer group `group` are made."""
    return Topic(
        name=f"{group}-settings",
        key="none",
        purpose="The settings by which the tables are made; in one partition, kept for ever, few records.",
        extra={"max.message.bytes": str(4 * 1024 * 1024)},
    )


def keeping_time(topic: Topic) -> Topic:
    """Return a topic in which records keep the timestamp with which they are written, for a copy of another topic."""
    return replace(topic, extra={**topic.extra, "message.timestamp.type": "CreateTime"})


def durability(replication: int) -> dict[str, str]:
    """Return the configuration of a new topic with `replication` copies, beside its own declaration.

    From three copies on, a record is acknowledged when two brokers have it: one of them can be lost with its disk, and
    with one down the topic can still be written. With two copies that would stop the topic when one broker is down, so
    the broker's own setting holds.
    """
    return {"min.insync.replicas": "2"} if replication > 2 else {}  # noqa: PLR2004 - the docstring explains both


def declared(group: str = APP, prefix: str = "") -> tuple[Topic, ...]:
    """Return every topic of an installation; `prefix` goes before the names of all but the group's own."""
    of_the_way_in = (CURSORS, STATEMENTS, RECONCILIATIONS)
    named = tuple(replace(topic, name=prefix + topic.name) for topic in (*SOURCES, REJECTED, *of_the_way_in))
    return (*named, *(changelog(table, group) for table in TABLES), settings_log(group))


def of_worker(group: str = APP, prefix: str = "") -> tuple[Topic, ...]:
    """Return the topics that a worker needs. It reads `reconciliations` if there is one."""
    others = {prefix + topic.name for topic in (CURSORS, STATEMENTS, RECONCILIATIONS)}
    return tuple(topic for topic in declared(group, prefix) if topic.name not in others)


def of_gateway(prefix: str = "") -> tuple[Topic, ...]:
    """Return the topics that a process of the way in needs."""
    return tuple(
        replace(topic, name=prefix + topic.name) for topic in (CALLS, CRM, SPEECH, REJECTED, CURSORS, STATEMENTS)
    )


_WORDS: Final = tuple(struct.Struct(f"<{count}I").unpack_from for count in range(64))
_IS_COMPILED: Final = not __file__.endswith(".py")


def murmur2(key: bytes) -> int:
    """Return Kafka's own hash of a key (32 bits, murmur2 with Kafka's seed), as the Java client computes it."""
    length = len(key)
    h: i64 = 0x9747B28C ^ length
    count = length >> 2
    k: i64
    if _IS_COMPILED:  # no objects are made of its numbers
        at: i64 = 0
        end: i64 = 4 * i64(count)
        while at < end:
            k = i64(key[at]) | (i64(key[at + 1]) << 8) | (i64(key[at + 2]) << 16) | (i64(key[at + 3]) << 24)
            k = (k * 0x5BD1E995) & 0xFFFFFFFF
            h = ((h * 0x5BD1E995) & 0xFFFFFFFF) ^ (((k ^ (k >> 24)) * 0x5BD1E995) & 0xFFFFFFFF)
            at += 4
    else:
        words: tuple[int, ...] = _WORDS[count](key) if count < len(_WORDS) else struct.unpack_from(f"<{count}I", key)
        for word in words:
            k = (i64(word) * 0x5BD1E995) & 0xFFFFFFFF
            h = ((h * 0x5BD1E995) & 0xFFFFFFFF) ^ (((k ^ (k >> 24)) * 0x5BD1E995) & 0xFFFFFFFF)
    tail = length & 3
    if tail:
        h = ((h ^ int.from_bytes(key[length - tail :], "little")) * 0x5BD1E995) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 0x5BD1E995) & 0xFFFFFFFF
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that the Java client's default partitioner gives to `key`."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def partitioner(partitions: int, remembered: int = 1 << 16) -> Callable[[bytes], int]:
    """Return `partition_of` for a fixed number of partitions; it may remember the keys it saw last."""
    if _IS_COMPILED:  # hashing takes less time than remembering
        return lambda key: partition_of(key, partitions)
    return lru_cache(maxsize=remembered)(lambda key: partition_of(key, partitions))

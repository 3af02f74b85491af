"""The generations of a topic that a group counts: a topic that was deleted and created again is another one.

Offsets begin at 0 again in such a topic, so its records would count as repeats, and committed offsets would skip
them. So each topic has a generation, kept in the settings log with the topic's id: 0 for the first topic of the name, 1
for the next. Rows and facts hold positions that grow with the generation (`position_base`), and a committed offset
counts only with the generations that it was committed for (`commit_tag`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from streams.contract import topics
from streams.settings.settings import Kafka

_OFFSET_BITS: Final = 40
"""Offsets of one generation stay below 2^40: a thousand records a second for 34 years."""


class KnownTopic(Struct, frozen=True):
    """A topic that a group counts. `id` is empty where the broker gives no ids."""

    id: str
    generation: int = 0


class GroupTopics(Struct, frozen=True, kw_only=True):
    """The state of a group's topics on the broker.

    `ids` are the ids by name, empty texts from a broker without ids. `ahead` are the sources with a committed offset
    above the end of its partition, `empty` the changelogs without any record whose source has committed offsets, and
    `cut` the sources whose first records are gone. `generations` are those of the committed offsets.
    """

    ids: Mapping[str, str]
    generations: Mapping[str, int] = {}
    ahead: frozenset[str] = frozenset()
    empty: frozenset[str] = frozenset()
    cut: frozenset[str] = frozenset()


class ChangelogLostError(RuntimeError):
    """A changelog is gone, and its table cannot be rebuilt from its source topic."""


def position_base(generation: int) -> int:
    """Return the number that is added to offsets of a topic of this generation to make a position."""
    return generation << _OFFSET_BITS


def commit_tag(source: int, changelog: int) -> str:
    """Return the text that is committed with an offset: the generations of a source and of its table's changelog."""
    return f"{source}.{changelog}" if source or changelog else ""


def read_tag(tag: str) -> tuple[int, int]:
    """Return the generations that `commit_tag` was made of; 0 for a text of another origin."""
    source, _, changelog = tag.partition(".")
    return (int(source), int(changelog)) if source.isdecimal() and changelog.isdecimal() else (0, 0)


def advance(
    kafka: Kafka, known: Mapping[str, KnownTopic], now: GroupTopics, say: Callable[[str], None]
) -> dict[str, KnownTopic]:
    """Return the topics with their present ids, and a new generation for each that was created again.

    `say` is called with a sentence for each of these. Raise ChangelogLostError.
    """
    found: dict[str, KnownTopic] = dict(known)
    for name, topic_id in now.ids.items():
        before = known.get(name)
        if before is None or not before.id:
            another = name in now.ahead or name in now.empty
        else:
            another = bool(topic_id) and topic_id != before.id
        generation = now.generations.get(name, 0) if before is None else before.generation
        if another:
            generation += 1
            say(_sentence(kafka, name, now))
        found[name] = KnownTopic(topic_id or (before.id if before is not None else ""), generation)
    return found


def _sentence(kafka: Kafka, name: str, now: GroupTopics) -> str:
    """Return the sentence about the topic `name`. Raise ChangelogLostError for a table that cannot be rebuilt."""
    for table, source in topics.TABLES.items():
        if name != topics.changelog(table, kafka.group).name:
            continue
        topic = kafka.topic_prefix + source.name
        if table != "managers" and topic in now.cut:
            raise ChangelogLostError(
                f"the changelog {name} was deleted, and topic {topic} no longer holds all records that table {table} "
                "was made of. Make all tables anew: `callpulse rebuild --no-compare` "
                '(docs/operations.md, "Rebuild all tables")'
            )
        lost = "; its first records are gone, so older figures are missing" if topic in now.cut else ""
        return f"the changelog {name} was deleted: table {table} is rebuilt from the start of topic {topic}{lost}"
    lost = ""
    if name.endswith((topics.CONTACTS.name, topics.OUTCOMES.name)):
        lost = "; facts of the old topic that were not counted yet are lost"
    return f"topic {name} was deleted and created again: its records are counted from its start{lost}"

"""The only declaration of the access rights (ACL) that the processes need in Kafka, by role.

The command line and the documentation read it. It follows from what the processes do: `tests/broker/test_rights.py`
gives them these rights, and compares the rights that the broker's authorizer was asked for. A right that another one
implies is left out: `Read`, `Write`, `Delete` and `Alter` imply `Describe`, `AlterConfigs` implies `DescribeConfigs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, TypeAlias, get_args

from msgspec import Struct

from streams.contract import groups, topics

Role: TypeAlias = Literal["worker", "gateway", "reconcile", "operator", "reader"]
Resource: TypeAlias = Literal["topic", "group", "transactional-id"]
Operation: TypeAlias = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs", "AlterConfigs"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
PURPOSES: Final[Mapping[Role, str]] = {
    "worker": "`callpulse worker`",
    "gateway": "`callpulse gateway`, `listen`, `import`, `replay`, `simulate`",
    "reconcile": "`callpulse reconcile`, once or with `--every`",
    "operator": "`callpulse topics`, `rejected`, `forget`, and all that a reader may",
    "reader": "`callpulse explain`, `coaching`, `unmapped`, `rejected list`, `rejected show`",
}
"""The commands that each role is for."""


class Right(Struct, frozen=True):
    """One operation on one resource. A `prefixed` name is the beginning of the names that are meant."""

    resource: Resource
    name: str
    operation: Operation
    pattern: Literal["literal", "prefixed"] = "literal"


_Operations: TypeAlias = tuple[Operation, ...]

_FROM_OUTSIDE: Final = (topics.CALLS, topics.CRM, topics.SPEECH)
_FACTS: Final = (topics.CONTACTS, topics.OUTCOMES, topics.FEATURES)
# `callpulse explain` shows leads; `callpulse forget` looks into all tables that name leads or hold their words.
_EXPLAINED: Final = ("leads",)
_SEARCHED: Final = ("managers", "leads", "outcomes", "transcripts")


def rights(role: Role, group: str = topics.APP, prefix: str = "") -> tuple[Right, ...]:
    """Return the rights that a role needs; `group` is `kafka.group`, `prefix` is `kafka.topic_prefix`."""
    found = [
        Right("topic", topic.name, operation)
        for topic, operations in _of_topics(role, group, prefix)
        for operation in operations
    ]
    return (*found, *_of_groups(role, group, prefix))


def _of_topics(role: Role, group: str, prefix: str) -> Iterator[tuple[topics.Topic, Iterable[Operation]]]:
    """Yield the topics of an installation with the operations of a role, in the order of their declaration."""
    # A misrouted record is sent back to its topic, so workers also write to the topics that come from outside.
    by_name: dict[str, _Operations]
    of_tables: dict[str, _Operations] = {}
    of_settings: _Operations = ()
    if role == "worker":
        by_name = {
            **_each((*_FROM_OUTSIDE, *_FACTS), "Read", "Write", "DescribeConfigs"),
            topics.REJECTED.name: ("Write", "DescribeConfigs"),
            topics.RECONCILIATIONS.name: ("Read",),
        }
        of_tables = dict.fromkeys(topics.TABLES, ("Read", "Write", "DescribeConfigs"))
        of_settings = ("Read", "Write", "DescribeConfigs")
    elif role == "gateway":
        by_name = {
            **_each((*_FROM_OUTSIDE, topics.CURSORS, topics.STATEMENTS), "Read", "Write"),
            topics.REJECTED.name: ("Write",),
        }
    elif role == "reconcile":
        # With --every it is a process of the way in. It opens transactions, and writes nothing in them.
        by_name = {
            **_each((topics.CRM, topics.SPEECH, topics.CURSORS), "Read"),
            **_each((topics.REJECTED, topics.STATEMENTS), "Describe"),
            topics.CALLS.name: ("Read", "Write"),
            topics.RECONCILIATIONS.name: ("Write",),
        }
    elif role == "operator":
        by_name = {
            # `callpulse topics grow` changes the settings of copies.
            **_each(_FROM_OUTSIDE, "Read", "Write", "Create", "AlterConfigs"),
            **_each((*_FACTS, topics.REJECTED), "Read", "Write", "Create", "DescribeConfigs"),
            **_each((topics.CURSORS, topics.STATEMENTS), "Read", "Create", "DescribeConfigs"),
            topics.RECONCILIATIONS.name: ("Create", "Describe", "DescribeConfigs"),
        }
        of_tables = dict.fromkeys(topics.TABLES, ("Create", "Describe", "DescribeConfigs"))
        of_tables |= dict.fromkeys(_SEARCHED, ("Read", "Create", "DescribeConfigs"))
        of_settings = ("Read", "Create", "DescribeConfigs")
    else:
        by_name = _each((topics.CALLS, topics.CRM, topics.FEATURES, topics.REJECTED, topics.CURSORS), "Read")
        of_tables = dict.fromkeys(_EXPLAINED, ("Read",))
    operations = {prefix + name: allowed for name, allowed in by_name.items()}
    operations |= {topics.changelog(table, group).name: allowed for table, allowed in of_tables.items()}
    operations[topics.settings_log(group).name] = of_settings
    for topic in topics.declared(group, prefix):
        yield topic, operations.get(topic.name, ())


def _of_groups(role: Role, group: str, prefix: str) -> Iterator[Right]:
    """Yield the rights on consumer groups and transactional ids."""
    if role == "worker":
        yield Right("group", group, "Read")
    elif role == "operator":
        yield Right("group", group, "Describe")  # `callpulse rebuild` waits for a group
    elif role == "gateway":
        yield Right("group", groups.joins(prefix), "Read")
        yield Right("group", groups.polls(group), "Read")
    if role in ("gateway", "reconcile"):
        yield Right("transactional-id", groups.transactional_id("", prefix), "Write", "prefixed")


def _each(some: Iterable[topics.Topic], *operations: Operation) -> dict[str, _Operations]:
    return {topic.name: operations for topic in some}

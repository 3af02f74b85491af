"""The private attributes of aiokafka and Faust that callpulse uses, in one list, and a check of them at start.

Both libraries are pinned (pyproject.toml). Another version may have renamed an attribute. Without the check a worker
would fail in the middle of its work, or silently take a slow path.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState
from faust import App
from faust.transport.drivers import aiokafka as driver

NEEDED: Final = {"aiokafka": "0.14.0", "faust-streaming": "0.15.3"}
"""The versions that callpulse is tested with; pyproject.toml pins the same ones."""


class Internals(NamedTuple):
    """Attributes of a class that are no part of its library's public interface."""

    library: str
    owner: Any
    attributes: tuple[str, ...]


USED: Final = (
    Internals(
        "aiokafka",
        AIOKafkaConsumer,
        ("_coordinator", "_fetcher", "_fetch_max_wait_ms", "_isolation_level", "_max_poll_records", "_subscription"),
    ),
    Internals("aiokafka", AIOKafkaAdminClient, ("_send_request",)),
    Internals("aiokafka", GroupCoordinator, ("_send_req", "fetch_committed_offsets")),
    Internals("aiokafka", Fetcher, ("_records",)),
    Internals(
        "aiokafka",
        FetchResult,
        ("_partition_records", "_topic_partition", "_update_position", "check_assignment", "getall", "has_more"),
    ),
    Internals(
        "aiokafka",
        PartitionRecords,
        (
            "_aborted_producers",
            "_check_crcs",
            "_consume_aborted_up_to",
            "_contains_abort_marker",
            "_isolation_level",
            "_records",
            "_records_iterator",
            "_tp",
            "next_fetch_offset",
        ),
    ),
    Internals("aiokafka", TopicPartitionState, ("_position", "highwater", "lso")),
    Internals("faust-streaming", App, ("_consumer", "_fetcher", "_producer")),
    Internals(
        "faust-streaming",
        driver.AIOKafkaConsumerThread,
        ("_create_worker_consumer", "_ensure_consumer", "_fetch_records", "_seek_wait", "thread_loop"),
    ),
    Internals(
        "faust-streaming",
        driver.Consumer,
        (
            "_commit",
            "_commit_handler",
            "_committed_offset",
            "_getmany",
            "_new_consumer_thread",
            "_read_offset",
            "_thread",
            "_to_message",
        ),
    ),
    Internals("faust-streaming", driver.Producer, ("_producer", "_settings_extra")),
)


class IncompatibleLibraryError(RuntimeError):
    """A library lacks an attribute that callpulse uses. The text names the library, both versions and the attribute."""


def check_internals(used: tuple[Internals, ...] = USED) -> None:
    """Raise IncompatibleLibraryError for the first attribute that the installed libraries do not have."""
    for library, owner, attributes in used:
        names = set(_names(owner))
        for attribute in attributes:
            if attribute not in names:
                raise IncompatibleLibraryError(
                    f"callpulse needs {library} {NEEDED[library]}, and {version(library)} is installed: its "
                    f"{owner.__name__} has no `{attribute}`. Install callpulse again with its own dependencies."
                )


def _names(owner: Any) -> Iterator[str]:
    """Yield the attributes of a class, also those that its methods set on instances."""
    for cls in inspect.getmro(owner):
        for name, value in vars(cls).items():
            yield name
            code = getattr(inspect.unwrap(value), "__code__", None) if callable(value) else None
            if code is not None:
                yield from code.co_names
        yield from getattr(cls, "__annotations__", ())

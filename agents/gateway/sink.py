"""The sink stores events before their sender is answered: in Kafka, or in the spool while Kafka is away.

Each way in hands its events to a `Sink`: the HTTP gateway, the listener of a socket, the follower of a file, a poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

from streams.contract.events import Event
from streams.sources.frame import Refused, Statement

_T = TypeVar("_T")
_LONGEST_PAUSE_S: Final = 5.0
Stored: TypeAlias = Literal["accepted", "duplicate"]
"""`duplicate`: an event with this id was stored a short time ago; it is not stored again."""


class NotStoredError(Exception):
    """The events are not stored, or it is not known whether they are. The sender may send them again: ids are stable.

    `retry_after_s` is the time until the next attempt. With `maybe`, some of the events may be stored.
    """

    def __init__(self, text: str, retry_after_s: int, *, maybe: bool = False) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s
        self.maybe = maybe


async def until_stored(
    store: Callable[[], Awaitable[_T]],
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    on_wait: Callable[[NotStoredError], None] = lambda _error: None,
) -> _T:
    """Return what `store` returns, after as many tries as it takes. `on_wait` is called before each pause."""
    while True:
        try:
            return await store()
        except NotStoredError as error:
            on_wait(error)
            await sleep(min(error.retry_after_s, _LONGEST_PAUSE_S))


class Sink(Protocol):
    """Stores events. `source` is the name of their source in the metrics."""

    async def store(self, source: str, events: Sequence[Event]) -> list[Stored]:
        """Return a result per event, in their order, once all are in Kafka (acks=all) or fsynced in the spool.

        It returns, or raises, within the deadline. A caller that is cancelled stops nothing: the sink goes on with what
        it has taken, and finishes that before it closes.

        Raises:
            NotStoredError: Kafka is away and the spool is full, or the deadline is over.
        """
        ...

    async def refuse(self, source: str, refused: Sequence[Refused]) -> None:
        """Write dead letters for parts that are no events: the reason, the place and the shape. Never raises."""
        ...


class StatementSink(Sink, Protocol):
    """A sink that takes statements, too."""

    async def keep(self, source: str, statements: Sequence[Statement]) -> None:
        """Keep statements for the source's join, as `store` keeps events. Raises NotStoredError."""
        ...

"""A sink that keeps events, and fails when a test sets it to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agents.gateway.sink import NotStoredError, Stored
from streams.contract.events import Event
from streams.sources.frame import Refused, Statement


class FakeSink:
    """Keeps events in the order in which they were stored. While `closed`, it stores nothing."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refused: list[Refused] = []
        self.statements: list[Statement] = []
        self.sources: set[str] = set()
        self.closed = False
        self.attempts = 0

    async def store(self, source: str, events: Sequence[Event]) -> list[Stored]:
        self.attempts += 1
        self.sources.add(source)
        await asyncio.sleep(0)
        if self.closed:
            raise NotStoredError("Kafka is away", 0)
        known = {event.id for event in self.events}
        results: list[Stored] = ["duplicate" if event.id in known else "accepted" for event in events]
        self.events += [event for event, result in zip(events, results, strict=True) if result == "accepted"]
        return results

    async def keep(self, source: str, statements: Sequence[Statement]) -> None:
        self.sources.add(source)
        await asyncio.sleep(0)
        if self.closed:
            raise NotStoredError("Kafka is away", 0)
        self.statements += statements

    async def refuse(self, source: str, refused: Sequence[Refused]) -> None:
        self.sources.add(source)
        self.refused += refused

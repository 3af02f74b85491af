"""One source that is polled: at its period and at each doorbell, from its cursor, with a state for operators."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from agents.gateway.http_receiver import Clock, clock_ms
from agents.gateway.poll_client import PollClient, Sleep
from agents.gateway.poll_meters import PollMeters, Result
from agents.gateway.sink import StatementSink, Stored, until_stored
from streams.contract.events import Event
from streams.sources.directory import Known, encoded, matched
from streams.sources.http.acceptance import Acceptance
from streams.sources.poll_clocks import by_slower_clock
from streams.sources.polls import DeniedError, Directory, Found, Polled, PollError
from streams.units import DAY_MS, MINUTE_MS, SECOND_MS

log = logging.getLogger("callpulse")

_BATCH: Final = 500
_APART_S: Final = 2.0
_PUSH_LATE_MS: Final = MINUTE_MS
"""Time that a push may take. An event that is newer than this at the poll is not counted as missed by the push."""


OnPeople = Callable[[str, Known], None]


class KeepsCursors(Protocol):
    """Keeps cursors: `agents.gateway.cursors.Cursors`."""

    def get(self, key: str) -> bytes | None:
        """Return the cursor that was put last."""
        ...

    async def put(self, key: str, value: bytes) -> None:
        """Keep a cursor."""
        ...


def cursor_key(name: str) -> str:
    """Return the key of a source's cursor."""
    return f"poll:{name}"


def people_key(name: str) -> str:
    """Return the key under which the directory of a source is kept."""
    return f"people:{name}"


class Poller:
    """Polls one source: `run` does it for ever, `once` one time. `is_pushed`: its hook has tokens.

    `on_people` is given the source's directory whenever it was read.
    """

    def __init__(  # noqa: PLR0913 - the parts of a gateway
        self,
        name: str,
        source: Polled,
        client: PollClient,
        sink: StatementSink,
        cursors: KeepsCursors,
        acceptance: Acceptance,
        meters: PollMeters,
        *,
        is_pushed: bool = False,
        on_people: OnPeople | None = None,
        sleep: Sleep = asyncio.sleep,
        now_ms: Clock = clock_ms,
    ) -> None:
        self.name = name
        self._source = source
        self._client = client
        self._sink = sink
        self._cursors = cursors
        self._acceptance = acceptance
        self._meters = meters
        self._is_pushed = is_pushed
        self._on_people = on_people
        self._sleep = sleep
        self._now_ms = now_ms
        self._rung = asyncio.Event()
        self._people_at_ms: int | None = None
        self._is_first = False
        self.failures = 0
        self.trouble = ""
        """The reason why the last poll failed, "" after one that succeeded."""

    def ring(self) -> None:
        """Poll now. However often it rings during a poll, one more poll follows."""
        self._rung.set()

    async def run(self) -> None:
        """Poll for ever."""
        self._meters.began(self.name, self._source.every_ms / SECOND_MS)
        try:
            while True:
                await self.once()
                await asyncio.sleep(_APART_S)
                try:
                    async with asyncio.timeout(max(0.0, self._source.every_ms / SECOND_MS - _APART_S)):
                        # While polls fail, doorbells do not hurry them.
                        await (asyncio.Event() if self.failures else self._rung).wait()
                except TimeoutError:
                    continue
        finally:
            self._meters.left(self.name)

    async def once(self) -> Result:
        """Poll one time, and read the directory where that is due. Never raises but for its own cancellation."""
        self._rung.clear()
        result: Result = "done"
        trouble = ""
        try:
            await self._read_people()
            cursor = self._cursors.get(cursor_key(self.name)) or b""
            self._is_first = not cursor
            await self._client.conduct(by_slower_clock(self._source, cursor, self._now_ms()), self._store)
        except DeniedError as error:
            result, trouble = "unauthenticated", str(error)
        except PollError as error:
            result, trouble = "failed", str(error)
        except Exception as error:  # noqa: BLE001 - a defect of an adapter may raise anything; its text may quote values
            result, trouble = "failed", f"a defect of the adapter: {type(error).__name__}"
        self.failures = 0 if result == "done" else self.failures + 1
        if trouble != self.trouble:
            if trouble:
                log.warning("polls of %s fail: %s", self.name, trouble)
            else:
                log.info("polls of %s succeed again", self.name)
        self.trouble = trouble
        self._meters.ended(self.name, result, self._now_ms() / SECOND_MS, self.failures)
        return result

    async def _read_people(self) -> None:
        """Read the directory once a day. A poll does without it where it cannot be read."""
        source = self._source
        now_ms = self._now_ms()
        if not isinstance(source, Directory) or (
            self._people_at_ms is not None and now_ms - self._people_at_ms < DAY_MS
        ):
            return
        try:
            known = matched(source.people, self.name, await self._client.conduct(source.listed()))
        except PollError as error:
            if self._people_at_ms is None:
                log.warning("the users of %s cannot be read: %s", self.name, error)
        else:
            source.people.learn(self.name, known.managers)
            if self._on_people is not None:
                self._on_people(self.name, known)
            await self._cursors.put(people_key(self.name), encoded(known))
        self._people_at_ms = now_ms

    async def _store(self, found: Found) -> None:
        """Store the events of a poll, then keep the cursor. Waits for Kafka and the spool as long as it takes."""
        now_ms = self._now_ms()
        events, refused = self._acceptance.all(found.translation, now_ms)
        for start in range(0, len(events), _BATCH):
            batch = events[start : start + _BATCH]
            results = await until_stored(partial(self._sink.store, self.name, batch), sleep=self._sleep)
            if self._is_pushed and not self._is_first:
                self._meters.unpushed(self.name, self._missed(batch, results, now_ms))
        if found.translation.statements:
            keep = partial(self._sink.keep, self.name, found.translation.statements)
            await until_stored(keep, sleep=self._sleep)
        if refused:
            await self._sink.refuse(self.name, refused)
        await self._cursors.put(cursor_key(self.name), found.cursor)
        if found.until_ms is not None:
            self._meters.until(self.name, found.until_ms)

    def _missed(self, events: list[Event], results: list[Stored], now_ms: int) -> list[Stored]:
        """Return the results of the events that a push should have delivered by now."""
        return [
            result
            for event, result in zip(events, results, strict=True)
            if isinstance(event, self._source.pushed) and event.at < now_ms - _PUSH_LATE_MS
        ]

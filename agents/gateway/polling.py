"""All polls of a gateway: its sources, their tasks, and the directories that their hooks also need."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from typing import Final

import aiohttp

from agents.gateway.cursors import Cursors
from agents.gateway.metrics import GatewayMetrics
from agents.gateway.poll_client import PollClient, session
from agents.gateway.poll_group import PollGroup
from agents.gateway.poller import Poller, cursor_key, people_key
from agents.gateway.sink import StatementSink
from agents.kafka.clients import KafkaUnusableError
from streams.settings.settings import Settings
from streams.sources.directory import Known, decoded
from streams.sources.frame import Hook
from streams.sources.http.acceptance import Acceptance
from streams.sources.people import People
from streams.sources.polls import Polled
from streams.sources.registry import POLLS, MakePolled

log = logging.getLogger("callpulse")

_AGAIN_S: Final = 5.0
_PEOPLE_EVERY_S: Final = 3600.0


def polled(settings: Settings, polls: Mapping[str, MakePolled] = POLLS) -> dict[str, Polled]:
    """Return the sources whose settings name an address to poll."""
    if not settings.gateway.polls.enabled:
        return {}
    made = {name: make(settings) for name, make in polls.items()}
    return {name: source for name, source in made.items() if source is not None}


class Polling:
    """Polls `sources` in the gateway's process. `hooks` are set to those that this process answers.

    Several gateways share the sources among them; see `agents.gateway.poll_group`.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Mapping[str, Polled],
        sink: StatementSink,
        metrics: GatewayMetrics,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self.hooks: Mapping[str, Hook] = {}
        self._sink = sink
        self._metrics = metrics
        self._pollers: dict[str, Poller] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._mine: Collection[str] = ()
        self._running: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._group = PollGroup(settings.kafka, sources, self._assigned, self._rung)

    def ring(self, name: str) -> None:
        """Poll a source now, here or in the gateway that polls it. Returns at once."""
        if name in self._pollers:
            self._pollers[name].ring()
        elif name in self._sources:
            self._group.ring(name)

    async def stop(self) -> None:
        """Poll no more. A later poll finds events again that are not stored yet."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def run(self) -> None:
        """Poll until `stop`. Without sources it has nothing to do."""
        if not self._sources:
            return
        self._running = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._group.run())
                group.create_task(self._serve())
        finally:
            await self._end(*self._tasks)

    def _assigned(self, names: Collection[str]) -> None:
        self._mine = names
        self._changed.set()

    def _rung(self, name: str) -> None:
        if name in self._pollers:
            self._pollers[name].ring()

    async def _serve(self) -> None:
        """Run the pollers of this gateway's sources, as they change."""
        async with session(self._settings.gateway.polls) as http:
            while True:
                try:
                    async with Cursors(self._settings.kafka) as cursors:
                        while True:
                            self._learn(cursors)
                            await self._change(http, cursors)
                            try:
                                async with asyncio.timeout(_PEOPLE_EVERY_S):
                                    await self._changed.wait()
                            except TimeoutError:
                                await cursors.refresh(*map(people_key, self._others()))
                            self._changed.clear()
                except KafkaUnusableError as error:
                    log.warning("sources are not polled: %s", error)
                    await asyncio.sleep(_AGAIN_S)
                    self._changed.clear()
                finally:
                    await self._end(*self._tasks)

    async def _change(self, http: aiohttp.ClientSession, cursors: Cursors) -> None:
        """Start the pollers of sources that are new here, and end those of others."""
        await self._end(*(name for name in self._tasks if name not in self._mine))
        new = [name for name in self._mine if name not in self._tasks]
        if new:
            await cursors.refresh(*map(cursor_key, new))
        for name in new:
            self._pollers[name] = self._poller(name, http, cursors)
            self._tasks[name] = asyncio.create_task(self._pollers[name].run())

    def _poller(self, name: str, http: aiohttp.ClientSession, cursors: Cursors) -> Poller:
        source, meters = self._sources[name], self._metrics.polls
        return Poller(
            name,
            source,
            PollClient(name, source, http, self._settings.gateway.polls, meters),
            self._sink,
            cursors,
            Acceptance(self._settings.thresholds.future_ms),
            meters,
            is_pushed=name in self.hooks,
            on_people=self._known,
        )

    def _others(self) -> list[str]:
        return [name for name in self._sources if name not in self._tasks]

    def _learn(self, cursors: Cursors) -> None:
        """Give the directories that are kept to the sources and hooks of this process."""
        for name in self._others():
            self._known(name, decoded(cursors.get(people_key(name))))

    def _known(self, name: str, known: Known) -> None:
        managers = {user: one for user, one in known.managers.items() if one in self._settings.managers}
        for held in (self._sources[name], self.hooks.get(name)):
            people = getattr(held, "people", None)
            if isinstance(people, People):
                people.learn(name, managers)

    async def _end(self, *names: str) -> None:
        tasks = [self._tasks.pop(name) for name in names]
        for name in names:
            del self._pollers[name]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

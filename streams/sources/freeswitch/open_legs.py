"""The legs that have begun and have not ended, by the key of their events: the id without its source and last word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from streams.contract.events import CallAnswered, CallEnded, CallStarted, EndedBy, Event
from streams.sources.freeswitch.parties import Parties

_MOST: Final = 50_000


class OpenLegs:
    """Keeps the written events of legs, so that no event is written twice and a gap can end them."""

    def __init__(self, parties: Parties) -> None:
        self._parties = parties
        self._started: dict[str, CallStarted] = {}
        self._answered: dict[str, int] = {}

    def is_open(self, key: str) -> bool:
        """Return whether the start of a leg was written."""
        return key in self._started

    def started(self, key: str) -> CallStarted | None:
        """Return the start of an open leg that is not answered yet."""
        return None if key in self._answered else self._started.get(key)

    def answer(self, start: CallStarted, at: int) -> CallAnswered:
        """Return the answer of a leg."""
        return CallAnswered(
            v=1,
            id=start.id.removesuffix(":started") + ":answered",
            at=at,
            source=start.source,
            call=start.call,
            manager=start.manager,
            lead=start.lead,
        )

    def exact(self, event: Event) -> Event:
        """Return an end of one record, with the start and the answer that were reported live."""
        if not isinstance(event, CallEnded) or event.ended_by != "cdr":
            return event
        key = self._key(event.id)
        start, answered_at = self._started.get(key), self._answered.get(key)
        if start is None or (event.answered_at is not None and answered_at is None):
            return event
        talked_since = answered_at if event.answered_at is not None else None
        return replace(
            event,
            id=event.id.removesuffix(":cdr") + ":ended",
            started_at=start.at,
            answered_at=talked_since,
            talk_ms=0 if talked_since is None else max(0, event.at - talked_since),
            ended_by="hangup",
            uncertain=UNSET,
        )

    def note(self, events: Iterable[Event]) -> list[Event]:
        """Return the events, and note the legs that they open and close."""
        found = []
        for event in events:
            self._note(event)
            found.append(event)
        return found

    def recall(self, events: Iterable[Event]) -> None:
        """Take the events that were stored before a start."""
        for event in events:
            self._note(event)

    def ends(self, is_gone: Callable[[str], bool], at: int) -> Iterator[Event]:
        """Yield ends, as timeouts, for the open legs whose key is gone."""
        for key, start in list(self._started.items()):
            if is_gone(key):
                yield self._end(key, start, at, "timeout")

    def rest_of(self, channel: str, at: int) -> Iterator[Event]:
        """Yield ends for legs that are still open when their channel is over: its record did not have all of them."""
        for key, start in list(self._started.items()):
            if key == channel or key.startswith(f"{channel}:"):
                yield self._end(key, start, at, "hangup")

    def _end(self, key: str, start: CallStarted, at: int, ended_by: EndedBy) -> CallEnded:
        answered_at = self._answered.get(key)
        at = max(at, start.at, answered_at or 0)
        is_talk = answered_at is not None and ended_by == "hangup"
        return CallEnded(
            v=1,
            id=f"{start.source}:{key}:{'ended' if ended_by == 'hangup' else ended_by}",
            at=at,
            source=start.source,
            call=start.call,
            manager=start.manager,
            lead=start.lead,
            direction=start.direction,
            started_at=start.at,
            answered_at=answered_at,
            talk_ms=at - (answered_at or at) if is_talk else 0,
            disposition="no_answer" if answered_at is None else "answered",
            ended_by=ended_by,
            internal=start.internal or UNSET,
        )

    def _note(self, event: Event) -> None:
        key = self._key(event.id)
        if isinstance(event, CallStarted):
            if len(self._started) >= _MOST:
                oldest = next(iter(self._started))
                del self._started[oldest]
                self._answered.pop(oldest, None)
            self._started[key] = event
        elif isinstance(event, CallAnswered) and key in self._started:
            self._answered.setdefault(key, event.at)
        elif isinstance(event, CallEnded):
            self._started.pop(key, None)
            self._answered.pop(key, None)

    def _key(self, event_id: str) -> str:
        return event_id.removeprefix(self._parties.source + ":").rpartition(":")[0]

"""The manager interface of an Asterisk as a live source."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from agents.gateway.live import Heard, LinkState, pbx_time
from agents.gateway.live_connection import Place
from streams.contract.events import Event, Reason
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.sources import read_until_key
from streams.sources.asterisk.session import AmiSession
from streams.sources.asterisk.translator import Asterisk
from streams.sources.asterisk.wire import BadLine
from streams.sources.frame import Refused
from streams.sources.people import People

log: Final = logging.getLogger("callpulse.ami")

PLACE: Final = Place(
    "sources.asterisk.ami",
    "deny and permit of manager.conf, or its limit of connections that have not logged in (authlimit)",
    "port is tlsbindaddr's of manager.conf with tls = true",
    "CEL",
)
_REASONS: Final[Mapping[str, Reason]] = {"too_long": "too_large", "too_many_lines": "too_large"}


class AmiSource:
    """One Asterisk, over all connections to it."""

    def __init__(self, mapping: AsteriskMapping, secret: bytes, *, people: People | None = None) -> None:
        self.name = mapping.source
        self.access = mapping.ami
        self.place = PLACE
        self.filled_up_to = read_until_key(mapping.source)
        self._translator = Asterisk(mapping, secret, people=people)

    def session(self) -> AmiSession:
        """Begin a connection."""
        self._translator.begin_connection()
        return AmiSession(self.access)

    def hear(self, session: AmiSession, data: bytes, at_ms: int, state: LinkState) -> Heard:
        """Take a piece of the stream. Raises CannotListenError."""
        received = session.receive(data, at_ms)
        if session.clock_ahead_ms is not None:
            state.clock_ahead_ms = session.clock_ahead_ms
        pbx_ms = pbx_time(state, at_ms)
        events: list[Event] = []
        for event in received.events:
            events += self._translator.feed(event, pbx_ms)
        state.version = session.asterisk or state.version
        if session.denied != state.denied:
            self._denied(session, events, pbx_ms, state)
        state.listed = session.is_up and not session.pending
        return Heard(events, _refused(received.bad, state), len(received.events))

    def settle(self, now_ms: int) -> list[Event]:
        """Return the ends that have waited long enough for the next action of their caller."""
        return self._translator.settle(now_ms)

    def recall(self, events: Iterable[Event]) -> None:
        """Go on with the events that an earlier listener stored; see `Asterisk.recall`."""
        self._translator.recall(events)

    def _denied(self, session: AmiSession, events: list[Event], pbx_ms: int, state: LinkState) -> None:
        """Go on without lists. The state from before a gap cannot be trusted then."""
        state.denied = frozenset(session.denied)
        if state.denied:
            log.error(
                "the account may not ask for %s: add write = reporting in manager.conf. Calls that end in a gap stay "
                "open, and calls in progress at the start are not known",
                " and ".join(sorted(state.denied)),
            )
        if "CoreShowChannels" in state.denied and state.gaps:
            events += self._translator.finish(pbx_ms)


def _refused(bad: list[BadLine], state: LinkState) -> list[Refused]:
    """Return the lines that could not be read. No text of them is kept: it may be a customer's name or number."""
    for line in bad:
        state.bad_lines[line.reason] = state.bad_lines.get(line.reason, 0) + 1
    return [
        Refused(reason=_REASONS.get(line.reason, "invalid_field"), detail=line.detail, where=f"line {line.line}")
        for line in bad
    ]

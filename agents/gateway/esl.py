"""The event socket of a FreeSWITCH as a live source."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from agents.gateway.live import Heard, LinkState, pbx_time
from agents.gateway.live_connection import Place
from streams.contract.events import Event
from streams.settings.settings import Settings
from streams.sources.freeswitch.hook import parties_of
from streams.sources.freeswitch.mapping import FreeSwitchMapping
from streams.sources.freeswitch.session import EslSession, Listed, Unread
from streams.sources.freeswitch.translator import FreeSwitch

log: Final = logging.getLogger("callpulse.esl")

PLACE: Final = Place(
    "sources.freeswitch.esl",
    "apply-inbound-acl of event_socket.conf.xml may keep this address out",
    "the event socket itself speaks no TLS: a proxy before it does, or tls = false",
    "mod_json_cdr",
)
LIST: Final = "show channels"


class EslSource:
    """One FreeSWITCH, over all connections to it."""

    def __init__(self, settings: Settings) -> None:
        mapping = settings.source(FreeSwitchMapping)
        self.name = mapping.source
        self.access = mapping.esl
        self.place = PLACE
        self.filled_up_to = ""  # posted records do not tell up to which moment they are complete
        self._translator = FreeSwitch(parties_of(settings, mapping))

    def session(self) -> EslSession:
        """Begin a connection."""
        self._translator.begin_connection()
        return EslSession(self.access)

    def hear(self, session: EslSession, data: bytes, at_ms: int, state: LinkState) -> Heard:
        """Take a piece of the stream. Never raises."""
        before, lost = session.heard, session.lost
        received = session.receive(data, at_ms)
        if session.clock_ahead_ms is not None:
            state.clock_ahead_ms = session.clock_ahead_ms
        pbx_ms = pbx_time(state, at_ms)
        heard = Heard([], [], session.heard - before, session.error)
        for one in received:
            if isinstance(one, Listed):
                one = Listed(one.rows, pbx_time(state, one.asked_at_ms))  # noqa: PLW2901 - the same, by the other clock
            translated = self._translator.take(one, pbx_ms)
            heard.events += translated.events
            heard.refused += translated.refused
            if not isinstance(one, Listed | Unread) and one["Event-Name"] == "HEARTBEAT":
                session.expect_channels(len(self._translator), one, at_ms)
        self._lost(session.lost - lost, state)
        self._denied(session, heard, pbx_ms, state)
        state.listed = session.is_listed
        return heard

    def settle(self, now_ms: int) -> list[Event]:
        """Return the ends of channels whose last event has not come."""
        return self._translator.settle(now_ms)

    def recall(self, events: Iterable[Event]) -> None:
        """Go on with the legs that an earlier listener stored without their end."""
        self._translator.recall(events)

    def _lost(self, count: int, state: LinkState) -> None:
        if count:
            state.lost += count
            log.warning("the PBX sent %d events that did not come: its list of channels is asked for", count)

    def _denied(self, session: EslSession, heard: Heard, pbx_ms: int, state: LinkState) -> None:
        """Go on without a list of channels. The state from before a gap cannot be trusted then."""
        if not session.denied or state.denied:
            return
        state.denied = frozenset((LIST,))
        log.error(
            "the PBX gives no list of channels to this user: esl-allowed-api must name `show`. Calls that end in a gap "
            "stay open, and calls in progress at the start are not known"
        )
        if state.gaps:
            heard.events += self._translator.finish(pbx_ms)

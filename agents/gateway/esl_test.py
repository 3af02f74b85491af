"""The test of an event socket: log in as the listener does, listen for a while, and store nothing."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from agents.gateway.esl import PLACE
from agents.gateway.live import now_ms
from agents.gateway.live_connection import LinkError, LiveConnection
from agents.gateway.source_report import Report
from streams.settings.settings import Settings
from streams.sources.freeswitch.hook import parties_of
from streams.sources.freeswitch.mapping import FreeSwitchMapping
from streams.sources.freeswitch.parties import name_of
from streams.sources.freeswitch.session import EslSession, Listed, Unread
from streams.sources.freeswitch.translator import FreeSwitch
from streams.sources.freeswitch.wire import Event
from streams.sources.live import CannotListenError

_ALLOWED_AHEAD_MS: Final = 2_000
_ANSWERED_S: Final = 3.0
_MOST_NAMED: Final = 1_000
_CANNOT_KNOW: Final = (
    "calls that begin and end while the link is down: mod_json_cdr posts them",
    "presence of the agents of mod_callcenter",
    "whether a machine answered",
    "whether a call was cold, targeted or a repeat: the CRM says that",
)


async def test(settings: Settings, _part: str, seconds: float, secret: bytes) -> Report:
    """Return the report of a test of `[sources.freeswitch.esl]` that listens for `seconds`."""
    return await _EslTest(settings, secret).run(seconds)


class _EslTest:
    def __init__(self, settings: Settings, secret: bytes) -> None:
        mapping = settings.source(FreeSwitchMapping)
        self._managers = settings.managers
        self._parties = parties_of(settings, mapping, secret)
        self._translator = FreeSwitch(self._parties)
        self._connection = LiveConnection(mapping.esl, PLACE, EslSession(mapping.esl), self._hear, now_ms)
        self._report = Report(source=mapping.source, cannot_know=list(_CANNOT_KNOW))
        self._where = f"{mapping.esl.host}:{mapping.esl.port}"
        self._names: dict[str, int] = {}

    async def run(self, seconds: float) -> Report:
        report, session = self._report, self._connection.session
        report.seconds = seconds
        listening = asyncio.create_task(self._connection.run())
        try:
            while not session.is_up and not listening.done():  # the connection itself has the deadline
                await asyncio.wait({listening}, timeout=0.02)
            await asyncio.wait({listening}, timeout=seconds)
            for _ in range(int(_ANSWERED_S / 0.05)):
                if listening.done() or (session.is_listed and not session.waits_for_ping):
                    break
                await asyncio.wait({listening}, timeout=0.05)
            if listening.done():
                listening.result()
        except (LinkError, CannotListenError) as error:
            report.problems.append(str(error))
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, LinkError, CannotListenError):
                await listening
        if session.is_up:
            self._say(session)
        return report

    def _hear(self, session: EslSession, data: bytes, at_ms: int) -> None:
        report = self._report
        for one in session.receive(data, at_ms):
            translation = self._translator.take(one, at_ms + (session.clock_ahead_ms or 0))
            if isinstance(one, Unread | Listed):
                continue
            report.understood += not translation.refused
            report.events += len(translation.events)
            report.last_at_ms = max([report.last_at_ms or 0, *(made.at for made in translation.events)]) or None
            self._note(one)
        report.heard = session.heard
        if session.error is not None:
            raise session.error

    def _note(self, event: Event) -> None:
        name = event.get("Channel-Name", "")
        if event["Event-Name"] == "CHANNEL_CREATE" and name and len(self._names) < _MOST_NAMED:
            self._names[name] = self._names.get(name, 0) + 1

    def _say(self, session: EslSession) -> None:
        report = self._report
        report.facts.append(f"logged in at {self._where}")
        report.clock_ahead_ms = session.clock_ahead_ms
        if session.clock_ahead_ms is not None and abs(session.clock_ahead_ms) > _ALLOWED_AHEAD_MS:
            report.problems.append(
                f"the PBX's clock is {session.clock_ahead_ms / 1000:+.1f} s from ours: let both use NTP. Calls are "
                "dated by the PBX's clock, and more than thresholds.future ahead they are refused"
            )
        if session.denied:
            report.problems.append(
                "the PBX gives no list of channels. It costs calls in progress at a start, and calls that end while "
                "the link is down stay open until thresholds.max_call. esl-allowed-api of this user must name `show`"
            )
        if not self._names:
            report.facts.append("no call began: make one while the test listens, to see whether it is understood")
        report.unmapped = [text for name, count in self._names.items() if (text := self._unknown(name, count))]

    def _unknown(self, channel: str, count: int) -> str:
        """Return the text about an internal telephone that is on no roster entry; "" for all others."""
        party = self._parties.of_name(channel)
        if party.role != "manager" or party.manager in self._managers:
            return ""
        return f"{name_of(channel).user} is manager {party.manager} ({party.reason}), {count} channels"

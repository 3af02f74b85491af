"""The test of a manager interface: log in as the listener does, listen for a while, and store nothing."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from agents.gateway.ami import PLACE
from agents.gateway.live import now_ms
from agents.gateway.live_connection import LinkError, LiveConnection
from agents.gateway.source_report import Report
from streams.settings.settings import Settings
from streams.sources.asterisk.checks import Endpoint, RecordingChecks
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.rights import HeardEvents, missing, not_seen
from streams.sources.asterisk.session import AmiError, AmiSession
from streams.sources.asterisk.translator import Asterisk
from streams.sources.people import People

_ANSWER_S: Final = 2.0
_ALLOWED_AHEAD_MS: Final = 2_000
_CANNOT_KNOW: Final = (
    "calls that begin and end while the link is down: the CEL or CDR of the PBX has them",
    "whether a call was cold, targeted or a repeat: the CRM says that",
    "a transfer by an AMI Redirect: it looks like a hangup and a new dial",
)


async def test(settings: Settings, _part: str, seconds: float, secret: bytes) -> Report:
    """Return the report of a test of `[sources.asterisk.ami]` that listens for `seconds`."""
    return await _AmiTest(settings, secret).run(seconds)


class _AmiTest:
    def __init__(self, settings: Settings, secret: bytes) -> None:
        mapping = settings.source(AsteriskMapping)
        self._settings = settings
        self._checks = RecordingChecks()
        self._translator = Asterisk(mapping, secret, self._checks, people=People.of(settings, secret))
        self._heard = HeardEvents()
        self._connection = LiveConnection(mapping.ami, PLACE, AmiSession(mapping.ami), self._hear, now_ms)
        self._report = Report(source=mapping.source, cannot_know=list(_CANNOT_KNOW))
        self._where = f"{mapping.ami.host}:{mapping.ami.port}"
        self._user = mapping.ami.username

    async def run(self, seconds: float) -> Report:
        report = self._report
        report.seconds = seconds
        listening = asyncio.create_task(self._connection.run())
        try:
            await self._logged_in(listening)
            await asyncio.wait({listening}, timeout=seconds)
            if not listening.done():
                self._connection.session.ask_for_counts()
                self._connection.send()
                await asyncio.wait({listening}, timeout=min(_ANSWER_S, seconds))
            if listening.done():
                listening.result()
        except (LinkError, AmiError) as error:
            report.problems.append(str(error))
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, LinkError, AmiError):
                await listening
        if self._connection.session.state == "up":
            self._say()
        return report

    async def _logged_in(self, listening: asyncio.Task[None]) -> None:
        """Wait for the login. The connection itself has the deadline."""
        while self._connection.session.state != "up" and not listening.done():
            await asyncio.wait({listening}, timeout=0.02)

    def _hear(self, session: AmiSession, data: bytes, at_ms: int) -> None:
        report, received = self._report, session.receive(data, at_ms)
        pbx_ms = at_ms + (session.clock_ahead_ms or 0)
        for event in received.events:
            self._heard.take({name.lower(): value for name, value in event.items()})
            made = self._translator.feed(event, pbx_ms)
            report.events += len(made)
            report.last_at_ms = max([report.last_at_ms or 0, *(one.at for one in made)]) or None
        report.understood += len(received.events)
        report.heard = report.understood + session.skipped

    def _say(self) -> None:
        report, session = self._report, self._connection.session
        version = f"Asterisk {session.asterisk}, " if session.asterisk else ""
        report.facts.append(f'logged in as "{self._user}" at {self._where}: {version}interface {session.interface}')
        report.clock_ahead_ms = session.clock_ahead_ms
        if session.clock_ahead_ms is not None and abs(session.clock_ahead_ms) > _ALLOWED_AHEAD_MS:
            report.problems.append(
                f"the PBX's clock is {session.clock_ahead_ms / 1000:+.1f} s from ours: let both use NTP. Calls are "
                "dated by the PBX's clock, and more than thresholds.future ahead they are refused"
            )
        for one in missing(self._heard, session.denied, session.new_calls):
            report.problems.append(
                f'missing {one.what}. It costs {one.cost}. Under [{self._user}] in manager.conf: "{one.line}", then '
                "`manager reload`"
            )
        unseen = not_seen(self._heard)
        if unseen:
            report.facts.append(
                f"nothing of class {', '.join(unseen)} came: make a call while the test listens, to see whether the "
                "account may read it"
            )
        report.facts += self._checks.warnings()
        self._translator.finish(now_ms())
        report.unmapped = [self._text(one) for one in self._checks.endpoints() if self._is_unmapped(one)]

    def _is_unmapped(self, one: Endpoint) -> bool:
        if one.role == "manager":
            return one.manager not in self._settings.managers
        return one.role == "outside"

    def _text(self, one: Endpoint) -> str:
        if one.role == "manager":
            return f"{one.name} is manager {one.manager} ({one.reason}), {one.channels} channels"
        return f"{one.name} is taken for an outside party ({one.reason}), {one.channels} channels"

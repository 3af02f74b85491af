"""Calls of the portal's log: one record of it, pushed or polled, becomes one `call.ended`.

The record has no moment of the answer and none of the end. `CALL_DURATION` of a call with the code 200 is its talk; the
end is taken as start plus duration. So push and poll make the same event.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from streams.contract.events import QUEUE_PREFIX, CallEnded, Direction, Disposition
from streams.settings.settings import Settings
from streams.sources.bitrix24.settings import NAME, Bitrix24Settings
from streams.sources.frame import UnreadableError
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.sources.times import TimeError, Times
from streams.units import SECOND_MS

_DIRECTIONS: Final[Mapping[str, Direction]] = MappingProxyType(
    {"1": "outbound", "2": "inbound", "3": "inbound", "4": "outbound"}
)
"""CALL_TYPE: outgoing, incoming, incoming and redirected, callback."""
_ANNOUNCEMENT: Final = "5"
_ANSWERED: Final = "200"
_DISPOSITIONS: Final[Mapping[str, Disposition]] = MappingProxyType(
    {"304": "no_answer", "480": "no_answer", "486": "busy", "603": "busy", "603-S": "canceled"}
)
"""CALL_FAILED_CODE. All others are `failed`: a wrong number, no route, no credit, blocked."""
_LONGEST_ID: Final = 100
_LONGEST_DURATION: Final = 6


class Calls:
    """Reads records by the settings of the source."""

    def __init__(self, settings: Settings) -> None:
        own = settings.source(Bitrix24Settings)
        self._secret = settings.privacy.lead_secret.reveal().encode()
        self._numbers = Numbers(own.numbers)
        self._queue = QUEUE_PREFIX + own.queue
        self._times = Times("iso")
        self.people = People.of(settings, self._secret)

    def lead_key(self, number: str) -> str | None:
        """Return the lead key of a number, None for none."""
        return self._numbers.lead(number, self._secret)

    def manager(self, user: str) -> str | None:
        """Return the manager who is a user of the portal; None for no user."""
        is_nobody = user.strip() in {"", "0"}
        return None if is_nobody else self.people.resolve(NAME, Heard(user=user)).manager

    def moment(self, text: str) -> int:
        """Return a moment of the portal, which has an offset from UTC. Raises UnreadableError."""
        try:
            return self._times.moment(text)
        except TimeError as error:
            raise UnreadableError("invalid_time", f"a moment {error}") from None

    def event(self, record: Mapping[str, str]) -> CallEnded | None:
        """Return the event of a record; None for an announcement, which is no call. Raises UnreadableError."""
        call = record.get("CALL_ID", "")
        if not call:
            raise UnreadableError("missing_field", "CALL_ID is missing")
        if len(call) > _LONGEST_ID or not call.isprintable():
            raise UnreadableError("invalid_field", "CALL_ID is too long, or has control characters")
        kind = record.get("CALL_TYPE", "")
        if kind == _ANNOUNCEMENT:
            return None
        if kind not in _DIRECTIONS:
            raise UnreadableError("invalid_field" if kind else "missing_field", "CALL_TYPE is none of 1 to 5")
        if not record.get("CALL_START_DATE"):
            raise UnreadableError("missing_field", "CALL_START_DATE is missing")
        duration = record.get("CALL_DURATION", "")
        if not (duration.isascii() and duration.isdigit() and len(duration) <= _LONGEST_DURATION):
            raise UnreadableError("invalid_field", "CALL_DURATION is no number of seconds")
        started, lasted = self.moment(record["CALL_START_DATE"]), int(duration) * SECOND_MS
        code, direction = record.get("CALL_FAILED_CODE", ""), _DIRECTIONS[kind]
        is_answered = code == _ANSWERED
        return CallEnded(
            v=1,
            id=f"{NAME}:{call}:ended",
            at=started + lasted,
            source=NAME,
            call=call,
            manager=self._manager_of(record.get("PORTAL_USER_ID", ""), direction),
            lead=self.lead_key(record.get("PHONE_NUMBER", "")),
            direction=direction,
            started_at=started,
            talk_ms=lasted if is_answered else 0,
            disposition="answered" if is_answered else _DISPOSITIONS.get(code, "failed"),
        )

    def _manager_of(self, user: str, direction: Direction) -> str:
        manager = self.manager(user)
        if manager is not None:
            return manager
        return self._queue if direction == "inbound" else self.people.resolve(NAME, Heard()).manager

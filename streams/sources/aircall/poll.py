"""The list of calls of Aircall, and its users. An entry of the list is a piece of its call, as a webhook is.

The list is sorted by the beginning of the calls. Its pages are requested after the last call that was read, so that a
call that is added or removed meanwhile shifts no rows between them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Final

from msgspec import Raw, Struct

from streams.contract.events import Event
from streams.settings.settings import Settings
from streams.sources.aircall.pieces import Reader
from streams.sources.aircall.settings import AircallSettings
from streams.sources.frame import Refused, Translation, UnreadableError, shape
from streams.sources.gathering import statement
from streams.sources.people import Heard
from streams.sources.polls import (
    OVERLAP_MS,
    Ask,
    Asking,
    Found,
    Limits,
    Listed,
    Poll,
    PollError,
    Response,
    Verdict,
    ask,
    readable,
)
from streams.units import DAY_MS, MINUTE_MS, SECOND_MS

_API: Final = "https://api.aircall.io/v1"
_PAGE: Final = 50
_MOST_PAGES: Final = 1_500
_TOO_MANY: Final = 429


class _Calls(Struct):
    calls: list[Raw]


class _Users(Struct):
    users: list[Raw]


class _Begun(Struct):
    started_at: int


class _User(Struct):
    id: int | str
    name: str | None = None
    email: str | None = None
    extension: str | None = None


class AircallPoll:
    """Polls `calls` and `users`.

    Aircall allows 60 requests a minute to a company; this poll leaves half of them to others.
    """

    limits = Limits(per_second=0.5, burst=10)
    every_ms = 5 * MINUTE_MS
    pushed: tuple[type[Event], ...] = ()

    def __init__(self, settings: Settings) -> None:
        own = settings.source(AircallSettings)
        self.base_url = own.api_url.reveal() or _API
        self._access = b64encode(f"{own.api_id}:{own.api_token.reveal()}".encode()).decode()
        self._max_call_ms = settings.thresholds.max_call_ms
        self._reader = Reader(settings)
        self.people = self._reader.people

    def headers(self) -> Mapping[str, str]:
        """Return the authorisation."""
        return {"Authorization": f"Basic {self._access}"}

    def verdict(self, response: Response) -> Verdict | None:
        """Return the moment until which Aircall demands a pause; None where the status alone decides."""
        reset = response.headers.get("x-aircallapi-reset", "")
        if response.status != _TOO_MANY or "retry-after" in response.headers or not reset.isdecimal():
            return None
        return Verdict("wait", max(1.0, int(reset[:12]) - response.at_ms / SECOND_MS))

    def poll(self, cursor: bytes, now_ms: int) -> Poll:
        """Read the calls that ended since the cursor, a moment in milliseconds; the first time, those of a day."""
        until_ms = min(int(cursor), now_ms) if cursor.isdigit() else now_ms - DAY_MS
        kept = str(until_ms).encode()
        since_ms = until_ms - OVERLAP_MS
        # A long call that ended just now began much earlier.
        from_s, page = (since_ms - self._max_call_ms) // SECOND_MS, 1
        for _ in range(_MOST_PAGES):
            query = {"from": str(from_s), "to": str(now_ms // SECOND_MS + 1), "order": "asc", "per_page": str(_PAGE)}
            response = yield from ask(Ask(path="calls", query={**query, "page": str(page)}))
            rows = response.json(_Calls).calls
            yield Found(translation=self._translation(rows, since_ms, now_ms), cursor=kept, until_ms=until_ms)
            if len(rows) < _PAGE:
                break
            last_s = max((one.started_at for one in readable(rows, _Begun, "calls", [])), default=0)
            # Calls that began in one second are paged by number.
            from_s, page = (last_s, 1) if last_s > from_s else (from_s, page + 1)
        else:
            raise PollError("the list of calls has no end")
        yield Found(translation=Translation(), cursor=str(now_ms).encode(), until_ms=now_ms)

    def listed(self) -> Asking[list[Listed]]:
        """Request the users."""
        found: dict[str, Listed] = {}
        for page in range(1, _MOST_PAGES):
            query = {"per_page": str(_PAGE), "page": str(page), "order": "asc"}
            rows = (yield from ask(Ask(path="users", query=query))).json(_Users).users
            for user in readable(rows, _User, "users", []):
                heard = Heard(user=str(user.id), extension=user.extension or "", email=user.email or "")
                found[heard.user] = Listed(heard=heard, name=user.name or "")
            if len(rows) < _PAGE:
                return list(found.values())
        raise PollError("the list of users has no end")

    def _translation(self, rows: list[Raw], since_ms: int, now_ms: int) -> Translation:
        made = Translation()
        for row in rows:
            try:
                found = self._reader.listed(bytes(row), now_ms)
            except UnreadableError as error:
                detail = Refused(reason=error.reason, detail=str(error), where="calls", shape=shape(bytes(row)))
                made.refused.append(detail)
                continue
            if found is None:
                made.ignored += 1
            elif found[1].ended >= since_ms:
                call, said = found
                made.statements.append(statement(call, said.ended, said))
        return made


def aircall_poll(settings: Settings) -> AircallPoll | None:
    """Return the poll, if the settings have an API key."""
    own = getattr(settings.sources, "aircall", None)
    if not isinstance(own, AircallSettings) or not (own.api_id and own.api_token.reveal()):
        return None
    return AircallPoll(settings)

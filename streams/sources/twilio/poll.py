"""The list of calls of Twilio: facts that callbacks lack, and the salespersons of calls in progress.

Each poll requests the calls in progress, because an outbound call names its salesperson nowhere else before it is over.
Every five minutes it reads all calls that may have ended since. The statements are those of the callbacks, so no call
counts twice.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from streams.contract.events import LATEST_MS, Event
from streams.settings.settings import Settings
from streams.sources.frame import Refused, Statement, Translation, UnreadableError
from streams.sources.people import People
from streams.sources.polls import OVERLAP_MS, Ask, Found, Limits, Poll, PollError, Response, Verdict, ask
from streams.sources.times import TimeError
from streams.sources.twilio.settings import TwilioSettings
from streams.sources.twilio.statements import Listed, Reader, moment
from streams.units import DAY_MS, MINUTE_MS

_FULL_MS: Final = 5 * MINUTE_MS
_PAGE_SIZE: Final = "500"
_MOST_PAGES: Final = 200
_API: Final = {"twilio": "https://api.twilio.com"}


class _Page(Struct):
    calls: list[Listed]
    next_page_uri: str | None = None


class _Cursor(Struct):
    """The moment up to which all calls that ended are read."""

    until: int


class TwilioPoll:
    """Polls `Calls.json`."""

    limits = Limits(per_second=2, burst=10)
    every_ms = MINUTE_MS
    pushed: tuple[type[Event], ...] = ()

    def __init__(self, settings: Settings) -> None:
        own = settings.source(TwilioSettings)
        secret = settings.privacy.lead_secret.reveal().encode()
        self.people = People.of(settings, secret)
        self.base_url = own.api_url.reveal() or _API.get(own.dialect, "")
        self._path = f"2010-04-01/Accounts/{own.account_sid}/Calls.json"
        user, token = own.api_user or own.account_sid, own.api_token.reveal() or own.auth_token.reveal()
        self._access = b64encode(f"{user}:{token}".encode()).decode()
        self._max_call_ms = settings.thresholds.max_call_ms
        self._reader = Reader(own, self.people, secret, settings.privacy.region)

    def headers(self) -> Mapping[str, str]:
        """Return the authorisation."""
        return {"Authorization": f"Basic {self._access}"}

    def verdict(self, response: Response) -> Verdict | None:  # noqa: ARG002 - its status alone decides
        """Return None: the status alone decides."""
        return None

    def poll(self, cursor: bytes, now_ms: int) -> Poll:
        """Read the calls in progress and, if it is time, those that are over."""
        until_ms = msgspec.json.decode(cursor, type=_Cursor).until if cursor else now_ms - DAY_MS
        if until_ms > now_ms:  # of a clock that was ahead
            until_ms = now_ms - _FULL_MS
        response = yield from ask(Ask(path=self._path, query={"Status": "in-progress", "PageSize": _PAGE_SIZE}))
        going = self._translation(response.json(_Page).calls)
        if cursor and now_ms - until_ms < _FULL_MS:
            yield Found(translation=going, cursor=cursor, until_ms=until_ms)
            return
        kept = cursor or msgspec.json.encode(_Cursor(until_ms))
        yield Found(translation=going, cursor=kept, until_ms=until_ms)
        # The list has the newest first, by their beginning: a long call that ended just now began long ago.
        since_ms = until_ms - OVERLAP_MS - self._max_call_ms
        query: Mapping[str, str] = {"PageSize": _PAGE_SIZE}
        for _ in range(_MOST_PAGES):
            page = (yield from ask(Ask(path=self._path, query=query))).json(_Page)
            new = [call for call in page.calls if _ended(call) >= until_ms - OVERLAP_MS]
            yield Found(translation=self._translation(new), cursor=kept, until_ms=until_ms)
            if not page.next_page_uri or all(_began(call) < since_ms for call in page.calls):
                break
            query = dict(parse_qsl(page.next_page_uri.partition("?")[2]))
        else:
            raise PollError("the list of calls has no end")
        yield Found(translation=Translation(), cursor=msgspec.json.encode(_Cursor(now_ms)), until_ms=now_ms)

    def _translation(self, calls: Sequence[Listed]) -> Translation:
        statements: list[Statement] = []
        refused: list[Refused] = []
        for number, call in enumerate(calls, 1):
            try:
                statements.append(self._reader.listed(call).statement())
            except UnreadableError as error:
                refused.append(error.refused(b"", f"call {number} of the list"))
        return Translation(statements=statements, refused=refused)


def twilio_poll(settings: Settings) -> TwilioPoll | None:
    """Return the poll, if the settings have an account with a list."""
    own = getattr(settings.sources, "twilio", None)
    if not isinstance(own, TwilioSettings) or not own.account_sid or own.dialect == "telnyx":
        return None
    made = TwilioPoll(settings)
    has_access = bool(own.auth_token.reveal() or own.api_token.reveal())
    return made if has_access and made.base_url else None


def _began(call: Listed) -> int:
    return _moment(call.date_created or call.start_time, 0)


def _ended(call: Listed) -> int:
    return _moment(call.end_time, LATEST_MS)


def _moment(text: str | None, otherwise: int) -> int:
    try:
        return moment(text or "")
    except TimeError:
        return otherwise

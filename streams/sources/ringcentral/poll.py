"""The call log of RingCentral, and its users. A record of the log becomes pieces of its call, as a notification does.

The log is read by its dates, from now backwards, and behind the oldest record that was read: a record that comes late
shifts no rows between two pages. The API's token of synchronisation gives 250 changes at most.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Raw, Struct

from streams.contract.events import Event
from streams.settings.settings import Settings
from streams.sources.frame import Refused, Translation, UnreadableError, shape
from streams.sources.gathering import statement
from streams.sources.people import Heard
from streams.sources.polls import (
    DENIED,
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
from streams.sources.ringcentral.pieces import Reader
from streams.sources.ringcentral.settings import RingCentralSettings
from streams.sources.times import TimeError, Times
from streams.units import DAY_MS, MINUTE_MS, SECOND_MS

_API: Final = "https://platform.ringcentral.com"
_ACCOUNT: Final = "restapi/v1.0/account/~"
_TOKEN: Final = "restapi/oauth/token"  # noqa: S105 - a path
_SUBSCRIPTION: Final = "restapi/v1.0/subscription"
_HOOK: Final = "/hooks/ringcentral/"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_PAGE: Final = 250
_MOST_USERS: Final = 1_000
_MOST_PAGES: Final = 300
_BAD_REQUEST: Final = 400
_USERS: Final = frozenset(("User", "DigitalUser", "VirtualUser", "FlexibleUser", "Limited"))
_ISO: Final = Times("iso")


class _Records(Struct):
    records: list[Raw]


class _Begun(Struct, rename="camel"):
    start_time: str


class _Access(Struct):
    access_token: str


class _Contact(Struct, rename="camel"):
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None


class _Extension(Struct, rename="camel"):
    id: int | str
    type: str = ""
    name: str | None = None
    extension_number: str | None = None
    contact: _Contact | None = None


class _Mode(Struct):
    address: str | None = None


class _Subscription(Struct, rename="camel"):
    id: str
    status: str = ""
    delivery_mode: _Mode | None = None
    expires_in: int | None = None


class RingCentralPoll:
    """Polls `call-log`, of which RingCentral allows ten requests a minute to a user, and `extension`."""

    limits = Limits(per_second=0.1, burst=5)
    every_ms = 10 * MINUTE_MS
    pushed: tuple[type[Event], ...] = ()

    def __init__(self, settings: Settings) -> None:
        own = settings.source(RingCentralSettings)
        self.base_url = own.api_url.reveal() or _API
        self._basic = b64encode(f"{own.client_id}:{own.client_secret.reveal()}".encode()).decode()
        self._jwt = own.jwt.reveal()
        self._is_pushed = bool(own.tokens)
        self._max_call_ms = settings.thresholds.max_call_ms
        self._reader = Reader(settings)
        self.people = self._reader.people
        self._access = ""

    def headers(self) -> Mapping[str, str]:
        """Return the authorisation: an access token, which ends after an hour."""
        return {"Authorization": f"Bearer {self._access}"}

    def verdict(self, response: Response) -> Verdict | None:
        """Return the refusal of an app or a credential; None where the status alone decides."""
        is_refused = response.status == _BAD_REQUEST and b'"invalid_' in response.body and b"error" in response.body
        return (
            DENIED if is_refused and (b"invalid_grant" in response.body or b"invalid_client" in response.body) else None
        )

    def renew(self) -> Asking[None]:
        """Request an access token, by the credential."""
        form = {"grant_type": _GRANT, "assertion": self._jwt}
        headers = {"Authorization": f"Basic {self._basic}"}
        response = yield from ask(Ask(method="POST", path=_TOKEN, form=form, headers=headers))
        self._access = response.json(_Access).access_token

    def poll(self, cursor: bytes, now_ms: int) -> Poll:
        """Read the calls that ended since the cursor, a moment in milliseconds; the first time, those of a day."""
        until_ms = min(int(cursor), now_ms) if cursor.isdigit() else now_ms - DAY_MS
        since_ms, kept = until_ms - OVERLAP_MS, str(until_ms).encode()
        # A long call that ended just now began much earlier.
        from_ms, to_ms, page = since_ms - self._max_call_ms, now_ms, 1
        for _ in range(_MOST_PAGES):
            query = {"view": "Detailed", "type": "Voice", "perPage": str(_PAGE), "page": str(page)}
            query |= {"dateFrom": _text(from_ms), "dateTo": _text(to_ms)}
            rows = (yield from ask(Ask(path=f"{_ACCOUNT}/call-log", query=query))).json(_Records).records
            yield Found(translation=self._translation(rows, since_ms, now_ms), cursor=kept, until_ms=until_ms)
            if len(rows) < _PAGE:
                break
            oldest_ms = min(
                (_moment(one.start_time, to_ms) for one in readable(rows, _Begun, "calls", [])), default=to_ms
            )
            # Calls that began at one moment are paged by number.
            to_ms, page = (oldest_ms + 1, 1) if oldest_ms + 1 < to_ms else (to_ms, page + 1)
        else:
            raise PollError("the call log has no end")
        yield Found(translation=Translation(), cursor=str(now_ms).encode(), until_ms=now_ms)
        if self._is_pushed:
            yield from self._keep_subscription()

    def listed(self) -> Asking[list[Listed]]:
        """Request the users."""
        found: dict[str, Listed] = {}
        for page in range(1, _MOST_PAGES):
            query = {"status": "Enabled", "perPage": str(_MOST_USERS), "page": str(page)}
            rows = (yield from ask(Ask(path=f"{_ACCOUNT}/extension", query=query))).json(_Records).records
            for one in readable(rows, _Extension, "users", []):
                if one.type in _USERS:
                    contact = one.contact or _Contact()
                    heard = Heard(user=str(one.id), extension=one.extension_number or "", email=contact.email or "")
                    name = one.name or " ".join(part for part in (contact.first_name, contact.last_name) if part)
                    found[heard.user] = Listed(heard=heard, name=name)
            if len(rows) < _MOST_USERS:
                return list(found.values())
        raise PollError("the list of users has no end")

    def _translation(self, rows: list[Raw], since_ms: int, now_ms: int) -> Translation:
        made = Translation()
        for row in rows:
            try:
                found = self._reader.logged(bytes(row), now_ms)
            except UnreadableError as error:
                refused = Refused(reason=error.reason, detail=str(error), where="calls", shape=shape(bytes(row)))
                made.refused.append(refused)
                continue
            if found is None:
                made.ignored += 1
                continue
            call, parts = found
            if max(one.ended for one in parts) >= since_ms:
                made.statements += [statement(call, one.ended, one) for one in parts]
        return made

    def _keep_subscription(self) -> Poll:
        """Renew the subscription of the hook a day before it ends. Raises PollError if RingCentral suspended it."""
        rows = (yield from ask(Ask(path=_SUBSCRIPTION))).json(_Records).records
        mine = [
            one
            for one in readable(rows, _Subscription, "subscriptions", [])
            if one.delivery_mode is not None and _HOOK in (one.delivery_mode.address or "")
        ]
        active = [one for one in mine if one.status == "Active"]
        if mine and not active:
            raise PollError("RingCentral has suspended the subscription of the hook: make it again")
        for one in active:
            if one.expires_in is not None and one.expires_in * SECOND_MS < DAY_MS:
                yield from ask(Ask(method="POST", path=f"{_SUBSCRIPTION}/{one.id}/renew"))


def ringcentral_poll(settings: Settings) -> RingCentralPoll | None:
    """Return the poll, if the settings have an app and a credential."""
    own = getattr(settings.sources, "ringcentral", None)
    if not isinstance(own, RingCentralSettings) or not own.has_access:
        return None
    return RingCentralPoll(settings)


def _text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / SECOND_MS, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(text: str, otherwise: int) -> int:
    try:
        return _ISO.moment(text)
    except TimeError:
        return otherwise

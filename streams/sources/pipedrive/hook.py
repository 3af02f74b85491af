"""The webhook of Pipedrive: a doorbell if there is a poll of the account, else the deals and persons themselves.

It has the deal after a change (`data`), and in `previous` only the changed fields; a deletion has all in `previous`. A
merge is two webhooks: one deal is deleted, the other one is changed. Version 1 has the same with other names: `current`
for `data`, and all fields in `previous`. Requests are not signed: the token of the URL and HTTP Basic authentication
are the only authentication.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from streams.contract.events import DealDeleted, Event, Reason
from streams.settings.settings import Settings
from streams.sources.frame import Answers, Hook, Refused, Request, Translation, shape
from streams.sources.numbers import Numbers
from streams.sources.people import People
from streams.sources.pipedrive.deals import Deals, deleted, links
from streams.sources.pipedrive.rows import Deal, UnreadableError, deal_of, id_of, moment, phones_of, reference
from streams.sources.pipedrive.settings import PipedriveSettings

_ACTIONS: Final[Mapping[str, str]] = {
    "create": "create",
    "change": "change",
    "delete": "delete",
    "added": "create",
    "updated": "change",
    "merged": "change",
    "deleted": "delete",
}
"""Of version 2, and of version 1."""
_OTHERS: Final = frozenset(
    ("activity", "activityType", "lead", "note", "organization", "pipeline", "product", "project", "stage", "user")
)
_REASONS: Final[Mapping[type[Exception], Reason]] = {UnicodeDecodeError: "not_utf8", RecursionError: "too_deep"}


class _Change(Struct, frozen=True):
    """A webhook of either version. `row` is the present state, or that before a deletion."""

    action: str
    entity: str
    id: int
    at_ms: int
    row: Mapping[str, Any]
    changed: Mapping[str, Any]


class PipedriveHook(Hook):
    """Reads `/hooks/pipedrive/TOKEN`. Pipedrive tries three more times after 3, 30 and 150 s."""

    answers = Answers(done=200, refused=200, unauthenticated=401, unavailable=503)
    cannot_know = ("calls", "the moment of a change of amount or owner, but for the time of the last update")

    def __init__(self, settings: Settings) -> None:
        own = settings.source(PipedriveSettings)
        self._secret = settings.privacy.lead_secret.reveal().encode()
        self.people = People.of(settings, self._secret)
        self._password = own.password.reveal()
        self._basic = base64.b64encode(f"{own.user}:{self._password}".encode())
        self._is_doorbell = own.is_asked
        self._deals = Deals(own.stages, self.people)
        self._numbers = Numbers(own.numbers, settings.privacy.region)
        self._future_ms = settings.thresholds.future_ms

    def is_authentic(self, request: Request) -> bool:
        """Return whether the request is JSON and has the user and the password of the settings."""
        if request.headers.get("content-type", "").partition(";")[0].strip().casefold() != "application/json":
            return False
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        is_same = hmac.compare_digest(self._basic, given.strip().encode("utf-8", "surrogateescape"))
        return bool(self._password) and scheme.casefold() == "basic" and is_same

    def translate(self, request: Request) -> Translation:
        """Return the change, or ring."""
        try:
            body = msgspec.json.decode(request.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return _refused(request, _REASONS.get(type(error), "not_json"), "no JSON")
        if not isinstance(body, dict):
            return _refused(request, "invalid_field", "no JSON object")
        try:
            change = self._change(body, request.received_at_ms)
            if change is None:
                return Translation(ignored=1)
            events = self._events(change, request.received_at_ms)
        except UnreadableError as error:
            return _refused(request, error.reason, str(error))
        if self._is_doorbell:
            return Translation(events=[one for one in events if isinstance(one, DealDeleted)], ring=True)
        return Translation(events=events, ignored=int(not events))

    def _change(self, body: Mapping[str, Any], now_ms: int) -> _Change | None:
        """Return the events of the webhook, None for an entity that concerns no figure. Raises UnreadableError."""
        meta = _object(body, "meta")
        entity, action = _text(meta, "entity", "object"), _ACTIONS.get(_text(meta, "action"))
        if entity in _OTHERS:
            return None
        if entity not in ("deal", "person") or action is None:
            raise UnreadableError("unknown_type", "meta has an entity or an action that is not known")
        name = "entity_id" if "entity" in meta else "id"
        if name not in meta:
            raise UnreadableError("missing_field", f"{name} is missing")
        if meta.get("timestamp") is None:
            raise UnreadableError("missing_field", "timestamp is missing")
        at_ms = self._past(moment(meta["timestamp"], "timestamp"), now_ms)
        row = body.get("data", body.get("current"))
        before = body.get("previous")
        previous = before if isinstance(before, dict) else {}
        changed = {key: value for key, value in previous.items() if not isinstance(row, dict) or row.get(key) != value}
        if action == "delete":
            row = previous
        if not isinstance(row, dict):
            raise UnreadableError("missing_field", "data is missing")
        return _Change(action, entity, id_of(meta[name], name), at_ms, row, changed)

    def _events(self, change: _Change, now_ms: int) -> list[Event]:
        if change.entity == "person":
            if change.action == "delete":
                return []
            return list(links(change.id, phones_of(change.row), change.at_ms, self._numbers, self._secret))
        if change.action == "delete":
            return [deleted(change.id, reference(change.row.get("person_id"), "person_id"), change.at_ms)]
        deal = deal_of(change.row)
        self._past(deal.updated_ms, now_ms)
        if deal.id != change.id:
            raise UnreadableError("invalid_field", "data is of another deal than meta")
        at_ms = self._past(_moment(change, deal), now_ms)
        if deal.status == "deleted":
            return [deleted(deal.id, deal.person, at_ms)]
        return [self._deals.event(deal, at_ms, change.changed)]

    def _past(self, at_ms: int, now_ms: int) -> int:
        if at_ms > now_ms + self._future_ms:
            raise UnreadableError("future", "a moment is later than the receipt")
        return at_ms


def _moment(change: _Change, deal: Deal) -> int:
    """Return the moment of a deal's change: the one that the account keeps for this kind of change."""
    if change.action == "create":
        return deal.added_ms or deal.updated_ms
    if "status" in change.changed:
        return deal.closed_ms or deal.updated_ms
    if "stage_id" in change.changed and deal.status == "open":
        return deal.staged_ms or deal.updated_ms
    return deal.updated_ms


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    if found is None:
        raise UnreadableError("missing_field", f"{name} is missing")
    if not isinstance(found, dict):
        raise UnreadableError("invalid_field", f"{name} is no object")
    return found


def _text(meta: Mapping[str, Any], *names: str) -> str:
    """Return the first of these fields that is there."""
    found = next((meta[name] for name in names if name in meta), None)
    if found is None:
        raise UnreadableError("missing_field", f"{names[0]} is missing")
    if not isinstance(found, str):
        raise UnreadableError("invalid_field", f"{names[0]} is no text")
    return found


def _refused(request: Request, reason: Reason, detail: str) -> Translation:
    return Translation(refused=[Refused(reason=reason, detail=detail, shape=shape(request.body))])

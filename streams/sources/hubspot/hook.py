"""The webhook of an app: a doorbell. It reports deletions and merges itself, because no list shows them as fast.

Signature: base64 of HMAC-SHA256 over method, URL, body and timestamp (version 3); it is valid for five minutes. Source:
HubSpot, "Validating requests", and its library for Python.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from streams.contract.events import DealDeleted, Event, Reason
from streams.settings.settings import Settings
from streams.sources.frame import Answers, Hook, Request, Translation, UnreadableError
from streams.sources.hubspot.deals import lead_of
from streams.sources.hubspot.settings import NAME, HubspotSettings
from streams.sources.times import TimeError, Times
from streams.units import MINUTE_MS, SECOND_MS

_VALID_MS: Final = 5 * MINUTE_MS
_UNIX_MS: Final = Times("unix_ms")
_KINDS: Final[Mapping[str, str]] = {"deal": "deal", "contact": "contact", "0-3": "deal", "0-1": "contact"}
_OTHERS: Final = frozenset(("company", "ticket", "product", "line_item", "conversation", "object"))
_ACTIONS: Final = frozenset(
    ("creation", "deletion", "privacyDeletion", "propertyChange", "merge", "restore", "associationChange")
)
_REASONS: Final[Mapping[type[Exception], Reason]] = {UnicodeDecodeError: "not_utf8", RecursionError: "too_deep"}
_MOST_MERGED: Final = 100
_MOST_ITEMS: Final = 1_000
"""The most items of one webhook. HubSpot sends fewer than 100."""


class HubspotHook(Hook):
    """Reads `/hooks/hubspot/TOKEN`. HubSpot tries again for a day after a 5xx, and not after a 4xx."""

    answers = Answers(done=200, refused=200, unauthenticated=401, unavailable=503)
    cannot_know = ("calls", "the contact of a deal that is deleted")

    def __init__(self, settings: Settings) -> None:
        own = settings.source(HubspotSettings)
        self._key = own.client_secret.reveal().encode()
        self._url = own.public_url
        self._future_ms = settings.thresholds.future_ms

    def is_authentic(self, request: Request) -> bool:
        """Return whether the request has its signature, of the last five minutes."""
        if request.headers.get("content-type", "").partition(";")[0].strip().casefold() != "application/json":
            return False
        sent = request.headers.get("x-hubspot-request-timestamp", "")
        try:
            age_ms = request.received_at_ms - _UNIX_MS.moment(sent)
        except TimeError:
            return False
        url = self._url or (f"{request.url}?{request.query}" if request.query else request.url)
        text = f"{request.method}{url}".encode("utf-8", "surrogateescape") + request.body + sent.encode()
        signed = base64.b64encode(hmac.new(self._key, text, sha256).digest())
        given = request.headers.get("x-hubspot-signature-v3", "").encode("utf-8", "surrogateescape")
        return bool(self._key) and hmac.compare_digest(signed, given) and abs(age_ms) <= _VALID_MS

    def translate(self, request: Request) -> Translation:
        """Ring, and return the deletions. One item that cannot be read does not affect others."""
        try:
            items = msgspec.json.decode(request.body, type=list[msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            broken = UnreadableError(_REASONS.get(type(error), "not_json"), "not a list")
            return Translation(refused=[broken.refused(request.body)])
        if len(items) > _MOST_ITEMS:
            many = UnreadableError("invalid_field", f"more than {_MOST_ITEMS} items")
            return Translation(refused=[many.refused(request.body)])
        made = Translation()
        for number, raw in enumerate(items, 1):
            try:
                made.ring |= self._item(msgspec.json.decode(raw, type=dict[str, Any]), request.received_at_ms, made)
            except UnreadableError as error:
                made.refused.append(error.refused(bytes(raw), f"item {number}"))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                broken = UnreadableError("invalid_field", "no object")
                made.refused.append(broken.refused(bytes(raw), f"item {number}"))
        made.ignored = int(not (made.events or made.refused or made.ring))
        return made

    def _item(self, item: Mapping[str, Any], now_ms: int, made: Translation) -> bool:
        """Take one item; return whether it starts a poll."""
        kind, action = _kind(item)
        if not kind:
            return False
        number, at_ms = _id(item.get("objectId", item.get("primaryObjectId"))), self._moment(item, now_ms)
        if kind != "deal":
            return True
        if action in ("deletion", "privacyDeletion"):
            made.events.append(deleted(number, at_ms))
        if action == "merge":
            made.events += _merged(item, at_ms)
        value = item.get("propertyValue", "")
        if value is not None and not isinstance(value, str | int | float):
            raise UnreadableError("invalid_field", "propertyValue is no text")
        return True

    def _moment(self, item: Mapping[str, Any], now_ms: int) -> int:
        value = item.get("occurredAt")
        if value is None:
            raise UnreadableError("missing_field", "occurredAt is missing")
        if not isinstance(value, int) or isinstance(value, bool):
            raise UnreadableError("invalid_time", "occurredAt is no whole number of milliseconds")
        try:
            at_ms = _UNIX_MS.moment(value)
        except TimeError as error:
            raise UnreadableError("invalid_time", f"occurredAt {error}") from None
        if at_ms > now_ms + self._future_ms:
            raise UnreadableError("future", "occurredAt is later than the receipt")
        return at_ms


def deleted(deal: str, at_ms: int) -> Event:
    """Return the event of a deal that was deleted. It can be restored and deleted again: the id has the moment."""
    return _gone(deal, at_ms, f"deleted:{at_ms // SECOND_MS}")


def merged_away(deal: str, at_ms: int) -> Event:
    """Return the event of a deal that was merged into another one. A merge is permanent, and no list has its moment."""
    return _gone(deal, at_ms, "merged")


def _gone(deal: str, at_ms: int, how: str) -> Event:
    return DealDeleted(v=1, id=f"{NAME}:deal:{deal}:{how}", at=at_ms, source=NAME, lead=lead_of(deal, ""), deal=deal)


def _kind(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return the kind of the object and the action; "" for a kind that concerns no figure."""
    subscription = item.get("subscriptionType")
    if subscription is None:
        raise UnreadableError("missing_field", "subscriptionType is missing")
    if not isinstance(subscription, str):
        raise UnreadableError("invalid_field", "subscriptionType is no text")
    name, _, action = subscription.partition(".")
    if name == "object":
        name = str(item.get("objectTypeId", ""))
    kind = _KINDS.get(name, "")
    if (not kind and name not in _OTHERS and not name.startswith("0-")) or action not in _ACTIONS:
        raise UnreadableError("unknown_type", "subscriptionType is none that is known")
    return kind, action


def _id(value: Any) -> str:
    if value is None:
        raise UnreadableError("missing_field", "objectId is missing")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 62:
        raise UnreadableError("invalid_field", "objectId is no id")
    return str(value)


def _merged(item: Mapping[str, Any], at_ms: int) -> Iterator[Event]:
    """Yield the deals that a merge removed: all except the one that remains."""
    merged = item.get("mergedObjectIds")
    remains = item.get("newObjectId", item.get("primaryObjectId"))
    for one in merged[:_MOST_MERGED] if isinstance(merged, list) else ():
        if one != remains:
            yield merged_away(_id(one), at_ms)

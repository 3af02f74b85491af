"""The status callbacks of Twilio. Whole seconds, by their timestamps.

Twilio's call is a leg or less: the call of a customer, or of a salesperson's telephone, is a parent; each call that its
program dials is a child. The consultation before a transfer is a call of its own, and no field joins it with the
customer's call: it is left out here, and so is the rest of the customer's call.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from streams.contract.events import Disposition
from streams.simulator.rendering.call_script import OWN_NUMBER
from streams.simulator.rendering.history import Call, History, Leg
from streams.simulator.rendering.phone_book import NO_NUMBER, PhoneBook
from streams.units import SECOND_MS

_STATUSES: Final[Mapping[Disposition, str]] = MappingProxyType(
    {"busy": "busy", "canceled": "canceled", "failed": "failed"}
)


class Post(NamedTuple):
    """A request: when it happened, in milliseconds, and its form."""

    at_ms: int
    said: dict[str, str]


def posts(history: History, book: PhoneBook) -> Iterator[Post]:
    """Yield the requests in the order in which their moments lie."""
    yield from sorted((post for call in history.calls for post in _call(call, book)), key=lambda post: post.at_ms)


def lines(history: History, book: PhoneBook) -> Iterator[bytes]:
    """Yield a line of JSON for each request, unsigned: its moment in milliseconds, and its form."""
    for post in posts(history, book):
        yield msgspec.json.encode(post._asdict()) + b"\n"


def signed(said: Mapping[str, str], auth_token: str, url: str) -> tuple[bytes, str]:
    """Return the form that is posted to `url`, and its header `X-Twilio-Signature`."""
    text = url + "".join(name + said[name] for name in sorted(said))
    digest = hmac.new(auth_token.encode(), text.encode(), "sha1").digest()
    return urlencode(said).encode(), base64.b64encode(digest).decode()


def _call(call: Call, book: PhoneBook) -> Iterator[Post]:
    first = call[0]
    reported = list(_told(call))
    parent = f"CA{first.call}"
    over_at = max(_end(leg) for leg in reported)
    inside = first.internal or first.direction == "outbound"
    caller = _telephone(first.manager, book) if inside else _number(first, book)
    callee = _number(first, book) if first.direction == "outbound" and not first.internal else OWN_NUMBER
    about = {"CallSid": parent, "Direction": "inbound", "From": caller, "To": callee}
    if not inside:
        yield _said(first.started_at, "ringing", about)
    yield _said(over_at, "completed", about, {"CallDuration": str(_seconds(over_at) - _seconds(first.started_at))})
    for number, leg in enumerate(reported):
        is_out = leg.direction == "outbound" and not leg.internal
        if leg.internal and leg is first:
            continue  # the parent is this leg
        if leg.manager not in book.extensions:
            continue  # a caller who waited without success: no telephone was dialled
        about = {"CallSid": f"{parent}-{number}", "ParentCallSid": parent, "Direction": "outbound-dial"}
        about["From"] = OWN_NUMBER if is_out else caller
        about["To"] = _number(leg, book) if is_out else _telephone(leg.manager, book)
        yield from _child(leg, about)


def _told(call: Call) -> Iterator[Leg]:
    """Yield the legs of a call that Twilio joins."""
    first = call[0]
    if first.direction == "outbound" and first.transfer_at is not None:
        # The customer's call goes on; no callback names the telephone with which it is connected.
        yield msgspec.structs.replace(first, ended_at=max(map(_end, call)), transfer_at=None)
        return
    for leg in call:
        yield leg
        if leg.transfer_at is not None and leg.how == "attended":
            return


def _child(leg: Leg, about: Mapping[str, str]) -> Iterator[Post]:
    yield _said(leg.started_at, "initiated", about)
    if leg.answered_at is None:
        yield _said(leg.ended_at, _STATUSES.get(leg.disposition, "no-answer"), about, {"CallDuration": "0"})
        return
    yield _said(leg.answered_at, "in-progress", about)
    more = {"CallDuration": str(_seconds(_end(leg)) - _seconds(leg.answered_at))}
    if leg.disposition == "voicemail":
        more["AnsweredBy"] = "machine_end_beep"
    yield _said(_end(leg), "completed", about, more)


def _said(at_ms: int, status: str, about: Mapping[str, str], more: Mapping[str, str] = MappingProxyType({})) -> Post:
    moment = format_datetime(datetime.fromtimestamp(_seconds(at_ms), UTC))
    return Post(at_ms, {**about, **more, "CallStatus": status, "Timestamp": moment})


def _end(leg: Leg) -> int:
    return leg.ended_at if leg.transfer_at is None else leg.transfer_at


def _telephone(manager: str, book: PhoneBook) -> str:
    return f"sip:{book.extensions[manager]}@pbx.example"


def _number(leg: Leg, book: PhoneBook) -> str:
    return NO_NUMBER if leg.lead is None else book.number(leg.lead)


def _seconds(at_ms: int) -> int:
    return at_ms // SECOND_MS

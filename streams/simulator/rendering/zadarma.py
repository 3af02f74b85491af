"""The notifications of Zadarma: ringing, answer and end. Only the beginning of a call has a moment.

There are none about calls between colleagues, and of an outbound call only those of its beginning and its end.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec

from streams.contract.events import QUEUE_PREFIX, Disposition
from streams.simulator.rendering.history import Call, History
from streams.simulator.rendering.phone_book import NO_NUMBER, PhoneBook
from streams.units import SECOND_MS

_DISPOSITIONS: Final[Mapping[Disposition, str]] = MappingProxyType(
    {"answered": "answered", "no_answer": "no answer", "busy": "busy", "canceled": "cancel", "failed": "failed"}
)
_OUT: Final = ("internal", "destination", "call_start")
_IN: Final = ("caller_id", "called_did", "call_start")
_ANSWER: Final = ("caller_id", "destination", "call_start")
_OWN: Final = "15551000000"


class Post(NamedTuple):
    """A request: when it happened, in milliseconds, and its form."""

    at_ms: int
    said: dict[str, str]


def posts(history: History, book: PhoneBook, zone: str) -> Iterator[Post]:
    """Yield the requests in the order in which their moments lie. `zone` is that of the account."""
    own = ZoneInfo(zone)
    made = (post for call in history.calls for post in _call(call, book, own))
    yield from sorted(made, key=lambda post: post.at_ms)


def lines(history: History, book: PhoneBook, zone: str) -> Iterator[bytes]:
    """Yield a line of JSON for each request, unsigned: its moment in milliseconds, and its form."""
    for post in posts(history, book, zone):
        yield msgspec.json.encode(post._asdict()) + b"\n"


def signed(said: Mapping[str, str], secret: str) -> tuple[bytes, str]:
    """Return the form that is posted, and its header `Signature`."""
    names = _ANSWER if said["event"] == "NOTIFY_ANSWER" else _OUT if "OUT" in said["event"] else _IN
    text = "".join(said.get(name, "") for name in names)
    digest = hmac.new(secret.encode(), text.encode(), "sha1").hexdigest()
    return urlencode(said).encode(), base64.b64encode(digest.encode()).decode()


def _call(call: Call, book: PhoneBook, zone: ZoneInfo) -> Iterator[Post]:
    first = call[0]
    if first.internal:
        return
    is_out = first.direction == "outbound"
    begun = datetime.fromtimestamp(first.started_at // SECOND_MS, zone).strftime("%Y-%m-%d %H:%M:%S")
    number = NO_NUMBER if first.lead is None else book.number(first.lead).removeprefix("+")
    about = {"call_start": begun, "pbx_call_id": f"{'out' if is_out else 'in'}_{first.call}"}
    ended_at = max(leg.ended_at if leg.transfer_at is None else leg.transfer_at for leg in call)
    answered_at = min((leg.answered_at for leg in call if leg.answered_at is not None), default=None)
    talk_s = 0 if answered_at is None else ended_at // SECOND_MS - answered_at // SECOND_MS
    said = "answered" if answered_at is not None else _DISPOSITIONS.get(first.disposition, "no answer")
    end = {"duration": str(talk_s), "disposition": said}
    if is_out:
        about |= {"caller_id": _OWN, "destination": number, "internal": book.extensions[first.manager]}
        yield Post(first.started_at, {**about, "event": "NOTIFY_OUT_START"})
        yield Post(ended_at, {**about, **end, "event": "NOTIFY_OUT_END"})
        return
    about |= {"caller_id": number}
    inbound = {**about, "called_did": _OWN}
    yield Post(first.started_at, {**inbound, "event": "NOTIFY_START"})
    last = ""
    for leg in call:
        if leg.manager.startswith(QUEUE_PREFIX):
            continue
        own = {"internal": book.extensions[leg.manager]}
        yield Post(leg.started_at, {**inbound, **own, "event": "NOTIFY_INTERNAL"})
        if leg.answered_at is not None:
            last = own["internal"]
            yield Post(leg.answered_at, {**about, **own, "destination": last, "event": "NOTIFY_ANSWER"})
    yield Post(ended_at, {**inbound, **end, "event": "NOTIFY_END", **({"internal": last} if last else {})})

"""The requests of Mango Office's API of events: a state of a leg each, and the summary of each call. Whole seconds."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from streams.contract.events import QUEUE_PREFIX
from streams.simulator.rendering.history import Call, History, Leg
from streams.simulator.rendering.phone_book import NO_NUMBER, PhoneBook

_REASONS: Final = {"no_answer": 1121, "busy": 4201, "canceled": 1100, "failed": 2000}
_NORMAL: Final = 1110
_HOW: Final = {"blind": "blind", "attended": "consultative"}


class Post(NamedTuple):
    """A request: when it happened, in milliseconds, the end of its path, and its JSON."""

    at_ms: int
    path: str
    said: dict[str, Any]


def posts(history: History, book: PhoneBook) -> Iterator[Post]:
    """Yield the requests in the order in which their moments lie."""
    yield from sorted((post for call in history.calls for post in _call(call, book)), key=lambda post: post.at_ms)


def lines(history: History, book: PhoneBook) -> Iterator[bytes]:
    """Yield a line of JSON for each request, unsigned: its moment in milliseconds, the end of its path, its JSON."""
    for post in posts(history, book):
        yield msgspec.json.encode(post._asdict()) + b"\n"


def body(said: dict[str, Any], key: str, salt: str) -> bytes:
    """Return the form that is posted, with its signature."""
    text = msgspec.json.encode(said).decode()
    sign = sha256(f"{key}{text}{salt}".encode()).hexdigest()
    return urlencode({"vpbx_api_key": key, "sign": sign, "json": text}).encode()


def _call(call: Call, book: PhoneBook) -> Iterator[Post]:
    first = call[0]
    for number, leg in enumerate(call):
        if leg.manager.startswith(QUEUE_PREFIX) or (leg.internal and leg.direction == "inbound"):
            continue  # the leg of the caller has both
        before = next((number - 1 for one, then in pairwise(call) if then is leg and one.transfer_at is not None), None)
        colleague = next((one for one in call if one.internal and one is not leg), None) if leg.internal else None
        yield from _leg(leg, number, before, call, colleague, book)
    if not first.internal:
        yield _summary(call, book)


def _leg(
    leg: Leg, number: int, before: int | None, call: Call, colleague: Leg | None, book: PhoneBook
) -> Iterator[Post]:
    own = {"extension": book.extensions[leg.manager], "number": "sip:user@pbx.example"}
    outside: dict[str, Any] = {"number": _number(leg, book)}
    if colleague is not None:
        outside = {"extension": book.extensions[colleague.manager], "number": "sip:user@pbx.example"}
    is_from = leg.direction == "outbound" and before is None
    from_, to = (own, outside) if is_from else (outside, own)
    said: dict[str, Any] = {"entry_id": leg.call, "call_id": f"{leg.call}:{number}", "location": "abonent"}
    if before is not None:
        from_ = {**from_, "taken_from_call_id": f"{leg.call}:{before}"}
        said["transfer"] = _HOW[call[before].how]
    if leg.queue:
        to = {**to, "acd_group": leg.queue}
    said |= {"from": from_, "to": to}
    ended_at = leg.ended_at if leg.transfer_at is None else leg.transfer_at
    moments = (("Appeared", leg.started_at), ("Connected", leg.answered_at), ("Disconnected", ended_at))
    for seq, (state, at) in enumerate(moments, 1):
        if at is not None:
            reason = _NORMAL if leg.answered_at is not None else _REASONS.get(leg.disposition, _REASONS["no_answer"])
            more = {"disconnect_reason": reason} if state == "Disconnected" else {}
            yield Post(at, "/events/call", {**said, "timestamp": at // 1000, "seq": seq, "call_state": state, **more})


def _summary(call: Call, book: PhoneBook) -> Post:
    first = call[0]
    answered = next((leg for leg in call if leg.answered_at is not None), None)
    named = answered or first
    ended_at = max(leg.ended_at if leg.transfer_at is None else leg.transfer_at for leg in call)
    extension = named.manager.removeprefix(QUEUE_PREFIX)
    own, outside = {"extension": book.extensions.get(extension, extension)}, {"number": _number(first, book)}
    is_out = first.direction == "outbound"
    said = {
        "entry_id": first.call,
        "call_direction": 2 if is_out else 1,
        "from": own if is_out else outside,
        "to": outside if is_out else own,
        "create_time": first.started_at // 1000,
        "forward_time": first.started_at // 1000,
        "talk_time": 0 if answered is None else (answered.answered_at or 0) // 1000,
        "end_time": ended_at // 1000,
        "entry_result": int(answered is not None),
        "disconnect_reason": _NORMAL,
    }
    return Post(ended_at, "/events/summary", said)


def _number(leg: Leg, book: PhoneBook) -> str:
    return NO_NUMBER if leg.lead is None else book.number(leg.lead).removeprefix("+")

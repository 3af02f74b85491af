"""The commands of MegaFon's virtual PBX to a CRM: the states of each part of a call, and its record. Whole seconds.

A transfer begins another part, under an id of its own. There are no commands about calls between colleagues.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from streams.contract.events import QUEUE_PREFIX, Disposition
from streams.simulator.rendering.history import Call, History, Leg
from streams.simulator.rendering.phone_book import NO_NUMBER, PhoneBook
from streams.units import SECOND_MS

_STATUSES: Final[Mapping[Disposition, str]] = MappingProxyType(
    {"answered": "Success", "no_answer": "Missed", "busy": "Busy", "canceled": "Cancel", "failed": "NotFound"}
)


class Post(NamedTuple):
    """A request: when it happened, in milliseconds, and its form without the key of the CRM."""

    at_ms: int
    said: dict[str, str]


def posts(history: History, book: PhoneBook) -> Iterator[Post]:
    """Yield the requests in the order in which their moments lie."""
    yield from sorted((post for call in history.calls for post in _call(call, book)), key=lambda post: post.at_ms)


def lines(history: History, book: PhoneBook) -> Iterator[bytes]:
    """Yield a line of JSON for each request, without the key: its moment in milliseconds, and its form."""
    for post in posts(history, book):
        yield msgspec.json.encode(post._asdict()) + b"\n"


def body(said: Mapping[str, str], crm_token: str) -> bytes:
    """Return the form that is posted."""
    return urlencode({**said, "crm_token": crm_token}).encode()


def part_of(call: str, number: int) -> str:
    """Return the id of a part of a call: the first one has that of the call."""
    return call if number == 0 else f"{call}-{number}"


def _call(call: Call, book: PhoneBook) -> Iterator[Post]:
    if call[0].internal:
        return
    for number, leg in enumerate(call):
        yield from _part(leg, number, call[number - 1] if number else None, book)
    for number, (leg, then) in enumerate(pairwise(call)):
        if leg.transfer_at is not None:
            said = {**_about(leg, number, None, book), "cmd": "event", "type": "TRANSFERRED"}
            yield Post(max(leg.transfer_at, then.started_at), {**said, "second_callid": part_of(leg.call, number + 1)})


def _part(leg: Leg, number: int, before: Leg | None, book: PhoneBook) -> Iterator[Post]:
    """Yield the states of a leg, and its record.

    The receiver of an attended transfer has the call from the transfer on.
    """
    about = _about(leg, number, before, book)
    has_asked = before is not None and before.transfer_at is not None and before.how == "attended"
    starts = (before.transfer_at or 0) if before is not None and has_asked and leg.answered_at else leg.started_at
    answers = None if leg.answered_at is None else max(leg.answered_at, starts)
    ended_at = leg.ended_at if leg.transfer_at is None else leg.transfer_at
    if not leg.manager.startswith(QUEUE_PREFIX):
        type_ = "OUTGOING" if leg.direction == "outbound" and before is None else "INCOMING"
        states = ((type_, starts), ("ACCEPTED", answers), ("COMPLETED" if answers else "CANCELLED", ended_at))
        yield from (Post(at, {**about, "cmd": "event", "type": state}) for state, at in states if at is not None)
    begin, end = starts // SECOND_MS, ended_at // SECOND_MS
    answer = end if answers is None else answers // SECOND_MS
    record = {
        "cmd": "history",
        "type": about["direction"],
        "status": "Success" if answers is not None else _STATUSES.get(leg.disposition, "Missed"),
        "start": datetime.fromtimestamp(begin, UTC).strftime("%Y%m%dT%H%M%SZ"),
        "wait": str(answer - begin),
        "duration": str(end - answer),
    }
    yield Post(ended_at, {**about, **record})


def _about(leg: Leg, number: int, before: Leg | None, book: PhoneBook) -> dict[str, str]:
    is_queue = leg.manager.startswith(QUEUE_PREFIX)
    return {
        "phone": NO_NUMBER if leg.lead is None else book.number(leg.lead),
        "user": "",
        "ext": "" if is_queue else book.extensions[leg.manager],
        "groupRealName": leg.manager.removeprefix(QUEUE_PREFIX) if is_queue else "",
        "direction": "out" if leg.direction == "outbound" and before is None else "in",
        "callid": part_of(leg.call, number),
    }

"""The contact events of Amazon Connect, as EventBridge delivers them. Each has all that the system knows at its moment.

A contact is one agent's part in a call; a transfer begins another one. A flow has set the customer's number as a tag.
Calls between colleagues are no contacts, and there is no event of a telephone that rings without an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from streams.contract.events import QUEUE_PREFIX
from streams.simulator.rendering.history import Call, History, Leg
from streams.simulator.rendering.phone_book import PhoneBook

TAG: Final = "customer"
"""The key of the tag that has the customer's number."""
_INSTANCE: Final = "arn:aws:connect:eu-central-1:000000000000:instance/00000000-0000-4000-8000-000000000000"


class Post(NamedTuple):
    """A request: when it happened, in milliseconds, and its JSON."""

    at_ms: int
    said: dict[str, Any]


def posts(history: History, book: PhoneBook) -> Iterator[Post]:
    """Yield the requests in the order in which their moments lie."""
    yield from sorted((post for call in history.calls for post in _call(call, book)), key=lambda post: post.at_ms)


def lines(history: History, book: PhoneBook) -> Iterator[bytes]:
    """Yield a line of JSON for each event: its moment in milliseconds, and the event."""
    for post in posts(history, book):
        yield msgspec.json.encode(post._asdict()) + b"\n"


def _call(call: Call, book: PhoneBook) -> Iterator[Post]:
    first = call[0]
    if first.internal:
        return
    for number, leg in enumerate(call):
        contact = f"{first.call}-{number}" if number else first.call
        about: dict[str, Any] = {"contactId": contact, "channel": "VOICE", "instanceArn": _INSTANCE}
        about["initiationMethod"] = "TRANSFER" if number else first.direction.upper()
        if number:
            before = f"{first.call}-{number - 1}" if number > 1 else first.call
            about |= {"initialContactId": first.call, "previousContactId": before}
        if leg.lead is not None:
            about["tags"] = {TAG: book.number(leg.lead)}
        yield from _contact(leg, about, book, is_dialled=first.direction == "outbound" and not number)


def _contact(leg: Leg, about: Mapping[str, Any], book: PhoneBook, *, is_dialled: bool) -> Iterator[Post]:
    said: dict[str, Any] = {**about, "initiationTimestamp": _iso(leg.started_at)}
    yield _event(leg.started_at, "INITIATED", said)
    agent = {"agentArn": f"{_INSTANCE}/agent/{book.agent(leg.manager)}"} if leg.manager in book.extensions else {}
    queue = leg.manager.removeprefix(QUEUE_PREFIX) if leg.manager.startswith(QUEUE_PREFIX) else leg.queue
    if queue and not is_dialled:
        own = {"queueArn": f"{_INSTANCE}/queue/{queue}", "queueType": "STANDARD"}
        said["queueInfo"] = {**own, "enqueueTimestamp": _iso(leg.started_at)}
        yield _event(leg.started_at, "QUEUED", said)
    if is_dialled:  # the agent is there before the customer
        said["agentInfo"] = {**agent, "connectedToAgentTimestamp": _iso(leg.started_at)}
        yield _event(leg.started_at, "CONNECTED_TO_AGENT", said)
    if leg.answered_at is not None and is_dialled:
        said["connectedToSystemTimestamp"] = _iso(leg.answered_at)
        yield _event(leg.answered_at, "CONNECTED_TO_SYSTEM", said)
    elif leg.answered_at is not None:
        said["agentInfo"] = {**agent, "connectedToAgentTimestamp": _iso(leg.answered_at)}
        yield _event(leg.answered_at, "CONNECTED_TO_AGENT", said)
    ended_at = leg.ended_at if leg.transfer_at is None else leg.transfer_at
    if leg.disposition == "voicemail" and leg.answered_at is not None:
        said["answeringMachineDetectionStatus"] = "VOICEMAIL_BEEP"
    yield _event(ended_at, "DISCONNECTED", {**said, "disconnectTimestamp": _iso(ended_at)})


def _event(at_ms: int, kind: str, said: Mapping[str, Any]) -> Post:
    detail = {**said, "eventType": kind}
    return Post(at_ms, {"detail-type": "Amazon Connect Contact Event", "source": "aws.connect", "detail": detail})


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

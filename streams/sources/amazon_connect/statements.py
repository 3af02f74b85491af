"""Contact events as statements without any number.

A contact is one agent's part in a call; a transfer begins another contact, which names the first one. Events may come
late, twice, in another order, or not at all. Each has the whole state at its moment. Source: AWS, "Amazon Connect
contact events".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from streams.sources.amazon_connect.settings import NAME, ConnectSettings
from streams.sources.frame import Statement, UnreadableError
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.sources.times import TimeError, Times

DETAIL_TYPE: Final = "Amazon Connect Contact Event"
# AWS: "ignore event types that you do not know", since new ones are added.
KNOWN: Final[Mapping[str, str]] = {
    "INITIATED": "initiated",
    "CONNECTED_TO_SYSTEM": "system",
    "QUEUED": "queued",
    "CONNECTED_TO_AGENT": "agent",
    "DISCONNECTED": "ended",
    "COMPLETED": "ended",
}
"""The types of events, each with the moment that it must have."""
_NEVER: Final = "1970-01-01T"
_LONGEST_ID: Final = 100
_ISO: Final = Times("iso")
_AGENT_QUEUE: Final = "AGENT"

_Fields: TypeAlias = Mapping[str, Any]


class Said(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One statement. Moments are in milliseconds since epoch; None: not yet, or not in the event."""

    contact: str
    root: str
    previous: str = ""
    method: str = ""
    initiated: int | None = None
    system: int | None = None
    queued: int | None = None
    agent: int | None = None
    ended: int | None = None
    manager: str = ""
    queue: str = ""
    lead: str = ""
    machine: bool = False

    def statement(self) -> Statement:
        """Return its stored form."""
        return Statement(call=self.root, body=msgspec.json.encode(self))


class Reader:
    """Reads contact events, by the settings."""

    def __init__(self, settings: ConnectSettings, people: People, secret: bytes, region: str | None = None) -> None:
        self._settings = settings
        self._people = people
        self._secret = secret
        self._numbers = Numbers(settings.numbers, region)

    def read(self, envelope: _Fields, latest_ms: int) -> Said | None:
        """Return the statement of an event, None for one that concerns no call. A moment after `latest_ms` is refused.

        Raises UnreadableError.
        """
        detail = envelope.get("detail")
        if envelope.get("detail-type") != DETAIL_TYPE or envelope.get("source") != "aws.connect":
            raise UnreadableError("unknown_type", "no contact event of Amazon Connect")
        if not isinstance(detail, dict):
            raise UnreadableError("invalid_field", "detail is no object")
        return self._said(_folded(detail), latest_ms)

    def _said(self, fields: _Fields, latest_ms: int) -> Said | None:
        kind = _text(fields, "eventtype", needed=True)
        contact = _id(fields, "contactid", needed=True)
        if kind not in KNOWN or _text(fields, "channel").upper() not in ("VOICE", ""):
            return None
        agent, queue = _part(fields, "agentinfo"), _part(fields, "queueinfo")
        moments = {
            "initiated": _moment(fields, "initiationtimestamp"),
            "system": _moment(fields, "connectedtosystemtimestamp"),
            "queued": _moment(queue, "enqueuetimestamp"),
            "agent": _moment(agent, "connectedtoagenttimestamp"),
            "ended": _moment(fields, "disconnecttimestamp"),
        }
        found = [moment for moment in moments.values() if moment is not None]
        # An outbound contact that is never connected has `1970-01-01` there.
        if not found or (moments[KNOWN[kind]] is None and kind != "CONNECTED_TO_SYSTEM"):
            raise UnreadableError("missing_field", "the moment of the event is missing")
        if max(found) > latest_ms:
            raise UnreadableError("future", "a moment is later than the receipt")
        if moments["ended"] is not None and moments["ended"] < max(found):
            raise UnreadableError("invalid_time", "the contact ends before it begins")
        return Said(
            contact=contact,
            root=_id(fields, "initialcontactid") or contact,
            previous=_id(fields, "previouscontactid"),
            method=_text(fields, "initiationmethod").upper(),
            manager=self._manager(_text(agent, "agentarn")),
            queue="" if _text(queue, "queuetype") == _AGENT_QUEUE else self._queue(_text(queue, "queuearn")),
            lead=self._lead(fields),
            machine=_text(fields, "answeringmachinedetectionstatus").upper().startswith("VOICEMAIL"),
            **moments,
        )

    def _manager(self, arn: str) -> str:
        """Return the manager with an agent's ARN. The roster has the ARN, or the id at its end."""
        if not arn:
            return ""
        whole = self._people.identified(NAME, Heard(user=arn))
        return (whole or self._people.resolve(NAME, Heard(user=_last(arn)))).manager

    def _queue(self, arn: str) -> str:
        queues = self._settings.queues
        return queues.get(arn) or queues.get(_last(arn)) or ""

    def _lead(self, fields: _Fields) -> str:
        tags = fields.get("tags")
        tag = self._settings.number_tag
        number = tags.get(tag) if tag and isinstance(tags, dict) else None
        return (self._numbers.lead(number, self._secret) or "") if isinstance(number, str) else ""


def _folded(detail: _Fields) -> dict[str, Any]:
    """Return the fields by their names in lower case: samples of AWS have `contactId` and `ContactId`."""
    return {name.casefold(): value for name, value in detail.items()}


def _part(fields: _Fields, name: str) -> dict[str, Any]:
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError("invalid_field", f"{name} is no object")
    return _folded(value)


def _text(fields: _Fields, name: str, *, needed: bool = False) -> str:
    value = fields.get(name)
    if value is None and name not in fields:
        if needed:
            raise UnreadableError("missing_field", f"{name} is missing")
        return ""
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise UnreadableError("invalid_field", f"{name} is no text")
    if needed and not value:
        raise UnreadableError("missing_field", f"{name} is empty")
    return value


def _id(fields: _Fields, name: str, *, needed: bool = False) -> str:
    text = _text(fields, name, needed=needed)
    if len(text) > _LONGEST_ID or not text.isprintable() or not text.isascii():
        raise UnreadableError("invalid_field", f"{name} is too long, or has characters that no id has")
    return text


def _moment(fields: _Fields, name: str) -> int | None:
    text = fields.get(name)
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise UnreadableError("invalid_time", f"{name} is no text")
    if text.startswith(_NEVER):
        return None
    try:
        return _ISO.moment(text[:64])
    except TimeError as error:
        raise UnreadableError("invalid_time", f"{name} {error}") from None


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]

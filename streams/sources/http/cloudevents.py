"""CloudEvents 1.0 in JSON: the envelope around an event, in the structured and in the binary mode.

The envelope's `type` is `callpulse.` and the event's type, its `data` the event. Missing fields of the event come from
the envelope: `id` from `source` and `id`, `at` from `time`, `type` from `type`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from streams.contract.decoding import why_not_json
from streams.contract.events import VERSION, Rejection
from streams.units import SECOND_MS

SPECVERSION: Final = "1.0"
PREFIX: Final = "callpulse."
HEADER: Final = "ce-"
_REQUIRED: Final = ("specversion", "id", "source", "type")
_LONGEST: Final = 2048
_LONGEST_ID: Final = 128
_HASH_DIGITS: Final = 32
_BYTES: Final = re.compile(r"[\ud800-\udfff]")
"""Bytes of a header that are not UTF-8, as a server hands them over: no JSON and no hash can hold them."""
_JSON: Final = re.compile(r"[a-z]+/(?:[a-z0-9.-]+\+)?json(?:\s*;.*)?", re.IGNORECASE)
_NO_DATA: Final = msgspec.Raw()


class Envelope(Struct, kw_only=True):
    """The attributes of a CloudEvent that matter here. `None`: the attribute is missing."""

    specversion: Any = None
    id: Any = None
    source: Any = None
    type: Any = None
    time: Any = None
    datacontenttype: Any = None
    data: msgspec.Raw = _NO_DATA
    data_base64: Any = None


class Unwrapped(NamedTuple):
    """The event of a CloudEvent, as JSON, and the type of event that the envelope names."""

    value: bytes
    kind: str


_decode: Final = msgspec.json.Decoder(Envelope).decode


def from_structured(value: bytes, sender: str) -> Unwrapped | Rejection:
    """Return the event inside a CloudEvent in JSON, or the reason why there is none. Never raises."""
    try:
        envelope = _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return why_not_json(value, "a CloudEvent is a JSON object")
    data = bytes(envelope.data)
    if envelope.data_base64 is not None:
        try:
            data = base64.b64decode(envelope.data_base64, validate=True)
        except (binascii.Error, ValueError, TypeError):
            return Rejection("invalid_field", "`data_base64` is not base64")
    return _unwrapped(envelope, data, sender)


def is_binary(headers: Mapping[str, str]) -> bool:
    """Return whether the attributes of a CloudEvent are in the headers. Names of headers are in lower case."""
    return any(HEADER + name in headers for name in _REQUIRED)


def from_binary(headers: Mapping[str, str], body: bytes, sender: str) -> Unwrapped | Rejection:
    """Return the event of a request whose body is the event and whose headers are the envelope. Never raises."""
    given = {name: headers.get(HEADER + name) for name in (*_REQUIRED, "time")}
    attributes = {name: None if text is None else unquote(text, errors="replace") for name, text in given.items()}
    return _unwrapped(msgspec.convert(attributes, Envelope), body, sender)


def _unwrapped(envelope: Envelope, data: bytes, sender: str) -> Unwrapped | Rejection:
    if (wrong := _wrong(envelope, data)) is not None:
        return wrong
    kind = envelope.type.removeprefix(PREFIX)
    try:
        held = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Unwrapped(data, kind)  # the decoder of events refuses it
    made: dict[str, Any] = {"v": VERSION, "id": _event_id(envelope), "type": kind, "source": sender}
    if "at" not in held and envelope.time is not None:
        at = _milliseconds(envelope.time)
        if at is None:
            return Rejection("invalid_time", "`time` of the CloudEvent is not a moment of RFC 3339")
        made["at"] = at
    return Unwrapped(data if made.keys() <= held.keys() else msgspec.json.encode(made | held), kind)


def _wrong(envelope: Envelope, data: bytes) -> Rejection | None:
    """Return the problem of the attributes."""
    for name in _REQUIRED:
        value = getattr(envelope, name)
        if value is None:
            return Rejection("missing_field", f"the CloudEvent has no `{name}`")
        if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or _BYTES.search(value):
            return Rejection("invalid_field", f"`{name}` of the CloudEvent is not a text of 1 to {_LONGEST} characters")
    if envelope.specversion != SPECVERSION:
        return Rejection("unknown_version", f"CloudEvents {SPECVERSION} is understood")
    if not envelope.type.startswith(PREFIX):
        return Rejection("unknown_type", f"`type` of the CloudEvent does not begin with {PREFIX}")
    kind = envelope.datacontenttype
    if kind is not None and not (isinstance(kind, str) and _JSON.fullmatch(kind)):
        return Rejection("invalid_field", "`datacontenttype` of the CloudEvent is not JSON")
    return None if data else Rejection("empty", "the CloudEvent has no data")


def _event_id(envelope: Envelope) -> str:
    """Return one id for each pair of source and id: as it is where it is short, else its hash."""
    text = f"{envelope.source}:{envelope.id}"
    return text if len(text) <= _LONGEST_ID else f"ce:{sha256(text.encode()).hexdigest()[:_HASH_DIGITS]}"


def _milliseconds(time: object) -> int | None:
    try:
        moment = datetime.fromisoformat(time) if isinstance(time, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    return round(moment.timestamp() * SECOND_MS)

"""A request's body becomes parts, and each part an event or a refusal: one bad event fails no other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from streams.contract.decoding import why_not_json
from streams.contract.events import MAX_BYTES, Event, Rejection
from streams.sources.frame import LONGEST_SHAPE, Refused, shape
from streams.sources.http import cloudevents
from streams.sources.http.acceptance import Acceptance

MOST_EVENTS: Final = 500
Form: TypeAlias = Literal["json", "ndjson", "cloudevent", "cloudevents", "binary"]
FORMS: Final[Mapping[str, Form]] = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/cloudevents+json": "cloudevent",
    "application/cloudevents-batch+json": "cloudevents",
}
_BOM: Final = b"\xef\xbb\xbf"
_SPEECH: Final = b"speech."
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii"})
_PARAMETER: Final = re.compile(r'\s*charset\s*=\s*"?([^";\s]*)"?\s*', re.IGNORECASE)
# An unterminated string matches as a single quotation mark, which ends the search: the text is scanned once.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{},]', re.DOTALL)
_ANOTHER_TYPE: Final = Rejection(
    "invalid_field", "`type` of the data is not that of the CloudEvent without its `callpulse.`"
)
_NO_ARRAY: Final = "the body is not a JSON array"
_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class TooManyError(Exception):
    """The body has more than `MOST_EVENTS` parts."""


class Unread(Struct, frozen=True):
    """A part that is no event. `id` is its id, if it has one."""

    id: str | None
    refused: Refused


Part: TypeAlias = Event | Unread


class _Identified(Struct):
    id: Annotated[str, Meta(min_length=1, max_length=128)]


_identified: Final = msgspec.json.Decoder(_Identified).decode


def form_of(headers: Mapping[str, str]) -> Form | None:
    """Return the form of a body by its Content-Type, or None for an unknown one. It is never guessed."""
    kind, *parameters = headers.get("content-type", "").split(";")
    form = FORMS.get(kind.strip().lower())
    for parameter in parameters:
        charset = _PARAMETER.fullmatch(parameter)
        if charset is not None and charset[1].lower() not in _CHARSETS:
            return None
    return "binary" if form == "json" and cloudevents.is_binary(headers) else form


class BatchReader:
    """Reads bodies. Keeps no state between calls."""

    def __init__(self, acceptance: Acceptance) -> None:
        self._acceptance = acceptance

    def read(
        self, form: Form, headers: Mapping[str, str], body: bytes, *, sender: str, received_at_ms: int
    ) -> list[Part]:
        """Return an event or a refusal for each part of a body, in their order.

        A body that has no parts, because it is no JSON, is one refusal.

        Raises:
            TooManyError: there are more than `MOST_EVENTS` parts.
        """
        body = body.removeprefix(_BOM)
        values = _split(form, body)
        if isinstance(values, Rejection):
            return [_unread(body, values, where="the body", headers=headers)]
        if len(values) > MOST_EVENTS:
            raise TooManyError
        parts: list[Part] = []
        for number, value in enumerate(values, 1):
            event = self._event(form, headers, value, sender, received_at_ms)
            if isinstance(event, Rejection):
                parts.append(_unread(value, event, where=f"event {number}", headers=headers))
            else:
                parts.append(event)
        return parts

    def _event(
        self, form: Form, headers: Mapping[str, str], value: bytes, sender: str, received_at_ms: int
    ) -> Event | Rejection:
        if form in {"json", "ndjson"}:
            return self._acceptance.event(value, received_at_ms)
        inner = (
            cloudevents.from_binary(headers, value, sender)
            if form == "binary"
            else cloudevents.from_structured(value, sender)
        )
        if isinstance(inner, Rejection):
            return inner
        event = self._acceptance.event(inner.value, received_at_ms)
        if isinstance(event, Event) and event.__struct_config__.tag != inner.kind:
            return _ANOTHER_TYPE
        return event


def _split(form: Form, body: bytes) -> list[bytes] | Rejection:
    """Return the parts of a body."""
    if not body.strip():
        return Rejection("empty", "the body is empty")
    if form == "ndjson":
        return [line for line in body.split(b"\n") if line.strip()]
    if form == "cloudevents" or (form == "json" and body.lstrip()[:1] == b"["):
        return _elements(body)
    return [body]


def _elements(body: bytes) -> list[bytes] | Rejection:
    try:
        found = _list(body)
    except RecursionError:
        return _elements_of_deep(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return why_not_json(body, _NO_ARRAY)
    if len(found) > MOST_EVENTS:
        raise TooManyError  # before half a million numbers become as many parts
    return [bytes(raw) for raw in found]


def _elements_of_deep(body: bytes) -> list[bytes] | Rejection:
    """Return the elements of an array of which one is nested too deeply to be read: it fails none of the others."""
    depth, begin = 0, 0
    elements: list[bytes] = []
    for token in _TOKEN.finditer(body):
        char = body[token.start()]
        if token[0] == b'"':
            break
        if char in b"[{":
            depth += 1
            begin = token.end() if depth == 1 else begin
        elif char in b"]}":
            depth -= 1
        if (depth == 0) or (depth == 1 and char == ord(",")):
            if len(elements) == MOST_EVENTS:
                raise TooManyError
            elements.append(body[begin : token.start()].strip())
            begin = token.end()
        if depth == 0:
            break
    if depth or body[begin:].strip():
        return Rejection("not_json", _NO_ARRAY)
    return elements


def _unread(value: bytes, rejection: Rejection, *, where: str, headers: Mapping[str, str]) -> Unread:
    if _SPEECH in value or _SPEECH.decode() in headers.get("ce-type", ""):
        # The lengths of words and the names of fields are more than a dead letter may hold of spoken words.
        masked = f"{len(value)} bytes of a transcript".encode()
    else:
        # Of a large part only the beginning is masked: the rest would take long and be cut off.
        masked = shape(value if len(value) <= MAX_BYTES else value[:LONGEST_SHAPE])
    refused = Refused(reason=rejection.reason, detail=rejection.detail, where=where, shape=masked)
    return Unread(_id_of(value), refused)


def _id_of(value: bytes) -> str | None:
    try:
        return _identified(value).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def results(parts: Iterable[Part], stored: Iterable[str]) -> list[dict[str, Any]]:
    """Return the result of each part, in their order. `stored` has a word for each event among them."""
    words = iter(stored)
    made: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Unread):
            refused = part.refused
            made.append({"id": part.id, "status": "rejected", "reason": refused.reason, "detail": refused.detail})
        else:
            made.append({"id": part.id, "status": next(words)})
    return made

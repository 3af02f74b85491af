"""The event socket of FreeSWITCH as bytes: headers, an empty line, and a body of `Content-Length` bytes.

The body of an event has headers again, whose values are percent-encoded, and perhaps a body of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import unquote

import msgspec
from msgspec import Struct

LONGEST_HEADERS: Final = 64 * 1024
LONGEST_BODY: Final = 16 * 1024 * 1024
_END: Final = re.compile(rb"\r?\n\r?\n")
_ENDS: Final = (b"\n\n", b"\n\r\n")
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*:")
_MOST_LENGTH: Final = 12
_BLANK: Final = b"\r\n"

Event: TypeAlias = Mapping[str, str]


class FramingError(Exception):
    """The borders of messages are lost, so the connection cannot be used any more. No value is quoted."""


class Frame(Struct, frozen=True, gc=False):
    """One message of the socket. Names of headers are as they came, without any decoding."""

    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def kind(self) -> str:
        """The `Content-Type`, "" if there is none."""
        return self.headers.get("Content-Type", "")


class EslParser:
    """Reads the byte stream of one connection, in pieces of any size. It keeps at most one message.

    `broken` is the reason why no more can be read, "" before an error.
    """

    def __init__(self) -> None:
        self.broken = ""
        self._buffer = bytearray()
        self._seen = 0
        self._headers: dict[str, str] | None = None

    @property
    def is_torn(self) -> bool:
        """True if a message has begun and is not complete."""
        return self._headers is not None or bool(self._buffer.strip(_BLANK))

    def feed(self, data: bytes) -> list[Frame]:
        """Return the messages that `data` completes. Never raises."""
        frames: list[Frame] = []
        if not self.broken:
            self._buffer += data
            try:
                self._read(frames)
            except FramingError as error:
                self.broken = str(error)
                self._buffer.clear()
        return frames

    def _read(self, frames: list[Frame]) -> None:
        buffer, place = self._buffer, 0
        while True:
            if self._headers is None:
                place = _after_blank(buffer, place)
                end, after = _end_of_headers(buffer, max(place, self._seen))
                if (len(buffer) if end < 0 else end) - place > LONGEST_HEADERS:
                    raise FramingError(f"more than {LONGEST_HEADERS} bytes of headers")
                if end < 0:
                    break
                self._headers = _headers(bytes(buffer[place:end]))
                place = after
            length = _length(self._headers)
            if len(buffer) - place < length:
                break
            frames.append(Frame(self._headers, bytes(buffer[place : place + length])))
            self._headers, self._seen = None, 0
            place += length
        del buffer[:place]
        # The next piece may complete an end of headers that has begun.
        self._seen = max(0, len(buffer) - 2) if self._headers is None else 0


def read_event(body: bytes) -> Event | None:
    """Return the headers of an event in its plain form, decoded; None for a body that is no event."""
    found = _END.search(body)
    text = body[: found.start() if found else len(body)].decode("utf-8", "replace")
    event: dict[str, str] = {}
    for line in text.split("\n"):
        name, colon, value = line.rstrip("\r").partition(": ")
        if colon:
            event.setdefault(name, unquote(value) if "%" in value else value)
    return event if "Event-Name" in event else None


def read_json_event(body: bytes) -> Event | None:
    """Return the headers of an event in its JSON form; None for a body that is no event."""
    try:
        found = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    event = {name: value for name, value in found.items() if isinstance(value, str)}
    return event if "Event-Name" in event else None


def _after_blank(data: bytearray, place: int) -> int:
    while place < len(data) and data[place] in _BLANK:
        place += 1
    return place


def _end_of_headers(data: bytearray, place: int) -> tuple[int, int]:
    """Return the places at which the next empty line begins and ends; -1 for none."""
    found = [(at, at + len(end)) for end in _ENDS if (at := data.find(end, place)) >= 0]
    return min(found, default=(-1, -1))


def _headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in block.decode("utf-8", "replace").split("\n"):
        if _HEADER.match(line) is None:
            raise FramingError("a line between two messages is no header")
        name, _, value = line.partition(":")
        headers.setdefault(name, value.strip())
    if "Event-Name" in headers or "Event-Sequence" in headers:
        raise FramingError("a part of an event stands between two messages: a Content-Length was too short")
    return headers


def _length(headers: Mapping[str, str]) -> int:
    text = headers.get("Content-Length", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_LENGTH):
        raise FramingError("a Content-Length is no number")
    length = int(text)
    if length > LONGEST_BODY:
        raise FramingError(f"a message of more than {LONGEST_BODY} bytes")
    return length

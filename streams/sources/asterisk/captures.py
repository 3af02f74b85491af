"""Recordings of the manager interface as files: JSON lists, one JSON event per line, or the bytes themselves.

Recordings are often damaged: torn off, glued together, copied with blanks, or logged with a time before each line.
Everything that can be read is read. Each part that cannot is a `BadLine`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from json import JSONDecoder
from typing import Final

from streams.sources.asterisk.wire import UNSUPPORTED, AmiParser, BadLine, Read

_GLUED: Final = re.compile(rb"(?<=[^\r\n])(?=Asterisk Call Manager/\d)")
_HEADER: Final = re.compile(rb"[A-Za-z][\w-]*:")
_LOGGED: Final = re.compile(rb"([^{\r\n]+?)(?:(?:Event|Response): ?\w|Asterisk Call Manager/)", re.IGNORECASE)
_TOKEN: Final = re.compile(rb"(\d+)|([A-Za-z]+)|(\s+)|(.)", re.DOTALL)
_OBJECT: Final = re.compile(r'\n\s*\{|\{\s*"event"', re.IGNORECASE)
_DECODER: Final = JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_LINES_LOOKED_AT: Final = 200
_OLD_EVENTS: Final[Mapping[str, str]] = {"dial": "subevent", "bridge": "bridgestate", "unlink": "channel1"}
"""Events of Asterisk 11 and older, with a header that only the old form has."""


def read_recording(data: bytes) -> Iterator[Read]:
    """Yield the events of a recording in any of the three forms, and a `BadLine` per unreadable part.

    The events of Asterisk 11 and older are refused: one `BadLine` with the reason `unsupported` ends the recording.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "replace").encode()
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    prefix = _line_prefix(data)
    is_json = prefix is None and data.lstrip().startswith((b"[", b"{"))
    for read in _json(data) if is_json else _text(data, prefix):
        if isinstance(read, BadLine):
            yield read
            if read.reason == "unsupported":
                return
        elif is_unsupported(read):
            yield BadLine("unsupported", 1, UNSUPPORTED)
            return
        else:
            yield read


def is_unsupported(event: Mapping[str, str]) -> bool:
    """Return whether an event has the form of Asterisk 11 or older, which has no Linkedid and other bridge events."""
    names = {name.casefold() for name in event}
    kind = next((value for name, value in event.items() if name.casefold() == "event"), "").casefold()
    if kind == "newchannel":
        return "uniqueid" in names and names.isdisjoint(("linkedid", "priority"))
    return kind in _OLD_EVENTS and _OLD_EVENTS[kind] in names


def _text(data: bytes, prefix: re.Pattern[bytes] | None) -> Iterator[Read]:
    if prefix is not None:
        data = prefix.sub(b"", data)
    data = _GLUED.sub(b"\n", data)  # the recording before it was torn off within a line
    parser = AmiParser()
    yield from parser.feed(data)
    yield from parser.finish(keep_last=True)


def _line_prefix(data: bytes) -> re.Pattern[bytes] | None:
    """Return the pattern of a logger's text before each line, by the first line in which an event begins."""
    for line in data.split(b"\n", _LINES_LOOKED_AT)[:_LINES_LOOKED_AT]:
        if _HEADER.match(line):
            return None
        found = _LOGGED.match(line)
        if found is None:
            continue
        pattern = b""
        for number, word, blank, other in _TOKEN.findall(found[1].rstrip()):
            pattern += rb"\d+" if number else b"[A-Za-z]+" if word else rb"[ \t]+" if blank else re.escape(other)
        return re.compile(b"^" + pattern + rb"[ \t]?", re.MULTILINE)
    return None


def _json(data: bytes) -> Iterator[Read]:
    """Yield the objects of a JSON list, of several lists one after another, or of lines."""
    text = data.decode("utf-8", "replace")
    place = 0
    if "{" not in text and text.strip(" \t\r\n[]"):
        yield BadLine("not_json", 1, "no event in it")
    elif "{" not in text and "]" not in text:
        yield BadLine("not_json", 1, "a list that is cut off")
    while "{" in text:
        start = text.find("{", place)
        between = text[place:] if start < 0 else text[place : text.rfind("\n", place, start) + 1]
        for line in between.split("\n"):
            if line.strip(" \t\r,[]"):
                yield BadLine("not_json", _line(text, place), "text between the events")
                break
        if start < 0:
            return
        try:
            event, place = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            yield BadLine("not_json", _line(text, start), "an event that is broken or cut off")
            found = _OBJECT.search(text, start + 1)
            if found is None:
                return
            place = found.end() - len(found[0].lstrip("\n \t\r"))
        else:
            yield from _event(event, _line(text, start))


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _event(event: object, line: int) -> Iterator[Read]:
    assert isinstance(event, dict)  # noqa: S101 - for mypy; a JSON object is nothing else
    fields = {str(name): _value(value) for name, value in event.items()}
    names = {name.casefold(): name for name in fields}
    if "event" in names:
        kind = fields[names["event"]].partition("\n")[0]
        if kind and not isinstance(event[names["event"]], dict):
            yield fields | {names["event"]: kind}
            return
    elif "response" in names or "action" in names:
        return
    yield BadLine("not_an_event", line, "an event is an object with an `Event`")


def _value(value: object) -> str:
    """Return a header's value as text. Libraries make a list of a header that comes twice."""
    if isinstance(value, list):
        return "\n".join(map(_value, value))
    return "" if value is None else str(value)

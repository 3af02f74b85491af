"""The Asterisk manager interface as bytes: lines `Name: value`, an empty line after each event.

Also recordings of it, as files: a JSON list of events, one JSON event a line, or the bytes themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

LONGEST_LINE: Final = 64 * 1024
MOST_LINES: Final = 2000
_GREETING: Final = b"Asterisk Call Manager/"

WireReason: TypeAlias = Literal["no_colon", "too_long", "too_many_lines", "cut_off", "not_json", "not_an_event"]


class BadLine(Struct, frozen=True, gc=False):
    """A line or message that could not be read. `line` counts from 1 in the input so far. No text is quoted."""

    reason: WireReason
    line: int
    detail: str


Read: TypeAlias = dict[str, str] | BadLine


class AmiParser:
    """Reads the byte stream of one connection, in pieces of any size."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._rest = b""
        self._skipping = False
        self._fields: dict[str, str] = {}
        self._count = 0
        self._line = 0
        self._in_output = False

    def feed(self, data: bytes) -> list[Read]:
        """Return the messages that `data` completes (responses too, without `Event`), and unreadable lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        read: list[Read] = []
        for line in lines:
            self._line += 1
            if self._skipping:
                self._skipping = False
            elif len(line) > LONGEST_LINE:
                read.append(self._bad("too_long", f"more than {LONGEST_LINE} bytes in a line"))
            else:
                self._take(line.rstrip(b"\r"), read)
        if len(self._rest) > LONGEST_LINE:
            if not self._skipping:
                read.append(BadLine("too_long", self._line + 1, f"more than {LONGEST_LINE} bytes in a line"))
            self._rest, self._skipping = b"", True
        return read

    def finish(self) -> list[Read]:
        """Report a stream that ended within a message, and reset the parser for a new connection."""
        cut_off = bool(self._rest or self._fields)
        left: list[Read] = [BadLine("cut_off", self._line + 1, "the stream ended within a message")] if cut_off else []
        self._begin()
        return left

    def _take(self, line: bytes, read: list[Read]) -> None:
        if not line:
            if self._fields:
                read.append(self._fields)
            self._fields, self._count, self._in_output = {}, 0, False
            return
        if not self._fields and line.startswith(_GREETING):
            return  # the only line that no empty line follows
        if self._in_output:  # output of a command, before Asterisk 14
            self._in_output = not line.endswith(b"--END COMMAND--")
            return
        name, colon, value = line.partition(b":")
        if not colon or not name.strip():
            read.append(self._bad("no_colon", "a line is `Name: value`"))
            return
        self._count += 1
        if self._count > MOST_LINES:
            if self._count == MOST_LINES + 1:
                read.append(self._bad("too_many_lines", f"more than {MOST_LINES} lines in a message"))
            return
        # Telephones send caller names in any encoding. No figure depends on them.
        key, text = name.strip().decode("utf-8", "replace"), value.strip().decode("utf-8", "replace")
        self._fields[key] = f"{self._fields[key]}\n{text}" if key in self._fields else text
        self._in_output = key == "Response" and text == "Follows"

    def _bad(self, reason: WireReason, detail: str) -> BadLine:
        return BadLine(reason, self._line, detail)


def read_recording(data: bytes) -> Iterator[Read]:
    """Yield the events of a recording in any of the three forms, and a `BadLine` per unreadable part."""
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        try:
            events = msgspec.json.decode(start)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            yield BadLine("not_json", 1, str(error))
            return
        for place, event in enumerate(events, start=1):
            yield _event(event, place)
    elif start.startswith(b"{"):
        for place, line in enumerate(data.splitlines(), start=1):
            if not line.strip():
                continue
            try:
                event = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                yield BadLine("not_json", place, str(error))
            else:
                yield _event(event, place)
    else:
        parser = AmiParser()
        yield from parser.feed(data)
        yield from parser.finish()


def _event(event: object, place: int) -> Read:
    if not isinstance(event, dict) or not isinstance(event.get("Event"), str):
        return BadLine("not_an_event", place, "an event is an object with an `Event`")
    return {
        str(name): value if isinstance(value, str) else "" if value is None else str(value)
        for name, value in event.items()
    }

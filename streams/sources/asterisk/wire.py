"""The Asterisk manager interface as bytes: lines `Name: value`, an empty line after each event."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final, Literal, TypeAlias

from msgspec import Struct

LONGEST_LINE: Final = 64 * 1024
MOST_LINES: Final = 2000
_GREETING: Final = re.compile(rb"Asterisk Call Manager/(\d+)")
_OLDEST_INTERFACE: Final = 2  # of Asterisk 12
_END: Final = b"\r\n\r\n"
_EVENT: Final = b"Event: "
_BLANKS: Final = " \t\n\r\x0b\x0c"  # those of bytes.strip
_MOST_NAMES: Final = 10_000
_LONGEST_EVENT: Final = 80
UNSUPPORTED: Final = "this is Asterisk 11 or older; its events do not say which channels belong together. 12 is needed"

WireReason: TypeAlias = Literal[
    "no_colon", "too_long", "too_many_lines", "cut_off", "not_json", "not_an_event", "unsupported"
]


class BadLine(Struct, frozen=True, gc=False):
    """A line or message that could not be read. `line` counts from 1 in the input so far. No text is quoted."""

    reason: WireReason
    line: int
    detail: str


Read: TypeAlias = dict[str, str] | BadLine


class AmiParser:
    """Reads the byte stream of one connection, in pieces of any size.

    `wanted` holds names of events in lower case. Without it, all are read. An ordinary message of another event is
    skipped: it costs a tenth of one that is read. `skipped` counts them.
    """

    def __init__(self, wanted: Container[bytes] | None = None) -> None:
        self._wanted = wanted
        self.skipped = 0
        self._names: set[str] = set()
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
        read: list[Read] = []
        data = self._rest + data
        place, by_lines_until = 0, -1
        while True:
            if place > by_lines_until and not (self._count or self._skipping):
                place, by_lines_until = self._ordinary(data, place, read)
            end = data.find(b"\n", place)
            if end < 0:
                break
            self._take_line(data[place:end], read)
            place = end + 1
        self._rest = data[place:]
        if len(self._rest) > LONGEST_LINE:
            if not self._skipping:
                read.append(BadLine("too_long", self._line + 1, f"more than {LONGEST_LINE} bytes in a line"))
            self._rest, self._skipping = b"", True
        return read

    def _ordinary(self, data: bytes, place: int, read: list[Read]) -> tuple[int, int]:
        """Read whole messages as long as they are ordinary: as Asterisk writes them, without a line that is odd.

        Return their end, and the place up to which lines have to be read one by one.
        """
        wanted = self._wanted
        while (end := data.find(_END, place)) >= 0:
            message = data[place:end]
            if wanted is not None and message.startswith(_EVENT) and _name_of(message) not in wanted:
                self._line += message.count(b"\n") + 2
                self.skipped += 1
                place = end + len(_END)
                continue
            fields = self._read_ordinary(message)
            if fields is None:
                return place, end
            self._line += len(fields) + 1
            read.append(fields)
            place = end + len(_END)
        return place, len(data)

    def _read_ordinary(self, message: bytes) -> dict[str, str] | None:
        """Return the headers of a message, or None if it has an odd line.

        Odd are lines without a blank after the colon, a header that comes twice, output of a command, names with
        blanks around them, and line ends other than the usual ones.
        """
        if len(message) > LONGEST_LINE or b"Follows" in message:
            return None
        lines = message.decode("utf-8", "replace").split("\r\n")
        if len(lines) > MOST_LINES or message.count(b"\n") != len(lines) - 1:
            return None
        try:
            fields = {name: value.strip(_BLANKS) for name, value in [line.split(": ", 1) for line in lines]}
        except ValueError:  # a line without ": "
            return None
        if len(fields) != len(lines):
            return None
        if not fields.keys() <= self._names:
            if not all(map(_is_ordinary, fields)):
                return None
            if len(self._names) < _MOST_NAMES:
                self._names.update(fields)
        return fields

    def _take_line(self, line: bytes, read: list[Read]) -> None:
        self._line += 1
        if self._skipping:
            self._skipping = False
        elif len(line) > LONGEST_LINE:
            read.append(self._bad("too_long", f"more than {LONGEST_LINE} bytes in a line"))
        else:
            self._take(line.rstrip(b"\r"), read)

    def finish(self, *, keep_last: bool = False) -> list[Read]:
        """Report a stream that ended within a message, and reset the parser for a new connection.

        With `keep_last`, for recordings, the last message is returned although no empty line follows it. Only a line
        that is torn off is reported then.
        """
        left: list[Read] = [self._fields] if keep_last and self._fields else []
        if self._rest.strip() or (self._fields and not keep_last):
            left.append(BadLine("cut_off", self._line + 1, "the stream ended within a message"))
        self._begin()
        return left

    def _take(self, line: bytes, read: list[Read]) -> None:
        if not line.strip():
            self._message(read)
            return
        greeting = _GREETING.match(line)
        if greeting is not None:  # the only line that no empty line follows
            self._message(read)
            if int(greeting[1]) < _OLDEST_INTERFACE:
                read.append(self._bad("unsupported", UNSUPPORTED))
            return
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
        if key.casefold() == "event" and "event" in map(str.casefold, self._fields):
            self._message(read)  # the empty line between two events is lost
            self._count = 1
        self._fields[key] = f"{self._fields[key]}\n{text}" if key in self._fields else text
        self._in_output = key.casefold() == "response" and text == "Follows"

    def _message(self, read: list[Read]) -> None:
        if self._fields:
            read.append(self._fields)
        self._fields, self._count, self._in_output = {}, 0, False

    def _bad(self, reason: WireReason, detail: str) -> BadLine:
        return BadLine(reason, self._line, detail)


def _name_of(message: bytes) -> bytes:
    return message[len(_EVENT) : _LONGEST_EVENT].partition(b"\r")[0].lower()


def _is_ordinary(name: str) -> bool:
    """Return whether the name of a header, as it was cut off before ": ", is the same if the line is read by itself."""
    if not name or ":" in name or name != name.strip(_BLANKS) or name.startswith("Asterisk Call Manager/"):
        return False
    return name == "Event" or name.casefold() != "event"

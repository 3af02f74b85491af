"""A file of a mapping that is followed while it grows: line by line, with the line from which a restart has to read."""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec import Struct

from streams.contract.events import Event
from streams.sources.files.mapping import FileMapping
from streams.sources.files.reader import FileReader
from streams.sources.files.text import UnreadableFileError
from streams.sources.frame import Translation
from streams.sources.people import People

_NO_LINES = ("utf-16", "utf-16-le", "utf-16-be")


class _State(Struct):
    header: list[str] | None


class FollowedFile:
    """Reads the lines of one file, and of those that follow it after a rotation.

    Each of them may begin with the same header. `future_ms` is the greatest span of a row's date after now. The
    follower of files uses it like the record files of Asterisk.
    """

    def __init__(self, name: str, mapping: FileMapping, people: People, secret: bytes, future_ms: int) -> None:
        self._make = partial(FileReader, name, mapping, people, secret, 0)
        self._reader = self._make()
        self._future_ms = future_ms
        self._first: int | None = None
        self._waiting: int | None = None
        self.unusable = ""
        """The reason why no line of the file can be read, "" for a readable file."""
        if mapping.encoding in _NO_LINES:
            self.unusable = f"a file in {mapping.encoding} cannot be followed; import it when it is whole"

    @property
    def given_up(self) -> int:
        """None: each row is independent."""
        return 0

    @property
    def oldest(self) -> int | None:
        """The place of the first line of a row that goes on; of the first line of a file that cannot be read."""
        return self._first if self.unusable else self._waiting

    def take(self, line: bytes, place: int, now_ms: int) -> Translation:
        """Process a line, with or without its end. Never raises."""
        self._first = place if self._first is None else self._first
        if self.unusable:
            return Translation(ignored=1)
        self._reader.latest_ms = now_ms + self._future_ms
        try:
            found = self._reader.feed(line.rstrip(b"\n") + b"\n")
        except UnreadableFileError as error:
            self.unusable = f"the file {error}"
            return Translation(ignored=1)
        if not self._reader.is_waiting:
            self._waiting = None
        elif self._waiting is None:
            self._waiting = place
        return found

    def quiet(self, now_ms: int) -> list[Event]:  # noqa: ARG002 - no row waits for another
        """Return nothing: no row waits for the next one."""
        return []

    def snapshot(self) -> bytes:
        """Return the names of the columns, b"" while they are not known."""
        header = self._reader.header
        return b"" if header is None else msgspec.json.encode(_State(list(header)))

    def restore(self, snapshot: bytes) -> None:
        """Continue behind the header that `snapshot` returned. Raise ValueError for one of another release."""
        if not snapshot:
            return
        try:
            self._reader = self._make(msgspec.json.decode(snapshot, type=_State).header)
        except msgspec.MsgspecError:
            raise ValueError("the position that was kept is of another release") from None
        except UnreadableFileError as error:
            self.unusable = f"the file {error}"

"""Follows a file while it grows: by its identity and offset, over rotation, truncation and restarts.

A hash of its first bytes identifies a file, because a name moves on at every rotation and a copy has another inode.
The directory is listed once a second: this works on NFS and CIFS too, where there are no notifications.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from io import BufferedReader
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct

from agents.gateway.file_identity import DAMAGED, HEAD_BYTES, PACKED, Identity, identify, is_long, matches, opened
from agents.gateway.rotated import siblings

_log = logging.getLogger(__name__)

CHUNK: Final = 256 * 1024
LONGEST_LINE: Final = 1024 * 1024
_ROTATED: Final = 2  # polls at the end of a file that has been renamed, before the next file is read
_PACKING_S: Final = 60.0  # since its last change, in which a packed file may still be written


class Position(Struct, frozen=True):
    """A place in a file, `offset` bytes from its beginning, and the state of the reader there."""

    file: Identity
    offset: int
    state: bytes = b""


class Line(NamedTuple):
    """A line with its end, and its place: the number of bytes before it, over all files that were read."""

    data: bytes
    place: int


class _Segment(NamedTuple):
    """A file, or the rest of one: its first byte that was read, as a place and as an offset."""

    place: int
    offset: int
    file: Identity


class GrowingFile:
    """Reads the complete lines of a file that grows, and of its rotated predecessors. Not asynchronous."""

    def __init__(self, path: Path, position: Position | None = None) -> None:
        self.path = path
        self.rotations = 0
        self.gaps = 0
        """Number of times that a part of the file was gone before it was read."""
        self._stream: BufferedReader | None = None
        self._identity: Identity | None = None
        self._segments: list[_Segment] = []
        self._place = 0  # of the next byte that is read
        self._offset = 0
        self._rest = b""
        self._skipping = False
        self._at_end = 0
        self._is_packed = False
        self._resume = position
        self._is_interrupted = False
        self._given_up: set[tuple[int, int]] = set()

    @property
    def is_torn(self) -> bool:
        """True while the last line has no end yet."""
        return bool(self._rest)

    @property
    def is_missing(self) -> bool:
        """True while there is no file to read."""
        return self._stream is None

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def reopen(self) -> None:
        """Close the file after an error, and go on where it was at the next poll."""
        self.close()
        if self._identity is not None:
            self._resume, self._is_interrupted = Position(self._identity, self._offset), True

    def skip_to_end(self) -> None:
        """Begin behind the present end of the file."""
        if self._open(self.path, 0) and self._stream is not None:
            size = self._stream.seek(0, os.SEEK_END)
            self._offset = size
            self._begin_segment(identify(self._stream))

    def poll(self) -> list[Line]:
        """Return the next complete lines, at most about `CHUNK` bytes of them; none if there is nothing new.

        Raises:
            OSError: the file is there and cannot be read, or is packed and not complete yet.
        """
        if self._stream is None and not self._open_next():
            return []
        if self._was_cut():
            return self._follow_cut()
        lines = self._read()
        if lines or self._stream is None:
            return lines
        if not self._is_current():
            self._at_end += 1
            if self._at_end >= _ROTATED:
                return self._move_on()
        return []

    def behind(self) -> int:
        """Return the number of bytes that are not read yet: of the open file, and of a newer one with the name.

        The length of a packed file is not known: it counts as read.
        """
        try:
            named = self.path.stat()
        except OSError:
            named = None
        if self._stream is None:
            return 0 if named is None else named.st_size
        own = os.fstat(self._stream.fileno())
        rest = 0 if self._is_packed else max(0, own.st_size - self._offset)
        return rest if named is None or named.st_ino == own.st_ino else rest + named.st_size

    def position(self, place: int | None, state: bytes = b"") -> Position | None:
        """Return the position for a restart at `place`; None: behind the last line that was returned."""
        if not self._segments:
            return None
        where = self._place - len(self._rest) if place is None else place
        # An empty file cannot be identified once it is renamed. The end of its predecessor replaces its beginning.
        begun = [number for number, one in enumerate(self._segments) if one.place <= where and one.file.length]
        if begun:
            del self._segments[: begun[-1]]
        first = self._segments[0]
        return Position(first.file, first.offset + max(0, where - first.place), state)

    # -- reading

    def _read(self) -> list[Line]:
        assert self._stream is not None  # noqa: S101 - its callers have looked
        try:
            # `read1` returns what can be unpacked before the place of a damage; `read` would lose it.
            data = self._stream.read1(CHUNK) if self._is_packed else self._stream.read(CHUNK)
        except DAMAGED:
            self._give_up(self._stream)
            self._rest, self._skipping = b"", False  # the end of the line is lost
            return self._move_on()
        if not data:
            return []
        self._at_end = 0
        self._remember_head()
        first = self._place - len(self._rest)
        self._place += len(data)
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = []
        for line in lines:
            if self._skipping:
                self._skipping = False
            else:
                found.append(Line(line, first))
            first += len(line) + 1
        if len(self._rest) > LONGEST_LINE:
            if not self._skipping:
                found.append(Line(self._rest, first))  # the source refuses it by its length
            self._rest, self._skipping = b"", True
        return found

    def _last_line(self) -> list[Line]:
        """Return the bytes behind the last end of a line, in a file that does not grow any more."""
        rest, self._rest = self._rest, b""
        skipping, self._skipping = self._skipping, False
        return [Line(rest, self._place - len(rest))] if rest and not skipping else []

    # -- files

    def _open(self, path: Path, offset: int) -> bool:
        try:
            stream = opened(path)
        except FileNotFoundError:
            return False
        is_packed = path.suffix == PACKED
        try:
            if is_packed and not os.fstat(stream.fileno()).st_size:
                raise EOFError  # gzip would read it as the whole of an empty file
            stream.seek(offset)
            identity = identify(stream)
        except DAMAGED:
            with stream:
                self._give_up(stream)
            return False
        self._stream = stream
        self._is_packed = is_packed
        self._offset = offset
        self._at_end = 0
        self._begin_segment(identity)
        return True

    def _begin_segment(self, identity: Identity) -> None:
        self._identity = identity
        self._segments.append(_Segment(self._place, self._offset, identity))

    def _give_up(self, stream: BufferedReader) -> None:
        """Leave out the rest of a packed file that is damaged. Raise OSError while it may still be written."""
        status = os.fstat(stream.fileno())
        if time.time() - status.st_mtime < _PACKING_S:
            raise OSError(errno.EIO, "a packed predecessor is not complete")
        self._given_up.add(_stamp(status))
        self.gaps += 1
        _log.warning("a packed predecessor of %s is damaged; reading goes on with the next file", self.path.name)

    def _remember_head(self) -> None:
        """Take more of the head into the identity, while it grows."""
        if self._identity is not None and self._identity.length < HEAD_BYTES and self._stream is not None:
            self._identity = identify(self._stream)
            self._segments[-1] = self._segments[-1]._replace(file=self._identity)

    def _open_next(self) -> bool:
        """Open the file that comes after the one that was read last."""
        if self._resume is not None:
            return self._take_up(self._resume)
        return self._open(next(iter(self._newer_ones()), self.path), 0)

    def _take_up(self, position: Position) -> bool:
        """Find the file again that was read last. It may have moved, or been packed."""
        found = self._find(position.file, position.offset)
        if found is not None and not self._open(found, position.offset):
            return False  # renamed this very moment
        if found is None:
            if self._is_interrupted:
                return False  # the disk or the net is away
            self.gaps += 1
            _log.warning(
                "the part of %s that was read last is gone; reading goes on at the beginning of what is there",
                self.path.name,
            )
        self._resume, self._is_interrupted = None, False
        return self._stream is not None or self._open(self.path, 0)

    def _is_current(self) -> bool:
        """Return whether the open file is the one with the name. A missing one may be about to be created."""
        assert self._stream is not None  # noqa: S101 - its callers have looked
        try:
            named = self.path.stat()
        except FileNotFoundError:
            return not self._newer_ones()
        return self._identity is not None and named.st_ino == self._identity.inode

    def _was_cut(self) -> bool:
        """Return whether the open file was truncated, and perhaps has grown again."""
        if self._stream is None or self._identity is None or self._is_packed:
            return False
        if os.fstat(self._stream.fileno()).st_size < self._offset:
            return True
        return not matches(self._stream, self._identity)

    def _follow_cut(self) -> list[Line]:
        """Go on in the copy that was made before the file was truncated, and then at the file's beginning."""
        assert self._identity is not None  # noqa: S101 - a file that was cut had been opened
        self.close()
        self.rotations += 1
        copy = self._find(self._identity, self._offset)
        if copy is not None and self._open(copy, self._offset):
            return []
        _log.warning("%s was truncated; what was written last before that may be lost", self.path.name)
        self._open(self.path, 0)
        return self._last_line()

    def _move_on(self) -> list[Line]:
        """Finish a file that does not grow any more."""
        self.close()
        self.rotations += 1
        return self._last_line()

    # -- which file is it

    def _find(self, known: Identity, offset: int) -> Path | None:
        """Return the file with this identity that is at least `offset` bytes long."""
        for path in (self.path, *siblings(self.path)):
            try:
                with opened(path) as stream:
                    same_inode = path.stat().st_ino == known.inode
                    if (known.length or same_inode) and matches(stream, known) and is_long(stream, offset):
                        return path
            except (OSError, *DAMAGED):
                continue
        return None

    def _newer_ones(self) -> list[Path]:
        """Return the files that came after the one that was read last, without the one with the name itself."""
        found = None if self._identity is None else self._find(self._identity, self._offset)
        return [] if found is None else self._later_than(found)

    def _later_than(self, found: Path) -> list[Path]:
        beside = siblings(self.path)
        later = beside[: beside.index(found)] if found in beside else []
        return [path for path in reversed(later) if _stamp(path.stat()) not in self._given_up]


def _stamp(status: os.stat_result) -> tuple[int, int]:
    """Return what stays with a file that is renamed. An inode alone may be that of a later file."""
    return status.st_ino, status.st_mtime_ns

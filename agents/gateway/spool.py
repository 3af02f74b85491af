"""The spool: events on disk while Kafka is away, in the order in which they came, each durable before it is answered.

One call of `append` writes many bundles and syncs once. Reading and appending may run side by side, in two threads.
A segment is removed once Kafka has committed all of it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from agents.gateway import segments
from agents.gateway.entries import Bundle
from agents.gateway.folder import sync_folder

log = logging.getLogger("callpulse")

SEGMENT_BYTES: Final = 8 * 1024 * 1024
_RESERVE_BYTES: Final = 64 * 1024
_SUFFIX: Final = ".spool"
_DAMAGED: Final = ".damaged"
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


class SpoolError(RuntimeError):
    """The bundles are not durable. `maybe`: they may be on disk, and come back after a restart."""

    def __init__(self, text: str, *, maybe: bool) -> None:
        super().__init__(text)
        self.maybe = maybe


class _Segment:
    """A file of the spool. `size` is the end of its durable bytes."""

    def __init__(self, path: Path, mark: bytes, size: int, first: int, last: int) -> None:
        self.path = path
        self.mark = mark
        self.size = size
        self.first = first
        self.last = last


class Spool:
    """The spool in `folder`, which no other process uses. Raises OSError if it cannot be read.

    `fsync` is the call that makes a file durable.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        fsync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._fsync = fsync
        self._segments: list[_Segment] = []
        self._active: int | None = None  # the descriptor of the last segment, while it is written to
        self._appending = threading.Lock()
        self._reading: tuple[_Segment, int] | None = None
        self._read_to = 0
        self._reserve = _RESERVE_BYTES  # what the largest bundle needed that was left out, if that is more
        folder.mkdir(parents=True, exist_ok=True)
        paths = sorted(folder.glob(f"*{_SUFFIX}"))
        for path in paths:
            self._take_over(path, is_last=path == paths[-1])

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in list(self._segments))

    @property
    def last_position(self) -> int:
        """The position of the last bundle, 0 for an empty spool."""
        return max((segment.last for segment in list(self._segments)), default=0)

    def has_unread(self) -> bool:
        """Return whether there are bundles that `read` has not returned."""
        return self.last_position > self._read_to

    @property
    def is_full(self) -> bool:
        """True when the only room left is for bundles that are already on their way, or too little for a bundle."""
        return self.size + self._reserve >= self._max_bytes

    def oldest_after(self, committed: int) -> int | None:
        """Return about the first position behind `committed`; None if there is none."""
        for segment in list(self._segments):
            if segment.last > committed:
                return max(segment.first, committed)
        return None

    def append(self, bundles: Sequence[Bundle]) -> int:
        """Make bundles durable and return how many: the first ones, as far as there is room.

        Raises:
            SpoolError: none of them is known to be durable.
        """
        with self._appending:
            segment = self._segments[-1] if self._active is not None else None
            if segment is not None and segment.size >= self._segment_bytes:
                self._seal()
                segment = None
            header, mark = (b"", segment.mark) if segment is not None else segments.new_header()
            data, taken = bytearray(header), 0
            room = self._max_bytes - self.size
            for bundle in bundles:
                framed = segments.frame(mark, bundle)
                if len(data) + len(framed) > room:
                    self._reserve_for(len(framed))
                    break
                data += framed
                taken += 1
            if taken:
                last = bundles[taken - 1].position
                if segment is None:
                    self._begin(bundles[0].position, mark, data, last)
                else:
                    self._extend(segment, data, last)
            return taken

    def read(self, most_bytes: int) -> list[Bundle]:
        """Return the next bundles, about as many as asked for; none at the end."""
        found: list[Bundle] = []
        size = 0
        while size < most_bytes:
            place = self._next_place()
            if place is None:
                break
            segment, begin = place
            end = segment.size
            with segment.path.open("rb") as file:
                file.seek(begin)
                data = file.read(end - begin)
            at, whole_to = begin, 0
            for frame in segments.frames_in(data, segment.mark):
                if frame.begin != whole_to:
                    _set_aside(segment.path)
                whole_to = frame.end
                if frame.bundle.position > self._read_to:
                    found.append(frame.bundle)
                    self._read_to = frame.bundle.position
                    size += frame.end - frame.begin
                at = begin + frame.end
                if size >= most_bytes:
                    break
            else:
                if whole_to != len(data):
                    _set_aside(segment.path)
                at = end
            self._reading = segment, at
        return found

    def rewind(self, committed: int) -> None:
        """Read the bundles behind a position again."""
        self._reading = None
        self._read_to = committed

    def skip_to(self, committed: int) -> None:
        """Leave out the bundles before a position."""
        self._read_to = max(self._read_to, committed)

    def release(self, committed: int, *, active: bool = False) -> None:
        """Remove the segments that Kafka has; with `active` also the one that is written to."""
        if active and self._active is not None and self._appending.acquire(blocking=False):
            try:
                if self._segments[-1].last <= committed:
                    self._seal()
            finally:
                self._appending.release()
        for segment in list(self._segments):
            if segment.last > committed or (self._active is not None and segment is self._segments[-1]):
                break
            with contextlib.suppress(OSError):  # if it stays, the next start finds that it is committed
                segment.path.unlink(missing_ok=True)
            self._segments.remove(segment)
            if self._reading is not None and self._reading[0] is segment:
                self._reading = None

    def bundles(self) -> Iterator[Bundle]:
        """Yield all bundles of the spool. The position of `read` does not change."""
        for segment in list(self._segments):
            data = segment.path.read_bytes()[: segment.size]
            for frame in segments.frames_in(data, segment.mark, segments.HEADER_BYTES):
                yield frame.bundle

    def close(self) -> None:
        """Close the files. The bundles in the spool stay."""
        with self._appending:
            self._seal()

    def _reserve_for(self, frame_bytes: int) -> None:
        """Be full from now on where a bundle of this size has no room. Much larger ones than others do not count."""
        if frame_bytes <= self._max_bytes // 2:
            self._reserve = max(self._reserve, segments.HEADER_BYTES + frame_bytes)

    def _next_place(self) -> tuple[_Segment, int] | None:
        held = list(self._segments)
        if self._reading is not None:
            segment, at = self._reading
            if at < segment.size:
                return segment, at
            held = held[held.index(segment) + 1 :] if segment in held else held
        following = next((segment for segment in held if segment.last > self._read_to), None)
        return None if following is None else (following, segments.HEADER_BYTES)

    def _begin(self, first: int, mark: bytes, data: bytearray, last: int) -> None:
        path = self._folder / f"{first:020d}{_SUFFIX}"
        descriptor = -1
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            _write(descriptor, data)
            self._fsync(descriptor)
            sync_folder(self._folder)
        except OSError as error:
            is_gone = _undo(lambda: path.unlink(missing_ok=True))
            if descriptor >= 0:
                os.close(descriptor)
            raise _failed(error, maybe=not is_gone) from error
        self._active = descriptor
        self._segments.append(_Segment(path, mark, len(data), first, last))

    def _extend(self, segment: _Segment, data: bytearray, last: int) -> None:
        descriptor = self._active
        assert descriptor is not None  # noqa: S101 - `append` looked
        written = False
        try:
            _write(descriptor, data)
            written = True
            self._fsync(descriptor)
        except OSError as error:
            # After a failed sync the system may forget what it could not write, and the next sync succeeds all the
            # same: nothing is written to this file again.
            is_gone = _undo(lambda: os.ftruncate(descriptor, segment.size)) and not written
            self._seal()
            raise _failed(error, maybe=not is_gone) from error
        segment.last = last
        segment.size += len(data)

    def _seal(self) -> None:
        if self._active is not None:
            os.close(self._active)
            self._active = None

    def _take_over(self, path: Path, *, is_last: bool) -> None:
        """Take a segment of an earlier process: cut a torn tail, and set damage aside."""
        data = path.read_bytes()
        found = segments.read(data)
        if not found.is_readable:
            if is_last and (len(data) < segments.HEADER_BYTES or not data.strip(b"\0")):
                path.unlink()  # the process died before the first sync: nothing in it was acknowledged
            else:
                path.rename(path.with_suffix(_DAMAGED))
                log.error("spool: %s has no readable header; it is kept as %s", path, path.with_suffix(_DAMAGED))
            return
        end = found.frames[-1].end if found.frames else segments.HEADER_BYTES
        if found.whole_to < end or (end < len(data) and not is_last):
            _set_aside(path)
        elif end < len(data):
            log.warning("spool: %d bytes at the end of %s were not written whole; they are cut", len(data) - end, path)
            os.truncate(path, end)
        if not found.frames:
            path.unlink()
            return
        mark = segments.mark_of(data)
        assert mark is not None  # noqa: S101 - it is readable
        positions = [frame.bundle.position for frame in found.frames]
        self._segments.append(_Segment(path, mark, end, positions[0], max(positions)))


def _set_aside(path: Path) -> None:
    """Keep a damaged segment beyond its removal."""
    aside = path.with_suffix(_DAMAGED)
    with contextlib.suppress(OSError):  # it is kept already, or the disk is full
        os.link(path, aside)
    log.error("spool: %s is damaged; what can be read in it is sent, and it is kept as %s", path, aside)


def _write(descriptor: int, data: bytearray) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _undo(work: Callable[[], object]) -> bool:
    try:
        work()
    except OSError:
        return False
    return True


def _failed(error: OSError, *, maybe: bool) -> SpoolError:
    reason = "the disk is full" if error.errno in _NO_SPACE else f"the disk refuses it ({error.strerror})"
    return SpoolError(f"the spool cannot be written: {reason}", maybe=maybe)

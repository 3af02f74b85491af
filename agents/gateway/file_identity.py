"""The identity of a file, which does not depend on its name: a hash of its first bytes."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import stat
import zlib
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

HEAD_BYTES: Final = 1024
PACKED: Final = ".gz"
DAMAGED: Final = (EOFError, zlib.error, gzip.BadGzipFile)
"""The errors of a packed file that is cut, damaged, or not complete yet."""


class Identity(Struct, frozen=True):
    """The identity of a file. `head` is the hash of its first `length` bytes; a file may have been empty."""

    head: str
    length: int
    inode: int


def identify(stream: BinaryIO) -> Identity:
    """Return the identity of an open file. Its place does not change."""
    head = _head(stream, HEAD_BYTES)
    return Identity(hashlib.sha256(head).hexdigest()[:32], len(head), os.fstat(stream.fileno()).st_ino)


def _head(stream: BinaryIO, length: int) -> bytes:
    place = stream.tell()
    stream.seek(0)
    head = stream.read(length)
    stream.seek(place)
    return head


def matches(stream: BinaryIO, known: Identity) -> bool:
    """Return whether an open file has this identity. Its place does not change."""
    head = _head(stream, known.length)
    return len(head) == known.length and hashlib.sha256(head).hexdigest()[:32] == known.head


def is_long(stream: BinaryIO, offset: int) -> bool:
    """Return whether an open file has at least `offset` bytes. Its place does not change."""
    place = stream.tell()
    stream.seek(max(0, offset - 1))
    reached = not offset or bool(stream.read(1))
    stream.seek(place)
    return reached


def opened(path: Path) -> BufferedReader:
    """Open a regular file. Raise OSError for anything else: opening a pipe would wait for its writer."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "is no regular file", path.name)
    return gzip.open(path, "rb") if path.suffix == PACKED else path.open("rb")  # type: ignore[return-value]  # read alike


def age(path: Path) -> tuple[int, str]:
    """Return the sort key of files by age, the oldest first. Raises OSError."""
    return path.stat().st_mtime_ns, path.name

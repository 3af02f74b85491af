"""The folder of a process of the way in: its owner, its identity, and the positions that it may give out.

The identity names the process to Kafka. A folder that is made anew has another identity.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

_LOCK: Final = "lock"
_STATE: Final = "state.json"
_RESERVED_AT_ONCE: Final = 1 << 32


class FolderError(RuntimeError):
    """The folder cannot be used. The text names the remedy."""


class _State(Struct, frozen=True, kw_only=True):
    identity: str
    reserved: int


class Folder:
    """`path`, owned by this process until `close`.

    A position is about the microseconds since 1970, and grows with each one that is given out. They are reserved on
    disk in large ranges, so that none is given out twice, even if the clock goes back.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder if it is missing, and take it. Raises FolderError."""
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FolderError(f"{path} cannot be used: {error.strerror}. Set gateway.data_dir.") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise FolderError(
                f"{path} is in use by another process. Give each one a gateway.data_dir, or gateways a --name."
            ) from None
        try:
            state = self._read()
            self.identity = state.identity
            self._reserved = state.reserved
            self._last = max(state.reserved, time.time_ns() // 1000)
            self._reserve()
        except (OSError, FolderError) as error:
            os.close(self._lock)
            if isinstance(error, FolderError):
                raise
            raise FolderError(f"{path} cannot be written: {error.strerror}. Set gateway.data_dir.") from None

    def next_position(self) -> int:
        """Return a position above all that were given out before. Raises OSError if none can be reserved."""
        if max(self._last + 1, time.time_ns() // 1000) >= self._reserved - 1_000_000:
            self._last = max(self._last, time.time_ns() // 1000)
            self._reserve()
        self._last = max(self._last + 1, time.time_ns() // 1000)
        return self._last

    def skip_to(self, position: int) -> None:
        """Give out only positions above this one from now on. Raises OSError if they cannot be reserved."""
        if position > self._last:
            self._last = position
            if position >= self._reserved:
                self._reserve()

    def close(self) -> None:
        """Give the folder up."""
        os.close(self._lock)

    def _read(self) -> _State:
        path = self.path / _STATE
        try:
            return msgspec.json.decode(path.read_bytes(), type=_State)
        except FileNotFoundError:
            return _State(identity=uuid.uuid4().hex, reserved=0)
        except msgspec.MsgspecError:
            raise FolderError(
                f"{path} is damaged. Without it, events in the spool may reach Kafka twice. To accept that, remove it."
            ) from None

    def _reserve(self) -> None:
        reserved = self._last + _RESERVED_AT_ONCE
        write_durably(self.path / _STATE, msgspec.json.encode(_State(identity=self.identity, reserved=reserved)))
        self._reserved = reserved


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file so that it has the old or the new content, whenever the machine stops. Raises OSError."""
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

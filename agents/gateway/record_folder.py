"""Reads the files of a folder to which another system only adds: each file once, in the order of their times.

An example is `err-log-dir` of mod_json_cdr, with records that could not be posted. The folder is listed once a second,
so this works on network file systems. The time of the last file is kept after its events are stored. After a restart
the files of the hour before it are read again: they give the same ids.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import msgspec

from agents.gateway.follower import KeepsCursors
from agents.gateway.sink import NotStoredError, StatementSink
from streams.sources.frame import Refused, Translation

log: Final = logging.getLogger("callpulse")

LARGEST: Final = 1024 * 1024
_POLL_S: Final = 1.0
_SETTLED_S: Final = 2.0  # a file that was written since may not be complete
_OVERLAP_NS: Final = 3_600 * 10**9
_AT_ONCE: Final = 100
_AFTER_AN_ERROR_S: Final = 5.0

Translate: TypeAlias = Callable[[bytes], Translation]


class _File(NamedTuple):
    changed_ns: int
    name: str
    size: int


class RecordFolder:
    """Reads one folder. `key` names its cursor, `source` is that of the events, `suffix` ends the names of records.

    Its name and time identify a file, so one that is replaced is read again.
    """

    def __init__(
        self,
        path: Path,
        translate: Translate,
        sink: StatementSink,
        cursors: KeepsCursors,
        *,
        key: str,
        source: str,
        suffix: str = ".json",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._translate = translate
        self._sink = sink
        self._cursors = cursors
        self._key = key
        self._source = source
        self._suffix = suffix
        self._clock = clock
        kept = cursors.get(key)
        self._since_ns = max(0, int(kept or 0) - _OVERLAP_NS)
        self._last_ns = int(kept or 0)
        self._known: set[tuple[int, str]] = set()
        self.read = 0
        self.refused = 0
        self.trouble = ""

    def why_not_ready(self) -> list[str]:
        """Return in words why files are not read; empty when all is well."""
        return [self.trouble] if self.trouble else []

    async def run(self) -> None:
        """Read the folder until the task is cancelled. A folder or file that cannot be read is tried again."""
        while True:
            try:
                went_on = await self.step()
                self.trouble = ""
            except OSError as error:
                self.trouble = f"{self._path} cannot be read: {error.strerror or error}"
                log.warning("%s; trying again", self.trouble)
                await asyncio.sleep(_AFTER_AN_ERROR_S)
                continue
            if not went_on:
                await asyncio.sleep(_POLL_S)

    async def step(self) -> bool:
        """Read files that were not read yet, some at a time. Return whether there was any. Raises OSError."""
        files = await asyncio.to_thread(self._new)
        for file in files[:_AT_ONCE]:
            await self._take(file)
        if files and self._last_ns:
            await self._cursors.put(self._key, str(self._last_ns).encode())
        return bool(files)

    def _new(self) -> list[_File]:
        found, seen = [], set()
        settled_ns = int((self._clock() - _SETTLED_S) * 1e9)
        with os.scandir(self._path) as entries:
            for entry in entries:
                if entry.name.endswith(self._suffix) and entry.is_file():
                    status = entry.stat()
                    file = _File(status.st_mtime_ns, entry.name, status.st_size)
                    seen.add(file[:2])
                    if self._since_ns <= file.changed_ns <= settled_ns and file[:2] not in self._known:
                        found.append(file)
        self._known &= seen
        return sorted(found)

    async def _take(self, file: _File) -> None:
        translation = await asyncio.to_thread(self._read, file)
        refused = [msgspec.structs.replace(one, where=_where(file)) for one in translation.refused]
        await self._store(translation, refused)
        self._known.add(file[:2])
        self._last_ns = max(self._last_ns, file.changed_ns)
        self.read += 1
        self.refused += len(refused)

    def _read(self, file: _File) -> Translation:
        if file.size > LARGEST:
            return Translation(refused=[Refused(reason="too_large", detail=f"a file of more than {LARGEST} bytes")])
        try:
            return self._translate((self._path / file.name).read_bytes())
        except FileNotFoundError:  # the file was removed meanwhile
            return Translation()

    async def _store(self, translation: Translation, refused: Sequence[Refused]) -> None:
        while True:
            try:
                if translation.events:
                    await self._sink.store(self._source, translation.events)
                if translation.statements:
                    await self._sink.keep(self._source, translation.statements)
                break
            except NotStoredError as error:
                log.warning("%s waits: %s", self._path, error)
                await asyncio.sleep(error.retry_after_s)
        if refused:
            await self._sink.refuse(self._source, refused)


def _where(file: _File) -> str:
    """Return the file's place for a dead letter, without its name, which may contain a telephone number."""
    return f"the file of {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(file.changed_ns / 1e9))} UTC"

"""An archive of Kafka's classes in the memory layout of a JVM: later JVMs load them in half the time.

The archive is beside the jars. The JVM itself checks that the archive is of this Java and of these jars, and starts
without it otherwise. It does not check that the archive is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from typing import TYPE_CHECKING, Final

from agents.embedded import runtime

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MADE: Final = "classes.jsa"
"""The name of the archive in the folder of the broker whose JVM writes it."""


def place(cache: Path, java: Path, jars: Iterable[Path]) -> Path:
    """Return the path of the archive of this Java and these jars. A replaced file has another archive."""
    looked = hashlib.sha256()
    for path in (java.resolve(), *jars):
        found = path.stat()
        looked.update(f"{path}\n{found.st_size}\n{found.st_mtime_ns}\n".encode())
    return cache / f"classes-{looked.hexdigest()[:16]}.jsa"


def options(archive: Path, folder: Path | None) -> list[str]:
    """Return the JVM's options: to read the archive or, if there is none, to write it into `folder` at its end."""
    if _is_whole(archive):
        return [f"-XX:SharedArchiveFile={archive}"]
    return [f"-XX:ArchiveClassesAtExit={folder / _MADE}"] if folder is not None else []


def keep(folder: Path, archive: Path) -> None:
    """Keep the archive that a JVM wrote into its folder at an orderly end, if it wrote one and the disk has room."""
    made = folder / _MADE
    if not made.exists() or _is_whole(archive):
        return
    part = archive.with_name("classes.part")
    with contextlib.suppress(OSError), runtime.locked(archive.with_name(".lock")):
        shutil.copyfile(made, part)
        _sum_of(archive).write_text(runtime.sha256(part) or "", encoding="utf-8")
        part.replace(archive)


def _is_whole(archive: Path) -> bool:
    """Return whether the archive is unchanged since it was written: a JVM that reads half an archive crashes."""
    try:
        return _sum_of(archive).read_text(encoding="utf-8") == runtime.sha256(archive)
    except OSError:
        return False


def _sum_of(archive: Path) -> Path:
    return archive.with_suffix(".sha256")

"""The records of a reconciliation: files of Asterisk, or exported files of a mapping."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from agents.cli.common import INFRASTRUCTURE, USAGE, UserError
from agents.cli.import_files import mapping_of
from agents.cli.service import lead_secret
from agents.gateway import rotated
from agents.gateway.file_identity import DAMAGED, opened
from streams.calendars import manager_time
from streams.settings.settings import Settings
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.recorded import of_cdr, of_cel
from streams.sources.asterisk.records.sources import RECORD_FILES
from streams.sources.files.recorded import of_files
from streams.sources.files.text import UnreadableFileError
from streams.sources.people import People
from streams.sources.reconciliation import Records

Kind: TypeAlias = Literal["cel", "cdr", "file"]
Advance: TypeAlias = Callable[[int], object]


class RecordFiles(Struct, frozen=True, kw_only=True):
    """The files to read. With `rotated`, their rotated predecessors are read, too. `mapping` is that of `file`."""

    kind: Kind
    paths: tuple[Path, ...]
    mapping: str = ""
    rotated: bool = False

    def series(self, since_ms: int) -> list[list[Path]]:
        """Return the files that may hold records since a moment: per file a list with its rotations, oldest first."""
        return [rotated.since(path, since_ms) if self.rotated else [path] for path in self.paths]


def files_of(
    settings: Settings,
    cel: Sequence[Path] | None,
    cdr: Sequence[Path] | None,
    exported: Sequence[Path] | None,
    mapping: str | None,
) -> RecordFiles:
    """Return the files that the options name, or else those of the settings. Raises UserError."""
    given = [kind for kind, paths in (("--cel", cel), ("--cdr", cdr), ("--file", exported)) if paths]
    if len(given) > 1:
        raise UserError(f"give files of one kind: {' or '.join(given)}.", USAGE)
    if bool(mapping) != bool(exported):
        raise UserError("--map NAME says how --file FILE is read: give both.", USAGE)
    if mapping and exported:
        mapping_of(settings, mapping)
        return RecordFiles(kind="file", paths=tuple(exported), mapping=mapping)
    if cel:
        return RecordFiles(kind="cel", paths=tuple(cel))
    if cdr:
        return RecordFiles(kind="cdr", paths=tuple(cdr))
    asterisk = settings.source(AsteriskMapping)
    kinds: tuple[tuple[Kind, str], ...] = (("cel", asterisk.cel.path), ("cdr", asterisk.cdr.path))
    for kind, path in kinds:
        if path:
            return RecordFiles(kind=kind, paths=(Path(path),), rotated=True)
    raise UserError(
        "which records? Give --cel FILE, --cdr FILE, or --map NAME and --file FILE, or set sources.asterisk.cel.path; "
        f"Asterisk writes {RECORD_FILES['cel']}.",
        USAGE,
    )


def size(files: RecordFiles, since_ms: int) -> int:
    """Return the bytes of the files. Raises UserError."""
    try:
        return sum(path.stat().st_size for series in files.series(since_ms) for path in series)
    except OSError as error:
        raise unreadable(error) from None


def read(
    files: RecordFiles, settings: Settings, days: Sequence[int], since_ms: int, tolerance_ms: int, advance: Advance
) -> Records:
    """Return the records of the files; legs of other days than these and those beside them are left out.

    Files that were last changed before `since_ms` are not read. Raises UserError.
    """
    secret = lead_secret(settings)
    people = People.of(settings, secret)
    found = [_lines(series, advance) for series in files.series(since_ms)]
    try:
        if files.kind == "file":
            records = of_files(found, files.mapping, mapping_of(settings, files.mapping), secret, people)
        else:
            of = of_cel if files.kind == "cel" else of_cdr
            records = of(found, settings.source(AsteriskMapping), secret, settings.timezone, people)
    except OSError as error:
        raise unreadable(error) from None
    except UnreadableFileError as error:
        raise UserError(f"a file {error}.", USAGE) from None
    near = {day + more for day in days for more in (-1, 0, 1)}
    legs = tuple(leg for leg in records.legs if _day(settings, leg.end.manager, leg.end.at) in near)
    return replace(records, legs=legs, terms=replace(records.terms, tolerance_ms=tolerance_ms))


def unreadable(error: OSError) -> UserError:
    """Return the error of a file that cannot be read, in words."""
    return UserError(
        f"{error.filename or 'a file of records'} cannot be read: {error.strerror or error}.", INFRASTRUCTURE
    )


def _lines(series: Iterable[Path], advance: Advance) -> Iterator[bytes]:
    for path in series:
        try:
            with opened(path) as stream:
                for line in stream:
                    advance(len(line))
                    yield line
        except DAMAGED:
            raise OSError(errno.EIO, "it is packed, and cut or damaged", str(path)) from None


def _day(settings: Settings, manager: str, at_ms: int) -> int:
    return manager_time(settings, manager).day(at_ms)

"""`callpulse import`: exported files of calls or deals into Kafka, or a summary of the rows that are understood."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from agents.cli.common import (
    FAILED,
    INFRASTRUCTURE,
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    bullets,
    print_json,
    progress,
    read_settings,
    run,
    say,
    write,
)
from agents.cli.service import lead_secret
from streams.contract.events import QUEUE_PREFIX, encode
from streams.settings.reader import did_you_mean
from streams.settings.settings import Settings
from streams.sources.asterisk import DRY_RUN_SECRET
from streams.sources.files.mapping import FileMapping
from streams.sources.files.reader import FileReader
from streams.sources.files.text import UnreadableFileError
from streams.sources.people import People

if TYPE_CHECKING:
    from agents.gateway.importing import Imported, Sender
    from agents.gateway.kafka_sink import KafkaSink

_MOST_SHOWN: Final = 10
_KIB: Final = 1024


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", show_default=False)],
    name: Annotated[
        str, typer.Option("--map", "-m", metavar="NAME", show_default=False, help="The table [sources.files.NAME].")
    ],
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is understood and what is not, and send nothing to Kafka.")
    ] = False,
    events: Annotated[
        bool, typer.Option("--events", help="With --dry-run: print the contract events, one per line.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Import exported files of calls or deals, as the mapping [sources.files.NAME] describes them.

    Look first with --dry-run: it names each reason for which rows are not understood, with the count, the first rows
    and the shape of one (letters as "a", digits as "9"). No number and no name is shown.

    An import may be broken off and run again, and files may overlap: what the topics already hold is not sent again.
    Rows that are no calls or deals are counted; the first 1,000 become dead letters.

    For example:

        callpulse import --map exports --dry-run calls.csv

        callpulse import --map exports *.csv
    """
    settings = read_settings(config, bootstrap)
    mapping = mapping_of(settings, name)
    if dry_run:
        secret = settings.privacy.lead_secret.reveal().encode() or DRY_RUN_SECRET
    else:
        secret = lead_secret(settings, "; or look first with --dry-run")
    sizes = {path: _size(path) for path in files}
    importer = _Importer(settings, name, mapping, secret)
    try:
        done = importer.look(sizes, events=events) if dry_run else run(importer.send(sizes))
    except OSError as error:
        raise UserError(f"{error.filename or 'a file'} cannot be read: {error.strerror}.", INFRASTRUCTURE) from None
    if as_json:
        print_json([msgspec.to_builtins(one) for one in done])
    elif not events:
        for one in done:
            _show(one, dry_run=dry_run)
        _show_strangers(done, settings)
    if any(one.error or one.refused for one in done):
        raise typer.Exit(FAILED)


class _Importer:
    """Reads files by one mapping."""

    def __init__(self, settings: Settings, name: str, mapping: FileMapping, secret: bytes) -> None:
        self._settings = settings
        self._name = name
        self._mapping = mapping
        self._secret = secret
        self._people = People.of(settings, secret)

    def _reader(self) -> FileReader:
        latest_ms = int(time.time() * 1000) + self._settings.thresholds.future_ms
        return FileReader(self._name, self._mapping, self._people, self._secret, latest_ms)

    def look(self, sizes: dict[Path, int], *, events: bool) -> list[Imported]:
        """Read files, and send nothing."""
        from agents.gateway.importing import Imported, finish, translated  # noqa: PLC0415 - slow to import

        found = []
        with progress("reading (KiB)", sum(sizes.values()) // _KIB) as advance:
            for path in sizes:
                done, reader = Imported(path=str(path)), self._reader()
                try:
                    for translation in translated(path, reader, lambda count: advance(count / _KIB)):
                        done.add(translation)
                        if events:
                            write(b"".join(encode(event) + b"\n" for event in translation.events))
                except UnreadableFileError as error:
                    done.error = str(error)
                finish(done, reader)
                found.append(done)
        return found

    async def send(self, sizes: dict[Path, int]) -> list[Imported]:
        """Read files and store their events."""
        from agents.gateway.folder import FolderError  # noqa: PLC0415 - slow to import
        from agents.gateway.importing import Sender, known_ids  # noqa: PLC0415 - slow to import
        from agents.gateway.kafka_sink import KafkaSink  # noqa: PLC0415 - slow to import
        from agents.gateway.sink import NotStoredError  # noqa: PLC0415 - slow to import

        source = self._mapping.source or self._name
        with progress("looking for rows that are there already", None) as advance:
            known = await known_ids(self._settings.kafka, {source}, self._settings.gateway.memory_bytes, advance)
        try:
            async with KafkaSink(self._settings, f"import-{self._name}") as sink:
                return await self._send(sizes, sink, Sender(sink, source, known, lambda why: say(f"Waiting: {why}")))
        except FolderError as error:
            raise UserError(str(error), INFRASTRUCTURE) from None
        except NotStoredError as error:
            raise UserError(
                f"the import stopped: {error}. Run it again: what is stored is not sent again.", INFRASTRUCTURE
            ) from None

    async def _send(self, sizes: dict[Path, int], sink: KafkaSink, sender: Sender) -> list[Imported]:
        from agents.gateway.importing import drained, import_file  # noqa: PLC0415 - slow to import

        try:
            with progress("importing (KiB)", sum(sizes.values()) // _KIB) as advance:
                found = [
                    await import_file(path, self._reader(), sender, lambda count: advance(count / _KIB))
                    for path in sizes
                ]
        finally:
            await sender.cancel()
        if not await drained(sink):
            raise UserError(
                f"Kafka is away, and a part of the events waits on disk ({sink.pipeline.trouble}). Run the import "
                "again once Kafka is back: it sends what waits, and nothing twice.",
                INFRASTRUCTURE,
            )
        return found


def mapping_of(settings: Settings, name: str) -> FileMapping:
    """Return the mapping [sources.files.NAME]. Raises UserError where there is none."""
    held = settings.named("files", FileMapping)
    if name in held:
        return held[name]
    known = f"; known here: {', '.join(held)}" if held else "; docs/files.md shows how to write one"
    raise UserError(f"there is no table [sources.files.{name}]{did_you_mean(name, held) or known}.", USAGE)


def _size(path: Path) -> int:
    try:
        if not path.is_file():
            raise UserError(f"{path} is no file.", USAGE)
        return path.stat().st_size
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", USAGE) from None


def _show(one: Imported, *, dry_run: bool) -> None:
    """Print the summary of one file."""
    text = f"{one.path}: {one.rows} rows, {one.events} events"
    if not dry_run:
        text += f", {one.stored} sent, {one.known} there already"
    typer.echo(f"{text}, {one.ignored} rows of no concern, {one.refused} rows not understood.")
    if one.error:
        say(f"  The file {one.error}.")
    for problem in sorted(one.problems, key=lambda each: -each.rows)[:_MOST_SHOWN]:
        more = ", ..." if problem.rows > len(problem.first) else ""
        say(f"  {problem.rows} rows, {problem.reason}: {problem.detail} ({', '.join(problem.first)}{more})")
        if problem.shape:
            say(f"      {problem.shape}")
    if len(one.problems) > _MOST_SHOWN:
        say(f"  and {len(one.problems) - _MOST_SHOWN} more reasons")
    for reason, count in one.left_out.items():
        say(f"  {count} values left out, {reason}")


def _show_strangers(done: list[Imported], settings: Settings) -> None:
    """Name the people of these files who are on no roster entry."""
    strangers: Counter[str] = Counter()
    for one in done:
        for manager, count in one.managers.items():
            if manager not in settings.managers and not manager.startswith(QUEUE_PREFIX):
                strangers[manager] += count
    if strangers:
        lines = [f"{manager}: {count} events" for manager, count in strangers.most_common(_MOST_SHOWN)]
        more = [f"and {len(strangers) - _MOST_SHOWN} more"] if len(strangers) > _MOST_SHOWN else []
        say(f"On no roster entry (`identities` say whose these are):\n{bullets(lines + more)}")

"""Shared parts of the commands: settings, exit codes, errors in words, output for people and for scripts, progress."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TextIO, TypeVar

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from streams.settings.reader import duration
from streams.settings.settings import CONFIG_VARIABLE, Settings, SettingsError, load, secret_files
from streams.sources.registry import SOURCES

OK: Final = 0
FAILED: Final = 1  # the answer is no: a check found something, figures do not agree, some of the work could not be done
USAGE: Final = 2  # the command line or the settings are wrong
INFRASTRUCTURE: Final = 70  # Kafka, Java, a port or a file cannot be used; trying again later may help
INTERRUPTED: Final = 130

DEFAULT_CONFIG: Final = "callpulse.toml"
_LONGEST_SECRET: Final = 64 * 1024
T = TypeVar("T")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar=CONFIG_VARIABLE,
        show_default=False,
        help=f"The settings file. Without it: {DEFAULT_CONFIG} in this folder if there is one, else the defaults.",
    ),
]
BootstrapOption = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        "-b",
        metavar="HOST:PORT",
        show_default=False,
        help="Kafka's address, instead of kafka.bootstrap.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, for scripts.")]


class UserError(Exception):
    """An expected error: its text goes to standard error, and the process ends with `exit_code`."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def read_settings(config: Path | None, bootstrap: str | None = None) -> Settings:
    """Return the settings of the file and the environment. Raises UserError that names every problem."""
    try:
        return load(settings_text(config), environment(bootstrap), SOURCES)
    except SettingsError as error:
        where = f" of {config}" if config else ""
        raise UserError(f"the settings{where} cannot be used:\n{bullets(map(str, error.problems))}", USAGE) from None


def settings_text(config: Path | None) -> str:
    """Return the text of the settings file, or nothing where there is none. Raises UserError if it cannot be read."""
    if config is None:
        config = Path(DEFAULT_CONFIG)
        if not config.exists():
            return ""
    try:
        return config.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{config} is not a text file in UTF-8 (byte {error.start}).", USAGE) from None
    except OSError as error:
        raise UserError(f"the settings file {config} cannot be read: {error.strerror}.", USAGE) from None


def environment(bootstrap: str | None = None) -> dict[str, str]:
    """Return the environment, with Kafka's address from the command line and the contents of files of secrets in it.

    Raises UserError for a file that cannot be read.
    """
    environ = dict(os.environ)
    for variable in secret_files(environ, SOURCES):
        environ[variable] = _secret(variable, Path(environ[variable]))
    if bootstrap is not None:
        environ.pop("CALLPULSE_KAFKA__BOOTSTRAP", None)
        environ["CALLPULSE_BOOTSTRAP"] = bootstrap
    return environ


def _secret(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_SECRET).decode().strip()
    except UnicodeDecodeError:
        raise UserError(f"{variable}: {path} is not a text file in UTF-8.", USAGE) from None
    except OSError as error:
        raise UserError(f"{variable}: {path} cannot be read: {error.strerror}.", USAGE) from None
    if not text:
        raise UserError(f"{variable}: {path} is empty.", USAGE)
    return text


def since_moment(text: str) -> int:
    """Return the moment that --since names, in milliseconds: a span back from now, or ISO 8601. Raises UserError."""
    try:
        return int(time.time() * 1000) - duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f'--since "{text}" is neither a span ("2h", "7d") nor a moment ("2026-11-23T09:00")', USAGE
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def bullets(lines: Iterator[str] | list[str]) -> str:
    """Return the lines as an indented list."""
    return "\n".join(f"  {line}" for line in lines)


def say(text: str) -> None:
    """Print a message for a person on standard error."""
    typer.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print a value as JSON: indented for a terminal, else on one line."""
    option = orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0
    write(orjson.dumps(value, option=option | orjson.OPT_NON_STR_KEYS) + b"\n")


def write(data: bytes) -> None:
    """Write bytes to standard output."""
    sys.stdout.flush()
    stream: Any = getattr(sys.stdout, "buffer", None)
    if stream is None:
        sys.stdout.write(data.decode())
    else:
        stream.write(data)
        stream.flush()


def console(stream: TextIO | None = None) -> Console:
    """Return a console on standard output, as wide as its terminal, or 120 columns where it is none."""
    stream = stream or sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else 120
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def cell(text: str) -> Text:
    """Return a foreign text for a table: brackets are not markup, and control characters are not executed."""
    return Text("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text))


@contextmanager
def progress(text: str, total: float | None, *, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """Show a bar on standard error, if that is a terminal, while work goes on.

    Call it with the amount done since the last call and, where the total becomes known on the way, the amount to add.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _expected=0: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(text, total=total)

        def advance(done: float, expected: float = 0) -> None:
            if expected:
                bar.update(task, total=(bar.tasks[0].total or 0) + expected)
            bar.advance(task, done)

        yield advance


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end."""
    return asyncio.run(work)

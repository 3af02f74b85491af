"""`callpulse replay`: recorded sessions of a telephone system as contract events, into Kafka or onto the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
import typer

from agents.cli.common import (
    FAILED,
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
from streams.contract import topics
from streams.contract.events import Event, encode
from streams.settings.settings import Settings
from streams.sources.asterisk import DRY_RUN_SECRET, AsteriskMapping, BadLine, read_recording
from streams.sources.asterisk import replay as replay_asterisk

_MOMENTS: Final = ("at", "started_at", "answered_at")
_MOST_SHOWN: Final = 5

app = typer.Typer(no_args_is_help=True, help="Replay recorded sessions of a telephone system.")


@app.callback()
def _group() -> None:
    """Keep `ami` a subcommand: other sources will get their own."""


class Session(NamedTuple):
    """The contract events of a recording, and its unreadable parts."""

    path: Path
    events: list[Event]
    bad: list[BadLine]


@app.command()
def ami(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", show_default=False)],
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the contract events, one per line, and send nothing to Kafka.")
    ] = False,
    now: Annotated[
        bool,
        typer.Option(
            "--now",
            help="Move every session in time so that it ends now. Without it, events keep their recorded times.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Replay recordings of the Asterisk manager interface (AMI), each file as one session.

    A recording is a JSON list of events, one JSON event per line, or the raw text of the interface. The settings
    [sources.asterisk] map channels to managers. Numbers become keyed hashes; this needs CALLPULSE_LEAD_SECRET, except
    in a dry run.

    The same recording gives the same event ids: replayed again within 6 hours, it counts once.

    For example:

        callpulse replay ami --dry-run recording.json

        callpulse replay ami --now *.json
    """
    settings = read_settings(config, bootstrap)
    secret = settings.privacy.lead_secret.reveal().encode()
    if not secret and not dry_run:
        raise UserError(
            "privacy.lead_secret is not set, and without it numbers cannot be hashed: put at least 16 characters into "
            "CALLPULSE_LEAD_SECRET, the same for every worker and source; or look first with --dry-run.",
            USAGE,
        )
    ends_ms = int(time.time() * 1000) if now else None
    read = read_sessions(files, settings.source(AsteriskMapping), secret or DRY_RUN_SECRET, ends_ms)
    if dry_run:
        sessions = []
        for session in read:
            sessions.append(session)
            write(b"".join(encode(event) + b"\n" for event in session.events))
        if not settings.privacy.lead_secret and any(session.events for session in sessions):
            say("Note: numbers are hashed with a public secret. Do not publish this output.")
    else:
        sessions = run(_produce(settings, read, len(files)))
        count = sum(len(session.events) for session in sessions)
        if as_json:
            print_json({"files": len(sessions), "events": count, "bad": sum(len(session.bad) for session in sessions)})
        else:
            typer.echo(f"{count} events of {len(sessions)} recordings are in Kafka, topic {_topic(settings)}.")
    bad = [_describe(session) for session in sessions if session.bad]
    if bad:
        say(f"Not everything could be read; the rest was taken.\n{bullets(bad)}")
        raise typer.Exit(FAILED)


def read_sessions(
    files: Iterable[Path], mapping: AsteriskMapping, secret: bytes, ends_ms: int | None = None
) -> Iterator[Session]:
    """Yield the session of each recording. With `ends_ms`, it is moved so that its last event is at that time."""
    for path in files:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}.", USAGE) from None
        read = list(read_recording(data))
        bad = [line for line in read if isinstance(line, BadLine)]
        events = list(replay_asterisk((line for line in read if not isinstance(line, BadLine)), mapping, secret))
        yield Session(path, events if ends_ms is None else moved(events, ends_ms), bad)


def moved(events: list[Event], ends_ms: int) -> list[Event]:
    """Return the events of a session, moved in time so that the last one is at `ends_ms`."""
    by_ms = ends_ms - max((event.at for event in events), default=ends_ms)
    return [
        msgspec.structs.replace(
            event,
            **{name: getattr(event, name) + by_ms for name in _MOMENTS if getattr(event, name, None) is not None},
        )
        for event in events
    ]


async def _produce(settings: Settings, sessions: Iterable[Session], total: int) -> list[Session]:
    from agents.kafka.producer import BatchProducer  # noqa: PLC0415 - slow to import

    topic = _topic(settings)
    done = []
    with progress("replaying", total) as advance:
        async with BatchProducer(settings.kafka) as producer:
            for session in sessions:
                for event in session.events:
                    manager: str = getattr(event, "manager")  # noqa: B009 - every event of this topic has one
                    await producer.add(topic, manager.encode(), encode(event))
                done.append(session)
                advance(1)
    return done


def _topic(settings: Settings) -> str:
    return settings.kafka.topic_prefix + topics.CALLS.name


def _describe(session: Session) -> str:
    places = ", ".join(f"line {bad.line} ({bad.detail})" for bad in session.bad[:_MOST_SHOWN])
    more = f" and {len(session.bad) - _MOST_SHOWN} more" if len(session.bad) > _MOST_SHOWN else ""
    return f"{session.path}: {places}{more}"

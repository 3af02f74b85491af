"""`callpulse replay`: recorded sessions and transcripts as contract events, into Kafka or onto the terminal."""

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
from agents.cli.replay_transcript import transcript
from agents.cli.service import lead_secret
from streams.contract import topics
from streams.contract.events import Event, encode
from streams.settings.settings import Settings
from streams.sources.asterisk import (
    DRY_RUN_SECRET,
    AsteriskMapping,
    BadLine,
    Endpoint,
    RecordingChecks,
    read_recording,
)
from streams.sources.asterisk import replay as replay_asterisk
from streams.sources.people import People

_MOMENTS: Final = ("at", "started_at", "answered_at")
_MOST_SHOWN: Final = 5

app = typer.Typer(no_args_is_help=True, help="Replay recorded sessions of a telephone system, and transcripts.")
app.command()(transcript)


class Session(NamedTuple):
    """The contract events of a recording, its unreadable parts, and its findings about the settings."""

    path: Path
    events: list[Event]
    bad: list[BadLine]
    checks: RecordingChecks


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
    who: Annotated[
        bool,
        typer.Option("--who", help="List which endpoints are taken for managers, trunks and outside parties, and why."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Replay recordings of the Asterisk manager interface (AMI), each file as one session.

    A recording is a JSON list of events, one JSON event per line, or the raw text of the interface. The settings
    [sources.asterisk] map channels to managers. Numbers become keyed hashes; this needs CALLPULSE_LEAD_SECRET, except
    in a dry run.

    With --who, no event is sent. Use it to check the settings: a trunk that is taken for a manager hides all leads.

    The same recording gives the same event ids: replayed again within 6 hours, it counts once.

    For example:

        callpulse replay ami --dry-run recording.json

        callpulse replay ami --who recording.json

        callpulse replay ami --now *.json
    """
    settings = read_settings(config, bootstrap)
    if dry_run or who:
        secret = settings.privacy.lead_secret.reveal().encode() or DRY_RUN_SECRET
    else:
        secret = lead_secret(settings, "; or look first with --dry-run")
    ends_ms = int(time.time() * 1000) if now else None
    read = read_sessions(files, settings.source(AsteriskMapping), secret, ends_ms, People.of(settings, secret))
    if who:
        sessions = list(read)
        _list_endpoints(sessions, as_json=as_json)
    elif dry_run:
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
    warnings = [f"{session.path}: {warning}" for session in sessions for warning in session.checks.warnings()]
    if warnings:
        say(f"Check the settings:\n{bullets(warnings)}")
    _report_bad([session for session in sessions if session.bad])


def read_sessions(
    files: Iterable[Path],
    mapping: AsteriskMapping,
    secret: bytes,
    ends_ms: int | None = None,
    people: People | None = None,
) -> Iterator[Session]:
    """Yield the session of each recording. With `ends_ms`, it is moved so that its last event is at that time."""
    for path in files:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}.", USAGE) from None
        read = list(read_recording(data))
        bad = [line for line in read if isinstance(line, BadLine)]
        checks = RecordingChecks()
        lines = [] if _is_unsupported(bad) else [line for line in read if not isinstance(line, BadLine)]
        events = list(replay_asterisk(lines, mapping, secret, checks=checks, people=people))
        yield Session(path, events if ends_ms is None else moved(events, ends_ms), bad, checks)


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


def _list_endpoints(sessions: list[Session], *, as_json: bool) -> None:
    merged: dict[tuple[str, str | None, str], Endpoint] = {}
    for endpoint in (endpoint for session in sessions for endpoint in session.checks.endpoints()):
        known = merged.setdefault((endpoint.name, endpoint.manager, endpoint.reason), endpoint)
        if known is not endpoint:
            known.channels += endpoint.channels
    if as_json:
        print_json([msgspec.to_builtins(endpoint) for endpoint in merged.values()])
        return
    rows = [("ENDPOINT", "TAKEN FOR", "WHY", "CHANNELS")]
    for one in merged.values():
        taken_for = one.role if one.manager is None else f"{one.role} {one.manager}"
        rows.append((one.name, taken_for, one.reason, str(one.channels)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _is_unsupported(bad: Iterable[BadLine]) -> bool:
    return any(line.reason == "unsupported" for line in bad)


def _report_bad(sessions: list[Session]) -> None:
    """Report the recordings that were refused or not read in full, and end with exit code 1 if there are any."""
    refused = [f"{one.path}: {one.bad[-1].detail}" for one in sessions if _is_unsupported(one.bad)]
    if refused:
        say(f"Refused; nothing of these recordings was taken.\n{bullets(refused)}")
    partly = [one for one in sessions if not _is_unsupported(one.bad)]
    nothing = [_describe(one) for one in partly if not one.events]
    if nothing:
        say(f"No call could be read.\n{bullets(nothing)}")
    some = [_describe(one) for one in partly if one.events]
    if some:
        say(f"Not everything could be read; the rest was taken.\n{bullets(some)}")
    if sessions:
        raise typer.Exit(FAILED)


def _describe(session: Session) -> str:
    places = ", ".join(f"line {bad.line} ({bad.detail})" for bad in session.bad[:_MOST_SHOWN])
    more = f" and {len(session.bad) - _MOST_SHOWN} more" if len(session.bad) > _MOST_SHOWN else ""
    return f"{session.path}: {places}{more}"

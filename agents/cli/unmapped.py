"""`callpulse unmapped`: the people in events who are on no roster entry, with the lines that add them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import typer
from rich.table import Table

from agents.cli.common import (
    BootstrapOption,
    ConfigOption,
    JsonOption,
    cell,
    console,
    print_json,
    progress,
    read_settings,
    run,
    say,
    since_moment,
)
from streams.settings.settings import Settings
from streams.sources.asterisk import DRY_RUN_SECRET, AsteriskMapping
from streams.sources.asterisk.records.sources import record_key, unmapped_members
from streams.sources.directory import decoded
from streams.sources.people import People
from streams.sources.unmapped import Stranger, Unmapped


def unmapped(
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    since: Annotated[
        str,
        typer.Option(help='What arrived since: a span back from now ("2h", "7d") or a moment (ISO 8601, UTC).'),
    ] = "7d",
    *,
    as_json: JsonOption = False,
) -> None:
    """List everybody who was heard and is on no roster entry, and print the lines that add them to it.

    The users of a system that is asked for them (its directory) are listed, too, with their names.

    They are counted in the team "unassigned" under the id shown, but for members of a followed queue_log that are no
    telephones: their lines count for nobody. After the roster has them, new events carry the manager's own id. No
    telephone number is printed: of an id that could be one, the hash is.

    For example:

        callpulse unmapped --since 30d
    """
    settings = read_settings(config, bootstrap)
    since_ms = since_moment(since)
    found = run(_read(settings, since_ms))
    strangers = found.found()
    if as_json:
        print_json({"people": [msgspec.to_builtins(one) for one in strangers], "refused": dict(found.refused_parts)})
        return
    if not strangers:
        typer.echo(f"Everybody who was heard since {_day(since_ms)} is on the roster.")
    else:
        _show(strangers)
    for source, count in found.refused_parts.most_common():
        say(f"Refused parts of {source}: {count}; who is in them is not known (`callpulse rejected list`).")


_DIRECTORY: Final = b"people:"
"""The prefix of the keys of `agents.gateway.poller.people_key`."""


async def _read(settings: Settings, since_ms: int) -> Unmapped:
    from agents.gateway import people_heard  # noqa: PLC0415 - slow to import
    from agents.kafka.dead_letters import Filter  # noqa: PLC0415 - slow to import
    from agents.kafka.dead_letters import read as read_letters  # noqa: PLC0415 - slow to import

    secret = settings.privacy.lead_secret.reveal().encode() or DRY_RUN_SECRET
    outside = settings.source(AsteriskMapping).outside_manager
    found = Unmapped(settings, People.of(settings, secret), {outside})
    await _read_members(settings, found, since_ms)
    with progress("reading", None) as advance:
        await people_heard.read(settings.kafka, found, since_ms, on_progress=advance)
        for letter in await read_letters(settings.kafka, Filter(since_ms=since_ms), advance):
            if letter.source:  # its value is a shape
                found.refused_parts[letter.source] += 1
            else:
                people_heard.take(found, letter.value, refused=True)
    return found


async def _read_members(settings: Settings, found: Unmapped, since_ms: int) -> None:
    """Take people without events: members of queues whose calls count for no manager, and users in directories.

    The former are in the state of the follower, the poll of the source keeps the latter.
    """
    from agents.gateway import cursors  # noqa: PLC0415 - slow to import
    from agents.gateway.following import Position  # noqa: PLC0415 - as above
    from agents.kafka.clients import KafkaUnusableError  # noqa: PLC0415 - as above

    source = settings.source(AsteriskMapping).source
    try:
        held = await cursors.read(settings.kafka)
    except KafkaUnusableError as error:
        say(f"Members of queues that nobody is known for, and users of directories, are not listed: {error}")
        return
    for key, value in held.items():
        if key.startswith(_DIRECTORY):
            found.take_directory(key.removeprefix(_DIRECTORY).decode("utf-8", "replace"), decoded(value))
        if key.startswith(record_key(source, "queue_log").encode()):
            for name, one in unmapped_members(msgspec.msgpack.decode(value, type=Position).state).items():
                if one.last_ms >= since_ms:
                    found.take_uncounted(source, name, one.lines, one.first_ms, one.last_ms)


def _show(strangers: list[Stranger]) -> None:
    table = Table(
        "source", "id", "events", "refused", "first", "last", "", box=None, header_style="bold", pad_edge=False
    )
    for one in strangers:
        counts = (str(one.events), str(one.refused or ""))
        table.add_row(
            cell(one.source), cell(one.manager), *counts, _day(one.first_ms), _day(one.last_ms), cell(one.note)
        )
    shown = console()
    shown.print(table)
    entries = [one for one in strangers if one.lines]
    if entries:
        typer.echo(
            "\nTo add to callpulse.toml: an identities line goes into the entry of the manager that the person is.\n"
        )
    for one in entries:
        typer.echo(f"# {one.source}, {one.events + one.refused} events, last on {_day(one.last_ms)}")
        typer.echo("\n".join(one.lines) + "\n")


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M") if 0 < ms < 1 << 42 else ""

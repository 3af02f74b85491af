"""`callpulse rejected`: lists refused records with the reasons, and sends them back once the cause is removed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from agents.cli.common import (
    FAILED,
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    console,
    print_json,
    progress,
    read_settings,
    run,
    say,
    since_moment,
)
from streams.contract.events import REASONS
from streams.settings.reader import did_you_mean

if TYPE_CHECKING:
    from agents.kafka.dead_letters import Filter, Letter

app = typer.Typer(no_args_is_help=True, help="Records that were no events: list them, send them back.")

ReasonOption = Annotated[
    list[str] | None,
    typer.Option("--reason", "-r", show_default=False, help="Only those with this reason; repeatable."),
]
TopicOption = Annotated[
    list[str] | None, typer.Option("--topic", "-t", show_default=False, help="Only those from this topic; repeatable.")
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        show_default=False,
        help='Only those refused since: a span back from now ("2h", "7d") or a moment (ISO 8601, UTC).',
    ),
]


@app.command("list")
def list_(
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Show so many at most: the newest.")] = 50,
    show_value: Annotated[
        bool,
        typer.Option("--show-value", help="Show keys and values, too. They may hold customers' numbers and words."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the records that were refused: why, where they came from, and how large they are.

    Keys and values are not shown, because they may hold a customer's number or words; --show-value shows them.

    For example:

        callpulse rejected list --since 2h

        callpulse rejected list --reason not_json --show-value --limit 5

        callpulse rejected list --json | jq -r '.letters[].reason' | sort | uniq -c
    """
    from agents.kafka import dead_letters  # noqa: PLC0415 - slow to import

    kafka = read_settings(config, bootstrap).kafka
    wanted = _filter(reason, topic, since)
    with progress("reading dead letters", None) as advance:
        letters = run(dead_letters.read(kafka, wanted, advance))
    shown = letters[-limit:]
    if as_json:
        print_json({"found": len(letters), "letters": [_plain(letter, show_value=show_value) for letter in shown]})
        return
    if not letters:
        typer.echo(
            "Nothing was rejected." if wanted == type(wanted)() else "Nothing that was rejected is of this kind."
        )
        return
    table = Table("when (UTC)", "reason", "from", "bytes", "detail", box=None, header_style="bold", pad_edge=False)
    if show_value:
        table.add_column("value", overflow="fold")
    for letter in shown:
        row = [
            _moment(letter.at_ms),
            letter.reason + (" (sent back)" if letter.redriven_ms else ""),
            _place(letter),
            str(letter.size),
            letter.detail,
        ]
        table.add_row(*row, *([repr(letter.value)] if show_value else []))
    console().print(table)
    if len(shown) < len(letters):
        say(f"These are the newest {len(shown)} of {len(letters)}; --limit shows more.")


@app.command()
def redrive(  # noqa: PLR0913 - one option each
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    *,
    limit: Annotated[
        int | None, typer.Option(min=1, show_default=False, help="Send so many at most: the oldest.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Those that were sent back before, too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell how many would go where, and send nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send refused records back to their topics, with their own keys and bytes, to be judged anew.

    For after the cause was mended: a worker that now knows a newer version, a wrong clock, a setting. What is still no
    event is refused again. A record goes back once, unless --again asks for more. One that was too large to be kept
    whole cannot go back; the command then ends with 1. What a gateway refused was in no topic, and is left out.

    For example:

        callpulse rejected redrive --reason unknown_version --since 7d --dry-run

        callpulse rejected redrive --reason unknown_version --since 7d
    """
    from agents.kafka import dead_letters  # noqa: PLC0415 - slow to import

    kafka = read_settings(config, bootstrap).kafka
    wanted = _filter(reason, topic, since, redriven=again)
    with progress("reading dead letters", None) as advance:
        found = run(dead_letters.read(kafka, wanted, advance))
    letters = [letter for letter in found if not letter.source]
    from_sources = len(found) - len(letters)
    letters = letters[:limit]
    if dry_run:
        done = dead_letters.Redriven(cut=sum(letter.cut > 0 for letter in letters))
        for letter in letters:
            if not letter.cut:
                done.sent += 1
                done.by_topic[letter.topic] = done.by_topic.get(letter.topic, 0) + 1
    else:
        with progress("sending back", len(letters)) as advance:
            done = run(dead_letters.redrive(kafka, letters, advance))
    if as_json:
        print_json(
            {
                "sent": done.sent,
                "cut": done.cut,
                "from_sources": from_sources,
                "by_topic": done.by_topic,
                "dry_run": dry_run,
            }
        )
    else:
        verb = "would go back" if dry_run else "went back"
        typer.echo(f"{done.sent} records {verb}.")
        for name, count in sorted(done.by_topic.items()):
            typer.echo(f"  {name}: {count}")
    if from_sources:
        say(
            f"{from_sources} were never in a topic: a source delivered them, and only their shape is kept. "
            "Correct the source and let it send them again."
        )
    if done.cut:
        say(f"{done.cut} cannot go back: they were too large to be kept whole. Their source has to send them again.")
        raise typer.Exit(FAILED)


def _filter(reasons: list[str] | None, topics: list[str] | None, since: str | None, *, redriven: bool = True) -> Filter:
    from agents.kafka import dead_letters  # noqa: PLC0415 - slow to import

    for reason in reasons or ():
        if reason not in REASONS:
            hint = did_you_mean(reason, REASONS) or f"; known: {', '.join(REASONS)}"
            raise UserError(f'"{reason}" is no reason{hint}', USAGE)
    return dead_letters.Filter(
        reasons=frozenset(reasons or ()),
        topics=frozenset(topics or ()),
        since_ms=0 if since is None else since_moment(since),
        redriven=redriven,
    )


def _plain(letter: Letter, *, show_value: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "at": _moment(letter.at_ms),
        "reason": letter.reason,
        "detail": letter.detail,
        "source": letter.source or None,
        "where": letter.where or None,
        "topic": letter.topic or None,
        "partition": None if letter.source else letter.partition,
        "offset": None if letter.source else letter.offset,
        "size": letter.size,
        "cut": bool(letter.cut),
        "redriven_at": _moment(letter.redriven_ms) if letter.redriven_ms else None,
    }
    if show_value:
        fields |= {"key": _text(letter.key), "value": _text(letter.value)}
    return fields


def _place(letter: Letter) -> str:
    if letter.source:
        return f"source {letter.source}" + (f", {letter.where}" if letter.where else "")
    return f"{letter.topic}/{letter.partition}@{letter.offset}"


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode(errors="backslashreplace")


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")

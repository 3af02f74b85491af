"""`callpulse explain`: the evidence behind a manager's figures, for when somebody disputes a number."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from agents.cli.common import (
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    Trouble,
    console,
    print_json,
    progress,
    read_settings,
    run,
    say,
)
from streams.settings_reader import did_you_mean

if TYPE_CHECKING:
    from streams.evidence import Explainer, Explanation, Known, Piece

_EPOCH = date(1970, 1, 1)


def explain(
    manager: Annotated[str, typer.Argument(help="The manager's id.")],
    measure: Annotated[
        str | None, typer.Argument(help="A metric, such as conversion_ratio. Without it: all figures.")
    ] = None,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    window: Annotated[
        str | None, typer.Option(help="1h, today, 7d, 30d, 90d or previous (the 90 days before).", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many pieces at most: the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show what a figure counts: every call, lead and deal, with its id, and the sum.

    The topics are read once more and folded by the same rules as the tables, so the sum is the figure on the board, as
    far back as the topics reach. Nothing is written, and workers are not asked.

    For example:

        callpulse explain anna.weber

        callpulse explain anna.weber conversion_ratio --window 90d

        callpulse explain anna.weber won_deals --json | jq -r '.pieces[].id'
    """
    from agents import evidence  # noqa: PLC0415 - slow to import
    from streams.evidence import Explainer  # noqa: PLC0415 - slow to import

    settings = read_settings(config, bootstrap)
    explainer = Explainer(settings.thresholds)
    name = None if measure is None else _metric(explainer, measure, window)
    with progress("reading the topics", None) as advance:
        known = run(evidence.read(settings, manager, advance))
    if not known.calls.legs and not known.claims:
        stranger = "" if manager in settings.managers else did_you_mean(manager, settings.managers)
        raise Trouble(f"the topics hold nothing of manager {manager!r}{stranger or '.'}")
    now_ms = time.time_ns() // 1_000_000
    if name is None:
        _all(explainer, known, now_ms, window, as_json=as_json)
        return
    found = explainer.explain(name, known, now_ms, window)
    if as_json:
        print_json(_plain(found))
    else:
        _show(manager, found, limit)


def _metric(explainer: Explainer, measure: str, window: str | None) -> str:
    """Return the metric that is meant. Raises Trouble for one that cannot be taken apart, or has no such window."""
    name = measure.removeprefix("callpulse_")
    windows = explainer.windows.get(name)
    if windows is None:
        raise Trouble(
            f"{measure!r} is no figure that counts calls, leads or deals"
            f"{did_you_mean(name, explainer.windows) or '.'} "
            f"These do: {', '.join(sorted(explainer.windows))}.",
            USAGE,
        )
    if window is not None and window not in windows:
        raise Trouble(f"{name} has the windows {', '.join(windows)}.", USAGE)
    return name


def _all(explainer: Explainer, known: Known, now_ms: int, window: str | None, *, as_json: bool) -> None:
    found = [
        explainer.explain(name, known, now_ms, window)
        for name, windows in explainer.windows.items()
        if window is None or window in windows
    ]
    if as_json:
        print_json([{**_plain(each), "pieces": len(each.pieces)} for each in found])
        return
    table = Table("figure", "window", "value", "made of", box=None, header_style="bold", pad_edge=False)
    for each in found:
        table.add_row(each.metric, each.window, _values(each), f"{len(each.pieces)} pieces")
    console().print(table)
    say("callpulse explain MANAGER FIGURE shows the pieces of one.")


def _show(manager: str, found: Explanation, limit: int) -> None:
    typer.echo(f"{found.metric} of {manager}, {found.window}: {_values(found)}")
    typer.echo(found.help)
    divided = any(piece.role == "divided by" for piece in found.pieces)
    table = Table("day", "what", "id", "lead", "n", "", box=None, header_style="bold", pad_edge=False)
    if divided:
        table.add_column("")
    shown = found.pieces[-limit:] if not divided else _newest_of_both(found.pieces, limit)
    for piece in shown:
        row = [_when(piece), piece.of, piece.id, piece.lead, str(piece.n), piece.says]
        table.add_row(*row, *([piece.role] if divided else []))
    console().print(table)
    if len(shown) < len(found.pieces):
        say(f"These are the newest {len(shown)} of {len(found.pieces)}; --limit shows more, --json all.")


def _newest_of_both(pieces: list[Piece], limit: int) -> list[Piece]:
    """Return the newest pieces, of what is counted and of what it is divided by alike."""
    roles = ("counted", "divided by")
    return [piece for role in roles for piece in [each for each in pieces if each.role == role][-(limit + 1) // 2 :]]


def _values(found: Explanation) -> str:
    def shown(value: float | None) -> str:
        return "nothing to divide by" if value is None else f"{value:.4g}"

    return ", ".join(f"{label}: {shown(value)}" if label else shown(value) for label, value in found.figures.items())


def _when(piece: Piece) -> str:
    if piece.at:
        return f"{datetime.fromtimestamp(piece.at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return str(_EPOCH + timedelta(days=piece.day))


def _plain(found: Explanation) -> dict[str, Any]:
    from msgspec import to_builtins  # noqa: PLC0415 - slow to import

    plain: dict[str, Any] = to_builtins(found)
    for piece in plain["pieces"]:
        piece["day"] = str(_EPOCH + timedelta(days=piece["day"]))
    return plain

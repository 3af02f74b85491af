"""`callpulse explain`: the evidence behind a manager's figures, for a number in dispute."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from msgspec.structs import replace
from rich.table import Table

from agents.cli.cells import lead_cell, thing_cell, thing_link, with_link
from agents.cli.common import (
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    bullets,
    cell,
    console,
    print_json,
    progress,
    read_settings,
    run,
    say,
)
from streams.callers import meant
from streams.callers import shown as named
from streams.settings.reader import did_you_mean
from streams.settings.settings import SettingsError

if TYPE_CHECKING:
    from streams.explain.explainer import Explainer, Explanation, ManagerEvidence, Piece
    from streams.settings.links import Links

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
        str | None,
        typer.Option(help="1h, today, 7d, 30d, 90d, previous (the 90 days before) or now.", show_default=False),
    ] = None,
    lead: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            show_default=False,
            help="Only what this lead adds: its id in the CRM, or the short reference of an unknown caller.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many pieces at most: the newest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show what a figure counts: every call, lead and deal, with its id, and the sum.

    For when somebody disputes a number. Calls are read from their topic and counted once more by the rules of the
    tables, leads as their table holds them, so the sum is the figure on the board. Workers are not asked and nothing is
    written. What was folded in the last second may not be there yet.

    With `[links]` in the settings calls, deals and leads are links. A lead that is known by a number alone is an
    unknown caller with a short reference; `callpulse lead-key` makes it of a number.

    For example:

        callpulse explain anna.weber

        callpulse explain anna.weber conversion_ratio --window 90d

        callpulse explain anna.weber won_deals --json | jq -r '.pieces[].id'

        callpulse explain anna.weber calls --lead 174605dd
    """
    from agents.kafka import evidence  # noqa: PLC0415 - slow to import
    from streams.calendars import manager_time  # noqa: PLC0415 - slow to import
    from streams.explain.explainer import EVERYTHING, Explainer  # noqa: PLC0415 - slow to import

    settings = read_settings(config, bootstrap)
    try:
        explainer = Explainer(settings)
    except SettingsError as error:
        raise UserError(f"the settings cannot be used:\n{bullets(map(str, error.problems))}", USAGE) from None
    name = None if measure is None else _metric(explainer, measure)
    _check_window(explainer, name, window)
    now_ms = time.time_ns() // 1_000_000
    need = explainer.need(name, window, now_ms, manager_time(settings, manager))
    with progress("reading the topics", None) as advance:
        known = run(evidence.read(settings, manager, advance, need))
        if _is_empty(known) and need != EVERYTHING:  # an idle manager, or an unknown one?
            known = run(evidence.read(settings, manager, advance))
    if _is_empty(known):
        stranger = "" if manager in settings.managers else did_you_mean(manager, settings.managers)
        raise UserError(f"the topics hold nothing of manager {manager!r}{stranger or '.'}")
    chosen = None if lead is None else _chosen(known, manager, lead)
    if name is None:
        _all(explainer, known, now_ms, window, chosen, as_json=as_json)
        return
    found = explainer.explain(name, known, now_ms, window)
    shown = found if chosen is None else replace(found, pieces=[each for each in found.pieces if each.lead == chosen])
    if as_json:
        print_json(_plain(shown, settings.links))
        return
    _show(manager, shown, limit, ZoneInfo(settings.manager(manager).timezone), settings.links)
    if chosen is not None:
        say(f"{len(shown.pieces)} of the {len(found.pieces)} pieces of this figure are of {named(chosen)}.")


def _chosen(known: ManagerEvidence, manager: str, lead: str) -> str:
    """Return the lead of this reference. Raises UserError where the manager has no such lead, or several."""
    found = meant(lead, known.leads())
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"several leads of manager {manager!r} are named so; give one of them:\n{bullets(found)}", USAGE
        )
    raise UserError(
        f"no call, lead or deal of manager {manager!r} is of this lead. Leads are named by their id in the CRM, a "
        "caller without one by the reference that `callpulse lead-key` makes of the number."
    )


def _is_empty(known: ManagerEvidence) -> bool:
    return not known.calls.legs and not known.calls.row.live.open and not known.contributions


def _metric(explainer: Explainer, measure: str) -> str:
    """Return the metric of this name. Raises UserError, with the reason, for one that cannot be explained."""
    from streams.explain.recipes import NOT_COUNTED  # noqa: PLC0415 - slow to import

    name = measure.removeprefix("callpulse_")
    if name in NOT_COUNTED:
        raise UserError(f"{name} has no calls, leads or deals of its own: {NOT_COUNTED[name]}.", USAGE)
    if name not in explainer.windows:
        raise UserError(
            f"{measure!r} is no figure of a manager{did_you_mean(name, (*explainer.windows, *NOT_COUNTED)) or '.'} "
            f"These can be explained: {', '.join(sorted(explainer.windows))}.",
            USAGE,
        )
    return name


def _check_window(explainer: Explainer, name: str | None, window: str | None) -> None:
    """Raise UserError for a window that the figure, or without one every figure, does not have."""
    if window is None:
        return
    if name is not None and window not in explainer.windows[name]:
        windows = explainer.windows[name]
        raise UserError(f"{name} has the window{'s' if len(windows) > 1 else ''} {', '.join(windows)}.", USAGE)
    known = sorted({window for windows in explainer.windows.values() for window in windows})
    if window not in known:
        raise UserError(f"{window!r} is no window; there are {', '.join(known)}.", USAGE)


def _all(
    explainer: Explainer,
    known: ManagerEvidence,
    now_ms: int,
    window: str | None,
    lead: str | None,
    *,
    as_json: bool,
) -> None:
    """Show every figure; with a lead only those that it contributes to."""
    found = [
        explainer.explain(name, known, now_ms, window)
        for name, windows in explainer.windows.items()
        if window is None or window in windows
    ]
    of_lead = {each.metric: sum(piece.lead == lead for piece in each.pieces) for each in found}
    if lead is not None:
        found = [each for each in found if of_lead[each.metric]]
    if as_json:
        own = {} if lead is None else of_lead
        print_json(
            [
                {
                    **_totals(each),
                    "pieces": len(each.pieces),
                    **({"of_lead": own[each.metric]} if each.metric in own else {}),
                }
                for each in found
            ]
        )
        return
    table = Table("figure", "window", "value", "made of", box=None, header_style="bold", pad_edge=False)
    if lead is not None:
        table.add_column(cell(f"of {named(lead)}"))
    for each in found:
        of = [] if lead is None else [str(of_lead[each.metric])]
        table.add_row(each.metric, each.window, _values(each), f"{len(each.pieces)} pieces", *of)
    console().print(table)
    say("callpulse explain MANAGER FIGURE shows the pieces of one.")


def _show(manager: str, found: Explanation, limit: int, zone: ZoneInfo, links: Links) -> None:
    typer.echo(f"{found.metric} of {manager}, {found.window}: {_values(found)}")
    typer.echo(found.help)
    divided = any(piece.role == "divided by" for piece in found.pieces)
    table = Table(f"when ({zone.key})", "what", "id", "lead", "adds", "", box=None, header_style="bold", pad_edge=False)
    if divided:
        table.add_column("")
    shown = _newest(found.pieces, limit)
    for piece in shown:
        thing, lead = thing_cell(piece.of, piece.id, links), lead_cell(piece.lead, links)
        of = thing, lead, _number(piece.adds), cell(piece.says)
        table.add_row(_when(piece, zone), piece.of, *of, *([piece.role] if divided else []))
    console().print(table)
    if len(shown) < len(found.pieces):
        say(f"These are the newest {len(shown)} of {len(found.pieces)}; --limit shows more, --json all.")


def _newest(pieces: list[Piece], limit: int) -> list[Piece]:
    """Return the newest pieces. Of a ratio, half of them are of the denominator."""
    counted = [piece for piece in pieces if piece.role == "counted"]
    divided = [piece for piece in pieces if piece.role == "divided by"]
    of_divided = min(len(divided), max(limit // 2, limit - len(counted)))
    return counted[-max(1, limit - of_divided) :] + divided[len(divided) - of_divided :]


def _values(found: Explanation) -> str:
    def shown(value: float | None) -> str:
        return "nothing to divide by" if value is None else _number(value)

    return ", ".join(f"{label}: {shown(value)}" if label else shown(value) for label, value in found.figures.items())


def _number(value: float) -> str:
    if value == round(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 1000 else f"{value:.4g}"  # noqa: PLR2004 - from here on no digit is lost


def _when(piece: Piece, zone: ZoneInfo) -> str:
    if piece.at:
        return f"{datetime.fromtimestamp(piece.at / 1000, zone):%Y-%m-%d %H:%M:%S}"
    return str(_EPOCH + timedelta(days=piece.day))


def _totals(found: Explanation) -> dict[str, Any]:
    from msgspec import to_builtins  # noqa: PLC0415 - slow to import

    plain: dict[str, Any] = to_builtins(replace(found, pieces=[]))
    return plain


def _plain(found: Explanation, links: Links) -> dict[str, Any]:
    """Return a figure for JSON; each piece with the links to its page and to that of its lead, where these are set."""
    from msgspec import to_builtins  # noqa: PLC0415 - slow to import

    pieces = []
    for piece in found.pieces:
        plain: dict[str, Any] = to_builtins(piece)
        plain["day"] = str(_EPOCH + timedelta(days=piece.day))
        plain = with_link(plain, thing_link(piece.of, piece.id, links))
        pieces.append(with_link(plain, links.of_lead(piece.lead), "lead_link"))
    return {**_totals(found), "pieces": pieces}

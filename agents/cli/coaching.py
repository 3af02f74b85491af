"""`callpulse coaching`: the calls of a manager that are worth listening to, and the habits to train."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from agents.cli.cells import linked, with_link
from agents.cli.common import (
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    cell,
    console,
    print_json,
    progress,
    read_settings,
    run,
    say,
)
from streams.settings.reader import did_you_mean
from streams.units import DAY_MS, MINUTE_MS, SECOND_MS

if TYPE_CHECKING:
    from rich.text import Text

    from streams.explain.coaching import FlaggedCall, Plan, PlannedHabit, ToListen
    from streams.settings.links import Links

_SHOWN_EVIDENCE: Final = 4


def coaching(
    manager: Annotated[str, typer.Argument(help="The manager's id.")],
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    days: Annotated[int, typer.Option(min=1, max=90, help="Calls of so many days.")] = 30,
    limit: Annotated[int, typer.Option(min=1, help="Show so many flagged calls at most: the newest.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show which calls of a manager to listen to, and which two habits to train.

    A flagged call is named by its id, with the moments to listen to (minutes and seconds from the answer) and the
    phrases of the lexicon; no words of a speaker are kept. The plan compares the manager with the better quartile of
    the team, in calls of the same kind and about the same length.

    For example:

        callpulse coaching anna.weber

        callpulse coaching anna.weber --days 7 --json
    """
    from agents.kafka.heard import read_features  # noqa: PLC0415 - slow to import
    from streams.explain.coaching import latest, plan  # noqa: PLC0415 - slow to import

    settings = read_settings(config, bootstrap)
    since_ms = int(time.time() * 1000) - days * DAY_MS
    with progress("reading the features of calls", None) as advance:
        # Records arrive after their calls, and a history that is fed in arrives long after them.
        facts = run(read_features(settings.kafka, since_ms, advance))
    team = settings.manager(manager).team
    calls = [each for each in latest(facts, since_ms) if settings.manager(each.manager).team == team]
    found = plan(manager, calls)
    if not found.heard:
        stranger = "" if manager in settings.managers else did_you_mean(manager, settings.managers)
        raise UserError(
            f"there is no transcript of a call of manager {manager!r} of these {days} days{stranger or '.'}"
        )
    if as_json:
        print_json(_plain(found, settings.links))
    else:
        _show(found, limit, ZoneInfo(settings.manager(manager).timezone), settings.links)


def _plain(found: Plan, links: Links) -> dict[str, Any]:
    """Return the plan for JSON, each call with its link if there is one."""
    from msgspec import to_builtins  # noqa: PLC0415 - slow to import

    def calls(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [with_link(row, links.of_call(row["call"])) for row in rows]

    plain: dict[str, Any] = to_builtins(found)
    plain["flagged"] = calls(plain["flagged"])
    for habit in plain["habits"]:
        habit |= {name: calls(habit[name]) for name in ("listen", "own_best")}
    return plain


def _show(found: Plan, limit: int, zone: ZoneInfo, links: Links) -> None:
    typer.echo(f"{found.heard} calls of {found.manager} with a transcript, {len(found.flagged)} with a flag")
    if found.swapped:
        typer.echo(
            f"In {len(found.swapped)} of them the sides look swapped, the newest is {cell(found.swapped[-1])}: "
            "is manager_channel of the recogniser right?"
        )
    if found.flagged:
        table = Table(f"ended ({zone.key})", "call", "kind", "talk", "flags", "listen to", box=None, pad_edge=False)
        for each in found.flagged[-limit:]:
            table.add_row(
                _when(each.at, zone),
                linked(each.call, links.of_call(each.call)),
                each.kind,
                _span(each.talk_ms),
                ", ".join(each.flags).replace("_", " "),
                cell(_evidence(each)),
            )
        console().print(table)
        if len(found.flagged) > limit:
            say(f"These are the newest {limit} of {len(found.flagged)}; --limit shows more, --json all.")
    if not found.habits:
        typer.echo("No habit stands out: too few calls of a kind, or the team does the same.")
    for number, habit in enumerate(found.habits, 1):
        _habit(number, habit, zone, links)


def _habit(number: int, habit: PlannedHabit, zone: ZoneInfo, links: Links) -> None:
    typer.echo(
        f"{number}. {habit.habit}: {habit.own:.3g}, the team's better quarter {habit.target:.3g} "
        f"({habit.calls} {habit.kind} calls, {habit.band})"
    )
    for text, calls in (("listen to", habit.listen), ("own good example", habit.own_best)):
        for each in calls:
            console().print(f"   {text}:", _call(each, zone, links), soft_wrap=True)


def _call(each: ToListen, zone: ZoneInfo, links: Links) -> Text:
    moment = "" if each.moment is None else f" at {_span(each.moment)}"
    call = linked(each.call, links.of_call(each.call))
    return call.append(f"{moment} ({_when(each.at, zone)}, {each.value:.3g})")


def _evidence(each: FlaggedCall) -> str:
    shown = [f"{_span(at)} {phrase}" for _, phrase, at in each.evidence[:_SHOWN_EVIDENCE]]
    more = len(each.evidence) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _when(at_ms: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, zone):%Y-%m-%d %H:%M}"


def _span(ms: int) -> str:
    return f"{ms // MINUTE_MS}:{ms % MINUTE_MS // SECOND_MS:02}"

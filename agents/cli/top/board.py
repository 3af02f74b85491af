"""The board on the terminal: a line a manager, as many columns as the width has room for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agents.cli.top.department import CLOSER, NOISE, Department, Feed, Line
from streams.contract.events import QUEUE_PREFIX
from streams.settings.settings import Links, Manager, Thresholds

STALE_S: Final = 120.0
"""An age of the newest event from which the figures may be those of a dead feed, not of a silent team."""
_MARKS: Final = {"available": "●", "paused": "◐", "after_call": "◔", "offline": "○"}
_WAITING_S: Final = 600.0
_KEPT: Final = 0.7
"""Share of promises kept below which the cell is coloured; the colour of the Grafana board changes there, too."""


class View(NamedTuple):
    """The inputs of the board besides the figures: thresholds, names, links, title and the manager of a page."""

    thresholds: Thresholds
    names: Mapping[str, Manager]
    title: str = "callpulse"
    manager: str | None = None
    """The id of the manager whose page is shown; None for the board of all."""
    links: Links = Links()
    chosen: str | None = None
    """The id of the manager whose line is marked; None for no line."""
    keys: bool = False
    """True if keys are read. The board then lists them."""


class Column(NamedTuple):
    """A column. A narrow terminal drops columns by `rank`, the highest first."""

    title: str
    width: int
    rank: int
    cell: Callable[[Line, View], Text]
    right: bool = True


def silent(line: Line, thresholds: Thresholds) -> bool:
    """Return whether the manager is on shift and has had no activity for longer than a pause."""
    return line.on_shift and line.idle_s * 1000 >= thresholds.work_gap_ms


def nobody(line: Line) -> bool:
    """Return whether the line is of a queue, with its unanswered calls, and not of a person."""
    return line.manager.startswith(QUEUE_PREFIX)


def name_of(line: Line, view: View) -> str:
    """Return the manager's name on the roster, or else the id."""
    known = view.names.get(line.manager)  # for workers of an earlier release, which export no names
    return line.name or (known.name if known is not None else line.manager)


def _name(line: Line, view: View) -> Text:
    return Text(name_of(line, view), style="red bold" if silent(line, view.thresholds) else "")


def _presence(line: Line, _view: View) -> Text:
    if not line.presence:
        return Text("·", style="dim")
    styles = {"available": "green", "paused": "yellow", "after_call": "cyan", "offline": "dim"}
    text = f"{_MARKS.get(line.presence, '?')} {line.presence.replace('_', ' ')}"
    return Text(text, style=styles.get(line.presence, ""))


def _in_progress(line: Line, _view: View) -> Text:
    return Text(f"{line.in_progress} {span(line.longest_s)}", style="green") if line.in_progress else Text("")


def _connect(line: Line, _view: View) -> Text:
    return Text("") if line.connect_ratio is None or nobody(line) else Text(f"{line.connect_ratio:.0%}")


def _meaningful(line: Line, view: View) -> Text:
    if nobody(line):
        return Text("")
    low, high = view.thresholds.meaningful_target
    style = "green" if low <= line.meaningful <= high else "" if line.meaningful < low else "cyan"
    return Text(f"{line.meaningful}/{low}-{high}", style=style)


def _idle(line: Line, view: View) -> Text:
    if nobody(line):
        return Text("")
    if not line.on_shift:
        return Text("off shift", style="dim")
    if silent(line, view.thresholds):
        return Text(span(line.idle_s), style="red bold")
    return Text(span(line.idle_s) if line.idle_s else "", style="yellow" if line.idle_s >= _WAITING_S else "")


def _work(line: Line, view: View) -> Text:
    long = line.work_block_s * 1000 >= view.thresholds.break_after_ms
    return Text(span(line.work_block_s) if line.work_block_s else "", style="magenta" if long else "")


def _over_called(line: Line, _view: View) -> Text:
    return Text(str(line.over_called), style="yellow") if line.over_called else Text("")


def _won(line: Line, _view: View) -> Text:
    return Text("") if nobody(line) else Text(str(line.won), style="bold" if line.won else "dim")


def conversion(line: Line) -> str:
    """Return the conversion and its lower bound: `22% ≥9%`."""
    if line.conversion is None:
        return ""
    least = "" if line.conversion_lower is None else f" ≥{line.conversion_lower:.0%}"
    return f"{line.conversion:.0%}{least}"


def promises(line: Line) -> str:
    """Return the share of next steps that were kept, and how many came due: `80% of 12`."""
    return "" if line.promises_kept is None else f"{line.promises_kept:.0%} of {line.promises_due}"


def _promises(line: Line, _view: View) -> Text:
    broken = line.promises_kept is not None and line.promises_kept < _KEPT
    return Text(promises(line), style="yellow" if broken else "")


def _stuck(line: Line, _view: View) -> Text:
    return Text(str(line.stuck), style="yellow") if line.stuck else Text("")


def _pattern(line: Line, _view: View) -> Text:
    return Text(line.pattern, style={NOISE: "red", CLOSER: "green"}.get(line.pattern, ""))


COLUMNS: Final = (
    Column("manager", 18, 0, _name, right=False),
    Column("team", 14, 11, lambda line, _: Text(line.team, style="dim"), right=False),
    Column("presence", 12, 10, _presence, right=False),
    Column("on call", 8, 6, _in_progress),
    Column("idle", 9, 1, _idle),
    Column("calls", 5, 1, lambda line, _: Text(str(line.calls))),
    Column("connect", 7, 9, _connect),
    Column("meaningful", 10, 8, _meaningful),
    Column("talk", 7, 12, lambda line, _: Text(span(line.talk_s) if line.talk_s else "")),
    Column("won", 4, 2, _won),
    Column("conv.", 9, 4, lambda line, _: Text(conversion(line))),
    Column("promises", 10, 7, _promises),
    Column("stuck", 5, 5, _stuck),
    Column("stands out", 12, 3, _pattern, right=False),
    Column("work block", 10, 13, _work),
    Column("over-called", 11, 14, _over_called),
)

ORDERS: Final[dict[str, Callable[[Line], object]]] = {
    "team": lambda line: (line.team, line.manager),
    "idle": lambda line: (-line.idle_s, line.manager),
    "calls": lambda line: (-line.calls, line.manager),
    "talk": lambda line: (-line.talk_s, line.manager),
    "meaningful": lambda line: (-line.meaningful, line.manager),
    "won": lambda line: (-line.won, line.manager),
    "stuck": lambda line: (-line.stuck, line.manager),
}


def board(
    department: Department, view: View, width: int, height: int | None = None, order: str = "team"
) -> RenderableType:
    """Return the board for a terminal of `width` columns and, where it must fit, `height` lines."""
    lines = in_order(department, order)
    room = len(lines) if height is None else max(1, height - (6 if view.keys else 5))
    at = next((place for place, line in enumerate(lines) if line.manager == view.chosen), 0)
    first = min(max(0, at - room + 1), max(0, len(lines) - room))  # the marked line is in sight
    shown = lines[first : first + room]
    hidden = len(lines) - len(shown)
    columns = fitting(width)
    table = Table(box=None, header_style="bold dim", padding=(0, 1), pad_edge=False, expand=False)
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            min_width=min(column.width, len(column.title)),
            max_width=column.width + 6 if column.rank == 0 else column.width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for line in shown:
        marked = "reverse" if line.manager == view.chosen else None
        table.add_row(*(column.cell(line, view) for column in columns), style=marked)
    parts: list[RenderableType] = [header(department, view), table]
    if hidden > 0:
        parts.append(Text(f"… and {hidden} more: a larger window, --team or --sort shows them", style="dim"))
    if view.keys:
        parts.append(Text("↑ ↓ choose, Enter shows the page, q leaves", style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def in_order(department: Department, order: str) -> list[Line]:
    """Return the lines of the board from the first to the last."""
    lines = sorted(department.lines, key=ORDERS[order])  # type: ignore[arg-type]  # tuples of one shape compare
    return sorted(lines, key=nobody)  # queues are below the people


def fitting(width: int) -> Sequence[Column]:
    """Return the columns that a terminal of `width` has room for; manager, calls and idle time always stay."""
    kept = list(COLUMNS)
    while sum(column.width + 1 for column in kept) > width and len(kept) > 3:  # noqa: PLR2004 - those that always stay
        kept.remove(max(kept, key=lambda column: column.rank))
    return kept


def header(department: Department, view: View) -> Text:
    """Return the lines above the table: the age of the figures, and the number of managers by presence."""
    feed, lines = department.feed, [line for line in department.lines if not nobody(line)]
    text = Text.assemble(
        (view.title, "bold"), "  ", (time.strftime("%H:%M:%S", time.localtime(department.at_ms / 1000)), "dim")
    )
    up = "green" if feed.workers_up == feed.workers else "red bold"
    text.append(f"   workers {feed.workers_up}/{feed.workers}", style=up)
    text.append("   newest event ")
    text.append("none yet" if feed.age_s is None else f"{span(max(0.0, feed.age_s))} ago", style=_age_style(feed))
    text.append("   lag ")
    text.append(str(feed.lag), style="" if feed.lag < 1000 else "yellow")  # noqa: PLR2004 - a tenth of a second of work
    if feed.restored < 1:
        text.append(f"   restoring {feed.restored:.0%}", style="yellow")
    if feed.rejected:
        text.append(f"   rejected {feed.rejected}", style="yellow")
    for error in feed.errors:
        text.append(f"\n{error}", style="red")
    on_shift = sum(line.on_shift for line in lines)
    busy = sum(line.in_progress > 0 for line in lines)
    quiet = sum(silent(line, view.thresholds) for line in lines)
    text.append(f"\n{len(lines)} managers, {on_shift} on shift, {busy} on a call", style="")
    if quiet:
        stale = feed.age_s is None or feed.age_s > STALE_S
        text.append(f", {quiet} silent", style="red bold")
        text.append(" (or the feed is down)" if stale else "", style="red")
    text.append("\n")
    return text


def span(seconds: float) -> str:
    """Return a span for a person: `42s`, `3m07s`, `2h05m`."""
    whole = int(seconds)
    if whole < 60:  # noqa: PLR2004 - a minute
        return f"{whole}s"
    if whole < 3600:  # noqa: PLR2004 - an hour
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def _age_style(feed: Feed) -> str:
    return "red bold" if feed.age_s is None or feed.age_s > STALE_S else "green"

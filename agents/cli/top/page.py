"""The page of one manager on the terminal: now, today, result beside activity, and the leads that need help."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agents.cli.cells import lead_cell, linked
from agents.cli.top.board import View, conversion, header, name_of, promises, silent, span
from agents.cli.top.department import Department, Line


def page(department: Department, view: View, manager: str) -> RenderableType:
    """Return the page of the manager with this id."""
    found = next((line for line in department.lines if line.manager == manager), None)
    top = header(department, view)
    if found is None:
        return Group(top, Text(f"no worker exports a manager {manager}; callpulse top lists all", style="yellow"))
    name = linked(name_of(found, view), view.links.of_manager(found.manager))
    name.stylize("bold")
    title = Text.assemble(name, (f"  {found.manager}  {found.team}", "dim"), "\n")
    if view.keys:  # at the top, for a small window cuts the bottom
        title.append("Esc shows everybody, ↑ ↓ the manager before or after, q leaves\n", style="dim")
    parts: list[RenderableType] = [top, title, _figures(found, department, view)]
    if found.leads:
        parts += [Text("\nLeads that need help", style="bold"), _leads(found, view)]
    hint = f"callpulse explain, callpulse leads and callpulse coaching {found.manager} show what is behind it"
    return Group(*parts, Text(f"\n{hint}", style="dim"))


def _figures(line: Line, department: Department, view: View) -> Table:
    """Return the lines of the page: name, figure, and a value to compare it with."""
    low, high = view.thresholds.meaningful_target
    team = [other for other in department.lines if other.team == line.team]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for name, value, beside in (
        ("now", _now(line, view), ""),
        ("calls today", str(line.calls), _beside("usual by now", line.expected_calls, "{:.0f}")),
        ("dials answered", _share(line.connect_ratio), ""),
        ("short calls", _share(line.short_ratio), "of the answered ones"),
        ("meaningful calls", str(line.meaningful), f"{low} to {high} a day"),
        ("talk time", span(line.talk_s), _beside("without a pause", line.work_block_s or None, "{:.0f} s")),
        ("calls, 30 days", str(line.calls_30d), _rank(line.calls_30d, [other.calls_30d for other in team])),
        ("deals won, 30 days", str(line.won), _rank(line.won, [other.won for other in team])),
        ("stands out", line.pattern or "no", "calls beside deals, in the team"),
        ("conversion, 90 days", conversion(line) or "no proposal yet", "≥ is the lower end of its 95 % interval"),
        ("calls per deal, 90 days", _number(line.calls_per_deal), ""),
        ("next step agreed", _share(line.next_step), "of the conversations"),
        ("promises kept", promises(line) or "none due", "next steps of 30 days"),
        ("leads that are stuck", str(line.stuck), f"{line.consult} to discuss with a mentor"),
    ):
        table.add_row(Text(name, style="dim"), Text(value, style="bold"), Text(beside, style="dim"))
    return table


def _leads(line: Line, view: View) -> Table:
    table = Table(box=None, header_style="bold dim", padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("lead", no_wrap=True)
    table.add_column("why")
    table.add_column("in a row", justify="right")
    for lead in sorted(line.leads, key=lambda lead: (-lead.talks, lead.lead)):
        table.add_row(lead_cell(lead.lead, view.links), lead.why, str(lead.talks))
    return table


def _now(line: Line, view: View) -> str:
    if line.in_progress:
        return f"on a call for {span(line.longest_s)}"
    if not line.on_shift:
        return "off shift"
    state = "silent" if silent(line, view.thresholds) else line.presence.replace("_", " ") or "on shift"
    return f"{state}, {span(line.idle_s)} since the last event" if line.idle_s else state


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "no deal yet" if value is None else f"{value:.0f}"


def _beside(name: str, value: float | None, form: str) -> str:
    return "" if value is None else f"{name}: {form.format(value)}"


def _rank(value: int, of: list[int]) -> str:
    return f"number {1 + sum(other > value for other in of)} of {len(of)} in the team"

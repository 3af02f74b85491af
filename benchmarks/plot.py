"""Plots of the benchmarks as SVG, from the figures that `python -m benchmarks --json FILE` writes.

    python -m benchmarks.plot FILE docs/images

They are made of lines, rectangles and text alone, with the colours of the reader: light or dark.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

WIDTH: Final = 300
HEIGHT: Final = 206
LEFT: Final = 62
TOP: Final = 40
BOTTOM: Final = 34
GAP: Final = 14
LETTER: Final = 7
"""Pixels of a letter of a label: more than the mean of a common font."""
APART: Final = 8
"""Fewest pixels between labels."""
STYLE: Final = """\
svg { background: #ffffff; font-family: sans-serif; font-size: 12px; }
text { fill: #24292f; } .title { font-weight: bold; } .soft { fill: #57606a; }
.axis { stroke: #8c959f; stroke-width: 1; } .grid { stroke: #d0d7de; stroke-width: 0.5; }
.mark { stroke: #9a6700; stroke-dasharray: 4 3; } .one { stroke: #0969da; fill: #0969da; }
.two { stroke: #bc4c00; fill: #bc4c00; } .line { fill: none; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; } text { fill: #e6edf3; } .soft { fill: #9198a1; }
.axis { stroke: #6e7681; } .grid { stroke: #30363d; } .mark { stroke: #d29922; }
.one { stroke: #58a6ff; fill: #58a6ff; } .two { stroke: #ff9b5e; fill: #ff9b5e; }
}"""
Pairs = Sequence[tuple[float, float]]


class Panel(Struct, frozen=True, kw_only=True):
    """One plot. `lines` are its series by name; `marks` are places on the x axis with a name.

    `axis` is the x axis: `time` from 0, `counts` at equal distances, `log` with a logarithmic y axis, too. Each point
    of the last two has its value above it.
    """

    title: str
    x: str
    lines: Mapping[str, Pairs]
    marks: Sequence[tuple[float, str]] = ()
    axis: Literal["time", "counts", "log"] = "time"


def scaling(figures: Mapping[str, Any]) -> list[list[Panel]]:
    """Return the plots of `scaling`: events a second over time, pauses and freshness by the number of workers."""
    marks = [(float(at), f"{count} workers") for count, at in figures["started"].items() if float(at) > 0]
    throughput = Panel(
        title="Events/s while a backlog is folded",
        x="seconds; a dashed line is where workers start",
        lines={"": [(at, rate) for at, rate in figures["rates"]]},
        marks=marks,
    )
    pause = Panel(
        title="Longest pause of a partition, s",
        x="workers, after the new ones have started",
        lines={"": _by_count(figures["longest_pause_seconds"])},
        axis="counts",
    )
    fresh = Panel(
        title="Event → /metrics, s",
        x="workers",
        lines={"p50": _by_count(figures["fresh_p50_seconds"]), "p99": _by_count(figures["fresh_p99_seconds"])},
        axis="counts",
    )
    return [[throughput, pause, fresh]]


def growth(figures: Mapping[str, Any]) -> list[list[Panel]]:
    """Return the plots of `growth`: a row for each measure, a column for each size that grows."""
    rows: list[tuple[str, Callable[[Mapping[str, Any]], float]]] = [
        ("Processor time of an event, µs", lambda point: float(point["event_micros"])),
        ("Processor time of a scrape, s", lambda point: float(point["scrape_cpu_s"])),
        ("Memory, MiB", lambda point: float(point["memory_mib"])),
    ]
    panels = []
    for title, value in rows:
        row = []
        for grows, x in (("managers", "managers"), ("leads", "leads"), ("days", "days of history")):
            points = sorted(
                (float(point["size"][grows]), value(point))
                for point in figures["points"]
                if point["size"]["grows"] in ("", grows)
            )
            row.append(Panel(title=title, x=x, lines={"": points}, axis="log"))
        panels.append(row)
    return panels


PLOTS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[list[Panel]]]]] = {"scaling": scaling, "growth": growth}
"""The benchmarks that have a plot, by name."""


def svg(rows: Sequence[Sequence[Panel]]) -> str:
    """Return the picture of panels in rows."""
    columns = max(len(row) for row in rows)
    width, height = columns * (WIDTH + GAP) + GAP, len(rows) * (HEIGHT + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{STYLE}</style>",
    ]
    for row_number, row in enumerate(rows):
        for number, panel in enumerate(row):
            x, y = GAP + number * (WIDTH + GAP), GAP + row_number * (HEIGHT + GAP)
            parts.append(f'<g transform="translate({x} {y})">')
            parts += _panel(panel)
            parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def write(figures: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write the plots of the benchmarks that have one; return the files. `figures` are by name of the benchmark."""
    written = []
    for name, panels in PLOTS.items():
        if figures.get(name):
            file = folder / f"{name}.svg"
            file.write_text(svg(panels(figures[name])), encoding="utf-8")
            written.append(file)
    return written


def ticks(least: float, most: float, *, log: bool) -> list[float]:
    """Return round numbers from about `least` to about `most`: powers of ten, or four or five steps from 0."""
    if log:
        return [10.0**power for power in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)]
    raw = max(most, 1e-9) / 4
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def spread(labels: Sequence[tuple[float, float]]) -> list[float]:
    """Return the middle of each of the labels that stand side by side, as near to its own place as the others let it.

    `labels` are the place and the width of each, in the order of their places. Raises ValueError if the panel is too
    narrow for all of them.
    """
    if sum(width + APART for _, width in labels) - APART > WIDTH:
        raise ValueError(f"{len(labels)} labels do not fit side by side into {WIDTH} pixels")
    # Labels that would touch are a block, whose middle is the mean of what its labels wish. A block takes in the one
    # before it for as long as it touches that.
    blocks: list[tuple[float, float, int]] = []  # left end, width, number of labels
    for at, width in labels:
        begin, count = _inside(at - width / 2, width), 1
        while blocks and blocks[-1][0] + blocks[-1][1] + APART > begin:
            before, wide, many = blocks.pop()
            whole = wide + APART + width
            begin = _inside((before * many + (begin - wide - APART) * count) / (many + count), whole)
            width, count = whole, count + many  # noqa: PLW2901 - the block takes the place of the label
        blocks.append((begin, width, count))
    middles: list[float] = []
    for begin, _, count in blocks:
        at = begin
        for _, width in labels[len(middles) : len(middles) + count]:
            middles.append(at + width / 2)
            at += width + APART
    return middles


def _inside(begin: float, width: float) -> float:
    return min(max(begin, 0.0), WIDTH - width)


def _panel(panel: Panel) -> list[str]:
    points = [point for line in panel.lines.values() for point in line]
    parts = [f'<text class="title" x="0" y="14">{escape(panel.title)}</text>']
    if not points:
        return [*parts, '<text class="soft" x="0" y="40">not measured</text>']
    right, bottom = WIDTH - 8, HEIGHT - BOTTOM
    xs, ys = [x for x, _ in points], [y for _, y in points]
    places = sorted(set(xs))
    is_log = panel.axis == "log"
    x_ticks = ticks(0, max(xs), log=False) if panel.axis == "time" else places
    y_ticks = ticks(min(ys), max(ys), log=is_log)

    def across(x: float) -> float:
        if panel.axis == "counts":
            return LEFT + (right - LEFT) * (places.index(x) + 0.5) / len(places)
        if is_log:
            return LEFT + 14 + (right - LEFT - 40) * _share(math.log10(x), math.log10(min(xs)), math.log10(max(xs)))
        return LEFT + (right - LEFT) * x / max(x_ticks[-1], 1e-9)

    def up(y: float) -> float:
        low, high = y_ticks[0], y_ticks[-1]
        share = _share(math.log10(y), math.log10(low), math.log10(high)) if is_log else _share(y, low, high)
        return bottom - (bottom - TOP) * share

    for y in y_ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{up(y):.1f}" y2="{up(y):.1f}"/>')
        parts.append(f'<text class="soft" x="{LEFT - 6}" y="{up(y) + 4:.1f}" text-anchor="end">{_number(y)}</text>')
    parts += [
        f'<text class="soft" x="{across(x):.1f}" y="{bottom + 14}" text-anchor="middle">{_number(x)}</text>'
        for x in x_ticks
    ]
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    centre = (LEFT + right) / 2
    parts.append(f'<text class="soft" x="{centre}" y="{bottom + 29}" text-anchor="middle">{escape(panel.x)}</text>')
    names = spread([(across(at), len(name) * LETTER) for at, name in panel.marks])
    for (at, name), middle in zip(panel.marks, names, strict=True):
        parts.append(
            f'<line class="mark" x1="{across(at):.1f}" x2="{across(at):.1f}" y1="{TOP - 2}" y2="{bottom}"/>'
            f'<text class="soft" x="{middle:.1f}" y="{TOP - 6}" text-anchor="middle">{escape(name)}</text>'
        )
    for colour, (name, line) in zip(("one", "two"), panel.lines.items(), strict=False):
        parts += _line(colour, name, [(across(x), up(y), y) for x, y in line], valued=panel.axis != "time")
    return parts


def _line(colour: str, name: str, places: Sequence[tuple[float, float, float]], *, valued: bool) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    parts = [f'<polyline class="line {colour}" style="fill: none" points="{path}"/>']
    if valued:
        for x, y, value in places:
            parts.append(f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
            parts.append(f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="middle">{_number(value)}</text>')
    if name and places:
        x, y, _ = places[-1]
        parts.append(f'<text class="soft" x="{x + 8:.1f}" y="{y + 4:.1f}">{escape(name)}</text>')
    return parts


def _by_count(values: Mapping[str, float]) -> list[tuple[float, float]]:
    return sorted((float(count), float(value)) for count, value in values.items())


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if high == low else (value - low) / (high - low)


def _number(value: float) -> str:
    """Return a number for an axis, with three digits that count: 0.25, 12.5, 30k, 10M."""
    for least, unit in ((1_000_000, "M"), (10_000, "k")):
        if value >= least:
            return f"{value / least if unit == 'M' else value / 1000:.3g}{unit}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    """Write the plots of a file of figures into a folder."""
    report = msgspec.json.decode(Path(sys.argv[1]).read_bytes())
    found = {name: told["figures"] for name, told in report["benchmarks"].items()}
    for file in write(found, Path(sys.argv[2])):
        print(file)


if __name__ == "__main__":
    main()

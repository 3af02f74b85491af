"""Prints the share of the code that the tests run, and each gap with its reason: the end of `make test`.

tests/uncovered.toml gives the reasons, by file and function, and the least shares of lines and branches.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

REASONS: Final = Path(__file__).with_name("uncovered.toml")


class Gap(NamedTuple):
    """The gaps of one function: untested lines, and branches as (from, to); a negative end leaves the function."""

    path: str
    function: str
    lines: tuple[int, ...]
    branches: tuple[tuple[int, int], ...]

    def places(self) -> str:
        """Return lines and branches in short, without branches from or to a line that is not run."""
        branches = [(at, to) for at, to in self.branches if at not in self.lines and to not in self.lines]
        parts = [*spans(self.lines), *(f"{at}→{to if to > 0 else 'end'}" for at, to in branches)]
        return ", ".join(parts)


def spans(lines: tuple[int, ...]) -> Iterator[str]:
    """Join lines that follow each other: 3-5."""
    first = last = None
    for line in [*sorted(lines), None]:
        if first is not None and last is not None and line != last + 1:
            yield f"{first}" if first == last else f"{first}-{last}"
            first = None
        first, last = (line if first is None else first), line


def gaps(report: Mapping[str, Any]) -> list[Gap]:
    """Return the gaps in the report that coverage.py writes as JSON."""
    found = []
    for path, file in sorted(report["files"].items()):
        for function, part in file["functions"].items():
            lines, branches = tuple(part["missing_lines"]), tuple((at, to) for at, to in part["missing_branches"])
            if lines or branches:
                found.append(Gap(path, function or "<module>", lines, branches))
    return found


def reason(reasons: Mapping[str, Mapping[str, str]], gap: Gap) -> str | None:
    """Return the reason of a gap: that of its function, or that of its whole file (`*`)."""
    of_file = reasons.get(gap.path, {})
    return of_file.get(gap.function, of_file.get("*"))


def stale(reasons: Mapping[str, Mapping[str, str]], report: Mapping[str, Any]) -> list[str]:
    """Return the reasons that name no function of the code."""
    files = report["files"]
    return [
        f"{path} {function}"
        for path, functions in reasons.items()
        for function in functions
        if path not in files or function not in {"*", "<module>", *files[path]["functions"]}
    ]


def lines_of(report: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[str]:
    """Return the text of the report, line by line."""
    total, reasons = report["totals"], declared["reasons"]
    found = gaps(report)
    yield (
        f"Coverage: {percent(total, 'lines'):.1f} % of {total['num_statements']:,} lines, "
        f"{percent(total, 'branches'):.1f} % of {total['num_branches']:,} branches. Not covered:"
    )
    for gap in found:
        if (why := reason(reasons, gap)) is not None:
            yield f"  {gap.path} {gap.function}: {gap.places()}: {why}"
    without = [gap for gap in found if reason(reasons, gap) is None]
    if without:
        yield f"Without a reason in {REASONS.name}:"
        yield from (f"  {gap.path} {gap.function}: {gap.places()}" for gap in without)
    if left := stale(reasons, report):
        yield f"Reasons in {REASONS.name} for functions that are not there: {', '.join(left)}"


def percent(total: Mapping[str, Any], what: str) -> float:
    """Return the share of lines or branches that are covered, in percent."""
    covered, number = (
        (total["covered_lines"], total["num_statements"])
        if what == "lines"
        else (total["covered_branches"], total["num_branches"])
    )
    return 100.0 * covered / number if number else 100.0


def complaints(report: Mapping[str, Any], declared: Mapping[str, Any]) -> list[str]:
    """Return the shares that are below their minimum."""
    return [
        f"{percent(report['totals'], what):.2f} % of the {what} are covered, and {least} % are the least."
        for what, least in declared["least_percent"].items()
        if percent(report["totals"], what) < least
    ]


def main(path: str) -> None:
    """Print the report that coverage.py wrote as JSON; exit with 1 where a share is below its minimum."""
    declared = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    report = orjson.loads(Path(path).read_bytes())
    wrong = complaints(report, declared)
    sys.stdout.write("\n".join([*lines_of(report, declared), *wrong]) + "\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(sys.argv[1])

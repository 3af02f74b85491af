"""`python -m benchmarks`: every figure that callpulse promises, measured on this machine."""

from __future__ import annotations

import argparse
import logging
import re
import signal
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

import msgspec

from agents.embedded import EmbeddedKafka
from benchmarks import machine, native, plot
from benchmarks.measures import MISSED, WRONG, Result

BENCHMARKS: Final = (
    "throughput",
    "topology",
    "leads",
    "delay",
    "restore",
    "restore-day",
    "scrape",
    "memory",
    "leads-memory",
    "ami",
    "cdr",
    "speech",
    "speech-delay",
    "gateway",
)
SIZING: Final = ("scaling", "growth", "rebuild-quarter")
"""The benchmarks of sizing on the page on operations. Only `make sizing` runs them."""
BEGIN: Final = "<!-- results: begin, written by `make bench` -->"
END: Final = "<!-- results: end -->"


def main() -> int:
    """Run the benchmarks. A signal to end stops all processes that they started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new topic has no leader for a moment
    return _run()


def _run() -> int:
    """Measure, report, and return 0; 1 where an answer was wrong; with --strict 2 where a target was missed."""
    options = _options()
    described = machine.describe()
    print(machine.line(described), file=sys.stderr)
    if not native.is_built():
        print(native.PURE_NOTE, file=sys.stderr)
    results: list[Result] = []
    with EmbeddedKafka(heap=options.heap) as kafka:
        for name in options.only:
            print(f"-- {name}", file=sys.stderr)
            benchmark = module(name)
            try:
                result = benchmark.measure(
                    kafka.bootstrap,
                    runs=options.runs,
                    events=options.events,
                    hours=options.hours,
                    rows=options.rows,
                    days=options.days,
                    largest=options.largest,
                    only=options.peers,
                )
            except Exception as error:  # noqa: BLE001 - an error must not lose the figures of the other benchmarks
                result = Result(name, {}, [], [], [], [f"{type(error).__name__}: {error}"])
            results.append(result)
            print(result.text(), flush=True)
    _write(options, described, results)
    if any(result.wrong for result in results):
        return WRONG
    missed = any(not target.met for result in results for target in result.targets)
    return MISSED if options.strict and missed else 0


def module(name: str) -> ModuleType:
    """Return the module of a benchmark."""
    return import_module(f"benchmarks.{name.replace('-', '_')}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    parser.add_argument(
        "--docs", type=Path, metavar="FILE", help="write the tables between the marks of a Markdown file"
    )
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="write the plots of scaling and growth into FOLDER"
    )
    parser.add_argument("--only", type=_names, default=list(BENCHMARKS), help=f"of {','.join((*BENCHMARKS, *SIZING))}")
    parser.add_argument(
        "--peers", type=lambda text: frozenset(text.split(",")), default=frozenset(), help="for throughput and topology"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each peer (default %(default)s)")
    parser.add_argument("--events", type=int, default=400_000, help="of throughput and topology (default %(default)s)")
    parser.add_argument("--hours", type=int, default=8, help="of the shift of restore-day (default %(default)s)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of cdr (default %(default)s)")
    parser.add_argument("--days", type=int, default=2, help="of rebuild-quarter, working days (default %(default)s)")
    parser.add_argument("--largest", action="store_true", help="growth: ten million leads, too")
    parser.add_argument("--heap", default="1g", help="largest heap of the broker (default %(default)s)")
    parser.add_argument("--strict", action="store_true", help="exit with 2 where a target is missed")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - {*BENCHMARKS, *SIZING}:
        known = ", ".join((*BENCHMARKS, *SIZING))
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {known}")
    return names


def _write(options: argparse.Namespace, described: dict[str, object], results: list[Result]) -> None:
    if options.json is not None:
        report = {
            "machine": described,
            "runs": options.runs,
            "benchmarks": {
                result.name: {
                    "figures": result.figures,
                    "targets": [{**msgspec.to_builtins(target), "met": target.met} for target in result.targets],
                    "notes": result.notes,
                    "wrong": result.wrong,
                }
                for result in results
            },
        }
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if options.plots is not None:
        plot.write({result.name: result.figures for result in results}, options.plots)
    if options.docs is not None:
        text = options.docs.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        between, _, after = rest.partition(END)
        body = _measured(options, described, between, results)
        options.docs.write_text(f"{before}{BEGIN}\n\n{body}\n{END}{after}", encoding="utf-8")


def _measured(options: argparse.Namespace, described: dict[str, object], before: str, results: list[Result]) -> str:
    """Return the text between the marks: a new one, or the old one with the benchmarks that ran replaced.

    Each of these then has its date and its machine.
    """
    measured = f"Measured on {str(described['date'])[:10]}: {machine.line(described)}.\n"
    if not native.is_built():
        measured += f"\n{native.PURE_NOTE}\n"
    texts = {result.name: result.text() for result in results}
    if set(options.only) >= set(BENCHMARKS):
        return "\n".join([measured, *texts.values()])
    head, *sections = re.split(r"^(?=### )", before.strip() + "\n", flags=re.MULTILINE)
    known = {section.splitlines()[0].removeprefix("### "): section.rstrip() + "\n" for section in sections}
    for name, text in texts.items():
        title, _, rest = text.partition("\n")
        known[name] = f"{title}\n\n{measured}{rest}"
    return "\n".join([*([head.rstrip() + "\n"] if head.strip() else []), *known.values()])


if __name__ == "__main__":
    sys.exit(main())

"""CDR: a million rows of call detail records through the reader, by processor time. `python -m benchmarks.cdr`.

The rows are those of a simulated day of a department, written as Asterisk writes `Master.csv` and repeated day after
day, each with dates and ids of its own, and with other customers on eight days in a row. The figure beside it is the
time that Python's csv module takes for the same rows.
"""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from benchmarks.measures import Result, Target
from benchmarks.workload import MANAGERS, SEED, START_MS
from streams.settings.settings import load
from streams.simulator import Department, FaultRates, simulate
from streams.simulator.rendering import cdr
from streams.simulator.rendering.exchange import Exchange
from streams.simulator.rendering.history import History
from streams.simulator.rendering.phone_book import PhoneBook
from streams.sources.asterisk import AsteriskMapping
from streams.sources.asterisk.records.sources import CdrSource
from streams.sources.people import People
from streams.sources.registry import SOURCES
from streams.units import DAY_MS

MILLION: Final = 1_000_000
MOST_S: Final = 60.0
_CUSTOMERS: Final = 100_000
_CUSTOMERS_DAYS: Final = 8
_TEAMS: Final = 8
_INTERNAL: Final = 0.1
_DATE: Final = re.compile(rb'(?<=")\d{4}-\d\d-\d\d(?= \d\d:\d\d:\d\d")')
_ID: Final = re.compile(rb'(?<=")\d{10}(?=\.\d+")')
_NUMBER: Final = re.compile(rb"(?<=\+1555)\d{7}")
_NOW_MS: Final = START_MS + 20_000 * DAY_MS
_SECRET: Final = b"a secret of the benchmark"


def measure(_bootstrap: str = "", *, runs: int = 5, rows: int = MILLION, **_: Any) -> Result:
    """Read `rows` rows, and split as many with the csv module, turn by turn; the best of three runs counts."""
    day, people = _day()
    whole, rest = divmod(rows, len(day))
    seconds: dict[str, list[float]] = {"reader": [], "csv": []}
    wrong: list[str] = []
    ends = 0
    for _run in range(max(1, min(runs, 3))):
        source = CdrSource(AsteriskMapping().cdr, AsteriskMapping(), _SECRET, "UTC", people)
        taken = {"reader": 0.0, "csv": 0.0}
        made: list[int] = []
        for number in range(whole + bool(rest)):
            lines = _later(day if number < whole else day[:rest], number)
            began = time.process_time()
            made.append(_read(source, lines, number))
            halfway = time.process_time()
            _split(lines)
            taken["reader"] += halfway - began
            taken["csv"] += time.process_time() - halfway
        for name, value in taken.items():
            seconds[name].append(value)
        ends = sum(made)
        if len(set(made[:whole])) > 1 or not all(made):
            wrong.append(f"the days are alike, and the ends of calls are not: {made}")
    reader, split = min(seconds["reader"]), min(seconds["csv"])
    cells = [f"{rows:,}", f"{ends:,}", f"{rows / reader:,.0f}", f"{reader:.1f}", f"{reader / split:.1f}"]
    table = [
        ["CDR in one process", "rows", "ends of calls", "rows/s", "seconds", "times the csv module"],
        ["read, joined and translated", *cells],
    ]
    figures = {"rows_per_second": rows / reader, "seconds": reader, "times_the_csv_module": reader / split}
    targets = [Target("a million CDR rows, seconds", reader / rows * MILLION, at_most=MOST_S)]
    notes = [f"{MANAGERS} managers; {len(day):,} rows a day; best of {len(seconds['csv'])}, processor time"]
    return Result("cdr", figures, table, targets, notes, wrong)


@lru_cache(maxsize=1)
def _day() -> tuple[list[bytes], People]:
    """Return the rows of a simulated day, and the extensions of its managers."""
    department = Department.make(SEED, MANAGERS, _TEAMS)
    end_ms = START_MS + DAY_MS
    arriving = simulate(department, START_MS, end_ms, faults=FaultRates.none(), internal=_INTERNAL)
    book = PhoneBook(department.settings.managers)
    rows = cdr.rows(Exchange(book).facts(History.of(arriving).until(end_ms)))
    lines = b"".join(rows).splitlines(keepends=True)
    return lines, People.of(load(book.roster(department.text), {}, SOURCES), _SECRET)


def _later(day: Sequence[bytes], days: int) -> list[bytes]:
    """Return the rows of a day as those of another one."""
    dates: dict[bytes, bytes] = {}
    seconds, first_number = days * DAY_MS // 1000, days % _CUSTOMERS_DAYS * _CUSTOMERS

    def date(found: re.Match[bytes]) -> bytes:
        text = found[0]
        if text not in dates:
            moved = datetime.fromisoformat(text.decode()).replace(tzinfo=UTC) + timedelta(days=days)
            dates[text] = moved.strftime("%Y-%m-%d").encode()
        return dates[text]

    def stamp(found: re.Match[bytes]) -> bytes:
        return b"%d" % (int(found[0]) + seconds)

    def number(found: re.Match[bytes]) -> bytes:
        return b"%07d" % (int(found[0]) + first_number)

    return [_NUMBER.sub(number, _ID.sub(stamp, _DATE.sub(date, line))) for line in day]


def _read(source: CdrSource, lines: Sequence[bytes], number: int) -> int:
    first = number * len(lines) * 100
    made = sum(len(source.take(line, first + place, _NOW_MS).events) for place, line in enumerate(lines))
    return made + len(source.quiet(_NOW_MS))


def _split(lines: Sequence[bytes]) -> int:
    texts: Iterator[str] = (line.decode() for line in lines)
    return sum(len(row) for row in csv.reader(texts))


if __name__ == "__main__":
    print(measure().text())

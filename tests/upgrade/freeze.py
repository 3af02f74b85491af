"""Freezes this release: `python -m tests.upgrade.freeze --release NAME`. README.md has the occasions.

A simulated department works one or two days a week for five weeks, and on two days half a year later, when leads
are forgotten and days have left their windows. Some ends never come, some come days late. All chance is seeded, and no
clock is read: the files are always the same.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.upgrade import rows_on_disk
from tests.upgrade.frozen import FOLDER, Arrival, Frozen, Reading, write
from tests.upgrade.in_memory import Installation
from tests.upgrade.today import DAY_MS, TABLES, Department, FaultRates, settings_of, simulate

SEED: Final = 11
HOUR_MS: Final = 3_600_000
START_MS: Final = 1_756_684_800_000  # 2025-09-01, a Monday, 00:00 UTC
PERIODS: Final = ((0, 2), (7, 8), (14, 15), (21, 22), (28, 29), (190, 191), (197, 198))
"""First and last day of each period in which the department works, counted from the start."""
CHECKPOINT_MS: Final = 4 * HOUR_MS
READ_EVERY: Final = 5
AFTER_MS: Final = 12 * HOUR_MS
"""From the last arrival to the last reading: by then every leg has ended."""
WAY: Final = FaultRates(
    lost_starts=0.03, lost_answers=0.02, lost_ends=0.03, duplicates=0.03, disorder=0.1, late=0.03, cdr=0.05, bad=0.0
)
_SETTINGS: Final = """\
[kafka]
group = "frozen-{release}"
topic_prefix = "frozen-{release}."
partitions = 4
session_timeout = "6s"
heartbeat_interval = "1s"
commit_interval = "200ms"

[worker]
id = "w1"
http_port = 0

[thresholds]
day_rows = 91
calls_per_lead_day = 2
work_gap = "40m"

[results]
products = ["basic", "plus"]
client_types = ["small business", "mid market"]
lead_expiry = "181d"
mentor_after = 2
stuck_after = 3
permitted_hours = "10:00-16:00"

[economics]
currencies = ["EUR", "USD"]

"""


def freeze(release: str) -> Frozen:
    """Let the department work, and return the result of this release."""
    department = Department.make(SEED, managers=6, teams=3)
    planned = department.toml().replace("[[teams]]\n", "[[teams]]\nplan_deals = 12\n")
    text = _SETTINGS.format(release=release) + planned
    arrivals = list(_arrivals(department))
    readings: list[Reading] = []
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(text)
        installation = Installation(settings, Path(folder))
        installation.agree(START_MS)
        moments = [(at_ms, list(some)) for at_ms, some in groupby(arrivals, _checkpoint_after)]
        moments.append((moments[-1][0] + AFTER_MS, []))
        for number, (at_ms, some) in enumerate(moments):
            installation.work(some, at_ms)
            is_read = number % READ_EVERY == 0 or at_ms == moments[-1][0]
            figures = installation.figures(at_ms) if is_read else None
            readings.append(Reading(at_ms, installation.topics.ends(), figures))
        installation.close()
        rows = {
            table: rows_on_disk.written_at(rows_on_disk.read(path), readings[-1].at_ms)
            for table in TABLES
            if (path := Path(folder) / settings.worker.id / table).exists()
        }
    return Frozen(
        release=release,
        settings=text,
        input=arrivals,
        topics=installation.topics.found(),
        rows=rows,
        readings=readings,
    )


def _arrivals(department: Department) -> Iterator[Arrival]:
    for first, last in PERIODS:
        begin_ms, end_ms = START_MS + first * DAY_MS, START_MS + last * DAY_MS
        made = simulate(department, begin_ms, end_ms, faults=WAY, intensity=0.1, crm=True)
        for record in sorted(made, key=lambda record: record.due_ms):
            assert record.key is not None
            yield Arrival(record.topic, record.key.encode(), record.value, record.due_ms)


def _checkpoint_after(arrival: Arrival) -> int:
    return (arrival.at_ms // CHECKPOINT_MS + 1) * CHECKPOINT_MS


def main() -> None:
    """Freeze this release under the name that the command line gives."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade.freeze", description=__doc__)
    parser.add_argument("--release", required=True, help="the name of the release, and of the folder")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where releases are kept")
    given = parser.parse_args()
    if (given.folder / given.release).exists():
        parser.error(f"{given.release} is frozen already, and stays as it is; give this release another name")
    write(freeze(given.release), given.folder / given.release)


if __name__ == "__main__":
    main()

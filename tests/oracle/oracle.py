"""The batch oracle: every metric of a manager, from scratch, by SQL over the raw records of topic `calls`.

It exists to be compared with what callpulse exports, so it shares no code with it: DuckDB reads the JSON, decides the
local days and does the counting, in the `.sql` files beside this module. It is as slow and as plain as it may be.

Left out: `idle_seconds` and `on_shift`, which need the calendar of shifts. Not seen from here, because only the clock
of a worker decides it: a leg that was closed by timeout and whose late real end names another lead leaves the first
lead with its manager.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, TypeAlias

import duckdb

from tests.oracle.contract import Raw, why_not

Labels: TypeAlias = tuple[tuple[str, str], ...]
Answers: TypeAlias = dict[tuple[str, Labels], float]
"""The value of each sample by (full name, sorted pairs of labels); `manager` is one of the labels, `team` is not."""

METRICS: Final = frozenset(
    f"callpulse_{name}"
    for name in (
        "calls",
        "calls_by_kind",
        "calls_by_disposition",
        "answered_calls",
        "connect_ratio",
        "short_call_ratio",
        "meaningful_calls",
        "conversations",
        "attempts_per_contact",
        "talk_time_seconds",
        "calls_talked",
        "calls_timed_out",
        "calls_in_progress",
        "longest_call_in_progress_seconds",
        "last_activity_timestamp_seconds",
        "presence",
        "work_block_seconds",
        "work_blocks",
        "breaks_missed",
        "open_leads_by_calls",
        "open_leads_by_conversations",
        "calls_per_lead",
        "leads_over_called",
    )
)
"""What the oracle answers; every other metric is none of its business."""

HERE: Final = Path(__file__).parent
LATEST_MS: Final = 2**62


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Where the lines are drawn; the defaults are callpulse's own, stated again."""

    conversation_ms: int = 60_000
    short_ms: int = 120_000
    meaningful_ms: int = 300_000
    max_call_ms: int = 4 * 3_600_000
    work_gap_ms: int = 15 * 60_000
    work_block_ms: int = 2 * 3_600_000
    break_after_ms: int = 3 * 3_600_000
    retry_horizon_ms: int = 6 * 3_600_000
    future_ms: int = 300_000
    day_rows: int = 400
    dials_a_day: int = 3
    histogram_ms: tuple[int, ...] = (6_000, 20_000, 60_000, 120_000, 180_000, 300_000, 600_000, 1_200_000)


DEFAULTS: Final = Thresholds()


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What is in the topics, record by record."""

    records: int = 0  # of topic `calls`
    own: int = 0  # of these, accepted ones that callpulse itself added
    unique: int = 0  # accepted events of sources, each id once for a manager
    duplicates: int = 0  # accepted events of sources beyond these, copies of stray records among them
    rejected: Mapping[str, int] = field(default_factory=dict)  # by reason, at least 1 each
    dead_letters: int = 0  # records of topic `rejected`


def answers(
    records: Iterable[Raw],
    roster: Mapping[str, str],
    default_zone: str,
    now_ms: int,
    thresholds: Thresholds = DEFAULTS,
    topic: str = "calls",
) -> Answers:
    """Return what every metric of every manager must be at `now_ms`.

    `roster` maps managers to their IANA zones; others whom an event names live in `default_zone`. A ratio without a
    denominator is absent. Raises `duckdb.Error` for a zone that DuckDB does not know.
    """
    with duckdb.connect() as db:
        db.execute("SET VARIABLE default_zone = ?", [default_zone])
        for name, value in (("now_ms", now_ms), *_numbers(thresholds)):
            db.execute(f"SET VARIABLE {name} = ?::BIGINT", [value])
        db.execute(
            "CREATE MACRO local_day(zone, at_ms) AS"
            " date_diff('day', DATE '1970-01-01', timezone(zone, make_timestamptz(at_ms * 1000))::DATE)"
        )
        _fill_constants(db, roster, thresholds)
        _fill_records(db, _accepted(records, topic, thresholds.future_ms))
        _run(db, "events")
        _derive(db)
        for step in ("legs", "measures", "leads"):
            _run(db, step)
        rows = db.execute("SELECT name, manager, labels, value FROM answers").fetchall()
    found: Answers = {}
    for name, manager, labels, value in rows:
        pairs = [("manager", manager), *zip(labels[::2], labels[1::2], strict=True)]
        found[f"callpulse_{name}", tuple(sorted(pairs))] = value
    return found


def counts(
    records: Iterable[Raw], future_ms: int = DEFAULTS.future_ms, topic: str = "calls", dead: str = "rejected"
) -> Counts:
    """Count what the topics hold; `dead` is the name of the topic of dead letters."""
    reasons: Counter[str] = Counter()
    accepted = []
    dead_letters = total = 0
    for record in records:
        dead_letters += record.topic == dead
        if record.topic != topic:
            continue
        total += 1
        reason = why_not(record, future_ms)
        if reason is None:
            accepted.append(record)
        else:
            reasons[reason] += 1
    with duckdb.connect() as db:
        _fill_records(db, accepted)
        own, unique, told = db.execute(
            "SELECT count_if(is_own), count(DISTINCT (manager, id)) FILTER (NOT is_own), count_if(NOT is_own) FROM ("
            " SELECT value->>'$.source' = 'callpulse' AS is_own, value->>'$.manager' AS manager, value->>'$.id' AS id"
            " FROM records)"
        ).fetchall()[0]
    return Counts(
        records=total,
        own=own,
        unique=unique,
        duplicates=told - unique,
        rejected=dict(reasons),
        dead_letters=dead_letters,
    )


def _numbers(thresholds: Thresholds) -> Iterator[tuple[str, int]]:
    for threshold in fields(thresholds):
        value = getattr(thresholds, threshold.name)
        if isinstance(value, int):
            yield threshold.name, value


def _accepted(records: Iterable[Raw], topic: str, future_ms: int) -> list[Raw]:
    return [record for record in records if record.topic == topic and why_not(record, future_ms) is None]


def _fill_records(db: duckdb.DuckDBPyConnection, accepted: list[Raw]) -> None:
    db.execute(
        'CREATE TABLE records AS SELECT unnest(?::INT[]) AS "partition", unnest(?::BIGINT[]) AS "offset",'
        " unnest(?::VARCHAR[]) AS value",
        [
            [record.partition for record in accepted],
            [record.offset for record in accepted],
            [(record.value or b"").decode() for record in accepted],
        ],
    )


def _fill_constants(db: duckdb.DuckDBPyConnection, roster: Mapping[str, str], thresholds: Thresholds) -> None:
    bounds = {f"{bound / 1000:g}": bound for bound in thresholds.histogram_ms} | {"+Inf": LATEST_MS}
    db.execute(
        "CREATE TABLE roster AS SELECT unnest(?::VARCHAR[]) AS manager, unnest(?::VARCHAR[]) AS zone",
        [list(roster), list(roster.values())],
    )
    db.execute(
        "CREATE TABLE bounds AS SELECT unnest(?::VARCHAR[]) AS le, unnest(?::BIGINT[]) AS bound_ms",
        [list(bounds), list(bounds.values())],
    )
    db.execute(
        "CREATE TABLE windows AS SELECT unnest(['1h', 'today', '7d', '30d', '90d']) AS name,"
        " unnest([NULL, 1, 7, 30, 90]) AS days"
    )
    db.execute("CREATE TABLE kinds AS SELECT unnest(['cold', 'targeted', 'inbound', 'repeat', 'unknown']) AS kind")
    db.execute(
        "CREATE TABLE dispositions AS"
        " SELECT unnest(['answered', 'no_answer', 'busy', 'failed', 'canceled', 'voicemail']) AS disposition"
    )


def _run(db: duckdb.DuckDBPyConnection, step: str) -> None:
    db.execute((HERE / f"{step}.sql").read_text())


def _derive(db: duckdb.DuckDBPyConnection) -> None:
    """Follow every transfer to the leg it begins, and that leg's transfers in turn.

    Raises RuntimeError where that does not come to rest, which needs managers who hand a call over before they have it.
    """
    db.execute(
        "CREATE TABLE derived (manager VARCHAR, call VARCHAR, at_ms BIGINT, id VARCHAR, direction VARCHAR,"
        " kind VARCHAR, lead VARCHAR, is_answered BOOLEAN)"
    )
    for _ in range(100):
        _run(db, "derive")
        (changed,) = db.execute(
            "SELECT (SELECT count(*) FROM (FROM derived EXCEPT FROM derived_next))"
            " + (SELECT count(*) FROM (FROM derived_next EXCEPT FROM derived))"
        ).fetchall()[0]
        if not changed:
            return
        db.execute("CREATE OR REPLACE TABLE derived AS FROM derived_next")
    raise RuntimeError("transfers of one call go round in circles that end nowhere")

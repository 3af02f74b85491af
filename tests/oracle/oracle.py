"""The batch oracle: every metric of managers and teams, from scratch, by SQL over the raw records of `calls` and `crm`.

Tests compare it with the metrics of callpulse, so it shares no code with callpulse: DuckDB reads the JSON, determines
the local days and counts, in the `.sql` files beside this module. It is plain rather than fast.

Left out: `idle_seconds` and `on_shift`, which need the calendar of shifts; the retention of rows (200 legs of a lead,
64 names of a dimension); keys that link in a circle; and the order of two links of one key that came by two partitions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, TypeAlias

import duckdb

from tests.oracle.contract import TYPES, Raw, why_not
from tests.oracle.names import GLIDING, METRICS
from tests.oracle.practice import Practice

Labels: TypeAlias = tuple[tuple[str, str], ...]
Answers: TypeAlias = dict[tuple[str, Labels], float]
"""The value of each sample by (full name, sorted pairs of labels); `team` is a label of metrics of teams only."""
Claims: TypeAlias = dict[tuple[str, str, int], int]
"""The contributions of leads to managers, by (manager, measure, day)."""

HERE: Final = Path(__file__).parent
LATEST_MS: Final = 2**62
_FEW: Final = 300
"""Limit between the records of a handmade case and those of a simulated day."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The thresholds; the defaults are callpulse's own, stated again."""

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
    """The numbers of records in the topics."""

    records: int = 0  # of topic `calls`
    own: int = 0  # of these, accepted ones that callpulse itself added
    unique: int = 0  # accepted events of sources, each id once for a manager
    duplicates: int = 0  # accepted events of sources beyond these, copies of stray records among them
    rejected: Mapping[str, int] = field(default_factory=dict)  # by reason, at least 1 each
    dead_letters: int = 0  # records of topic `rejected`
    crm: int = 0  # records of topic `crm`


def answers(
    records: Iterable[Raw],
    roster: Mapping[str, str],
    default_zone: str,
    now_ms: int,
    thresholds: Thresholds = DEFAULTS,
    practice: Practice | None = None,
) -> Answers:
    """Return the value of every metric of every manager at `now_ms`; with a `practice` also the metrics of results.

    `roster` maps managers to their IANA zones; others whom an event names are in `default_zone`. A ratio without a
    denominator is absent. Raises `duckdb.Error` for a zone that DuckDB does not know.
    """
    return between(records, roster, default_zone, (now_ms, now_ms), thresholds, practice)[0]


def between(
    records: Iterable[Raw],
    roster: Mapping[str, str],
    default_zone: str,
    moments_ms: tuple[int, int],
    thresholds: Thresholds = DEFAULTS,
    practice: Practice | None = None,
) -> tuple[Answers, Answers]:
    """Return the answers at the first of two moments of one minute, and these with `GLIDING` as of the second.

    A metric that grows by a second every second has its value of the first moment in both.
    """
    now_ms, later_ms = moments_ms
    with duckdb.connect() as db:
        _ask(db, list(records), roster, default_zone, now_ms, thresholds, practice)
        first = second = _answers(db, practice)
        if later_ms != now_ms:
            db.execute("DELETE FROM answers WHERE 'callpulse_' || name IN ?", [list(GLIDING)])
            db.execute("SET VARIABLE now_ms = ?::BIGINT", [later_ms])
            _run(db, "moment")
            second = _answers(db, practice)
    return first, second


def _answers(db: duckdb.DuckDBPyConnection, practice: Practice | None) -> Answers:
    found: Answers = {}
    for name, manager, labels, value in db.execute("SELECT name, manager, labels, value FROM answers").fetchall():
        if practice is not None or f"callpulse_{name}" in METRICS:
            found[f"callpulse_{name}", _sorted(["manager", manager, *labels])] = value
    if practice is not None:
        for name, labels, value in db.execute("SELECT name, labels, value FROM team_answers").fetchall():
            if value != 0:
                found[f"callpulse_{name}", _sorted(labels)] = value
    return found


def claims(
    records: Iterable[Raw],
    roster: Mapping[str, str],
    default_zone: str,
    now_ms: int,
    thresholds: Thresholds = DEFAULTS,
    practice: Practice | None = None,
) -> Claims:
    """Return the contributions of all leads to each manager, by measure and day, without those that are 0.

    The measures `calls:K`, `sum` and `over` are left out.
    """
    with duckdb.connect() as db:
        _ask(db, list(records), roster, default_zone, now_ms, thresholds, practice or Practice())
        rows = db.execute(
            "SELECT manager, measure, day, sum(n)::HUGEINT AS n FROM claims GROUP BY ALL HAVING n <> 0"
        ).fetchall()
    return {(manager, measure, day): n for manager, measure, day, n in rows}


def _ask(
    db: duckdb.DuckDBPyConnection,
    records: list[Raw],
    roster: Mapping[str, str],
    default_zone: str,
    now_ms: int,
    thresholds: Thresholds,
    practice: Practice | None,
) -> None:
    """Fill `db` from the records; without a `practice`, of the results only the owners of leads."""
    with_results = practice is not None
    practice = practice or Practice()
    if len(records) < _FEW:  # planning the queries takes longer than running them
        db.execute("SET threads = 1")
        db.execute("PRAGMA disable_optimizer")
    db.execute("SET VARIABLE default_zone = ?", [default_zone])
    for name, value in (("now_ms", now_ms), *_numbers(thresholds)):
        db.execute(f"SET VARIABLE {name} = ?::BIGINT", [value])
    db.execute("CREATE MACRO local_time(zone, at_ms) AS timezone(zone, make_timestamptz(at_ms * 1000))")
    db.execute(
        "CREATE MACRO local_day(zone, at_ms) AS date_diff('day', DATE '1970-01-01', local_time(zone, at_ms)::DATE)"
    )
    db.execute(
        "CREATE MACRO local_minute(zone, at_ms) AS hour(local_time(zone, at_ms)) * 60 + minute(local_time(zone, at_ms))"
    )
    _fill_constants(db, roster, thresholds)
    practice.fill(db)
    _fill_records(db, "records", _accepted(records, "calls", thresholds.future_ms))
    _fill_records(db, "crm_records", _accepted(records, "crm", thresholds.future_ms))
    _run(db, "events")
    _derive(db)
    for step in ("legs", "measures", "crm", "leads"):
        _run(db, step)
    if with_results:
        for step in ("claims", "results", "history", "moment"):
            _run(db, step)
        practice.fill_members(db)
        _run(db, "teams")


def _sorted(labels: list[str]) -> Labels:
    return tuple(sorted(zip(labels[::2], labels[1::2], strict=True)))


def counts(records: Iterable[Raw], future_ms: int = DEFAULTS.future_ms) -> Counts:
    """Count the records of the topics. The numbers are those of `calls`; `rejected` is of both topics."""
    reasons: Counter[str] = Counter()
    accepted = []
    dead_letters = total = crm = 0
    for record in records:
        dead_letters += record.topic == "rejected"
        total += record.topic == "calls"
        crm += record.topic == "crm"
        if record.topic not in TYPES:
            continue
        reason = why_not(record, future_ms)
        if reason is not None:
            reasons[reason] += 1
        elif record.topic == "calls":
            accepted.append(record)
    with duckdb.connect() as db:
        _fill_records(db, "records", accepted)
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
        crm=crm,
    )


def _numbers(thresholds: Thresholds) -> Iterator[tuple[str, int]]:
    for threshold in fields(thresholds):
        value = getattr(thresholds, threshold.name)
        if isinstance(value, int):
            yield threshold.name, value


def _accepted(records: Iterable[Raw], topic: str, future_ms: int) -> list[Raw]:
    return [record for record in records if record.topic == topic and why_not(record, future_ms) is None]


def _fill_records(db: duckdb.DuckDBPyConnection, table: str, accepted: list[Raw]) -> None:
    db.execute(
        f'CREATE TABLE {table} AS SELECT unnest(?::BIGINT[]) AS timestamp_ms, unnest(?::INT[]) AS "partition",'
        ' unnest(?::BIGINT[]) AS "offset", unnest(?::VARCHAR[]) AS value',
        [
            [record.timestamp_ms for record in accepted],
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

    Raises RuntimeError where that does not end, as when managers hand a call over before they have it.
    """
    db.execute(
        "CREATE TABLE derived (manager VARCHAR, call VARCHAR, at_ms BIGINT, id VARCHAR, direction VARCHAR,"
        " kind VARCHAR, lead VARCHAR, is_internal BOOLEAN, is_answered BOOLEAN)"
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

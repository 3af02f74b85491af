"""Metrics of the worker that are looked up at a scrape, not counted as things happen: lag, ownership, rows, restore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.contract import topics

if TYPE_CHECKING:
    from agents.core import Core
    from agents.state.recovery import Restore
    from agents.telemetry.lag import Lag
    from agents.telemetry.managers import Managers


class Gauges:
    """Brings the metrics of `core.operations` up to date; `refresh` is called at every scrape."""

    def __init__(self, core: Core, lag: Lag, restore: Restore, managers: Managers) -> None:
        self._core = core
        self._lag = lag
        self._restore = restore
        self._managers = managers
        self._rounds = self._commits = 0
        self._written = dict.fromkeys(core.tables, 0)

    def refresh(self) -> None:
        """Look everything up. Does not wait for anything."""
        self.drain()
        core, operations = self._core, self._core.operations
        operations.clear("lag_records")
        for tp, lag in self._lag.now().items():
            operations.gauge("lag_records", tp.topic, str(tp.partition)).set(lag)
        for name, table in core.tables.items():
            owned = table.owned
            operations.gauge("partitions_owned", core.name(topics.TABLES[name])).set(len(owned))
            rows = sum(len(part.rows) for partition, part in table.parts.items() if partition in owned)
            operations.gauge("rows", name).set(rows)
            operations.gauge("restore_progress_ratio", name).set(self._restore.progress(table))
        for team, count in self._managers.teams().items():
            operations.gauge("team_managers", team).set(count)

    def drain(self) -> None:
        """Take over what others have counted since the last time."""
        operations, checkpoint = self._core.operations, self._core.checkpoint
        commits, rounds = checkpoint.count, self._restore.round
        operations.counter("commits_total").inc(commits - self._commits)
        operations.counter("rebalances_total").inc(rounds - self._rounds)
        self._commits, self._rounds = commits, rounds
        durations, checkpoint.seconds = checkpoint.seconds, []
        for seconds in durations:
            operations.histogram("commit_duration_seconds").observe(seconds)
        for name, written in checkpoint.rows_written.items():
            operations.counter("changelog_rows_total", name).inc(written - self._written[name])
            self._written[name] = written

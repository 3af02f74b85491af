"""Metrics of the worker that are looked up at each scrape: lag, ownership, rows, restore."""

from __future__ import annotations

from agents.delivery.session import Session
from agents.delivery.worker_metrics import WorkerMetrics
from agents.state.recovery import Recovery
from agents.state.worker_state import WorkerState
from agents.telemetry.lag import Lag
from agents.telemetry.managers import Managers


class Gauges:
    """Brings the worker metrics up to date. `refresh` is called at every scrape."""

    def __init__(
        self,
        metrics: WorkerMetrics,
        state: WorkerState,
        lag: Lag,
        recovery: Recovery,
        managers: Managers,
        session: Session,
    ) -> None:
        self._metrics = metrics
        self._session = session
        self._state = state
        self._lag = lag
        self._recovery = recovery
        self._managers = managers
        self._rounds = self._commits = 0
        self._written = dict.fromkeys(state.tables, 0)

    def refresh(self) -> None:
        """Look all gauges up. Does not wait for anything."""
        self._drain()
        metrics = self._metrics
        metrics.gauge("kafka_reachable").set(not self._session.is_silent)
        metrics.gauge("group_generation").set(self._recovery.generation)
        metrics.clear("lag_records")
        for tp, lag in self._lag.now().items():
            metrics.gauge("lag_records", tp.topic, str(tp.partition)).set(lag)
        for name, table in self._state.tables.items():
            owned = table.owned
            metrics.gauge("partitions_owned", self._state.sources[name]).set(len(owned))
            rows = sum(len(part.rows) for partition, part in table.parts.items() if partition in owned)
            metrics.gauge("rows", name).set(rows)
            metrics.gauge("restore_progress_ratio", name).set(self._recovery.progress(table))
        for team, count in self._managers.teams().items():
            metrics.gauge("team_managers", team).set(count)
            metrics.gauge("team_info", team, self._managers.team_name(team)).set(1)

    def _drain(self) -> None:
        """Add the counts of the checkpoint and the group since the last scrape."""
        metrics, checkpoint = self._metrics, self._state.checkpoint
        commits, rounds = checkpoint.count, self._recovery.round
        metrics.counter("commits_total").inc(commits - self._commits)
        metrics.counter("rebalances_total").inc(rounds - self._rounds)
        self._commits, self._rounds = commits, rounds
        durations, checkpoint.seconds = checkpoint.seconds, []
        for seconds in durations:
            metrics.histogram("commit_duration_seconds").observe(seconds)
        for name, written in checkpoint.rows_written.items():
            metrics.counter("changelog_rows_total", name).inc(written - self._written[name])
            self._written[name] = written

"""The part of the invented day about callpulse itself: its workers, its ways in, and the stored events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.grafana.sample import Sample

HOUR: Final = 3600
TABLES: Final = {"managers": 12, "leads": 3800, "deals": 900, "outcomes": 12}


def _histogram(name: str, at: float, within: dict[str, float], **labels: str) -> Iterator[Sample]:
    seen = at % 1e6 * 20
    for le, share in within.items():
        yield Sample(f"callpulse_{name}_bucket", {**labels, "le": le}, seen * share)


def operations(at: float) -> Iterator[Sample]:
    """Yield a worker's metrics of itself at the moment."""
    passed = at % 1e6
    yield Sample("callpulse_build_info", {"version": "1.4.0", "python": "3.13.1"}, 1)
    yield Sample("callpulse_group_generation", {}, 7)
    yield Sample("callpulse_rebalances_total", {}, 1 + passed // 7200)
    yield Sample("callpulse_commits_total", {}, passed)
    yield from _histogram("commit_duration_seconds", at, {"0.01": 0.4, "0.05": 0.97, "0.1": 1, "+Inf": 1})
    yield from _histogram("loop_stall_seconds", at, {"0.001": 0.8, "0.01": 0.995, "0.1": 1, "+Inf": 1})
    for topic in ("calls", "crm", "contacts", "outcomes"):
        of = {"topic": topic}
        yield Sample("callpulse_records_total", of, passed * 20)
        yield Sample("callpulse_batches_total", of, passed * 2)
        yield Sample("callpulse_events_applied_total", of, passed * 19.8)
        for name, share in {"duplicates": 0.1, "late": 0.02, "too_late": 0, "rerouted": 0}.items():
            yield Sample(f"callpulse_{name}_total", of, round(passed * share))
        yield Sample("callpulse_newest_event_timestamp_seconds", of, at - 8)
        yield from _histogram("event_delay_seconds", at, {"0.05": 0.2, "0.1": 0.8, "0.25": 1, "+Inf": 1}, topic=topic)
        yield Sample("callpulse_partitions_owned", of, 4)
        for partition in "0123":
            yield Sample("callpulse_lag_records", {"topic": topic, "partition": partition}, 0)
    for table, rows in TABLES.items():
        yield Sample("callpulse_rows", {"table": table}, rows)
        yield Sample("callpulse_changelog_rows_total", {"table": table}, passed * 3)
        yield Sample("callpulse_restore_progress_ratio", {"table": table}, 1)
    yield Sample("callpulse_rejected_total", {"topic": "calls", "reason": "wrong_key"}, at // 1800)
    yield Sample("callpulse_folded_total", {"topic": "crm", "field": "stage"}, passed // 4000)
    yield Sample("callpulse_links_ignored_total", {"topic": "contacts"}, passed // 9000)
    yield Sample("callpulse_transcripts_without_call_total", {"topic": "speech"}, 0)
    yield Sample("callpulse_transcripts_swapped_total", {"topic": "speech"}, 0)
    yield Sample("callpulse_source_heartbeat_timestamp_seconds", {"source": "asterisk"}, at - 8)


def _polls(now: float, at: float) -> Iterator[Sample]:
    """Two polled systems: the portal is read, and the CRM has refused its token for two hours."""
    for source, every, refused in (("bitrix24", 60, False), ("hubspot", 60, True)):
        of = {"source": source}
        fails = refused and at > now - 2 * HOUR
        done = now - 2 * HOUR if fails else at - 20
        yield Sample("callpulse_source_polled_until_timestamp_seconds", of, done - 5)
        yield Sample("callpulse_source_poll_last_success_timestamp_seconds", of, done)
        yield Sample("callpulse_source_poll_due_seconds", of, every)
        yield Sample("callpulse_source_poll_failures", of, max(0, at - done) // 300 if fails else 0)
        yield Sample("callpulse_source_poll_status", of, 401 if fails else 200)
        yield Sample("callpulse_source_poll_allowance", of, 100 if refused else 25 - at % 9)
        yield Sample("callpulse_source_poll_requests_total", of, at % 1e6 // (300 if fails else 15))
        yield Sample("callpulse_source_poll_wait_seconds_total", of, 0 if refused else at % 1e6 // 40)


def way_in(now: float, at: float) -> Iterator[Sample]:
    """A PBX and three senders: the CRM has a wrong zone since noon, the shop's token is old, the import is quiet."""
    passed = at % 1e6
    steady = {"asterisk": 0.08, "crm": 0.02, "shop": 0.01, "cdr-export": 0.004}
    for source, rate in steady.items():
        quiet = source == "cdr-export"
        until = min(passed, now % 1e6 - 2 * HOUR) if quiet else passed
        of = {"source": source}
        yield Sample("callpulse_source_received_total", of, round(until * rate * 1.04))
        yield Sample("callpulse_source_accepted_total", of, round(until * rate))
        yield Sample("callpulse_source_duplicates_total", of, round(until * rate * 0.03))
        yield Sample("callpulse_source_unauthenticated_total", of, round(passed / 120) if source == "shop" else 0)
        yield Sample("callpulse_source_polled_unpushed_total", of, round(passed / 900) if source == "crm" else 0)
        yield Sample("callpulse_source_not_stored_total", of, 0)
        yield Sample("callpulse_source_last_heard_timestamp_seconds", of, min(at, now - 2 * HOUR) if quiet else at - 5)
        wrong = source == "crm" and at > now - 4 * HOUR
        yield Sample("callpulse_source_skew_seconds", of, 10800.9 if wrong else 0.4 + 3 * quiet)
        yield Sample("callpulse_source_skew_zone", of, float(wrong))
    for source, reason, every in (("crm", "missing_field", 500), ("shop", "not_json", 900), ("crm", "future", 4000)):
        yield Sample("callpulse_source_rejected_total", {"source": source, "reason": reason}, passed // every)
    yield Sample("callpulse_source_connected", {"source": "asterisk"}, float(not 0 <= now - 3 * HOUR - at < 240))
    yield Sample("callpulse_source_clock_ahead_seconds", {"source": "asterisk"}, -0.2)
    yield Sample("callpulse_source_gaps_total", {"source": "asterisk"}, 4 + (at > now - 3 * HOUR))
    yield Sample("callpulse_source_gaps_unfilled", {"source": "asterisk"}, float(0 <= at - (now - 3 * HOUR) < 60))
    yield Sample("callpulse_source_messages_lost_total", {"source": "freeswitch"}, 3 * (at > now - 5 * HOUR))
    yield Sample("callpulse_source_statements_left_out_total", {"source": "twilio"}, max(0, at - now + HOUR) // 600)
    yield from _polls(now, at)
    away = max(0.0, at - (now - 3 * HOUR)) if at < now - 2.9 * HOUR else 0.0
    yield Sample("callpulse_spool_bytes", {}, away * 4000)
    yield Sample("callpulse_spool_max_bytes", {}, 1 << 30)
    yield Sample("callpulse_spool_oldest_seconds", {}, away)
    yield Sample("callpulse_spooled_events_total", {}, 240 * (at > now - 3 * HOUR))
    yield Sample("callpulse_in_flight_events", {}, 3)
    yield Sample("callpulse_kafka_reachable", {}, float(not away))
    for le, share in (("0.005", 0.3), ("0.01", 0.8), ("0.05", 0.97), ("0.25", 0.999), ("+Inf", 1)):
        yield Sample("callpulse_acknowledgement_seconds_bucket", {"le": le}, round(passed * share))

"""The catalogue: every metric that callpulse exports, with its type, labels, unit and meaning.

The collector, `docs/metrics.md` and the test that every name in a board or a rule exists are made from this list.

A call counts where it ended. Windows: `1h` is the last 60 minutes; `today` is the manager's own local day; `7d`, `30d`
and `90d` are today and the 6, 29 and 89 local days before it. A ratio whose denominator is 0 is not exported.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

MANAGER: Final = ("manager", "team")


class Metric(Struct, frozen=True, kw_only=True):
    """One metric family. `measure` is its number in the list of measures of `docs/metrics.md`, None for operations."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    measure: int | None = None

    @property
    def full_name(self) -> str:
        """The name as it is exported."""
        return f"callpulse_{self.name}"


def _manager(name: str, text: str, *labels: str, unit: str = "", measure: int) -> Metric:
    return Metric(name=name, type="gauge", help=text, labels=(*MANAGER, *labels), unit=unit, measure=measure)


MANAGER_METRICS: Final = (
    _manager(
        "calls",
        "Finished legs in the window, by direction. A leg is one manager's part in a call.",
        "window",
        "direction",
        measure=1,
    ),
    _manager(
        "calls_by_kind",
        "Finished legs in the window (today, 30d, 90d), by kind of call: cold, targeted, inbound, repeat; "
        "unknown where no source said.",
        "window",
        "kind",
        measure=1,
    ),
    _manager("calls_by_disposition", "Finished legs today, by how they ended.", "window", "disposition", measure=1),
    _manager("answered_calls", "Finished legs in the window that a person answered.", "window", measure=12),
    _manager(
        "connect_ratio",
        "Dials answered by a person, divided by dials (finished outbound legs), in the window.",
        "window",
        unit="ratio",
        measure=12,
    ),
    _manager(
        "short_call_ratio",
        "Answered legs with less than 2 min of talk, divided by answered legs whose talk time is known, in the window.",
        "window",
        unit="ratio",
        measure=16,
    ),
    _manager(
        "meaningful_calls",
        "Answered legs with 5 min of talk or more in the window; a good day has 40 to 60.",
        "window",
        measure=11,
    ),
    _manager(
        "conversations",
        "Answered legs with 60 s of talk or more in the window (today, 30d).",
        "window",
        measure=17,
    ),
    _manager(
        "attempts_per_contact",
        "Dials (finished outbound legs) divided by dials that a person answered, in the window (today, 30d); "
        "8 to 10 are usual.",
        "window",
        unit="ratio",
        measure=11,
    ),
    _manager(
        "talk_time_seconds",
        "Sum of talk time of the legs that ended in the window; legs closed by timeout are left out.",
        "window",
        unit="seconds",
        measure=1,
    ),
    _manager(
        "calls_talked",
        "Answered legs of today with a known talk time of at most `le` seconds (cumulative, like a histogram).",
        "window",
        "le",
        measure=16,
    ),
    _manager(
        "calls_timed_out",
        "Legs today whose end never came and that were closed after the longest call allowed (4 h). They count as "
        "calls, not as talk time. More than a few mean that the telephony source loses events.",
        "window",
        measure=24,
    ),
    _manager("calls_in_progress", "Legs that have begun and not ended.", measure=1),
    _manager(
        "longest_call_in_progress_seconds",
        "How long the oldest of the legs in progress has lasted; 0 without one.",
        unit="seconds",
        measure=1,
    ),
    _manager(
        "last_activity_timestamp_seconds",
        "When the manager's last telephony event happened (event time); not exported before the first.",
        unit="seconds",
        measure=24,
    ),
    _manager(
        "idle_seconds",
        "On shift and with no leg in progress: time since the manager's last telephony event or the start of the "
        "shift, whichever is later. 0 otherwise.",
        unit="seconds",
        measure=24,
    ),
    _manager(
        "on_shift",
        "1 while the roster's shift covers the moment, it is no holiday and the manager's last presence is not "
        "offline; for managers without shifts: 1 while their last presence, at most 16 h old, is not offline.",
        measure=3,
    ),
    _manager("presence", "1 for the state that the manager's telephone or desktop last reported.", "state", measure=3),
    _manager(
        "work_block_seconds",
        "Length of the current run of calling (gaps of less than 15 min between telephony activity); "
        "0 when the last activity is 15 min ago or longer and no leg is in progress.",
        unit="seconds",
        measure=15,
    ),
    _manager(
        "work_blocks",
        "Runs of calling of 2 h or more that began today.",
        "window",
        measure=15,
    ),
    _manager(
        "breaks_missed",
        "Breaks of 15 min not taken today: for each run of calling that began today, one for every full 3 h it went on "
        "without pause.",
        "window",
        measure=15,
    ),
    _manager(
        "open_leads_by_calls",
        "Open leads of the manager by number of calls in the last 30 days (calls: 1, 2, 3, 4, 5+).",
        "calls",
        measure=17,
    ),
    _manager(
        "open_leads_by_conversations",
        "Open leads of the manager by number of conversations in the last 30 days (conversations: 1, 2, 3, 4, 5+).",
        "conversations",
        measure=17,
    ),
    _manager(
        "calls_per_lead",
        "Repeats per lead: calls of the last 30 days on the manager's open leads, divided by those leads.",
        "window",
        unit="ratio",
        measure=17,
    ),
    _manager(
        "leads_over_called",
        "Leads of the manager that were dialled more than 3 times today.",
        "window",
        measure=23,
    ),
)

_TOPIC: Final = ("topic",)
_PARTITION: Final = ("topic", "partition")

OPERATIONS_METRICS: Final = (
    Metric(name="build_info", type="gauge", help="1, with the version that runs.", labels=("version", "python")),
    Metric(name="records_total", type="counter", help="Records taken from the topic.", labels=_TOPIC),
    Metric(name="batches_total", type="counter", help="Batches of records taken from the topic.", labels=_TOPIC),
    Metric(
        name="events_applied_total",
        type="counter",
        help="Events that changed a table, late ones among them.",
        labels=_TOPIC,
    ),
    Metric(
        name="rejected_total",
        type="counter",
        help="Records sent to the topic of dead letters, by reason.",
        labels=("topic", "reason"),
    ),
    Metric(
        name="duplicates_total",
        type="counter",
        help="Events that were there before: the same id, or the same record again after a restart.",
        labels=_TOPIC,
    ),
    Metric(
        name="late_total",
        type="counter",
        help="Events applied more than 10 min of event time behind the newest of their manager.",
        labels=_TOPIC,
    ),
    Metric(
        name="too_late_total",
        type="counter",
        help="Events that were too late to count: their day, or what is known of their call, is no longer kept.",
        labels=_TOPIC,
    ),
    Metric(
        name="rerouted_total",
        type="counter",
        help="Records found in a partition that is not their key's and sent to the right one.",
        labels=_TOPIC,
    ),
    Metric(
        name="event_delay_seconds",
        type="histogram",
        help="From the event's own time to its place in the table.",
        labels=_TOPIC,
        unit="seconds",
    ),
    Metric(
        name="newest_event_timestamp_seconds",
        type="gauge",
        help="Event time of the newest event taken in; the feed is silent while it does not move.",
        labels=_TOPIC,
        unit="seconds",
    ),
    Metric(
        name="source_heartbeat_timestamp_seconds",
        type="gauge",
        help="Event time of the newest event of each source.",
        labels=("source",),
        unit="seconds",
    ),
    Metric(
        name="lag_records",
        type="gauge",
        help="Records of the partition that are in Kafka and not yet folded.",
        labels=_PARTITION,
    ),
    Metric(name="partitions_owned", type="gauge", help="Partitions this worker owns now.", labels=_TOPIC),
    Metric(name="rebalances_total", type="counter", help="Assignments of partitions this worker was given."),
    Metric(
        name="restore_progress_ratio",
        type="gauge",
        help="Changelog records restored, divided by those there are; 1 when the tables are whole.",
        labels=("table",),
        unit="ratio",
    ),
    Metric(name="rows", type="gauge", help="Rows of the table in partitions owned now.", labels=("table",)),
    Metric(name="changelog_rows_total", type="counter", help="Rows written to the changelog.", labels=("table",)),
    Metric(name="commits_total", type="counter", help="Commits: facts sent, rows flushed, offsets committed."),
    Metric(
        name="commit_duration_seconds",
        type="histogram",
        help="How long a commit took.",
        unit="seconds",
    ),
    Metric(
        name="loop_stall_seconds",
        type="histogram",
        help="How late a timer of the event loop fired; a long stall delays heartbeats and scrapes.",
        unit="seconds",
    ),
    Metric(
        name="team_managers",
        type="gauge",
        help="Managers on the roster and, under unassigned, those known from events only.",
        labels=("team",),
    ),
)

CATALOGUE: Final = (*MANAGER_METRICS, *OPERATIONS_METRICS)

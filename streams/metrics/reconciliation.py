"""The catalogue of reconciliations: recorded and counted calls of a manager's days, and the days that are final."""

from __future__ import annotations

from typing import Final

from streams.metrics.metric import MANAGER, Metric

_SOURCE: Final = (*MANAGER, "source")

RECONCILED_LEGS: Final = Metric(
    name="reconciled_legs",
    type="gauge",
    help="Legs of the manager's newest day that was reconciled with records of the source, by result: both; missing "
    "(recorded, not counted); lost_end (counted by a timeout); extra (counted, not recorded). Those with "
    "lost_end, other_talk or other_disposition count in both, too.",
    labels=(*_SOURCE, "result"),
)
RECONCILED_TALK_DIFFERENCE: Final = Metric(
    name="reconciled_talk_difference_seconds",
    type="gauge",
    help="Talk that the records say minus talk that was counted, on that day, over legs whose talk both know.",
    labels=_SOURCE,
    unit="seconds",
)
RECONCILED_UNTIL: Final = Metric(
    name="reconciled_until_timestamp_seconds",
    type="gauge",
    help="End of the manager's newest local day that was reconciled with records of the source.",
    labels=_SOURCE,
    unit="seconds",
)
FINAL_UNTIL: Final = Metric(
    name="final_until_timestamp_seconds",
    type="gauge",
    help="End of the manager's newest local day that is final: records cover it, and every call of theirs counts.",
    labels=MANAGER,
    unit="seconds",
)
PROVISIONAL_DAYS: Final = Metric(
    name="provisional_days",
    type="gauge",
    help="Local days of the last 7 before today that are not final. Days before the first one that was reconciled do "
    "not count; a manager of whom no day of the last 14 was has no series.",
    labels=MANAGER,
)
RECONCILIATION_METRICS: Final = (
    RECONCILED_LEGS,
    RECONCILED_TALK_DIFFERENCE,
    RECONCILED_UNTIL,
    FINAL_UNTIL,
    PROVISIONAL_DAYS,
)

"""The catalogue: every metric that callpulse exports, with its type, labels, unit and meaning.

The exporter, `docs/metrics.md` and the test that every name in a board or a rule exists are made from this list.

A call counts where it ended. Windows: `1h` is the last 60 minutes; `today` is the manager's own local day; `7d`, `30d`
and `90d` are today and the 6, 29 and 89 local days before it. A ratio whose denominator is 0 is not exported.
"""

from __future__ import annotations

from typing import Final

from streams.metrics.activity import ACTIVITY
from streams.metrics.coaching import COACHING
from streams.metrics.metric import MANAGER, TEAM, Metric
from streams.metrics.operations import OPERATIONS_METRICS
from streams.metrics.reconciliation import RECONCILIATION_METRICS
from streams.metrics.results import RESULTS, TEAMS
from streams.metrics.translation import translated
from streams.metrics.wording import Language, words
from streams.settings.settings import Settings

__all__ = [
    "CATALOGUE",
    "MANAGER",
    "MANAGER_INFO",
    "MANAGER_METRICS",
    "OPERATIONS_METRICS",
    "RECONCILIATION_METRICS",
    "TEAM",
    "TEAM_METRICS",
    "Metric",
    "catalogue",
    "manager_metrics",
]


MANAGER_INFO: Final = Metric(
    name="manager_info",
    type="gauge",
    help="1, with the manager's name on the roster, for joins; the id of a manager who is not on it.",
    labels=(*MANAGER, "name"),
)
"""Beside the measures of `MANAGER_METRICS`: one series per manager, whatever the settings are."""


def manager_metrics(settings: Settings, language: Language = "en") -> tuple[Metric, ...]:
    """Return the metrics of a manager. Their texts name the numbers of these settings."""
    known = words(settings, language)
    return tuple(metric.filled(known) for metric in translated((*ACTIVITY, *RESULTS, *COACHING), language))


def catalogue(settings: Settings, language: Language = "en") -> tuple[Metric, ...]:
    """Return every metric.

    The texts name the numbers of these settings; everything else is independent of the settings.
    """
    others = (MANAGER_INFO, *TEAM_METRICS, *RECONCILIATION_METRICS, *OPERATIONS_METRICS)
    return (*manager_metrics(settings, language), *translated(others, language))


# No setting changes a name, a label, a type or a unit. Code that needs only those takes the constants. The texts of
# metrics of teams and workers name no setting.
MANAGER_METRICS: Final = manager_metrics(Settings())
TEAM_METRICS: Final = TEAMS
CATALOGUE: Final = catalogue(Settings())
"""The metrics with the texts of the default settings."""

"""The catalogue: every metric that callpulse exports, with its type, labels, unit and meaning.

The collector, `docs/metrics.md` and the test that every name in a board or a rule exists are made from this list.

A call counts where it ended. Windows: `1h` is the last 60 minutes; `today` is the manager's own local day; `7d`, `30d`
and `90d` are today and the 6, 29 and 89 local days before it. A ratio whose denominator is 0 is not exported.
"""

from __future__ import annotations

from typing import Final

from streams.metrics.activity import ACTIVITY_METRICS
from streams.metrics.metric import MANAGER, TEAM, Metric
from streams.metrics.operations import OPERATIONS_METRICS
from streams.metrics.results import RESULT_METRICS, TEAM_METRICS

__all__ = ["CATALOGUE", "MANAGER", "MANAGER_METRICS", "OPERATIONS_METRICS", "TEAM", "TEAM_METRICS", "Metric"]

MANAGER_METRICS: Final = (*ACTIVITY_METRICS, *RESULT_METRICS)
CATALOGUE: Final = (*MANAGER_METRICS, *TEAM_METRICS, *OPERATIONS_METRICS)

"""The board *Operations*: health, completeness and delay of callpulse itself. For the engineer on call."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboards

from grafana import common
from grafana.boards import operations_data as data
from grafana.boards import operations_gateway as gateway
from grafana.boards import operations_workers as workers
from grafana.config import Config


def board(config: Config) -> dashboards.Dashboard:
    """Return the board."""
    way_in = (
        gateway.way_in(),
        gateway.acknowledged(),
        gateway.in_flight(),
        gateway.spool(config),
        gateway.oldest(config),
        gateway.spooled(),
        gateway.clocks(config),
        gateway.troubled(),
    )
    return common.assemble(
        config,
        "operations",
        "Operations",
        "Does callpulse itself run, completely and in time? For the engineer on call.",
        [
            *((3 * column, 0, 3, 4, panel) for column, panel in enumerate(data.panels(config))),
            (0, 4, 8, 8, data.ages()),
            (8, 4, 8, 8, data.backlog()),
            (16, 4, 8, 8, data.throughput()),
            (0, 12, 24, 1, dashboards.Row("Workers")),
            (0, 13, 21, 6, workers.workers()),
            (21, 13, 3, 3, workers.versions()),
            (21, 16, 3, 3, workers.commit_rate()),
            (0, 19, 8, 8, workers.rebalances()),
            (8, 19, 8, 8, workers.scrapes()),
            (16, 19, 8, 8, workers.commits()),
            (0, 27, 24, 1, dashboards.Row("Records and tables")),
            (0, 28, 18, 9, workers.records()),
            (18, 28, 6, 9, workers.reasons()),
            (0, 37, 10, 8, workers.of_tables()),
            (10, 37, 14, 8, data.delays()),
            (0, 45, 24, 1, dashboards.Row("The way in")),
            *((3 * column, 46, 3, 4, panel) for column, panel in enumerate(way_in)),
            (0, 50, 8, 8, gateway.arrivals()),
            (8, 50, 8, 8, gateway.waiting()),
            (16, 50, 8, 8, gateway.answers()),
        ],
        picked=False,
    )

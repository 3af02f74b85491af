"""The settings of a department that determine its results: stages, prices, plans. With defaults of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb


@dataclass(frozen=True, kw_only=True)
class Practice:
    """The settings of results. `place` returns the partition of a manager."""

    stages: tuple[str, ...] = ("qualified", "presentation", "proposal", "won", "lost")
    reasons: tuple[str, ...] = ("spec_clarification", "sending_proposal", "price_objection", "reminder")
    products: tuple[str, ...] = ()
    client_types: tuple[str, ...] = ()
    channels: tuple[str, ...] = ("phone", "email", "messenger", "meeting")
    max_values: int = 8
    mentor_after: int = 3
    stuck_after: int = 5
    attention_series: int = 8
    permitted_from_minute: int = 8 * 60
    permitted_to_minute: int = 21 * 60
    currency: str = "EUR"
    currencies: tuple[str, ...] = ("EUR",)
    costs: Mapping[str, float] = field(
        default_factory=lambda: {"call": 1.0, "email": 0.1, "messenger": 0.1, "meeting": 25.0}
    )
    gain: float = 0.0075
    floor: float = 0.01
    cap: float = 0.05
    plans: Mapping[str, float] = field(default_factory=dict)  # won deals a month, by manager
    teams: Mapping[str, str] = field(default_factory=dict)  # by manager; all others are in `unassigned`
    place: Callable[[str], int] = lambda _: 0

    def fill(self, db: duckdb.DuckDBPyConnection) -> None:
        """Make the tables and variables that the SQL reads."""
        for name in (
            "max_values",
            "mentor_after",
            "stuck_after",
            "attention_series",
            "permitted_from_minute",
            "permitted_to_minute",
        ):
            db.execute(f"SET VARIABLE {name} = ?::BIGINT", [getattr(self, name)])
        for name in ("gain", "floor", "cap"):
            db.execute(f"SET VARIABLE {name} = ?::DOUBLE", [getattr(self, name)])
        db.execute("SET VARIABLE currency = ?", [self.currency])
        ranked = [stage for stage in self.stages if stage != "lost"]
        _table(db, "ranks", {"stage": ("VARCHAR", ranked), "rank": ("INT", list(range(len(ranked))))})
        _table(db, "reasons", {"reason": ("VARCHAR", list(self.reasons))})
        _table(db, "currencies", {"currency": ("VARCHAR", list(self.currencies))})
        _table(db, "costs", {"channel": ("VARCHAR", list(self.costs)), "cost": ("DOUBLE", list(self.costs.values()))})
        _table(
            db,
            "plans",
            {"manager": ("VARCHAR", list(self.plans)), "plan_deals": ("DOUBLE", list(self.plans.values()))},
        )
        lists = {
            "product": self.products,
            "client_type": self.client_types,
            "channel": self.channels,
        }
        listed = [(name, value, at) for name, values in lists.items() for at, value in enumerate(values)]
        _table(
            db,
            "listed",
            {
                "dimension": ("VARCHAR", [name for name, _, _ in listed]),
                "value": ("VARCHAR", [value for _, value, _ in listed]),
                "place": ("INT", [at for _, _, at in listed]),
            },
        )

    def fill_members(self, db: duckdb.DuckDBPyConnection) -> None:
        """Fill the table with team and partition of every manager whom the records name."""
        managers = [manager for (manager,) in db.execute("SELECT manager FROM managers").fetchall()]
        _table(
            db,
            "members",
            {
                "manager": ("VARCHAR", managers),
                "team": ("VARCHAR", [self.teams.get(manager, "unassigned") for manager in managers]),
                "partition": ("VARCHAR", [str(self.place(manager)) for manager in managers]),
            },
        )


def _table(db: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, tuple[str, Sequence[object]]]) -> None:
    columns_of = ", ".join(f'unnest(?::{kind}[]) AS "{column}"' for column, (kind, _) in columns.items())
    db.execute(f"CREATE TABLE {name} AS SELECT {columns_of}", [values for _, values in columns.values()])

"""The outcome row: what a manager's leads come to, without a list of leads.

It sums the changes that lead rows tell (`lead.contribution`). Steps make the sums answer for any day: how many open
leads have had exactly three calls in 30 days is known tomorrow too, although nobody calls.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Struct, field

from streams.facts import Outcome
from streams.tables.lead import BUCKETS, DAYS_KEPT
from streams.tables.records import body, is_newer, seal
from streams.windows import DAYS, Steps


class OutcomeState(Struct, gc=False, array_like=True):
    """`steps` maps measures to entries by day; days before `latest_day` - 31 are dropped: no window holds them."""

    revision: int = 0
    applied: dict[str, int] = field(default_factory=dict)
    latest_day: int = 0
    steps: dict[str, dict[int, int]] = field(default_factory=dict)


class OutcomeView(Struct, frozen=True, gc=False):
    """A manager's open leads on a day. The numbers by calls and by conversations are for 1, 2, 3, 4 and 5+ in 30 days.

    `calls` are all calls of the 30 days on leads that had any; `over_called` leads were dialled too often today.
    """

    by_calls: tuple[int, ...] = (0,) * len(BUCKETS)
    by_conversations: tuple[int, ...] = (0,) * len(BUCKETS)
    calls: int = 0
    over_called: int = 0

    @property
    def calls_per_lead(self) -> float | None:
        """Calls of the 30 days divided by the leads they were for; None without any."""
        leads = sum(self.by_calls)
        return self.calls / leads if leads else None


NO_OUTCOME: Final = OutcomeView()

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(OutcomeState).decode


class OutcomeRow:
    """What a manager's leads come to."""

    __slots__ = ("packed", "state", "view")

    def __init__(self, packed: bytes | None = None) -> None:
        self.packed = packed
        self.view: tuple[int, int, OutcomeView] | None = None  # a cache of `read`: (revision, day, what was read)
        if packed is None:
            self.state = OutcomeState()

    def __getattr__(self, name: str) -> OutcomeState:
        """Decode a row that was restored: Python asks here only for what is not set."""
        if name != "state" or self.packed is None:
            raise AttributeError(name)
        self.state = _decode(body(self.packed))
        return self.state

    def __eq__(self, other: object) -> bool:
        """Tell whether both rows hold the same."""
        return self.state == other.state if isinstance(other, OutcomeRow) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # rows change


def fold(row: OutcomeRow, outcome: Outcome) -> Literal["applied", "duplicate"]:
    """Apply `outcome`; one at or below the `seq` that its `src` has come to changes nothing."""
    state = row.state
    if outcome.seq <= state.applied.get(outcome.src, -1):
        return "duplicate"
    state.revision += 1
    state.applied[outcome.src] = outcome.seq
    latest = max((day for _, day, _ in outcome.changes), default=0)
    if latest > state.latest_day:
        state.latest_day = latest
        _prune(state)
    oldest = state.latest_day - DAYS_KEPT
    for measure, day, by in outcome.changes:
        if day >= oldest:
            steps = state.steps.setdefault(measure, {})
            Steps.change(steps, day, by)
            if not steps:
                del state.steps[measure]
    return "applied"


def read(row: OutcomeRow, today: int) -> OutcomeView:
    """Return what the manager's leads come to on the local day `today`."""
    state = row.state
    if row.view is not None and row.view[:2] == (state.revision, today):
        return row.view[2]
    cutoff = today - DAYS["30d"] + 1
    empty: dict[int, int] = {}
    steps = state.steps

    def since(measure: str) -> int:
        return Steps.at(steps.get(measure, empty), cutoff)

    view = OutcomeView(
        by_calls=tuple(since("calls:" + bucket) for bucket in BUCKETS),
        by_conversations=tuple(since("conversations:" + bucket) for bucket in BUCKETS),
        calls=since("sum"),
        over_called=steps.get("over", empty).get(today, 0),
    )
    row.view = (state.revision, today, view)
    return view


def _prune(state: OutcomeState) -> None:
    oldest = state.latest_day - DAYS_KEPT
    for measure, steps in list(state.steps.items()):
        for day in [day for day in steps if day < oldest]:
            del steps[day]
        if not steps:
            del state.steps[measure]


def dump(row: OutcomeRow) -> bytes:
    """Return the row as one value."""
    return seal(row.state.revision, _encode(row.state))


def load(value: bytes) -> OutcomeRow:
    """Return the row that `dump` gave. Raise LayoutError for a value of another release's layout."""
    row = OutcomeRow()
    row.state = _decode(body(value))
    return row


class OutcomeRecords:
    """Writes and reads the changelog of outcome rows: one record a manager."""

    def changelog(self, key: bytes, row: OutcomeRow) -> list[tuple[bytes, bytes | None]]:
        """Return the record that brings the changelog up to `row`."""
        return [(key, dump(row))]

    def restore(self, rows: dict[bytes, OutcomeRow], key: bytes, value: bytes | None) -> bytes | None:
        """Apply one changelog record; return `key` if the record was older than what was there."""
        if value is None:
            rows.pop(key, None)
            return None
        row = rows.get(key)
        if row is None:
            rows[key] = OutcomeRow(value)
        elif row.packed is not None and is_newer(row.packed, value):
            return key
        else:
            row.packed = value
        return None

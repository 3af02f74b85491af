"""The outcome row: the results of a manager's leads and deals, without a list of them.

It sums the changes that lead rows emit, one number per measure (`tables/measures.py`) and local day. Measures such as
`calls:3` are steps: the sum of their entries from a cut-off day on is the number of open leads that have had exactly
three calls since then. So the figure of 30 days is correct tomorrow too, even without calls. Leads that need help now
are the exception: they are listed, up to a limit.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, final

from streams.contract.facts import Attention, Outcome
from streams.tables import measures
from streams.tables.changelog import body, is_newer, seal
from streams.tables.measures import PROMISES
from streams.tables.outcome.state import OutcomeState, decode, encode
from streams.tables.outcome.totals import NO_LAYOUT, Layout, Totals

_DAYS_BEYOND: Final = 2
"""The number of days for which an entry is kept beyond the longest window that reads it: zones of managers differ."""
DAYS_KEPT: Final = 180 + _DAYS_BEYOND
"""Age in days above which an entry is not added: the longest window is `previous`, with the 90 days after it."""
MAX_NAMES: Final = 64
"""The number of values of a dimension (products, for example) per manager; further values count as `other`."""
MAX_ATTENTION: Final = 1000
ATTENTION_DAYS: Final = 30
OTHER: Final = "other"
_EMPTY_KEPT: Final = 256
"""The greatest number of unused places in the sums. With more, the sums are made anew."""

Urgency: TypeAlias = tuple[bool, int, int, str]
"""The sort key of a listed lead; the lead that needs help most comes first."""


@final
class OutcomeRow:
    """The results of one manager's leads.

    `totals` (the sums by window), `urgent` (the listed leads in the order of their urgency) and `names` (the values of
    each dimension) are derived from the state on first use and then kept up to date. `listings` counts the changes of
    the list since the row was made. `folded` names what was not kept: a dimension per change that went to `other`,
    "attention" per lead beyond the limit. The caller counts and clears it.
    """

    __slots__ = ("_state", "folded", "listings", "names", "packed", "totals", "urgent")

    def __init__(self, packed: bytes | None = None) -> None:
        self.packed = packed
        self._state: OutcomeState | None = OutcomeState() if packed is None else None
        self.totals: Totals | None = None
        self.urgent: list[Urgency] | None = None
        self.names: dict[str, dict[str, int]] | None = None
        self.listings = 0
        self.folded: list[str] = []

    @property
    def state(self) -> OutcomeState:
        """The row's state. A row that was restored is decoded on the first access."""
        state = self._state
        if state is None:
            assert self.packed is not None  # noqa: S101 - a row is made with one or the other
            state = self._state = decode(body(self.packed))
        return state

    def __eq__(self, other: object) -> bool:
        """Return whether both rows hold the same state."""
        return self.state == other.state if isinstance(other, OutcomeRow) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # rows change


def fold(row: OutcomeRow, outcome: Outcome) -> Literal["applied", "duplicate"]:
    """Apply `outcome`. It is a duplicate, and changes nothing, if its `seq` is not above the last one of its `src`."""
    state = row.state
    if outcome.seq <= state.applied.get(outcome.src, -1):
        return "duplicate"
    state.revision += 1
    state.applied[outcome.src] = outcome.seq
    if outcome.changes:
        _count(row, outcome.changes)
    if outcome.attention:
        _list(row, outcome.attention)
    return "applied"


def _count(row: OutcomeRow, changes: tuple[tuple[str, int, int], ...]) -> None:
    state = row.state
    latest = state.latest_day
    oldest = latest - DAYS_KEPT
    all_steps = state.steps
    totals = row.totals
    for measure, day, by in changes:
        if day > latest and measure not in PROMISES:
            latest = day
        if day < oldest:
            continue
        steps = all_steps.get(measure)
        if steps is None:
            if "@" in measure:
                measure = _admit(row, measure)  # noqa: PLW2901 - its value may become `other`
            steps = all_steps.setdefault(measure, {})
        count = steps.get(day, 0) + by
        if count:
            steps[day] = count
        else:
            steps.pop(day, None)
            if not steps:
                _remove(row, measure)
        if totals is not None:
            totals.add(measure, day, by)
    if latest > state.latest_day:
        state.latest_day = latest
        _prune(row)


def attention(row: OutcomeRow, today: int) -> Iterator[tuple[str, Attention]]:
    """Yield the leads that need help on the local day `today`, called in the last 30 days, most urgent first.

    Stuck before consultation due; then by conversations without progress, by time in the stage, by the lead's name.
    """
    listed = row.state.attention
    for _, _, _, lead in _urgent(row):
        entry = listed[lead]
        if entry.day > today - ATTENTION_DAYS:
            yield lead, entry


def totals(row: OutcomeRow, today: int, layout: Layout = NO_LAYOUT) -> Totals:
    """Return the row's sums by window on the local day `today`. Later folds keep them up to date."""
    kept, steps = row.totals, row.state.steps
    if kept is not None and kept.layout is layout and len(kept.places) <= len(steps) + _EMPTY_KEPT:
        if kept.day == today:
            return kept
        if kept.day + 1 == today:
            kept.advance(steps)
            return kept
    made = row.totals = Totals(steps, today, layout)
    return made


def _admit(row: OutcomeRow, measure: str) -> str:
    """Return the measure under which a change of `measure`, which the row does not have, counts: itself or `other`.

    A value that once counted as `other` must continue to do so: otherwise a later change would be taken back from the
    wrong measure. So after the first such value no new name is admitted until nothing counts as `other` any more. A
    source may itself name a value "other"; it is a name like any other.
    """
    parts = measures.parse(measure)
    dimension, value = parts.dimension, parts.value
    if not dimension:
        return measure
    full, names = row.state.full, _names(row).setdefault(dimension, {})
    if dimension in full and OTHER not in names:
        full.remove(dimension)
    is_full = dimension in full or len(names) - (OTHER in names) >= MAX_NAMES
    if is_full and value != OTHER and value not in names:
        value = OTHER
        row.folded.append(dimension)
        if dimension not in full:
            full.append(dimension)
        measure = measures.with_value(parts, value)
    if measure not in row.state.steps:
        names[value] = names.get(value, 0) + 1
    return measure


def _remove(row: OutcomeRow, measure: str) -> None:
    """Remove `measure`, which has no entries any more."""
    parts = measures.parse(measure)
    if parts.dimension:
        names = _names(row)[parts.dimension]
        names[parts.value] -= 1
        if not names[parts.value]:
            del names[parts.value]
    del row.state.steps[measure]


def _names(row: OutcomeRow) -> dict[str, dict[str, int]]:
    """Return the values of each dimension that the row has by name, each with the number of its measures."""
    by_dimension = row.names
    if by_dimension is None:
        by_dimension = row.names = {}
        for measure in row.state.steps:
            parts = measures.parse(measure)
            if parts.dimension:
                names = by_dimension.setdefault(parts.dimension, {})
                names[parts.value] = names.get(parts.value, 0) + 1
    return by_dimension


def _list(row: OutcomeRow, changes: dict[str, Attention | None]) -> None:
    listed = row.state.attention
    urgent = row.urgent
    row.listings += 1
    for lead, entry in changes.items():
        before = listed.pop(lead, None)
        if before is not None and urgent is not None:
            del urgent[bisect_left(urgent, _urgency(lead, before))]
        if entry is not None:
            listed[lead] = entry
            if urgent is not None:
                insort(urgent, _urgency(lead, entry))
    if len(listed) > MAX_ATTENTION:
        urgent = _urgent(row)
        for _, _, _, lead in urgent[MAX_ATTENTION:]:
            del listed[lead]
        row.folded += ["attention"] * (len(urgent) - MAX_ATTENTION)
        del urgent[MAX_ATTENTION:]


def _urgency(lead: str, entry: Attention) -> Urgency:
    return entry.why != "stuck", -entry.without_progress, entry.stage_since, lead


def _urgent(row: OutcomeRow) -> list[Urgency]:
    if row.urgent is None:
        row.urgent = sorted(_urgency(lead, entry) for lead, entry in row.state.attention.items())
    return row.urgent


def _prune(row: OutcomeRow) -> None:
    """Drop the entries that no window holds any more, after the newest day has changed."""
    state = row.state
    latest = state.latest_day
    for measure, steps in list(state.steps.items()):
        oldest = latest - days_kept(measure)
        for day in [day for day in steps if day < oldest]:
            del steps[day]
        if not steps:
            del state.steps[measure]
            row.names = None
    expired = [lead for lead, entry in state.attention.items() if entry.day < latest - ATTENTION_DAYS - _DAYS_BEYOND]
    if expired:
        for lead in expired:
            del state.attention[lead]
        row.urgent = None


def days_kept(measure: str) -> int:
    """Return the number of days before the newest day for which the entries of `measure` are kept."""
    return measures.days_read(measure) + _DAYS_BEYOND


def dump(row: OutcomeRow) -> bytes:
    """Return the row as one value."""
    return seal(row.state.revision, encode(row.state))


def load(value: bytes) -> OutcomeRow:
    """Return the row that `value` holds. Raise LayoutError for one in the layout of another release."""
    row = OutcomeRow(value)
    row.state  # noqa: B018 - decodes it
    return row


class OutcomeRecords:
    """Writes and reads the changelog of outcome rows: one record per manager."""

    def changelog(self, key: bytes, row: OutcomeRow) -> list[tuple[bytes, bytes | None]]:
        """Return the record that brings the changelog up to `row`."""
        return [(key, dump(row))]

    def restore(self, rows: dict[bytes, OutcomeRow], key: bytes, value: bytes | None) -> bytes | None:
        """Apply one changelog record; return `key` if the record was older than the one before it."""
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

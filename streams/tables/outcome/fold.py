"""The outcome row: what a manager's leads and deals come to, without a list of them.

It sums the changes that lead rows tell (`lead/contributions.py` says which measures there are), a number a measure and
local day. Steps make the sums answer for any day: how many open leads have had exactly three calls in 30 days is known
tomorrow too, although nobody calls. The leads that need help now are the exception: these are listed, so many at most.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias, final

from streams.contract.facts import Attention, Outcome
from streams.tables.changelog import body, is_newer, seal
from streams.tables.outcome.state import OutcomeState, decode, encode
from streams.tables.outcome.totals import NO_LAYOUT, PROMISES, Layout, Totals

DAYS_KEPT: Final = 182
"""The longest window, `previous` with the 90 days behind it, and two days because managers live in different zones."""
MAX_NAMES: Final = 64
"""How many values of a dimension (products, say) a manager has by name; what comes later counts as `other`."""
MAX_ATTENTION: Final = 1000
ATTENTION_DAYS: Final = 30
OTHER: Final = "other"
# What is only read over 30 days need not be kept for longer, and it is most of what there is.
_SHORT: Final = frozenset({
    "calls", "sum", "over", "streak", "mentor", "stuck", "stage", "since", "reason", "moves", "talks", "agreed",
    "off_hours", *PROMISES,
})  # fmt: skip
_LONG: Final = frozenset(("won", "given"))
_EMPTY_KEPT: Final = 256
"""How many more measures than the row has may have a place in its sums before these are made anew."""
_SHORT_DAYS: Final = 32
_MIDDLE_DAYS: Final = 92

Urgency: TypeAlias = tuple[bool, int, int, str]
"""Sorts leads, the one that needs help most first."""


@final
class OutcomeRow:
    """What a manager's leads come to.

    `totals`, `urgent` and `view` are caches for reading, made when first asked for: the sums by window, the listed
    leads in the order of their urgency, and what was read last; so are `names`, the values of each dimension. Since the
    row was made, `listings` counts the changes of the list. `folded` names what could not be kept as it came, for
    whoever counts it: a dimension for each change that went to `other`, "attention" for each lead beyond the limit.
    """

    __slots__ = ("_state", "folded", "listings", "names", "packed", "totals", "urgent", "view")

    def __init__(self, packed: bytes | None = None) -> None:
        self.packed = packed
        self._state: OutcomeState | None = OutcomeState() if packed is None else None
        self.totals: Totals | None = None
        self.urgent: list[Urgency] | None = None
        self.view: Any = None
        self.names: dict[str, dict[str, int]] | None = None
        self.listings = 0
        self.folded: list[str] = []

    @property
    def state(self) -> OutcomeState:
        """All that is kept. A row that was restored is decoded when it is first asked for it."""
        state = self._state
        if state is None:
            assert self.packed is not None  # noqa: S101 - a row is made with one or the other
            state = self._state = decode(body(self.packed))
        return state

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
                measure = _admitted(row, measure)  # noqa: PLW2901 - one name or the other
            steps = all_steps.setdefault(measure, {})
        count = steps.get(day, 0) + by
        if count:
            steps[day] = count
        else:
            steps.pop(day, None)
            if not steps:
                _gone(row, measure)
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
        known = listed[lead]
        if known.day > today - ATTENTION_DAYS:
            yield lead, known


def totals(row: OutcomeRow, today: int, layout: Layout = NO_LAYOUT) -> Totals:
    """Return the row's sums by window on the local day `today`. They go on with the row as it is folded."""
    found, steps = row.totals, row.state.steps
    if found is not None and found.layout is layout and len(found.places) <= len(steps) + _EMPTY_KEPT:
        if found.day == today:
            return found
        if found.day + 1 == today:
            found.advance(steps)
            return found
    found = row.totals = Totals(steps, today, layout)
    return found


def _admitted(row: OutcomeRow, measure: str) -> str:
    """Return the measure that counts what is told of `measure`, of which the row holds nothing: it, or that of `other`.

    A value that once counted as `other` must go on doing so, or what is taken back later would be taken from the wrong
    one. So after the first one no new name is admitted until nothing counts as `other` any more. A value that is called
    "other" by those who gave it is a name like any.
    """
    parts = split(measure)
    if parts is None:
        return measure
    head, dimension, value, tail = parts
    full, names = row.state.full, _names(row).setdefault(dimension, {})
    if dimension in full and OTHER not in names:
        full.remove(dimension)
    is_full = dimension in full or len(names) - (OTHER in names) >= MAX_NAMES
    if is_full and value != OTHER and value not in names:
        value = OTHER
        row.folded.append(dimension)
        if dimension not in full:
            full.append(dimension)
    measure = f"{head}@{dimension}={value}{tail}"
    if measure not in row.state.steps:
        names[value] = names.get(value, 0) + 1
    return measure


def _gone(row: OutcomeRow, measure: str) -> None:
    """Drop `measure`, of which nothing is left."""
    parts = split(measure) if "@" in measure else None
    if parts is not None:
        _, dimension, value, _ = parts
        names = _names(row)[dimension]
        names[value] -= 1
        if not names[value]:
            del names[value]
    del row.state.steps[measure]


def _names(row: OutcomeRow) -> dict[str, dict[str, int]]:
    """Return, by dimension, the values that the row knows, each with the number of its measures."""
    found = row.names
    if found is None:
        found = row.names = {}
        for measure in row.state.steps:
            parts = split(measure) if "@" in measure else None
            if parts is not None:
                names = found.setdefault(parts[1], {})
                names[parts[2]] = names.get(parts[2], 0) + 1
    return found


def split(measure: str) -> tuple[str, str, str, str] | None:
    """Return head, dimension, value and tail (`:CUR` or "") of `HEAD@DIMENSION=VALUE[:CUR]`, None of others."""
    head, at, rest = measure.partition("@")
    dimension, equals, value = rest.partition("=")
    if not at or not equals or ":" in head:
        return None
    if head == "amount":
        value, _, currency = value.rpartition(":")
        return head, dimension, value, ":" + currency
    return head, dimension, value, ""


def _list(row: OutcomeRow, changes: dict[str, Attention | None]) -> None:
    listed = row.state.attention
    urgent = row.urgent
    row.listings += 1
    for lead, known in changes.items():
        before = listed.pop(lead, None)
        if before is not None and urgent is not None:
            del urgent[bisect_left(urgent, _urgency(lead, before))]
        if known is not None:
            listed[lead] = known
            if urgent is not None:
                insort(urgent, _urgency(lead, known))
    if len(listed) > MAX_ATTENTION:
        urgent = _urgent(row)
        for _, _, _, lead in urgent[MAX_ATTENTION:]:
            del listed[lead]
        row.folded += ["attention"] * (len(urgent) - MAX_ATTENTION)
        del urgent[MAX_ATTENTION:]


def _urgency(lead: str, known: Attention) -> Urgency:
    return known.why != "stuck", -known.without_progress, known.stage_since, lead


def _urgent(row: OutcomeRow) -> list[Urgency]:
    found = row.urgent
    if found is None:
        found = row.urgent = sorted(_urgency(lead, known) for lead, known in row.state.attention.items())
    return found


def _prune(row: OutcomeRow) -> None:
    """Drop what no window holds any more, now that the newest day is another one."""
    state = row.state
    latest = state.latest_day
    for measure, steps in list(state.steps.items()):
        oldest = latest - days_kept(measure)
        for day in [day for day in steps if day < oldest]:
            del steps[day]
        if not steps:
            del state.steps[measure]
            row.names = None
    gone = [lead for lead, known in state.attention.items() if known.day < latest - _SHORT_DAYS]
    if gone:
        for lead in gone:
            del state.attention[lead]
        row.urgent = None


def days_kept(measure: str) -> int:
    """Return how many days before the newest one the entries of `measure` are kept."""
    head = measure.partition(":")[0]
    return _SHORT_DAYS if head in _SHORT else DAYS_KEPT if head in _LONG else _MIDDLE_DAYS


def dump(row: OutcomeRow) -> bytes:
    """Return the row as one value."""
    return seal(row.state.revision, encode(row.state))


def load(value: bytes) -> OutcomeRow:
    """Return the row that `dump` gave. Raise LayoutError for a value of another release's layout."""
    row = OutcomeRow(value)
    row.state  # noqa: B018 - decodes it
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

"""The lead's row: who called the lead, how often and when; and what that means for the manager the lead belongs to.

Facts of managers on different partitions reach a lead in any order; nothing here depends on it. The lead's manager is
the one of the leg that was begun last. What a lead means for its manager is a function of the row alone
(`contribution`); a change of the row is told as the difference, and a change of hands as all of it taken from one
manager and given to the other.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct, field

from streams.facts import Contact
from streams.tables.records import body, is_newer, seal

# The longest window of a lead's measures is 30 days; a day more because managers live in different zones.
DAYS_KEPT: Final = 31
MANY: Final = 5
BUCKETS: Final = ("1", "2", "3", "4", "5+")

Changes: TypeAlias = tuple[tuple[str, int, int], ...]
"""(measure, day, difference), for `windows.Steps`."""
Contribution: TypeAlias = dict[tuple[str, int], int]


class LeadState(Struct, gc=False, array_like=True):
    """What is known of a lead.

    `revision` counts the facts applied, `applied` holds the highest `seq` of each `src`. `days` maps local days (of the
    manager who called) to finished legs, conversations and dials, back to 31 days before `latest_day`; the totals, the
    first start and the last end are those of all time. `newest` is the (started_at, call, manager) that decides whose
    the lead is; a leg that was withdrawn still does.
    """

    revision: int = 0
    applied: dict[str, int] = field(default_factory=dict)
    days: dict[int, list[int]] = field(default_factory=dict)
    latest_day: int = 0
    newest: tuple[int, str, str] = (0, "", "")
    calls: int = 0
    conversations: int = 0
    dials: int = 0
    first_at: int = 0
    last_at: int = 0

    @property
    def manager(self) -> str:
        """Whose lead it is; "" for one that nobody called yet."""
        return self.newest[2]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(LeadState).decode


class LeadRow:
    """A lead's row. There may be millions, so a row that is not being changed is kept as its bytes alone."""

    __slots__ = ("packed", "state")

    def __init__(self, packed: bytes | None = None) -> None:
        self.packed = packed
        if packed is None:
            self.state = LeadState()

    def __getattr__(self, name: str) -> LeadState:
        """Decode the row: Python asks here only for what is not set."""
        if name != "state" or self.packed is None:
            raise AttributeError(name)
        self.state = _decode(body(self.packed))
        return self.state

    def __eq__(self, other: object) -> bool:
        """Tell whether both rows hold the same."""
        return self.state == other.state if isinstance(other, LeadRow) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # rows change


class LeadEffect(Struct, frozen=True, gc=False):
    """What folding a fact did: `outcome`, and the changes that each manager must be told."""

    outcome: Literal["applied", "duplicate"]
    told: tuple[tuple[str, Changes], ...] = ()


_DUPLICATE: Final = LeadEffect("duplicate")


class LeadFold:
    """Folds contacts into lead rows. A lead dialled more than `calls_per_day` times on a day is over-called."""

    def __init__(self, calls_per_day: int) -> None:
        self._calls_per_day = calls_per_day

    def fold(self, row: LeadRow, contact: Contact) -> LeadEffect:
        """Apply `contact`; one at or below the `seq` that its `src` has come to changes nothing."""
        state = row.state
        if contact.seq <= state.applied.get(contact.src, -1):
            return _DUPLICATE
        manager = state.newest[2]
        before = contribution(state, self._calls_per_day)
        state.revision += 1
        state.applied[contact.src] = contact.seq
        self._apply(state, contact)
        after = contribution(state, self._calls_per_day)
        if state.newest[2] == manager:
            changes = _difference(before, after)
            return LeadEffect("applied", ((manager, changes),) if changes else ())
        told = []
        if before:
            told.append((manager, _difference(before, {})))
        if after:
            told.append((state.newest[2], _difference({}, after)))
        return LeadEffect("applied", tuple(told))

    def contribution(self, row: LeadRow) -> Contribution:
        """Return what the lead means for its manager."""
        return contribution(row.state, self._calls_per_day)

    def _apply(self, state: LeadState, contact: Contact) -> None:
        state.newest = max(state.newest, (contact.started_at, contact.call, contact.manager))
        state.first_at = min(state.first_at or contact.started_at, contact.started_at)
        state.last_at = max(state.last_at, contact.at)
        sign = -1 if contact.withdrawn else 1
        conversations = sign if contact.conversation else 0
        dials = sign if contact.direction == "outbound" else 0
        state.calls += sign
        state.conversations += conversations
        state.dials += dials
        day = contact.day
        days = state.days
        if day > state.latest_day:
            state.latest_day = day
            for old in [old for old in days if old < day - DAYS_KEPT]:
                del days[old]
        elif day < state.latest_day - DAYS_KEPT:
            return
        counts = days.get(day)
        if counts is None:
            days[day] = [sign, conversations, dials]
            return
        counts[0] += sign
        counts[1] += conversations
        counts[2] += dials
        if counts == [0, 0, 0]:
            del days[day]


def contribution(state: LeadState, calls_per_day: int) -> Contribution:
    """Return what the lead means for its manager, by measure and day.

    `calls:K` and `conversations:K` are steps (`windows.Steps`): the sum of the entries at days >= cutoff is 1 where the
    lead has K of them in the days from `cutoff` on, else 0. `sum` is the calls of the day, `over` is 1 on days on which
    the lead was dialled too often.

        day        10    12    15                 cutoff   calls from it on
        calls       1     2     1                 <= 10    4
        calls:1                +1                 11-12    3
        calls:3          +1    -1                 13-15    1
        calls:4    +1    -1                       > 15     0
    """
    steps: Contribution = {}
    calls = conversations = 0
    for day in sorted(state.days, reverse=True):
        called, talked, dialled = state.days[day]
        if called:
            steps["sum", day] = called
            _step(steps, "calls:", day, calls, calls + called)
            calls += called
        if talked:
            _step(steps, "conversations:", day, conversations, conversations + talked)
            conversations += talked
        if dialled > calls_per_day:
            steps["over", day] = 1
    return steps


def _step(steps: Contribution, measure: str, day: int, later: int, now: int) -> None:
    """Note that the count is `now` from `day` back, and `later` after it."""
    old, new = min(later, MANY), min(now, MANY)
    if old == new:
        return
    if new > 0:
        steps[measure + BUCKETS[new - 1], day] = 1
    if old > 0:
        steps[measure + BUCKETS[old - 1], day] = -1


def _difference(before: Contribution, after: Contribution) -> Changes:
    changes = [
        (measure, day, by)
        for (measure, day), count in after.items()
        if (by := count - before.get((measure, day), 0)) != 0
    ]
    changes += [(measure, day, -count) for (measure, day), count in before.items() if (measure, day) not in after]
    return tuple(changes)


def dump(row: LeadRow) -> bytes:
    """Return the row as one value."""
    return seal(row.state.revision, _encode(row.state))


def load(value: bytes) -> LeadRow:
    """Return the row that `dump` gave. Raise LayoutError for a value of another release's layout."""
    row = LeadRow()
    row.state = _decode(body(value))
    return row


class LeadRecords:
    """Writes and reads the changelog of lead rows: one record a lead."""

    def changelog(self, key: bytes, row: LeadRow) -> list[tuple[bytes, bytes | None]]:
        """Return the record that brings the changelog up to `row`, which is kept as these bytes from now on."""
        row.packed = dump(row)
        del row.state
        return [(key, row.packed)]

    def restore(self, rows: dict[bytes, LeadRow], key: bytes, value: bytes | None) -> bytes | None:
        """Apply one changelog record; return `key` if the record was older than what was there."""
        if value is None:
            rows.pop(key, None)
            return None
        row = rows.get(key)
        if row is None:
            rows[key] = LeadRow(value)
        elif row.packed is not None and is_newer(row.packed, value):
            return key
        else:
            row.packed = value
        return None

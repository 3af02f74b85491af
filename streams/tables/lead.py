"""The lead's row: who called the lead, how often and when; and what that means for the manager the lead belongs to.

Facts of managers on different partitions reach a lead in any order; nothing here depends on it. The lead's manager is
the one of the leg that was begun last. What a lead means for its manager is a function of the row alone
(`contribution`); a change of the row is told as the difference, and a change of hands as all of it taken from one
manager and given to the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct, field

from streams.facts import Contact
from streams.tables.records import body, is_newer, seal

# The longest window of a lead's measures is 30 days; a day more because managers live in different zones.
DAYS_KEPT: Final = 31
MANY: Final = 5
# A day's counts are one integer, 20 bits each: with millions of leads, lists would cost more than all else together.
_CALLS, _CONVERSATIONS, _DIALS = 0, 20, 40
_COUNT: Final = (1 << 20) - 1
BUCKETS: Final = ("1", "2", "3", "4", "5+")

Changes: TypeAlias = tuple[tuple[str, int, int], ...]
"""(measure, day, difference), for `windows.Steps`."""
Contribution: TypeAlias = dict[tuple[str, int], int]


class LeadState(Struct, gc=False, array_like=True):
    """What is known of a lead.

    `revision` counts the facts applied, `applied` holds the highest `seq` of each `src`. `days` maps local days (of the
    manager who called) to finished legs, conversations and dials (`counts_of`), back to 31 days before `latest_day`;
    the totals, the first start and the last end are those of all time. `newest` is the (started_at, call, manager) that
    decides whose the lead is; a leg that was withdrawn still does.
    """

    revision: int = 0
    applied: dict[str, int] = field(default_factory=dict)
    days: dict[int, int] = field(default_factory=dict)
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


class LeadRow(Struct, gc=False):
    """A lead's row. There may be millions, so a row that is not being changed is kept as its bytes alone."""

    packed: bytes | None = None
    unpacked: LeadState | None = None

    @property
    def state(self) -> LeadState:
        """The row, decoded when it is first asked for."""
        state = self.unpacked
        if state is None:
            state = self.unpacked = LeadState() if self.packed is None else _decode(body(self.packed))
        return state

    def __eq__(self, other: object) -> bool:
        """Tell whether both rows hold the same."""
        return self.state == other.state if isinstance(other, LeadRow) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # rows change


class LeadEffect(Struct, frozen=True, gc=False):
    """What folding a fact did: `outcome`, and the changes that each manager must be told."""

    outcome: Literal["applied", "duplicate"]
    told: tuple[tuple[str, Changes], ...] = ()


_APPLIED: Final = LeadEffect("applied")
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
        state.revision += 1
        state.applied[contact.src] = contact.seq
        state.first_at = min(state.first_at or contact.started_at, contact.started_at)
        state.last_at = max(state.last_at, contact.at)
        newest = max(state.newest, (contact.started_at, contact.call, contact.manager))
        oldest = max(state.latest_day, contact.day) - DAYS_KEPT
        manager = state.newest[2]
        if newest[2] == manager and all(day >= oldest for day in state.days):
            state.newest = newest
            changes = tuple(self._count(state, contact))
            return LeadEffect("applied", ((manager, changes),)) if changes else _APPLIED
        before = contribution(state, self._calls_per_day)
        for day in [day for day in state.days if day < oldest]:
            del state.days[day]
        state.newest = newest
        self._count(state, contact)
        after = contribution(state, self._calls_per_day)
        if newest[2] == manager:
            return LeadEffect("applied", ((manager, _difference(before, after)),))
        told = ((manager, _difference(before, {})), (newest[2], _difference({}, after)))
        return LeadEffect("applied", tuple((whom, changes) for whom, changes in told if changes))

    def contribution(self, row: LeadRow) -> Contribution:
        """Return what the lead means for its manager."""
        return contribution(row.state, self._calls_per_day)

    def _count(self, state: LeadState, contact: Contact) -> list[tuple[str, int, int]]:
        """Count the leg; return how the lead's contribution changes by it, if it is kept at all."""
        sign = -1 if contact.withdrawn else 1
        conversations = sign if contact.conversation else 0
        dials = sign if contact.direction == "outbound" else 0
        state.calls += sign
        state.conversations += conversations
        state.dials += dials
        day = contact.day
        days = state.days
        state.latest_day = max(state.latest_day, day)
        if day < state.latest_day - DAYS_KEPT:
            return []
        counts = days.get(day, 0)
        was_over = counts >> _DIALS > self._calls_per_day
        counts += (sign << _CALLS) + (conversations << _CONVERSATIONS) + (dials << _DIALS)
        days[day] = counts
        changes = [("sum", day, sign), *_steps_changed(days, _CALLS, "calls:", day, sign)]
        if conversations:
            changes += _steps_changed(days, _CONVERSATIONS, "conversations:", day, sign)
        if (counts >> _DIALS > self._calls_per_day) != was_over:
            changes.append(("over", day, -1 if was_over else 1))
        if not counts:
            del days[day]
        return changes


def counts_of(packed: int) -> tuple[int, int, int]:
    """Return a day's finished legs, conversations and dials."""
    return packed & _COUNT, packed >> _CONVERSATIONS & _COUNT, packed >> _DIALS


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
        called, talked, dialled = counts_of(state.days[day])
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


def _steps_changed(
    days: dict[int, int], place: int, measure: str, changed: int, by: int
) -> Iterator[tuple[str, int, int]]:
    """Yield how the steps of a measure differ from what they were before `by` was added at the day `changed`."""
    now = was = 0
    for day in sorted(days, reverse=True):
        later_now, later_was = now, was
        count = days[day] >> place & _COUNT
        now = min(now + count, MANY)
        was = min(was + (count - by if day == changed else count), MANY)
        if day <= changed and (now, later_now) != (was, later_was):
            steps = [0] * (MANY + 1)  # by number; nothing is said of 0
            if now != later_now:
                steps[now] += 1
                steps[later_now] -= 1
            if was != later_was:
                steps[was] -= 1
                steps[later_was] += 1
            for number in range(1, MANY + 1):
                if steps[number]:
                    yield measure + BUCKETS[number - 1], day, steps[number]
        if now == was == MANY:
            return  # further back it is 5+ before and after


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
    return LeadRow(None, _decode(body(value)))


class LeadRecords:
    """Writes and reads the changelog of lead rows: one record a lead."""

    def changelog(self, key: bytes, row: LeadRow) -> list[tuple[bytes, bytes | None]]:
        """Return the record that brings the changelog up to `row`, which is kept as these bytes from now on."""
        row.packed = dump(row)
        row.unpacked = None
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

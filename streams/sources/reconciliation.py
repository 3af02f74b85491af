"""Reconciliation: recorded calls of a day compared with counted ones, per manager, and the ends that repair the counts.

A leg is one manager's part in a call, as the tables count it. Records are legs that a system wrote down itself: CEL or
CDR of Asterisk, an export, the call log of a CRM. Their readers make `Records`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from streams.contract.events import QUEUE_PREFIX, CallEnded, Disposition
from streams.tables.manager.legs import TIMEOUT, Finished, is_uncertain

Difference: TypeAlias = Literal["missing", "lost end", "extra", "talk", "disposition"]
"""`missing`: not counted. `lost end`: counted by a timeout. `extra`: in no record. Else the two differ."""
_MOST_LISTED: Final = 10_000
_UNANSWERED_ALIKE: Final = frozenset(("canceled", "no_answer"))


class CountedLeg(Struct, frozen=True):
    """A leg that the tables count. `source` is the source of its call."""

    call: str
    manager: str
    result: Finished
    source: str = ""


class RecordLeg(Struct, frozen=True):
    """A leg in records. `end` has its result, `repairs` are the events that make it count.

    `is_exact`: its talk is that of the two parties. `other_calls` are ids that the call may have elsewhere; they go
    before that of `end`.
    """

    end: CallEnded
    repairs: tuple[CallEnded, ...]
    is_exact: bool = True
    other_calls: frozenset[str] = frozenset()


class LegDifference(Struct, frozen=True, kw_only=True):
    """A leg on which records and counts differ. Talk is in ms; None for a leg that one of them does not have."""

    kind: Difference
    call: str
    at: int
    counted: Disposition | None = None
    recorded: Disposition | None = None
    counted_talk_ms: int | None = None
    recorded_talk_ms: int | None = None


class ManagerDay(Struct, frozen=True, kw_only=True):
    """One manager's local day. `both` counts the legs that both have; the other counts are of those that differ.

    `talk_difference_ms` is the talk of records minus the talk that was counted, over the legs in both whose talk both
    have. `counted` are all legs that the tables count; `unreached` are those among them that lie outside the time of
    the records.
    """

    manager: str
    counted: int = 0
    unreached: int = 0
    both: int = 0
    missing: int = 0
    lost_ends: int = 0
    extra: int = 0
    other_talk: int = 0
    talk_difference_ms: int = 0
    other_disposition: int = 0
    differences: tuple[LegDifference, ...] = ()

    @property
    def agrees(self) -> bool:
        """True if there is no difference."""
        return not self.differences


class Reconciled(Struct, frozen=True):
    """The result: each manager's day, and the ends to send so that missing legs count."""

    days: tuple[ManagerDay, ...]
    repairs: tuple[CallEnded, ...]

    @property
    def agrees(self) -> bool:
        """True if there is no difference."""
        return all(day.agrees for day in self.days)


class Terms(Struct, frozen=True, kw_only=True):
    """The scope of the comparison. `since_ms` and `until_ms` are the first and last moment of the records.

    `knows_cancels`: records distinguish canceled calls from unanswered ones. `knows_missed`: they have the legs of
    `queue:`, which stand for missed calls.
    """

    since_ms: int
    until_ms: int
    tolerance_ms: int = 2_000
    knows_cancels: bool = True
    knows_missed: bool = True


class Records(Struct, frozen=True, kw_only=True):
    """The records of a source. `name` is the kind of records, such as `cel`.

    `source` is the telephone system as its events name it; `others` are further sources whose calls the records hold,
    as the log of a CRM may. `refused` counts unreadable parts.
    """

    name: str
    source: str
    legs: tuple[RecordLeg, ...]
    terms: Terms
    refused: int = 0
    others: frozenset[str] = frozenset()

    @property
    def covers(self) -> frozenset[str]:
        """The sources whose calls the records hold."""
        return self.others | {self.source}


def records_of(
    name: str,
    source: str,
    legs: Iterable[RecordLeg],
    refused: int = 0,
    *,
    knows_cancels: bool = True,
    knows_missed: bool = True,
) -> Records:
    """Return records that reach from the end of their first leg to that of their last one."""
    held = tuple(legs)
    moments = [leg.end.at for leg in held]
    terms = Terms(
        since_ms=min(moments, default=0),
        until_ms=max(moments, default=0),
        knows_cancels=knows_cancels,
        knows_missed=knows_missed,
    )
    return Records(name=name, source=source, legs=held, terms=terms, refused=refused)


def reconcile(counted: Iterable[CountedLeg], records: Iterable[RecordLeg], terms: Terms) -> Reconciled:
    """Compare the legs of one day. A leg of `records` belongs to the day on which it was counted, see `days_of`."""
    known: dict[tuple[str, str], CountedLeg] = {(leg.call, leg.manager): leg for leg in counted}
    calls = {leg.call for leg in known.values()}
    counts = Counter(manager for _, manager in known)
    unreached: Counter[str] = Counter()
    days: defaultdict[str, list[LegDifference]] = defaultdict(list)
    both: defaultdict[str, int] = defaultdict(int)
    talk: defaultdict[str, int] = defaultdict(int)
    repairs: list[CallEnded] = []
    for record in records:
        end = record.end
        names = [*sorted(record.other_calls - {end.call}), end.call]
        leg = next((found for name in names if (found := known.pop((name, end.manager), None)) is not None), None)
        if leg is None:
            call = next((name for name in names if name in calls), end.call)
            repairs += [replace(one, call=call) for one in record.repairs]
            days[end.manager].append(_difference("missing", end=end))
            continue
        both[end.manager] += 1
        if leg.result.rank == TIMEOUT:
            repairs += [replace(one, call=leg.call) for one in record.repairs]
            days[end.manager].append(_difference("lost end", end=end, leg=leg))
            continue
        if _talk_known(record, leg):
            talk[end.manager] += end.talk_ms - leg.result.talk_ms
        differences = list(_compared(record, leg, terms))
        if differences and record.is_exact and is_uncertain(leg.result):
            repairs += [replace(one, call=leg.call) for one in record.repairs]
        days[end.manager] += differences
    for leg in known.values():
        if leg.manager.startswith(QUEUE_PREFIX) and not terms.knows_missed:
            continue
        if terms.since_ms <= leg.result.at <= terms.until_ms:
            days[leg.manager].append(_difference("extra", leg=leg))
        else:
            unreached[leg.manager] += 1
    return Reconciled(
        tuple(
            replace(
                _manager_day(manager, days[manager], both[manager], talk[manager]),
                counted=counts[manager],
                unreached=unreached[manager],
            )
            for manager in sorted({*days, *both, *counts})
        ),
        tuple(sorted(repairs, key=lambda end: (end.at, end.id))),
    )


def _compared(record: RecordLeg, leg: CountedLeg, terms: Terms) -> Iterator[LegDifference]:
    end, result = record.end, leg.result
    alike = end.disposition == result.disposition or (
        not terms.knows_cancels and {end.disposition, result.disposition} <= _UNANSWERED_ALIKE
    )
    if not alike:
        yield _difference("disposition", end=end, leg=leg)
    elif _talk_known(record, leg) and abs(end.talk_ms - result.talk_ms) > terms.tolerance_ms:
        yield _difference("talk", end=end, leg=leg)


def _talk_known(record: RecordLeg, leg: CountedLeg) -> bool:
    return (
        record.is_exact and leg.result.talk_ms >= 0 and record.end.disposition == leg.result.disposition == "answered"
    )


def _difference(kind: Difference, *, end: CallEnded | None = None, leg: CountedLeg | None = None) -> LegDifference:
    return LegDifference(
        kind=kind,
        call=leg.call if leg is not None else end.call if end is not None else "",
        at=leg.result.at if leg is not None else end.at if end is not None else 0,
        counted=None if leg is None else leg.result.disposition,
        recorded=None if end is None else end.disposition,
        counted_talk_ms=None if leg is None or leg.result.talk_ms < 0 else leg.result.talk_ms,
        recorded_talk_ms=None if end is None else end.talk_ms,
    )


def _manager_day(manager: str, differences: Sequence[LegDifference], both: int, talk_ms: int) -> ManagerDay:
    def count(kind: Difference) -> int:
        return sum(one.kind == kind for one in differences)

    return ManagerDay(
        manager=manager,
        both=both,
        missing=count("missing"),
        lost_ends=count("lost end"),
        extra=count("extra"),
        other_talk=count("talk"),
        talk_difference_ms=talk_ms,
        other_disposition=count("disposition"),
        differences=tuple(differences[:_MOST_LISTED]),
    )


def days_of(
    counted: Iterable[CountedLeg], records: Iterable[RecordLeg], day_of: Callable[[str, int], int]
) -> dict[int, tuple[list[CountedLeg], list[RecordLeg]]]:
    """Return the legs of each day, for `reconcile`. `day_of` gives a manager's local day of a moment.

    A leg of records belongs to the day on which it was counted, or else to that of its own end: clocks of a second's
    difference have it on two days at midnight.
    """
    found: defaultdict[int, tuple[list[CountedLeg], list[RecordLeg]]] = defaultdict(lambda: ([], []))
    days: dict[tuple[str, str], int] = {}
    for leg in counted:
        day = days[leg.call, leg.manager] = day_of(leg.manager, leg.result.at)
        found[day][0].append(leg)
    for record in records:
        manager = record.end.manager
        names = [*sorted(record.other_calls - {record.end.call}), record.end.call]
        held = next((days[name, manager] for name in names if (name, manager) in days), None)
        found[day_of(manager, record.end.at) if held is None else held][1].append(record)
    return dict(found)


def legs_of(ends: Iterable[CallEnded]) -> Iterator[RecordLeg]:
    """Yield the legs that ends of records make. One that began again has the sum of its talk, as in the tables."""
    legs: dict[tuple[str, str], list[CallEnded]] = {}
    for end in ends:
        legs.setdefault((end.call, end.manager), []).append(end)
    for parts in legs.values():
        answered = [part for part in parts if part.disposition == "answered"]
        last = max(answered or parts, key=lambda part: part.at)
        whole = replace(
            last,
            at=max(part.at for part in parts),
            started_at=min(part.started_at for part in parts),
            answered_at=min((part.answered_at for part in answered if part.answered_at is not None), default=None),
            talk_ms=sum(part.talk_ms for part in answered),
        )
        yield RecordLeg(whole, tuple(parts))

"""The results of reconciliations: one for each source of records, manager and local day, and their combination.

A day is *final* once records cover it and every call of theirs counts; until then it is *provisional*. Results are
records of the topic `reconciliations`; of several with one key the last counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date
from typing import Final, Literal

import msgspec
from msgspec import Struct

from streams.calendars import EPOCH_DAY, LocalTime
from streams.contract.events import CallEnded
from streams.sources.reconciliation import CountedLeg, LegDifference, ManagerDay, Records, days_of, reconcile
from streams.units import MINUTE_MS

LOOK_BACK_DAYS: Final = 7
"""The number of local days before today that are checked for provisional ones."""
KEPT_DAYS: Final = 14
"""The number of days before a manager's newest one after which a ledger drops results."""
SETTLES_MS: Final = 10 * MINUTE_MS
"""The delay after its end before a day is final: systems write records in batches, Asterisk every 5 min."""
_SEPARATOR: Final = "\x1f"
RESULTS: Final = ("both", "missing", "lost_end", "extra", "other_talk", "other_disposition")
"""The fields of a result that count legs, as the metric names them."""


class DayResult(Struct, frozen=True, kw_only=True):
    """The result of a reconciliation for one manager's local day (days since 1970-01-01). Times in milliseconds.

    `source` is the source of the calls in the records, `records` is their kind. `counted` and `unreached` are as in
    `ManagerDay`; `elsewhere` counts the manager's legs of sources that the records do not hold. The day lasts from
    `since` to `until`, and was reconciled `at`. `has_records`: there were any at all.
    """

    v: Literal[1] = 1
    source: str
    records: str
    manager: str
    day: int
    since: int
    until: int
    at: int
    has_records: bool
    both: int = 0
    missing: int = 0
    lost_end: int = 0
    extra: int = 0
    other_talk: int = 0
    other_disposition: int = 0
    talk_difference_ms: int = 0
    counted: int = 0
    elsewhere: int = 0
    unreached: int = 0

    @property
    def key(self) -> bytes:
        """The key of the record."""
        return _SEPARATOR.join((self.source, self.records, self.manager, str(self.day))).encode()

    @property
    def date(self) -> str:
        """The day as YYYY-MM-DD."""
        return date.fromordinal(EPOCH_DAY + self.day).isoformat()

    @property
    def is_final(self) -> bool:
        """True if no call of the records is still missing from the figures."""
        return not self.why_provisional

    @property
    def why_provisional(self) -> str:
        """Return the reason why the day is not final, in words; "" for a final one."""
        if self.at < self.until + SETTLES_MS:
            return "the day is not over"
        if not self.has_records:
            return "there are no records"
        if self.missing or self.lost_end:
            return f"recorded calls that do not count yet: {self.missing + self.lost_end}"
        if self.unreached:
            return f"calls outside the time of the records: {self.unreached}"
        return ""


class FoundDay(Struct, frozen=True):
    """The findings of one manager's day: the result to keep, the legs that differ, and the ends that are missing."""

    result: DayResult
    differences: tuple[LegDifference, ...]
    repairs: tuple[CallEnded, ...]


def find(
    days: Collection[int],
    counted: Iterable[CountedLeg],
    records: Records,
    roster: Iterable[str],
    local: Callable[[str], LocalTime],
    now_ms: int,
) -> list[FoundDay]:
    """Return the findings of each day, for every manager on the roster and all others who have a leg.

    `counted` are the legs of all sources. A manager whose legs of a day are all of sources that the records do not hold
    is left out: the records are no evidence of that day. `local` gives a manager's local time.
    """
    own: list[CountedLeg] = []
    elsewhere: Counter[tuple[int, str]] = Counter()
    for leg in counted:
        if leg.source in records.covers:
            own.append(leg)
        else:
            elsewhere[local(leg.manager).day(leg.result.at), leg.manager] += 1
    found: list[FoundDay] = []
    by_day = days_of(own, records.legs, lambda manager, at_ms: local(manager).day(at_ms))
    for day in sorted(days):
        legs, recorded = by_day.get(day, ([], []))
        compared = reconcile(legs, recorded, records.terms)
        repairs: defaultdict[str, list[CallEnded]] = defaultdict(list)
        for end in compared.repairs:
            repairs[end.manager].append(end)
        of_manager = {one.manager: one for one in compared.days}
        for manager in sorted({*roster, *of_manager}):
            others = elsewhere[day, manager]
            if manager not in of_manager and others:
                continue
            one = of_manager.get(manager) or ManagerDay(manager=manager)
            result = _result(one, day, local(manager).day_bounds(day), records, others, now_ms)
            found.append(FoundDay(result, one.differences, tuple(repairs[manager])))
    return found


def _result(
    one: ManagerDay, day: int, bounds: tuple[int, int], records: Records, elsewhere: int, now_ms: int
) -> DayResult:
    return DayResult(
        source=records.source,
        records=records.name,
        manager=one.manager,
        day=day,
        since=bounds[0],
        until=bounds[1],
        at=now_ms,
        has_records=records.terms.until_ms > 0,
        both=one.both,
        missing=one.missing,
        lost_end=one.lost_ends,
        extra=one.extra,
        other_talk=one.other_talk,
        other_disposition=one.other_disposition,
        talk_difference_ms=one.talk_difference_ms,
        counted=one.counted,
        elsewhere=elsewhere,
        unreached=one.unreached,
    )


class Standing(Struct, frozen=True):
    """The state of the days of a manager before today.

    `final` is the newest day that is final for all sources, by its results; None if there is none. `provisional` counts
    the others among the last days. `newest` has the newest result of each source.
    """

    final: DayResult | None
    provisional: int
    newest: tuple[DayResult, ...]


class Ledger:
    """Holds the results of the last days by manager."""

    def __init__(self) -> None:
        self.version = 0
        """Grows with every result."""
        self._versions: dict[str, int] = {}
        self._held: dict[str, dict[int, dict[tuple[str, str], DayResult]]] = {}

    def take(self, value: bytes | None) -> bool:
        """Store a record of the topic; return whether it is a result that this release can read."""
        try:
            result = msgspec.json.decode(value or b"", type=DayResult)
        except msgspec.MsgspecError:
            return False
        days = self._held.setdefault(result.manager, {})
        days.setdefault(result.day, {})[result.source, result.records] = result
        oldest = max(days) - KEPT_DAYS
        for day in [day for day in days if day < oldest]:
            del days[day]
        self.version += 1
        self._versions[result.manager] = self.version
        return True

    def version_of(self, manager: str) -> int:
        """Return a number that grows with every result of the manager, 0 without one."""
        return self._versions.get(manager, 0)

    def managers(self) -> Iterator[str]:
        """Yield the managers with results."""
        yield from self._held

    def standing(self, manager: str, today: int) -> Standing | None:
        """Return the state of the days before `today`, None for a manager without results of the last `KEPT_DAYS`.

        Days before the first one that was reconciled are left out.
        """
        held = {day: latest(of.values()) for day, of in self._held.get(manager, {}).items() if day < today}
        if max(held, default=0) < today - KEPT_DAYS:
            return None
        final = [day for day, of in held.items() if is_final(of)]
        looked_at = range(max(min(held), today - LOOK_BACK_DAYS), today)
        newest: dict[str, DayResult] = {}
        for day in sorted(held):
            newest.update({one.source: one for one in held[day]})
        return Standing(
            held[max(final)][0] if final else None,
            sum(day not in final for day in looked_at),
            tuple(newest[source] for source in sorted(newest)),
        )


def latest(results: Iterable[DayResult]) -> list[DayResult]:
    """Return one result for each source, the one that was made last."""
    chosen = {result.source: result for result in sorted(results, key=lambda one: one.at)}
    return [chosen[source] for source in sorted(chosen)]


def is_final(results: Collection[DayResult]) -> bool:
    """Return whether a day is final: each source's calls are, and there is no call of another source.

    `results` has one of each source, of one manager and day.
    """
    reconciled = sum(one.counted for one in results)
    return all(one.is_final for one in results) and all(reconciled >= one.counted + one.elsewhere for one in results)

"""The results of reconciliations together: exactly the legs that differ, by day, and the final days."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.calendars import LocalTime, local_time
from streams.contract.events import CallEnded
from streams.sources.reconciled import RESULTS, SETTLES_MS, DayResult, FoundDay, Ledger, find
from streams.sources.reconciliation import CountedLeg, RecordLeg, Records, Terms, records_of
from streams.tables.manager.legs import HANGUP, TIMEOUT, Finished
from streams.units import HOUR_MS, MINUTE_MS

ZONES = {"anna": "Europe/Moscow", "bert": "America/New_York", "cleo": "Asia/Seoul"}
ROSTER = ("anna", "bert", "cleo", "dora")
FIRST = date(2026, 11, 14)
FIRST_DAY = FIRST.toordinal() - date(1970, 1, 1).toordinal()
DAYS = range(FIRST_DAY, FIRST_DAY + 4)
LATER_MS = int(datetime(2026, 12, 1, tzinfo=ZoneInfo("UTC")).timestamp() * 1000)
Fate = Literal["same", "not heard", "not recorded", "other talk", "other disposition", "end lost"]
FATES: tuple[Fate, ...] = ("same", "not heard", "not recorded", "other talk", "other disposition", "end lost")


class Truth(NamedTuple):
    """A true leg, and its fate in figures and records."""

    number: int
    manager: str
    at: int
    talk_ms: int
    fate: Fate


def local(manager: str) -> LocalTime:
    return local_time(ZONES.get(manager, "UTC"))


def end_of(leg: Truth, **changes: Any) -> CallEnded:
    fields = {
        "v": 1,
        "id": f"e{leg.number}",
        "at": leg.at,
        "source": "pbx",
        "call": f"c{leg.number}",
        "manager": leg.manager,
        "lead": None,
        "direction": "outbound",
        "started_at": leg.at - leg.talk_ms - 5_000,
        "answered_at": leg.at - leg.talk_ms,
        "talk_ms": leg.talk_ms,
        "disposition": "answered",
        "ended_by": "cdr",
    }
    return CallEnded(**{**fields, **changes})


def recorded(leg: Truth) -> RecordLeg:
    end = end_of(leg)
    return RecordLeg(end, (end,))


def counted(leg: Truth, source: str = "pbx") -> CountedLeg:
    talk_ms = leg.talk_ms + (60_000 if leg.fate == "other talk" else 0)
    disposition: Any = "busy" if leg.fate == "other disposition" else "answered"
    rank = TIMEOUT if leg.fate == "end lost" else HANGUP
    result = Finished(leg.at, leg.at - 99, "outbound", None, disposition, talk_ms, None, rank, f"h{leg.number}")
    return CountedLeg(f"c{leg.number}", leg.manager, result, source)


def found(legs: list[Truth], now_ms: int = LATER_MS, days: Any = DAYS) -> list[FoundDay]:
    heard = [counted(leg) for leg in legs if leg.fate != "not heard"]
    records = records_of("cel", "pbx", [recorded(leg) for leg in legs if leg.fate != "not recorded"])
    return find(days, heard, records, ROSTER, local, now_ms)


MOMENTS = st.integers(
    int(datetime(2026, 11, 14, tzinfo=ZoneInfo("UTC")).timestamp()),
    int(datetime(2026, 11, 18, tzinfo=ZoneInfo("UTC")).timestamp()),
)
LEGS = st.lists(
    st.tuples(st.sampled_from(sorted(ZONES)), MOMENTS, st.integers(10, 900), st.sampled_from(FATES)), max_size=40
).map(lambda rows: [Truth(n, who, at * 1000, s * 1000, fate) for n, (who, at, s, fate) in enumerate(rows)])


@given(LEGS)
def test_the_result_says_exactly_what_became_of_each_leg(legs: list[Truth]) -> None:
    """The oracle counts by the calendar of Python, from the fates alone."""
    want: Counter[tuple[str, str, str]] = Counter()
    records = [leg.at for leg in legs if leg.fate != "not recorded"]
    for leg in legs:
        on = datetime.fromtimestamp(leg.at / 1000, ZoneInfo(ZONES[leg.manager])).date().isoformat()
        reached = bool(records) and min(records) <= leg.at <= max(records)
        kinds: dict[Fate, tuple[str, ...]] = {
            "same": ("both",),
            "not heard": ("missing",),
            "not recorded": ("extra",) if reached else ("unreached",),
            "other talk": ("both", "other_talk"),
            "other disposition": ("both", "other_disposition"),
            "end lost": ("both", "lost_end"),
        }
        for kind in (*kinds[leg.fate], *(() if leg.fate == "not heard" else ("counted",))):
            want[leg.manager, on, kind] += 1
    results = [one.result for one in found(legs)]
    got = {
        (one.manager, one.date, kind): count
        for one in results
        for kind in (*RESULTS, "counted", "unreached")
        if (count := getattr(one, kind))
    }
    days = {date.fromordinal(FIRST.toordinal() + more).isoformat() for more in range(4)}
    assert got == {key: count for key, count in want.items() if key[1] in days}
    assert {(one.manager, one.date) for one in results} == {(who, on) for who in ROSTER for on in days}
    for one in results:
        repairs = want[one.manager, one.date, "missing"] + want[one.manager, one.date, "lost_end"]
        unreached = want[one.manager, one.date, "unreached"]
        assert one.is_final == (bool(records) and not repairs and not unreached)


@given(LEGS)
def test_what_is_sent_makes_every_day_final_that_the_records_reach(legs: list[Truth]) -> None:
    ends = [end for one in found(legs, days=range(FIRST_DAY - 2, FIRST_DAY + 8)) for end in one.repairs]
    assert sorted(end.call for end in ends) == sorted(
        f"c{leg.number}" for leg in legs if leg.fate in {"not heard", "end lost"}
    )
    repaired = [leg._replace(fate="same") if leg.fate in {"not heard", "end lost"} else leg for leg in legs]
    assert not any(one.repairs or one.result.missing or one.result.lost_end for one in found(repaired))


@given(LEGS, st.randoms())
def test_the_order_of_legs_does_not_matter(legs: list[Truth], random: Any) -> None:
    mixed = random.sample(legs, len(legs))
    assert [one.result for one in found(mixed)] == [one.result for one in found(legs)]


def at(day: int, hour: float, manager: str = "anna") -> int:
    return int(local(manager).day_bounds(FIRST_DAY + day)[0] + hour * HOUR_MS)


def leg(number: int, day: int, hour: float, fate: Fate = "same", manager: str = "anna") -> Truth:
    return Truth(number, manager, at(day, hour, manager), 60_000, fate)


def of(results: list[FoundDay], manager: str, day: int) -> DayResult:
    (one,) = [one.result for one in results if (one.result.manager, one.result.day) == (manager, FIRST_DAY + day)]
    return one


def test_why_a_day_is_provisional() -> None:
    legs = [leg(1, 0, 10), leg(2, 1, 10), leg(3, 1, 18)]
    over_ms = at(2, 0) + SETTLES_MS
    assert of(found(legs, over_ms), "anna", 1).why_provisional == ""
    assert of(found(legs, over_ms - 1), "anna", 1).why_provisional == "the day is not over"
    assert of(found([], over_ms), "anna", 1).why_provisional == "there are no records"
    late = [*legs, leg(4, 1, 19, "not recorded")]
    assert of(found(late, over_ms), "anna", 1).why_provisional == "calls outside the time of the records: 1"
    assert of(found([*late, leg(5, 2, 9)], LATER_MS), "anna", 1).why_provisional == ""  # now it is extra
    missing = [*legs, leg(4, 1, 17, "not heard"), leg(5, 1, 17, "end lost")]
    assert of(found(missing, over_ms), "anna", 1).why_provisional == "recorded calls that do not count yet: 2"


def test_a_leg_on_two_days_by_the_clocks_of_both_is_of_the_day_on_which_it_was_counted() -> None:
    heard = leg(1, 0, 23.9999)
    said = heard._replace(at=at(1, 0) + 400)
    records = records_of("cdr", "pbx", [recorded(said)])
    results = find(DAYS, [counted(heard)], records, ROSTER, local, LATER_MS)
    assert (of(results, "anna", 0).both, of(results, "anna", 1).both) == (1, 0)
    assert not any(one.differences for one in results)


def test_queues_and_others_who_are_not_on_the_roster_are_reconciled_too() -> None:
    results = found([leg(1, 0, 10, manager="queue:sales"), leg(2, 0, 11, "not heard", manager="zoe")])
    assert of(results, "queue:sales", 0).both == 1
    assert of(results, "zoe", 0).missing == 1


def test_records_say_nothing_of_a_day_whose_calls_are_all_of_other_sources() -> None:
    records = records_of("cel", "pbx", [recorded(leg(1, 0, 10)), recorded(leg(9, 3, 10))])
    heard = [
        counted(leg(1, 0, 10)),
        counted(leg(2, 0, 11), "3cx"),
        counted(leg(3, 1, 11), "3cx"),
        counted(leg(9, 3, 10)),
    ]
    results = find(DAYS, heard, records, ROSTER, local, LATER_MS)
    mine = [one.result for one in results if one.result.manager == "anna"]
    assert [(one.day - FIRST_DAY, one.both, one.elsewhere) for one in mine] == [(0, 1, 1), (2, 0, 0), (3, 1, 0)]
    covering = msgspec.structs.replace(records, others=frozenset({"3cx"}))  # as the call log of a CRM
    results = find(DAYS, heard, covering, ROSTER, local, LATER_MS)
    assert [(of(results, "anna", day).extra, of(results, "anna", day).elsewhere) for day in range(4)] == [
        (1, 0),
        (1, 0),
        (0, 0),
        (0, 0),
    ]


# -- results together


def result(day: int, manager: str = "anna", **more: Any) -> DayResult:
    since, until = local(manager).day_bounds(FIRST_DAY + day)
    fields: dict[str, Any] = {"source": "pbx", "records": "cel", "at": until + HOUR_MS, "has_records": True}
    return DayResult(manager=manager, day=FIRST_DAY + day, since=since, until=until, **{**fields, **more})


def ledger(*results: DayResult) -> Ledger:
    held = Ledger()
    for one in results:
        assert held.take(msgspec.json.encode(one))
    return held


def standing(held: Ledger, today: int, manager: str = "anna") -> tuple[int | None, int]:
    found = held.standing(manager, FIRST_DAY + today)
    assert found is not None
    return None if found.final is None else found.final.day - FIRST_DAY, found.provisional


def test_days_are_final_or_provisional_and_days_before_the_first_do_not_count() -> None:
    held = ledger(result(0), result(1, missing=1, both=4), result(2))
    assert standing(held, 3) == (2, 1)
    assert standing(held, 4) == (2, 2)  # day 3 is not reconciled
    assert standing(held, 2) == (0, 1)
    assert standing(held, 9) == (2, 6)  # of days 2 to 8
    assert standing(held, 16) == (2, 7)
    assert held.standing("anna", FIRST_DAY + 17) is None  # it was tried once, two weeks ago
    assert held.standing("anna", FIRST_DAY) is None
    assert held.standing("nobody", FIRST_DAY + 3) is None


def test_the_last_result_of_a_source_counts_whichever_of_its_records_it_is_from() -> None:
    early, late = result(0).at, result(0).at + MINUTE_MS
    assert standing(ledger(result(0, missing=1), result(0, at=late)), 1) == (0, 0)
    assert standing(ledger(result(0), result(0, missing=1, at=late)), 1) == (None, 1)  # a late record
    assert standing(ledger(result(0, at=late), result(0, records="cdr", missing=1, at=early)), 1) == (0, 0)
    assert standing(ledger(result(0, at=early), result(0, records="cdr", missing=1, at=late)), 1) == (None, 1)


@pytest.mark.parametrize(
    ("mine", "theirs", "final"),
    [
        ({"counted": 4}, None, True),
        ({"counted": 4, "elsewhere": 2}, None, False),  # two calls of a source without records
        ({"counted": 4, "elsewhere": 2}, {"counted": 2, "elsewhere": 4}, True),
        ({"counted": 4, "elsewhere": 3}, {"counted": 2, "elsewhere": 5}, False),
        ({"counted": 4, "elsewhere": 2}, {"counted": 2, "elsewhere": 4, "missing": 1}, False),
    ],
)
def test_a_day_is_final_when_it_is_for_every_source_of_its_calls(mine: Any, theirs: Any, *, final: bool) -> None:
    results = [result(0, **mine), *([result(0, source="3cx", **theirs)] if theirs else [])]
    assert standing(ledger(*results), 1) == ((0, 0) if final else (None, 1))


def test_the_newest_result_of_each_source_is_shown() -> None:
    held = ledger(result(0, both=3), result(1, both=5), result(0, source="3cx", both=7), result(2, both=9))
    found = held.standing("anna", FIRST_DAY + 2)
    assert found is not None
    assert [(one.source, one.both) for one in found.newest] == [("3cx", 7), ("pbx", 5)]  # day 2 is today


def test_a_ledger_forgets_old_days_and_takes_nothing_that_is_no_result() -> None:
    held = ledger(*(result(day) for day in range(40)))
    assert standing(held, 40) == (39, 0)
    assert len(held._held["anna"]) == 15
    version = held.version
    for bad in (None, b"", b"{}", b"[1", b'{"v":2}', msgspec.json.encode({"v": 1, "manager": "anna"})):
        assert not held.take(bad)
    assert held.version == version


def test_a_key_holds_source_records_manager_and_day() -> None:
    keys = {
        one.key for one in (result(0), result(1), result(0, "bert"), result(0, records="cdr"), result(0, source="3cx"))
    }
    assert len(keys) == 5
    assert result(0, both=1).key == result(0, both=2).key


def test_records_without_a_leg_reach_nowhere() -> None:
    records = records_of("cdr", "pbx", [])
    assert (records.terms.since_ms, records.terms.until_ms) == (0, 0)
    assert isinstance(records, Records)
    assert records.terms == Terms(since_ms=0, until_ms=0)

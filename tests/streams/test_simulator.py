"""The simulated department: the same from the same seed, with a rhythm, different personalities, bounded faults."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import cache
from typing import Any

import pytest

from streams.calendars import local_time, weekday
from streams.contract.decoding import Decoder
from streams.contract.events import CallEnded, CallsEvent, CallStarted, ManagerPresence, Rejection
from streams.settings.settings import load
from streams.simulator import Department, FaultRates, Record, Truth, simulate
from streams.simulator.faults.edge_cases import edge_case_event
from streams.simulator.faults.injection import Delivery
from streams.simulator.people.roster import BUSY_DIALLER, QUIET_CLOSER
from streams.simulator.rng import SeededRandom
from tests.streams.timeline import on_shift

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY = 1_763_942_400_000  # 2025-11-24T00:00:00Z
CLEAN = FaultRates.none()
DECODER: Decoder[CallsEvent] = Decoder("calls")


def events(records: list[Record]) -> list[CallsEvent]:
    return [event for record in records if not isinstance(event := DECODER.decode(record.value), Rejection)]


def tag(event: CallsEvent) -> str:
    return str(event.__struct_config__.tag)


def starts(records: list[Record]) -> list[CallStarted]:
    return [event for event in events(records) if isinstance(event, CallStarted)]


def week(department: Department, days: int = 7, faults: FaultRates = CLEAN) -> list[Record]:
    return list(simulate(department, MONDAY, MONDAY + days * DAY, faults=faults))


@cache
def usual_week() -> list[Record]:
    """A week of the department that is made by default, with the usual faults."""
    return week(Department.make(1), faults=FaultRates())


# -- the seed


def test_the_same_seed_gives_the_same_department_and_the_same_records() -> None:
    one, other = Department.make(11, 9, 3), Department.make(11, 9, 3)
    assert one.toml() == other.toml()
    assert [member.personality for member in one.members] == [member.personality for member in other.members]
    assert week(one, 1, FaultRates()) == week(other, 1, FaultRates())


def test_another_seed_gives_other_people_and_other_records() -> None:
    one, other = Department.make(11, 9, 3), Department.make(12, 9, 3)
    assert one.toml() != other.toml()
    assert {record.value for record in week(one, 1)}.isdisjoint(record.value for record in week(other, 1))


def test_two_runs_of_one_seed_that_begin_at_different_times_share_no_id() -> None:
    department = Department.make(11, 9, 3)
    later = list(simulate(department, MONDAY + DAY, MONDAY + 2 * DAY, faults=CLEAN))
    ids = [{event.id for event in events(records)} for records in (week(department, 1), later)]
    assert all(ids)
    assert ids[0].isdisjoint(ids[1])


def test_what_goes_wrong_on_the_way_does_not_change_what_happens() -> None:
    department = Department.make(5, 9, 3)
    wild = FaultRates(duplicates=0.2, disorder=0.3, late=0.1, bad=0.05, lost_starts=0.2, lost_ends=0.2)
    clean = {event.id for event in events(week(department, 1))}
    disturbed = {event.id for event in events(week(department, 1, wild))}
    # CDR rows are the only thing that a disturbance adds; they have ids of their own.
    extra = {id_ for id_ in disturbed - clean if not id_.startswith("bad-")}
    assert extra
    assert all(id_.endswith("-c") for id_ in extra)
    assert len(disturbed & clean) > 0.7 * len(clean)


@pytest.mark.slow
def test_a_week_by_default_is_about_a_hundred_thousand_events() -> None:
    assert 85_000 < len(usual_week()) < 120_000


def test_records_are_made_as_they_are_asked_for() -> None:
    endless = simulate(Department.make(1, 1000, 8), MONDAY, MONDAY + 20_000 * DAY)
    assert len(list(itertools.islice(endless, 1000))) == 1000


# -- rhythm


def test_records_come_in_the_order_in_which_they_are_due() -> None:
    records = week(Department.make(3, 12, 3), 2, FaultRates(disorder=0.5, late=0.1, duplicates=0.1))
    assert all(one.due_ms <= other.due_ms for one, other in itertools.pairwise(records))
    assert all(
        record.due_ms > event.at for record in records if isinstance(event := DECODER.decode(record.value), CallEnded)
    )


def test_what_the_crm_dates_back_arrives_behind_what_has_left_already() -> None:
    calls, crm, deals = (SeededRandom(1, name) for name in ("calls", "crm", "deals"))
    delivery = Delivery(calls, crm, deals, CLEAN, MONDAY, None)
    left, rest = MONDAY + 60_000, MONDAY + 120_000
    assert not list(delivery.until(left))
    event = edge_case_event(SeededRandom(1, "odd"), left - 50_000)
    delivery.crm(event)
    assert [(record.key, record.due_ms) for record in delivery.until(rest)] == [(event.lead, left)]


@pytest.mark.slow  # frequencies take many events
def test_more_calls_are_made_at_eleven_than_at_one_and_on_tuesday_than_on_friday() -> None:
    department = Department.make(2)
    hours: Counter[int] = Counter()
    days: Counter[int] = Counter()
    for start in starts(week(department)):
        local = local_time(department.settings.manager(start.manager).timezone)
        day, hour = local.day_hour(start.at)
        hours[hour] += 1
        days[weekday(day)] += 1
    assert hours[11] > 1.5 * hours[13]
    assert days[1] > 1.1 * days[4]


@pytest.mark.slow
def test_nobody_dials_outside_their_shifts() -> None:
    department = Department.make(2, 40, 8)
    dials = [start for start in starts(week(department)) if start.direction == "outbound"]
    outside = [
        start
        for start in dials
        if not on_shift(department.settings, department.settings.manager(start.manager), start.at)
    ]
    # A transferred call keeps its direction; its second leg may begin when the shift has just ended.
    assert len(dials) > 10_000
    first_legs = Counter(start.call for start in dials)
    assert all(first_legs[start.call] > 1 for start in outside)


def test_whoever_has_no_shifts_keeps_office_hours() -> None:
    settings = load('timezone = "Europe/Berlin"\n[[managers]]\nid = "solo"\n', {})
    department = Department.from_settings(settings, 4)
    local = local_time("Europe/Berlin")
    moments = [local.day_hour(start.at) for start in starts(week(department))]
    assert len(moments) > 100
    assert {weekday(day) for day, _ in moments} <= {0, 1, 2, 3, 4}
    assert {hour for _, hour in moments} <= set(range(9, 18))


def test_nobody_works_on_a_holiday() -> None:
    text = """
        timezone = "Europe/Berlin"
        [calendar]
        extra_holidays = [2025-11-25]
        [[teams]]
        id = "one"
        shifts = ["mon-fri 09:00-17:00"]
        [[managers]]
        id = "anna"
        team = "one"
    """
    department = Department.from_settings(load(text, {}), 4)
    local = local_time("Europe/Berlin")
    days = Counter(weekday(local.day(start.at)) for start in starts(week(department)) if start.manager == "anna")
    assert days[1] == 0
    assert days[0]
    assert days[2]


def test_a_department_that_works_always_shows_life_at_once_whatever_the_hour() -> None:
    department = Department.make(6, 12, 3, always=True)
    for hour in (0, 3, 12, 23):
        start = MONDAY + 5 * DAY + hour * HOUR  # a Saturday
        soon = itertools.takewhile(
            lambda record: record.due_ms < start + 10 * 60_000,  # noqa: B023 - used within the turn
            simulate(department, start, start + 90 * DAY, faults=CLEAN),
        )
        callers = {start.manager for start in starts(list(soon))}
        assert len(callers) >= 9
        assert all(on_shift(department.settings, manager, start) for manager in department.roster().values())


@pytest.mark.slow
def test_intensity_makes_a_department_so_many_times_busier() -> None:
    department = Department.make(6, 12, 3)
    once, thrice, half = (
        sum(1 for _ in simulate(department, MONDAY, MONDAY + 2 * DAY, faults=CLEAN, intensity=intensity))
        for intensity in (1, 3, 0.5)
    )
    assert 2.5 < thrice / once < 3.5
    assert 0.35 < half / once < 0.7


# -- people


def test_a_busy_dialler_calls_more_and_a_quiet_closer_talks_longer() -> None:
    ids = list(Department.make(8, 8, 2).roster())
    department = Department.make(8, 8, 2, personalities={ids[0]: BUSY_DIALLER, ids[1]: QUIET_CLOSER})
    ends = [event for event in events(week(department)) if isinstance(event, CallEnded)]
    busy, quiet = ([end for end in ends if end.manager == id_] for id_ in ids[:2])
    assert len(busy) > 3 * len(quiet)

    def mean_talk(legs: list[CallEnded]) -> float:
        talks = [leg.talk_ms for leg in legs if leg.disposition == "answered"]
        return sum(talks) / len(talks)

    assert mean_talk(quiet) > 2 * mean_talk(busy)


def test_a_new_manager_on_the_roster_leaves_the_characters_of_the_others_alone() -> None:
    text = Department.make(3, 5, 2).toml()
    more = Department.from_settings(load(text + '\n[[managers]]\nid = "zz.new"\n', {}), 3)
    before = {member.manager.id: member.personality for member in Department.make(3, 5, 2).members}
    after = {member.manager.id: member.personality for member in more.members}
    assert after.pop("zz.new")
    assert after == before


def test_a_made_department_writes_settings_that_say_the_same() -> None:
    department = Department.make(3, 200, 11)
    assert load(department.toml(), {}).managers == department.roster()
    assert len(department.roster()) == 200
    assert len({manager.team for manager in department.roster().values()}) == 11


@pytest.mark.slow
def test_every_kind_of_thing_happens_in_a_week() -> None:
    seen: Counter[str] = Counter()
    for event in events(usual_week()):
        seen[tag(event)] += 1
        for name in ("direction", "kind", "disposition", "ended_by", "how", "state"):
            if (value := getattr(event, name, None)) is not None:
                seen[f"{name} {value}"] += 1
        if event.manager.startswith("queue:"):
            seen["missed"] += 1
    expected = {
        "call.started", "call.answered", "call.transferred", "call.ended", "manager.presence", "missed",
        "direction inbound", "direction outbound", "kind cold", "kind targeted", "kind inbound", "kind repeat",
        "disposition answered", "disposition no_answer", "disposition busy", "disposition failed",
        "disposition canceled", "disposition voicemail", "ended_by hangup", "ended_by cdr", "how blind",
        "how attended", "state available", "state paused", "state after_call", "state offline",
    }  # fmt: skip
    assert expected == seen.keys()
    assert min(seen.values()) >= 5


def test_inbound_calls_that_nobody_answered_belong_to_the_queue() -> None:
    few = week(Department.make(1, 12, 3), 2, FaultRates())
    ends = [event for event in events(few) if isinstance(event, CallEnded)]
    missed = [end for end in ends if end.manager.startswith("queue:")]
    assert missed
    assert {end.direction for end in missed} == {"inbound"}
    assert {end.disposition for end in missed} <= {"no_answer", "canceled"}


def test_people_say_when_they_come_pause_and_go() -> None:
    department = Department.make(1, 10, 2)
    states: dict[str, list[str]] = {}
    for event in events(week(department, 5)):
        if isinstance(event, ManagerPresence):
            states.setdefault(event.manager, []).append(event.state)
    assert states.keys() == department.roster().keys()
    for said in states.values():
        assert said[0] == "available"
        assert said[-1] == "offline"


# -- faults


def test_without_disturbance_every_event_arrives_once_in_time_and_in_order() -> None:
    truth = Truth(Department.make(1, 20, 4).settings)
    records = list(simulate(Department.make(1, 20, 4), MONDAY, MONDAY + DAY, faults=CLEAN, truth=truth))
    assert truth.counts() == {
        "produced": len(records),
        "unique": len(records),
        "duplicates": 0,
        "late": 0,
        "rejected": 0,
    }
    told = events(records)
    assert len({event.id for event in told}) == len(records)
    assert [event.at for event in told] == sorted(event.at for event in told)
    assert all(record.due_ms - event.at == 1 for record, event in zip(records, told, strict=True))


@pytest.mark.slow  # frequencies take many events; that each kind of fault happens takes few
def test_faults_are_as_frequent_as_asked() -> None:
    department = Department.make(1, 40, 4)
    truth = Truth(department.settings)
    asked = FaultRates(
        duplicates=0.05, late=0.03, disorder=0.1, bad=0.02, lost_starts=0.07, lost_answers=0, lost_ends=0.06,
        rescued=0.5, cdr=0,
    )  # fmt: skip
    clean = Counter(tag(event) for event in events(week(department, 3)))
    records = list(simulate(department, MONDAY, MONDAY + 3 * DAY, faults=asked, truth=truth))
    told = {event.id: event for event in events(records) if not event.id.startswith("bad-")}
    found = Counter(tag(event) for event in told.values())
    cdr = sum(id_.endswith("-c") for id_ in told)
    assert truth.duplicates / truth.unique == pytest.approx(0.05, rel=0.15)
    # CDR rows of the night are late of their nature.
    assert (truth.late - cdr) / truth.unique == pytest.approx(0.03, rel=0.15)
    assert truth.rejected.total() / truth.unique == pytest.approx(0.02, rel=0.25)
    assert 1 - found["call.started"] / clean["call.started"] == pytest.approx(0.07, rel=0.15)
    assert 1 - (found["call.ended"] - cdr) / clean["call.ended"] == pytest.approx(0.06, rel=0.15)
    assert cdr / clean["call.ended"] == pytest.approx(0.03, rel=0.2)
    assert found["call.answered"] == clean["call.answered"]


@pytest.mark.slow
def test_every_record_is_an_event_or_is_rejected_for_the_reason_that_the_truth_states() -> None:
    department = Department.make(1, 40, 4)
    truth = Truth(department.settings)
    reasons: Counter[str] = Counter()
    for record in simulate(department, MONDAY, MONDAY + 3 * DAY, faults=FaultRates(bad=0.02), truth=truth):
        event = DECODER.decode(record.value)
        if isinstance(event, Rejection):
            reasons[event.reason] += 1
        elif record.key is None:
            reasons["no_key"] += 1
        elif record.key != event.manager:
            reasons["wrong_key"] += 1
        elif event.at > record.due_ms + 5 * 60_000:
            reasons["future"] += 1
    assert reasons == truth.rejected
    assert len(reasons) == 13


@pytest.mark.parametrize(
    "wrong",
    [
        {"late": 1.5},
        {"duplicates": -0.1},
        {"disorder_ms": 11 * 60_000},
        {"late_ms": (5, 2)},
        {"delay_ms": (0, 10)},
    ],
)
def test_a_disturbance_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FaultRates(**wrong)


def test_departments_and_spans_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="a manager and a team"):
        Department.make(1, 0)
    with pytest.raises(ValueError, match="name no managers"):
        Department.from_settings(load("", {}), 1)
    with pytest.raises(ValueError, match=r"not on the roster: who\.ever"):
        Department.make(1, 2, 1, personalities={"who.ever": BUSY_DIALLER})
    with pytest.raises(ValueError, match="intensity"):
        simulate(Department.make(1, 2, 1), MONDAY, MONDAY + 1, intensity=0)
    with pytest.raises(ValueError, match="before the start"):
        simulate(Department.make(1, 2, 1), MONDAY, MONDAY - 1)

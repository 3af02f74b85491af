"""The folds of all hops, without Kafka, beside the oracle: every contribution, every sum and every series."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from streams.settings.settings import Settings, load
from streams.simulator import Department, FaultRates, simulate
from streams.tables.outcome.fold import dump as dump_outcome
from streams.tables.outcome.fold import load as load_outcome
from tests.oracle.chaos import Chaos, place, roster
from tests.oracle.comparison import apart, differences
from tests.oracle.contract import Raw
from tests.oracle.handmade import DAY, HOUR, MINUTE, NOON
from tests.oracle.oracle import answers, claims
from tests.oracle.pipeline import Pipeline
from tests.oracle.wording import practice_of

ROSTER = roster(5)
PARTITIONS = 3
MONTH = ("calls", "sum", "over", "streak", "mentor", "stuck", "stage", "since", "reason", "moves", "talks", "agreed")
LONGEST = {"won": 180, "given": 180} | dict.fromkeys((*MONTH, "due", "kept"), 30) | {"off_hours": 1}
WILD = FaultRates(lost_ends=0.05, cdr=0.1, duplicates=0.1, disorder=0.2, late=0.05, bad=0.01)
Sums = dict[tuple[str, str, int], int]
OTHERWISE = """
[results]
stages = ["need", "qualified", "presentation", "proposal", "won", "lost"]
reasons = ["weather"]
products = ["silver"]
channels = ["email"]
max_values = 3
attention_series = 3
mentor_after = 2
stuck_after = 3
permitted_hours = "09:30-18:15"
[economics]
currency = "USD"
currencies = ["EUR", "USD"]
[economics.costs]
call = 0.5
[targets]
floor = 0.1
cap = 0.6
"""


def settings(more: str = "") -> Settings:
    managers = "".join(
        f'[[managers]]\nid = "{manager}"\nteam = "t{number % 2}"\ntimezone = "{zone}"\n'
        for number, (manager, zone) in enumerate(ROSTER.items())
    )
    teams = '[[teams]]\nid = "t0"\nplan_deals = 4.5\n[[teams]]\nid = "t1"\n'
    return load(f'timezone = "UTC"\n{more}\n{teams}{managers}', {})


def chaos(seed: int) -> list[Raw]:
    return Chaos(seed=seed, now_ms=NOON, roster=ROSTER, leads=40).records(PARTITIONS)


def in_window(sums: Sums) -> Sums:
    """Return the sums inside the longest window that reads the measure; rows may have dropped older ones."""
    today = (NOON + DAY) // DAY
    return {key: n for key, n in sums.items() if key[2] > today - LONGEST.get(key[1].partition(":")[0], 90)}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
@pytest.mark.parametrize("crashes", [0.0, pytest.param(0.03, marks=pytest.mark.slow)], ids=["calm", "crashes"])
def test_what_leads_claim_and_what_managers_are_told_is_what_the_oracle_finds(seed: int, crashes: float) -> None:
    records = chaos(seed)
    folds = Pipeline(settings(), PARTITIONS, seed, crashes)
    folds.run(records, NOON + DAY)
    assert (folds.crashed > 3) == bool(crashes)
    truth = claims(records, ROSTER, "UTC", NOON + DAY)
    mine = {key: n for key, n in folds.claimed().items() if not key[1].startswith(("calls:", "sum", "over"))}
    assert apart(mine, truth) == []
    assert apart(in_window(folds.told()), in_window(folds.claimed())) == []


@pytest.mark.slow
@pytest.mark.parametrize("more", ["", OTHERWISE], ids=["usual", "otherwise"])
@pytest.mark.parametrize("seed", range(2))
def test_every_series_is_what_the_oracle_answers(seed: int, more: str) -> None:
    records = chaos(seed)
    told = settings(more)
    folds = Pipeline(told, PARTITIONS, seed, 0.01)
    folds.run(records, NOON + HOUR)
    practice = replace(practice_of(told), place=lambda manager: place(manager, PARTITIONS))
    for later_ms in (0, 33 * MINUTE + 7, 12 * HOUR - 1, DAY, 20 * DAY, 95 * DAY):
        truth = answers(records, ROSTER, "UTC", NOON + later_ms, practice=practice)
        assert differences(folds.answers(NOON + later_ms), truth) == []


@pytest.mark.slow
def test_two_simulated_weeks_give_what_the_oracle_answers() -> None:
    department = Department.make(3, 8, 3)
    made = simulate(department, NOON - 14 * DAY, NOON, faults=WILD, intensity=0.5, crm=True)
    offsets: Counter[tuple[str, int]] = Counter()
    records = []
    for record in made:
        where = record.topic, place(record.key or "", PARTITIONS)
        key = None if record.key is None else record.key.encode()
        if record.due_ms <= NOON:
            records.append(Raw(*where, offsets[where], record.due_ms, key, record.value))
            offsets[where] += 1
    assert offsets.total() > 15_000
    folds = Pipeline(department.settings, PARTITIONS, 3, 0.0005)
    folds.run(records, NOON)
    assert folds.crashed > 3
    zones = {manager.id: manager.timezone for manager in department.settings.managers.values()}
    practice = replace(practice_of(department.settings), place=lambda manager: place(manager, PARTITIONS))
    truth = answers(records, zones, department.settings.timezone, NOON, practice=practice)
    assert differences(folds.answers(NOON), truth) == []


def test_a_single_wrong_claim_of_any_measure_is_seen() -> None:
    records = chaos(1)
    told = settings()
    folds = Pipeline(told, PARTITIONS, 1)
    folds.run(records, NOON)
    practice = replace(practice_of(told), place=lambda manager: place(manager, PARTITIONS))
    truth = answers(records, ROSTER, "UTC", NOON, practice=practice)
    seen, told_of = set(), set()
    for manager, row in folds.outcomes.items():
        for measure, days in row.state.steps.items():
            head = measure.partition(":")[0]
            today = folds.local(manager).day(NOON)
            day = next((day for day in days if today - LONGEST.get(head, 90) < day <= today), None)
            if day is None or head in seen:
                continue
            told_of.add(head)
            folds.outcomes[manager] = wrong = load_outcome(dump_outcome(row))
            wrong.state.steps[measure][day] += 1
            if differences(folds.answers(NOON), truth):
                seen.add(head)
        folds.outcomes[manager] = row
    assert len(seen) > 30
    assert told_of - seen <= {"lost"}  # no series counts lost deals

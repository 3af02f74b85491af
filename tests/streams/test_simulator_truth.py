"""The true answers of the simulator compared with the batch oracle and with the fold of the tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from streams.contract.decoding import Decoder
from streams.contract.events import REASONS, CrmEvents, DealStageChanged
from streams.metrics.catalogue import MANAGER_METRICS
from streams.simulator import Department, FaultRates, Record, Truth, simulate
from streams.simulator.truth.figures import NAMES, Figures
from streams.simulator.truth.results import MEASURES
from tests.oracle.comparison import differences
from tests.oracle.contract import Raw
from tests.oracle.names import METRICS
from tests.oracle.oracle import Answers as OracleAnswers
from tests.oracle.oracle import answers as oracle_answers
from tests.oracle.oracle import counts
from tests.streams.folded import Folded

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY = 1_763_942_400_000  # 2025-11-24T00:00:00Z
ODD_DEALS = FaultRates(
    lost_ends=0.02,
    lost_starts=0.02,
    cdr=0.1,
    duplicates=0.1,
    disorder=0.2,
    late=0.1,
    bad=0.01,
    moved_deals=0.2,
    deleted_deals=0.03,
)
LABELS = {metric.name: metric.labels for metric in MANAGER_METRICS}
WILD = FaultRates(
    lost_starts=0.1, lost_answers=0.1, lost_ends=0.1, cdr=0.2, duplicates=0.1, disorder=0.2, late=0.1, bad=0.01
)


def whole(case: Any) -> Any:
    """Leave a case to `make test`: others like it take less time."""
    return pytest.param(case, marks=pytest.mark.slow)


class Run:
    """A simulated span, taken in until `until_ms` and no further."""

    def __init__(
        self, department: Department, days: int, faults: FaultRates, until_ms: int | None = None, **options: Any
    ) -> None:
        self.department = department
        self.truth = Truth(department.settings, results=options.get("crm", False))
        self.records: list[Record] = []
        end_ms = MONDAY + days * DAY
        for record in simulate(department, MONDAY, end_ms, faults=faults, truth=self.truth, **options):
            self.records.append(record)
            if until_ms is not None and record.due_ms >= until_ms:
                break
        self.now_ms = self.records[-1].due_ms

    def raw(self) -> list[Raw]:
        return [
            Raw(
                record.topic,
                0,
                offset,
                record.due_ms,
                None if record.key is None else record.key.encode(),
                record.value,
            )
            for offset, record in enumerate(self.records)
        ]


def as_oracle(found: Figures) -> OracleAnswers:
    """Return answers as the oracle writes them: full names, labels by name, no team."""
    return {
        (
            f"callpulse_{name}",
            tuple(sorted(pair for pair in zip(LABELS[name], values, strict=True) if pair[0] != "team")),
        ): value
        for (name, values), value in found.items()
        if f"callpulse_{name}" in METRICS
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, whole(2)])
@pytest.mark.parametrize("until", [whole(None), 10 * HOUR, whole(DAY + 15 * HOUR + 77_000)])
def test_the_truth_is_what_the_oracle_finds_in_the_records(seed: int, until: int | None) -> None:
    department = Department.make(seed, 12, 5)
    run = Run(department, 2, WILD, None if until is None else MONDAY + until)
    zones = {manager.id: manager.timezone for manager in department.roster().values()}
    # At the last record, and when every leg that hangs in the air has timed out.
    for now_ms in (run.now_ms, run.now_ms + 5 * HOUR):
        theirs = oracle_answers(run.raw(), zones, department.settings.timezone, now_ms)
        assert differences(as_oracle(run.truth.figures(now_ms)), theirs) == []
    found = counts(run.raw())
    assert (found.unique, found.duplicates) == (run.truth.unique, run.truth.duplicates)
    assert dict(found.rejected) == dict(run.truth.rejected)


@pytest.mark.parametrize("until", [13 * HOUR, whole(None)])
def test_the_truth_knows_internal_calls(until: int | None) -> None:
    department = Department.make(4, 10, 3)
    run = Run(department, 2, WILD, None if until is None else MONDAY + until, internal=0.3)
    zones = {manager.id: manager.timezone for manager in department.roster().values()}
    told = run.truth.figures(run.now_ms)
    theirs = oracle_answers(run.raw(), zones, department.settings.timezone, run.now_ms)
    assert differences(as_oracle(told), theirs) == []
    found = activity(fold(run).answers(run.now_ms))
    assert {key: (value, told[key]) for key, value in found.items() if value != pytest.approx(told[key])} == {}
    for name in ("internal_calls", "internal_talk_seconds") if until is not None else ():
        assert sum(value for (metric, _), value in told.items() if metric == name) > 20


@pytest.mark.slow
def test_the_truth_holds_round_the_clock_and_with_many_lines() -> None:
    department = Department.make(3, 6, 3, always=True)
    run = Run(department, 3, WILD, MONDAY + 2 * DAY + 7 * HOUR, intensity=2.5)
    zones = {manager.id: manager.timezone for manager in department.roster().values()}
    theirs = oracle_answers(run.raw(), zones, department.settings.timezone, run.now_ms)
    assert differences(as_oracle(run.truth.figures(run.now_ms)), theirs) == []
    assert max(value for (name, _), value in theirs.items() if name == "callpulse_calls_in_progress") > 1


def fold(run: Run, hasty: int | None = None) -> Folded:
    return Folded(run.department.settings, run.records, run.now_ms, hasty)


def activity(found: Figures) -> Figures:
    """Return the series of the truth."""
    return {key: value for key, value in found.items() if key[0] in NAMES}


@pytest.mark.parametrize("until", [None, whole(10 * HOUR), whole(DAY + 15 * HOUR + 77_000)])
@pytest.mark.parametrize("faults", [whole(FaultRates()), WILD], ids=["usual", "wild"])
def test_the_truth_is_what_the_tables_say_series_by_series(faults: FaultRates, until: int | None) -> None:
    run = Run(Department.make(7, 20, 5), 3, faults, None if until is None else MONDAY + until)
    folded = fold(run)
    told, found = run.truth.figures(run.now_ms), activity(folded.answers(run.now_ms))
    assert found.keys() == told.keys()
    assert {key: (value, told[key]) for key, value in found.items() if value != pytest.approx(told[key])} == {}


@pytest.mark.parametrize("until", [whole(None), DAY + 15 * HOUR])
def test_the_truth_holds_for_a_worker_that_times_out_legs_of_a_history_before_it_has_read_on(until: int | None) -> None:
    run = Run(Department.make(1, 12, 4), 2, WILD, None if until is None else MONDAY + until)
    folded = fold(run, hasty=300)
    told, found = run.truth.figures(run.now_ms), activity(folded.answers(run.now_ms))
    assert folded.outcomes["late"] == run.truth.late  # an end that the worker concludes makes nothing else late
    assert found.keys() == told.keys()
    assert {key: (value, told[key]) for key, value in found.items() if value != pytest.approx(told[key])} == {}


@pytest.mark.slow
@pytest.mark.parametrize("until", [None, 5 * DAY + 15 * HOUR])
def test_the_truth_follows_leads_that_get_another_key(until: int | None) -> None:
    run = Run(Department.make(3, 10, 3), 8, ODD_DEALS, None if until is None else MONDAY + until, crm=True)
    assert len(run.truth.links) > 30
    folded = fold(run)
    told = run.truth.figures(run.now_ms)
    found = activity(folded.answers(run.now_ms))
    assert found.keys() == told.keys()
    assert {key: (value, told[key]) for key, value in found.items() if value != pytest.approx(told[key])} == {}
    zones = {manager.id: manager.timezone for manager in run.department.roster().values()}
    theirs = oracle_answers(run.raw(), zones, run.department.settings.timezone, run.now_ms)
    assert differences(as_oracle(told), {key: value for key, value in theirs.items() if key[0] in METRICS}) == []
    crm = run.truth.crm
    assert sum(folded.crm[reason] for reason in REASONS) == crm["rejected"] > 0
    assert folded.crm["applied"] == crm["produced"] - crm["rejected"]  # the lead's row detects repeats


def told_of(measure: str) -> bool:
    """Return whether the simulator has the true value of a measure."""
    return any(measure == name or (name[-1] in "=:" and measure.startswith(name)) for name in MEASURES)


@pytest.mark.slow
@pytest.mark.parametrize("until", [None, 19 * DAY + 15 * HOUR])
def test_what_must_have_come_of_the_calls_is_what_leads_claim(until: int | None) -> None:
    run = Run(Department.make(5, 10, 4), 25, ODD_DEALS, None if until is None else MONDAY + until, crm=True)
    assert run.truth.results is not None
    told = run.truth.results.counts(run.now_ms)
    folded = fold(run)
    found: Counter[tuple[str, str, int]] = Counter()
    for row in folded.leads.values():
        found.update(folded.lead_fold.totals(row.state))
    mine = {key: n for key, n in found.items() if n and told_of(key[1])}
    assert mine == told
    assert _under_two_leads(run) > 20
    assert {key[1].partition("=")[0].partition(":")[0] for key in told} == {
        "won", "won@first_kind", "lost", "proposed", "given", "mentor",
    }  # fmt: skip


def _under_two_leads(run: Run) -> int:
    """The number of deals whose events name several leads that are not linked."""
    home = dict(run.truth.links)
    leads: dict[str, set[str]] = {}
    for record in run.records:
        event = Decoder[CrmEvents]("crm").decode(record.value) if record.topic == "crm" else None
        if isinstance(event, DealStageChanged):
            lead = home.get(event.lead, event.lead)
            leads.setdefault(event.deal, set()).add(home.get(lead, lead))
    return sum(len(named) > 1 for named in leads.values())


@pytest.mark.slow
def test_the_truth_holds_through_weeks_of_leads_that_change_hands() -> None:
    run = Run(Department.make(9, 6, 2), 45, FaultRates(late=0.02, lost_ends=0.03), MONDAY + 43 * DAY + 14 * HOUR)
    folded = fold(run)
    told, found = run.truth.figures(run.now_ms), activity(folded.answers(run.now_ms))
    assert found.keys() == told.keys()
    assert {key: (value, told[key]) for key, value in found.items() if value != pytest.approx(told[key])} == {}


def test_a_truth_without_leads_answers_the_same_for_everything_else() -> None:
    department = Department.make(1, 6, 2)
    truths = Truth(department.settings), Truth(department.settings, leads=False)
    found = []
    for truth in truths:
        records = simulate(department, MONDAY, MONDAY + 2 * DAY, truth=truth)
        last = max(record.due_ms for record in records)
        found.append(truth.figures(last))
    by_lead = {"open_leads_by_calls", "calls_per_lead", "leads_over_called"}
    assert {key: value for key, value in found[0].items() if key[0] not in by_lead} == found[1]


@pytest.mark.slow
@pytest.mark.parametrize("faults", [whole(FaultRates()), WILD, whole(FaultRates.none())], ids=["usual", "wild", "none"])
def test_the_fold_calls_the_same_events_repeated_and_late_as_the_truth(faults: FaultRates) -> None:
    run = Run(Department.make(4, 20, 4), 3, faults)
    folded = fold(run)
    told = run.truth.counts()
    assert folded.outcomes["duplicate"] == told["duplicates"]
    assert folded.outcomes["late"] == told["late"]
    assert folded.outcomes["too_late"] == 0
    assert folded.outcomes["applied"] + folded.outcomes["late"] == told["unique"]


def test_a_moment_before_the_last_record_is_refused() -> None:
    run = Run(Department.make(1, 2, 1), 1, FaultRates())
    with pytest.raises(ValueError, match="is before it"):
        run.truth.figures(run.now_ms - 1)


def test_a_manager_who_never_called_is_answered_for_at_zero() -> None:
    department = Department.make(1, 4, 2)
    found = Truth(department.settings).figures(MONDAY)
    for manager in department.roster().values():
        assert found["calls", (manager.id, manager.team, "90d", "outbound")] == 0
        assert found["open_leads_by_calls", (manager.id, manager.team, "5+")] == 0
        assert ("connect_ratio", (manager.id, manager.team, "today")) not in found
        assert ("last_activity_timestamp_seconds", (manager.id, manager.team)) not in found


@pytest.mark.slow
def test_the_truth_answers_every_metric_of_a_manager_with_the_labels_of_the_catalogue() -> None:
    run = Run(Department.make(1, 12, 3), 2, FaultRates(), MONDAY + DAY + 10 * HOUR)
    found = run.truth.figures(run.now_ms)
    assert {name for name, _ in found} == NAMES
    assert all(len(values) == len(LABELS[name]) for name, values in found)


def test_the_truth_decays_when_nothing_more_happens() -> None:
    run = Run(Department.make(1, 6, 2), 1, FaultRates())
    later = run.truth.figures(run.now_ms + 95 * DAY)
    assert {value for (name, values), value in later.items() if name in ("calls", "talk_time_seconds")} == {0}
    assert {value for (name, _), value in later.items() if name == "calls_in_progress"} == {0}

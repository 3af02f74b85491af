"""The evidence behind figures: the pieces of a figure add up to exactly the exported value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from streams.calendars import local_time
from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, Rejection
from streams.explain.explainer import CallLog, Explainer, Explanation, ManagerEvidence, Need
from streams.explain.recipes import NOT_COUNTED
from streams.metrics.catalogue import MANAGER_METRICS
from streams.settings.settings import Settings, load
from streams.tables.lead.row import dump
from streams.tables.lead.row import load as load_lead
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.series import ManagerSeries
from streams.tables.manager.view import NO_ROSTER, ManagerReader
from tests.examples import examples
from tests.oracle.chaos import Chaos, roster
from tests.oracle.handmade import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    Event,
    agreed,
    answered,
    consulted,
    deal,
    ended,
    linked,
    noted,
    presence,
    records,
    started,
    touched,
    transferred,
    utc,
)
from tests.oracle.pipeline import Pipeline

ROSTER = roster(5)
PARTITIONS = 3
TODAY = NOON // DAY
LABELS = {metric.name: metric.labels[2:] for metric in MANAGER_METRICS}
OTHERWISE = """
[results]
stages = ["need", "qualified", "presentation", "proposal", "won", "lost"]
reasons = ["weather"]
mentor_after = 2
stuck_after = 3
[economics]
currency = "USD"
currencies = ["EUR", "USD"]
[economics.costs]
call = 0.7
email = 0.3
meeting = 11.1
[thresholds]
conversation = "40s"
short = "1m"
meaningful = "3m"
histogram = ["10s", "2m"]
"""
Told = dict[tuple[str, str, str], float | None]
"""By (metric, window or "", label or "")."""


def settings_of(zones: dict[str, str], more: str = "") -> Settings:
    managers = "".join(f'[[managers]]\nid = "{id_}"\ntimezone = "{zone}"\n' for id_, zone in zones.items())
    return load(f'timezone = "UTC"\n{more}\n{managers}', {})


def known_of(folds: Pipeline, manager: str) -> ManagerEvidence:
    """Return the evidence of a manager in the topics: the calls, folded again, and the written rows of leads."""
    log = CallLog(ManagerRow(manager, folds.local(manager)), folds.settings.thresholds)
    for partition in folds._logs["calls"].values():
        for offset, event in enumerate(partition):
            if event.manager == manager:
                log.feed(event, offset)
    contributions = []
    for lead, row in folds.leads.items():
        value = dump(row)
        contributed = folds.lead_fold.contributions(load_lead(value).state)
        told = [(lead, contribution) for contribution in contributed if contribution.manager == manager]
        assert manager.encode() in value or not told  # by this, rows are looked for
        contributions += told
    return ManagerEvidence(log, contributions)


def exported(folds: Pipeline, manager: str, now_ms: int) -> Told:
    """Return the figures of the manager that the worker exports."""
    made = ManagerSeries(folds.settings)
    view = ManagerReader(folds.settings).read(folds.row(manager), now_ms, NO_ROSTER, folds.outcomes.get(manager))
    found: Told = {}
    for (name, labels), value in zip(made.series, made.values(view), strict=True):
        of = dict(zip(LABELS[name], labels, strict=True))
        window = of.pop("window", "")
        found[name, window, next(iter(of.values()), "")] = value
    return found


def explained(explainer: Explainer, known: ManagerEvidence, now_ms: int, told: Told) -> Told:
    """Return the sums of the pieces, for every figure and window, named as in `told`."""
    found: Told = {}
    for name, windows in explainer.windows.items():
        for window in windows:
            explanation = explainer.explain(name, known, now_ms, window)
            assert explanation.window == window
            for label, value in explanation.figures.items():
                found[name, window if "window" in LABELS[name] else "", label] = value
    for name, window, label in told.keys() - found.keys():
        assert name in NOT_COUNTED or (name, window) == ("calls_per_won_deal", "previous"), (name, window, label)
    return found


def wrong(mine: Told, truth: Told) -> dict[tuple[str, str, str], Any]:
    """Return the figures that differ from the exported ones."""
    found = {}
    for key, value in mine.items():
        true = truth[key]
        if value is None or true is None:
            is_right = value is None and true is None
        else:
            is_right = math.isclose(value, true, rel_tol=1e-9, abs_tol=1e-5)
        if not is_right:
            found[key] = value, true
    return found


def folded(events: Iterable[Event], now_ms: int, zones: dict[str, str] | None = None, more: str = "") -> Pipeline:
    folds = Pipeline(settings_of(zones or {"anna": "UTC", "bert": "UTC"}, more), 1)
    folds.run(records(events), now_ms)
    return folds


class Case:
    """Some events of a test, folded, with the evidence behind each of anna's figures at `now_ms`."""

    def __init__(self, *events: Event, now_ms: int = NOON + HOUR, manager: str = "anna") -> None:
        self.folds = folded(sorted(events, key=lambda event: event["at"]), now_ms)
        self.now_ms = now_ms
        self.manager = manager
        self.known = known_of(self.folds, manager)

    def __call__(self, metric: str, window: str | None = None) -> Explanation:
        """The explanation of a figure. All others must be right as well."""
        explainer = Explainer(self.folds.settings)
        truth = exported(self.folds, self.manager, self.now_ms)
        assert wrong(explained(explainer, self.known, self.now_ms, truth), truth) == {}
        return explainer.explain(metric, self.known, self.now_ms, window)

    def ids(self, metric: str, window: str | None = None) -> list[tuple[str, str, float]]:
        """Return (kind, id, amount) of each counted piece."""
        return [(p.of, p.id, p.adds) for p in self(metric, window).pieces if p.role == "counted"]


def talk(at: int, call: str, lead: str = "lead-1", **more: Any) -> Event:
    """A dial that became a conversation."""
    return ended(at, call, lead=lead, **{"talk_ms": 90 * SECOND, "started_at": at - 100 * SECOND, **more})


# -- all figures


def compare(folds: Pipeline, manager: str, moments: Iterable[int]) -> set[tuple[str, str]]:
    """Assert that every figure of a manager is the sum of its evidence; return those that were not 0."""
    explainer, known = Explainer(folds.settings), known_of(folds, manager)
    found: set[tuple[str, str]] = set()
    for now_ms in moments:
        truth = exported(folds, manager, now_ms)
        mine = explained(explainer, known, now_ms, truth)
        assert wrong(mine, truth) == {}
        found |= {(name, window) for (name, window, _), value in mine.items() if value}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("more", ["", OTHERWISE], ids=["usual", "otherwise"])
def test_every_figure_of_every_manager_is_the_sum_of_its_evidence(more: str) -> None:
    later = (0, 33 * MINUTE + 7, 12 * HOUR - 1, DAY, 20 * DAY, 95 * DAY)
    compared: set[tuple[str, str]] = set()
    for seed in range(4):
        folds = Pipeline(settings_of(ROSTER, more), PARTITIONS, seed, 0.01)
        folds.run(Chaos(seed=seed, now_ms=NOON, roster=ROSTER, leads=40).records(PARTITIONS), NOON + HOUR)
        for manager in ROSTER:
            compared |= compare(folds, manager, [NOON + ms for ms in later])
    busy = [
        started(NOON - 5 * HOUR, "timed out"),
        *[talk(NOON - number * MINUTE, f"c{number}") for number in reversed(range(9))],
        started(NOON, "in progress"),
    ]
    compared |= compare(folded(busy, NOON, more=more), "anna", [NOON])
    windows = Explainer(settings_of(ROSTER, more)).windows
    every = {(name, window if "window" in LABELS[name] else "") for name in windows for window in windows[name]}
    assert every - compared == set()


@st.composite
def mornings(draw: st.DrawFn) -> list[Event]:
    """A few legs of two managers and the CRM's events of their leads, in any order and many of them twice."""
    made: list[Event] = []
    moments = st.integers(-3 * DAY, 30 * MINUTE).map(lambda ago: NOON + ago)
    for number in range(draw(st.integers(1, 8))):
        manager, other = draw(st.permutations(["anna", "bert"]))
        lead = draw(st.sampled_from(["lead-1", "lead-2", None]))
        call, at = f"c{number}", draw(moments)
        of_call: list[Event] = [
            started(at, call, manager, lead=lead),
            answered(at + 10 * SECOND, call, manager, lead=lead),
            transferred(at + MINUTE, other, call, manager, lead=lead),
            ended(at + 5 * HOUR, call, manager, lead=lead, ended_by="cdr", talk_ms=0, disposition="no_answer"),
            ended(
                at + 2 * MINUTE, call, manager, lead=lead, talk_ms=draw(st.sampled_from([0, 59_999, 60_000, 400_000]))
            ),
            ended(at + MINUTE, call, other, lead=lead),
            ended(at + 9 * MINUTE, call, manager, lead=lead, started_at=at + 7 * MINUTE, talk_ms=MINUTE),
            ended(at + 3 * MINUTE, f"{call}i", manager, internal=True, started_at=at),
        ]
        made += draw(st.lists(st.sampled_from(of_call), min_size=1, max_size=8))
        if lead is not None:
            of_lead = [
                noted(at + 3 * MINUTE, lead, call, stages=["presentation"], next_step=agreed(at + DAY)),
                noted(at + 3 * MINUTE, lead, call, stages=["proposal"], reason="reminder", revision=1),
                deal(
                    at + 4 * MINUTE,
                    lead,
                    draw(st.sampled_from(["proposal", "won", "lost"])),
                    amount="12.5",
                    currency="EUR",
                ),
                linked(at + 5 * MINUTE, "lead-2", "lead-1"),
                consulted(at + 6 * MINUTE, lead),
                touched(at + 7 * MINUTE, lead, "meeting"),
            ]
            made += draw(st.lists(st.sampled_from(of_lead), max_size=4))
    return draw(st.permutations([event for event in made if event["at"] <= NOON + HOUR]))


@given(mornings(), st.sampled_from([0, 20 * MINUTE, 6 * HOUR, 31 * DAY]))
@examples(150, suppress_health_check=[HealthCheck.too_slow])
def test_the_evidence_comes_to_the_figure_in_whatever_order_events_came(events: list[Event], later_ms: int) -> None:
    folds = folded(events, NOON + 6 * HOUR)
    explainer = Explainer(folds.settings)
    # No event is dated further ahead of the moment of its arrival than the settings allow, so none is of a figure.
    newest = max((event["at"] for event in events), default=NOON)
    now_ms = max(NOON, newest - folds.settings.thresholds.future_ms) + later_ms
    for manager in ("anna", "bert"):
        truth = exported(folds, manager, now_ms)
        assert wrong(explained(explainer, known_of(folds, manager), now_ms, truth), truth) == {}


def test_every_figure_is_explained_or_says_why_not() -> None:
    explainer = Explainer(load("", {}))
    names = {metric.name for metric in MANAGER_METRICS}
    assert explainer.windows.keys() | NOT_COUNTED.keys() == names
    assert explainer.windows.keys().isdisjoint(NOT_COUNTED)


def test_where_another_figure_is_named_instead_it_can_be_explained() -> None:
    explainer = Explainer(load("", {}))
    named = [reason.split("`")[1] for reason in NOT_COUNTED.values() if "explain" in reason]
    assert len(named) == 5
    assert set(named) <= explainer.windows.keys()


def test_the_windows_are_those_that_are_exported_the_usual_one_first() -> None:
    windows = Explainer(load("", {})).windows
    assert windows["calls"] == ("today", "30d", "90d", "1h", "7d")
    assert windows["conversion_ratio"] == ("30d", "90d", "7d")
    assert windows["first_call_deal_ratio"] == ("90d", "previous")
    assert windows["calls_per_won_deal"] == ("90d",)  # calls do not reach further back
    assert windows["leads_stuck"] == ("30d",)
    assert windows["calls_in_progress"] == ("now",)


@pytest.mark.parametrize(
    ("metric", "window", "days", "leads"),
    [
        ("calls", "today", 0, False),
        ("calls", None, 0, False),  # today is the usual window
        ("calls", "7d", 6, False),
        ("connect_ratio", "30d", 29, False),
        ("won_deals", "90d", 89, True),
        ("cost_per_won_deal", None, 89, True),
        ("first_call_deal_ratio", "previous", 179, True),
        (None, "1h", None, False),
        (None, "today", 0, True),
        (None, None, 179, True),
    ],
)
def test_a_figure_needs_the_calls_of_its_window_and_leads_only_if_it_counts_them(
    metric: str | None, window: str | None, days: int | None, leads: bool
) -> None:
    settings = load("", {})
    need = Explainer(settings).need(metric, window, NOON, local_time("Europe/Berlin"))
    # Berlin is an hour ahead; legs last 4 h at most, and events come up to 6 h late.
    begin = NOON - HOUR if days is None else NOON - 13 * HOUR - days * DAY
    assert need == Need(begin - 10 * HOUR + _summer(begin), leads)


def _summer(at_ms: int) -> int:
    """Berlin's clock was an hour further ahead before the end of October."""
    return -HOUR if at_ms < utc("2026-10-25T01:00") else 0


def test_the_calls_that_a_figure_needs_are_enough_for_it() -> None:
    calls = [talk(NOON - number * 9 * HOUR, f"c{number}") for number in reversed(range(40))]
    begun = started(NOON - 3 * HOUR - 50 * MINUTE, "open")
    folds = folded([*calls, begun, transferred(NOON - MINUTE, "bert", "open")], NOON)
    explainer = Explainer(folds.settings)
    everything = known_of(folds, "anna")
    for metric, window in (
        ("calls", "1h"),
        ("calls", "today"),
        ("talk_time_seconds", "7d"),
        ("calls_in_progress", None),
    ):
        need = explainer.need(metric, window, NOON, everything.calls.row.local)
        log = CallLog(ManagerRow("anna", everything.calls.row.local), folds.settings.thresholds)
        read = 0
        own = [event for partition in folds._logs["calls"].values() for event in partition if event.manager == "anna"]
        for pos, event in enumerate(own):
            if event.at >= need.since_ms:  # every event arrived when it happened
                read += 1
                log.feed(event, pos)
        assert read < len(calls)
        found = explainer.explain(metric, ManagerEvidence(log), NOON, window)
        assert found == explainer.explain(metric, everything, NOON, window)


def test_what_is_asked_wrongly_is_refused() -> None:
    case = Case(talk(NOON, "c1"))
    with pytest.raises(KeyError):
        case("target_ratio")
    with pytest.raises(ValueError, match="leads_stuck has the windows 30d"):
        case("leads_stuck", "7d")


def test_a_manager_of_whom_nothing_is_known_has_figures_of_nothing() -> None:
    case = Case(talk(NOON, "c1", manager="bert"))
    assert case("calls").figures == {"inbound": 0, "outbound": 0}
    assert case("conversion_ratio").figures == {"": None}
    assert case("calls").pieces == []


# -- calls


def test_a_cdr_that_comes_late_replaces_nothing_better() -> None:
    case = Case(talk(NOON, "c1"), talk(NOON + MINUTE, "c1", ended_by="cdr", talk_ms=10 * SECOND))
    assert case.ids("talk_time_seconds", "today") == [("call", "c1", 90.0)]


def test_a_hangup_replaces_the_cdr_before_it() -> None:
    case = Case(talk(NOON, "c1", ended_by="cdr", talk_ms=10 * SECOND), talk(NOON + MINUTE, "c1"))
    explanation = case("talk_time_seconds", "today")
    (piece,) = explanation.pieces
    assert (piece.id, piece.adds, piece.at, piece.lead) == ("c1", 90.0, NOON + MINUTE, "lead-1")
    assert piece.says == "outbound, kind unknown, answered, 90 s of talk"
    assert explanation.figures == {"": 90.0}


def test_a_timeout_is_withdrawn_when_the_real_end_comes() -> None:
    begun = started(NOON - 6 * HOUR, "c1", lead="lead-1")
    timed_out = Case(begun)
    assert timed_out.ids("calls_timed_out") == [("call", "c1", 1)]
    assert timed_out("calls_timed_out").pieces[0].says.endswith("talk time not known")
    log, local = timed_out.folds._logs["calls"][0], timed_out.folds.local("anna")
    known = ManagerEvidence(CallLog(ManagerRow("anna", local), timed_out.folds.settings.thresholds))
    for offset, event in enumerate((*log, decoded(talk(NOON, "c1")))):
        known.calls.feed(event, offset)
    explainer = Explainer(timed_out.folds.settings)
    assert explainer.explain("calls_timed_out", known, NOON).pieces == []
    assert [piece.id for piece in explainer.explain("calls", known, NOON).pieces] == ["c1"]


def decoded(event: Event) -> CallsEvent:
    (record,) = records([event])
    assert record.value is not None
    made = Decoder[CallsEvent]("calls").decode(record.value)
    assert not isinstance(made, Rejection)
    return made


def test_a_call_whose_end_comes_again_after_it_was_forgotten_counts_twice_here_as_in_the_table() -> None:
    busy = [talk(NOON - 10 * HOUR + minute * 10 * MINUTE, f"b{minute}") for minute in range(60)]
    again = talk(NOON + MINUTE, "c1", ended_by="cdr")
    case = Case(talk(NOON - 10 * HOUR, "c1"), *busy, again)
    assert [id_ for _, id_, _ in case.ids("calls", "today")].count("c1") == 2


def test_a_leg_in_progress_is_shown_until_it_is_given_up() -> None:
    begun = started(NOON, "c1", lead="lead-1", kind="cold")
    case = Case(begun, presence(NOON, "available"), now_ms=NOON + MINUTE)
    (piece,) = case("calls_in_progress").pieces
    assert (piece.of, piece.id, piece.at, piece.says) == ("call", "c1", NOON, "outbound, cold, in progress")
    assert case("calls").pieces == []


def test_an_hour_holds_the_minutes_that_the_figure_holds() -> None:
    first, second = talk(NOON - 60 * MINUTE + 1, "old"), talk(NOON - 59 * MINUTE, "in")
    assert [id_ for _, id_, _ in Case(first, second, now_ms=NOON + 1).ids("calls", "1h")] == ["in"]


def test_what_a_clock_that_is_ahead_dated_tomorrow_is_no_call_of_today() -> None:
    midnight = NOON + 12 * HOUR
    dials = [talk(midnight + number * SECOND, f"c{number}") for number in range(5)]
    case = Case(*dials, now_ms=midnight - MINUTE)
    assert case.ids("calls", "today") == case.ids("leads_over_called") == []
    assert len(case.ids("leads_stuck")) == 1  # how a lead stands is known whatever the date


def test_the_histogram_of_talk_adds_up() -> None:
    case = Case(talk(NOON, "short", talk_ms=6 * SECOND), talk(NOON + 1, "long", talk_ms=HOUR))
    explanation = case("calls_talked")
    assert [(piece.id, piece.label) for piece in explanation.pieces] == [("short", "6"), ("long", "+Inf")]
    assert (explanation.figures["6"], explanation.figures["1200"], explanation.figures["+Inf"]) == (1, 1, 2)


# -- leads and deals


def test_a_deal_that_is_moved_back_is_no_longer_won() -> None:
    won = deal(NOON, "lead-1", "won", "d1", amount="10.50", currency="EUR")
    also = deal(NOON, "lead-2", "won", "d2", manager="anna", amount="2", currency="EUR")
    before = Case(talk(NOON - HOUR, "c1"), won, also)
    assert before.ids("won_deals", "7d") == [("deal", "d1", 1), ("deal", "d2", 1)]
    assert before("mean_won_amount").figures == {"EUR": 6.25}
    after = Case(talk(NOON - HOUR, "c1"), won, also, deal(NOON + MINUTE, "lead-1", "proposal", "d1"))
    assert after.ids("won_deals", "7d") == [("deal", "d2", 1)]
    assert after.ids("open_leads_by_stage") == [("deal", "d1", 1)]


def test_a_lead_that_was_linked_is_evidence_under_its_new_name() -> None:
    case = Case(
        talk(NOON, "c1", "phone:1"), talk(NOON + MINUTE, "c2", "crm-7"), linked(NOON + HOUR, "crm-7", "phone:1")
    )
    explanation = case("open_leads_by_calls")
    assert [(p.of, p.id, p.lead, p.label, p.adds) for p in explanation.pieces] == [("lead", "crm-7", "crm-7", "2", 1)]
    assert [(p.id, p.lead) for p in case("leads_given").pieces] == [("c1", "crm-7")]


def test_a_lead_with_calls_on_several_days_is_one_piece() -> None:
    case = Case(*[talk(NOON - hours * HOUR, f"c{hours}") for hours in (0, 24, 36, 40 * 24)])
    assert case.ids("open_leads_by_calls") == [("lead", "lead-1", 1)]
    explanation = case("calls_per_lead")
    assert explanation.figures == {"": 3.0}
    assert [piece.id for piece in explanation.pieces if piece.role == "divided by"] == ["lead-1"]


def test_due_and_kept_end_with_today() -> None:
    calls = [
        talk(NOON - 2 * DAY, "kept"),
        noted(NOON - 2 * DAY, "lead-1", "kept", next_step=agreed(NOON - DAY)),
        touched(NOON - DAY + HOUR, "lead-1"),
        talk(NOON - 2 * DAY, "broken", "lead-2"),
        noted(NOON - 2 * DAY, "lead-2", "broken", next_step=agreed(NOON - DAY)),
        talk(NOON - 2 * DAY, "to come", "lead-3"),
        noted(NOON - 2 * DAY, "lead-3", "to come", next_step=agreed(NOON + DAY)),
        talk(NOON - 40 * DAY, "long ago", "lead-4"),
        noted(NOON - 40 * DAY, "lead-4", "long ago", next_step=agreed(NOON - 30 * DAY)),
    ]
    case = Case(*calls)
    assert [id_ for _, id_, _ in case.ids("next_steps_due")] == ["broken", "kept"]
    assert [id_ for _, id_, _ in case.ids("next_steps_kept_ratio")] == ["kept"]
    later = Case(*calls, now_ms=NOON + DAY + HOUR)
    assert [id_ for _, id_, _ in later.ids("next_steps_due")] == ["broken", "kept", "to come"]


def test_a_claim_of_a_call_tells_of_the_call() -> None:
    case = Case(talk(NOON, "c1"), noted(NOON, "lead-1", "c1", stages=["proposal"], reason="reminder"))
    (piece,) = case("follow_up_calls").pieces
    assert (piece.label, piece.at, piece.lead) == ("reminder", NOON, "lead-1")
    assert piece.says == "reason reminder, deal: none; outbound, kind unknown, answered, 90 s of talk"
    assert case.ids("proposal_calls", "7d") == [("call", "c1", 1)]


def test_a_reason_that_the_settings_do_not_name_is_among_the_others() -> None:
    case = Case(talk(NOON, "c1"), noted(NOON, "lead-1", "c1", reason="weather"))
    assert [(piece.id, piece.label) for piece in case("follow_up_calls").pieces] == [("c1", "other")]


def test_a_reason_that_the_settings_name_no_longer_is_among_the_others() -> None:
    events = talk(NOON, "c1"), noted(NOON, "lead-1", "c1", reason="weather")
    folds = folded(events, NOON, more='[results]\nreasons = ["weather"]')
    folds.settings = settings_of({"anna": "UTC"})
    assert ("follow_up_calls", "30d") in compare(folds, "anna", [NOON])
    explanation = Explainer(folds.settings).explain("follow_up_calls", known_of(folds, "anna"), NOON)
    assert [(piece.id, piece.label) for piece in explanation.pieces] == [("c1", "other")]


def test_the_cost_of_a_deal_names_calls_and_other_touches_each_at_its_price() -> None:
    case = Case(
        talk(NOON, "c1"),
        touched(NOON, "lead-1", "meeting"),
        touched(NOON + 1, "lead-1"),
        deal(NOON + 2, "lead-1", "won"),
    )
    assert sorted(adds for _, _, adds in case.ids("cost_per_won_deal")) == [0.1, 1.0, 25.0]
    assert case("cost_per_won_deal").figures == {"": pytest.approx(26.1)}


def test_the_age_of_a_stage_is_the_mean_of_its_leads() -> None:
    case = Case(
        talk(NOON - 4 * DAY, "c1"),
        deal(NOON - 3 * DAY, "lead-1", "proposal", "d1"),
        talk(NOON, "c2", "lead-2"),
        deal(NOON - DAY, "lead-2", "proposal", "d2"),
    )
    assert [(piece.id, piece.adds / 86_400) for piece in case("mean_stage_age_seconds").pieces[:2]] == [
        ("d1", 3),
        ("d2", 1),
    ]
    assert case("mean_stage_age_seconds").figures["proposal"] == 2 * 86_400


def test_mentor_and_stuck_leads_are_named() -> None:
    calls = [talk(NOON - number * HOUR, f"c{number}") for number in range(1, 6)]
    assert Case(*calls[:3]).ids("leads_consultation_due") == [("lead", "lead-1", 1)]
    assert Case(*calls).ids("leads_stuck") == [("lead", "lead-1", 1)]
    assert Case(*calls[:3], consulted(NOON, "lead-1")).ids("leads_consultation_due") == []

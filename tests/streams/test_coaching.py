"""Coaching: the sums of the features of calls, and a manager's plan of training from them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import KINDS_AND_UNKNOWN
from streams.contract.features import CallFeatures, Features, HeardCall, Sides
from streams.explain.coaching import CallOf, band, latest, plan
from streams.settings.settings import Settings, load
from streams.settings.speech import Speech
from streams.speech.flags import FLAGS, flags
from streams.tables.coaching.contributions import outcome_of
from streams.tables.coaching.view import CoachingReader
from streams.tables.outcome import fold as sums
from streams.tables.outcome.fold import OutcomeRow
from streams.units import DAY_MS, MINUTE_MS

DAY = 20_000
SIDES = st.builds(Sides, st.integers(0, 600_000), st.integers(0, 600_000))
FEATURES = st.builds(
    CallFeatures,
    utterances=st.integers(1, 300),
    span=st.integers(1, 900_000),
    talk=st.none() | SIDES,
    words=st.none() | SIDES,
    monologue=st.none() | st.integers(0, 300_000),
    patience=st.none() | st.integers(0, 5_000),
    interruptions=st.none() | st.builds(Sides, st.integers(0, 9), st.integers(0, 9)),
    silence=st.none() | st.integers(0, 60_000),
    fillers=st.dictionaries(st.sampled_from(["like", "короче"]), st.integers(1, 9)),
    questions=st.none() | st.dictionaries(st.sampled_from(["open", "wh", "tag"]), st.integers(1, 9)),
    clarifying=st.none() | st.integers(0, 9),
    stages=st.lists(st.tuples(st.sampled_from(["pain", "proposal"]), st.integers(0, 9_000)), max_size=4).map(tuple),
    objections=st.lists(
        st.tuples(st.sampled_from(["price", "trust"]), st.integers(0, 9_000), st.booleans()), max_size=3
    ).map(tuple),
    next_step=st.none() | st.tuples(st.booleans(), st.integers(0, 9_000)),
    flags=st.lists(st.sampled_from(FLAGS), unique=True).map(tuple),
)
HEARD = st.builds(
    HeardCall,
    day=st.integers(DAY - 40, DAY),
    at=st.just(0),
    direction=st.just("outbound"),
    kind=st.sampled_from(KINDS_AND_UNKNOWN),
    conversation=st.booleans(),
    talk_ms=st.integers(0, 900_000),
    features=FEATURES,
)


def values(row: OutcomeRow, today: int = DAY, toml: str = "speech.min_calls = 1") -> dict[tuple[str, ...], float]:
    reader = CoachingReader(load(toml, {}))
    found = reader.read(row, today).values
    return {
        (name, *labels): value for (name, labels), value in zip(reader.series, found, strict=True) if value is not None
    }


def row_of(revisions: Sequence[tuple[int, HeardCall | None]]) -> OutcomeRow:
    """The row after facts of calls 0 to 3, each of which replaces the one before it of the same call."""
    row = OutcomeRow()
    sent: dict[int, HeardCall | None] = {}
    for seq, (call, now) in enumerate(revisions):
        before = sent.get(call)
        sent[call] = now
        fact = Features(src="speech/0", seq=seq, manager="m", call=str(call), lexicon="x", now=now, before=before)
        for _ in range(2):  # the second copy, after a crash, changes nothing
            sums.fold(row, outcome_of(msgspec.json.encode(fact)))
    return row


def mean(pairs: list[tuple[float, float]]) -> float | None:
    whole = sum(over for _, over in pairs)
    return sum(part for part, _ in pairs) / whole if whole else None


@given(st.lists(st.tuples(st.integers(0, 3), st.none() | HEARD), max_size=12))
def test_figures_are_those_of_the_newest_features_of_each_call(revisions: list[tuple[int, HeardCall | None]]) -> None:
    newest = dict(revisions)
    month = [heard for heard in newest.values() if heard is not None and heard.day > DAY - 30]
    of = [(heard, heard.features) for heard in month]
    expected: dict[tuple[str, ...], float | None] = {
        ("heard_calls", "30d"): len(month),
        ("heard_calls", "today"): sum(heard.day == DAY for heard in month),
        ("flagged_calls", "today", "any"): sum(heard.day == DAY and bool(f.flags) for heard, f in of),
        **{("flagged_calls", "30d", flag): sum(flag in f.flags for _, f in of) for flag in FLAGS},
        **{
            ("heard_stage_moves_per_call", "30d", kind): mean(
                [(max(0, len(f.stages) - 1), 1) for heard, f in of if heard.kind == kind]
            )
            for kind in KINDS_AND_UNKNOWN[:-1]
        },
        **{
            ("heard_talk_seconds", "30d", kind): mean(
                [(heard.talk_ms / 1000, 1) for heard in month if heard.kind == kind]
            )
            for kind in KINDS_AND_UNKNOWN[:-1]
        },
        ("talk_share_ratio", "30d"): mean(
            [(f.talk.manager, f.talk.manager + f.talk.customer) for _, f in of if f.talk]
        ),
        ("fillers_per_ten_minutes", "30d"): mean(
            [(sum(f.fillers.values()), f.talk.manager / 600_000) for _, f in of if f.talk]
        ),
        ("questions_per_call", "30d"): mean([(sum(f.questions.values()), 1) for _, f in of if f.questions is not None]),
        ("open_question_ratio", "30d"): mean(
            [
                (f.questions.get("open", 0) + f.questions.get("wh", 0), sum(f.questions.values()))
                for _, f in of
                if f.questions is not None
            ]
        ),
        ("clarifying_question_ratio", "30d"): mean(
            [
                (f.clarifying, sum(f.questions.values()))
                for _, f in of
                if f.questions is not None and f.clarifying is not None
            ]
        ),
        ("longest_monologue_seconds", "30d"): mean([(f.monologue / 1000, 1) for _, f in of if f.monologue is not None]),
        ("patience_seconds", "30d"): mean([(f.patience / 1000, 1) for _, f in of if f.patience is not None]),
        ("interruptions_per_call", "30d"): mean([(f.interruptions.manager, 1) for _, f in of if f.interruptions]),
        ("silence_ratio", "30d"): mean([(f.silence, f.span) for _, f in of if f.silence is not None]),
        ("objections_met_ratio", "30d"): mean(
            [(sum(o[2] for o in f.objections), len(f.objections)) for _, f in of if f.objections]
        ),
        ("heard_next_step_ratio", "30d"): mean(
            [(bool(f.next_step and f.next_step[0]), 1) for heard, f in of if heard.conversation]
        ),
    }
    known = {key: value for key, value in expected.items() if value is not None}
    assert values(row_of(revisions)) == pytest.approx(known)


def heard(day: int = DAY, kind: str = "cold", talk_min: int = 4, **features: object) -> HeardCall:
    return HeardCall(
        day=day,
        at=day * DAY_MS,
        direction="outbound",
        kind=kind,
        conversation=True,
        talk_ms=talk_min * MINUTE_MS,
        features=CallFeatures(utterances=10, span=1000, **features),  # type: ignore[arg-type]  # by name
    )


def test_a_figure_of_too_few_calls_is_not_shown() -> None:
    calls = [(number, heard(talk=Sides(1, 1), patience=900)) for number in range(9)]
    assert {name for name, *_ in values(row_of(calls), toml="")} == {"heard_calls", "flagged_calls"}
    row = row_of([*calls, (9, heard(talk=Sides(1, 1), patience=900))])
    assert values(row, toml="")["patience_seconds", "30d"] == pytest.approx(0.9)


def test_figures_leave_their_window_without_an_event() -> None:
    row = row_of([(0, heard(patience=900))])
    assert values(row, DAY)["heard_calls", "30d"] == 1
    assert values(row, DAY + 29)["heard_calls", "30d"] == 1
    assert values(row, DAY + 30)["heard_calls", "30d"] == 0


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"fillers": {"like": 2, "you know": 2}}, []),
        ({"fillers": {"like": 3}}, ["fillers"]),
        ({"clarifying": 0}, ["no_clarifying_question"]),
        ({"clarifying": None}, []),
        ({"monologue": 119_999}, []),
        ({"monologue": 120_000}, ["monologue"]),
        ({"interruptions": Sides(2, 9)}, []),
        ({"interruptions": Sides(3, 0)}, ["interruptions"]),
        ({"objections": (("price", 5, True),)}, []),
        ({"objections": (("price", 5, True), ("trust", 9, False))}, ["objection_unmet"]),
        ({"next_step": None}, ["no_next_step"]),
        ({"next_step": (False, 5)}, []),
    ],
)
def test_a_flag_needs_its_evidence(features: dict[str, object], expected: list[str]) -> None:
    made = CallFeatures(utterances=1, **{"next_step": (True, 1), **features})  # type: ignore[arg-type]  # by name
    assert list(flags(made, Speech(), conversation=True)) == expected


def test_a_short_call_needs_no_question_and_no_next_step() -> None:
    made = CallFeatures(utterances=1, clarifying=0)
    assert list(flags(made, Speech(), conversation=False)) == []


# -- the plan


def calls_of(manager: str, monologues: list[int], kind: str = "cold", talk_min: int = 4) -> list[CallOf]:
    return [
        CallOf(manager, f"{manager}-{number}", heard(DAY - number, kind, talk_min, monologue=ms, monologue_at=7))
        for number, ms in enumerate(monologues)
    ]


TEAM = [
    call
    for name, ms in {"a": 20_000, "b": 30_000, "c": 40_000, "d": 50_000}.items()
    for call in calls_of(name, [ms] * 3)
]


def test_the_plan_names_the_habit_with_the_team_s_better_quartile_and_the_calls_to_listen_to() -> None:
    own = calls_of("x", [90_000, 15_000, 120_000, 100_000])
    (habit,) = plan("x", [*TEAM, *own]).habits
    assert (habit.habit, habit.kind, habit.band, habit.calls) == ("longest monologue", "cold", "2 to 5 min", 4)
    assert habit.own == pytest.approx(81.25)
    assert habit.target == pytest.approx(30.0)
    assert [(each.call, each.moment) for each in habit.listen] == [("x-2", 7), ("x-3", 7), ("x-0", 7)]
    assert [each.call for each in habit.own_best] == ["x-1"]


def test_calls_of_another_kind_or_length_are_not_compared() -> None:
    assert plan("x", [*TEAM, *calls_of("x", [90_000] * 4, kind="inbound")]).habits == ()
    assert plan("x", [*TEAM, *calls_of("x", [90_000] * 4, talk_min=6)]).habits == ()


def test_nobody_is_compared_with_too_few_calls_or_too_small_a_team() -> None:
    assert plan("x", [*TEAM, *calls_of("x", [90_000] * 2)]).habits == ()
    assert plan("x", [*TEAM[:6], *calls_of("x", [90_000] * 4)]).habits == ()


def test_who_is_better_than_the_quartile_has_nothing_to_train() -> None:
    assert plan("a", TEAM).habits == ()


def test_fillers_are_no_habit() -> None:
    team = [
        CallOf(name, f"{name}{n}", heard(fillers={"like": times}))
        for name, times in (("a", 1), ("b", 2), ("c", 3), ("d", 4), ("x", 50))
        for n in range(4)
    ]
    assert plan("x", team).habits == ()


def test_the_newest_fact_of_a_call_counts_and_a_withdrawn_call_does_not() -> None:
    def fact(call: str, seq: int, now: HeardCall | None) -> Features:
        return Features(src="s", seq=seq, manager="m", call=call, lexicon="x", now=now)

    first, second = heard(flags=("monologue",)), heard(flags=("fillers",))
    found = latest([fact("1", 5, second), fact("1", 4, first), fact("2", 1, first), fact("2", 2, None)])
    assert [(each.call, each.heard) for each in found] == [("1", second)]
    assert latest([fact("1", 1, first)], since_ms=first.at + 1) == []


@pytest.mark.parametrize(("minutes", "expected"), [(1, "under 2 min"), (2, "2 to 5 min"), (15, "15 min and longer")])
def test_bands_of_length(minutes: int, expected: str) -> None:
    assert band(minutes * MINUTE_MS) == expected


def test_a_manager_has_at_most_thirty_series_of_coaching() -> None:
    of_view = len(CoachingReader(Settings()).series)
    assert of_view + 2 <= 30  # heard_call_ratio and talking_seconds are beside them

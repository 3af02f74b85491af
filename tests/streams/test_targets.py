"""Intervals against published values, targets and plans case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings.settings import Targets
from streams.targets import plan_calls_per_day, target, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "lower", "upper"),
    [
        # Published as table I, the score method without correction, by R. G. Newcombe: "Two-sided confidence intervals
        # for the single proportion: comparison of seven methods", Statistics in Medicine 17 (1998) 857-872.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # The symmetry of the method: a failure is a success of the other side.
        (20, 20, 0.8389, 1.0000),
        (28, 29, 0.8282, 0.9939),
        # The worked example of the documentation: 14 deals of 200 calls in which a proposal was discussed.
        (14, 200, 0.0422, 0.1141),
    ],
)
def test_the_interval_is_the_published_one(successes: int, trials: int, lower: float, upper: float) -> None:
    interval = wilson(successes, trials)
    assert interval == pytest.approx((lower, upper), abs=5e-5)


@pytest.mark.parametrize("trials", [0, -1])
def test_without_trials_there_is_no_interval(trials: int) -> None:
    assert wilson(0, trials) is None


@pytest.mark.parametrize(("successes", "as_good_as"), [(-1, 0), (11, 10)])
def test_more_deals_than_proposals_are_as_many(successes: int, as_good_as: int) -> None:
    assert wilson(successes, 10) == wilson(as_good_as, 10)


def test_three_calls_prove_nothing() -> None:
    assert wilson(1, 3) == pytest.approx((0.06, 0.79), abs=0.01)


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.floats(0.01, 10))
def test_the_interval_holds_the_ratio_and_nothing_that_is_no_ratio(part: int, trials: int, z: float) -> None:
    successes = part % (trials + 1)
    interval = wilson(successes, trials, z)
    assert interval is not None
    assert 0 <= interval[0] <= successes / trials <= interval[1] <= 1
    mirrored = wilson(trials - successes, trials, z)
    assert mirrored == pytest.approx((1 - interval[1], 1 - interval[0]))


@given(st.integers(1, 50), st.integers(2, 20))
def test_the_interval_of_the_same_ratio_is_narrower_with_more_trials(successes: int, times: int) -> None:
    few, many = wilson(successes, 50), wilson(successes * times, 50 * times)
    assert few is not None
    assert many is not None
    assert few[0] < many[0]
    assert many[1] <= few[1]


@given(st.integers(0, 200), st.integers(1, 200))
def test_the_ends_solve_the_equation_of_the_score_test(successes: int, trials: int) -> None:
    # Wilson's definition: the ratios p that are z standard errors, by their own reckoning, from the one observed.
    successes = min(successes, trials)
    interval = wilson(successes, trials, 1.96)
    assert interval is not None
    for p in interval:
        if 0 < p < 1:
            assert (successes / trials - p) ** 2 == pytest.approx(1.96**2 * p * (1 - p) / trials, rel=1e-6)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, 0.01),  # no history: the floor
        (0.0, 0.01),
        (0.001, 0.01),
        (0.02, 0.0275),  # three quarters of a percentage point more
        (0.04, 0.0475),
        (0.045, 0.05),
        (0.3, 0.05),
    ],
)
def test_a_target_is_the_own_ratio_and_a_little_more_between_floor_and_cap(own: float | None, expected: float) -> None:
    assert target(own, Targets()) == pytest.approx(expected)


@given(st.none() | st.floats(0, 2), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_target_lies_between_floor_and_cap(own: float | None, gain: float, one: float, other: float) -> None:
    floor, cap = sorted((one, other))
    assert floor <= target(own, Targets(gain=gain, floor=floor, cap=cap)) <= cap


@pytest.mark.parametrize(
    ("plan", "norm", "expected"),
    [
        (None, 120.0, None),
        (12.0, None, None),
        (12.0, 120.0, 12 * 120 / 21),  # 68.6 calls a day
        (0.0, 120.0, 0.0),
    ],
)
def test_a_plan_needs_its_calls_a_day(plan: float | None, norm: float | None, expected: float | None) -> None:
    assert plan_calls_per_day(plan, norm) == expected

"""Windows: buckets of minutes and days, and runs of work."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.units import MINUTE_MS
from streams.windows import last_hour, merge_run, total

TEN = 10 * 60  # minutes


@pytest.mark.parametrize(
    ("now_ms", "count", "why"),
    [
        (TEN * MINUTE_MS, 1, "the minute of now is inside"),
        ((TEN - 1) * MINUTE_MS + 59_999, 0, "a minute that is still to come is not"),
        ((TEN + 59) * MINUTE_MS + 59_999, 1, "the 59 minutes before the minute of now are inside"),
        ((TEN + 60) * MINUTE_MS, 0, "the 60th is outside"),
    ],
)
def test_the_last_hour_is_the_minute_of_now_and_the_59_before_it(now_ms: int, count: int, why: str) -> None:
    assert total(last_hour({TEN: [1]}, now_ms), 1) == [count], why


def test_buckets_are_added_place_by_place_as_far_as_is_asked() -> None:
    assert total([[1, 20, 5], [2, 0, 7], [3, 1, 1, 9]], 3) == [6, 21, 13]
    assert total([[1, 20, 5], [2, 0, 7]], 2) == [3, 20]
    assert total([], 2) == [0, 0]


@pytest.mark.parametrize(
    ("spans", "runs"),
    [
        #  0    10   20   30          gap 5
        #  ■■■■■■
        #             ■■■■■■          apart
        ([(0, 10), (20, 30)], [[0, 10], [20, 30]]),
        #  ■■■■■■
        #          ■■■■■■             exactly the gap apart is apart
        ([(0, 10), (15, 25)], [[0, 10], [15, 25]]),
        #  ■■■■■■
        #         ■■■■■■              nearer than the gap is one
        ([(0, 10), (14, 25)], [[0, 25]]),
        #  ■■■■■■     ■■■■■■
        #        ■■■■                 the one between joins both
        ([(0, 10), (20, 30), (12, 18)], [[0, 30]]),
        #      ■■
        #  ■■■■■■■■■■■■               a longer one covers it
        ([(5, 6), (0, 30)], [[0, 30]]),
        #  ■■■■■■■■■■■■
        #      ■■
        ([(0, 30), (5, 6)], [[0, 30]]),
        #             ■■■■■■
        #  ■■■■■■                     the earlier may come later
        ([(20, 30), (0, 10)], [[0, 10], [20, 30]]),
    ],
)
def test_spans_melt_into_runs(spans: list[tuple[int, int]], runs: list[list[int]]) -> None:
    found: list[list[int]] = []
    for start, end in spans:
        merge_run(found, start, end, 5)
    assert found == runs


SPANS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 20)).map(lambda span: (span[0], span[0] + span[1])))


@given(SPANS, st.randoms(use_true_random=False), st.integers(1, 10))
def test_runs_do_not_depend_on_the_order_of_spans(spans: list[tuple[int, int]], random: Any, gap: int) -> None:
    expected: list[list[int]] = []
    for start, end in sorted(spans):
        if expected and start < expected[-1][1] + gap:
            expected[-1][1] = max(expected[-1][1], end)
        else:
            expected.append([start, end])
    random.shuffle(spans)
    found: list[list[int]] = []
    for start, end in spans:
        merge_run(found, start, end, gap)
    assert found == expected

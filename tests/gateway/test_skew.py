from __future__ import annotations

import random

import pytest

from streams.sources.skew import looks_like_zone, median
from streams.units import HOUR_MS, MINUTE_MS

CHANCE = random.Random(1)


def around(middle_ms: int, spread_ms: int, count: int = 101) -> list[int]:
    return [middle_ms + CHANCE.randrange(spread_ms + 1) for _ in range(count)]


@pytest.mark.parametrize(
    ("skews", "zone"),
    [
        (around(0, 2_000), False),
        (around(3 * HOUR_MS, 2_000), True),
        (around(-3 * HOUR_MS, 2_000), True),
        (around(5 * HOUR_MS + 45 * MINUTE_MS, 2_000), True),  # Nepal
        (around(14 * HOUR_MS, 2_000), True),
        (around(15 * HOUR_MS, 2_000), False),  # no zone
        (around(24 * HOUR_MS, 2_000), False),  # a nightly batch
        (around(2 * HOUR_MS + 7 * MINUTE_MS, 2_000), False),
        (around(HOUR_MS - 30 * MINUTE_MS, 60 * MINUTE_MS), False),  # late by all sorts of times
        (around(3 * HOUR_MS, 2_000, 19), False),  # too few for a result
        ([*around(3 * HOUR_MS, 2_000, 80), *around(0, 2_000, 21)], True),  # most of them
    ],
)
def test_a_steady_skew_near_a_multiple_of_a_quarter_of_an_hour_looks_like_a_zone(skews: list[int], zone: bool) -> None:
    CHANCE.shuffle(skews)
    assert looks_like_zone(skews) == zone


def test_the_median_is_the_value_in_the_middle() -> None:
    assert median([5, 1, 9]) == 5
    assert median([4]) == 4
    assert median([1, 2, 3, 4]) == 3

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.gateway.recent_ids import RecentIds

IDS = st.integers(0, 2**64 - 1)
FEW = st.integers(0, 40)  # many of them collide


@given(st.lists(IDS | FEW, max_size=300), st.lists(IDS | FEW, max_size=300))
def test_it_knows_exactly_what_it_was_given_while_that_fits(known: list[int], asked: list[int]) -> None:
    memory = RecentIds(1 << 16)
    memory.add(known)
    held = {number or 1 for number in known}
    assert [number in memory for number in [*known, *asked]] == [(number or 1) in held for number in [*known, *asked]]
    assert len(memory) == len(held)


@pytest.mark.parametrize("max_bytes", [1 << 16, 100_000])
def test_it_forgets_the_oldest_and_knows_at_least_the_newest_half_of_what_fits(max_bytes: int) -> None:
    memory = RecentIds(max_bytes)
    chance = random.Random(3)
    numbers = [chance.getrandbits(64) for _ in range(30_000)]
    for number in numbers:
        memory.add([number])
    fits = (1 << 16) // 16 * 0.6
    newest = int(fits)
    assert all(number in memory for number in numbers[-newest:])
    assert not any(number in memory for number in numbers[: -int(2 * fits) - 1])
    assert len(memory) <= 2 * fits


def test_ids_that_fall_on_one_slot_are_told_apart() -> None:
    memory = RecentIds(1 << 16)
    clash = [7 + (n << 40) for n in range(1, 500)]
    memory.add(clash)
    assert all(number in memory for number in clash)
    assert 7 not in memory
    assert 7 + (501 << 40) not in memory

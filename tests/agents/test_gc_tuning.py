from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator

import pytest

from agents import gc_tuning as garbage
from tests.agents.stand_in import eventually


class Ring:
    """Garbage that only a collection frees."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    yield
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() <= frozen
    assert gc.isenabled()


@pytest.fixture
async def collecting(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Task[None]]:
    monkeypatch.setattr(garbage, "_LOOK_EVERY_S", 0.001)
    task = asyncio.create_task(garbage.collect_in_short_steps())
    await asyncio.sleep(0)
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def grow_old() -> None:
    """Move young objects to the oldest generation, as collections do in time."""
    gc.collect(0)


@pytest.mark.usefixtures("collecting")
class TestShortSteps:
    async def test_what_grew_old_is_not_looked_at_again(self) -> None:
        before = gc.get_freeze_count()
        kept: list[list[int]] = [[] for _ in range(1000)]
        grow_old()
        await eventually(lambda: gc.get_freeze_count() > before + len(kept))
        assert not {id(one) for one in kept} & {id(one) for one in gc.get_objects()}

    async def test_garbage_is_collected_before_it_could_be_frozen(self) -> None:
        ring = Ring()
        gone = weakref.ref(ring)
        del ring
        grow_old()
        await eventually(lambda: gone() is None)

    async def test_what_is_frozen_is_freed_with_its_last_reference(self) -> None:
        class Row:
            pass

        before = gc.get_freeze_count()
        row = Row()
        gone = weakref.ref(row)
        grow_old()
        await eventually(lambda: gc.get_freeze_count() > before)
        del row
        assert gone() is None

    async def test_little_that_is_young_is_left_alone(self) -> None:
        before = gc.get_freeze_count()
        kept: list[list[int]] = [[] for _ in range(garbage._MANY // 2)]
        await asyncio.sleep(0.05)
        assert len(kept) > 0
        assert gc.get_freeze_count() == before

    async def test_much_that_is_young_is_looked_at_once_and_frozen(self) -> None:
        before = gc.get_freeze_count()
        kept: list[list[int]] = [[] for _ in range(garbage._MANY + 1000)]
        await eventually(lambda: gc.get_freeze_count() >= before + len(kept))

    async def test_no_collection_looks_at_everything_by_itself(self) -> None:
        seen = []
        gc.callbacks.append(lambda phase, info: seen.append(info["generation"]) if phase == "start" else None)
        try:
            kept: list[list[int]] = [[] for _ in range(5 * garbage._MOST)]
        finally:
            gc.callbacks.pop()
        assert len(kept) > 0
        assert set(seen) == {0}

"""The rows that are read for the evidence behind figures: the present rows of leads that name the manager."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from agents.kafka import evidence
from agents.kafka.clients import KafkaUnusableError
from streams.settings.settings import load
from streams.tables.lead.records import Activity
from streams.tables.lead.row import LeadRow, dump

SETTINGS = load('timezone = "UTC"', {})
DAY_MS = 86_400_000


def row(revision: int, manager: str) -> bytes:
    """A row of a lead to whom the manager has written."""
    made = LeadRow()
    made.state.revision = revision
    made.state.activities.append(Activity(DAY_MS, f"a{revision}", "email", manager))
    return dump(made)


async def read(monkeypatch: pytest.MonkeyPatch, *changelog: tuple[str, bytes | None]) -> list[tuple[str, str]]:
    """(lead, activity) of each contribution to anna, where the changelog holds these records."""

    async def records(_kafka: Any, topic: str, _partitions: Iterable[int], **_more: Any) -> AsyncIterator[Any]:
        for lead, value in changelog if topic.endswith("leads-changelog") else ():
            yield SimpleNamespace(key=lead.encode(), value=value)

    monkeypatch.setattr(evidence, "records_to_end", records)
    known = await evidence.read(SETTINGS, "anna")
    return [(lead, contribution.id) for lead, contribution in known.contributions]


async def test_the_newest_row_of_each_lead_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ("one", row(1, "anna")), ("two", row(1, "anna")), ("one", row(2, "anna"))
    assert sorted(await read(monkeypatch, *rows)) == [("one", "a2"), ("two", "a1")]


@pytest.mark.parametrize("now", [row(3, "bert"), row(3, "anna")], ids=["another's", "hers"])
async def test_an_older_row_that_was_written_late_does_not(monkeypatch: pytest.MonkeyPatch, now: Any) -> None:
    expected = [("one", "a3")] if b"anna" in now else []
    assert await read(monkeypatch, ("one", now), ("one", row(2, "anna"))) == expected


async def test_a_lead_that_is_the_managers_no_more_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await read(monkeypatch, ("one", row(1, "anna")), ("one", row(2, "bert"))) == []


async def test_a_lead_that_was_forgotten_is_left_out_until_it_is_heard_of_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = ("one", row(5, "anna")), ("one", None)
    assert await read(monkeypatch, *gone) == []
    assert await read(monkeypatch, *gone, ("one", row(1, "anna"))) == [("one", "a1")]


async def test_a_manager_whose_name_is_part_of_anothers_has_only_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await read(monkeypatch, ("one", row(1, "joanna")), ("two", row(1, "anna"))) == [("two", "a1")]


@pytest.mark.parametrize("broken", [b"\x07" + row(1, "anna")[1:], row(1, "anna")[:-3]], ids=["layout", "torn"])
async def test_rows_of_another_release_are_told_in_words(monkeypatch: pytest.MonkeyPatch, broken: Any) -> None:
    with pytest.raises(KafkaUnusableError, match="written by another release"):
        await read(monkeypatch, ("anna", broken))

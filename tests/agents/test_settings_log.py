"""The log of the settings that made a group's tables, and the messages about a change."""

from __future__ import annotations

import msgspec

from agents.kafka.settings_log import Agreed, MeaningChangedError, last_that_counts, may_be_accepted
from streams.settings import compatibility as meaning
from streams.settings.compatibility import Change, Meaning
from streams.settings.settings import load

ONE, OTHER, THIRD = (meaning.of(load(f"results.stuck_after = {count}", {})) for count in (5, 6, 7))
MIXED = Change("thresholds.short", '"2m"', '"90s"', "mixed")
WRONG = Change("results.stuck_after", "5", "6", "wrong")
UNUSABLE = Change("kafka.topic_prefix", '""', '"other."', "unusable")


def record(replaces: int, says: Meaning) -> bytes:
    return msgspec.json.encode(Agreed(replaces=replaces, meaning=says, at_ms=0, worker="w"))


def counts(*records: bytes | None) -> tuple[int, Meaning | None]:
    offset, agreed = last_that_counts(enumerate(records))
    return offset, None if agreed is None else agreed.meaning


def test_nothing_is_agreed_before_the_first_record() -> None:
    assert counts() == (-1, None)


def test_the_last_record_counts_that_replaces_the_one_before() -> None:
    assert counts(record(-1, ONE), record(0, OTHER), record(1, THIRD)) == (2, THIRD)


def test_of_two_that_write_at_the_same_time_the_first_has_won() -> None:
    assert counts(record(-1, ONE), record(-1, OTHER)) == (0, ONE)
    assert counts(record(-1, ONE), record(0, OTHER), record(0, THIRD)) == (1, OTHER)
    assert counts(record(-1, ONE), record(-1, OTHER), record(0, THIRD)) == (2, THIRD)


def test_records_of_another_form_are_skipped() -> None:
    assert counts(None, b"", b"{}", record(-1, ONE), b"nonsense", record(3, OTHER)) == (5, OTHER)


def test_a_change_is_told_with_what_to_do() -> None:
    said = str(MeaningChangedError("sales", [MIXED]))
    assert "group sales" in said
    assert 'thresholds.short: "2m" -> "90s"' in said
    assert "docs/operations.md" in said
    assert "--accept-settings-change" in said
    assert "subtract" not in said


def test_it_names_the_changes_after_which_figures_are_wrong() -> None:
    said = str(MeaningChangedError("sales", [MIXED, WRONG]))
    assert "after a change of results.stuck_after, leads subtract" in said
    assert "--accept-settings-change" in said


def test_rows_that_cannot_be_continued_cannot_be_accepted() -> None:
    assert may_be_accepted([MIXED, WRONG])
    assert not may_be_accepted([MIXED, UNUSABLE])
    said = str(MeaningChangedError("sales", [MIXED, UNUSABLE]))
    assert "the old kafka.topic_prefix cannot be continued" in said
    assert "--accept-settings-change" not in said


def test_of_many_changes_some_are_named_and_the_rest_counted() -> None:
    zones = [Change(f"managers.m{number}.timezone", "a", "b", "wrong") for number in range(500)]
    said = str(MeaningChangedError("sales", zones))
    assert "and 488 more" in said
    assert len(said) < 3000


def test_a_record_of_an_earlier_release_says_that_facts_have_no_name() -> None:
    written = record(-1, ONE)
    assert b"named_facts" not in written
    _, agreed = last_that_counts([(0, written)])
    assert agreed is not None
    assert not agreed.named_facts

"""The answers to senders, and the outcome of an event whose sender could not wait."""

from __future__ import annotations

import pytest

from agents.gateway.answers import Answers
from agents.gateway.entries import Bundle, Entry
from agents.gateway.sink import NotStoredError


class Told:
    def __init__(self) -> None:
        self.stored: list[int] = []
        self.dropped: list[int] = []
        self.answers = Answers(
            lambda entry: self.stored.append(entry.position), lambda entry: self.dropped.append(entry.position)
        )

    def add(self, position: int) -> Entry:
        entry = Entry(Bundle(position, "pbx", [("calls", b"k", b"v", [])]), (), 0)
        self.answers.add(entry)
        return entry


def maybe(entry: Entry) -> bool:
    error = entry.stored.exception()
    assert isinstance(error, NotStoredError)
    return error.maybe


@pytest.fixture
async def told() -> Told:
    return Told()


async def test_a_commit_answers_all_up_to_its_position(told: Told) -> None:
    entries = [told.add(position) for position in (1, 2, 3)]
    told.answers.committed(2)
    assert [entry.stored.done() for entry in entries] == [True, True, False]
    assert (told.stored, told.dropped, told.answers.in_flight) == ([1, 2], [], 1)


async def test_one_that_was_never_sent_is_not_stored_for_certain(told: Told) -> None:
    entry = told.add(1)
    told.answers.drop(entry, "late", 5)
    assert not maybe(entry)
    assert (told.stored, told.dropped, told.answers.in_flight) == ([], [1], 0)


@pytest.mark.parametrize("committed", [True, False])
async def test_one_that_was_sent_is_decided_by_kafka(told: Told, committed: bool) -> None:
    entry = told.add(1)
    entry.is_sent = True
    told.answers.drop(entry, "late", 5)
    assert maybe(entry)
    assert (told.stored, told.dropped) == ([], [])
    if committed:
        told.answers.committed(1)
    told.answers.not_in_kafka()
    assert (told.stored, told.dropped) == (([1], []) if committed else ([], [1]))


@pytest.mark.parametrize("written", [True, False])
async def test_one_that_is_being_written_is_decided_by_the_spool(told: Told, written: bool) -> None:
    entry = told.add(1)
    entry.is_written = True
    told.answers.drop(entry, "late", 5)
    assert maybe(entry)
    told.answers.not_in_kafka()
    assert (told.stored, told.dropped) == ([], [])
    if written:
        told.answers.written(entry)
    else:
        told.answers.not_written(entry, "full", 5, may_be_on_disk=False)
    assert (told.stored, told.dropped) == (([1], []) if written else ([], [1]))


async def test_one_that_the_spool_refused_and_kafka_may_have_waits_for_kafka(told: Told) -> None:
    entry = told.add(1)
    entry.is_sent = entry.is_written = True
    told.answers.not_written(entry, "full", 5, may_be_on_disk=False)
    assert maybe(entry)
    assert (told.stored, told.dropped) == ([], [])
    told.answers.committed(4)
    assert told.stored == [1]


async def test_one_that_a_failed_disk_may_have_is_said_to_be_uncertain(told: Told) -> None:
    entry = told.add(1)
    entry.is_written = True
    told.answers.not_written(entry, "the disk refuses it", 5, may_be_on_disk=True)
    assert maybe(entry)
    assert told.dropped == [1]


async def test_the_oldest_is_the_one_that_waits_longest(told: Told) -> None:
    assert told.answers.oldest() is None
    first, second = told.add(1), told.add(2)
    assert told.answers.oldest() is first
    told.answers.written(first)
    assert told.answers.oldest() is second
    assert told.answers.waiting() == [second]

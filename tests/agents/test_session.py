"""A worker detects that its session in the group is over, and that another process took its place."""

from __future__ import annotations

import pytest
from aiokafka.errors import GroupAuthorizationFailedError

from agents.delivery.session import DuplicateWorkerError
from tests.agents.stand_in import NOON_MS, StandIn, stand_in

JOIN_GROUP, HEARTBEAT, SYNC_GROUP = 11, 12, 14


@pytest.fixture
def parts() -> StandIn:
    """A worker with the default session of 10 s, a heartbeat every 3 s."""
    made = stand_in('[[managers]]\nid = "ann"\n').own(0, 1, 2, 3)
    made.session.note(SYNC_GROUP, 0, made.now)
    return made


async def exports(parts: StandIn) -> bool:
    text = await parts.exposition().text(NOON_MS)
    return b'callpulse_calls_in_progress{manager="ann"' in text


async def test_until_two_heartbeats_are_missing_it_is_ready(parts: StandIn) -> None:
    parts.now += 6
    assert parts.server().health.readiness()["ready"] is True
    assert await exports(parts)


async def test_then_it_is_not_and_says_why(parts: StandIn) -> None:
    parts.now += 6.5
    answer = parts.server().health.readiness()
    assert answer["ready"] is False
    assert answer["waiting_for"] == ["Kafka has not answered a heartbeat of this worker for 6 s"]
    assert await exports(parts)  # no other worker has its partitions yet


async def test_when_the_session_is_over_it_exports_no_manager_until_it_is_heard_again(parts: StandIn) -> None:
    parts.now += 10.1
    assert not await exports(parts)
    assert b"callpulse_partitions_owned" in await parts.exposition().text(NOON_MS)
    parts.session.note(HEARTBEAT, 0, parts.now)
    assert await exports(parts)
    assert parts.server().health.readiness()["ready"] is True


async def test_a_session_begins_when_the_heartbeat_was_sent_not_when_it_was_answered(parts: StandIn) -> None:
    sent_at = parts.now + 1
    parts.now += 11.1  # the answer took ten seconds
    parts.session.note(HEARTBEAT, 0, sent_at)
    assert not await exports(parts)


@pytest.mark.parametrize("code", [22, 25])
async def test_a_group_that_does_not_know_the_member_ends_the_session_at_once(parts: StandIn, code: int) -> None:
    parts.session.note(HEARTBEAT, code, parts.now)
    assert not await exports(parts)


async def test_a_rebalance_is_an_answer(parts: StandIn) -> None:
    parts.now += 5
    parts.session.note(HEARTBEAT, 27, parts.now)
    parts.now += 6
    assert await exports(parts)


async def test_a_worker_without_a_session_yet_is_not_cut_off() -> None:
    parts = stand_in()
    parts.now += 1000
    assert not parts.session.is_over


def test_another_process_with_the_same_id_ends_the_worker_with_a_line(parts: StandIn) -> None:
    parts.session.note(HEARTBEAT, 82, parts.now)
    (error,) = parts.failures
    assert isinstance(error, DuplicateWorkerError)
    assert "worker.id worker-1: each worker needs a worker.id of its own" in str(error)


@pytest.mark.parametrize("request_key", [JOIN_GROUP, SYNC_GROUP, HEARTBEAT])
def test_a_worker_that_may_not_be_in_the_group_ends(parts: StandIn, request_key: int) -> None:
    parts.session.note(request_key, 30, parts.now)
    (error,) = parts.failures
    assert isinstance(error, GroupAuthorizationFailedError)
    assert error.args == ("callpulse",)


def test_so_does_one_whose_place_is_taken_twice_within_a_minute(
    parts: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    parts.session.note(HEARTBEAT, 25, parts.now)
    assert parts.failures == []
    assert "Does another process run as worker.id worker-1?" in caplog.text
    parts.now += 2
    parts.session.note(SYNC_GROUP, 0, parts.now)
    parts.now += 2
    parts.session.note(HEARTBEAT, 25, parts.now)
    assert isinstance(parts.failures[0], DuplicateWorkerError)


def test_a_member_that_was_silent_for_longer_than_its_session_is_expelled_by_right(parts: StandIn) -> None:
    for _ in range(3):
        parts.now += 11
        parts.session.note(HEARTBEAT, 25, parts.now)
        parts.session.note(SYNC_GROUP, 0, parts.now)
    assert parts.failures == []

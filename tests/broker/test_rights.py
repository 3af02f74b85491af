"""The rights of each role are enough, and none is too many: a broker with an authorizer, and all processes under them.

`story` plays an installation once, each part as a user with the rights of its role and no others.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from typing import Final

import pytest

from agents.cli.common import INFRASTRUCTURE
from agents.gateway import kafka_sink
from agents.gateway.kafka_sink import KafkaSink
from agents.kafka.acl_commands import add_commands
from streams.contract import topics
from streams.contract.rights import ROLES, Right, Role, rights
from streams.settings.settings import Kafka
from tests.broker.authorizer import authorized_kafka
from tests.broker.gateway_process import event
from tests.broker.rights_scene import (
    LACKING,
    NAME,
    NOBODY,
    PREFIX,
    Installation,
    explain,
    fill,
    fold,
    of_roles,
    operate,
    reconcile,
    send_invalid,
    take_in,
)
from tests.broker.test_cli_records import DAY

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

QUICK_S: Final = 20.0
"""A deadline for a refusal, for a busy machine: it takes a second, and the client's own deadline is 15 s."""
ADVICE: Final = "`callpulse topics rights` prints them"


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with its topics, in which each role has a user with its rights."""
    with authorized_kafka([*ROLES, NOBODY, *LACKING]) as kafka:
        made = Installation(kafka, tmp_path_factory.mktemp("rights"))
        for role in ROLES:
            made.give(role, role)
        created = made.said("operator", "topics", "create")
        assert len(created["created"]) == len(topics.declared())
        yield made


@pytest.fixture(scope="module")
def story(sales: Installation) -> Installation:
    """Let every role do what it is for."""
    fill(sales)
    asyncio.run(take_in(sales))
    before = fold(sales)
    assert before > 0
    shutil.rmtree(sales.folder / "data")
    assert fold(sales) == before, "restored from the changelogs"
    explain(sales)
    reconcile(sales)
    operate(sales)
    return sales


def test_no_role_asks_for_more_than_its_rights(story: Installation) -> None:
    assert [one for one in of_roles(story.kafka) if not one.is_allowed] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_right_of_a_role_is_used(story: Installation, role: Role) -> None:
    used = {
        (one.resource, one.operation, one.name) for one in of_roles(story.kafka) if one.user == role and one.is_allowed
    }
    unused = [right for right in rights(role, NAME, PREFIX) if not is_used(right, used)]
    assert unused == []


def is_used(right: Right, used: set[tuple[str, str, str]]) -> bool:
    words = {"DescribeConfigs": "DESCRIBE_CONFIGS", "AlterConfigs": "ALTER_CONFIGS"}
    kind = {"topic": "Topic", "group": "Group", "transactional-id": "TransactionalId"}[right.resource]
    operation = words.get(right.operation, right.operation.upper())
    return any(
        (resource, asked) == (kind, operation)
        and (name == right.name if right.pattern == "literal" else name.startswith(right.name))
        for resource, asked, name in used
    )


@pytest.mark.parametrize(
    "words",
    [
        ("topics", "create"),
        ("topics", "check"),
        ("worker",),
        ("rejected", "list"),
        ("explain", "anna", "calls"),
        ("coaching", "anna"),
        ("unmapped",),
        ("forget", "lead-1"),
        ("simulate", "--days", "0.01", "--seconds", "0"),
        ("reconcile", "--day", "2026-11-17", "--cel", DAY),
    ],
    ids=lambda words: " ".join(map(str, words[:2])),
)
def test_a_user_without_rights_is_told_at_once_which_command_prints_them(
    sales: Installation, words: tuple[object, ...]
) -> None:
    begun = time.monotonic()
    done = sales.run(NOBODY, *words)
    assert time.monotonic() - begun < QUICK_S
    assert done.returncode == INFRASTRUCTURE, done.stderr
    assert f"does not allow {NOBODY} to do this" in done.stderr
    assert ADVICE in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "missing",
    [
        Right("topic", f"{PREFIX}calls", "DescribeConfigs"),
        Right("topic", f"{NAME}-settings", "Read"),
        Right("group", NAME, "Read"),
        Right("topic", f"{PREFIX}contacts", "Read"),
    ],
    ids=lambda right: f"{right.operation} {right.name}",
)
def test_a_worker_that_lacks_a_right_ends_and_names_it(sales: Installation, missing: Right) -> None:
    assert missing.name in last_line_of_worker(sales, sales.lacking("worker", missing))[0]


def test_a_worker_goes_on_without_results_of_reconciliations_and_not_without_dead_letters(sales: Installation) -> None:
    asyncio.run(send_invalid(Kafka(bootstrap=sales.kafka.bootstrap)))
    results, letters = (
        Right("topic", f"{PREFIX}reconciliations", "Read"),
        Right("topic", f"{PREFIX}rejected", "Write"),
    )
    last, before = last_line_of_worker(sales, sales.lacking("worker", results, letters))
    (warning,) = [line for line in before if "results of reconciliations are not read" in line]
    assert results.name in warning
    assert ADVICE in warning
    assert letters.name in last


def last_line_of_worker(sales: Installation, user: str) -> tuple[str, list[str]]:
    """Run a worker until it ends for want of a right; return the last line of its log, and those before."""
    done = sales.run(user, "worker")
    assert done.returncode == INFRASTRUCTURE, done.stderr
    *before, last = done.stderr.splitlines()
    assert f"does not allow {user} to do this" in last
    assert ADVICE in last
    return last, before


@pytest.mark.parametrize(
    "missing",
    [
        Right("transactional-id", f"{PREFIX}callpulse-gateway-", "Write", "prefixed"),
        Right("topic", f"{PREFIX}calls", "Write"),
    ],
    ids=lambda right: f"{right.operation} {right.name}",
)
async def test_a_gateway_that_lacks_a_right_keeps_events_until_it_has_it(
    sales: Installation, missing: Right, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_sink, "_START_S", 2.0)  # it goes on without Kafka sooner
    user = await asyncio.to_thread(sales.lacking, "gateway", missing)
    async with KafkaSink(sales.settings(user)) as sink:
        number = 100 + LACKING.index(user)  # another one each time: repeats are known, and not stored again
        assert await sink.store("mine", [event(number)]) == ["accepted"]
        assert sink.spool.size
        assert f"does not allow {user} to do this" in sink.pipeline.trouble
        assert ADVICE in sink.pipeline.trouble
        command = add_commands([missing], bootstrap=sales.kafka.secured, principal=f"User:{user}")
        await asyncio.to_thread(sales.kafka.obey, command)
        async with asyncio.timeout(40):
            while sink.spool.size:  # noqa: ASYNC110 - the sink has no event for it
                await asyncio.sleep(0.1)
        assert sink.pipeline.trouble == ""

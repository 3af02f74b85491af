"""The rights of each role are enough, and none is too many: a broker with an authorizer, and all processes under them.

`story` plays an installation once, each part as a user with the rights of its role and no others. The rights are those
of the commands that `callpulse topics rights` prints.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from agents.cli.common import FAILED, INFRASTRUCTURE
from agents.cli.reconcile.rounds import PROCESS
from agents.gateway import kafka_sink
from agents.gateway.cursors import Cursors
from agents.gateway.joining import Joiner
from agents.gateway.kafka_sink import KafkaSink
from agents.gateway.poll_group import PollGroup
from agents.gateway.service import Service
from agents.kafka.acl_commands import add_commands
from agents.kafka.catch_up import catch_up
from agents.kafka.producer import BatchProducer
from streams.contract import topics
from streams.contract.facts import GROUP
from streams.contract.rights import ROLES, Right, Role, rights
from streams.settings.settings import Kafka, Settings, load
from streams.sources.frame import Refused
from streams.sources.registry import SOURCES
from tests.broker import command_line
from tests.broker.authorizer import PASSWORD, AuthorizedKafka, Decision, authorized_kafka
from tests.broker.gateway_process import event
from tests.broker.test_cli_records import DAY, SECRET
from tests.broker.test_gateway_joining import Halves, half
from tests.kafka_fixture import committed_offsets, consume, eventually
from tests.streams.records import PEOPLE

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

ROOT: Final = Path(__file__).parents[2]
NAME: Final = "sales"
PREFIX: Final = "sales."
GROWN: Final = "grown."
PARTITIONS: Final = 2
NOBODY: Final = "nobody"
LACKING: Final = [f"lacking-{number}" for number in range(12)]
"""Users for tests in which a right is missing, one each."""
QUICK_S: Final = 20.0
"""A deadline for a refusal, for a busy machine: it takes a second, and the client's own deadline is 15 s."""
ADVICE: Final = "`callpulse topics rights` prints them"


class Installation:
    """An installation on the broker, in which users have settings of their own."""

    def __init__(self, kafka: AuthorizedKafka, folder: Path) -> None:
        self.kafka = kafka
        self.folder = folder
        self._lacking = iter(LACKING)

    def config(self, user: str) -> Path:
        """Write the settings of a user."""
        rules = "".join(
            f'[[sources.asterisk.rules]]\nby = "endpoint"\npattern = "{held["extension"]}"\nmanager = "{manager}"\n'
            for manager, held in PEOPLE.items()
        )
        path = self.folder / f"{user}.toml"
        path.write_text(
            f"""
timezone = "Europe/Moscow"
[kafka]
bootstrap = "{self.kafka.secured}"
security_protocol = "SASL_PLAINTEXT"
sasl_mechanism = "PLAIN"
sasl_username = "{user}"
sasl_password = "{PASSWORD}"
group = "{NAME}"
topic_prefix = "{PREFIX}"
partitions = {PARTITIONS}
commit_interval = "200ms"
[privacy]
region = "RU"
lead_secret = "{SECRET}"
[worker]
id = "{user}"
data_dir = "{self.folder / "data"}"
http_port = 0
[gateway]
status_port = 0
data_dir = "{self.folder / "spool" / user}"
[sources.asterisk]
trunks = ["trunk-msk"]
{rules}""",
            encoding="utf-8",
        )
        return path

    def settings(self, user: str) -> Settings:
        """Return the settings of a user."""
        return load(self.config(user).read_text(encoding="utf-8"), {}, SOURCES)

    def run(self, user: str, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the settings of a user."""
        environment = {"PATH": os.environ["PATH"], "CALLPULSE_CONFIG": str(self.config(user)), **variables}
        return command_line.run(*words, environment=environment)

    def said(self, user: str, *words: object, code: int = 0, **variables: str) -> Any:
        """Run a command that succeeds, and return what it prints as JSON."""
        done = self.run(user, *words, "--json", **variables)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def give(self, user: str, role: Role, **variables: str) -> None:
        """Give a user the rights of a role, by the commands that are printed for it."""
        done = self.run(user, "topics", "rights", role, "--principal", f"User:{user}", **variables)
        assert done.returncode == 0, done.stderr
        self.kafka.obey(done.stdout.splitlines())

    def lacking(self, role: Role, *missing: Right) -> str:
        """Return a new user with the rights of a role but some; what these imply is left to the user."""
        user = next(self._lacking)
        had = rights(role, NAME, PREFIX)
        assert set(missing) <= set(had)
        left = [right for right in had if right not in missing]
        left += [Right(right.resource, right.name, "Describe", right.pattern) for right in missing]
        self.kafka.obey(add_commands(left, bootstrap=self.kafka.secured, principal=f"User:{user}"))
        return user

    @contextlib.contextmanager
    def worker(self, user: str) -> Iterator[tuple[command_line.Started, str]]:
        """Run a worker, and yield it with its URL; kill it at last."""
        environment = {"PATH": os.environ["PATH"], "CALLPULSE_CONFIG": str(self.config(user))}
        with command_line.started("worker", "--json", environment=environment) as process:
            told = eventually(lambda: process.out() or not process.is_running, within_s=60)
            assert told, process.err()
            yield process, json.loads(process.out())["url"]


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


def fill(sales: Installation) -> None:
    """Store a history with speech, and in every topic of a worker a record that is no event and one out of place."""
    words = ("--days", "0.1", "--managers", "3", "--always", "--speech", "1", "--seconds", "0")
    assert sales.run("gateway", "simulate", *words).returncode == 0
    kafka = Kafka(bootstrap=sales.kafka.bootstrap)
    asyncio.run(send_misrouted(kafka))
    asyncio.run(send_invalid(kafka))


async def send_misrouted(kafka: Kafka) -> None:
    """Send an event of each topic to another partition than that of its key."""
    async with BatchProducer(kafka) as producer:
        for topic in (topics.CALLS, topics.CRM, topics.SPEECH):
            name = PREFIX + topic.name
            record = next(record for record in consume(kafka.bootstrap, name) if is_event(record.value))
            assert record.key is not None
            away = 1 - topics.partition_of(record.key, PARTITIONS)
            await producer.add(name, record.key, record.value, partition=away)


def is_event(value: bytes | None) -> bool:
    """Return whether the value of a record is an event, and not one of the malformed ones of the simulator."""
    try:
        return "id" in json.loads(value or b"")
    except (ValueError, TypeError):
        return False


async def send_invalid(kafka: Kafka) -> None:
    """Send records that are no events and no facts."""
    headers = [(GROUP, NAME.encode())]  # the worker reads no facts of other groups
    async with BatchProducer(kafka) as producer:
        for topic in topics.SOURCES:
            await producer.add(PREFIX + topic.name, b"somebody", b"nothing", headers)


async def take_in(sales: Installation) -> None:
    """Do what gateways and listeners do: store events, statements, dead letters, cursors; join; share the polls."""
    settings = sales.settings("gateway")
    async with KafkaSink(settings) as sink:
        assert await sink.store("mine", [event(1)]) == ["accepted"]
        await sink.keep("x", [half(1, 1), half(1, 2)])
        await sink.refuse("mine", [Refused(reason="not_json", detail="no event", where="body")])
        assert not sink.spool.size
        polled: list[Sequence[str]] = []
        group = PollGroup(settings.kafka, ["amo"], lambda names: polled.append(list(names)), print)
        async with running(Joiner(settings, {"x": Halves()}, sink).run()), running(group.run()):
            async with asyncio.timeout(30):
                while not polled or not await asyncio.to_thread(joined, sales):  # noqa: ASYNC110 - Kafka has no event
                    await asyncio.sleep(0.3)
    async with Cursors(settings.kafka) as cursors:
        await cursors.put("file:x", b"1")


def joined(sales: Installation) -> bool:
    """Return whether the event of the statements is stored, and the join is committed."""
    bootstrap = sales.kafka.bootstrap
    is_committed = committed_offsets(bootstrap, f"{PREFIX}callpulse-joins", f"{PREFIX}statements")
    return bool(is_committed) and any(
        record.value is not None and b'"x:c1"' in record.value for record in consume(bootstrap, f"{PREFIX}calls")
    )


@contextlib.asynccontextmanager
async def running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def fold(sales: Installation) -> float:
    """Let a worker fold or restore everything, and end it; return the number of calls that it counts."""
    with sales.worker("worker") as (process, url):
        eventually(lambda: is_ready(url), within_s=60, what="the worker is ready")
        asyncio.run(asyncio.wait_for(catch_up(sales.settings("operator").kafka, lambda: None), 60))
        found = calls(url)
        assert process.end() == 0, process.err()
    return found


def is_ready(url: str) -> bool:
    return answer_of(f"{url}/-/ready") is not None


def calls(url: str) -> float:
    """Return the number of calls in the metrics of a worker."""
    lines = (answer_of(f"{url}/metrics") or "").splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("callpulse_calls{") and '"90d"' in line)


def answer_of(url: str) -> str | None:
    """Return what a worker answers, None for an error."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - a worker of this test
            return str(answer.read(), "utf-8")
    except urllib.error.HTTPError:
        return None


def explain(sales: Installation) -> None:
    """Do what a reader may."""
    legs = consume(sales.kafka.bootstrap, f"{PREFIX}calls")
    manager = next(record.key.decode() for record in legs if record.key not in (None, b"somebody", b"m1"))
    assert sales.run("reader", "explain", manager).returncode == 0
    assert sales.run("reader", "coaching", manager).returncode == 0
    assert sales.run("reader", "unmapped").returncode == 0
    assert sales.said("reader", "rejected", "list")["letters"]


def reconcile(sales: Installation) -> None:
    """Compare a day with its records, and send the ends that are missing; be the process that goes on doing it."""
    said = sales.said("reconcile", "reconcile", "--day", "2026-11-17", "--cel", DAY, "--repair", code=1)
    assert said["sent"] > 0

    async def serve() -> None:
        async with Service(sales.settings("reconcile"), PROCESS) as service:
            assert service.sink.pipeline.reached.is_set()

    asyncio.run(serve())


def operate(sales: Installation) -> None:
    """Do what an operator does."""
    assert sales.said("operator", "topics", "check")["differences"] == []
    assert sales.run("operator", "unmapped").returncode == 0
    # Of refused speech nothing is kept that could be sent back, so the command ends with 1.
    sent = sales.said("operator", "rejected", "redrive", code=FAILED)["by_topic"]
    assert {PREFIX + topic.name for topic in topics.SOURCES if topic is not topics.SPEECH} <= sent.keys()
    speech = consume(sales.kafka.bootstrap, f"{PREFIX}speech")
    spoken = [json.loads(record.value or b"") for record in speech if is_event(record.value)]
    lead = next(said["lead"] for said in spoken if said.get("lead"))
    assert any(sales.said("operator", "forget", lead)["rows"].values())
    sales.give("operator", "operator", CALLPULSE_KAFKA__TOPIC_PREFIX=GROWN)
    grown = sales.said("operator", "topics", "grow", "--partitions", 3, "--prefix", GROWN)
    assert all(topic["copied"] for topic in grown["topics"])


def of_roles(kafka: AuthorizedKafka) -> list[Decision]:
    """Return what the authorizer was asked about the users with the rights of a role, for the names of `sales`."""
    return [one._replace(name=one.name.replace(GROWN, PREFIX, 1)) for one in kafka.decisions() if one.user in ROLES]


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

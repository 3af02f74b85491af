"""An installation on a broker with an authorizer, and what each role does in it, each as a user of its own.

The rights of the users are those of the commands that `callpulse topics rights` prints.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from agents.cli.common import FAILED
from agents.cli.reconcile.rounds import PROCESS
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
from tests.broker.authorizer import PASSWORD, AuthorizedKafka, Decision
from tests.broker.gateway_process import event
from tests.broker.test_cli_records import DAY, SECRET
from tests.broker.test_gateway_joining import Halves, half, running
from tests.kafka_fixture import committed_offsets, consume, eventually
from tests.streams.records import PEOPLE

NAME: Final = "sales"
PREFIX: Final = "sales."
GROWN: Final = "grown."
PARTITIONS: Final = 2
NOBODY: Final = "nobody"
LACKING: Final = [f"lacking-{number}" for number in range(12)]
"""Users for tests in which a right is missing, one each."""


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

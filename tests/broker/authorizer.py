"""A broker that allows only what its access control list says, and logs each question that its authorizer answers."""

from __future__ import annotations

import argparse
import asyncio
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest_v1
from aiokafka.protocol.api import Request

from agents.embedded import EmbeddedKafka, config
from streams.contract.rights import Right
from tests.broker.security import ports_for

PASSWORD: Final = "user-pass-4721"  # noqa: S105 - of a broker that lives for one module
_LOGIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
_LOGGER: Final = """\
logger.authorizer.name=kafka.authorizer.logger
logger.authorizer.level=DEBUG
"""
_DECISION: Final = re.compile(
    r"Principal = User:(?P<user>\S+) is (?P<decision>Allowed|Denied) operation = (?P<operation>\S+) "
    r"from host = \S+ on resource = (?P<resource>\w+):LITERAL:(?P<name>\S+) for request = (?P<request>\w+)"
)
# The numbers by which Kafka's protocol knows what `kafka-acls.sh` takes as words.
_RESOURCES: Final = {"topic": 2, "group": 3, "transactional-id": 5}
_PATTERNS: Final = {"literal": 3, "prefixed": 4}
_OPERATIONS: Final = {
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Delete": 6,
    "Alter": 7,
    "Describe": 8,
    "ClusterAction": 9,
    "DescribeConfigs": 10,
    "AlterConfigs": 11,
    "IdempotentWrite": 12,
}
_ALLOW: Final = 3
_ANY_HOST: Final = "*"


class Rule(NamedTuple):
    """An entry of the access control list, with the numbers of the protocol."""

    resource: int
    name: str
    pattern: int
    principal: str
    operation: int


class Decision(NamedTuple):
    """An answer of the authorizer. Names of operations and resources are in capitals, as the broker logs them."""

    user: str
    is_allowed: bool
    operation: str
    resource: str
    name: str
    request: str


class _CreateAcls(Request[CreateAclsRequest_v1]):  # type: ignore[misc]  # aiokafka has no types
    """A request for many rules. That of aiokafka has one, and its clients have no method for it."""

    API_KEY = CreateAclsRequest_v1.API_KEY

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = rules

    def build(self, request_struct_class: type[Any]) -> Any:
        return request_struct_class(
            [
                (rule.resource, rule.name, rule.pattern, rule.principal, _ANY_HOST, rule.operation, _ALLOW)
                for rule in self._rules
            ]
        )


class AuthorizedKafka:
    """The broker. `bootstrap` is for a super user without a password, `secured` for the users."""

    def __init__(self, kafka: EmbeddedKafka, secured: str) -> None:
        self._kafka = kafka
        self.secured = secured

    @property
    def bootstrap(self) -> str:
        """`host:port` for whoever may do everything."""
        return self._kafka.bootstrap

    def decisions(self) -> set[Decision]:
        """Return the answers of the authorizer so far."""
        text = self._kafka.log_file.read_text(encoding="utf-8", errors="replace")
        return {
            Decision(
                found["user"],
                found["decision"] == "Allowed",
                found["operation"],
                found["resource"],
                found["name"],
                found["request"],
            )
            for found in _DECISION.finditer(text)
        }

    def obey(self, commands: Iterable[str]) -> None:
        """Do what shell commands with `kafka-acls.sh` would do."""
        wanted = [rule for command in commands for rule in rules_of(command)]
        asyncio.run(self._create(wanted))

    async def _create(self, wanted: list[Rule]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            reply = await admin._send_request(_CreateAcls(wanted))
            assert [code for code, _ in reply.creation_responses] == [0] * len(wanted), reply
        finally:
            await admin.close()


def rule(right: Right, principal: str) -> Rule:
    """Return the rule that gives a right."""
    numbers = _RESOURCES[right.resource], _PATTERNS[right.pattern], _OPERATIONS[right.operation]
    return Rule(numbers[0], right.name, numbers[1], principal, numbers[2])


def rules_of(command: str) -> list[Rule]:
    """Return the rules that a command with `kafka-acls.sh --add` makes.

    A line that the tool would not understand ends the test.
    """
    program, *words = shlex.split(command)
    assert program == "kafka-acls.sh"
    tool = argparse.ArgumentParser(prog=program, allow_abbrev=False, exit_on_error=False)
    tool.add_argument("--bootstrap-server", required=True)
    tool.add_argument("--command-config")
    tool.add_argument("--add", action="store_true", required=True)
    tool.add_argument("--allow-principal", action="append", required=True)
    tool.add_argument("--operation", action="append", required=True, choices=_OPERATIONS)
    tool.add_argument("--resource-pattern-type", default="literal", choices=_PATTERNS)
    for resource in _RESOURCES:
        tool.add_argument(f"--{resource}", action="append", default=[], dest=resource)
    given = tool.parse_args(words)
    return [
        Rule(_RESOURCES[resource], name, _PATTERNS[given.resource_pattern_type], principal, _OPERATIONS[operation])
        for resource in _RESOURCES
        for name in getattr(given, resource)
        for principal in given.allow_principal
        for operation in given.operation
    ]


@contextmanager
def authorized_kafka(users: Iterable[str]) -> Iterator[AuthorizedKafka]:
    """Start the broker, with users who may do nothing yet."""
    plaintext, secured = ports_for("PLAINTEXT", "SECURED")
    logins = " ".join(f'user_{user}="{PASSWORD}"' for user in users)
    listeners = {"PLAINTEXT": plaintext, "SECURED": secured}
    (controller,) = ports_for("CONTROLLER")
    addresses = {name: f"{config.HOST}:{port}" for name, port in listeners.items()}
    both = ",".join(f"{name}://{address}" for name, address in addresses.items())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "LOG4J2", config.LOG4J2 + _LOGGER)
        kafka = EmbeddedKafka(
            port=plaintext,
            properties={
                "controller.quorum.voters": f"{config.NODE_ID}@{config.HOST}:{controller}",
                "listeners": f"{both},CONTROLLER://{config.HOST}:{controller}",
                "advertised.listeners": both,
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_PLAINTEXT",
                "listener.name.secured.sasl.enabled.mechanisms": "PLAIN",
                "listener.name.secured.plain.sasl.jaas.config": f"{_LOGIN} required {logins};",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "allow.everyone.if.no.acl.found": "false",
                "super.users": "User:ANONYMOUS",  # the broker itself, and the tests' own helpers
            },
        )
        kafka.start()
    with kafka:
        yield AuthorizedKafka(kafka, addresses["SECURED"])
        kafka.kill()  # the data of the broker is not read again

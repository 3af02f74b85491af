"""`callpulse topics rights`: the commands that it prints, without a broker."""

from __future__ import annotations

import shlex

import msgspec
import pytest

from agents.cli.common import USAGE
from agents.kafka.acl_commands import add_commands
from streams.contract.rights import ROLES, Right, rights
from tests.agents.cli_runner import Runner
from tests.broker.authorizer import Rule, rule, rules_of

PRINCIPAL = "User:CN=gate way,O=O'Hara & Co"


@pytest.mark.parametrize("role", ROLES)
def test_the_commands_give_the_rights_and_no_others(callpulse: Runner, role: str) -> None:
    settings = {"CALLPULSE_KAFKA__GROUP": "sales", "CALLPULSE_KAFKA__TOPIC_PREFIX": "eu."}
    words = ("topics", "rights", role, "--principal", PRINCIPAL, "--bootstrap", "one:9092,two:9092")
    done = callpulse(*words, **settings)
    assert done.code == 0, done.err
    made: list[Rule] = [one for line in done.out.splitlines() for one in rules_of(line)]
    wanted = [rule(right, PRINCIPAL) for right in rights(role, "sales", "eu.")]  # type: ignore[arg-type]  # a Role
    assert sorted(made) == sorted(wanted)
    said = callpulse(*words, "--json", **settings).json
    assert said["commands"] == done.out.splitlines()
    assert [msgspec.convert(one, Right) for one in said["rights"]] == list(rights(role, "sales", "eu."))  # type: ignore[arg-type]  # as above
    assert (said["role"], said["principal"]) == (role, PRINCIPAL)


def test_the_tool_is_told_how_to_connect() -> None:
    (command,) = add_commands(
        [Right("topic", "calls", "Read"), Right("topic", "crm", "Read")],
        bootstrap="one:9092",
        principal="User:anna",
        command_config="my admin.properties",
    )
    assert shlex.split(command) == [
        "kafka-acls.sh",
        *("--bootstrap-server", "one:9092", "--command-config", "my admin.properties"),
        *("--add", "--allow-principal", "User:anna", "--operation", "Read", "--topic", "calls", "--topic", "crm"),
    ]


@pytest.mark.parametrize("principal", ["anna", "User:", ":anna", "a user:anna"])
def test_a_principal_without_a_type_or_a_name_is_refused(callpulse: Runner, principal: str) -> None:
    done = callpulse("topics", "rights", "worker", "--principal", principal)
    assert done.code == USAGE
    assert "for example User:worker" in done.err


def test_another_role_is_refused_with_those_that_there_are(callpulse: Runner) -> None:
    done = callpulse("topics", "rights", "boss", "--principal", "User:anna")
    assert done.code == USAGE
    assert all(role in done.err for role in ROLES)

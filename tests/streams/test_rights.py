"""The table of rights: names follow the settings, no right is implied by another one, and the pages say the same."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from streams.contract import groups, topics
from streams.contract.rights import OPERATIONS, PURPOSES, ROLES, Right, Role, rights

ROOT: Final = Path(__file__).parents[2]
IMPLIED: Final = {"Describe": {"Read", "Write", "Delete", "Alter"}, "DescribeConfigs": {"AlterConfigs"}}
"""By operation, the operations that include it: Kafka's own rule."""
OF_GROUPS: Final = ("group", "transactional-id")


@pytest.mark.parametrize("role", ROLES)
def test_no_right_is_there_twice_or_implied_by_another_one(role: Role) -> None:
    found = rights(role)
    assert len(set(found)) == len(found)
    on = {(right.resource, right.name): set[str]() for right in found}
    for right in found:
        on[right.resource, right.name].add(right.operation)
    assert [right for right in found if IMPLIED.get(right.operation, set()) & on[right.resource, right.name]] == []


@pytest.mark.parametrize("role", ROLES)
def test_names_follow_the_group_and_the_prefix_of_the_settings(role: Role) -> None:
    declared = {topic.name for topic in topics.declared("sales", "eu.")}
    others = {"sales", groups.joins("eu."), groups.polls("sales"), groups.transactional_id("", "eu.")}
    assert {right.name for right in rights(role, "sales", "eu.")} <= declared | others
    assert others == {"sales", "eu.callpulse-joins", "sales-polls", "eu.callpulse-gateway-"}


def test_a_worker_may_do_what_it_checks_before_it_starts_and_a_gateway_what_it_writes() -> None:
    worker = rights("worker", "sales", "eu.")
    for topic in topics.of_worker("sales", "eu."):
        assert Right("topic", topic.name, "DescribeConfigs") in worker
    gateway = rights("gateway", "sales", "eu.")
    for topic in topics.of_gateway("eu."):
        assert Right("topic", topic.name, "Write") in gateway


def test_an_operator_may_create_and_check_every_topic_and_a_reader_may_change_nothing() -> None:
    made = {right.name for right in rights("operator") if right.operation == "Create"}
    assert made == {topic.name for topic in topics.declared()}
    checked = {right.name for right in rights("operator") if right.operation in {"DescribeConfigs", "AlterConfigs"}}
    assert checked == made
    assert {right.operation for right in rights("reader")} == {"Read"}
    assert set(rights("reader")) <= set(rights("operator"))
    assert topics.SPEECH.name not in {right.name for right in rights("reader")}, "words are for workers and gateways"


def test_the_table_of_the_page_is_that_of_the_code() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    section = page.split("## Access rights in Kafka\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    purposes = [line for line in lines if re.match(r"\| `\w+` \| `callpulse ", line)]
    assert purposes == [f"| `{role}` | {PURPOSES[role]} |" for role in ROLES]
    assert lines[-len(table()) :] == table()


def table() -> list[str]:
    """Return the rights of an installation without a prefix: a row for each resource, a column for each role."""
    of_roles = {role: rights(role) for role in ROLES}
    names = {("topic", topic.name): "literal" for topic in topics.declared()}
    names |= {
        (right.resource, right.name): right.pattern
        for kind, role in product(OF_GROUPS, ROLES)
        for right in of_roles[role]
        if right.resource == kind
    }
    rows = ["| Resource | " + " | ".join(f"`{role}`" for role in ROLES) + " |", "|---" * (1 + len(ROLES)) + "|"]
    for (resource, name), pattern in names.items():
        kind = "transactional ids" if pattern == "prefixed" else resource
        begin = "that begin with " if pattern == "prefixed" else ""
        cells = []
        for role in ROLES:
            had = {right.operation for right in of_roles[role] if (right.resource, right.name) == (resource, name)}
            cells.append(", ".join(operation for operation in OPERATIONS if operation in had) or "-")
        rows.append(f"| {kind} {begin}`{name}` | " + " | ".join(cells) + " |")
    return rows

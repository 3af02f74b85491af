"""Facts carry the group that made them: a new group with other settings folds only its own."""

from __future__ import annotations

import pytest

from streams.contract.events import CallsEvent, CrmEvents
from streams.contract.facts import GROUP
from streams.settings.settings import load
from tests.agents.test_misrouted import MANAGER, SETTINGS, calls, figures, group_after, put
from tests.broker.leads_fixture import annotated
from tests.upgrade.in_memory import Installation

OTHER = load('timezone = "UTC"\nthresholds.conversation = "2m"\nresults.mentor_after = 2\n[kafka]\npartitions = 4', {})
SOME: list[CallsEvent | CrmEvents] = [
    *calls(range(40)),
    *(annotated(number, f"lead-{number}", f"c{number}") for number in range(0, 40, 3)),
]


def fresh() -> dict[str, float]:
    """The figures of an installation that has never had other settings."""
    alone = Installation(OTHER)
    put(alone, SOME)
    return figures(alone)


@pytest.mark.parametrize("maker", [None, b"old"], ids=["of an earlier release", "named"])
def test_a_new_group_makes_every_figure_by_its_own_settings(maker: bytes | None) -> None:
    first = Installation(SETTINGS, maker=maker)
    put(first, SOME)
    expected = figures(first)
    second = group_after(first, OTHER, maker=b"new")
    found = figures(second)
    assert found == fresh()
    assert found != expected, "the settings make no difference"
    assert figures(first) == expected, "the old group folds facts of the new one"


def test_a_group_of_an_earlier_release_goes_on_without_a_name() -> None:
    """Facts that the group made before are on their way: with a name it would lose them."""
    first = Installation(SETTINGS)
    put(first, SOME)
    figures(first)
    facts = [record for name in ("contacts", "outcomes") for log in first.topics.logs[name] for record in log]
    assert facts
    assert {record.headers for record in facts} == {()}


def test_facts_carry_the_name_of_the_group() -> None:
    first = Installation(SETTINGS, maker=b"sales-2")
    put(first, SOME)
    assert f'manager="{MANAGER}"' in "".join(figures(first))
    facts = [record for name in ("contacts", "outcomes") for log in first.topics.logs[name] for record in log]
    assert {record.headers for record in facts} == {((GROUP, b"sales-2"),)}

"""Deals have rows of their own in new groups; groups of the release before count a deal with each of its leads."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agents.kafka import evidence
from agents.kafka.settings_log import last_that_counts
from agents.state.expiry import Expiry
from streams.contract import events, topics
from streams.contract.events import CrmEvents
from streams.contract.facts import RESERVED, deal_key
from streams.contract.origin import Origin, header
from tests.agents.test_misrouted import MANAGER, NOW_MS, SETTINGS, calls, figures, group_after, put
from tests.agents.test_settings_log import ONE, record
from tests.broker.in_process import START_MS
from tests.broker.leads_fixture import annotated, deal
from tests.upgrade.in_memory import Installation

DAY_MS = 86_400_000
WON = f'callpulse_won_deals{{manager="{MANAGER}",team="unassigned",window="7d"}}'


def home(key: str) -> int:
    return topics.partition_of(key.encode(), 4)


def leads_apart() -> tuple[str, str]:
    """Return two leads in different partitions, neither of them that of the deal."""
    names = [f"lead-{number}" for number in range(40)]
    of_deal = home(deal_key("crm", "d"))
    one = next(name for name in names if home(name) != of_deal)
    return one, next(name for name in names if home(name) not in {of_deal, home(one)})


ONE_LEAD, OTHER_LEAD = leads_apart()
TWO_LEADS: list[CrmEvents] = [
    deal(1, ONE_LEAD, "won", deal="d", manager=MANAGER),
    deal(2, OTHER_LEAD, "won", deal="d", manager=MANAGER),
]


@pytest.mark.parametrize("order", [1, -1])
def test_a_deal_under_two_leads_counts_once(order: int) -> None:
    installation = Installation(SETTINGS, deal_rows=True, maker=b"new")
    put(installation, TWO_LEADS[::order])
    assert figures(installation)[WON] == 1


def test_a_group_of_the_release_before_goes_on_as_it_began_and_a_rebuild_counts_it_once() -> None:
    before = Installation(SETTINGS)
    put(before, TWO_LEADS)
    assert figures(before)[WON] == 2
    keys = {record.key for log in before.topics.logs["contacts"] for record in log}
    assert keys == {ONE_LEAD.encode(), OTHER_LEAD.encode()}
    rebuilt = group_after(before, maker=b"new", deal_rows=True)
    assert figures(rebuilt)[WON] == 1
    assert figures(before)[WON] == 2


def test_a_record_of_an_earlier_release_says_that_deals_have_no_rows() -> None:
    written = record(-1, ONE)
    assert b"deal_rows" not in written
    _, agreed = last_that_counts([(0, written)])
    assert agreed is not None
    assert not agreed.deal_rows


def test_misrouted_events_of_a_deal_count_once_whatever_else_came_from_their_partition() -> None:
    """A later record of the same partition has reached the deal before the copy of the misrouted one does."""
    first = Installation(SETTINGS, deal_rows=True)
    stray = deal(1, ONE_LEAD, "qualified", deal="d", amount="10", product="gold")
    put(first, [stray], partition=home(OTHER_LEAD))
    put(first, [deal(2, OTHER_LEAD, "won", deal="d", manager=MANAGER, amount=None, currency=None)])
    before = figures(first)
    assert before[WON] == 1
    key = deal_key("crm", "d").encode()
    row = first.tables["leads"].part(home(deal_key("crm", "d"))).rows[key]
    assert [change.stage for change in row.state.changes] == ["qualified", "won"]
    revision = row.state.revision
    second = group_after(first, deal_rows=True)
    assert figures(second) == before
    assert figures(first) == before, "the copy that the second group made changes nothing"
    assert row.state.revision == revision


def test_a_copy_of_a_misrouted_event_says_where_it_came_from() -> None:
    installation = Installation(SETTINGS, deal_rows=True)
    stray = deal(1, ONE_LEAD, "won", deal="d")
    put(installation, [stray], headers=(header("crm", Origin(home(OTHER_LEAD), 7)),))
    figures(installation)
    row = installation.tables["leads"].part(home(deal_key("crm", "d"))).rows[deal_key("crm", "d").encode()]
    assert list(row.state.applied) == [f"crm/{home(OTHER_LEAD)}>{home(ONE_LEAD)}"]


def test_no_lead_has_the_name_of_a_deals_row() -> None:
    installation = Installation(SETTINGS, deal_rows=True, refuse=False)
    name = deal_key("crm", "d")
    put(installation, [annotated(1, name, "c1")])
    put(installation, [events.CallEnded(**{**_fields(calls([1])[0]), "lead": name})])
    installation.work([], NOW_MS)
    letters = [record for log in installation.topics.logs["rejected"] for record in log]
    assert [dict(letter.headers)["reason"] for letter in letters] == [b"invalid_field"] * 2


def _fields(event: events.CallEnded) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_the_row_of_a_deal_stays_twice_as_long_as_that_of_its_lead() -> None:
    installation = Installation(SETTINGS, deal_rows=True)
    put(installation, TWO_LEADS)
    installation.work([], START_MS + 10_000)
    days = SETTINGS.results.lead_expiry_days
    kept = []
    for factor in (1, 2):
        expiry = Expiry(installation.tables["leads"], days * DAY_MS)
        expiry.step(START_MS + factor * days * DAY_MS + 60_000, set(range(4)), rows=1000)
        left = [key.decode() for part in installation.tables["leads"].parts.values() for key in part.rows]
        kept.append(sorted(key.startswith(RESERVED) for key in left))
    assert kept == [[True], []]


def test_the_row_of_a_deal_is_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    installation = Installation(SETTINGS, deal_rows=True)
    put(installation, TWO_LEADS)
    figures(installation)
    changelog = installation.topics.logs[installation.tables["leads"].changelog]

    async def records(_kafka: Any, topic: str, *_: Any, **_more: Any) -> Any:
        for log in changelog if topic.endswith("leads-changelog") else ():
            for found in log:
                yield SimpleNamespace(key=found.key, value=found.value)

    monkeypatch.setattr(evidence, "records_to_end", records)
    known = asyncio.run(evidence.read(SETTINGS, MANAGER))
    assert {lead for lead, _ in known.contributions} == {OTHER_LEAD}
    assert {contribution.ref for _, contribution in known.contributions} == {"deal:d"}

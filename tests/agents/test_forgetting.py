"""A lead that is forgotten: its row and those of its deals are removed, sums stay, and other leads are unchanged."""

from __future__ import annotations

from typing import Any

import pytest

from agents.state.expiry import EMPTIED_KEPT_MS, Emptied, Expiry
from streams.contract import facts, topics
from streams.contract.events import CallsEvent, CrmEvents
from streams.contract.facts import BY_HAND, Forgotten, deal_key
from streams.tables.lead.row import LeadRow
from tests.agents.cli_runner import Runner
from tests.agents.test_misrouted import MANAGER, NOW_MS, SETTINGS, calls, figures, put
from tests.broker.in_process import call_ended
from tests.broker.leads_fixture import annotated, deal, linked
from tests.upgrade.in_memory import Installation
from tests.upgrade.today import Record

LEAD, OTHER = "lead-1", "lead-2"
DEAL = deal_key("crm", "d")
STORY: list[CallsEvent | CrmEvents] = [
    *(call_ended(number, MANAGER, lead=LEAD) for number in range(4)),
    *(call_ended(number, MANAGER, lead=OTHER) for number in range(10, 14)),
    annotated(1, LEAD, "c0", next_step=None, stages=()),
    deal(-10, LEAD, "presentation", deal="d", manager=MANAGER),
]


@pytest.fixture
def installation() -> Installation:
    made = Installation(SETTINGS, deal_rows=True, maker=b"new")
    put(made, STORY)
    made.work([], NOW_MS)
    return made


def forget(installation: Installation, lead: str = LEAD, seq: int = 1, headers: Any = ((facts.GROUP, b"new"),)) -> None:
    log = installation.topics.logs["contacts"][home(lead)]
    fact = facts.encode(Forgotten(src=BY_HAND, seq=seq, lead=lead))
    log.append(Record(lead.encode(), fact, len(log), NOW_MS, headers))


def home(key: str) -> int:
    return topics.partition_of(key.encode(), 4)


def row(installation: Installation, key: str) -> LeadRow | None:
    found: LeadRow | None = installation.tables["leads"].part(home(key)).rows.get(key.encode())
    return found


def remove_emptied(installation: Installation) -> None:
    """Let the time pass after which emptied rows are removed, and write a checkpoint."""
    expiry = Expiry(installation.tables["leads"], SETTINGS.results.lead_expiry_days * 86_400_000)
    for now_ms in (NOW_MS, NOW_MS + EMPTIED_KEPT_MS - 1, NOW_MS + EMPTIED_KEPT_MS):
        expiry.step(now_ms, range(4), rows=1000)
    installation.work([], NOW_MS)


def last_records(installation: Installation) -> dict[bytes, bytes | None]:
    log = next(log for name, log in installation.topics.logs.items() if name.endswith("-leads-changelog"))
    return {record.key: record.value for part in log for record in part if record.key}


def listed(installation: Installation) -> set[str]:
    part = installation.tables["outcomes"].part(home(MANAGER))
    return set(part.rows[MANAGER.encode()].state.attention)


def test_rows_of_the_lead_and_its_deal_are_removed_and_figures_stay(installation: Installation) -> None:
    before = figures(installation)
    assert listed(installation) == {LEAD, OTHER}
    others = dict(row(installation, OTHER).state.applied)  # type: ignore[union-attr]  # it is there
    forget(installation)
    after = figures(installation)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert {name.partition("{")[0] for name in changed} <= {"callpulse_lead_attention", "callpulse_stuck_leads"}
    assert listed(installation) == {OTHER}
    assert LEAD.encode() not in b"".join(value or b"" for value in last_records(installation).values())
    remove_emptied(installation)
    assert row(installation, LEAD) is None
    assert row(installation, DEAL) is None
    records = last_records(installation)
    assert records[LEAD.encode()] is records[DEAL.encode()] is None
    assert row(installation, OTHER).state.applied == others  # type: ignore[union-attr]  # it is there
    assert figures(installation) == after


def test_a_fact_that_is_sent_again_changes_nothing(installation: Installation) -> None:
    contacts = [(number, record) for number, log in enumerate(installation.topics.logs["contacts"]) for record in log]
    forget(installation)
    expected = figures(installation)
    later = call_ended(60, MANAGER, lead=LEAD)
    put(installation, [later])
    with_later = figures(installation)
    assert with_later != expected
    forget(installation)  # the very same request
    for number, record in contacts:
        log = installation.topics.logs["contacts"][number]
        log.append(Record(record.key, record.value, len(log), NOW_MS, record.headers))
    assert figures(installation) == with_later
    found = row(installation, LEAD)
    assert found is not None
    assert [leg.call for leg in found.state.legs] == ["c60"]
    remove_emptied(installation)
    assert row(installation, LEAD) is not None, "the row has a call again"


def test_a_later_event_makes_a_new_row_and_the_lead_can_be_forgotten_again(installation: Installation) -> None:
    forget(installation)
    installation.work([], NOW_MS)
    remove_emptied(installation)
    put(installation, [call_ended(60, MANAGER, lead=LEAD), deal(70, LEAD, "proposal", deal="d", manager=MANAGER)])
    installation.work([], NOW_MS)
    assert [leg.call for leg in row(installation, LEAD).state.legs] == ["c60"]  # type: ignore[union-attr]  # it is there
    assert [change.stage for change in row(installation, DEAL).state.changes] == ["proposal"]  # type: ignore[union-attr]  # it is there
    forget(installation, seq=2)
    installation.work([], NOW_MS)
    remove_emptied(installation)
    assert row(installation, LEAD) is row(installation, DEAL) is None


def test_another_groups_request_and_one_for_an_unknown_lead_change_nothing(installation: Installation) -> None:
    expected = figures(installation)
    forget(installation, headers=((facts.GROUP, b"old"),))
    forget(installation, headers=())
    forget(installation, "nobody")
    assert figures(installation) == expected
    assert row(installation, LEAD) is not None
    assert row(installation, "nobody") is None


def test_a_key_that_was_linked_is_forgotten_with_its_link() -> None:
    installation = Installation(SETTINGS, deal_rows=True)
    put(installation, [*calls([1]), linked(2, OTHER, "lead-1")])
    installation.work([], NOW_MS)
    forget(installation, headers=())
    installation.work([], NOW_MS)
    put(installation, calls([51]))  # of lead-1: no link is followed any longer
    installation.work([], NOW_MS)
    assert [leg.call for leg in row(installation, LEAD).state.legs] == ["c51"]  # type: ignore[union-attr]  # it is there


def test_an_emptied_row_that_was_filled_meanwhile_is_kept_as_long_as_others_when_it_is_emptied_again() -> None:
    emptied = Emptied()
    assert not emptied.is_over(b"k", 0)
    emptied.forget(b"k")
    assert not emptied.is_over(b"k", EMPTIED_KEPT_MS)
    assert emptied.is_over(b"k", 2 * EMPTIED_KEPT_MS)


def test_the_key_of_a_deal_is_no_lead(callpulse: Runner) -> None:
    done = callpulse("forget", DEAL)
    assert (done.code, done.out) == (2, "")
    assert "no name of a lead" in done.err

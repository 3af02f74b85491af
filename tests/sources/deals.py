"""Deals and links of leads by the plainest reading of the contract, compared with expected.json of a CRM."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from streams.contract.events import DealDeleted, DealStageChanged, Event, LeadLinked
from streams.phone_numbers import lead_key
from tests.sources.story import SECRET, ms_of


def deal_differences(
    expected: Any, events: Sequence[Event], leads: dict[str, str], *, slack_ms: int = 0, has_currency: bool = True
) -> list[str]:
    """Return the differences from the expectation, in words. `leads` has the expected lead of each deal, by its id."""
    wrong: list[str] = []
    changes = [one for one in events if isinstance(one, DealStageChanged)]
    if {one.deal for one in changes} != {deal["source_deal"] for deal in expected["deals"]}:
        wrong.append(f"deals are {sorted({one.deal for one in changes})}")
    for deal in expected["deals"]:
        mine = sorted((one for one in changes if one.deal == deal["source_deal"]), key=lambda one: (one.at, one.id))
        wrong += [f"{deal['deal']}: {text}" for text in _unlike(deal, mine, leads.get(deal["source_deal"]), slack_ms)]
        if has_currency and Decimal(deal["amount"] or 0):
            currencies = {one.currency for one in mine if one.currency is not None}
            wrong += [f"{deal['deal']}: currency {currencies}"] * (currencies != {deal["currency"]})
        gone = {one.at for one in events if isinstance(one, DealDeleted) and one.deal == deal["source_deal"]}
        if (deal["deleted"] is None) is not (not gone):
            wrong.append(f"{deal['deal']}: deletions {gone} instead of {deal['deleted']}")
        elif gone and abs(min(gone) - ms_of(deal["deleted"])) > max(slack_ms, 10_000):
            wrong.append(f"{deal['deal']}: deleted at {gone}")
    return wrong


def _unlike(deal: Any, mine: Sequence[DealStageChanged], lead: str | None, slack_ms: int) -> Iterable[str]:
    said = [(run[0], next(run[1]).at) for run in itertools.groupby(mine, key=lambda one: one.stage)]
    want = [(one["stage"], one["at_ms"]) for one in deal["stages"]]
    if [stage for stage, _ in said] != [stage for stage, _ in want]:
        yield f"stages {said} instead of {want}"
    elif any(abs(at - wanted) > slack_ms for (_, at), (_, wanted) in zip(said, want, strict=True)):
        yield f"stages at {said} instead of {want}"
    amount = next((one.amount for one in reversed(mine) if one.amount is not None), None)
    if (amount or Decimal(0)) != Decimal(deal["amount"] or 0):
        yield f"amount {amount} instead of {deal['amount']}"
    manager = next((one.manager for one in reversed(mine) if one.manager is not None), None)
    if manager != deal["manager"]:
        yield f"manager {manager} instead of {deal['manager']}"
    if lead is not None and mine and mine[-1].lead != lead:
        yield f"lead {mine[-1].lead} instead of {lead}"


def link_differences(expected: Any, events: Sequence[Event], prefix: str) -> list[str]:
    """Return the numbers with a wrong, missing or superfluous link to a lead. `prefix` is that of a lead's id."""
    found = {(one.lead, one.old_key) for one in events if isinstance(one, LeadLinked)}
    wanted = {
        (prefix + link["lead"], lead_key(number, SECRET.encode()))
        for link in expected["lead_links"]
        for number in link["numbers"]
    }
    numbers = {one for one in found if one[1].startswith("phone:")}
    return [f"links {sorted(numbers ^ wanted)} differ"] if numbers != wanted else []

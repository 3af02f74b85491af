"""A department in the form of the webhooks of two CRMs: Pipedrive (version 2) and amoCRM. Whole seconds.

`CrmPushes` takes the contract events of the department as they happen, and returns the requests of each CRM about them:
the present state of the whole deal, and in Pipedrive the person, too. No other data is available without their APIs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import Any, Final

import msgspec

from streams.contract.events import DealStageChanged, Event, LeadLinked
from streams.settings.results import LOST, WON
from streams.settings.settings import Manager
from streams.simulator.rendering.phone_book import PhoneBook
from streams.units import SECOND_MS

_FIRST_USER: Final = 101
_FIRST_STATUS: Final = 50_000_001
_CLOSED: Final[Mapping[str, int]] = MappingProxyType({WON: 142, LOST: 143})
"""The statuses of amoCRM that are the same in every pipeline."""


class Deal(msgspec.Struct, kw_only=True):
    """The present state of a deal. `stage` is its last stage while it was open, `status` is open, won or lost."""

    id: int
    person: int
    added_ms: int
    changed_ms: int
    stage: int
    status: str = "open"
    owner: int = 0
    amount: Decimal | None = None
    currency: str | None = None


class CrmPushes:
    """The deals and persons of a department whose users are `managers` and whose stages are `stages`."""

    def __init__(self, managers: Mapping[str, Manager], stages: Sequence[str], book: PhoneBook) -> None:
        self._book = book
        self._users = {manager: number for number, manager in enumerate(managers, _FIRST_USER)}
        self._stages = {stage: number for number, stage in enumerate(stages, 1)}
        self._deals: dict[str, Deal] = {}
        self._persons: dict[str, int] = {}
        self._phones: dict[int, set[str]] = {}

    def roster(self, text: str, system: str) -> str:
        """Return the text of a settings file with the user of each manager among the identities."""
        lines: list[str] = []
        for line in text.splitlines():
            lines.append(line)
            manager = line.removeprefix('id = "').removesuffix('"')
            if line.startswith('id = "') and manager in self._users:
                lines.append(f'identities = {{ {system} = ["{self._users[manager]}"] }}')
        return "\n".join([*lines, ""])

    def stages(self, system: str) -> str:
        """Return the lines of the table `[sources.SYSTEM.stages]`."""
        numbers = {stage: self._stage(stage) for stage in list(self._stages)}
        if system == "amocrm":
            numbers = {stage: status_of(stage, number) for stage, number in numbers.items()}
        return "\n".join(f'"{number}" = "{stage}"' for stage, number in numbers.items())

    def take(self, event: Event) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """Apply an event, and return the JSON that Pipedrive posts about it, and the forms of amoCRM."""
        if isinstance(event, LeadLinked):
            person = self._person(event.lead)
            self._persons[event.old_key] = person
            self._phones[person].add(self._book.number(event.old_key))
            return [self._told_person(person, event.at)], []
        if isinstance(event, DealStageChanged):
            return self._moved(event)
        return [], []

    def _moved(self, event: DealStageChanged) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        deal, persons = self._deals.get(event.deal), []
        before = None
        if deal is None:
            is_known = event.lead in self._persons
            person = self._person(event.lead)
            if not is_known:
                persons.append(self._told_person(person, event.at))
            deal = self._deals[event.deal] = Deal(
                id=len(self._deals) + 1, person=person, added_ms=event.at, changed_ms=event.at, stage=1
            )
        else:
            before = _row(deal)
        deal.changed_ms = event.at
        deal.status = event.stage if event.stage in (WON, LOST) else "open"
        if deal.status == "open":
            deal.stage = self._stage(event.stage)
        deal.owner = self._users.get(event.manager or "", deal.owner)
        if event.amount is not None:
            deal.amount, deal.currency = event.amount, event.currency
        return [*persons, _told_deal(deal, before)], [_form(deal, event.stage, is_new=before is None)]

    def _stage(self, stage: str) -> int:
        return self._stages.setdefault(stage, len(self._stages) + 1)

    def _person(self, lead: str) -> int:
        """Return the person of a lead; the first time, there is a new one."""
        number = self._persons.get(lead)
        if number is None:
            number = self._persons[lead] = len(self._phones) + 1
            self._phones[number] = {self._book.number(lead)}
        return number

    def _told_person(self, person: int, at_ms: int) -> dict[str, Any]:
        phones = [
            {"label": "work", "value": phone, "primary": not place}
            for place, phone in enumerate(sorted(self._phones[person]))
        ]
        row = {"id": person, "phones": phones, "emails": [], "update_time": _iso(at_ms)}
        return {"data": row, "previous": None, "meta": _meta("person", person, "change", at_ms)}


def status_of(stage: str, number: int) -> int:
    """Return the status of amoCRM for a stage of the settings and its number."""
    return _CLOSED.get(stage, _FIRST_STATUS + number)


def _told_deal(deal: Deal, before: Mapping[str, Any] | None) -> dict[str, Any]:
    row = _row(deal)
    changed = None if before is None else {key: old for key, old in before.items() if old != row[key]}
    return {
        "data": row,
        "previous": changed,
        "meta": _meta("deal", deal.id, "change" if changed else "create", deal.changed_ms),
    }


def _row(deal: Deal) -> dict[str, Any]:
    closed = _iso(deal.changed_ms) if deal.status != "open" else None
    return {
        "id": deal.id,
        "owner_id": deal.owner or None,
        "value": 0 if deal.amount is None else float(deal.amount),
        "person_id": deal.person,
        "stage_id": deal.stage,
        "currency": deal.currency or "EUR",
        "status": deal.status,
        "add_time": _iso(deal.added_ms),
        "update_time": _iso(deal.changed_ms),
        "won_time": closed if deal.status == WON else None,
        "lost_time": closed if deal.status == LOST else None,
    }


def _meta(entity: str, number: int, action: str, at_ms: int) -> dict[str, str]:
    return {"action": action, "entity": entity, "entity_id": str(number), "timestamp": _iso(at_ms), "version": "2.0"}


def _form(deal: Deal, stage: str, *, is_new: bool) -> dict[str, str]:
    name = f"leads[{'add' if is_new else 'status'}][0]"
    price = Decimal(0) if deal.amount is None else deal.amount
    fields = {
        "id": deal.id,
        "status_id": status_of(stage, deal.stage),
        "price": price.quantize(Decimal(1), ROUND_HALF_UP),
        "responsible_user_id": deal.owner,
        "last_modified": deal.changed_ms // SECOND_MS,
    }
    return {f"{name}[{field}]": str(value) for field, value in fields.items()} | {"account[subdomain]": "example"}


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // SECOND_MS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

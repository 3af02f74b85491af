"""A department in the form of a HubSpot account: deals with the history of their properties, contacts and owners.

`HubSpot` takes the contract events of the department as they happen, returns the items of an app's webhook about them,
and answers the API's requests. Moments are in milliseconds. Calls, notes and further touches are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from streams.contract.events import DealStageChanged, Event, LeadLinked
from streams.settings.results import LOST, WON
from streams.settings.settings import Manager
from streams.simulator.rendering.phone_book import PhoneBook

_FIRST_OWNER: Final = 5_638_360
_FIRST_STAGE: Final = 104_001
_PHONES: Final = ("phone", "mobilephone", "hs_whatsapp_phone_number")
"""The properties of a contact that hold its numbers: one each."""
_MODIFIED: Final[Mapping[str, str]] = MappingProxyType({"deals": "hs_lastmodifieddate", "contacts": "lastmodifieddate"})


class Object(msgspec.Struct, kw_only=True):
    """The present state of a deal or a contact. `history` has the values of a property, the newest first."""

    id: int
    modified_ms: int
    properties: dict[str, str] = {}
    history: dict[str, list[dict[str, str]]] = {}
    contact: int = 0

    def set(self, name: str, value: str, at_ms: int) -> bool:
        """Give a property a value, and return whether it had another one. The history has changes only."""
        if self.properties.get(name) == value:
            return False
        self.properties[name] = value
        self.history.setdefault(name, []).insert(0, {"value": value, "timestamp": _iso(at_ms)})
        self.modified_ms = max(self.modified_ms, at_ms)
        return True

    def row(self) -> dict[str, object]:
        """Return the object in the form of a batch read."""
        return {"id": str(self.id), "properties": self.properties, "propertiesWithHistory": self.history}


class HubSpot:
    """An account whose owners are `managers` and whose only pipeline has `stages`, and those that events name."""

    def __init__(self, managers: Mapping[str, Manager], stages: Sequence[str], book: PhoneBook) -> None:
        self._book = book
        self._owners = {manager: str(number) for number, manager in enumerate(managers, _FIRST_OWNER)}
        self._stages = {stage: str(number) for number, stage in enumerate(stages, _FIRST_STAGE)}
        self._objects: dict[str, dict[int, Object]] = {"deals": {}, "contacts": {}}
        self._deals: dict[str, Object] = {}
        self._contacts: dict[str, Object] = {}

    def stages(self) -> str:
        """Return the lines of the table `[sources.hubspot.stages]`: those for won and lost come from the account."""
        return "\n".join(f'"{id_}" = "{stage}"' for stage, id_ in self._stages.items() if stage not in (WON, LOST))

    def take(self, event: Event) -> list[dict[str, Any]]:
        """Apply an event, and return the items of the webhook about it.

        Events that an account cannot show are left out.
        """
        if isinstance(event, LeadLinked):
            return self._linked(event)
        if isinstance(event, DealStageChanged):
            return self._moved(event)
        return []

    def answer(self, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request. Raises ValueError for an unknown request."""
        match path.split("/"):
            case ["crm", "v3", "owners"]:
                rows = [{"id": id_, "email": email_of(manager)} for manager, id_ in self._owners.items()]
                return _page(rows, query.get("after"), int(query["limit"]))
            case ["crm", "v3", "pipelines", "deals"]:
                return {"results": [{"label": "Sales", "stages": [self._stage_row(stage) for stage in self._stages]}]}
            case ["crm", "v3", "objects", "deals"] if query["archived"] == "true":
                return {"results": []}
            case ["crm", "v3", "objects", kind, "search"]:
                return _search(kind, self._objects[kind].values(), body)
            case ["crm", "v3", "objects", kind, "batch", "read"]:
                return {"results": [found.row() for found in self._asked(kind, body)]}
            case ["crm", "v4", "associations", "deals", "contacts", "batch", "read"]:
                found = self._asked("deals", body)
                links = [{"from": {"id": str(one.id)}, "to": [{"toObjectId": one.contact}]} for one in found]
                return {"results": links}
        raise ValueError(f"a request that is not known: {path}")

    def _asked(self, kind: str, body: Mapping[str, Any]) -> list[Object]:
        return [self._objects[kind][int(one["id"])] for one in body["inputs"]]

    def _stage_row(self, stage: str) -> dict[str, object]:
        metadata = {"isClosed": str(stage in (WON, LOST)).lower(), "probability": str(float(stage == WON))}
        order = list(self._stages).index(stage)
        return {"id": self._stages[stage], "label": stage.title(), "displayOrder": order, "metadata": metadata}

    def _new(self, kind: str, at_ms: int) -> Object:
        made = Object(id=len(self._objects[kind]) + 1, modified_ms=at_ms)
        self._objects[kind][made.id] = made
        return made

    def _contact(self, lead: str, at_ms: int, items: list[dict[str, Any]]) -> Object:
        """Return the contact of a lead; the first time, there is a new one."""
        found = self._contacts.get(lead)
        if found is None:
            found = self._contacts[lead] = self._new("contacts", at_ms)
            found.set(_PHONES[0], self._book.number(lead), at_ms)
            items.append(_item("contact.creation", found, at_ms))
        return found

    def _linked(self, event: LeadLinked) -> list[dict[str, Any]]:
        """Give the contact of a lead the number of a caller, too. Raises ValueError if it has three already."""
        items: list[dict[str, Any]] = []
        if event.lead not in self._contacts and event.old_key in self._contacts:
            self._contacts[event.lead] = self._contacts[event.old_key]
        contact = self._contact(event.lead, event.at, items)
        self._contacts[event.old_key] = contact
        for number in (self._book.number(event.lead), self._book.number(event.old_key)):
            if number in contact.properties.values():
                continue
            free = next((name for name in _PHONES if name not in contact.properties), "")
            if not free:
                raise ValueError("a contact has at most three numbers")
            contact.set(free, number, event.at)
            items.append(_item("contact.propertyChange", contact, event.at, propertyName=free, propertyValue=number))
        return items

    def _moved(self, event: DealStageChanged) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        deal = self._deals.get(event.deal)
        if deal is None:
            contact = self._contact(event.lead, event.at, items)
            deal = self._deals[event.deal] = self._new("deals", event.at)
            deal.contact = contact.id
            items.append(_item("deal.creation", deal, event.at))
        said = {
            "dealstage": self._stages.setdefault(event.stage, str(_FIRST_STAGE + len(self._stages))),
            "hubspot_owner_id": self._owners.get(event.manager or "", ""),
            "amount": "" if event.amount is None else str(event.amount),
        }
        if event.amount is not None and event.currency is not None:
            deal.properties["deal_currency_code"] = event.currency
        items += [
            _item("deal.propertyChange", deal, event.at, propertyName=name, propertyValue=value)
            for name, value in said.items()
            if value and deal.set(name, value, event.at)
        ]
        return items


def email_of(manager: str) -> str:
    """Return the e-mail of the owner that stands for a manager."""
    return f"{manager}@example.org"


def _search(kind: str, objects: Iterable[Object], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the objects that were modified since a moment, the oldest change first."""
    first = body["filterGroups"][0]["filters"][0]
    if (first["propertyName"], first["operator"]) != (_MODIFIED[kind], "GTE"):
        raise ValueError("a filter that is not known")
    found = sorted((one.modified_ms, one.id) for one in objects if one.modified_ms >= int(first["value"]))
    rows = [{"id": str(id_), "properties": {_MODIFIED[kind]: _iso(at_ms)}} for at_ms, id_ in found]
    return {"total": len(rows), **_page(rows, body.get("after"), body["limit"])}


def _page(rows: Sequence[object], after: str | None, limit: int) -> dict[str, Any]:
    place = int(after or 0)
    following = {"paging": {"next": {"after": str(place + limit)}}} if len(rows) > place + limit else {}
    return {"results": rows[place : place + limit], **following}


def _item(subscription: str, of: Object, at_ms: int, **more: str) -> dict[str, Any]:
    return {"subscriptionType": subscription, "objectId": of.id, "occurredAt": at_ms, **more}


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

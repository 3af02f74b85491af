"""A department in the form of a Bitrix24 portal: call log, deals with the history of their stages, contacts, users.

`Bitrix24` takes the contract events of the department, as they happen, and has the rows that the portal would answer
with, by `bitrix24_rest`. Moments are in whole seconds there. A call is a record once it has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from streams.contract.events import (
    CallAnswered,
    CallEnded,
    CallStarted,
    CallTransferred,
    DealStageChanged,
    Direction,
    Disposition,
    Event,
    LeadLinked,
)
from streams.settings.settings import Manager
from streams.simulator.rendering.bitrix24_rest import Parameter, Row
from streams.simulator.rendering.phone_book import PhoneBook
from streams.units import SECOND_MS

_FIRST_USER: Final = 101
_PIPELINE: Final = 1
_CODES: Final[Mapping[Disposition, str]] = MappingProxyType(
    {"answered": "200", "voicemail": "200", "no_answer": "304", "busy": "486", "canceled": "603-S", "failed": "404"}
)
_SEMANTICS: Final[Mapping[str, str]] = MappingProxyType({"won": "S", "lost": "F"})


class Notice(NamedTuple):
    """A request of the portal to an outgoing webhook: the name of an event, and its `data`, by PHP's names."""

    event: str
    data: Mapping[str, str]


class Bitrix24:
    """A portal whose users are `managers`. The extension of each is that of the phone book, and so are the numbers."""

    def __init__(self, managers: Mapping[str, Manager], book: PhoneBook) -> None:
        self._book = book
        self._users = {manager: str(number) for number, manager in enumerate(managers, _FIRST_USER)}
        self._names = {manager.id: manager.name for manager in managers.values()}
        self._legs: dict[tuple[str, str], CallStarted] = {}
        self._answered_ms: dict[tuple[str, str], int] = {}
        self._handed_over: set[tuple[str, str]] = set()
        self._linked: dict[str, str] = {}
        self._contact_ids: dict[str, int] = {}
        self._contacts: dict[int, dict[str, object]] = {}
        self._deals: dict[str, dict[str, object]] = {}
        self._calls: list[Row] = []
        self._history: list[Row] = []

    def roster(self, text: str) -> str:
        """Return the text of a settings file with the e-mail of each user among the identities of the manager."""
        lines: list[str] = []
        for line in text.splitlines():
            lines.append(line)
            manager = line.removeprefix('id = "').removesuffix('"')
            if line.startswith('id = "') and manager in self._users:
                lines.append(f'identities = {{ email = "{_email(manager)}" }}')
        return "\n".join([*lines, ""])

    @property
    def calls(self) -> int:
        """The number of records of the call log."""
        return len(self._calls)

    @property
    def changes(self) -> int:
        """The number of rows of the history of stages."""
        return len(self._history)

    @property
    def deals(self) -> int:
        """The number of deals."""
        return len(self._deals)

    def take(self, event: Event) -> list[Notice]:
        """Apply an event, and return the requests of the portal about it.

        Events that a portal cannot show are left out.
        """
        match event:
            case CallStarted():
                self._legs[event.call, event.manager] = event
            case CallAnswered():
                self._answered_ms[event.call, event.manager] = event.at
            case CallTransferred():
                return self._transferred(event)
            case CallEnded():
                return self._ended(event)
            case LeadLinked():
                return self._link(event)
            case DealStageChanged():
                return self._moved(event)
        return []

    def rows(self, method: str, _filtered: Mapping[str, Parameter]) -> Iterable[Row]:
        """Return the rows of a method. The filter is left to `bitrix24_rest`."""
        lists: dict[str, Iterable[Row]] = {
            "voximplant.statistic.get": self._calls,
            "crm.stagehistory.list": self._history,
            "crm.deal.list": self._deals.values(),
            "crm.contact.list": self._contacts.values(),
            "user.get": self._user_rows(),
        }
        return lists.get(method, ())

    def _user_rows(self) -> Iterator[Row]:
        for manager, user in self._users.items():
            name, _, last = self._names[manager].partition(" ")
            extension = self._book.extensions[manager]
            yield {
                "ID": user, "NAME": name, "LAST_NAME": last, "EMAIL": _email(manager), "UF_PHONE_INNER": extension,
            }  # fmt: skip

    def _transferred(self, event: CallTransferred) -> list[Notice]:
        """Write the part of a call that ends with its transfer: for some of them no end follows."""
        key = event.call, event.manager
        leg = self._legs.get(key)
        if leg is None:
            return []
        self._handed_over.add(key)
        talk_ms = event.at - self._answered_ms.get(key, event.at)
        return self._record(key, leg.direction, leg.at, talk_ms, "answered", leg.lead)

    def _ended(self, event: CallEnded) -> list[Notice]:
        key = event.call, event.manager
        self._legs.pop(key, None)
        self._answered_ms.pop(key, None)
        if key in self._handed_over:
            self._handed_over.remove(key)
            return []
        is_answered = _CODES[event.disposition] == _CODES["answered"]
        lasted_ms = event.talk_ms if is_answered else event.at - event.started_at
        return self._record(key, event.direction, event.started_at, lasted_ms, event.disposition, event.lead)

    def _record(
        self,
        key: tuple[str, str],
        direction: Direction,
        started_ms: int,
        lasted_ms: int,
        disposition: Disposition,
        lead: str | None,
    ) -> list[Notice]:
        call, manager = key
        number = len(self._calls) + 1
        record = {
            "CALL_ID": f"externalCall.{call}.{number}",
            "CALL_TYPE": "1" if direction == "outbound" else "2",
            "PORTAL_USER_ID": self._users.get(manager, "0"),
            "PHONE_NUMBER": "" if lead is None else self._book.number(lead),
            "CALL_START_DATE": written(started_ms),
            "CALL_DURATION": str(lasted_ms // SECOND_MS),
            "CALL_FAILED_CODE": _CODES[disposition],
        }
        self._calls.append({"ID": str(number), **record})
        return [Notice("ONVOXIMPLANTCALLEND", {f"data[{name}]": value for name, value in record.items()})]

    def _link(self, event: LeadLinked) -> list[Notice]:
        """Give the contact of a lead the number of a caller, too."""
        known = self._contact_ids.pop(event.old_key, None)
        self._linked[event.old_key] = event.lead
        if known is not None:
            self._contact_ids.setdefault(event.lead, known)
        number = self._contact(event.lead, event.at)
        contact = self._contacts[number]
        phones = {self._book.number(event.old_key), self._book.number(event.lead)}
        contact |= {"PHONE": [{"VALUE": phone} for phone in sorted(phones)], "DATE_MODIFY": written(event.at)}
        return [_rung("ONCRMCONTACTUPDATE", number)]

    def _contact(self, lead: str, at_ms: int) -> int:
        """Return the id of a lead's contact; the first time, there is a new one."""
        lead = self._linked.get(lead, lead)
        number = self._contact_ids.get(lead)
        if number is None:
            number = self._contact_ids[lead] = len(self._contacts) + 1
            phones = [{"VALUE": self._book.number(lead)}]
            self._contacts[number] = {
                "ID": str(number), "DATE_MODIFY": written(at_ms), "HAS_PHONE": "Y", "PHONE": phones,
            }  # fmt: skip
        return number

    def _moved(self, event: DealStageChanged) -> list[Notice]:
        is_new = event.deal not in self._deals
        if is_new:
            contact = self._contact(event.lead, event.at)
            self._deals[event.deal] = {
                "ID": str(len(self._deals) + 1), "CONTACT_ID": str(contact), "ASSIGNED_BY_ID": "0",
                "OPPORTUNITY": "0.00", "CURRENCY_ID": None,
            }  # fmt: skip
        deal = self._deals[event.deal]
        stage = {"STAGE_ID": stage_id(event.stage), "STAGE_SEMANTIC_ID": _SEMANTICS.get(event.stage, "P")}
        deal |= {**stage, "DATE_MODIFY": written(event.at)}
        if event.manager in self._users:
            deal["ASSIGNED_BY_ID"] = self._users[event.manager]
        if event.amount is not None:
            deal |= {"OPPORTUNITY": str(event.amount), "CURRENCY_ID": event.currency}
        number = str(len(self._history) + 1)
        row = {"ID": number, "OWNER_ID": deal["ID"], "CREATED_TIME": written(event.at), **stage}
        self._history.append(row)
        return [_rung("ONCRMDEALADD" if is_new else "ONCRMDEALUPDATE", int(str(deal["ID"])))]


def stage_id(stage: str) -> str:
    """Return the portal's id of a stage."""
    return f"C{_PIPELINE}:{stage.upper()}"


def written(at_ms: int) -> str:
    """Return a moment as the portal writes it."""
    return datetime.fromtimestamp(at_ms // SECOND_MS, UTC).isoformat()


def _email(manager: str) -> str:
    return f"{manager}@example.org"


def _rung(event: str, number: int) -> Notice:
    return Notice(event, {"data[FIELDS][ID]": str(number)})

"""Deals: a row of the stage history is a change of stage, a row of a deal is its state after its last change.

The author of a change is not the manager of the deal: `ASSIGNED_BY_ID` is the manager, `MODIFY_BY_ID` is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct

from streams.contract.events import DealStageChanged
from streams.sources.bitrix24.calls import Calls
from streams.sources.bitrix24.settings import NAME

_SEMANTICS: Final[Mapping[str, str]] = MappingProxyType({"S": "won", "F": "lost"})
Id = int | str | None


class HistoryRow(Struct, frozen=True):
    """A row of crm.stagehistory.list."""

    ID: int
    OWNER_ID: int
    CREATED_TIME: str
    STAGE_ID: str
    STAGE_SEMANTIC_ID: str | None = None


class DealRow(Struct, frozen=True):
    """A row of crm.deal.list. An id of "0", or none, stands for nothing."""

    ID: int
    STAGE_ID: str
    DATE_MODIFY: str
    STAGE_SEMANTIC_ID: str | None = None
    OPPORTUNITY: msgspec.Raw = msgspec.Raw(b"null")
    CURRENCY_ID: str | None = None
    ASSIGNED_BY_ID: Id = None
    CONTACT_ID: Id = None
    COMPANY_ID: Id = None
    LEAD_ID: Id = None


DEAL_FIELDS: Final = DealRow.__struct_fields__
HISTORY_FIELDS: Final = HistoryRow.__struct_fields__


def number(value: Id) -> int:
    """Return an id as a number, 0 for none."""
    text = str(value or "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0  # noqa: PLR2004  of 64 bits


def deal_lead(deal: int) -> str:
    """Return the lead of a deal without a customer."""
    return f"{NAME}:deal:{deal}"


def customer(kind: str, id_: int) -> str:
    """Return the lead that stands for a contact, a company or a lead of the portal. `kind` is one of these words."""
    return f"{NAME}:{kind}:{id_}"


def lead_of(deal: DealRow) -> str:
    """Return the lead of a deal: its contact, its lead, its company, or the deal itself."""
    for kind, value in (("contact", deal.CONTACT_ID), ("lead", deal.LEAD_ID), ("company", deal.COMPANY_ID)):
        if number(value):
            return customer(kind, number(value))
    return deal_lead(deal.ID)


class Deals:
    """Makes events of rows. `semantics` has the portal's semantics of stages, by their ids; it grows."""

    def __init__(self, calls: Calls, stages: Mapping[str, str], semantics: dict[str, str]) -> None:
        self._moment: Callable[[str], int] = calls.moment
        self._manager = calls.manager
        self._stages = stages
        self.semantics = semantics

    def learn(self, stage: str, semantic: str | None) -> None:
        """Keep the semantics of a stage."""
        if semantic is not None and semantic in _SEMANTICS and stage not in self.semantics:
            self.semantics[stage] = semantic

    def stage(self, stage: str) -> str:
        """Return the stage of the settings. A stage that the settings do not name counts as `other`."""
        semantic = self.semantics.get(stage, "")
        return _SEMANTICS.get(semantic) or self._stages.get(stage) or stage.casefold()[:100] or "?"

    def moved(self, row: HistoryRow, lead: str) -> DealStageChanged:
        """Return a change of stage. The rest of the deal at that time is unknown. Raises UnreadableError."""
        return DealStageChanged(
            v=1,
            id=f"{NAME}:deal:{row.OWNER_ID}:stage:{row.ID}",
            at=self._moment(row.CREATED_TIME),
            source=NAME,
            lead=lead,
            deal=str(row.OWNER_ID),
            stage=self.stage(row.STAGE_ID),
        )

    def state(self, row: DealRow) -> DealStageChanged:
        """Return a deal after its last change: its amount and its manager. Raises UnreadableError."""
        at = self._moment(row.DATE_MODIFY)
        amount = _amount(row.OPPORTUNITY)
        return DealStageChanged(
            v=1,
            id=f"{NAME}:deal:{row.ID}:state:{at // 1000}",
            at=at,
            source=NAME,
            lead=lead_of(row),
            manager=self._manager(str(row.ASSIGNED_BY_ID or "")),
            deal=str(row.ID),
            stage=self.stage(row.STAGE_ID),
            amount=amount,
            currency=row.CURRENCY_ID if amount is not None else None,
        )

    def modified_ms(self, row: DealRow) -> int:
        """Return the moment of the last change of a deal. Raises UnreadableError."""
        return self._moment(row.DATE_MODIFY)


def _amount(written: msgspec.Raw) -> str | None:
    """Return an amount as it is written.

    An empty value and zero stand for none: the portal does not distinguish them.
    """
    text = bytes(written).decode("utf-8", "replace").strip('"')
    try:
        is_none = text in {"", "null"} or not Decimal(text)
    except InvalidOperation:
        is_none = False  # the contract counts unreadable amounts
    return None if is_none else text[:64]

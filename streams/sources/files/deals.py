"""Rows of deals as contract events: a stage of a deal at a moment, and the numbers of its lead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from streams.contract.events import DealDeleted, DealStageChanged, Event
from streams.settings.identities import may_be_number
from streams.sources.files.cells import Cells
from streams.sources.files.mapping import DELETED, IGNORE
from streams.sources.files.parties import Parties
from streams.sources.files.rows import RowError

_LONGEST_NAME: Final = 128
_LONGEST_TEXT: Final = 256
_LABELS: Final = ("product", "channel", "client_type")


class DealRows:
    """Turns rows of deals into events."""

    def __init__(self, source: str, cells: Cells, parties: Parties) -> None:
        self._source = source
        self._cells = cells
        self._parties = parties

    def read(self, row: Sequence[str], latest_ms: int) -> list[Event]:
        """Return the events of a row, none if it concerns no figure.

        Raises:
            RowError: it is no event, or after `latest_ms`.
        """
        cells = self._cells
        deal, stage = cells.text(row, "deal"), cells.renamed("stage", cells.text(row, "stage"))
        at = cells.moment(row, "changed")
        for name, value in (("deal", deal), ("changed", at), ("stage", stage)):
            if not value:
                raise RowError("missing_field", f"{name} is empty")
        if stage == IGNORE or at is None:
            return []
        if at > latest_ms:
            raise RowError("future", "is dated after now")
        if len(stage) > _LONGEST_NAME or may_be_number(stage):
            raise RowError("invalid_field", "stage is too long, or looks like a telephone number")
        deal = self._parties.public_id(deal)
        lead, numbers = self._parties.lead(cells, row)
        lead = lead or f"{self._source}:deal:{deal}"
        key = self._parties.hashed(cells.key(row))
        common: dict[str, Any] = {
            "v": 1,
            "at": at,
            "source": self._source,
            "lead": lead,
            "manager": self._parties.manager(cells, row),
            "deal": deal,
        }
        events: list[Event] = list(self._parties.links(lead, numbers, at))
        if stage == DELETED:
            return [*events, DealDeleted(id=f"{self._source}:{key}:deleted", **common)]
        amount, currency = cells.money(row)
        labels: dict[str, Any] = {name: self._label(row, name) for name in _LABELS}
        changed = DealStageChanged(
            id=f"{self._source}:{key}:stage", stage=stage, amount=amount, currency=currency, **common, **labels
        )
        return [*events, changed]

    def _label(self, row: Sequence[str], name: str) -> str | None:
        text = self._cells.text(row, name)
        if len(text) > _LONGEST_TEXT or may_be_number(text):
            self._cells.left_out[f"{name}: too long, or looks like a telephone number"] += 1
            return None
        return text or None

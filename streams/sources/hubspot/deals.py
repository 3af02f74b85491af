"""The events of deals, from the history of their stage, amount and owner.

Each moment of the history gives one event with the deal's state then. The author of a change (`updatedByUserId`) is not
the manager of the deal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from streams.contract.events import DealStageChanged
from streams.sources.hubspot.settings import NAME
from streams.sources.people import Heard, People
from streams.sources.times import Times

HISTORY: Final = ("dealstage", "amount", "hubspot_owner_id")
PROPERTIES: Final = ("deal_currency_code", "hs_merged_object_ids", "hs_lastmodifieddate", "createdate")
_ISO: Final = Times("iso")


class Value(Struct, frozen=True):
    """A value of a property, and the moment from which it holds."""

    timestamp: str
    value: str | None = None


class Deal(Struct, frozen=True):
    """A deal with its history, the newest value of a property first."""

    id: str
    properties: Mapping[str, str | None] = {}
    history: Mapping[str, tuple[Value, ...]] = msgspec.field(name="propertiesWithHistory", default_factory=dict)
    archived: bool = False

    @property
    def merged(self) -> tuple[str, ...]:
        """The deals that were merged into this one."""
        listed = (self.properties.get("hs_merged_object_ids") or "").split(";")
        return tuple(one for one in listed if one.isascii() and one.isdigit() and one != self.id)


def lead_of(deal: str, contact: str) -> str:
    """Return the lead of a deal: its contact, or the deal itself."""
    return f"{NAME}:contact:{contact}" if contact else f"{NAME}:deal:{deal}"


def moment(text: str) -> int:
    """Return a moment of the account. Raises TimeError."""
    return _ISO.moment(text)


class Deals:
    """Makes the events of deals. `semantics` has the account's won and lost stages."""

    def __init__(self, stages: Mapping[str, str], semantics: Mapping[str, str], people: People) -> None:
        self._stages = stages
        self._semantics = semantics
        self._people = people

    def stage(self, stage: str) -> str:
        """Return the stage of the settings.

        A stage that neither the settings nor the account name counts as `other`.
        """
        return self._stages.get(stage) or self._semantics.get(stage) or stage.casefold()[:100] or "?"

    def events(self, deal: Deal, contact: str, since_ms: int) -> Iterator[DealStageChanged]:
        """Yield the deal's state at each moment of its history since `since_ms`. Raises TimeError."""
        histories = {name: _by_time(deal.history.get(name, ())) for name in HISTORY}
        moments = sorted({at for history in histories.values() for at, _ in history})
        for at in moments:
            stage = _value_at(histories["dealstage"], at)
            if at < since_ms or not stage:
                continue
            owner, amount = _value_at(histories["hubspot_owner_id"], at), _value_at(histories["amount"], at)
            yield DealStageChanged(
                v=1,
                id=f"{NAME}:deal:{deal.id}:{at}",
                at=at,
                source=NAME,
                lead=lead_of(deal.id, contact),
                manager=self._people.resolve(NAME, Heard(user=owner)).manager if owner else None,
                deal=deal.id,
                stage=self.stage(stage),
                amount=amount[:64] or None,
                currency=(deal.properties.get("deal_currency_code") or None) if amount else None,
            )


def _by_time(values: Sequence[Value]) -> list[tuple[int, str]]:
    return sorted((moment(one.timestamp), one.value or "") for one in values)


def _value_at(history: Sequence[tuple[int, str]], at: int) -> str:
    """Return the value of a property at a moment, "" for none."""
    return next((value for when, value in reversed(history) if when <= at), "")

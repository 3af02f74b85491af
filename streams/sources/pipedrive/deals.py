"""The events of deals: the state of a deal at a moment, from a webhook or from its changelog.

Stage and status are two fields. A won or lost deal keeps the stage in which it was. The author of a change is not the
manager of the deal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from typing import Any, Final

import msgspec

from streams.contract.events import DealDeleted, DealStageChanged, Event, LeadLinked
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.sources.pipedrive.rows import Change, Deal, UnreadableError, id_of, is_zero, moment, reference, value_of
from streams.sources.pipedrive.settings import NAME
from streams.units import SECOND_MS

FIELDS: Final[Mapping[str, str]] = {
    "stage_id": "stage",
    "status": "status",
    "value": "value",
    "currency": "currency",
    "user_id": "owner",
    "owner_id": "owner",
    "person_id": "person",
}
"""The fields of a deal that figures depend on."""


def lead_of(deal: int, person: int) -> str:
    """Return the lead of a deal: its person, or the deal itself."""
    return f"{NAME}:person:{person}" if person else f"{NAME}:deal:{deal}"


def links(person: int, numbers: Iterable[str], at_ms: int, rules: Numbers, secret: bytes) -> Iterator[LeadLinked]:
    """Yield the links of a person's numbers to the lead."""
    lead = lead_of(0, person)
    for key in dict.fromkeys(rules.lead(number, secret) for number in numbers):
        if key is not None:
            yield LeadLinked(v=1, id=f"{NAME}:link:{key}:{lead}", at=at_ms, source=NAME, lead=lead, old_key=key)


def deleted(deal: int, person: int, at_ms: int) -> DealDeleted:
    """Return the event of a deal that is gone. It can be restored and deleted again: the id has the moment."""
    id_ = f"{NAME}:deal:{deal}:deleted:{at_ms // SECOND_MS}"
    return DealDeleted(v=1, id=id_, at=at_ms, source=NAME, lead=lead_of(deal, person), deal=str(deal))


class Deals:
    """Makes the events of deals."""

    def __init__(self, stages: Mapping[str, str], people: People) -> None:
        self._stages = stages
        self._people = people

    def event(self, deal: Deal, at_ms: int, changed: Collection[str]) -> DealStageChanged:
        """Return the state of a deal at a moment at which these fields were changed.

        The id has the moment and the state: two changes within a second are two events.
        """
        said = f"{deal.stage} {deal.status} {deal.owner} {deal.value} {deal.currency}"
        amount = None if is_zero(deal.value) and "value" not in changed else deal.value or None
        return DealStageChanged(
            v=1,
            id=f"{NAME}:deal:{deal.id}:{at_ms // SECOND_MS}:{sha256(said.encode()).hexdigest()[:12]}",
            at=at_ms,
            source=NAME,
            lead=lead_of(deal.id, deal.person),
            manager=self._people.resolve(NAME, Heard(user=str(deal.owner))).manager if deal.owner else None,
            deal=str(deal.id),
            stage=self._stage(deal),
            amount=amount,
            currency=deal.currency[:64] or None if amount is not None else None,
        )

    def history(self, deal: Deal, changes: Sequence[Change] | None, since_ms: int) -> Iterator[Event]:
        """Yield the state of a deal at each of its changes since a moment, the last one first.

        `changes` is the changelog in any order; None: the account has none, and only the present state is certain. A
        change has the value before it, so the deal before a change follows from the deal after it. May raise
        UnreadableError.
        """
        made: list[Event] = []
        now = _not_deleted(deal)
        dated = [(moment(one.time, "time"), one) for one in changes or () if one.field_key in FIELDS]
        dated = [(at, one) for at, one in dated if at > deal.added_ms]
        dated.sort(key=lambda pair: -pair[0])
        for at, group in groupby(dated, key=lambda pair: pair[0]):
            step = [one for _, one in group]
            for one in reversed(step):  # the changelog has the newest first
                now = _with(now, one.field_key, one.new_value)
            if now.status != "deleted":
                made.append(self.event(now, at, {one.field_key for one in step}))
            for one in step:
                now = _with(now, one.field_key, one.old_value)
        now = _not_deleted(now)
        if changes is None:
            made.append(self.event(now, now.closed_ms or now.staged_ms or now.added_ms or now.updated_ms, ()))
        elif deal.added_ms:
            made.append(self.event(now, deal.added_ms, ()))
        return (event for event in made if event.at >= since_ms)

    def _stage(self, deal: Deal) -> str:
        """Return the stage of the settings. A stage that the settings do not name counts as `other`."""
        if deal.status in ("won", "lost"):
            return deal.status
        return self._stages.get(str(deal.stage)) or str(deal.stage)


def _not_deleted(deal: Deal) -> Deal:
    """Return a deal with the status that it had before it was deleted."""
    if deal.status != "deleted":
        return deal
    status = "won" if deal.won_ms else "lost" if deal.lost_ms else "open"
    return msgspec.structs.replace(deal, status=status)


def _with(deal: Deal, field: str, value: Any) -> Deal:
    """Return a deal with another value of a field. May raise UnreadableError.

    An empty value is no stage and no status. All events of a deal have the person that it has now.
    """
    name = FIELDS[field]
    if name == "person" or (value is None and name in ("stage", "status")):
        return deal
    if name == "stage":
        return msgspec.structs.replace(deal, stage=id_of(value, field))
    if name == "owner":
        return msgspec.structs.replace(deal, owner=reference(value, field))
    if name == "value":
        return msgspec.structs.replace(deal, value=value_of(value))
    if not isinstance(value, str | None):
        raise UnreadableError("invalid_field", f"{field} is no text")
    return msgspec.structs.replace(deal, **{name: value or ""})

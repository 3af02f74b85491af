"""The events of the CRM and their times: a note may come before the end of its call, late, or revised later."""

from __future__ import annotations

from typing import Final, Protocol

from streams.contract.events import (
    ActivityLogged,
    CallAnnotated,
    Channel,
    CrmEvent,
    DealStageChanged,
    LeadConsulted,
    LeadLinked,
    NextStep,
)
from streams.simulator.crm.clients import Client
from streams.simulator.rng import SeededRandom
from streams.simulator.telephony.legs import SimulatedLeg
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

# Shares and probabilities.
_EARLY: Final = 0.04  # of the notes are written while the call goes on
_EVENING: Final = 0.04  # of the notes are written hours later
_REVISED: Final = 0.08  # of the notes are replaced by a better one
_UNNAMED: Final = 0.04  # of the notes and deals name no manager
_OLD_KEY: Final = 0.15  # of the events about linked leads still use the old key


class Sender(Protocol):
    """Takes events of the CRM."""

    def crm(self, event: CrmEvent) -> None:
        """Send an event of the CRM."""


class CrmWriter:
    """Writes the events of the CRM. `name` makes the ids differ from those of other runs."""

    def __init__(self, rng: SeededRandom, name: str, sender: Sender) -> None:
        self._rng = rng
        self._name = name
        self._say = sender.crm
        self._events = 0

    def note(
        self,
        leg: SimulatedLeg,
        client: Client | None,
        stages: tuple[str, ...],
        reason: str | None,
        step: NextStep | None,
    ) -> None:
        """Write the note of a call: soon after it, sometimes before its end or hours later, sometimes revised."""
        rng = self._rng
        draw = rng.random()
        talking_ms = leg.ended_at - (leg.answered_at or leg.ended_at)
        if draw < _EARLY:
            at = leg.ended_at - rng.between(0, talking_ms // 2)
        elif draw < _EARLY + _EVENING:
            at = leg.ended_at + rng.between(HOUR_MS, 9 * HOUR_MS)
        else:
            at = leg.ended_at + rng.between(3 * SECOND_MS, 4 * MINUTE_MS)
        manager = None if rng.happens(_UNNAMED) else leg.manager
        key = leg.lead or "" if client is None else self.key(client)
        revision = 0
        if rng.happens(_REVISED):
            rough = stages[:-1] if rng.happens(0.5) else (*stages, "proposal")
            self._annotate(leg, at, key, manager, rough, None if rng.happens(0.5) else "reminder", None, revision)
            at += rng.between(10 * MINUTE_MS, DAY_MS)
            revision = 1 + int(rng.happens(0.1))
        self._annotate(leg, at, key, manager, stages, reason, step, revision)

    def _annotate(
        self,
        leg: SimulatedLeg,
        at: int,
        lead: str,
        manager: str | None,
        stages: tuple[str, ...],
        reason: str | None,
        step: NextStep | None,
        revision: int,
    ) -> None:
        self._say(
            CallAnnotated(
                v=1,
                id=self._id(),
                at=at,
                source="crm",
                lead=lead,
                manager=manager,
                call=leg.call,
                kind=leg.kind or "targeted",
                stages=stages,
                reason=reason,
                next_step=step,
                revision=revision,
            )
        )

    def change(self, client: Client, at: int, stage: str, manager: str) -> None:
        """Write that the deal reached a stage, in whole seconds as in many CRMs."""
        deal = client.deal_terms
        priced = stage in ("proposal", "won")
        event = DealStageChanged(
            v=1,
            id=self._id(),
            at=at // SECOND_MS * SECOND_MS,
            source="crm",
            lead=self.key(client),
            manager=None if stage not in ("won", "qualified") and self._rng.happens(_UNNAMED) else manager,
            deal=deal.id,
            stage=stage,
            amount=deal.amount if priced else None,
            currency=deal.currency if priced else None,
            product=deal.product,
            channel=deal.channel,
            client_type=deal.client_type,
        )
        self._say(event)

    def log(self, client: Client, at: int, channel: Channel, manager: str) -> None:
        """Write that the manager sent a message to the lead, or met it."""
        event = ActivityLogged(
            v=1, id=self._id(), at=at, source="crm", lead=self.key(client), manager=manager, channel=channel
        )
        self._say(event)

    def consulted(self, client: Client, at: int, manager: str, mentor: str) -> None:
        """Write that a mentor discussed the lead with its manager."""
        event = LeadConsulted(
            v=1, id=self._id(), at=at, source="crm", lead=self.key(client), manager=manager, mentor=mentor
        )
        self._say(event)

    def linked(self, client: Client, at: int, manager: str) -> None:
        """Write that the lead's old key belongs to it."""
        event = LeadLinked(
            v=1, id=self._id(), at=at, source="crm", lead=client.key, manager=manager, old_key=client.old_key
        )
        self._say(event)

    def key(self, client: Client) -> str:
        """Return the key of the lead, or sometimes its old key."""
        return client.old_key if client.old_key and self._rng.happens(_OLD_KEY) else client.key

    def _id(self) -> str:
        self._events += 1
        return f"{self._name}-crm{self._events}"

"""The course of leads and deals: stages reached in conversations, messages, and ends of deals.

The CRM has its own random generator, so the same calls happen with and without it. Only the key of a lead changes,
after the CRM links its number to a lead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from streams.contract.events import Channel, Kind, NextStep
from streams.simulator.crm.clients import NONE, PROPOSAL, WON, WRITTEN, Client, deal_terms, furthest, reference
from streams.simulator.crm.profiles import STAGES, CrmProfile
from streams.simulator.crm.writer import CrmWriter, Sender
from streams.simulator.faults.edge_cases import FAR_MS
from streams.simulator.rng import SeededRandom
from streams.simulator.telephony.legs import SimulatedLeg
from streams.simulator.telephony.workforce import Person
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

CONVERSATION_MS: Final = MINUTE_MS
_MENTOR_AFTER: Final = 3  # conversations without progress
_FORGOTTEN_MS: Final = 150 * DAY_MS
_ERA_MS: Final = 20 * DAY_MS

# Shares and probabilities.
_SHORT_NOTED: Final = 0.15  # of the answered calls that were no conversation
_NAMED_LEAD: Final = 0.85  # of the callers that are qualified become a lead of the CRM
_DISCUSSED: Final = 0.45  # of the conversations come back to a stage that was reached before
_DATED: Final = 0.95  # of the next steps have a day
_ABSURD: Final = 0.002  # of these are due in 2099
_CONSULTED: Final = 0.4  # of the leads due for a consultation, at each conversation
_GIVEN_UP: Final = 0.3  # of the leads that come no further are lost, at each conversation
_BACK: Final = 0.04  # of the proposals go back to a presentation
_REOPENED: Final = 0.06  # of the lost deals
_CANCELED: Final = 0.025  # of the won deals
_UNKNOWN_STAGE: Final = 0.04  # of the won deals pass a stage that no setting names
_UNKNOWN_REASON: Final = 0.03
_MET: Final = 0.12  # of the deals have a meeting before they are won
_REASONS: Final = {NONE: "spec_clarification", 0: "spec_clarification", 1: "sending_proposal", 2: "price_objection"}


class CrmEngine:
    """The CRM of the department: takes finished calls and writes events about their leads and deals.

    `name` makes the ids differ from those of other runs. `schedule` plans a callback.
    """

    def __init__(
        self,
        rng: SeededRandom,
        name: str,
        start_ms: int,
        schedule: Callable[[int, Callable[[int, Any], None], object], None],
        sender: Sender,
    ) -> None:
        self._rng = rng
        self._name = name
        self._start_ms = start_ms
        self._schedule = schedule
        self._writer = CrmWriter(rng, name, sender)
        self._leads = 0
        self._clients: dict[str, Client] = {}
        self._next_sweep_ms = start_ms + DAY_MS
        # Kinds of the first calls of leads without an answered call: recent ones, and those of the period before.
        self._kinds: dict[str, Kind] = {}
        self._earlier_kinds: dict[str, Kind] = {}
        self._next_era_ms = start_ms + _ERA_MS

    def key(self, lead: str, kind: Kind) -> str:
        """Return the key to use for a call with the lead, and remember the `kind` of its first call."""
        client = self._clients.get(lead)
        if client is not None:
            return self._writer.key(client)
        if kind != "repeat":
            self._kinds[lead] = kind
        return lead

    # -- calls

    def hung_up(self, person: Person, leg: SimulatedLeg, again_ms: int | None) -> None:
        """Process an answered call that has ended. The lead is due for another call at `again_ms`."""
        if leg.lead is None:
            return
        crm_profile = person.personality.crm_profile
        client = self._clients.get(leg.lead)
        if leg.talk_ms < CONVERSATION_MS:
            if self._rng.happens(_SHORT_NOTED * crm_profile.noted):
                self._writer.note(leg, client, (), None, None)
            return
        if client is None:
            client = self._meet(leg.lead, crm_profile, leg.ended_at)
        client.touched = leg.ended_at
        client.talks += 1
        moved = self._moved(client, crm_profile)
        agreed = self._rng.happens(crm_profile.agree if moved else crm_profile.agree_idle)
        client.idle = 0 if moved or agreed else client.idle + 1
        if self._rng.happens(crm_profile.noted):
            stages = tuple(STAGES[rank] for rank in moved)
            if not stages and client.stage > NONE and self._rng.happens(_DISCUSSED):
                stages = (STAGES[min(client.stage, PROPOSAL)],)
            reason = self._reason(client, crm_profile) if client.talks > 1 else None
            step = self._next_step(leg, again_ms) if agreed else None
            self._writer.note(leg, client, stages, reason, step)
            if step is not None and step.due_at not in (None, FAR_MS) and self._rng.happens(crm_profile.keeps):
                self._schedule(step.due_at - self._rng.between(0, 4 * HOUR_MS), self._keep, (client, person))
        at = leg.ended_at + self._rng.between(5_000, 20 * MINUTE_MS)
        for rank in moved:
            self._writer.change(client, at, STAGES[rank], leg.manager)
            at += self._rng.between(SECOND_MS, 60 * SECOND_MS)
        if 0 in moved and client.key.startswith("phone:") and self._rng.happens(_NAMED_LEAD):
            self._schedule(at + self._some(6 * HOUR_MS), self._link, (client, leg.manager))
        self._plan(client, person, at)

    def morning(self, person: Person, now_ms: int) -> None:
        """Once a day, simulate messages from leads that write instead of calling."""
        if now_ms >= self._next_sweep_ms:
            self._sweep(now_ms)
        if not self._rng.happens(person.personality.crm_profile.mails):
            return
        self._leads += 1
        day = (now_ms - self._start_ms) // DAY_MS
        reached = furthest(self._rng, person.personality.crm_profile, "inbound", day)
        client = Client(f"mail-{self._name}-{self._leads}", reached, self._deal_terms(1.0))
        client.touched = now_ms
        self._schedule(now_ms + self._some(3 * HOUR_MS), self._write, (client, person))

    def _meet(self, lead: str, crm_profile: CrmProfile, at: int) -> Client:
        kind = self._kinds.get(lead) or self._earlier_kinds.get(lead, "repeat")
        reached = furthest(self._rng, crm_profile, kind, (at - self._start_ms) // DAY_MS)
        client = self._clients[lead] = Client(lead, reached, self._deal_terms(crm_profile.written))
        return client

    def _deal_terms(self, written: float) -> Any:
        self._leads += 1
        return deal_terms(self._rng, f"deal-{self._name}-{self._leads}", written=self._rng.happens(written))

    def _moved(self, client: Client, crm_profile: CrmProfile) -> list[int]:
        """Move the lead forward after a conversation. Return the ranks of the stages that it reached."""
        moved: list[int] = []
        while not client.closed and not client.closing and client.stage < min(client.furthest, PROPOSAL):
            if moved and not self._rng.happens(crm_profile.leap):
                break
            client.stage += 1
            moved.append(client.stage)
        return moved

    def _reason(self, client: Client, crm_profile: CrmProfile) -> str:
        if self._rng.happens(crm_profile.reminders):
            return "reminder"
        return "back_from_holiday" if self._rng.happens(_UNKNOWN_REASON) else _REASONS[min(client.stage, PROPOSAL)]

    def _next_step(self, leg: SimulatedLeg, again_ms: int | None) -> NextStep:
        if not self._rng.happens(_DATED):
            return NextStep(agreed=True)
        if self._rng.happens(_ABSURD):
            return NextStep(agreed=True, due_at=FAR_MS)
        if again_ms is None:
            return NextStep(agreed=True, due_at=leg.ended_at + self._rng.between(DAY_MS, 6 * DAY_MS))
        return NextStep(agreed=True, due_at=again_ms + self._rng.between(0, 2 * DAY_MS))

    # -- scheduled events

    def _plan(self, client: Client, person: Person, now_ms: int) -> None:
        """Schedule the events that follow a conversation."""
        if client.closed or client.closing:
            return
        if client.idle >= _MENTOR_AFTER and self._rng.happens(_CONSULTED):
            self._schedule(now_ms + self._some(DAY_MS), self._consult, (client, person))
        if client.stage < client.furthest and client.stage < PROPOSAL:
            if client.stage > NONE and client.deal_terms.channel in WRITTEN:
                self._schedule(now_ms + self._some(DAY_MS), self._write, (client, person))
            return
        if client.furthest == WON:
            client.closing = True
            self._schedule(now_ms + HOUR_MS + self._some(3 * DAY_MS), self._win, (client, person))
        elif client.stage > NONE and self._rng.happens(_GIVEN_UP):
            client.closing = True
            self._schedule(now_ms + DAY_MS + self._some(8 * DAY_MS), self._lose, (client, person))
        elif client.stage == PROPOSAL and self._rng.happens(_BACK):
            self._schedule(now_ms + self._some(DAY_MS), self._step_back, (client, person))

    def _write(self, now_ms: int, argument: tuple[Client, Person]) -> None:
        """Write to a lead that prefers messages. This may move it forward by a stage."""
        client, person = argument
        if client.closed or client.closing:
            return
        self._writer.log(client, now_ms, _by_letter(client), person.id)
        if client.stage < min(client.furthest, PROPOSAL):
            client.stage += 1
            self._writer.change(client, now_ms + 2 * SECOND_MS, STAGES[client.stage], person.id)
            if client.stage < client.furthest and client.stage < PROPOSAL:
                self._schedule(now_ms + self._some(2 * DAY_MS), self._write, argument)
                return
        self._plan(client, person, now_ms + MINUTE_MS)

    def _keep(self, now_ms: int, argument: tuple[Client, Person]) -> None:
        """Send the promised message."""
        client, person = argument
        self._writer.log(client, now_ms, _by_letter(client), person.id)

    def _win(self, now_ms: int, argument: tuple[Client, Person]) -> None:
        client, person = argument
        client.closed = True
        if self._rng.happens(_MET):
            self._writer.log(client, now_ms, "meeting", person.id)
        if client.deal_terms.channel in WRITTEN:
            self._writer.log(client, now_ms, _by_letter(client), person.id)
        if self._rng.happens(_UNKNOWN_STAGE):
            self._writer.change(client, now_ms, "contract_review", person.id)
        self._writer.change(client, now_ms + 90 * SECOND_MS, "won", person.id)
        if self._rng.happens(_CANCELED):
            self._schedule(now_ms + DAY_MS + self._some(5 * DAY_MS), self._lose, argument)

    def _lose(self, now_ms: int, argument: tuple[Client, Person]) -> None:
        client, person = argument
        client.closed = True
        self._writer.change(client, now_ms, "lost", person.id)
        if self._rng.happens(_REOPENED):
            self._schedule(now_ms + DAY_MS + self._some(9 * DAY_MS), self._reopen, argument)

    def _reopen(self, now_ms: int, argument: tuple[Client, Person]) -> None:
        client, person = argument
        client.closed = False
        client.closing = True
        self._writer.change(client, now_ms, STAGES[max(client.stage, 0)], person.id)
        end = self._win if self._rng.happens(0.5) else self._lose
        self._schedule(now_ms + DAY_MS + self._some(5 * DAY_MS), end, argument)

    def _step_back(self, now_ms: int, argument: tuple[Client, Person]) -> None:
        """Move a deal back by a stage, and forward again some days later."""
        client, person = argument
        if not client.closed:
            self._writer.change(client, now_ms, "presentation", person.id)
            self._schedule(now_ms + self._some(3 * DAY_MS), self._step_forward, argument)

    def _step_forward(self, now_ms: int, argument: tuple[Client, Person]) -> None:
        client, person = argument
        if not client.closed:
            self._writer.change(client, now_ms, "proposal", person.id)

    def _consult(self, now_ms: int, argument: tuple[Client, Person]) -> None:
        client, person = argument
        self._writer.consulted(client, now_ms, person.id, f"mentor.{person.team}")

    def _link(self, now_ms: int, argument: tuple[Client, str]) -> None:
        client, manager = argument
        client.link(reference(client.key))
        self._clients[client.key] = client
        self._writer.linked(client, now_ms, manager)

    def _some(self, mean_ms: int) -> int:
        """Draw a duration with this mean."""
        return round(self._rng.expovariate(1) * mean_ms)

    def _sweep(self, now_ms: int) -> None:
        """Remove leads without a conversation for a long time."""
        self._next_sweep_ms = now_ms + DAY_MS
        old = now_ms - _FORGOTTEN_MS
        self._clients = {key: client for key, client in self._clients.items() if client.touched >= old}
        if now_ms >= self._next_era_ms:
            self._next_era_ms = now_ms + _ERA_MS
            self._earlier_kinds, self._kinds = self._kinds, {}


def _by_letter(client: Client) -> Channel:
    """Return the channel for messages to a lead."""
    channel = client.deal_terms.channel
    return cast("Channel", channel) if channel in WRITTEN else "email"

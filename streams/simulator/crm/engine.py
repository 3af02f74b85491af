"""What becomes of the leads: how far a conversation brings them, what is written to them, how their deals end.

The CRM looks on. It draws from a chance of its own, so the same calls happen whether anybody writes them down or not;
only the key of a lead changes, once the CRM has learned whom a number belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from streams.contract.events import Channel, Kind, NextStep
from streams.simulator.crm.clients import NONE, PROPOSAL, WON, WRITTEN, Client, bargain, far, reference
from streams.simulator.crm.profiles import STAGES, Manner
from streams.simulator.crm.writer import Clerk, Sender
from streams.simulator.faults.edge_cases import FAR_MS
from streams.simulator.rng import Chance
from streams.simulator.telephony.legs import Leg
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
_CONSULTED: Final = 0.4  # of the leads that a mentor should look at, at each conversation
_GIVEN_UP: Final = 0.3  # of the leads that come no further are lost, at each conversation
_BACK: Final = 0.04  # of the proposals go back to a presentation
_REOPENED: Final = 0.06  # of the lost deals
_CANCELED: Final = 0.025  # of the won deals
_UNKNOWN_STAGE: Final = 0.04  # of the won deals pass a stage that no setting names
_UNKNOWN_REASON: Final = 0.03
_MET: Final = 0.12  # of the deals have a meeting before they are won
_REASONS: Final = {NONE: "spec_clarification", 0: "spec_clarification", 1: "sending_proposal", 2: "price_objection"}


class Desk:
    """The CRM of the department: hears of calls that are over, and says what comes of them.

    `name` makes ids unlike those of other runs; `later` plans what happens.
    """

    def __init__(
        self,
        chance: Chance,
        name: str,
        start_ms: int,
        later: Callable[[int, Callable[[int, Any], None], object], None],
        sender: Sender,
    ) -> None:
        self._chance = chance
        self._name = name
        self._start_ms = start_ms
        self._later = later
        self._clerk = Clerk(chance, name, sender)
        self._leads = 0
        self._clients: dict[str, Client] = {}
        self._next_sweep_ms = start_ms + DAY_MS
        # Kinds of the first calls of leads whom nobody has reached yet: those of late, and those of the days before.
        self._kinds: dict[str, Kind] = {}
        self._earlier_kinds: dict[str, Kind] = {}
        self._next_era_ms = start_ms + _ERA_MS

    def key(self, lead: str, kind: Kind) -> str:
        """Return under which key a call with the lead is told, and remember of which `kind` its first call was."""
        client = self._clients.get(lead)
        if client is not None:
            return self._clerk.key(client)
        if kind != "repeat":
            self._kinds[lead] = kind
        return lead

    # -- calls

    def hung_up(self, person: Person, leg: Leg, again_ms: int | None) -> None:
        """Take note of a call that was answered and is over; the lead is to be called again at `again_ms`."""
        if leg.lead is None:
            return
        manner = person.who.manner
        client = self._clients.get(leg.lead)
        if leg.talk_ms < CONVERSATION_MS:
            if self._chance.happens(_SHORT_NOTED * manner.noted):
                self._clerk.note(leg, client, (), None, None)
            return
        if client is None:
            client = self._meet(leg.lead, manner, leg.ended_at)
        client.touched = leg.ended_at
        client.talks += 1
        moved = self._moved(client, manner)
        agreed = self._chance.happens(manner.agree if moved else manner.agree_idle)
        client.idle = 0 if moved or agreed else client.idle + 1
        if self._chance.happens(manner.noted):
            stages = tuple(STAGES[rank] for rank in moved)
            if not stages and client.stage > NONE and self._chance.happens(_DISCUSSED):
                stages = (STAGES[min(client.stage, PROPOSAL)],)
            reason = self._reason(client, manner) if client.talks > 1 else None
            step = self._next_step(leg, again_ms) if agreed else None
            self._clerk.note(leg, client, stages, reason, step)
            if step is not None and step.due_at not in (None, FAR_MS) and self._chance.happens(manner.keeps):
                self._later(step.due_at - self._chance.between(0, 4 * HOUR_MS), self._keep, (client, person))
        at = leg.ended_at + self._chance.between(5_000, 20 * MINUTE_MS)
        for rank in moved:
            self._clerk.change(client, at, STAGES[rank], leg.manager)
            at += self._chance.between(SECOND_MS, 60 * SECOND_MS)
        if 0 in moved and client.key.startswith("phone:") and self._chance.happens(_NAMED_LEAD):
            self._later(at + self._some(6 * HOUR_MS), self._link, (client, leg.manager))
        self._plan(client, person, at)

    def morning(self, person: Person, now_ms: int) -> None:
        """Let some write instead of calling, once a day."""
        if now_ms >= self._next_sweep_ms:
            self._sweep(now_ms)
        if not self._chance.happens(person.who.manner.mails):
            return
        self._leads += 1
        day = (now_ms - self._start_ms) // DAY_MS
        reached = far(self._chance, person.who.manner, "inbound", day)
        client = Client(f"mail-{self._name}-{self._leads}", reached, self._bargain(1.0))
        client.touched = now_ms
        self._later(now_ms + self._some(3 * HOUR_MS), self._write, (client, person))

    def _meet(self, lead: str, manner: Manner, at: int) -> Client:
        kind = self._kinds.get(lead) or self._earlier_kinds.get(lead, "repeat")
        reached = far(self._chance, manner, kind, (at - self._start_ms) // DAY_MS)
        client = self._clients[lead] = Client(lead, reached, self._bargain(manner.written))
        return client

    def _bargain(self, written: float) -> Any:
        self._leads += 1
        return bargain(self._chance, f"deal-{self._name}-{self._leads}", written=self._chance.happens(written))

    def _moved(self, client: Client, manner: Manner) -> list[int]:
        """Let a conversation bring the lead on. Return the ranks of the stages that it came to."""
        moved: list[int] = []
        while not client.closed and not client.closing and client.stage < min(client.far, PROPOSAL):
            if moved and not self._chance.happens(manner.leap):
                break
            client.stage += 1
            moved.append(client.stage)
        return moved

    def _reason(self, client: Client, manner: Manner) -> str:
        if self._chance.happens(manner.reminders):
            return "reminder"
        return "back_from_holiday" if self._chance.happens(_UNKNOWN_REASON) else _REASONS[min(client.stage, PROPOSAL)]

    def _next_step(self, leg: Leg, again_ms: int | None) -> NextStep:
        if not self._chance.happens(_DATED):
            return NextStep(agreed=True)
        if self._chance.happens(_ABSURD):
            return NextStep(agreed=True, due_at=FAR_MS)
        if again_ms is None:
            return NextStep(agreed=True, due_at=leg.ended_at + self._chance.between(DAY_MS, 6 * DAY_MS))
        return NextStep(agreed=True, due_at=again_ms + self._chance.between(0, 2 * DAY_MS))

    # -- what is to come

    def _plan(self, client: Client, person: Person, now_ms: int) -> None:
        """Plan what follows a conversation."""
        if client.closed or client.closing:
            return
        if client.idle >= _MENTOR_AFTER and self._chance.happens(_CONSULTED):
            self._later(now_ms + self._some(DAY_MS), self._consult, (client, person))
        if client.stage < client.far and client.stage < PROPOSAL:
            if client.stage > NONE and client.bargain.channel in WRITTEN:
                self._later(now_ms + self._some(DAY_MS), self._write, (client, person))
            return
        if client.far == WON:
            client.closing = True
            self._later(now_ms + HOUR_MS + self._some(3 * DAY_MS), self._win, (client, person))
        elif client.stage > NONE and self._chance.happens(_GIVEN_UP):
            client.closing = True
            self._later(now_ms + DAY_MS + self._some(8 * DAY_MS), self._lose, (client, person))
        elif client.stage == PROPOSAL and self._chance.happens(_BACK):
            self._later(now_ms + self._some(DAY_MS), self._back, (client, person))

    def _write(self, now_ms: int, what: tuple[Client, Person]) -> None:
        """Write to a lead that rather reads, which may bring it on by a stage."""
        client, person = what
        if client.closed or client.closing:
            return
        self._clerk.log(client, now_ms, _by_letter(client), person.id)
        if client.stage < min(client.far, PROPOSAL):
            client.stage += 1
            self._clerk.change(client, now_ms + 2 * SECOND_MS, STAGES[client.stage], person.id)
            if client.stage < client.far and client.stage < PROPOSAL:
                self._later(now_ms + self._some(2 * DAY_MS), self._write, what)
                return
        self._plan(client, person, now_ms + MINUTE_MS)

    def _keep(self, now_ms: int, what: tuple[Client, Person]) -> None:
        """Send what was promised."""
        client, person = what
        self._clerk.log(client, now_ms, _by_letter(client), person.id)

    def _win(self, now_ms: int, what: tuple[Client, Person]) -> None:
        client, person = what
        client.closed = True
        if self._chance.happens(_MET):
            self._clerk.log(client, now_ms, "meeting", person.id)
        if client.bargain.channel in WRITTEN:
            self._clerk.log(client, now_ms, _by_letter(client), person.id)
        if self._chance.happens(_UNKNOWN_STAGE):
            self._clerk.change(client, now_ms, "contract_review", person.id)
        self._clerk.change(client, now_ms + 90 * SECOND_MS, "won", person.id)
        if self._chance.happens(_CANCELED):
            self._later(now_ms + DAY_MS + self._some(5 * DAY_MS), self._lose, what)

    def _lose(self, now_ms: int, what: tuple[Client, Person]) -> None:
        client, person = what
        client.closed = True
        self._clerk.change(client, now_ms, "lost", person.id)
        if self._chance.happens(_REOPENED):
            self._later(now_ms + DAY_MS + self._some(9 * DAY_MS), self._reopen, what)

    def _reopen(self, now_ms: int, what: tuple[Client, Person]) -> None:
        client, person = what
        client.closed = False
        client.closing = True
        self._clerk.change(client, now_ms, STAGES[max(client.stage, 0)], person.id)
        end = self._win if self._chance.happens(0.5) else self._lose
        self._later(now_ms + DAY_MS + self._some(5 * DAY_MS), end, what)

    def _back(self, now_ms: int, what: tuple[Client, Person]) -> None:
        """Move a deal back by a stage, and forward again some days later."""
        client, person = what
        if not client.closed:
            self._clerk.change(client, now_ms, "presentation", person.id)
            self._later(now_ms + self._some(3 * DAY_MS), self._forth, what)

    def _forth(self, now_ms: int, what: tuple[Client, Person]) -> None:
        client, person = what
        if not client.closed:
            self._clerk.change(client, now_ms, "proposal", person.id)

    def _consult(self, now_ms: int, what: tuple[Client, Person]) -> None:
        client, person = what
        self._clerk.consulted(client, now_ms, person.id, f"mentor.{person.team}")

    def _link(self, now_ms: int, what: tuple[Client, str]) -> None:
        client, manager = what
        client.link(reference(client.key))
        self._clients[client.key] = client
        self._clerk.linked(client, now_ms, manager)

    def _some(self, mean_ms: int) -> int:
        """Draw a span of so much in the mean."""
        return round(self._chance.expovariate(1) * mean_ms)

    def _sweep(self, now_ms: int) -> None:
        """Forget whom nobody has talked to for long."""
        self._next_sweep_ms = now_ms + DAY_MS
        old = now_ms - _FORGOTTEN_MS
        self._clients = {key: client for key, client in self._clients.items() if client.touched >= old}
        if now_ms >= self._next_era_ms:
            self._next_era_ms = now_ms + _ERA_MS
            self._earlier_kinds, self._kinds = self._kinds, {}


def _by_letter(client: Client) -> Channel:
    """Return how to write to a lead."""
    channel = client.bargain.channel
    return cast("Channel", channel) if channel in WRITTEN else "email"

"""What becomes of the leads, and what the CRM says of it: notes of calls, deals, letters, consultations, links.

The CRM looks on. It draws from a chance of its own, so the same calls happen whether anybody writes them down or not;
only the key of a lead changes, once the CRM has learned whom a number belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from streams.events import (
    ActivityLogged,
    CallAnnotated,
    Channel,
    CrmEvent,
    DealStageChanged,
    LeadConsulted,
    LeadLinked,
    NextStep,
)
from streams.simulator.chance import Chance
from streams.simulator.clients import NONE, PROPOSAL, WON, Client, bargain, far, reference
from streams.simulator.floor import HOUR_MS, MINUTE_MS, SECOND_MS, Person
from streams.simulator.legs import Leg
from streams.simulator.manners import STAGES, Manner

DAY_MS: Final = 24 * HOUR_MS
CONVERSATION_MS: Final = 60_000
_MENTOR_AFTER: Final = 3  # conversations without progress
FAR_MS: Final = 4_070_908_800_000  # 2099-01-01
_FORGOTTEN_MS: Final = 150 * DAY_MS

# Shares and probabilities.
_SHORT_NOTED: Final = 0.15  # of the answered calls that were no conversation
_EARLY: Final = 0.04  # of the notes are written while the call goes on
_EVENING: Final = 0.04  # of the notes are written hours later
_REVISED: Final = 0.08  # of the notes are replaced by a better one
_UNNAMED: Final = 0.04  # of the notes and deals name no manager
_NAMED_LEAD: Final = 0.85  # of the callers that are qualified become a lead of the CRM
_OLD_KEY: Final = 0.15  # of the calls with them and of the CRM's events still use the old key
_DISCUSSED: Final = 0.3  # of the conversations come back to a stage that was reached before
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


class Sender(Protocol):
    """Takes what the CRM says."""

    def crm(self, event: CrmEvent) -> None:
        """Send an event of the CRM."""


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
        self._say = sender.crm
        self._events = 0
        self._leads = 0
        self._clients: dict[str, Client] = {}
        self._next_sweep_ms = start_ms + DAY_MS

    def key(self, lead: str) -> str:
        """Return under which key a call with the lead is told."""
        client = self._clients.get(lead)
        return lead if client is None or not client.old_key else self._key(client)

    # -- calls

    def hung_up(self, person: Person, leg: Leg, again_ms: int | None) -> None:
        """Take note of a call that was answered and is over; the lead is to be called again at `again_ms`."""
        if leg.lead is None:
            return
        manner = person.who.manner
        client = self._clients.get(leg.lead)
        if leg.talk_ms < CONVERSATION_MS:
            if self._chance.happens(_SHORT_NOTED * manner.noted):
                self._note(leg, client, (), None, None)
            return
        if client is None:
            client = self._meet(leg.lead, leg.kind or "unknown", manner, leg.ended_at)
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
            self._note(leg, client, stages, reason, self._next_step(leg, again_ms) if agreed else None)
        at = leg.ended_at + self._chance.between(5_000, 20 * MINUTE_MS)
        for rank in moved:
            self._change(client, at, STAGES[rank], leg.manager)
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
        client = Client(f"mail-{self._name}-{self._leads}", "none", reached, self._bargain(1.0))
        client.touched = now_ms
        self._later(now_ms + self._some(3 * HOUR_MS), self._write, (client, person))

    def _meet(self, lead: str, kind: str, manner: Manner, at: int) -> Client:
        reached = far(self._chance, manner, kind, (at - self._start_ms) // DAY_MS)
        client = self._clients[lead] = Client(lead, kind, reached, self._bargain(manner.written))
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
            if client.stage > NONE and client.bargain.channel in ("email", "messenger"):
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
        self._log(client, now_ms, client.bargain.channel, person.id)
        if client.stage < min(client.far, PROPOSAL):
            client.stage += 1
            self._change(client, now_ms + 2 * SECOND_MS, STAGES[client.stage], person.id)
            if client.stage < client.far and client.stage < PROPOSAL:
                self._later(now_ms + self._some(2 * DAY_MS), self._write, what)
                return
        self._plan(client, person, now_ms + MINUTE_MS)

    def _win(self, now_ms: int, what: tuple[Client, Person]) -> None:
        client, person = what
        client.closed = True
        if self._chance.happens(_MET):
            self._log(client, now_ms - HOUR_MS // 2, "meeting", person.id)
        if client.bargain.channel in ("email", "messenger"):
            self._log(client, now_ms, client.bargain.channel, person.id)
        if self._chance.happens(_UNKNOWN_STAGE):
            self._change(client, now_ms, "contract_review", person.id)
        self._change(client, now_ms + 90 * SECOND_MS, "won", person.id)
        if self._chance.happens(_CANCELED):
            self._later(now_ms + DAY_MS + self._some(5 * DAY_MS), self._lose, what)

    def _lose(self, now_ms: int, what: tuple[Client, Person]) -> None:
        client, person = what
        client.closed = True
        self._change(client, now_ms, "lost", person.id)
        if self._chance.happens(_REOPENED):
            self._later(now_ms + DAY_MS + self._some(9 * DAY_MS), self._reopen, what)

    def _reopen(self, now_ms: int, what: tuple[Client, Person]) -> None:
        client, person = what
        client.closed = False
        client.closing = True
        self._change(client, now_ms, STAGES[max(client.stage, 0)], person.id)
        end = self._win if self._chance.happens(0.5) else self._lose
        self._later(now_ms + DAY_MS + self._some(5 * DAY_MS), end, what)

    def _back(self, now_ms: int, what: tuple[Client, Person]) -> None:
        """Move a deal back by a stage, and forward again some days later."""
        client, person = what
        if not client.closed:
            self._change(client, now_ms, "presentation", person.id)
            self._later(now_ms + self._some(3 * DAY_MS), self._forth, what)

    def _forth(self, now_ms: int, what: tuple[Client, Person]) -> None:
        client, person = what
        if not client.closed:
            self._change(client, now_ms, "proposal", person.id)

    def _consult(self, now_ms: int, what: tuple[Client, Person]) -> None:
        client, person = what
        event = LeadConsulted(
            v=1, id=self._id(), at=now_ms, source="crm", lead=self._key(client), manager=person.id,
            mentor=f"mentor.{person.team}",
        )  # fmt: skip
        self._say(event)

    def _link(self, now_ms: int, what: tuple[Client, str]) -> None:
        client, manager = what
        client.link(reference(client.key))
        self._clients[client.key] = client
        self._say(
            LeadLinked(
                v=1, id=self._id(), at=now_ms, source="crm", lead=client.key, manager=manager, old_key=client.old_key
            )
        )

    # -- saying

    def _note(
        self, leg: Leg, client: Client | None, stages: tuple[str, ...], reason: str | None, step: NextStep | None
    ) -> None:
        """Say what a call was about: soon after it, sometimes before its end or in the evening, and sometimes twice."""
        chance = self._chance
        draw = chance.random()
        talking_ms = leg.ended_at - (leg.answered_at or leg.ended_at)
        if draw < _EARLY:
            at = leg.ended_at - chance.between(0, talking_ms // 2)
        elif draw < _EARLY + _EVENING:
            at = leg.ended_at + chance.between(HOUR_MS, 9 * HOUR_MS)
        else:
            at = leg.ended_at + chance.between(3 * SECOND_MS, 4 * MINUTE_MS)
        manager = None if chance.happens(_UNNAMED) else leg.manager
        key = leg.lead or "" if client is None else self._key(client)
        revision = 0
        if chance.happens(_REVISED):
            rough = stages[:-1] if chance.happens(0.5) else (*stages, "proposal")
            self._annotate(leg, at, key, manager, rough, None if chance.happens(0.5) else "reminder", None, revision)
            at += chance.between(10 * MINUTE_MS, DAY_MS)
            revision = 1 + int(chance.happens(0.1))
        self._annotate(leg, at, key, manager, stages, reason, step, revision)

    def _annotate(
        self,
        leg: Leg,
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

    def _change(self, client: Client, at: int, stage: str, manager: str) -> None:
        deal = client.bargain
        priced = stage in ("proposal", "won")
        event = DealStageChanged(
            v=1,
            id=self._id(),
            at=at,
            source="crm",
            lead=self._key(client),
            manager=None if stage not in ("won", "qualified") and self._chance.happens(_UNNAMED) else manager,
            deal=deal.id,
            stage=stage,
            amount=deal.amount if priced else None,
            currency=deal.currency if priced else None,
            product=deal.product,
            channel=deal.channel,
            client_type=deal.client_type,
        )
        self._say(event)

    def _log(self, client: Client, at: int, channel: Channel | str, manager: str) -> None:
        event = ActivityLogged(
            v=1, id=self._id(), at=at, source="crm", lead=self._key(client), manager=manager,
            channel=channel,  # type: ignore[arg-type]  # of the deal's channels, only those of activities come here
        )  # fmt: skip
        self._say(event)

    def _key(self, client: Client) -> str:
        return client.old_key if client.old_key and self._chance.happens(_OLD_KEY) else client.key

    def _id(self) -> str:
        self._events += 1
        return f"{self._name}-crm{self._events}"

    def _some(self, mean_ms: int) -> int:
        """Draw a span of so much in the mean."""
        return round(self._chance.expovariate(1) * mean_ms)

    def _sweep(self, now_ms: int) -> None:
        """Forget whom nobody has talked to for long."""
        self._next_sweep_ms = now_ms + DAY_MS
        old = now_ms - _FORGOTTEN_MS
        self._clients = {key: client for key, client in self._clients.items() if client.touched >= old}

"""The calls: dials, talks, transfers, inbound and missed calls."""

from __future__ import annotations

from typing import Final

from streams.calendars import weekday
from streams.contract.events import QUEUE_PREFIX, Direction, Disposition, Kind
from streams.simulator.crm.engine import CrmEngine
from streams.simulator.crm.writer import Sender
from streams.simulator.people.roster import Department
from streams.simulator.rng import SeededRandom
from streams.simulator.speech.speakers import Speakers
from streams.simulator.telephony.chats import Chats
from streams.simulator.telephony.emitter import Emitter
from streams.simulator.telephony.legs import SimulatedLeg
from streams.simulator.telephony.workforce import Line, Person, Workforce
from streams.units import HOUR_MS, MINUTE_MS, SECOND_MS

CONVERSATION_MS: Final = MINUTE_MS
_TALK_MS: Final = (1_500, 100 * MINUTE_MS)  # least and most
_FAILURES: Final[dict[Disposition, float]] = {  # results of unsuccessful dials, with weights that add up to 1
    "no_answer": 0.6,
    "voicemail": 0.17,
    "busy": 0.13,
    "canceled": 0.06,
    "failed": 0.04,
}
_RING_MS: Final[dict[Disposition, tuple[int, int]]] = {
    "no_answer": (18_000, 45_000),
    "voicemail": (14_000, 28_000),
    "busy": (1_500, 4_000),
    "canceled": (3_000, 20_000),
    "failed": (300, 2_500),
}
# Shares and probabilities.
_UNNAMED: Final = 0.03  # calls with a person whom no source knows
_UNSORTED: Final = 0.03  # calls without an entered kind
_MACHINE_HEARD: Final = 0.5  # voicemail that the source reports as an answer first
_NOTES: Final = 0.6  # conversations that are followed by work after the call
_ATTENDED: Final = 0.4  # transfers; the others are blind
_TRANSFER_TAKEN: Final = 0.85  # blind transfers that the other answers
_END_EMITTED: Final = 0.5  # transferred legs whose end the source emits, too
_INBOUND_AN_HOUR: Final = 0.6  # calls, for each member of a team
_TRIES_CLOSED: Final = 0.2  # callers who call although no manager is present
_CALLBACK: Final = 0.25  # known callers who have a person's own number
_PICKS_UP: Final = 0.85  # calls to a person's own number that the person answers, if free
_KNOWN_CALLER: Final = 0.4  # calls to a queue that come from a known lead
_GIVES_UP: Final = 0.06  # callers who hang up before the answer
_LEAVES: Final = 0.7  # missed calls that the caller canceled; the others had no answer


class CallSimulation(Workforce):
    """The workforce with its telephones. `name` makes call ids differ from those of other runs."""

    def __init__(  # noqa: PLR0913 - one for each part of the workforce
        self,
        department: Department,
        start_ms: int,
        end_ms: int,
        intensity: float,
        emitter: Emitter,
        name: str,
        crm: Sender | None = None,
        *,
        internal: float = 0.0,
        speakers: Speakers | None = None,
    ) -> None:
        super().__init__(department, start_ms, end_ms, intensity, emitter)
        self._chats = Chats(SeededRandom(department.seed, "chats", start_ms), name, internal, emitter)
        self._speakers = speakers
        self._crm_engine: CrmEngine | None = None
        if crm is not None:
            self._crm_engine = CrmEngine(
                SeededRandom(department.seed, "crm", start_ms), name, start_ms, self.schedule, crm
            )
        self._name = name
        self._count = 0
        self._rates = {team: len(people) * _INBOUND_AN_HOUR * intensity for team, people in self.teams.items()}
        for team in self.teams:
            self.schedule(start_ms + self._gap(team, start_ms), self._inbound, team)

    # -- out

    def dial(self, now_ms: int, line: Line) -> None:
        """Dial the next lead, if the person is present and free."""
        person = line.person
        if line.turn != person.turn or now_ms >= person.leave_at:
            return
        if person.away:
            again_ms = max(person.back_at, now_ms) + SECOND_MS + self.pause(person, now_ms) // 3
            self.schedule(again_ms, self.dial, line)
            return
        if person.lines[line.number] > now_ms:  # a call came in meanwhile
            self.schedule(person.lines[line.number] + self.pause(person, now_ms) // 2, self.dial, line)
            return
        lead, kind, failures = person.call_list.next(now_ms)
        leg = self._begin(person.id, now_ms, "outbound", lead, kind)
        self.emitter.started(leg, person.team)
        if not self.rng.happens(person.personality.connect):
            self._dial_next(line, self._fail(person, leg, failures))
        elif not self._talk(line, leg, now_ms + self.rng.between(4_000, 25_000), dialled=True):
            self._dial_next(line, person.lines[line.number])

    def _dial_next(self, line: Line, free_at: int) -> None:
        person = line.person
        person.lines[line.number] = max(person.lines[line.number], free_at)
        self.schedule(free_at + self.pause(person, free_at), self.dial, line)

    def _fail(self, person: Person, leg: SimulatedLeg, failures: int) -> int:
        """Finish an unanswered dial. Return when the person is free again."""
        leg.disposition = disposition = self.rng.choices(tuple(_FAILURES), tuple(_FAILURES.values()))[0]
        ended_at = leg.started_at + self.rng.between(*_RING_MS[disposition])
        if disposition == "voicemail" and self.rng.happens(_MACHINE_HEARD):
            self.emitter.answered(leg, ended_at)
            leg.talk_ms = self.rng.between(3_000, 20_000)
            ended_at += leg.talk_ms
        self.emitter.ended(leg, ended_at)
        if leg.lead is not None:
            person.call_list.note(leg.lead, ended_at, disposition, 0, failures)
        return ended_at + self.rng.between(1_000, 6_000)

    # -- talk

    def _talk(self, line: Line, leg: SimulatedLeg, answered_at: int, *, dialled: bool) -> bool:
        """Simulate a talk, during which the line is busy. Return whether a transfer may end it."""
        person = line.person
        leg.disposition = "answered"
        self.emitter.answered(leg, answered_at)
        talk_ms = self._talk_time(person, answered_at)
        ended_at = answered_at + talk_ms
        if talk_ms > 30 * SECOND_MS and self.rng.happens(person.personality.transfer):
            person.lines[line.number] = ended_at
            at = answered_at + round(talk_ms * self.rng.uniform(0.3, 0.8))
            self.schedule(at, self.hand_over, (line, leg, ended_at, dialled))
            return True
        person.lines[line.number] = self._hang_up(person, leg, ended_at)
        return False

    def _hang_up(self, person: Person, leg: SimulatedLeg, ended_at: int) -> int:
        """End a talk. Return when the person is ready for the next call."""
        leg.talk_ms = ended_at - (leg.answered_at or ended_at)
        self.emitter.ended(leg, ended_at)
        if self._speakers is not None:
            self._speakers.perhaps(leg)
        self._chats.perhaps(person, self.people, ended_at)
        if leg.lead is not None:
            again_ms = person.call_list.note(leg.lead, ended_at, "answered", leg.talk_ms, 0)
            if self._crm_engine is not None:
                self._crm_engine.hung_up(person, leg, again_ms)
        if leg.talk_ms < CONVERSATION_MS or not self.rng.happens(_NOTES):
            return ended_at + self.rng.between(1_000, 8_000)
        ready_at = ended_at + self.rng.between(15_000, 90_000)
        self.emitter.presence(person.id, ended_at, "after_call")
        self.emitter.presence(person.id, ready_at, "available")
        return ready_at

    def _talk_time(self, person: Person, at: int) -> int:
        personality = person.personality
        least, most = _TALK_MS
        talk_ms = personality.talk_ms * self.rng.lognormvariate(0, personality.spread)
        if personality.talks:
            talk_ms *= personality.talks[weekday(person.local.day(at))]
        return round(min(most, max(least, talk_ms)))

    # -- transfers

    def hand_over(self, now_ms: int, argument: tuple[Line, SimulatedLeg, int, bool]) -> None:
        """Transfer a call, or finish it if no colleague is free."""
        line, leg, ended_at, dialled = argument
        person = line.person
        to = None if now_ms >= self.end_ms else self._colleague(person, now_ms)
        if to is None:
            free_at = self._hang_up(person, leg, ended_at)
        else:
            free_at = self._transfer(now_ms, leg, to, left_ms=max(ended_at - now_ms, _TALK_MS[0]))
        person.lines[line.number] = free_at
        if dialled:  # a call that came in has not stopped the dialling
            self.schedule(free_at + self.pause(person, free_at), self.dial, line)

    def _colleague(self, person: Person, now_ms: int) -> Line | None:
        """Return an idle line of a colleague, in the team first."""
        for group in (self.teams[person.team], self.people):
            first = self.rng.between(0, len(group) - 1)
            for other in (group[first:] + group[:first])[:40]:
                number = other.idle_line(now_ms)
                if other is not person and number is not None:
                    return Line(other, number, other.turn)
        return None

    def _transfer(self, now_ms: int, leg: SimulatedLeg, line: Line, *, left_ms: int) -> int:
        """Transfer the call to another person. Return when the first one is free again."""
        to = line.person
        other = SimulatedLeg(leg.call, to.id, leg.direction, leg.kind, leg.lead, now_ms)
        other.queue = leg.queue
        answered_at: int | None = None
        if self.rng.happens(_ATTENDED):  # the two of them talk first
            leg.how = "attended"
            answered_at = now_ms + self.rng.between(2_000, 9_000)
            at = answered_at + self.rng.between(4_000, 40_000)
        else:
            at = now_ms
            other.started_at = now_ms + self.rng.between(100, 900)
            if self.rng.happens(_TRANSFER_TAKEN):
                answered_at = other.started_at + self.rng.between(2_000, 12_000)
        leg.talk_ms = at - (leg.answered_at or at)
        self.emitter.transferred(leg, other, at)
        if self._speakers is not None:
            self._speakers.perhaps(leg)
        if self.rng.happens(_END_EMITTED):
            self.emitter.ended(leg, at + self.rng.between(0, 60))
        else:
            leg.settled = True
        self.emitter.started(other, to.team)
        if answered_at is None:
            self.emitter.ended(other, other.started_at + self.rng.between(15_000, 30_000))
            free_at = other.ended_at
        else:
            other.disposition = "answered"
            self.emitter.answered(other, answered_at)
            free_at = self._hang_up(to, other, max(answered_at, at) + left_ms)
        to.lines[line.number] = free_at
        return at + self.rng.between(1_000, 8_000)

    # -- in

    def _gap(self, team: str, now_ms: int) -> int:
        """Draw the time until the next inbound call of a team."""
        rate = self._rates[team] * self.pace(self.teams[team][0], now_ms)
        return 1 + round(self.rng.expovariate(rate) * HOUR_MS)

    def _inbound(self, now_ms: int, team: str) -> None:
        """Simulate an inbound call to a team, or to one person's own number."""
        self.schedule(now_ms + self._gap(team, now_ms), self._inbound, team)
        there = [person for person in self.teams[team] if not person.away]
        if not there and not self.rng.happens(_TRIES_CLOSED):
            return
        person = self.rng.choice(self.teams[team])
        lead = person.call_list.known()
        if lead is not None and self.rng.happens(_CALLBACK):
            self._call_back(now_ms, person, lead)
            return
        kind: Kind = "repeat"
        if lead is None or not self.rng.happens(_KNOWN_CALLER):
            lead, kind = person.call_list.stranger(), "inbound"
        idle = [Line(one, number, one.turn) for one in there if (number := one.idle_line(now_ms)) is not None]
        if not idle or self.rng.happens(_GIVES_UP):
            self._missed(now_ms, team, lead, kind)
            return
        line = self.rng.choices(idle, [one.person.personality.inbound for one in idle])[0]
        leg = self._begin(line.person.id, now_ms + self.rng.between(2_000, 20_000), "inbound", lead, kind)
        leg.queue = team
        self._ring(line, leg)

    def _call_back(self, now_ms: int, person: Person, lead: str) -> None:
        """Simulate a call to a person's own number: answered, not answered, or busy."""
        if person.away:
            return
        number = person.idle_line(now_ms)
        leg = self._begin(person.id, now_ms, "inbound", lead, "repeat")
        if number is not None and self.rng.happens(_PICKS_UP):
            self._ring(Line(person, number, person.turn), leg)
            return
        self.emitter.started(leg, person.team)
        leg.disposition = "busy" if number is None else "no_answer"
        low, high = (500, 3_000) if number is None else (12_000, 40_000)
        self.emitter.ended(leg, now_ms + self.rng.between(low, high))

    def _ring(self, line: Line, leg: SimulatedLeg) -> None:
        self.emitter.started(leg, line.person.team)
        self._talk(line, leg, leg.started_at + self.rng.between(1_500, 9_000), dialled=False)

    def _missed(self, now_ms: int, team: str, lead: str, kind: Kind) -> None:
        """Simulate an inbound call that no manager took. It has only an end, because no telephone rang."""
        leg = self._begin(f"{QUEUE_PREFIX}{team}", now_ms, "inbound", lead, kind)
        leg.queue = team
        leg.disposition = "canceled" if self.rng.happens(_LEAVES) else "no_answer"
        self.emitter.ended(leg, now_ms + self.rng.between(8_000, 150_000))

    def _begin(self, manager: str, at: int, direction: Direction, lead: str, kind: Kind) -> SimulatedLeg:
        self._count += 1
        key = lead if self._crm_engine is None else self._crm_engine.key(lead, kind)
        return SimulatedLeg(
            f"{self._name}-{self._count}",
            manager,
            direction,
            None if self.rng.happens(_UNSORTED) else kind,
            None if self.rng.happens(_UNNAMED) else key,
            at,
        )

    def _arrive(self, now_ms: int, argument: tuple[Person, int]) -> None:
        super()._arrive(now_ms, argument)
        if self._crm_engine is not None:
            self._crm_engine.morning(argument[0], now_ms)

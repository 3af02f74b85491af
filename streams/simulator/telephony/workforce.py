"""The workforce: presence of people, their breaks, and the heap of scheduled callbacks.

A discrete event simulation: callbacks are taken from a heap in order of time. An event is emitted when it is decided,
with its later times. No event is dated before its decision, so records can be yielded in order during the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Final, NamedTuple

from streams.calendars import local_time, weekday
from streams.simulator.people.roster import Department, Member
from streams.simulator.people.working_hours import pace, shifts_from, whole_days
from streams.simulator.rng import SeededRandom
from streams.simulator.telephony.call_list import CallList, LeadRegistry
from streams.simulator.telephony.emitter import Emitter
from streams.units import HOUR_MS, MINUTE_MS, SECOND_MS

_LONG_SHIFT_MS: Final = 6 * HOUR_MS  # has a lunch break
_STRETCH_HOURS: Final = (1.5, 3.2)  # between breaks, where work goes on round the clock


class Person:
    """A member at work. `lines` holds the time at which each line is free.

    `turn` counts shifts, so that callbacks that were scheduled in an earlier shift lapse.
    """

    __slots__ = (
        "away",
        "back_at",
        "call_list",
        "id",
        "leave_at",
        "lines",
        "local",
        "personality",
        "shifts",
        "team",
        "turn",
    )

    def __init__(self, member: Member, lines: int, shifts: Iterator[tuple[int, int]], call_list: CallList) -> None:
        self.id = member.manager.id
        self.team = member.manager.team
        self.personality = member.personality
        self.local = local_time(member.manager.timezone)
        self.shifts = shifts
        self.call_list = call_list
        self.lines = [0] * lines
        self.away = True
        self.back_at = 0
        self.leave_at = 0
        self.turn = 0

    def idle_line(self, now_ms: int) -> int | None:
        """Return a free line, or None if there is none or the person is away."""
        if self.away or now_ms >= self.leave_at:
            return None
        for line, free_at in enumerate(self.lines):
            if free_at <= now_ms:
                return line
        return None


class Line(NamedTuple):
    """One line of a person, in one shift."""

    person: Person
    number: int
    turn: int


class Workforce:
    """The people of a department and the heap of callbacks. Subclasses add the calls."""

    def __init__(self, department: Department, start_ms: int, end_ms: int, intensity: float, emitter: Emitter) -> None:
        seed = department.seed
        self.rng = SeededRandom(seed, "work", start_ms)
        self.emitter = emitter
        self.end_ms = end_ms
        self.always = department.always
        self._sequence = 0
        self._heap: list[tuple[int, int, Callable[[int, Any], None], Any]] = []
        lines = max(1, round(intensity))
        self._hurry = intensity / lines
        self.people: list[Person] = []
        self.teams: dict[str, list[Person]] = {}
        lead_registry = LeadRegistry(seed)
        for member in department.members:
            zone = local_time(member.manager.timezone)
            if self.always:
                shifts = whole_days(zone, start_ms, end_ms)
            else:
                shifts = shifts_from(department.settings, member.manager, start_ms, end_ms)
            call_list = CallList(
                member.personality, lead_registry, SeededRandom(seed, "book", member.manager.id, start_ms)
            )
            person = Person(member, lines, shifts, call_list)
            self.people.append(person)
            self.teams.setdefault(person.team, []).append(person)
            self._plan(start_ms, person)

    def run(self) -> Iterator[int]:
        """Run all callbacks that are due before the end. Yield the time before each of them."""
        heap, end_ms = self._heap, self.end_ms
        while heap and heap[0][0] < end_ms:
            now_ms, _, callback, argument = heappop(heap)
            yield now_ms
            callback(now_ms, argument)

    def finish(self, only: Callable[[int, Any], None]) -> None:
        """Run the callbacks that are due after the end, of one function only."""
        heap = [item for item in self._heap if item[2] == only]
        heapify(heap)
        while heap:
            now_ms, _, callback, argument = heappop(heap)
            callback(now_ms, argument)

    def schedule(self, at_ms: int, callback: Callable[[int, Any], None], argument: object) -> None:
        """Schedule a callback at `at_ms`."""
        self._sequence += 1
        heappush(self._heap, (at_ms, self._sequence, callback, argument))

    def pace(self, person: Person, now_ms: int) -> float:
        """Return the load of the hour. With shifts round the clock, all hours are equal."""
        return 1.0 if self.always else pace(person.local, now_ms)

    def pause(self, person: Person, now_ms: int) -> int:
        """Draw the pause until the next dial."""
        pace = self.pace(person, now_ms)
        if person.personality.paces:
            pace *= person.personality.paces[weekday(person.local.day(now_ms))]
        mean = person.personality.pause_ms / (pace * self._hurry)
        return round(mean * (0.25 + 0.75 * self.rng.expovariate(1)))

    def dial(self, now_ms: int, line: Line) -> None:
        """Dial the next lead, if the person is present and free."""
        raise NotImplementedError

    def _plan(self, now_ms: int, person: Person) -> None:
        """Schedule the next shift at which the person is present."""
        for start_ms, end_ms in person.shifts:
            if end_ms <= now_ms or (not self.always and self.rng.happens(person.personality.absent)):
                continue
            from_ms = max(start_ms, now_ms)
            settling = min(MINUTE_MS if self.always else 10 * MINUTE_MS, (end_ms - from_ms) // 4)
            arrive_ms = from_ms + self.rng.between(0, settling)
            leave_ms = end_ms if self.always else end_ms - self.rng.between(0, settling)
            self.schedule(arrive_ms, self._arrive, (person, leave_ms))
            return

    def _arrive(self, now_ms: int, argument: tuple[Person, int]) -> None:
        person, leave_ms = argument
        person.away = False
        person.leave_at = leave_ms
        person.turn += 1
        self.emitter.presence(person.id, now_ms, "available")
        for number in range(len(person.lines)):
            self.schedule(now_ms + self.pause(person, now_ms) // 2, self.dial, Line(person, number, person.turn))
        self.schedule(leave_ms, self._leave, person)
        if self.always:
            self.schedule(self._stretch(now_ms), self._break, (person, person.turn, "break"))
        elif leave_ms - now_ms >= _LONG_SHIFT_MS:
            lunch_ms = now_ms + round(self.rng.uniform(0.36, 0.5) * (leave_ms - now_ms))
            self.schedule(lunch_ms, self._break, (person, person.turn, "lunch"))

    def _leave(self, now_ms: int, person: Person) -> None:
        busy_until = max(person.lines)
        if busy_until > now_ms:
            self.schedule(busy_until + SECOND_MS, self._leave, person)
            return
        person.away = True
        if not self.always:
            self.emitter.presence(person.id, now_ms, "offline")
        self._plan(now_ms + 1, person)

    def _break(self, now_ms: int, argument: tuple[Person, int, str]) -> None:
        person, turn, reason = argument
        if turn != person.turn or now_ms >= person.leave_at:
            return
        person.away = True  # no new call before the break
        busy_until = max(person.lines)
        if busy_until > now_ms:
            person.back_at = busy_until + MINUTE_MS
            self.schedule(busy_until, self._break, argument)
            return
        person.back_at = now_ms + self.rng.between(17, 30 if self.always else 55) * MINUTE_MS
        self.emitter.presence(person.id, now_ms, "paused", reason)
        self.schedule(person.back_at, self._return, (person, turn))
        if self.always:
            self.schedule(self._stretch(person.back_at), self._break, argument)

    def _return(self, now_ms: int, argument: tuple[Person, int]) -> None:
        person, turn = argument
        if turn == person.turn and now_ms < person.leave_at:
            person.away = False
            self.emitter.presence(person.id, now_ms, "available")

    def _stretch(self, now_ms: int) -> int:
        return now_ms + round(self.rng.uniform(*_STRETCH_HOURS) * HOUR_MS)

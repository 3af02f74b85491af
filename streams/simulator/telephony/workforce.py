"""The floor: what happens next, who is there, and how they come, pause and leave.

A discrete simulation: a heap of happenings, taken out one after the other in time. What happens is told at once with
the moments it will have; nothing is told that is dated before the moment in which it is decided, so records can leave
in order while the work goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Final, NamedTuple

from streams.calendars import local_time, weekday
from streams.simulator.people.roster import Department, Member
from streams.simulator.people.working_hours import pace, shifts_from, whole_days
from streams.simulator.rng import Chance
from streams.simulator.telephony.call_list import Book, Register
from streams.simulator.telephony.emitter import Teller
from streams.units import HOUR_MS, MINUTE_MS, SECOND_MS

_LONG_SHIFT_MS: Final = 6 * HOUR_MS  # has a lunch break
_STRETCH_HOURS: Final = (1.5, 3.2)  # between breaks, where work goes on round the clock


class Person:
    """A member at work. `lines` says when each line is free.

    `turn` counts stints of work, so that what was planned in a past one lapses.
    """

    __slots__ = ("away", "back_at", "book", "id", "leave_at", "lines", "local", "shifts", "team", "turn", "who")

    def __init__(self, member: Member, lines: int, shifts: Iterator[tuple[int, int]], book: Book) -> None:
        self.id = member.manager.id
        self.team = member.manager.team
        self.who = member.personality
        self.local = local_time(member.manager.timezone)
        self.shifts = shifts
        self.book = book
        self.lines = [0] * lines
        self.away = True
        self.back_at = 0
        self.leave_at = 0
        self.turn = 0

    def idle_line(self, now_ms: int) -> int | None:
        """Return a line on which nothing goes on, if there is one and the person is there."""
        if self.away or now_ms >= self.leave_at:
            return None
        for line, free_at in enumerate(self.lines):
            if free_at <= now_ms:
                return line
        return None


class Line(NamedTuple):
    """One line of a person, in one stint of work."""

    person: Person
    number: int
    turn: int


class Floor:
    """The people of a department and the heap of what happens next. Calls are for subclasses."""

    def __init__(self, department: Department, start_ms: int, end_ms: int, intensity: float, tell: Teller) -> None:
        seed = department.seed
        self.chance = Chance(seed, "work", start_ms)
        self.tell = tell
        self.end_ms = end_ms
        self.always = department.always
        self._happenings = 0
        self._heap: list[tuple[int, int, Callable[[int, Any], None], Any]] = []
        lines = max(1, round(intensity))
        self._hurry = intensity / lines
        self.people: list[Person] = []
        self.teams: dict[str, list[Person]] = {}
        register = Register(seed)
        for member in department.members:
            zone = local_time(member.manager.timezone)
            if self.always:
                shifts = whole_days(zone, start_ms, end_ms)
            else:
                shifts = shifts_from(department.settings, member.manager, start_ms, end_ms)
            book = Book(member.personality, register, Chance(seed, "book", member.manager.id, start_ms))
            person = Person(member, lines, shifts, book)
            self.people.append(person)
            self.teams.setdefault(person.team, []).append(person)
            self._plan(start_ms, person)

    def happenings(self) -> Iterator[int]:
        """Let everything happen that begins before the end; yield each moment before what happens in it."""
        heap, end_ms = self._heap, self.end_ms
        while heap and heap[0][0] < end_ms:
            now_ms, _, happen, what = heappop(heap)
            yield now_ms
            happen(now_ms, what)

    def finish(self, only: Callable[[int, Any], None]) -> None:
        """Let happen what is due after the end, of one sort."""
        heap = [item for item in self._heap if item[2] == only]
        heapify(heap)
        while heap:
            now_ms, _, happen, what = heappop(heap)
            happen(now_ms, what)

    def later(self, at_ms: int, happen: Callable[[int, Any], None], what: object) -> None:
        """Let something happen at `at_ms`."""
        self._happenings += 1
        heappush(self._heap, (at_ms, self._happenings, happen, what))

    def pace(self, person: Person, now_ms: int) -> float:
        """Return how busy the hour is; round the clock, one hour is like another."""
        return 1.0 if self.always else pace(person.local, now_ms)

    def pause(self, person: Person, now_ms: int) -> int:
        """Draw how long until the next dial."""
        pace = self.pace(person, now_ms)
        if person.who.paces:
            pace *= person.who.paces[weekday(person.local.day(now_ms))]
        mean = person.who.pause_ms / (pace * self._hurry)
        return round(mean * (0.25 + 0.75 * self.chance.expovariate(1)))

    def dial(self, now_ms: int, line: Line) -> None:
        """Let a person dial, if they are there and free."""
        raise NotImplementedError

    def _plan(self, now_ms: int, person: Person) -> None:
        """Plan the next shift that the person turns up for."""
        for start_ms, end_ms in person.shifts:
            if end_ms <= now_ms or (not self.always and self.chance.happens(person.who.absent)):
                continue
            from_ms = max(start_ms, now_ms)
            settling = min(MINUTE_MS if self.always else 10 * MINUTE_MS, (end_ms - from_ms) // 4)
            arrive_ms = from_ms + self.chance.between(0, settling)
            leave_ms = end_ms if self.always else end_ms - self.chance.between(0, settling)
            self.later(arrive_ms, self._arrive, (person, leave_ms))
            return

    def _arrive(self, now_ms: int, what: tuple[Person, int]) -> None:
        person, leave_ms = what
        person.away = False
        person.leave_at = leave_ms
        person.turn += 1
        self.tell.presence(person.id, now_ms, "available")
        for number in range(len(person.lines)):
            self.later(now_ms + self.pause(person, now_ms) // 2, self.dial, Line(person, number, person.turn))
        self.later(leave_ms, self._leave, person)
        if self.always:
            self.later(self._stretch(now_ms), self._break, (person, person.turn, "break"))
        elif leave_ms - now_ms >= _LONG_SHIFT_MS:
            lunch_ms = now_ms + round(self.chance.uniform(0.36, 0.5) * (leave_ms - now_ms))
            self.later(lunch_ms, self._break, (person, person.turn, "lunch"))

    def _leave(self, now_ms: int, person: Person) -> None:
        busy_until = max(person.lines)
        if busy_until > now_ms:
            self.later(busy_until + SECOND_MS, self._leave, person)
            return
        person.away = True
        if not self.always:
            self.tell.presence(person.id, now_ms, "offline")
        self._plan(now_ms + 1, person)

    def _break(self, now_ms: int, what: tuple[Person, int, str]) -> None:
        person, turn, reason = what
        if turn != person.turn or now_ms >= person.leave_at:
            return
        person.away = True  # no new call before the break
        busy_until = max(person.lines)
        if busy_until > now_ms:
            person.back_at = busy_until + MINUTE_MS
            self.later(busy_until, self._break, what)
            return
        person.back_at = now_ms + self.chance.between(17, 30 if self.always else 55) * MINUTE_MS
        self.tell.presence(person.id, now_ms, "paused", reason)
        self.later(person.back_at, self._back, (person, turn))
        if self.always:
            self.later(self._stretch(person.back_at), self._break, what)

    def _back(self, now_ms: int, what: tuple[Person, int]) -> None:
        person, turn = what
        if turn == person.turn and now_ms < person.leave_at:
            person.away = False
            self.tell.presence(person.id, now_ms, "available")

    def _stretch(self, now_ms: int) -> int:
        return now_ms + round(self.chance.uniform(*_STRETCH_HOURS) * HOUR_MS)

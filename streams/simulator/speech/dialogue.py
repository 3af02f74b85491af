"""A simulated talk: lines in a plausible order, their times, and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from msgspec import Struct

from streams.contract.events import Role
from streams.simulator.rng import SeededRandom
from streams.simulator.speech.lines import OBJECTIONS, SLOT, Line, Lines
from streams.simulator.speech.talks import Said, SaidFiller, SaidObjection, SaidQuestion, SaidStep, Talk, Word
from streams.units import SECOND_MS

SHORTEST_MS: Final = 10 * SECOND_MS
"""The length of the shortest talk that has a transcript."""
_CLOSING_MS: Final = 24 * SECOND_MS  # the length of a farewell with a next step and the exchange before it
_LETTERS_A_SECOND: Final = 14
_SILENT: Final = 0.03  # of the pauses between two speakers
_LONG_MS: Final = 3_500  # of an utterance
_NOD: Final = 0.35  # of the long utterances have a back-channel of the other side inside
_CHATS: Final = 0.15  # of the talks begin with small talk
_CONFIRMED: Final = 0.5  # of the answers


class Habits(Struct, frozen=True, kw_only=True):
    """The speech of a manager: probabilities from 0 to 1, and numbers of consecutive lines.

    `fills`: a filler in a slot. `asks`, `presents`: lines of these stages in a row. `interrupts`: of the customer's
    answers. `takes_up`: objections that get an answer. `agrees`: talks that end with a time, else vaguely or refused.
    """

    fills: float = 0.2
    asks: int = 2
    presents: int = 2
    interrupts: float = 0.05
    takes_up: float = 0.6
    agrees: float = 0.35

    @classmethod
    def draw(cls, rng: SeededRandom) -> Habits:
        """Draw the habits of a manager."""
        return cls(
            fills=rng.choice((0.02, 0.1, 0.3, 0.6)),
            asks=rng.between(1, 4),
            presents=rng.choice((1, 2, 2, 3, 9)),
            interrupts=rng.choice((0.0, 0.02, 0.05, 0.3)),
            takes_up=rng.uniform(0.2, 0.95),
            agrees=rng.uniform(0.1, 0.6),
        )


def talk(rng: SeededRandom, lines: Lines, habits: Habits, length_ms: int) -> Talk:
    """Return a talk that fits into `length_ms`, which is at least `SHORTEST_MS`."""
    return _Composer(rng, lines, habits, length_ms).compose()


class _Composer:
    """Writes a talk from its beginning to its end."""

    def __init__(self, rng: SeededRandom, lines: Lines, habits: Habits, length_ms: int) -> None:
        self._rng = rng
        self._lines = lines
        self._habits = habits
        self._length_ms = length_ms
        self._at = rng.between(300, 1_500)
        self._said: list[Said] = []
        self._fillers: list[SaidFiller] = []
        self._questions: list[SaidQuestion] = []
        self._stages: list[tuple[str, str]] = []
        self._objections: list[SaidObjection] = []
        self._step: SaidStep | None = None
        self._interruptions: list[tuple[int, Role]] = []
        self._silences: list[tuple[int, int]] = []
        self._bags: dict[str, list[Line]] = {}
        self._count = 0
        self._names = {
            "name": rng.choice(lines.names),
            "product": rng.choice(lines.products),
            "time": rng.choice(lines.times),
        }

    def compose(self) -> Talk:
        self._customer("greeting", stage="introduction")
        self._manager("greeting")
        if self._manager("permission"):
            self._customer("permission")
        if self._rng.happens(_CHATS) and self._room(_CLOSING_MS) and self._manager("small_talk"):
            self._customer("small_talk")
        while self._room(_CLOSING_MS):
            self._round()
        self._close()
        self._nod()
        return Talk(
            language=self._lines.language,
            said=tuple(sorted(self._said, key=lambda one: one.start_ms)),
            fillers=tuple(self._fillers),
            questions=tuple(self._questions),
            stages=tuple(self._stages),
            objections=tuple(self._objections),
            next_step=self._step,
            interruptions=tuple(self._interruptions),
            silences=tuple(self._silences),
        )

    # -- the order of lines

    def _round(self) -> None:
        rng, habits = self._rng, self._habits
        for _ in range(habits.asks):
            self._ask("need", "need_discovery")
        if rng.happens(0.6):
            self._ask("pain", "pain")
        for _ in range(habits.presents):
            if self._room(_CLOSING_MS):
                self._manager("presentation", stage="presentation")
        if rng.happens(0.5) and self._room(_CLOSING_MS):
            self._customer("presentation")
        if rng.happens(0.5) and self._room(_CLOSING_MS):
            self._customer("price")
            self._manager("price", stage="proposal")
        if rng.happens(0.6):
            self._object(rng.choice(OBJECTIONS))

    def _ask(self, purpose: str, stage: str) -> None:
        if not self._room(_CLOSING_MS):
            return
        self._manager(purpose, stage=stage)
        self._customer(purpose)
        if self._rng.happens(_CONFIRMED) and self._room(_CLOSING_MS):
            self._manager("confirm", interrupts=self._rng.happens(self._habits.interrupts))
            self._customer("confirm")

    def _object(self, kind: str) -> None:
        if not self._room(_CLOSING_MS):
            return
        lines = self._lines.objections[kind]
        utterance = self._say("customer", self._pick(f"{kind} said", lines.said), stage="objection")
        if utterance is None:
            return
        taken_up = self._rng.happens(self._habits.takes_up)
        answer = lines.adequate if taken_up else lines.ignored
        reaction = self._say("manager", self._pick(f"{kind} {taken_up}", answer))
        self._objections.append(SaidObjection(utterance, kind, reaction if taken_up else None))

    def _close(self) -> None:
        rng = self._rng
        if rng.happens(self._habits.agrees):
            utterance = self._manager("dated", stage="next_step")
            if utterance and self._customer("dated"):
                self._step = SaidStep(utterance, agreed=True, when=self._names["time"])
        elif rng.happens(0.5):
            utterance = self._manager("vague", stage="next_step")
            if utterance and self._customer("vague"):
                self._step = SaidStep(utterance, agreed=False, when=None)
        else:
            self._customer("refusal")
        if self._manager("farewell"):
            self._customer("farewell")

    # -- single lines

    def _manager(self, purpose: str, stage: str | None = None, *, interrupts: bool = False) -> str | None:
        line = self._pick(f"manager {purpose}", self._lines.manager[purpose])
        return self._say("manager", line, stage, interrupts=interrupts)

    def _customer(self, purpose: str, stage: str | None = None) -> str | None:
        return self._say("customer", self._pick(f"customer {purpose}", self._lines.customer[purpose]), stage)

    def _pick(self, bag: str, lines: Sequence[Line]) -> Line:
        """Draw a line. No line of a purpose is repeated before all of them were used."""
        left = self._bags.get(bag)
        if not left:
            left = list(lines)
            self._rng.shuffle(left)
            self._bags[bag] = left
        return left.pop()

    def _say(self, role: Role, line: Line, stage: str | None = None, *, interrupts: bool = False) -> str | None:
        """Add a line, if it fits. Return the name of its utterance."""
        text, fillers = self._filled(line.text, role)
        length_ms = self._length_of(text)
        start_ms = self._start(role, length_ms, interrupts=interrupts)
        if start_ms + length_ms > self._length_ms:
            self._at = self._length_ms  # no further line fits
            return None
        before = self._said[-1] if self._said else None
        if before is not None:
            if start_ms < before.end_ms:
                self._interruptions.append((start_ms, role))
            elif start_ms - before.end_ms >= 2 * SECOND_MS:
                self._silences.append((before.end_ms, start_ms))
        name = self._add(role, start_ms, length_ms, text)
        if stage is not None and (not self._stages or self._stages[-1][0] != stage):
            self._stages.append((stage, name))
        self._fillers += [SaidFiller(name, role, phrase) for phrase in fillers]
        self._questions += [SaidQuestion(name, role, kind, line.clarifying) for kind in line.questions]
        self._at = start_ms + length_ms
        return name

    def _filled(self, text: str, role: Role) -> tuple[str, list[str]]:
        fillers: list[str] = []
        parts = text.split(SLOT)
        filled = parts[0]
        share = self._habits.fills if role == "manager" else 0.1
        for part in parts[1:]:
            if self._rng.happens(share):
                fillers.append(self._rng.choice(self._lines.fillers))
                filled += f", {fillers[-1]}" + (part if part.startswith((",", ".")) else f",{part}")
            else:
                filled += part
        return filled.format_map(self._names), fillers

    def _length_of(self, text: str) -> int:
        return max(350, round(len(text) / _LETTERS_A_SECOND * SECOND_MS * self._rng.uniform(0.85, 1.15)))

    def _start(self, role: Role, length_ms: int, *, interrupts: bool) -> int:
        rng = self._rng
        if not self._said:
            return self._at
        before = self._said[-1]
        if before.role == role:
            return self._at + rng.between(600, 1_400)
        overlap_ms = rng.between(700, 1_300)
        if interrupts and before.end_ms - before.start_ms > overlap_ms + 1_200 and length_ms > overlap_ms + 400:
            return before.end_ms - overlap_ms
        if rng.happens(_SILENT):
            return self._at + rng.between(2_300, 8_000)
        return self._at + rng.between(200, 1_400)

    def _add(self, role: Role, start_ms: int, length_ms: int, text: str, *, nod: bool = False) -> str:
        self._count += 1
        name = f"u{self._count}"
        end_ms = start_ms + length_ms
        self._said.append(Said(name, role, start_ms, end_ms, text, _words(text, start_ms, end_ms), nod))
        return name

    def _nod(self) -> None:
        """Put back-channels into long utterances, far from their ends and from other speech of the same side."""
        rng = self._rng
        for before, one, after in zip([None, *self._said[:-1]], list(self._said), [*self._said[1:], None], strict=True):
            alone = (before is None or before.end_ms <= one.start_ms) and (
                after is None or one.end_ms <= after.start_ms
            )
            length_ms = one.end_ms - one.start_ms
            if alone and length_ms > _LONG_MS and rng.happens(_NOD):
                other: Role = "customer" if one.role == "manager" else "manager"
                start_ms = one.start_ms + rng.between(1_000, length_ms - 1_500)
                self._add(other, start_ms, rng.between(350, 480), rng.choice(self._lines.back_channels), nod=True)

    def _room(self, needed_ms: int) -> bool:
        return self._length_ms - self._at > needed_ms


def _words(text: str, start_ms: int, end_ms: int) -> tuple[Word, ...]:
    """Return the words with times by their letters, with short gaps between them."""
    words = text.split()
    ends = list(accumulate(len(word) + 1 for word in words))
    span = end_ms - start_ms
    found = []
    for place, word in enumerate(words):
        begin = start_ms + (ends[place - 1] if place else 0) * span // ends[-1]
        end = end_ms if place + 1 == len(words) else start_ms + ends[place] * span // ends[-1] - 20
        found.append(Word(word, begin, max(begin, end)))
    return tuple(found)

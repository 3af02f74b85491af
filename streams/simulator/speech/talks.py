"""A simulated talk in its true words, with all its labels."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from streams.contract.events import Role
from streams.speech.marks import QuestionType


class Word(Struct, frozen=True, gc=False):
    """A true word, in ms from the moment of answer."""

    text: str
    start_ms: int
    end_ms: int


class Said(Struct, frozen=True, gc=False):
    """A true utterance. `nod`: a back-channel inside the other's speech."""

    name: str
    role: Role
    start_ms: int
    end_ms: int
    text: str
    words: tuple[Word, ...]
    nod: bool = False


class SaidFiller(Struct, frozen=True, gc=False):
    """A filler phrase in an utterance."""

    utterance: str
    role: Role
    phrase: str


class SaidQuestion(Struct, frozen=True, gc=False):
    """A question in an utterance."""

    utterance: str
    role: Role
    type: QuestionType
    clarifying: bool


class SaidObjection(Struct, frozen=True, gc=False):
    """An objection of the customer; `reaction` is the utterance that takes it up, None where it is ignored."""

    utterance: str
    kind: str
    reaction: str | None


class SaidStep(Struct, frozen=True, gc=False):
    """The next step: `agreed` with its time `when`, or vague."""

    utterance: str
    agreed: bool
    when: str | None


class Talk(Struct, frozen=True, kw_only=True):
    """A talk and all its labels. Moments in ms from the moment of answer.

    `stages` are the stages in order, each with the utterance in which it begins; `interruptions` the moments at which a
    side cut the other off; `silences` the stretches of 2 s and more without speech.
    """

    language: str
    said: tuple[Said, ...]
    fillers: tuple[SaidFiller, ...]
    questions: tuple[SaidQuestion, ...]
    stages: tuple[tuple[str, str], ...]
    objections: tuple[SaidObjection, ...]
    next_step: SaidStep | None
    interruptions: tuple[tuple[int, Role], ...]
    silences: tuple[tuple[int, int], ...]

    def talk_ms(self, role: Role) -> int:
        """Return the speech of a side, ms: no two of its utterances overlap, and none are closer than half a second."""
        return sum(one.end_ms - one.start_ms for one in self.said if one.role == role)

    def nods(self, role: Role) -> int:
        """Return the number of back-channels of a side."""
        return sum(one.nod for one in self.said if one.role == role)

    def groups(self, role: Role) -> Counter[str]:
        """Return the number of uses of each filler by a side."""
        return Counter(filler.phrase for filler in self.fillers if filler.role == role)

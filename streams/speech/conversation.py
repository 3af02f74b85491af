"""What several utterances of a call say together: stages, objections, the next step. From their marks alone.

Everything is a function of the marks, ordered by the moments at which utterances begin; so the order in which
utterances arrive cannot matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from streams.speech.marks import Hit, UtteranceMarks

LOOK_AHEAD: Final = 2
"""A reaction to an objection follows within so many utterances of the manager; an agreement likewise."""
LEFT_OPEN_TURNS: Final = 3
"""What the manager leaves open is the next step only in the last turns."""
STAGES: Final = (
    "introduction",
    "need_discovery",
    "pain",
    "presentation",
    "proposal",
    "objection",
    "next_step",
)
"""The stages that are told apart. `objection` begins with an objection, not with a phrase of its own."""
_REACTING: Final = ("acknowledge", "ask_back", "option")
"""Reactions that take an objection up. An argument alone may be the script that goes on."""


class StageHeard(Struct, frozen=True, array_like=True, gc=False):
    """A stage that begins in an utterance. `back`: it was heard before, and the talk comes back to it."""

    stage: str
    utterance: str
    at_ms: int
    back: bool = False


class ObjectionHeard(Struct, frozen=True, array_like=True, gc=False):
    """An objection. `also` are other kinds that were heard in the same utterance.

    `reaction` is the utterance in which the manager takes it up; None if the script goes on. `adequate` is None
    where the phrases do not tell.
    """

    kind: str
    utterance: str
    at_ms: int
    also: tuple[str, ...] = ()
    reaction: str | None = None
    adequate: bool | None = None


class NextStepHeard(Struct, frozen=True, array_like=True, gc=False):
    """A next step. `agreed`: a named time that the other side accepts; else it is vague, or left open."""

    utterance: str
    at_ms: int
    agreed: bool


class Conversation(Struct, frozen=True):
    """What was heard in a call, in the order of the moments."""

    stages: tuple[StageHeard, ...] = ()
    objections: tuple[ObjectionHeard, ...] = ()
    next_step: NextStepHeard | None = None


class _Said:
    """An utterance with the groups that were heard in it, by kind; each group with the moment of its first hit."""

    __slots__ = ("groups", "marks", "name", "number")

    def __init__(self, number: int, name: str, marks: UtteranceMarks, hits: Sequence[Hit]) -> None:
        self.number = number
        self.name = name
        self.marks = marks
        self.groups: dict[str, dict[str, int]] = {}
        for hit in hits:
            self.groups.setdefault(hit.kind, {}).setdefault(hit.group, hit.at_ms)

    def of(self, kind: str) -> dict[str, int]:
        """Return the groups of a kind."""
        return self.groups.get(kind, {})

    def steps(self, *groups: str) -> bool:
        """Tell whether one of these groups, of next steps or of cues of them, was heard."""
        return any(group in self.of("next_step") or group in self.of("cue") for group in groups)


def conversation(utterances: Mapping[str, UtteranceMarks]) -> Conversation:
    """Return what was heard in a call."""
    talk = _in_order(utterances)
    step = _next_step(talk)
    objections: list[ObjectionHeard] = []
    stages = _stages(talk, objections, step)
    return Conversation(stages, tuple(objections), step)


def heard(utterances: Mapping[str, UtteranceMarks]) -> dict[str, list[Hit]]:
    """Return the hits of each utterance that count, now that the end of the call is known."""
    last = max((marks.end_ms for marks in utterances.values()), default=0)
    return {
        name: [hit for hit in marks.hits if not hit.end_span_ms or hit.at_ms >= last - hit.end_span_ms]
        for name, marks in utterances.items()
    }


def _in_order(utterances: Mapping[str, UtteranceMarks]) -> list[_Said]:
    """Return the utterances that take a turn, in order."""
    counted = heard(utterances)
    order = sorted(utterances.items(), key=lambda item: (item[1].start_ms, item[1].end_ms, item[0]))
    turns = [(name, marks) for name, marks in order if not marks.back_channel and marks.words]
    return [_Said(number, name, marks, counted[name]) for number, (name, marks) in enumerate(turns)]


# -- next step


def _next_step(talk: list[_Said]) -> NextStepHeard | None:
    """Return the last next step that was named in the second half of the call, and whether it was agreed."""
    vague: NextStepHeard | None = None
    left_open: NextStepHeard | None = None
    for said in reversed(talk):
        if said.number < len(talk) // 2:
            break
        before = talk[max(0, said.number - LOOK_AHEAD) : said.number]
        after = talk[said.number + 1 : said.number + 1 + LOOK_AHEAD]
        offered = said.steps("offer", "customer_offer")
        offered = offered or any(one.steps("offer") for one in before)
        if said.steps("named") and offered and _accepted(said, before, after):
            return NextStepHeard(said.name, said.of("next_step")["named"], agreed=True)
        if said.of("objection").keys() - {"timing"}:
            continue
        if vague is None and said.marks.role == "customer" and said.steps("customer_offer") and not said.steps("named"):
            vague = NextStepHeard(said.name, said.of("cue")["customer_offer"], agreed=False)
        if said.steps("vague_time") and said.marks.role == "customer" and vague is None:
            vague = NextStepHeard(said.name, said.of("next_step")["vague_time"], agreed=False)
        if left_open is None and said.steps("left_open") and said.number >= len(talk) - LEFT_OPEN_TURNS:
            at_ms = (said.of("next_step") | said.of("cue"))["left_open"]
            left_open = NextStepHeard(said.name, at_ms, agreed=False)
    return vague or left_open


def _accepted(said: _Said, before: Sequence[_Said], after: Sequence[_Said]) -> bool:
    """Tell whether the other side agrees to the time that was named."""
    role = said.marks.role
    others = [one for one in after if one.marks.role != role]
    if any(one.steps("refusal") or one.of("objection") for one in others):
        return False
    if any(one.steps("agreement", "named", "customer_offer") for one in others):
        return True
    if role == "customer" and said.steps("agreement", "customer_offer"):
        return True
    return role == "manager" and any(one.marks.role != role and one.steps("named", "agreement") for one in before)


# -- objections


def _objection(talk: list[_Said], said: _Said, now: str, step: NextStepHeard | None) -> ObjectionHeard | None:
    """Return the objection of an utterance, if there is one.

    A last refusal is an end. An answer to the manager's question about the customer's situation is none either, unless
    a word sets it against the question: «двадцать, но нам хватает».
    """
    if said.marks.role != "customer":
        return None
    kinds = said.of("objection") or _resistance(talk, said, now)
    if not kinds:
        return None
    last = said.number == len(talk) - 1
    bare = all(one.marks.words <= FAREWELL_WORDS for one in talk[said.number :])
    if (said.steps("refusal") and (last or bare)) or (last and step is not None and now == "next_step"):
        return None
    before = talk[said.number - 1] if said.number else None
    answers = before is not None and before.marks.role == "manager" and bool(before.marks.questions)
    if answers and now in _ASKING_STAGES and "contrast" not in said.of("cue") and not kinds.keys() - _ALSO_ANSWERS:
        return None
    kind, *also = sorted(kinds, key=lambda group: (kinds[group], group))
    reaction, adequate = _reaction(talk, said)
    return ObjectionHeard(kind, said.name, kinds[kind], tuple(also), reaction, adequate)


def _resistance(talk: list[_Said], said: _Said, now: str) -> dict[str, int]:
    """Return the kind and the moment of an objection without a phrase of any kind, nothing if there is none.

    Where the manager told of the product or its price and asked nothing, the customer's answer with a "not", "only" or
    "too" in it sets something against it. Most of these say that it is not needed, or does not fit.
    """
    before = talk[said.number - 1] if said.number else None
    if now not in _TOLD_STAGES or before is None or before.marks.role != "manager" or before.marks.questions:
        return {}
    if said.marks.questions or "resistance" not in said.of("cue") or said.marks.words < RESISTING_WORDS:
        return {}
    return {"need": said.of("cue")["resistance"]}


def _reaction(talk: list[_Said], objection: _Said) -> tuple[str | None, bool | None]:
    """Return where the manager takes an objection up, and whether in a fitting way."""
    for said in talk[objection.number + 1 :]:
        if said.marks.role != "manager":
            continue
        reactions = said.of("reaction")
        if "pressure" in reactions:
            return said.name, False
        if any(group in reactions for group in _REACTING) or said.marks.questions:
            return said.name, True
        return None, None
    return None, None


# -- stages


_ALSO_ANSWERS: Final = frozenset({"need", "competitor", "timing", "authority"})
"""Kinds of objections whose words also describe a situation."""
_TOLD_STAGES: Final = ("presentation", "proposal")
RESISTING_WORDS: Final = 4
"""An objection without a phrase of any kind has so many words at least."""
FAREWELL_WORDS: Final = 6
"""A refusal gives no reason and ends the call where it and all that follows it are of so few words at most."""
_ASKING_STAGES: Final = ("need_discovery", "pain")
_WEIGHT: Final = {"proposal": 4, "pain": 3, "presentation": 2, "need_discovery": 1, "introduction": 0}
"""Of several stages in one utterance the later one counts: a price is often told with what it is for."""
_PASSING: Final = {
    "pain": ("need_discovery", "introduction"),
    "objection": ("need_discovery", "introduction"),
    "next_step": ("need_discovery", "introduction", "presentation", "pain", "proposal"),
}
"""Stages that a stage absorbs: who talks about a problem still asks, and so does who answers an objection."""
_OPEN_QUESTIONS: Final = ("open", "wh", "or")
TELLING_WORDS: Final = 9
"""A manager who says so many words without a question, and no more is known of them, is presenting."""


def _stages(talk: list[_Said], objections: list[ObjectionHeard], step: NextStepHeard | None) -> tuple[StageHeard, ...]:
    """Return where stages begin, and add the objections to `objections`. One lasts until the talk leaves it."""
    found: list[StageHeard] = []
    known: set[str] = set()
    taken_up: set[str] = set()
    ignored = False
    for said in talk:
        now = found[-1].stage if found else ""
        objection = _objection(talk, said, now, step)
        if objection is not None:
            objections.append(objection)
            ignored = objection.reaction is None
            if objection.reaction is not None:
                taken_up.add(objection.reaction)
        stage, at_ms = _stage_of(said, now, objection, step, answers=said.name in taken_up, ignored=ignored)
        if stage and stage != now:
            found.append(StageHeard(stage, said.name, at_ms, stage in known))
            known.add(stage)
    return tuple(found)


def _stage_of(
    said: _Said,
    now: str,
    objection: ObjectionHeard | None,
    step: NextStepHeard | None,
    *,
    answers: bool,
    ignored: bool,
) -> tuple[str, int]:
    """Return the stage to which an utterance belongs, "" for none of its own, and its moment.

    `answers`: the manager takes up an objection in it. `ignored`: the last objection was not taken up.
    """
    if not now:
        return "introduction", said.marks.start_ms
    if step is not None and said.name == step.utterance:
        return "next_step", step.at_ms
    if objection is not None:
        return "objection", objection.at_ms
    absorbed = _PASSING.get(now, ("introduction",))
    named = [
        (-_WEIGHT.get(stage, 0), at_ms, stage) for stage, at_ms in said.of("stage").items() if stage not in absorbed
    ]
    if now == "objection" and answers:
        named = [one for one in named if one[2] == "proposal"]
    if said.marks.role == "customer":
        named = [one for one in named if one[2] != "need_discovery" or now == "introduction"]
    if named:
        _, at_ms, stage = min(named)
        return stage, at_ms
    if said.marks.role == "manager" and not answers:
        return _unnamed(said, now, ignored=ignored)
    return "", 0


def _unnamed(said: _Said, now: str, *, ignored: bool) -> tuple[str, int]:
    """Return the stage of a manager's utterance without a phrase of any: asking, or telling."""
    if said.number < 2:  # noqa: PLR2004 - a greeting and its answer
        return "", 0
    asked = [question for question in said.marks.questions if question.type in _OPEN_QUESTIONS]
    if asked and now in ("introduction", "presentation"):
        return "need_discovery", asked[0].at_ms
    telling = now in _TELLING_AFTER or (now == "objection" and ignored)
    if telling and not said.marks.questions and said.marks.words >= TELLING_WORDS:
        return "presentation", said.marks.start_ms
    return "", 0


_TELLING_AFTER: Final = ("introduction", "need_discovery", "pain")

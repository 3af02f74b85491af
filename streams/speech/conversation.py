"""What several utterances of a call say together: stages, objections, the next step. From their marks alone.

Everything is a function of the marks, ordered by the moments at which utterances begin; so the order in which
utterances arrive cannot matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from streams.speech.marks import Hit, UtteranceMarks
from streams.speech.turns import Said

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


def _in_order(utterances: Mapping[str, UtteranceMarks]) -> list[Said]:
    """Return the utterances that take a turn, in order."""
    counted = heard(utterances)
    order = sorted(utterances.items(), key=lambda item: (item[1].start_ms, item[1].end_ms, item[0]))
    turns = [(name, marks) for name, marks in order if not marks.back_channel and marks.words]
    return [Said(number, name, marks, counted[name]) for number, (name, marks) in enumerate(turns)]


# -- next step

_OFFERS: Final = ("offer", "appointment")


def _next_step(talk: list[Said]) -> NextStepHeard | None:
    """Return the last next step that was named in the second half of the call, and whether it was agreed."""
    vague: NextStepHeard | None = None
    left_open: NextStepHeard | None = None
    for said in reversed(talk):
        if said.number < len(talk) // 2:
            break
        before = talk[max(0, said.number - LOOK_AHEAD) : said.number]
        after = talk[said.number + 1 : said.number + 1 + LOOK_AHEAD]
        offered = said.steps(*_OFFERS, "customer_offer")
        offered = offered or any(one.steps(*_OFFERS) for one in before)
        if said.steps("named") and offered and _accepted(said, before, after):
            return NextStepHeard(said.name, said.of("next_step")["named"], agreed=True)
        if said.of("objection").keys() - {"timing"}:
            continue
        open_time = not said.steps("named") or said.steps("refusal")
        if vague is None and said.marks.role == "customer" and said.steps("customer_offer") and open_time:
            vague = NextStepHeard(said.name, said.of("cue")["customer_offer"], agreed=False)
        if said.steps("vague_time") and said.marks.role == "customer" and vague is None:
            vague = NextStepHeard(said.name, said.of("next_step")["vague_time"], agreed=False)
        if left_open is None and said.steps("left_open") and said.number >= len(talk) - LEFT_OPEN_TURNS:
            at_ms = (said.of("next_step") | said.of("cue"))["left_open"]
            left_open = NextStepHeard(said.name, at_ms, agreed=False)
    return vague or left_open


def _accepted(said: Said, before: Sequence[Said], after: Sequence[Said]) -> bool:
    """Return whether the other side agrees to the time that was named."""
    if said.steps("refusal"):
        return False
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


def _objection(talk: list[Said], said: Said, now: str, step: NextStepHeard | None) -> ObjectionHeard | None:
    """Return the objection of an utterance, if there is one.

    A last refusal is an end. An answer to the manager's question about the customer's situation is none either, unless
    a word sets it against the question: «двадцать, но нам хватает».
    """
    if said.marks.role != "customer":
        return None
    kinds = said.of("objection")
    before = talk[said.number - 1] if said.number else None
    if not kinds and before is not None:
        kinds = _unnamed_objection(said, before, now) or _taken_up(talk, said, before, now)
    if not kinds:
        return None
    last = said.number == len(talk) - 1
    bare = all(one.marks.words <= FAREWELL_WORDS for one in talk[said.number :])
    if (said.steps("refusal") and (last or bare)) or (last and step is not None and now == "next_step"):
        return None
    answers = before is not None and before.marks.role == "manager" and bool(before.marks.questions)
    if answers and now in _ASKING_STAGES and "contrast" not in said.of("cue") and not kinds.keys() - _ALSO_ANSWERS:
        return None
    kind, *also = sorted(kinds, key=lambda group: (kinds[group], group))
    reaction, adequate = _reaction(talk, said)
    return ObjectionHeard(kind, said.name, kinds[kind], tuple(also), reaction, adequate)


def _unnamed_objection(said: Said, before: Said, now: str) -> dict[str, int]:
    """Return the kind and the moment of an objection without a phrase of any kind, nothing if there is none.

    Where the manager told of the product or its price and asked nothing, the customer's answer with a "not", "only" or
    "too" in it sets something against it. Most of these say that it is not needed, or does not fit. Another sum says
    that it is dear; and how it is done already, at the beginning of the call, that nothing is needed.
    """
    told = before.marks.role == "manager" and not before.marks.questions and not said.marks.questions
    if not told or said.steps("agreement", "named", "customer_offer", "refusal"):
        return {}
    cues = said.of("cue")
    long = said.marks.words >= RESISTING_WORDS
    priced = "sum" in before.of("cue") or "proposal" in before.of("stage")
    if priced and now in _PRICED_STAGES and "sum" in cues:
        return {"price": cues["sum"]}
    if long and now in _TOLD_STAGES and "resistance" in cues and not ("asks_back" in cues or "pain" in said.of("stage")):
        return {"need": cues["resistance"]}
    if long and now == "introduction" and "own_case" in cues and not said.of("stage"):
        return {"need": cues["own_case"]}
    return {}


def _taken_up(talk: Sequence[Said], said: Said, before: Said, now: str) -> dict[str, int]:
    """Return the kind and the moment of an objection that only the manager's answer tells, nothing if there is none."""
    answer = next((one for one in talk[said.number + 1 :] if one.marks.role == "manager"), None)
    if answer is None or answer.number > said.number + 1 or "taken_up" not in answer.of("cue"):
        return {}
    if before.marks.role != "manager" or before.marks.questions or said.marks.words < RESISTING_WORDS:
        return {}
    if said.marks.questions and "sum" not in said.of("cue"):
        return {}
    kind = "price" if now == "proposal" else "need"
    return {kind: said.marks.start_ms} if now in _ANSWERED_STAGES else {}


def _reaction(talk: list[Said], objection: Said) -> tuple[str | None, bool | None]:
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
_ANSWERED_STAGES: Final = (*_TOLD_STAGES, "objection")
_PRICED_STAGES: Final = ("proposal", "objection")
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


def _stages(talk: list[Said], objections: list[ObjectionHeard], step: NextStepHeard | None) -> tuple[StageHeard, ...]:
    """Return where stages begin, and add the objections to `objections`. One lasts until the talk leaves it."""
    found: list[StageHeard] = []
    known: set[str] = set()
    taken_up: set[str] = set()
    step_begins = _step_begins(talk, step)
    reminds = False
    for said in talk:
        if "wrong_number" in said.of("cue") and len(found) == 1:
            break
        reminds = reminds or (len(found) < 2 and "reminder" in said.of("cue"))
        now = found[-1].stage if found else ""
        objection = _objection(talk, said, now, step)
        if objection is not None:
            objections.append(objection)
            if objection.reaction is not None:
                taken_up.add(objection.reaction)
        late = said.number >= len(talk) // 2
        if said.number == step_begins or (late and said.steps("appointment") and objection is None and now):
            begun = [("next_step", said.marks.start_ms)]
        else:
            begun = _stages_of(said, now, objection, answers=said.name in taken_up)
            if reminds and said.marks.role == "manager":
                begun = [one for one in begun if one[0] not in _NOT_REMINDING]
        for stage, at_ms in begun:
            if stage != (found[-1].stage if found else ""):
                found.append(StageHeard(stage, said.name, at_ms, stage in known))
                known.add(stage)
    return tuple(found)


def _step_begins(talk: Sequence[Said], step: NextStepHeard | None) -> int:
    """Return the number of the utterance in which the talk turns to the next step; -1 without one."""
    if step is None:
        return -1
    end = next(said.number for said in talk if said.name == step.utterance)
    for said in talk[max(1, end - LOOK_AHEAD) : end]:
        if said.marks.role != "manager":
            continue
        if (said.steps(*_OFFERS) and said.steps("named")) or (not step.agreed and said.steps("left_open")):
            return said.number
    return end


def _stages_of(
    said: Said,
    now: str,
    objection: ObjectionHeard | None,
    *,
    answers: bool,
) -> list[tuple[str, int]]:
    """Return the stages that an utterance belongs to, none of its own if empty, and their moments.

    `answers`: the manager takes up an objection in it.
    """
    if not now:
        return [("introduction", said.marks.start_ms)]
    if objection is not None:
        return [("objection", objection.at_ms)]
    if now == "objection" and answers:
        offered = said.of("stage").get("proposal")
        return [] if offered is None or not ("sum" in said.of("cue") or said.marks.questions) else [("proposal", offered)]
    begun = _named(said, now)
    if not begun and said.marks.role == "manager" and not answers:
        stage, at_ms = _unnamed(said, now)
        begun = [(stage, at_ms)] if stage else []
    return begun


def _named(said: Said, now: str) -> list[tuple[str, int]]:
    """Return the stages that the phrases of an utterance tell. Of several, a presentation before its price counts."""
    manager = said.marks.role == "manager"
    absorbed = _PASSING.get(now, ("introduction",))
    named = {stage: at_ms for stage, at_ms in said.of("stage").items() if stage not in absorbed}
    cues = said.of("cue")
    if manager:
        for stage in _not_begun(said, now):
            named.pop(stage, None)
    if not manager:
        if now == "introduction" and "proposal" in named:
            return [("need_discovery", named["proposal"])]
        if now != "introduction":
            named.pop("need_discovery", None)
    elif not named:
        if now in _PASSING and "volume" in cues:
            return [("need_discovery", cues["volume"])]
        if "sum" in cues and not said.marks.questions and now in _SUM_AFTER:
            return [("proposal", cues["sum"])]
    if not named:
        return []
    if manager and now == "proposal" and "sum" in cues:
        return []
    stage = min(named, key=lambda one: (-_WEIGHT.get(one, 0), named[one]))
    begun = [(stage, named[stage])]
    if stage == "proposal" and manager and now in _TELLING_AFTER and "presentation" in named:
        begun.insert(0, ("presentation", named["presentation"]))
    return begun


def _not_begun(said: Said, now: str) -> Sequence[str]:
    """Return the stages whose phrases begin none in an utterance of the manager."""
    asked = said.marks.questions
    if not asked:
        return ("need_discovery", "pain") if now == "objection" else ("need_discovery",)
    if now == "introduction" and any(one.type in _OPEN_QUESTIONS for one in asked):
        return ("presentation",)
    return ()


def _unnamed(said: Said, now: str) -> tuple[str, int]:
    """Return the stage of a manager's utterance without a phrase of any: asking, or telling."""
    if said.number < 2:  # noqa: PLR2004 - a greeting and its answer
        return "", 0
    asked = [question for question in said.marks.questions if question.type in _OPEN_QUESTIONS]
    if now == "introduction":
        asked = list(said.marks.questions)
    if asked and now in ("introduction", "presentation"):
        return "need_discovery", asked[0].at_ms
    if said.steps(*_OFFERS) and said.steps("named"):
        return "", 0
    telling = (now in _TELLING_AFTER or now == "objection") and "farewell" not in said.of("cue")
    if telling and not said.marks.questions and said.marks.words >= TELLING_WORDS:
        return "presentation", said.marks.start_ms
    return "", 0


_NOT_REMINDING: Final = ("need_discovery", "presentation")
"""Who calls to remind asks when, and tells until when: that finds out no need, and presents nothing."""
_TELLING_AFTER: Final = ("introduction", "need_discovery", "pain")
_SUM_AFTER: Final = ("presentation", "need_discovery")

"""Stages, objections and the next step: findings from several utterances of a call. They depend on marks alone.

Everything is a function of the marks, ordered by the moments at which utterances begin; so the order in which
utterances arrive has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from msgspec import Struct

from streams.speech.marks import Hit, UtteranceMarks
from streams.speech.objections import ObjectionHeard, objection_of
from streams.speech.turns import Said

LOOK_AHEAD: Final = 2
"""The number of the manager's utterances within which a reaction to an objection follows. The same for an agreement."""
LEFT_OPEN_TURNS: Final = 3
"""The number of last turns in which a next step that is left open counts."""
STAGES: Final = (
    "introduction",
    "need_discovery",
    "pain",
    "presentation",
    "proposal",
    "objection",
    "next_step",
)
"""The stages. `objection` begins with an objection, not with a phrase of its own."""


class StageHeard(Struct, frozen=True, array_like=True, gc=False):
    """A stage that begins in an utterance. `back`: it was heard before, and the talk returns to it."""

    stage: str
    utterance: str
    at_ms: int
    back: bool = False


class NextStepHeard(Struct, frozen=True, array_like=True, gc=False):
    """A next step. `agreed`: a named time that the other side accepts; else it is vague, or left open."""

    utterance: str
    at_ms: int
    agreed: bool


class Conversation(Struct, frozen=True):
    """The findings of a call, in the order of the moments."""

    stages: tuple[StageHeard, ...] = ()
    objections: tuple[ObjectionHeard, ...] = ()
    next_step: NextStepHeard | None = None


def conversation(utterances: Mapping[str, UtteranceMarks]) -> Conversation:
    """Return the findings of a call."""
    talk = _in_order(utterances)
    step = _next_step(talk)
    objections: list[ObjectionHeard] = []
    stages = _stages(talk, objections, step)
    return Conversation(stages, tuple(objections), step)


def heard(utterances: Mapping[str, UtteranceMarks]) -> dict[str, list[Hit]]:
    """Return the hits of each utterance that count, given the end of the call."""
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
    """Return the last next step in the second half of the call, and whether it was agreed."""
    vague: NextStepHeard | None = None
    left_open: NextStepHeard | None = None
    for said in reversed(talk):
        if said.number < len(talk) // 2:
            break
        before = talk[max(0, said.number - LOOK_AHEAD) : said.number]
        after = talk[said.number + 1 : said.number + 1 + LOOK_AHEAD]
        offered = any(one.steps(*_OFFERS, "customer_offer") for one in (said, *before))
        refused = said.of("objection").keys() - {"timing"}
        if said.steps("named") and offered and not refused and _accepted(said, before, after):
            return NextStepHeard(said.name, said.of("next_step")["named"], agreed=True)
        if refused - {"authority"}:
            continue
        open_time = not said.steps("named") or said.steps("refusal")
        if vague is None and said.marks.role == "customer" and said.steps("customer_offer") and open_time:
            vague = NextStepHeard(said.name, said.of("cue")["customer_offer"], agreed=False)
        offered = offered or any(one.steps(*_OFFERS, "left_open") or one.of("promise") for one in after)
        if vague is None and said.marks.role == "customer" and said.steps("vague_time") and offered:
            vague = NextStepHeard(said.name, said.of("next_step")["vague_time"], agreed=False)
        closing = said.number >= len(talk) - LEFT_OPEN_TURNS and not any(one.steps("refusal") for one in after)
        if left_open is None and closing and said.steps("left_open"):
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
    if any(one.steps("agreement", "named") or _offers_now(one) for one in others):
        return True
    if role == "customer" and said.steps("agreement", "customer_offer"):
        return True
    confirms = role == "manager" and not said.marks.questions
    return confirms and any(one.marks.role != role and one.steps("named", "agreement") for one in before)


def _offers_now(said: Said) -> bool:
    """Return whether the customer offers something and does not put it off."""
    return said.steps("customer_offer") and not said.steps("vague_time")


# -- stages


_WEIGHT: Final = {"proposal": 4, "pain": 3, "presentation": 2, "need_discovery": 1, "introduction": 0}
"""Of several stages in one utterance the later one counts: a price often comes with a presentation of the product."""
_PASSING: Final = {
    "pain": ("need_discovery", "introduction"),
    "objection": ("need_discovery", "introduction"),
    "next_step": ("need_discovery", "introduction", "presentation", "pain", "proposal"),
}
"""The stages that do not begin during a stage: questions about a problem or an objection belong to it."""
_OPEN_QUESTIONS: Final = ("open", "wh", "or")
TELLING_WORDS: Final = 9
"""The fewest words of a manager's utterance without a phrase or question of any stage that are a presentation."""


def _stages(talk: list[Said], objections: list[ObjectionHeard], step: NextStepHeard | None) -> tuple[StageHeard, ...]:
    """Return the beginnings of stages, and add the objections to `objections`. A stage lasts until the talk leaves it.

    A call to a wrong number has no more than its introduction.
    """
    found: list[StageHeard] = []
    known: set[str] = set()
    taken_up: set[str] = set()
    step_begins = _step_begins(talk, step)
    reminds = chats = False
    for said in talk:
        now = found[-1].stage if found else ""
        if now == "introduction" and "wrong_number" in said.of("cue"):
            break
        reminds = reminds or (now in ("", "introduction") and "reminder" in said.of("cue"))
        chats = now in ("", "introduction") and (chats or "small_talk" in said.of("cue"))
        objection = objection_of(talk, said, now, has_next_step=step is not None)
        if objection is not None:
            objections.append(objection)
            if objection.reaction is not None:
                taken_up.add(objection.reaction)
        late = said.number >= len(talk) // 2
        if said.number == step_begins or (late and _appoints(said) and objection is None and now):
            begun = [("next_step", said.marks.start_ms)]
        else:
            begun = _stages_of(said, now, objection, answers=said.name in taken_up) or _first_question(said, now, known)
            if now and not said.of("stage") and (chats or (now == "objection" and "proposal" in known)):
                begun = [one for one in begun if one[0] not in _NOT_REMINDING]
            if reminds and said.marks.role == "manager":
                begun = [one for one in begun if one[0] not in _NOT_REMINDING]
        for stage, at_ms in begun:
            if stage != (found[-1].stage if found else ""):
                found.append(StageHeard(stage, said.name, at_ms, stage in known))
                known.add(stage)
    return tuple(found)


def _appoints(said: Said) -> bool:
    """Return whether a manager tries to make an appointment, agreed or not."""
    if said.steps("appointment"):
        return True
    return said.steps("offer") and said.steps("named") and bool(said.marks.questions)


def _step_begins(talk: Sequence[Said], step: NextStepHeard | None) -> int:
    """Return the number of the utterance in which the talk turns to the next step; -1 without one."""
    if step is None:
        return -1
    end = next(said.number for said in talk if said.name == step.utterance)
    for said in talk[max(1, end - LOOK_AHEAD) : end]:
        if said.marks.role != "manager":
            continue
        asks = said.steps(*_OFFERS) and (said.steps("named") or said.marks.questions)
        if asks or (not step.agreed and said.steps("left_open")):
            return said.number
    return end


def _stages_of(
    said: Said,
    now: str,
    objection: ObjectionHeard | None,
    *,
    answers: bool,
) -> list[tuple[str, int]]:
    """Return the stages of an utterance, with their moments; empty if it has no stage of its own.

    `answers`: the manager takes up an objection in it.
    """
    if not now:
        return [("introduction", said.marks.start_ms)]
    if objection is not None:
        return [("objection", objection.at_ms)]
    if now == "objection" and answers:
        offered = said.of("stage").get("proposal")
        names_terms = "sum" in said.of("cue") or said.marks.questions
        return [("proposal", offered)] if offered is not None and names_terms else []
    begun = _named(said, now)
    if not begun and said.marks.role == "manager" and not answers:
        stage, at_ms = _unnamed(said, now)
        begun = [(stage, at_ms)] if stage else []
    return begun


def _first_question(said: Said, now: str, known: AbstractSet[str]) -> list[tuple[str, int]]:
    """Return need discovery for the manager's first open question, if the call began with an objection."""
    if now != "objection" or said.marks.role != "manager" or known & {"need_discovery", "presentation"}:
        return []
    return [("need_discovery", one.at_ms) for one in said.marks.questions if one.type in _OPEN_QUESTIONS][:1]


def _named(said: Said, now: str) -> list[tuple[str, int]]:
    """Return the stages by the phrases of an utterance. Of several, a presentation before its price counts."""
    absorbed = _PASSING.get(now, ("introduction",))
    named = {stage: at_ms for stage, at_ms in said.of("stage").items() if stage not in absorbed}
    if said.marks.role != "manager":
        if now == "introduction" and "proposal" in named:
            return [("need_discovery", named["proposal"])]
        if now != "introduction":
            named.pop("need_discovery", None)
        if any(question.marked for question in said.marks.questions):
            named.pop("pain", None)
        return [_latest(named)] if named else []
    cues = said.of("cue")
    for stage in _not_begun(said, now):
        named.pop(stage, None)
    if not named:
        return _counted(said, now)
    if now == "proposal" and "sum" in cues:
        return []
    stage, at_ms = _latest(named)
    if stage == "proposal" and now in _TELLING_AFTER and "presentation" in named:
        return [("presentation", named["presentation"]), (stage, at_ms)]
    return [(stage, at_ms)]


def _latest(named: Mapping[str, int]) -> tuple[str, int]:
    stage = min(named, key=lambda one: (-_WEIGHT.get(one, 0), named[one]))
    return stage, named[stage]


def _counted(said: Said, now: str) -> list[tuple[str, int]]:
    """Return the stage by a question for a quantity, or by a sum, in an utterance without a phrase of a stage."""
    cues = said.of("cue")
    if now in _PASSING and "volume" in cues:
        return [("need_discovery", cues["volume"])]
    if "sum" in cues and not said.marks.questions and now in _SUM_AFTER:
        return [("proposal", cues["sum"])]
    return []


def _not_begun(said: Said, now: str) -> Sequence[str]:
    """Return the stages whose phrases begin none in an utterance of the manager.

    Without a question there is no need discovery. A problem named in reply to an objection is pressure. A manager who
    introduces the company and then asks an open question has not begun the presentation.
    """
    asked = said.marks.questions
    if not asked:
        return ("need_discovery", "pain") if now == "objection" else ("need_discovery",)
    if now == "introduction" and any(one.type in _OPEN_QUESTIONS for one in asked):
        return ("presentation",)
    return ()


def _unnamed(said: Said, now: str) -> tuple[str, int]:
    """Return the stage of a manager's utterance without a phrase of any stage: by questions, or by length."""
    if said.number < 2:  # noqa: PLR2004 - a greeting and its answer
        return "", 0
    asked = [question for question in said.marks.questions if question.type in _OPEN_QUESTIONS]
    if now == "introduction":
        asked = list(said.marks.questions)
    if asked and now in ("introduction", "presentation"):
        return "need_discovery", asked[0].at_ms
    if said.steps(*_OFFERS) and (said.steps("named") or now == "objection"):
        return "", 0
    telling = (now in _TELLING_AFTER or now == "objection") and "farewell" not in said.of("cue")
    if telling and not said.marks.questions and said.marks.words >= TELLING_WORDS:
        return "presentation", said.marks.start_ms
    return "", 0


_NOT_REMINDING: Final = ("need_discovery", "presentation")
"""A manager who calls with a reminder asks about dates and names them.

That is no need discovery and no presentation.
"""
_TELLING_AFTER: Final = ("introduction", "need_discovery", "pain")
_SUM_AFTER: Final = ("presentation", "need_discovery", "pain")

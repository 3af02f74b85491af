"""Objections of a call, and the manager's reactions. They depend on the marks of its utterances alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from streams.speech.turns import Said

_REACTING: Final = ("acknowledge", "ask_back", "option")
"""Reactions that take an objection up. An argument alone may be the script that goes on."""
_ALSO_ANSWERS: Final = frozenset({"need", "competitor", "timing", "authority"})
"""Kinds of objections whose words also describe a situation."""
_TOLD_STAGES: Final = ("presentation", "proposal")
_ANSWERED_STAGES: Final = (*_TOLD_STAGES, "objection")
_PRICED_STAGES: Final = ("proposal", "objection")
RESISTING_WORDS: Final = 4
"""The fewest words of an objection without a phrase of any kind."""
FAREWELL_WORDS: Final = 6
"""The most words of a refusal without a reason that ends the call, and of each utterance after it."""
_ASKING_STAGES: Final = ("need_discovery", "pain")


class ObjectionHeard(Struct, frozen=True, array_like=True, gc=False):
    """An objection. `also` are other kinds that were heard in the same utterance.

    `reaction` is the utterance in which the manager takes it up; None if the script goes on. `adequate` is None if the
    phrases do not decide it.
    """

    kind: str
    utterance: str
    at_ms: int
    also: tuple[str, ...] = ()
    reaction: str | None = None
    adequate: bool | None = None


def objection_of(talk: Sequence[Said], said: Said, now: str, *, has_next_step: bool) -> ObjectionHeard | None:
    """Return the objection of an utterance, if there is one.

    `now` is the stage of the talk before it, `has_next_step` is true if a next step is heard in the call. A last
    refusal is an end, not an objection. An answer to the manager's question about the customer's situation is no
    objection, unless it has a word of contrast: «двадцать, но нам хватает».
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
    if (said.steps("refusal") and (last or bare)) or (last and has_next_step and now == "next_step"):
        return None
    answers = before is not None and before.marks.role == "manager" and bool(before.marks.questions)
    if answers and now in _ASKING_STAGES and "contrast" not in said.of("cue") and not kinds.keys() - _ALSO_ANSWERS:
        return None
    kind, *also = sorted(kinds, key=lambda group: (kinds[group], group))
    reaction, adequate = _reaction(talk, said)
    return ObjectionHeard(kind, said.name, kinds[kind], tuple(also), reaction, adequate)


def _unnamed_objection(said: Said, before: Said, now: str) -> dict[str, int]:
    """Return the kind and the moment of an objection without a phrase of any kind, nothing if there is none.

    After a presentation of the product or its price without a question, a customer's answer with "not", "only" or "too"
    is an objection. Most of these mean that there is no need, or that the product does not fit. Another sum means that
    the price is too high. A description of the present solution, at the beginning of the call, means that there is no
    need.
    """
    presented = before.marks.role == "manager" and not before.marks.questions and not said.marks.questions
    if not presented or said.steps("agreement", "named", "customer_offer", "refusal"):
        return {}
    cues = said.of("cue")
    long = said.marks.words >= RESISTING_WORDS
    priced = "sum" in before.of("cue") or "proposal" in before.of("stage")
    if priced and now in _PRICED_STAGES and "sum" in cues:
        return {"price": cues["sum"]}
    tells = "asks_back" in cues or "pain" in said.of("stage")
    if long and now in _TOLD_STAGES and "resistance" in cues and not tells:
        return {"need": cues["resistance"]}
    if long and now == "introduction" and "own_case" in cues and not said.of("stage"):
        return {"need": cues["own_case"]}
    return {}


def _taken_up(talk: Sequence[Said], said: Said, before: Said, now: str) -> dict[str, int]:
    """Return the kind and the moment of an objection that only the manager's answer reveals, nothing if there is none.

    An answer such as "I understand" or "fair point" by the manager takes up an objection to the product or its price.
    """
    answer = next((one for one in talk[said.number + 1 :] if one.marks.role == "manager"), None)
    if answer is None or answer.number > said.number + 1 or "taken_up" not in answer.of("cue"):
        return {}
    if before.marks.role != "manager" or before.marks.questions or said.marks.words < RESISTING_WORDS:
        return {}
    if said.steps("agreement", "named", "customer_offer", "refusal"):
        return {}
    if said.marks.questions and "sum" not in said.of("cue"):
        return {}
    kind = "price" if now == "proposal" else "need"
    return {kind: said.marks.start_ms} if now in _ANSWERED_STAGES else {}


def _reaction(talk: Sequence[Said], objection: Said) -> tuple[str | None, bool | None]:
    """Return the utterance in which the manager takes an objection up, and whether the reaction is adequate."""
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

"""Objections of a call, and the manager's reactions. They depend on the marks of its utterances alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
_KINDS: Final = ("price", "timing", "authority", "competitor", "trust")
"""Groups of `answer` that are kinds of objections. An objection with none of them is of the kind `need`."""
RESISTING_WORDS: Final = 3
"""The fewest words of an objection without a phrase of any kind."""
SHORT_WORDS: Final = 4
"""The most words of a customer's utterance after which the next one still answers the manager."""
ANSWERING_WORDS: Final = 6
"""The fewest words of a manager's utterance that counts as a statement."""
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
        kinds = _unnamed_objection(said, _replied_to(talk, said), now) or _taken_up(talk, said, before, now)
    if not kinds:
        return None
    last = said.number == len(talk) - 1
    bare = all(one.marks.words <= FAREWELL_WORDS for one in talk[said.number :])
    if (said.steps("refusal") and (last or bare)) or (last and has_next_step and now == "next_step"):
        return None
    if before is not None and before.marks.role == "manager" and _only_answers(said, before, now, kinds):
        return None
    if before is not None and now in _ANSWERED_STAGES and kinds.keys() == {"need"}:
        kinds = kinds | _about(said)
    if before is not None and "sum" in said.of("cue") and _priced(before, now):
        kinds = {"price": said.of("cue")["sum"]} | kinds
    kind, *also = sorted(kinds, key=lambda group: (group == "need", kinds[group], group))
    reaction, adequate = _reaction(talk, said)
    return ObjectionHeard(kind, said.name, kinds[kind], tuple(also), reaction, adequate)


def _only_answers(said: Said, before: Said, now: str, kinds: Mapping[str, int]) -> bool:
    """Return whether the words of an objection only answer a question about the situation, or for a time."""
    if kinds.keys() == {"timing"} and before.steps("offer", "appointment") and before.steps("named"):
        return said.steps("named")
    if not before.marks.questions or now not in _ASKING_STAGES or "contrast" in said.of("cue"):
        return False
    return not kinds.keys() - _ALSO_ANSWERS - ({"trust"} if said.of("stage") else set())


def _unnamed_objection(said: Said, before: Said, now: str) -> dict[str, int]:
    """Return the kinds and the moments of an objection without a phrase of any kind, nothing if there is none.

    The manager described the product or its price and asked nothing. A customer's statement that does not accept this
    is an objection then. Its `answer` groups give the kind.
    """
    if before.marks.role != "manager" or _accepts(said):
        return {}
    if "exclaims" in said.of("answer") and _priced(before, now):
        if "proposal" in before.of("stage") or not before.marks.questions:
            return {"price": said.of("answer")["exclaims"]}
        return {}
    about = _about(said)
    if "proposal" in said.of("stage") or (said.steps("refusal") and not about):
        return {}
    if before.marks.questions or said.marks.questions:
        return _among_questions(said, before, now, about)
    return _reply_to_statement(said, before, now, about)


def _accepts(said: Said) -> bool:
    answer = said.of("answer")
    return "settled" in answer or ("assent" in answer and "but" not in answer)


def _about(said: Said) -> dict[str, int]:
    """Return the kinds of objections by the `answer` groups of an utterance, with their moments."""
    return {group: at_ms for group, at_ms in said.of("answer").items() if group in _KINDS}


def _among_questions(said: Said, before: Said, now: str, about: dict[str, int]) -> dict[str, int]:
    """Return the kinds of an objection if the manager asked a question, or the customer asks one.

    After an offer that ends with a question, an objection needs a word of contrast. A customer's question with a
    question mark is an objection only if it expresses doubt.
    """
    if now not in _TOLD_STAGES or said.steps("agreement", "named", "customer_offer"):
        return {}
    if before.marks.questions and not ("proposal" in before.of("stage") and "contrast" in said.of("cue")):
        return {}
    if any(question.marked for question in said.marks.questions):
        return {kind: at_ms for kind, at_ms in about.items() if kind == "trust"}
    return about


def _reply_to_statement(said: Said, before: Said, now: str, about: dict[str, int]) -> dict[str, int]:
    """Return the kinds of an objection to a statement of the manager.

    A sum in reply to a price is an objection to the price. Without any `answer` group, the kind is the price if one was
    named, else the need. A problem supports the offer, so it is no objection. In reply to the manager's answer to an
    objection, an `answer` group is required. At the beginning of a call, two replies are objections: a description of
    the customer's present solution, and a bad time for the call.
    """
    cues, words = said.of("cue"), said.marks.words
    priced = _priced(before, now)
    if words < RESISTING_WORDS or (priced and "sum" in cues):
        return {"price": cues["sum"]} | about if priced and "sum" in cues else {}
    if now in _TOLD_STAGES:
        problem = "pain" in said.of("stage") and not priced and not about.keys() & {"timing", "trust"}
        other = {} if problem else {"price" if priced else "need": said.marks.start_ms}
        return other and (about or other)
    told = before.marks.words >= ANSWERING_WORDS
    if now == "objection" and told and words > RESISTING_WORDS:
        return about
    if now != "introduction" or said.of("stage"):
        return {}
    if "own_case" in cues:
        return about or {"need": cues["own_case"]}
    return {kind: at_ms for kind, at_ms in about.items() if told and kind == "timing"}


def _priced(before: Said, now: str) -> bool:
    """Return whether the manager named a price in the utterance before."""
    told = "proposal" in before.of("stage") or "sum" in before.of("cue")
    return told and before.marks.role == "manager" and now in _PRICED_STAGES


def _replied_to(talk: Sequence[Said], said: Said) -> Said:
    """Return the utterance that a customer replies to: the previous one; the one before it after a short own one."""
    before = talk[said.number - 1]
    if said.number > 1 and before.marks.role == "customer" and before.marks.words <= SHORT_WORDS:
        return talk[said.number - 2]
    return before


def _taken_up(talk: Sequence[Said], said: Said, before: Said, now: str) -> dict[str, int]:
    """Return the kind and the moment of an objection that only the manager's answer reveals, nothing if there is none.

    An answer such as "I understand" or "fair point" by the manager takes up an objection to the product or its price.
    """
    answer = next((one for one in talk[said.number + 1 :] if one.marks.role == "manager"), None)
    if answer is None or answer.number > said.number + 1 or "taken_up" not in answer.of("cue"):
        return {}
    if before.marks.role != "manager" or before.marks.questions or said.marks.words < RESISTING_WORDS:
        return {}
    if _accepts(said) or said.steps("agreement", "named", "customer_offer", "refusal"):
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

"""Objections of a call, and the manager's reactions. They depend on the marks of its utterances alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from streams.speech.turns import Said

_REACTING: Final = ("acknowledge", "ask_back", "option")
"""Reactions that take an objection up. An argument alone may be the script that goes on."""
_ALSO_ANSWERS: Final = frozenset({"price", "need", "competitor", "timing", "authority"})
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
"""The fewest words of a manager's utterance that counts as a statement; of a customer's, after an echo of a price."""
CALLING_WORDS: Final = 8
"""The fewest words in which a manager who calls says for which company. One who is called says less."""
REFUSAL_WORDS: Final = 10
"""The most words of a refusal without a reason that ends the call."""
FAREWELL_WORDS: Final = 6
"""The most words of each utterance after a refusal that ends the call."""
_ASKED_STAGES: Final = ("need_discovery", "pain", "objection")
"""Stages in which the answer to a question about the situation, or about an objection, is no new objection."""
_OPEN_QUESTIONS: Final = ("open", "wh")


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
    objection, unless it has a word of contrast («двадцать, но нам хватает») or says that all is well as it is.
    """
    if said.marks.role != "customer":
        return None
    kinds = said.of("objection")
    before = talk[said.number - 1] if said.number else None
    if before is not None and now in _ASKED_STAGES and _content(said, before):
        kinds = {"need": said.of("answer")["content"]} | kinds
    if not kinds and before is not None:
        kinds = _unnamed_objection(said, _replied_to(talk, said), now) or _taken_up(talk, said, before, now)
    if not kinds:
        return None
    last = said.number == len(talk) - 1
    bare = all(one.marks.words <= FAREWELL_WORDS for one in talk[said.number + 1 :])
    bare = bare and said.marks.words <= REFUSAL_WORDS
    if (said.steps("refusal") and (last or bare)) or (last and has_next_step and now == "next_step"):
        return None
    asked = _replied_to(talk, said) if said.number else said
    if asked.marks.role == "manager" and _only_answers(said, asked, now, kinds):
        return None
    if before is not None and now in _ANSWERED_STAGES and kinds.keys() == {"need"}:
        kinds = kinds | _about(said)
    if before is not None and "sum" in said.of("cue") and _priced(before, now):
        kinds = {"price": said.of("cue")["sum"]} | kinds
    kind, *also = sorted(kinds, key=lambda group: (group == "need", kinds[group], group))
    reaction, adequate = _reaction(talk, said)
    return ObjectionHeard(kind, said.name, kinds[kind], tuple(also), reaction, adequate)


def _only_answers(said: Said, before: Said, now: str, kinds: Mapping[str, int]) -> bool:
    """Return whether the words of an objection only answer a question, or name another time.

    A price that is told when the manager asks is a fact, unless somebody who decides finds it too high.
    """
    if kinds.keys() == {"timing"} and before.steps("offer", "appointment") and before.steps("named"):
        return said.steps("named")
    about_situation = before.marks.questions and now in _ASKED_STAGES and "opinion" not in before.of("cue")
    if not about_situation or _content(said, before):
        return False
    if said.steps("refusal"):
        return False
    if now == "objection":
        return _only_explains(said, before, kinds)
    if kinds.keys() == {"price"} and "authority" not in said.of("answer"):
        return "proposal" not in before.of("stage") and "sum" not in before.of("cue")
    also = _ALSO_ANSWERS | {"trust"} if said.of("stage") else _ALSO_ANSWERS
    return "contrast" not in said.of("cue") and not kinds.keys() - also


def _only_explains(said: Said, before: Said, kinds: Mapping[str, int]) -> bool:
    """Return whether the answer to a question about an objection explains it, and is no further one.

    Turning down an option is a further one, and so is what others decide, and what is set against the question.
    """
    if "option" in before.of("reaction") or before.steps("appointment") or "contrast" in said.of("cue"):
        return False
    asked_back = any(question.type in _OPEN_QUESTIONS for question in before.marks.questions)
    return "authority" not in kinds and (asked_back or not kinds.keys() - _ALSO_ANSWERS)


def _content(said: Said, before: Said) -> bool:
    """Return whether the answer to a question about the situation is that all is well as it is."""
    return "content" in said.of("answer") and before.marks.role == "manager" and bool(before.marks.questions)


def _unnamed_objection(said: Said, before: Said, now: str) -> dict[str, int]:
    """Return the kinds and the moments of an objection without a phrase of any kind, nothing if there is none.

    The manager described the product or its price and asked nothing. A customer's statement that sets something
    against it is an objection then. Its `answer` groups give the kind. A time in reply to a time is none.
    """
    if before.marks.role != "manager" or _accepts(said) or (before.steps("named") and said.steps("named")):
        return {}
    exclaims = said.of("answer").get("exclaims")
    if exclaims is not None and _priced(before, now):
        return {"price": exclaims} if "proposal" in before.of("stage") or not before.marks.questions else {}
    about = _about(said)
    if "proposal" in said.of("stage") or (said.steps("refusal") and not about):
        return {}
    if "opinion" in before.of("cue") and not said.marks.questions:
        return _reply_to_statement(said, before, now if now in _ANSWERED_STAGES else _TOLD_STAGES[0], about)
    echoes = now == "introduction" and all(question.type == "declarative" for question in said.marks.questions)
    if before.marks.questions or (said.marks.questions and not echoes):
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

    A price that is repeated as a question, and another one held against it, are an objection. To the question whether
    there is time, a no is an objection. After an offer that ends with a question, an objection needs a word of
    contrast. A customer's question with a question mark is an objection only if it expresses doubt.
    """
    echoes = said.marks.words >= ANSWERING_WORDS and "sum" in said.of("cue") and not before.marks.questions
    if echoes and "price" in about and _priced(before, now):
        return {"price": about["price"]}
    if now == "introduction" and "permission" in before.of("cue"):
        return _no_time(said, about)
    if now not in _TOLD_STAGES or said.steps("agreement", "named", "customer_offer"):
        return {}
    if before.marks.questions and not ("proposal" in before.of("stage") and "contrast" in said.of("cue")):
        return {}
    if any(question.marked for question in said.marks.questions):
        return {kind: at_ms for kind, at_ms in about.items() if kind == "trust"}
    return about


def _no_time(said: Said, about: dict[str, int]) -> dict[str, int]:
    """Return the kind and the moment of the answer that there is no time. "I'm busy, but go on" is none."""
    if "declines" in said.of("cue") and "assent" not in said.of("answer"):
        return {"timing": said.of("cue")["declines"]}
    return {} if "but" in said.of("answer") else {kind: at_ms for kind, at_ms in about.items() if kind == "timing"}


def _reply_to_statement(said: Said, before: Said, now: str, about: dict[str, int]) -> dict[str, int]:
    """Return the kinds of an objection to a statement of the manager.

    An objection with a sum, in reply to a price, is one to the price. Without any `answer` group of a kind, a word that
    resists is required, and the kind is the price if one was named, else the need: most remarks on an offer set nothing
    against it. A problem supports the offer, so it is no objection. In reply to the manager's answer to an objection,
    a kind and a word of contrast are required.
    """
    words, cues = said.marks.words, said.of("cue")
    answer = said.of("answer")
    priced, resists = _priced(before, now), "resists" in answer or answer.keys() >= {"assent", "but"}
    if priced and "sum" in cues and (about or resists):
        return {"price": cues["sum"]} | about
    if words < RESISTING_WORDS:
        return {}
    if now in _TOLD_STAGES:
        if "pain" in said.of("stage") and not priced and not about.keys() & {"timing", "trust"}:
            return {}
        return about or ({"price" if priced else "need": said.marks.start_ms} if resists else {})
    if now == "objection" and before.marks.words >= ANSWERING_WORDS and words > RESISTING_WORDS:
        return about if "contrast" in cues else {}
    return _reply_to_opening(said, before, about) if now == "introduction" and not said.of("stage") else {}


def _reply_to_opening(said: Said, before: Said, about: dict[str, int]) -> dict[str, int]:
    """Return the kinds of an objection to the manager's first words.

    Two replies are objections: a description of the customer's present solution, if the manager made the call, and a
    bad time for it. After a "but" every kind counts: "I am, but there's a queue".
    """
    if "own_case" in said.of("cue") and before.marks.words >= CALLING_WORDS:
        return about or {"need": said.of("cue")["own_case"]}
    told = before.marks.words >= ANSWERING_WORDS
    return {kind: at_ms for kind, at_ms in about.items() if told and (kind == "timing" or "but" in said.of("answer"))}


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

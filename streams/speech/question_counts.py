"""The number of questions of one side of a call, None for numbers that the source cannot give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import UNSET, Struct

from streams.contract.events import Capabilities, Role
from streams.speech.clarifying import clarifying
from streams.speech.marks import QUESTION_TYPES, QuestionType, UtteranceMarks

KNOWN_BY_WORDS: Final[tuple[QuestionType, ...]] = ("open", "wh")
"""Types that are found without punctuation in every language of the lexicon."""
KNOWN_BY_ORDER: Final[tuple[QuestionType, ...]] = ("open", "wh", "or", "yes_no")
"""Types that in English the order of words reveals too."""


ENGLISH: Final = frozenset({"en", ""})
"""A transcript in Latin letters whose source does not name its language is read as English."""


class QuestionCounts(Struct, frozen=True, kw_only=True):
    """Questions of one side. A number that the source cannot give is None, never 0.

    `asked` counts all that expect an answer, so rhetorical ones are left out. `by_type` leaves out types that the
    source cannot give. `clarifying` is unknown where `asked` is: most confirming questions have the form of a
    statement.
    """

    asked: int | None
    by_type: dict[QuestionType, int]
    clarifying: int | None


def question_counts(
    utterances: Mapping[str, UtteranceMarks], role: Role, capabilities: Capabilities | None = None
) -> QuestionCounts:
    """Return the questions of one side.

    Without punctuation a yes-no question cannot be told from a statement in Russian: then `asked` and `clarifying` are
    unknown. English is counted by the order of its words.
    """
    own = [marks for marks in utterances.values() if marks.role == role and marks.words and not marks.back_channel]
    if _punctuated(utterances, capabilities):
        countable = QUESTION_TYPES
    elif all(marks.language[:2].lower() in ENGLISH for marks in own):
        countable = KNOWN_BY_ORDER
    else:
        countable = KNOWN_BY_WORDS
    by_type = dict.fromkeys(countable, 0)
    for marks in own:
        for question in marks.questions:
            if question.type in by_type:
                by_type[question.type] += 1
    if countable == KNOWN_BY_WORDS:
        return QuestionCounts(asked=None, by_type=by_type, clarifying=None)
    asked = sum([number for kind, number in by_type.items() if kind != "rhetorical"])
    clarified = sum([sum(each) for each in clarifying(utterances, role).values()])
    return QuestionCounts(asked=asked, by_type=by_type, clarifying=clarified)


def _punctuated(utterances: Mapping[str, UtteranceMarks], capabilities: Capabilities | None) -> bool:
    """Return whether the source ends sentences with marks: by its declared capabilities, else by the transcript."""
    if capabilities is not None and capabilities.punctuation is not UNSET:
        return bool(capabilities.punctuation)
    return any(marks.punctuated for marks in utterances.values())

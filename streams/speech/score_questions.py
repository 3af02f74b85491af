"""The score of questions in labelled dialogues. Pure: the input is texts, labels and marks, the output is counts.

The form of the labels is that of `tests/fixtures/speech/dialogues`, whose README has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from streams.contract.events import Role
from streams.speech.clarifying import clarifying
from streams.speech.marks import QUESTION_TYPES, Question, QuestionType, UtteranceMarks
from streams.speech.words import normal

WORD_QUESTIONS: Final[tuple[QuestionType, ...]] = ("open", "wh")


class QuestionLabel(Struct, frozen=True, kw_only=True):
    """A question that a listener labelled. `also` are types that are equally right, `quote` are its words."""

    utterance: str
    by: Role
    type: QuestionType
    clarifying: bool
    quote: str
    marked: bool
    also: tuple[QuestionType, ...] = ()


class NoQuestion(Struct, frozen=True, kw_only=True):
    """An utterance with a "?" that asks nothing."""

    utterance: str


class Measure(Struct):
    """The numbers of labels, of findings, and of agreements. A label with two findings counts once."""

    labelled: int = 0
    found: int = 0
    right: int = 0
    met: int = 0

    @property
    def precision(self) -> float | None:
        """The right part of the findings; None without findings."""
        return self.right / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """The found part of the labels; None without labels."""
        return self.met / self.labelled if self.labelled else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall."""
        precision, recall = self.precision, self.recall
        if precision is None or recall is None:
            return None
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def add(self, other: Measure) -> None:
        """Add the counts of other dialogues."""
        self.labelled += other.labelled
        self.found += other.found
        self.right += other.right
        self.met += other.met


class QuestionScore(Struct):
    """Questions of some dialogues: any, open and wh-questions, the manager's clarifying ones, and types.

    `typed` compares the types of the found questions with their labels, `also` included. `by_type` is the recall of
    each labelled type, whatever type was found. `left_out` counts findings in sentences with "?" that are in no list,
    and may be right or wrong.
    """

    questions: Measure
    word_questions: Measure
    clarifying: Measure
    typed: Measure
    by_type: dict[str, Measure]
    left_out: int = 0

    def add(self, other: QuestionScore) -> None:
        """Add the counts of other dialogues."""
        self.questions.add(other.questions)
        self.word_questions.add(other.word_questions)
        self.clarifying.add(other.clarifying)
        self.typed.add(other.typed)
        for name, measure in other.by_type.items():
            self.by_type[name].add(measure)
        self.left_out += other.left_out


def empty_score() -> QuestionScore:
    """Return a score of no dialogue, to which others are added."""
    return QuestionScore(
        questions=Measure(),
        word_questions=Measure(),
        clarifying=Measure(),
        typed=Measure(),
        by_type={name: Measure() for name in QUESTION_TYPES},
    )


def score_questions(
    texts: Mapping[str, str],
    labels: Iterable[QuestionLabel],
    no_questions: Iterable[NoQuestion],
    marks: Mapping[str, UtteranceMarks],
) -> QuestionScore:
    """Return the score of one dialogue: `texts` and `marks` by the id of the utterance.

    A question is found if one begins inside the words that are labelled. A further finding there is an error unless its
    type is among those labelled.
    """
    score = empty_score()
    clarifies = clarifying(marks, "manager")
    by_utterance: dict[str, list[QuestionLabel]] = {}
    for label in labels:
        by_utterance.setdefault(label.utterance, []).append(label)
    denied = {label.utterance for label in no_questions}
    for name, text in texts.items():
        left = list(enumerate(marks[name].questions))
        for label in by_utterance.get(name, ()):
            _score_label(score, label, _within(left, label, text), clarifies.get(name, ()), left)
        for number, question in left:
            if question.marked and name not in denied:
                score.left_out += 1
                continue
            score.questions.found += 1
            score.word_questions.found += question.type in WORD_QUESTIONS
            if marks[name].role == "manager" and clarifies[name][number]:
                score.clarifying.found += 1
    return score


Numbered = list[tuple[int, Question]]


def _within(left: Numbered, label: QuestionLabel, text: str) -> Numbered:
    """Return the findings inside the quote of a label, the right type first."""
    first, end = _place(normal(label.quote), normal(text))
    allowed = (label.type, *label.also)
    inside = [each for each in left if first <= each[1].word < end]
    return sorted(inside, key=lambda each: (each[1].type not in allowed, each[0]))


def _place(quote: list[str], words: list[str]) -> tuple[int, int]:
    """Return the places of the words of a quote; those of the whole utterance if they are not there."""
    for first in range(len(words) - len(quote) + 1):
        if words[first : first + len(quote)] == quote:
            return first, first + len(quote)
    return 0, len(words)


def _score_label(
    score: QuestionScore, label: QuestionLabel, inside: Numbered, clarifies: tuple[bool, ...], left: Numbered
) -> None:
    """Count one label with the findings inside it, which are removed from `left`."""
    allowed = (label.type, *label.also)
    of_words = label.type in WORD_QUESTIONS
    counts = label.by == "manager"
    score.questions.labelled += 1
    score.by_type[label.type].labelled += 1
    score.word_questions.labelled += of_words
    score.clarifying.labelled += counts and label.clarifying
    if not inside:
        return
    number, question = inside[0]
    asks_words = question.type in WORD_QUESTIONS
    score.questions.found += 1
    score.questions.right += 1
    score.questions.met += 1
    score.by_type[label.type].met += 1
    score.typed.labelled += 1
    score.typed.met += question.type in allowed
    score.word_questions.found += asks_words
    score.word_questions.right += asks_words and not set(WORD_QUESTIONS).isdisjoint(allowed)
    score.word_questions.met += asks_words and of_words
    if counts and clarifies[number]:
        score.clarifying.found += 1
        score.clarifying.right += label.clarifying
        score.clarifying.met += label.clarifying
    left.remove(inside[0])
    for each in inside[1:]:
        if each[1].type in allowed:
            left.remove(each)

"""Marks: the stored form of an utterance.

They hold times, counts and names of the lexicon, and no words of the speaker.

Every feature of a call is a function of the marks of its utterances, so the order, the repetition and the batches in
which utterances arrive have no effect.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from msgspec import Struct

from streams.contract.events import Role

HitKind: TypeAlias = Literal[
    "filler", "stage", "objection", "reaction", "argument", "promise", "next_step", "cue", "answer"
]
"""Kinds of groups in the lexicon. Within one kind the longest phrase wins; a phrase may count in several kinds.

`cue` is for groups that only rules use, such as agreement, a named time, or a refusal. `answer` is for the topic of
a customer's reply to a statement: it gives the kind of an objection that no phrase of one names.
"""
QuestionType: TypeAlias = Literal["open", "wh", "yes_no", "or", "tag", "declarative", "rhetorical"]
HIT_KINDS: Final[tuple[HitKind, ...]] = get_args(HitKind)
QUESTION_TYPES: Final[tuple[QuestionType, ...]] = get_args(QuestionType)


class Hit(Struct, frozen=True, array_like=True, gc=False):
    """A phrase of the lexicon that was said.

    `group` names its group within the kind. Of a filler, `phrase` is the phrase as the lexicon writes it, never as it
    was said; of other kinds it is "", because a phrase with all its variants is longer than all other marks together.
    `word` is the place of its first word in the utterance, `at_ms` the moment of that word, from the moment of answer:
    its own time where words have times, else its share of the utterance. A hit with an `end_span_ms` counts only in the
    last `end_span_ms` of the call (`streams.speech.conversation.heard`).
    """

    kind: HitKind
    group: str
    phrase: str
    word: int
    at_ms: int
    end_span_ms: int = 0


class Question(Struct, frozen=True, array_like=True, gc=False):
    """A question in an utterance. `marked`: it ends with "?". `clarifying`: its own words specify an earlier statement.

    `clarifying` is by this utterance alone; `streams.speech.clarifying` adds the context.
    """

    type: QuestionType
    clarifying: bool
    marked: bool
    word: int
    at_ms: int


class UtteranceMarks(Struct, frozen=True, array_like=True, gc=False):
    """The marks of one utterance.

    `stretches` are the times in which this side spoke, [start, end) in ms from the moment of answer, in order and
    apart: made of the words where they have times (`timed`), else the whole utterance. `unclear` are the times in which
    something was heard and not understood (`streams.speech.stretches`). `words` is the number of words. `language` is
    the source's tag, else "ru" where a letter is Cyrillic. `back_channel`: few words, all of the list of back-channels.
    `punctuated`: the text has a mark that ends a sentence. `as_other` is the number of telling phrases in it if the
    other side said it (`streams.speech.sides`).
    """

    revision: int
    final: bool
    role: Role
    stretches: tuple[tuple[int, int], ...]
    words: int
    timed: bool = False
    punctuated: bool = False
    back_channel: bool = False
    language: str = ""
    hits: tuple[Hit, ...] = ()
    questions: tuple[Question, ...] = ()
    unclear: tuple[tuple[int, int], ...] = ()
    as_other: int = 0

    @property
    def start_ms(self) -> int:
        """The moment at which the utterance begins."""
        return self.stretches[0][0]

    @property
    def end_ms(self) -> int:
        """The moment at which the utterance ends."""
        return self.stretches[-1][1]

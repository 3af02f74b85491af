"""Questions of one utterance, from its tokens: with "?" where the source writes it, else by words and their order.

A "?" is believed, except where it asks nothing: a greeting into the line, a guess. Without punctuation, questions with
a question word and requests are found in both languages, and English ones with an inverted verb; a Russian yes-no
question cannot be told from a statement then, and is not found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from streams.speech import english_questions, russian_questions
from streams.speech.marks import QuestionType
from streams.speech.question_cues import (
    ASKING,
    AUXILIARY,
    BARE_TAG,
    BARE_YES_NO,
    CLARIFYING,
    GUESS,
    NO_QUESTION,
    REQUEST_OPEN,
    REQUEST_SHORT,
    Cues,
    Language,
)
from streams.speech.question_sentences import Flags, Sentence
from streams.speech.words import ENDS, PAUSES, Words

TELLS: Final = ASKING | AUXILIARY | BARE_TAG | BARE_YES_NO | REQUEST_OPEN | REQUEST_SHORT
"""Where none of these is in a sentence without marks, it asks nothing."""
TELLS_DESPITE_MARK: Final[Mapping[Language, int]] = {
    "ru": REQUEST_OPEN | REQUEST_SHORT,
    "en": REQUEST_OPEN | REQUEST_SHORT | ASKING | AUXILIARY,
}
"""Where none of these is in a sentence that ends with another mark than "?", it asks nothing."""
TOPIC: Final = "а"
"""The word before a topic that is asked about without a verb: «а по деньгам»."""
WHETHER: Final = "ли"
CYRILLIC: Final = "\u0400"
LOOP: Final = 3
"""So many questions in a row, word for word, are a recogniser's loop; they count once."""
GUESS_WORDS: Final = 2
"""A guess with "?" has at most so many words."""


class Asked(NamedTuple):
    """A question as it was put; `word` is the place of its first word among the words of the utterance."""

    type: QuestionType
    clarifying: bool
    marked: bool
    word: int

    def token(self, forms: list[str]) -> int:
        """Return the place of its first word among the tokens."""
        words = -1
        for place, form in enumerate(forms):
            if form[0] not in ENDS and form[0] not in PAUSES:
                words += 1
                if words == self.word:
                    return place
        raise ValueError("the question is not of these tokens")


class Questions:
    """Finds the questions of utterances. A sentence is read by the cues of the language that its script tells."""

    __slots__ = ("_cues", "_tell", "_tell_despite_mark")

    def __init__(self, cues: Mapping[Language, Cues]) -> None:
        self._cues: dict[Language, Cues] = dict(cues)
        tell = {TOPIC}
        despite_mark: set[str] = set()
        for of_language in self._cues.values():
            for words, flags in of_language.entries():
                if len(words) > 1 and any(of_language.flags.get(word, 0) & TELLS for word in words):
                    continue
                told_by = WHETHER if WHETHER in words else max(words, key=len)
                if flags & TELLS:
                    tell.add(told_by)
                if flags & TELLS_DESPITE_MARK[of_language.language]:
                    despite_mark.add(told_by)
        self._tell: frozenset[str] = frozenset(tell)
        self._tell_despite_mark: frozenset[str] = frozenset(despite_mark)

    def find(self, words: Words) -> list[Asked]:
        """Return the questions of an utterance, in order."""
        asked = "?" in words.text
        if not asked and self._tell.isdisjoint(words.forms):
            return []
        spoken, commas, spans = _split(words)
        flags: dict[Language, Flags] = {}
        sentences: list[Sentence] = []
        guessable = False
        for start, end, mark in spans:
            marked = asked and "?" in mark
            if marked or guessable or _tells(spoken, start, end, self._tell_despite_mark if mark else self._tell):
                cues = self._of_script(spoken, start, end)
                if cues.language not in flags:
                    flags[cues.language] = cues.all_flags(spoken)
                sentences.append(
                    Sentence(cues, spoken, flags[cues.language], first=start, end=end, mark=mark, commas=commas)
                )
            guessable = marked and end - start <= GUESS_WORDS
        found: list[Asked] = []
        guesses = _guesses(sentences) if asked and len(sentences) > 1 else ()
        for number, sentence in enumerate(sentences):
            if number not in guesses:
                _of_sentence(sentence, found)
        return found if len(found) < LOOP else _without_loops(found, spoken)

    def _of_script(self, words: list[str], first: int, end: int) -> Cues:
        """Return the cues of the language of most words."""
        russian = words[first][0] >= CYRILLIC
        if russian != (words[end - 1][0] >= CYRILLIC):
            russian = 2 * sum([word[0] >= CYRILLIC for word in words[first:end]]) > end - first
        return self._cues["ru" if russian else "en"]


def _split(words: Words) -> tuple[list[str], set[int], list[tuple[int, int, str]]]:
    """Return the words, the places right behind pause marks, and the sentences: first word, end and mark.

    What stands behind the last mark ends with "." if the text has marks at all, and with "" else.
    """
    spoken: list[str] = []
    commas: set[int] = set()
    spans: list[tuple[int, int, str]] = []
    begin = 0
    for token, form in enumerate(words.forms):
        if words.spoken[token]:
            spoken.append(form)
        elif form in PAUSES:
            commas.add(len(spoken))
        elif form[0] in ENDS:
            if len(spoken) > begin:
                spans.append((begin, len(spoken), form))
                begin = len(spoken)
        else:
            spoken.append(form)
    if len(spoken) > begin:
        spans.append((begin, len(spoken), "." if spans or commas else ""))
    return spoken, commas, spans


def _without_loops(found: list[Asked], words: list[str]) -> list[Asked]:
    """Return the questions without those that a recogniser's loop repeats: of `LOOP` or more the first is kept."""
    kept: list[Asked] = []
    ends = [question.word for question in found[1:]] + [len(words)]
    at = 0
    while at < len(found):
        said = words[found[at].word : ends[at]]
        run = 1
        while at + run < len(found) and words[found[at + run].word : ends[at + run]] == said:
            run += 1
        kept += found[at : at + 1] if run >= LOOP else found[at : at + run]
        at += run
    return kept


def _tells(words: list[str], first: int, end: int, telling: frozenset[str]) -> bool:
    """Return whether one of these words may be part of a question."""
    for at in range(first, end):  # noqa: SIM110 - `any` makes a generator, which takes longer than the loop
        if words[at] in telling:
            return True
    return False


def _of_sentence(sentence: Sentence, found: list[Asked]) -> None:
    """Add the questions of a sentence."""
    russian = sentence.cues.language == "ru"
    first, end = sentence.first, sentence.end
    if "?" in sentence.mark:
        if not sentence.is_all(NO_QUESTION):
            kind = _type(sentence)
            found.append(Asked(kind, kind != "rhetorical" and sentence.has(CLARIFYING, first, end), True, first))
        return
    unmarked = russian_questions.unmarked(sentence) if russian else english_questions.unmarked(sentence)
    for number, (kind, at) in enumerate(unmarked):
        until = unmarked[number + 1][1] if number + 1 < len(unmarked) else end
        begin = first if kind == "tag" else at
        found.append(Asked(kind, kind != "rhetorical" and sentence.has(CLARIFYING, begin, until), False, at))


def _type(sentence: Sentence) -> QuestionType:
    """Return the type of a sentence with "?"."""
    if sentence.cues.language == "ru":
        return russian_questions.marked(sentence)
    return english_questions.marked(sentence)


def _guesses(sentences: list[Sentence]) -> set[int]:
    """Return which sentences are guesses of the speaker: "Ten? Twelve? Hard to say."."""
    found: set[int] = set()
    for number, sentence in enumerate(sentences[:-1]):
        following = sentences[number + 1]
        if _short_echo(sentence):
            if _short_echo(following):
                found |= {number, number + 1}
            elif "?" not in following.mark and following.begins_with(GUESS):
                found.add(number)
    return found


def _short_echo(sentence: Sentence) -> bool:
    return "?" in sentence.mark and sentence.end - sentence.first <= GUESS_WORDS and _type(sentence) == "declarative"

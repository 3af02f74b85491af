"""Questions of one utterance, from its tokens: by "?" if the source writes it, else by words and their order.

A "?" marks a question, except after a greeting into the line, or a guess. Without punctuation, questions with a
question word and requests are found in both languages, and English ones with an inverted verb; a Russian yes-no
question then reads like a statement, and is not found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

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
from streams.speech.words import ENDS, PAUSES, Token, Words

TELLS: Final = ASKING | AUXILIARY | BARE_TAG | BARE_YES_NO | REQUEST_OPEN | REQUEST_SHORT
"""The flags of words that indicate a question. A sentence without marks and without any of these has no question."""
TELLS_DESPITE_MARK: Final[Mapping[Language, int]] = {
    "ru": REQUEST_OPEN | REQUEST_SHORT,
    "en": REQUEST_OPEN | REQUEST_SHORT | ASKING | AUXILIARY,
}
"""The same for a sentence that ends with another mark than "?"."""
TOPIC: Final = "а"
"""The word before a topic in a question without a verb: «а по деньгам»."""
WHETHER: Final = "ли"
CYRILLIC: Final = "\u0400"
LOOP: Final = 3
"""The fewest equal questions in a row that are a recogniser's loop; they count once."""
GUESS_WORDS: Final = 2
"""The most words of a guess with "?"."""


class Asked:
    """A question; `word` is the place of its first word among the words of the utterance."""

    __slots__ = ("clarifying", "marked", "type", "word")

    def __init__(self, of_type: QuestionType, word: int, *, clarifying: bool, marked: bool) -> None:
        self.type: QuestionType = of_type
        self.clarifying: bool = clarifying
        self.marked: bool = marked
        self.word: int = word

    def token(self, forms: list[str]) -> int:
        """Return the place of its first word among the tokens."""
        words = -1
        for place, form in enumerate(forms):
            if form[0] not in ENDS and form[0] not in PAUSES:
                words += 1
                if words == self.word:
                    return place
        raise ValueError("the question is not of these tokens")


class _Note:
    """A note on a token by the cues: its flags by language, and whether it indicates a possible question.

    `pauses` and `ends` are set for marks.
    """

    __slots__ = ("ends", "english", "of", "pauses", "russian", "tells", "tells_despite_mark")

    def __init__(
        self, of: Questions, token: Token, *, russian: int, english: int, tells: bool, tells_despite_mark: bool
    ) -> None:
        self.of: Questions = of
        self.pauses: bool = not token.spoken and token.form in PAUSES
        self.ends: bool = not token.spoken and not self.pauses and token.form[0] in ENDS
        self.russian: int = russian
        self.english: int = english
        self.tells: bool = tells
        self.tells_despite_mark: bool = tells_despite_mark


class Questions:
    """Finds the questions of utterances. The script of a sentence decides the language of its cues."""

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
        tokens = words.tokens
        if not asked and not self._may_ask(tokens):
            return []
        spoken, notes, commas, spans = self._split(tokens)
        russian: Flags | None = None
        english: Flags | None = None
        sentences: list[Sentence] = []
        guessable = False
        for start, end, mark in spans:
            marked = asked and "?" in mark
            if marked or guessable or _tells(notes, start, end, marked=mark != ""):
                cues = self._of_script(spoken, start, end)
                if cues.language == "ru":
                    if russian is None:
                        russian = _twice([note.russian for note in notes])
                    flags = russian
                else:
                    if english is None:
                        english = _twice([note.english for note in notes])
                    flags = english
                sentences.append(Sentence(cues, spoken, flags, first=start, end=end, mark=mark, commas=commas))
            guessable = marked and end - start <= GUESS_WORDS
        found: list[Asked] = []
        guesses = _guesses(sentences) if asked and len(sentences) > 1 else ()
        for number, sentence in enumerate(sentences):
            if number not in guesses:
                _of_sentence(sentence, found)
        return found if len(found) < LOOP else _without_loops(found, spoken)

    def _may_ask(self, tokens: list[Token]) -> bool:
        """Return whether a text without "?" has a word that indicates a question.

        A text with marks needs a stronger word.
        """
        tells = tells_despite_mark = marked = heard = False
        for token in tokens:
            note = self._note(token)
            if note.pauses or note.ends:
                marked = marked or note.pauses or heard
            else:
                heard = True
                tells = tells or note.tells
                tells_despite_mark = tells_despite_mark or note.tells_despite_mark
        return tells_despite_mark if marked else tells

    def _note(self, token: Token) -> _Note:
        """Return the note on a token, made at the first use."""
        if token.questions is not None:
            known = cast("_Note", token.questions)
            if known.of is self:
                return known
        form = token.form
        made = _Note(
            self,
            token,
            russian=self._cues["ru"].flags.get(form, 0),
            english=self._cues["en"].flags.get(form, 0),
            tells=form in self._tell,
            tells_despite_mark=form in self._tell_despite_mark,
        )
        token.questions = made
        return made

    def _split(self, tokens: list[Token]) -> tuple[list[str], list[_Note], set[int], list[tuple[int, int, str]]]:
        """Return the words, their notes, the places right after pause marks, and the sentences: first, end and mark.

        Words after the last mark end with "." if the text has marks at all, and with "" else.
        """
        spoken: list[str] = []
        notes: list[_Note] = []
        commas: set[int] = set()
        spans: list[tuple[int, int, str]] = []
        begin = 0
        for token in tokens:
            note = self._note(token)
            if note.pauses:
                commas.add(len(spoken))
            elif not note.ends:
                spoken.append(token.form)
                notes.append(note)
            elif len(spoken) > begin:
                spans.append((begin, len(spoken), token.form))
                begin = len(spoken)
        if len(spoken) > begin:
            spans.append((begin, len(spoken), "." if spans or commas else ""))
        return spoken, notes, commas, spans

    def _of_script(self, words: list[str], first: int, end: int) -> Cues:
        """Return the cues of the language of most words."""
        russian = words[first][0] >= CYRILLIC
        if russian != (words[end - 1][0] >= CYRILLIC):
            russian = 2 * sum([word[0] >= CYRILLIC for word in words[first:end]]) > end - first
        return self._cues["ru" if russian else "en"]


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


def _tells(notes: list[_Note], first: int, end: int, *, marked: bool) -> bool:
    """Return whether one of these words may be part of a question. `marked`: a mark other than "?" ends them."""
    for at in range(first, end):
        note = notes[at]
        if note.tells_despite_mark if marked else note.tells:
            return True
    return False


def _twice(flags: list[int]) -> Flags:
    """Return the flags twice: the second list is for flags of phrases."""
    return flags, flags.copy()


def _of_sentence(sentence: Sentence, found: list[Asked]) -> None:
    """Add the questions of a sentence."""
    russian = sentence.cues.language == "ru"
    first, end = sentence.first, sentence.end
    if "?" in sentence.mark:
        if not sentence.is_all(NO_QUESTION):
            kind = _type(sentence)
            clarifying = kind != "rhetorical" and sentence.has(CLARIFYING, first, end)
            found.append(Asked(kind, first, clarifying=clarifying, marked=True))
        return
    unmarked = russian_questions.unmarked(sentence) if russian else english_questions.unmarked(sentence)
    for number, (kind, at) in enumerate(unmarked):
        until = unmarked[number + 1][1] if number + 1 < len(unmarked) else end
        begin = first if kind == "tag" else at
        clarifying = kind != "rhetorical" and sentence.has(CLARIFYING, begin, until)
        found.append(Asked(kind, at, clarifying=clarifying, marked=False))


def _type(sentence: Sentence) -> QuestionType:
    """Return the type of a sentence with "?"."""
    if sentence.cues.language == "ru":
        return russian_questions.marked(sentence)
    return english_questions.marked(sentence)


def _guesses(sentences: list[Sentence]) -> set[int]:
    """Return the sentences that are guesses of the speaker: "Ten? Twelve? Hard to say."."""
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

"""Cues of questions: the word lists of a language by which its questions are recognised, read from TOML.

Each list gives its words a flag, so that one look-up per word gives everything that the rules need. An entry of several
words is a phrase. `~word` stands for all forms of a word. Files add up, so users extend the shipped lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, TypeAlias, get_args

from streams.settings.reader import did_you_mean
from streams.speech.forms import forms_of
from streams.speech.question_lists import Asking, CuesOfLanguage, Strength, WordQuestion
from streams.speech.words import normal

Language: TypeAlias = Literal["ru", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

OPENER: Final = 1 << 0
GOVERNOR: Final = 1 << 1
FAR_GOVERNOR: Final = 1 << 2
HARD_GOVERNOR: Final = 1 << 3
PREPOSITION: Final = 1 << 4
PARTICLE: Final = 1 << 5
YOU: Final = 1 << 6
ME: Final = 1 << 7
AUXILIARY: Final = 1 << 8
SUBJECT: Final = 1 << 9
LOOSE_SUBJECT: Final = 1 << 10
NOT_SUBJECT: Final = 1 << 11
NOT_BEFORE_AUXILIARY: Final = 1 << 12
MEASURE: Final = 1 << 13
REQUEST_OPEN: Final = 1 << 14
REQUEST_SHORT: Final = 1 << 15
ASKS_TO_KNOW: Final = 1 << 16
TAG: Final = 1 << 17
BARE_TAG: Final = 1 << 18
RHETORICAL: Final = 1 << 19
ECHO: Final = 1 << 20
BARE_YES_NO: Final = 1 << 21
NOT_ASKING: Final = 1 << 22
CLARIFYING: Final = 1 << 23
ANAPHORA: Final = 1 << 24
DECLARATIVE: Final = 1 << 25
PREDICATE: Final = 1 << 26
OR: Final = 1 << 27
SURELY: Final = 1 << 28
INTERJECTION: Final = 1 << 29
NO_QUESTION: Final = 1 << 30
GUESS: Final = 1 << 31
ASKING: Final = 1 << 32
"""A question word."""
PHRASE: Final = 1 << 33
"""A word with which a phrase begins."""
LISTS: Final[Mapping[str, int]] = {
    "openers": OPENER,
    "governors": GOVERNOR,
    "far_governors": FAR_GOVERNOR,
    "hard_governors": HARD_GOVERNOR,
    "prepositions": PREPOSITION,
    "particles": PARTICLE,
    "you": YOU,
    "me": ME,
    "auxiliaries": AUXILIARY,
    "subjects": SUBJECT,
    "loose_subjects": LOOSE_SUBJECT,
    "not_subjects": NOT_SUBJECT,
    "not_before_auxiliaries": NOT_BEFORE_AUXILIARY,
    "measures": MEASURE,
    "requests_open": REQUEST_OPEN,
    "requests_short": REQUEST_SHORT,
    "asks_to_know": ASKS_TO_KNOW,
    "tags": TAG,
    "bare_tags": BARE_TAG,
    "rhetorical": RHETORICAL,
    "echoes": ECHO,
    "bare_yes_no": BARE_YES_NO,
    "not_asking": NOT_ASKING,
    "asking": SURELY,
    "interjections": INTERJECTION,
    "not_questions": NO_QUESTION,
    "guesses": GUESS,
    "clarifying": CLARIFYING,
    "anaphora": ANAPHORA,
    "declarative": DECLARATIVE,
    "predicates": PREDICATE,
    "or_words": OR,
}


class AskingWord:
    """A question word in the form of the rules. The keys of `open_before` and `short_before` are first words."""

    __slots__ = ("open_before", "short_before", "strength", "type")

    def __init__(self, asking: Asking) -> None:
        self.type: WordQuestion = asking.type
        self.strength: Strength = asking.strength
        self.open_before = _by_first_word(asking.open_before)
        self.short_before = _by_first_word(asking.short_before)


Phrases: TypeAlias = dict[str, dict[str, list[tuple[tuple[str, ...], int]]]]
"""Phrases by their first and second word: the words after these and the flags, the longest first."""


class Cues:
    """The cues of one language. `flags` are of single words, `phrases` of several words."""

    __slots__ = ("asking", "flags", "language", "phrases", "you_endings")

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self.flags: dict[str, int] = {}
        self.phrases: Phrases = {}
        self.asking: dict[str, AskingWord] = {}
        self.you_endings: tuple[str, ...] = ()

    def add(self, file: CuesOfLanguage) -> None:
        """Add the contents of a file. Raises ValueError with the reason."""
        entries: dict[tuple[str, ...], int] = {}
        for name, of_list in file.lists.items():
            flag = LISTS.get(name)
            if flag is None:
                raise ValueError(f'there is no list "{name}"{did_you_mean(name, LISTS)}')
            for words in _all_spelled(of_list):
                entries[words] = entries.get(words, 0) | flag
        for asking in file.asks:
            word = AskingWord(asking)
            for words in _all_spelled(asking.words):
                if len(words) > 1:
                    raise ValueError(f'"{" ".join(words)}" is several words, and a question word is one')
                entries[words] = entries.get(words, 0) | ASKING
                self.asking[words[0]] = word
        for words, flag in entries.items():
            if len(words) > 1:
                _add_phrase(self.phrases, words, flag)
            self.flags[words[0]] = self.flags.get(words[0], 0) | (PHRASE if len(words) > 1 else flag)
        self.you_endings += file.you_endings

    def entries(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield each entry, its words and its flags."""
        for word, flags in self.flags.items():
            yield (word,), flags
        for first, by_second in self.phrases.items():
            for second, entries in by_second.items():
                for rest, flags in entries:
                    yield (first, second, *rest), flags

    def at(self, words: list[str], first: int, end: int) -> int:
        """Return the flags of the word at `first` and of every phrase that begins there and ends before `end`."""
        word = words[first]
        flags = self.flags.get(word, 0)
        if flags & PHRASE and first + 1 < end:
            for rest, flag in self.phrases[word].get(words[first + 1], ()):
                if not rest or (first + 1 + len(rest) < end and _stand(rest, words, first + 2)):
                    flags |= flag
        return flags

    def length(self, words: list[str], first: int, end: int, flag: int) -> int:
        """Return the number of words of the longest entry with a flag that begins at `first`; 0 if there is none."""
        word = words[first]
        flags = self.flags.get(word, 0)
        if flags & PHRASE and first + 1 < end:
            for rest, of_phrase in self.phrases[word].get(words[first + 1], ()):
                if of_phrase & flag and (not rest or (first + 1 + len(rest) < end and _stand(rest, words, first + 2))):
                    return 2 + len(rest)
        return 1 if flags & flag else 0

    def denies(self, words: list[str], first: int, end: int) -> int:
        """Return the number of words at `first` that begin no question; 0 if they, or a longer entry, may begin one."""
        denied = self.length(words, first, end, NOT_ASKING)
        return denied if denied > self.length(words, first, end, SURELY) else 0

    def of_listener(self, word: str) -> bool:
        """Return whether a word speaks of the listener: a pronoun, or a verb with the listener's ending."""
        return bool(self.flags.get(word, 0) & YOU) or (bool(self.you_endings) and word.endswith(self.you_endings))

    def word_question(self, words: list[str], at: int, end: int) -> WordQuestion:
        """Return the type of the question whose question word stands at `at`."""
        word = self.asking[words[at]]
        for first in range(at + 1, min(at + 3, end)):
            if _one_stands(word.short_before, words, first, end):
                return "wh"
            if _one_stands(word.open_before, words, first, end):
                return "open"
            if not self.flags.get(words[first], 0) & PARTICLE:
                break
        return word.type


def no_cues() -> dict[Language, Cues]:
    """Return empty cues of every language, to which files are added."""
    return {language: Cues(language) for language in LANGUAGES}


def _all_spelled(entries: Iterable[str]) -> Iterator[tuple[str, ...]]:
    for entry in entries:
        yield from _spelled(entry)


def _spelled(entry: str) -> list[tuple[str, ...]]:
    """Return the word sequences that an entry stands for."""
    every = entry.startswith("~")
    words = tuple(normal(entry.removeprefix("~")))
    if not words:
        raise ValueError(f'"{entry}" has no word')
    if not every:
        return [words]
    if len(words) > 1:
        raise ValueError(f'"{entry}" is several words, and "~" stands for the forms of one')
    return [(form,) for form in forms_of(words[0])]


def _by_first_word(entries: Iterable[str]) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for words in _all_spelled(entries):
        found.setdefault(words[0], []).append(words[1:])
    return found


def _add_phrase(phrases: Phrases, words: tuple[str, ...], flag: int) -> None:
    entries = phrases.setdefault(words[0], {}).setdefault(words[1], [])
    for number, (rest, flags) in enumerate(entries):
        if rest == words[2:]:
            entries[number] = (rest, flags | flag)
            return
    entries.append((words[2:], flag))
    entries.sort(key=lambda entry: -len(entry[0]))


def _stand(rest: tuple[str, ...], words: list[str], at: int) -> bool:
    """Return whether these words stand at `at`; there must be as many."""
    for number, word in enumerate(rest):  # noqa: SIM110 - `all` makes a generator for a comparison of two words
        if words[at + number] != word:
            return False
    return True


def _one_stands(phrases: dict[str, list[tuple[str, ...]]], words: list[str], at: int, end: int) -> bool:
    """Return whether one of the phrases stands at `at` and ends before `end`."""
    for rest in phrases.get(words[at], ()):  # noqa: SIM110 - as above
        if at + len(rest) < end and _stand(rest, words, at + 1):
            return True
    return False

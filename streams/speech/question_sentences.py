"""Sentences of an utterance for the rules of questions: words with their flags, and the marks around them."""

from __future__ import annotations

from typing import Final, TypeAlias

from streams.speech.question_cues import GOVERNOR, OPENER, PARTICLE, PHRASE, PREPOSITION, Cues

PAIR: Final = 2
LONGEST: Final = 5
"""The number of words of the longest phrase that is searched at the end of a sentence."""


Flags: TypeAlias = tuple[list[int], list[int]]
"""The flags of the words of an utterance in one language, and the same with those of the phrases that begin there."""


class Sentence:
    """The words `first` to `end` of an utterance. `mark` ends it: "?" or "?!", another mark, or "" where nothing does.

    `flags` are those of the words, by their places in the utterance, `here` also those of the phrases that begin
    there, `seen` all that occur in the sentence. `commas` are the places of the words right behind a pause mark.
    """

    __slots__ = ("_past_openers", "commas", "cues", "end", "first", "flags", "here", "mark", "seen", "words")

    def __init__(
        self, cues: Cues, words: list[str], flags: Flags, *, first: int, end: int, mark: str, commas: set[int]
    ) -> None:
        alone, here = flags
        seen = 0
        for at in range(first, end):
            if alone[at] & PHRASE:
                here[at] = cues.at(words, at, end)
            seen |= here[at]
        self.cues = cues
        self.words = words
        self.flags: list[int] = alone
        self.here: list[int] = here
        self.seen: int = seen
        self.first = first
        self.end = end
        self.mark = mark
        self.commas = commas
        self._past_openers: int = -1

    def has(self, flag: int, first: int, end: int) -> bool:
        """Return whether an entry of the list with this flag stands between two places."""
        if self.seen & flag:
            for place in range(first, end):
                if self.here[place] & flag:
                    return True
        return False

    def is_all(self, flag: int) -> bool:
        """Return whether the whole sentence is one entry of the list with this flag."""
        if not self.here[self.first] & flag:
            return False
        return self.cues.length(self.words, self.first, self.end, flag) == self.end - self.first

    def tag(self, flag: int) -> int:
        """Return the number of words of the longest entry with a flag at the end, behind at least one word."""
        if self.seen & flag:
            for at in range(max(self.first + 1, self.end - LONGEST), self.end):
                if self.here[at] & flag and self.cues.length(self.words, at, self.end, flag) == self.end - at:
                    return self.end - at
        return 0

    def begins_with(self, flag: int) -> bool:
        """Return whether the sentence begins with an entry of the list with this flag, openers before it left out."""
        at = self.first
        while at < self.end:
            if self.here[at] & flag:
                return True
            if not self.flags[at] & OPENER:
                return False
            at += 1
        return False

    def opened(self, at: int) -> bool:
        """Return whether an opener of one word or two stands right before `at`."""
        if at <= self.first or self.flags[at - 1] & OPENER:
            return True
        return at - 2 >= self.first and self.cues.length(self.words, at - 2, at, OPENER) == PAIR

    def past_openers(self) -> int:
        """Return the place of the first word that is no opener and is not repeated at once."""
        if self._past_openers < 0:
            at = self.first
            while at < self.end and (
                self.flags[at] & OPENER or (at + 1 < self.end and self.words[at] == self.words[at + 1])
            ):
                at += 1
            self._past_openers = at
        return self._past_openers

    def before(self, at: int) -> int:
        """Return the place of the word before `at`, past prepositions and particles; less than `first` if none."""
        at -= 1
        while (
            at >= self.first and self.flags[at] & (PREPOSITION | PARTICLE) and not self.flags[at] & (OPENER | GOVERNOR)
        ):
            at -= 1
        return at

    def comma_between(self, first: int, end: int) -> bool:
        """Return whether a pause mark stands before a word of these places."""
        for place in range(first, end):  # noqa: SIM110 - as above
            if place in self.commas:
                return True
        return False

    def listener_between(self, first: int, end: int) -> bool:
        """Return whether a word of these places speaks of the listener."""
        of_listener = self.cues.of_listener
        for place in range(max(first, self.first), min(end, self.end)):  # noqa: SIM110 - as above
            if of_listener(self.words[place]):
                return True
        return False

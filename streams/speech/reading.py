"""From an utterance to its marks. The text is read here and goes no further."""

from __future__ import annotations

from itertools import accumulate

from streams.contract.events import SpeechUtterance
from streams.settings.speech import Speech
from streams.speech.lexicon import Lexicon
from streams.speech.marks import Hit, Question, UtteranceMarks
from streams.speech.stretches import stretches, unclear
from streams.speech.words import Words, is_word, normal


class Reader:
    """Reads utterances by a lexicon and the definitions of the settings. It keeps nothing of what it read."""

    def __init__(self, lexicon: Lexicon, speech: Speech) -> None:
        self._lexicon = lexicon
        self._questions = lexicon.questions
        self._word_gap_ms: int = speech.word_gap_ms
        self._longest_word_ms: int = speech.longest_word_ms
        self._back_channel_words: int = speech.back_channel_words

    def read(self, event: SpeechUtterance) -> UtteranceMarks:
        """Return the marks of an utterance."""
        words = Words(event.text)
        count = words.count()
        times = Moments(event, words, count)
        matches = self._lexicon.find(words, event.role, event.start_ms)
        return UtteranceMarks(
            revision=event.revision,
            final=event.final,
            role=event.role,
            stretches=stretches(event, self._word_gap_ms, self._longest_word_ms),
            words=count,
            timed=bool(event.words),
            punctuated=words.punctuated(),
            back_channel=0 < count <= self._back_channel_words and self._of_back_channels(words.forms),
            language=event.language or words.language(),
            hits=tuple(
                [
                    Hit(
                        match.kind,
                        match.group,
                        match.phrase,
                        times.word(match.first),
                        times.of(match.first),
                        match.end_span_ms,
                    )
                    for match in matches
                ]
            ),
            unclear=unclear(event, self._longest_word_ms) if event.words else (),
            questions=tuple(
                [
                    Question(asked.type, asked.clarifying, asked.marked, asked.word, times.of(asked.token(words.forms)))
                    for asked in self._questions.find(words)
                ]
            ),
        )

    def _of_back_channels(self, forms: list[str]) -> bool:
        known = self._lexicon.back_channels
        return all(form in known for form in forms if is_word(form))


class Moments:
    """When each word of an utterance was said, in ms from the moment of answer.

    A word has its own time where the source's words are those of the text; else its share of the utterance, by letters.
    """

    __slots__ = ("_count", "_event", "_forms", "_letters", "_numbers", "_starts")

    def __init__(self, event: SpeechUtterance, words: Words, count: int) -> None:
        self._event = event
        self._forms = words.forms
        self._count = count
        self._starts: list[int] = []
        self._numbers: list[int] = []
        self._letters: list[int] = []

    def word(self, token: int) -> int:
        """Return how many words stand before a token."""
        if not self._numbers:
            self._look()
        return self._numbers[token]

    def of(self, token: int) -> int:
        """Return the moment of a token."""
        number = self.word(token)
        if self._starts:
            return self._starts[number]
        start, end = self._event.start_ms, self._event.end_ms
        return start + (end - start) * self._letters[token] // max(1, self._letters[-1])

    def _look(self) -> None:
        """Note for each token how many words and letters stand before it; at the end of the list, all letters."""
        number = letters = 0
        for form in self._forms:
            self._numbers.append(number)
            self._letters.append(letters)
            if is_word(form):
                number += 1
                letters += len(form)
        self._letters.append(letters)
        self._starts = self._timed()

    def _timed(self) -> list[int]:
        """Return the start of each word, or nothing if the source's words are not those of the text."""
        event = self._event
        if not event.words:
            return []
        counts = [1 if word.text.isalpha() else len(normal(word.text)) for word in event.words]
        if list(accumulate(counts))[-1] != self._count:
            return []
        return [word.start_ms for word, count in zip(event.words, counts, strict=True) for _ in range(count)]

"""From an utterance to its marks. The text is read here and goes no further."""

from __future__ import annotations

from streams.contract.events import SpeechUtterance
from streams.settings.speech import Speech
from streams.speech.lexicon import Lexicon
from streams.speech.marks import Hit, Question, UtteranceMarks
from streams.speech.stretches import stretches, unclear
from streams.speech.words import Words, count_of, is_word


class Reader:
    """Reads utterances by a lexicon and the definitions of the settings. It keeps no utterance."""

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
                        kind, group, phrase if kind == "filler" else "", times.word(first), times.of(first), end_span_ms
                    )
                    for kind, group, phrase, first, _, end_span_ms in matches
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

    __slots__ = ("_count", "_event", "_letters", "_numbers", "_starts", "_words")

    def __init__(self, event: SpeechUtterance, words: Words, count: int) -> None:
        self._event = event
        self._words = words
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
        forms = self._words.forms
        for token, spoken in enumerate(self._words.spoken):
            self._numbers.append(number)
            self._letters.append(letters)
            if spoken:
                number += 1
                letters += len(forms[token])
        self._letters.append(letters)
        self._starts = self._timed()

    def _timed(self) -> list[int]:
        """Return the start of each word, or nothing if the source's words are not those of the text."""
        event = self._event
        if not event.words:
            return []
        starts: list[int] = []
        for word in event.words:
            count = count_of(word.text)
            if count == 1:
                starts.append(word.start_ms)
            else:
                starts += [word.start_ms] * count
        return starts if len(starts) == self._count else []

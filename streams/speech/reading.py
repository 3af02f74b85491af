"""From an utterance to its marks. No text leaves this module."""

from __future__ import annotations

from streams.contract.events import Role, SpeechUtterance
from streams.settings.speech import Speech
from streams.speech.lexicon import Lexicon
from streams.speech.marks import Hit, Question, UtteranceMarks
from streams.speech.sides import LOOKED_AT_MS
from streams.speech.stretches import stretches, unclear
from streams.speech.words import Words, is_word


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
        times = Moments(event, words)
        return UtteranceMarks(
            event.revision,
            event.final,
            event.role,
            stretches(event, self._word_gap_ms, self._longest_word_ms),
            count,
            bool(event.words),
            words.punctuated(),
            0 < count <= self._back_channel_words and self._of_back_channels(words.forms),
            event.language or words.language(),
            self._hits(event, words, times),
            self._asked(words, times),
            unclear(event, self._longest_word_ms) if event.words else (),
            self._as_other(event, words) if event.final and event.start_ms < LOOKED_AT_MS else 0,
        )

    def _hits(self, event: SpeechUtterance, words: Words, times: Moments) -> tuple[Hit, ...]:
        said = self._lexicon.said(words, event.role, event.start_ms)
        if not said:
            return ()
        hits: list[Hit] = []
        for one in said:
            phrase, first = one.phrase, one.first
            text = phrase.text if phrase.kind == "filler" else ""
            hits.append(Hit(phrase.kind, phrase.group, text, times.word(first), times.of(first), phrase.end_span_ms))
        return tuple(hits)

    def _as_other(self, event: SpeechUtterance, words: Words) -> int:
        other: Role = "customer" if event.role == "manager" else "manager"
        return len(self._lexicon.telling(words, other, event.start_ms))

    def _asked(self, words: Words, times: Moments) -> tuple[Question, ...]:
        asked = self._questions.find(words)
        if not asked:
            return ()
        return tuple(
            [
                Question(one.type, one.clarifying, one.marked, one.word, times.of(one.token(words.forms)))
                for one in asked
            ]
        )

    def _of_back_channels(self, forms: list[str]) -> bool:
        known = self._lexicon.back_channels
        return all(form in known for form in forms if is_word(form))


class Moments:
    """The moments of the words of an utterance, in ms from the moment of answer.

    A word has its own time where the source's words are those of the text; else its share of the utterance, by letters.
    """

    __slots__ = ("_at", "_event", "_letters", "_letters_before", "_number", "_starts", "_words")

    def __init__(self, event: SpeechUtterance, words: Words) -> None:
        self._event = event
        self._words: Words = words
        self._starts: list[int] | None = None
        self._letters: int = 0
        # The number of words and letters before token `_at`: most callers go through the tokens in order.
        self._at: int = 0
        self._number: int = 0
        self._letters_before: int = 0

    def word(self, token: int) -> int:
        """Return the number of words before a token."""
        if token < self._at:
            self._at = self._number = self._letters_before = 0
        number, letters = self._number, self._letters_before
        tokens = self._words.tokens
        for at in range(self._at, token):
            one = tokens[at]
            if one.spoken:
                number += 1
                letters += len(one.form)
        self._at, self._number, self._letters_before = token, number, letters
        return number

    def of(self, token: int) -> int:
        """Return the moment of a token."""
        number = self.word(token)
        if self._starts is None:
            self._starts = self._words.starts(self._event.words) if self._event.words else []
        if self._starts:
            return self._starts[number]
        if not self._letters:
            self._letters = sum([len(one.form) for one in self._words.tokens if one.spoken])
        start, end = self._event.start_ms, self._event.end_ms
        return start + (end - start) * self._letters_before // max(1, self._letters)

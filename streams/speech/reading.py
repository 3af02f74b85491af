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
                        words.words_before(match.first),
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

    A word has its own time where the source's words are those of the text; else its share of the utterance.
    """

    __slots__ = ("_count", "_event", "_starts", "_words")

    def __init__(self, event: SpeechUtterance, words: Words, count: int) -> None:
        self._event = event
        self._words = words
        self._count = count
        self._starts: list[int] | None = None

    def of(self, token: int) -> int:
        """Return the moment of a token."""
        if self._starts is None:
            self._starts = self._timed()
        if self._starts:
            return self._starts[self._words.words_before(token)]
        event = self._event
        share = self._words.places[token].start / max(1, len(event.text))
        return event.start_ms + int((event.end_ms - event.start_ms) * share)

    def _timed(self) -> list[int]:
        """Return the start of each word, or nothing if the source's words are not those of the text."""
        event = self._event
        if not event.words:
            return []
        counts = [len(normal(word.text)) for word in event.words]
        if list(accumulate(counts))[-1] != self._count:
            return []
        return [word.start_ms for word, count in zip(event.words, counts, strict=True) for _ in range(count)]

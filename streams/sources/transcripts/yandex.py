"""Yandex SpeechKit, version 3: the messages of its stream as JSON, and the answers of its interface for a file.

`final_index` names an utterance: a `partial`, the `final` and the `final_refinement`, which has punctuation, are
revisions of it. Messages may have the names of gRPC (`final_index`) or of REST (`finalIndex`), and stand in `result`.
Times are milliseconds, written as texts; a zero is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import UNSET

from streams.sources.frame import Translation, UnreadableError
from streams.sources.transcripts.leg import Asked, Leg, tag
from streams.sources.transcripts.reading import Documents, Reading
from streams.sources.transcripts.utterances import MOST_REVISIONS, Said, Speech, Word, capabilities_of
from streams.sources.transcripts.values import Fields, Json, fields, first, flat, items, millis, number, share, text

NAME: Final = "yandex"
_CLOSED: Final = ("CLOSED", 3)
_NO_TRANSCRIPT: Final = (
    *("eou_update", "eouUpdate", "classifier_update", "classifierUpdate", "speaker_analysis", "speakerAnalysis"),
    *("conversation_analysis", "conversationAnalysis", "summarization"),
)
_FINAL_REVISION: Final = 0
_REFINED_REVISION: Final = 1


def read(documents: Documents, asked: Asked) -> Translation:
    """Return the events of messages, in the order in which they came."""
    reading = Reading()
    with reading.part("the transcript"):
        leg = asked.leg()
        messages = _Messages(reading, Speech(NAME, leg, asked.received_at_ms), leg)
        for number_, value in enumerate((one for document in documents for one in flat(document)), 1):
            with reading.part(f"message {number_}"):
                messages.take(fields(value, "the message"))
        # An answer of REST for a file, and a file, are complete. A stream marks its end.
        if messages.is_over or asked.received_at_ms is None:
            apart = UNSET if leg.guessed or len(messages.channels) < 2 else True  # noqa: PLR2004 - two sides
            capabilities = capabilities_of(
                asked.own,
                word_times=True,
                channels_apart=False if leg.guessed else apart,
                fine_times=True,
            )
            reading.end(messages.speech, leg, capabilities)
    return reading.done()


class _Messages:
    """Takes messages. It keeps the words of finals, because a refinement may have none."""

    def __init__(self, reading: Reading, speech: Speech, leg: Leg) -> None:
        self._reading = reading
        self._leg = leg
        self._words: dict[str, list[Word]] = {}
        self.speech = speech
        self.channels: set[int] = set()
        self.is_over = False

    def take(self, message: Fields) -> None:
        if isinstance(inner := message.get("result"), dict):
            message, self.is_over = inner, True
        cursors = first(message, "audio_cursors", "audioCursors")
        index = _index(cursors if isinstance(cursors, dict) else {})
        if isinstance(one := message.get("partial"), dict):
            self._say(one, message, index, final=False, revision=_partial_revision(cursors))
        elif isinstance(one := message.get("final"), dict):
            self._say(one, message, index, final=True, revision=_FINAL_REVISION)
        elif isinstance(one := first(message, "final_refinement", "finalRefinement"), dict):
            normal = fields(first(one, "normalized_text", "normalizedText"), "normalized_text")
            self._say(normal, message, _index(one), final=True, revision=_REFINED_REVISION)
        elif isinstance(one := first(message, "status_code", "statusCode"), dict):
            self.is_over |= first(one, "code_type", "codeType") in _CLOSED
            self._reading.found.ignored += 1
        elif any(name in message for name in _NO_TRANSCRIPT):
            self._reading.found.ignored += 1
        else:
            raise UnreadableError("unknown_type", "a message of no known kind")

    def _say(self, update: Fields, message: Fields, index: int, *, final: bool, revision: int) -> None:
        alternatives = items(update, "alternatives")
        if not alternatives:
            self._reading.found.ignored += 1
            return
        channel = self._channel(update, message)
        best = fields(alternatives[0], "alternatives")
        key = f"{channel}-{index}"
        words = [_word(fields(one, "words")) for one in items(best, "words")]
        if revision == _REFINED_REVISION and final and not words:
            words = self._words.get(key, [])
        elif final:
            self._words[key] = words
        start = _place(best, "start_time_ms", "startTimeMs")
        end = _place(best, "end_time_ms", "endTimeMs")
        if words:
            # The alternative is as long as the processed audio; the words have the times of speech.
            start, end = max(start, words[0].start_ms), words[-1].end_ms
        said = text(best, "text")
        if not said.strip() and not final:
            self._reading.found.ignored += 1
            return
        role = self._leg.role(channel)
        self.channels.add(channel)
        self._reading.say(
            self.speech,
            Said(
                key=key,
                role=role,
                start_ms=min(start, end) if words else start,
                end_ms=end,
                text=said,
                words=words if said.strip() else (),
                final=final,
                revision=revision,
                language=_language(items(best, "languages")),
                confidence=share(best.get("confidence")) or None,
            ),
        )

    def _channel(self, update: Fields, message: Fields) -> int:
        named = first(update, "channel_tag", "channelTag")
        named = first(message, "channel_tag", "channelTag") if named is None else named
        if self._leg.channel is not None:
            return self._leg.channel
        if named is None or named == "":
            raise UnreadableError("missing_field", "channel_tag is missing: whose speech it is is not known")
        return round(number(named, "channel_tag"))


def _index(holder: Mapping[str, Json]) -> int:
    value = first(holder, "final_index", "finalIndex")
    return 0 if value is None else round(number(value, "final_index"))


def _partial_revision(cursors: Json) -> int:
    """Return the length of the speech that may still change, in milliseconds: it grows until the final."""
    if not isinstance(cursors, dict):
        return 0
    return min(max(0, _place(cursors, "partial_time_ms", "partialTimeMs") // 10), MOST_REVISIONS)


def _place(holder: Fields, *names: str) -> int:
    value = first(holder, *names)
    return 0 if value is None else millis(value, names[0])


def _word(word: Fields) -> Word:
    start, end = _place(word, "start_time_ms", "startTimeMs"), _place(word, "end_time_ms", "endTimeMs")
    return Word(text(word, "text"), start, end)


def _language(languages: Sequence[Json]) -> str | None:
    best: tuple[float, str] | None = None
    for one in languages:
        if isinstance(one, dict) and isinstance(code := first(one, "language_code", "languageCode"), str):
            rank = share(one.get("probability")) or 0.0
            best = max(best, (rank, code)) if best else (rank, code)
    return None if best is None else tag(best[1])

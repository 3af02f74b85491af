"""Whisper: the JSON of faster-whisper, of openai-whisper, and `verbose_json` of OpenAI's interface.

Whisper does not distinguish speakers, so each side is a file of its own. Its segments are long and begin early; the
words in them have the times that count. Two of its own rules are kept: a segment that compresses too well is a loop,
and one that is improbable and probably silent is no speech.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from streams.contract.events import Capabilities, Role
from streams.sources.frame import Translation, UnreadableError
from streams.sources.transcripts.leg import Asked, Leg, tag
from streams.sources.transcripts.reading import Documents, Reading
from streams.sources.transcripts.utterances import Said, Speech, Word, capabilities_of
from streams.sources.transcripts.values import Fields, Json, fields, first, items, number, seconds, share, text

NAME: Final = "whisper"
_LOOP_RATIO: Final = 2.4
_SILENT: Final = 0.6
_IMPROBABLE: Final = -1.0
_SAME_IN_A_ROW: Final = 3
_PAUSE_MS: Final = 800
_NAMES: Final = (
    *("en english", "ru russian", "de german", "fr french", "es spanish", "it italian", "pt portuguese"),
    *("nl dutch", "pl polish", "uk ukrainian", "kk kazakh", "tr turkish"),
)
_LANGUAGES: Final[Mapping[str, str]] = MappingProxyType({one[3:]: one[:2] for one in _NAMES})
"""The names that OpenAI's interface gives to languages; faster-whisper writes tags."""


def read(documents: Documents, asked: Asked) -> Translation:
    """Return the events of the outputs of the two sides, in the order of the channels, or of one side."""
    reading = Reading()
    with reading.part("the transcript"):
        leg = asked.leg()
        outputs = _outputs(documents)
        if len(outputs) == 1 and leg.channel is None:
            raise UnreadableError("missing_field", "one output: `channel` says which side of the call it is")
        if len(outputs) > 2:  # noqa: PLR2004 - a call has two sides
            raise UnreadableError("invalid_field", "more than two outputs: a call has two sides")
        speech = Speech(NAME, leg, asked.received_at_ms)
        timed = False
        for place, output in enumerate(outputs):
            channel = place if leg.channel is None else leg.channel
            with reading.part(f"channel {channel}"):
                timed |= _side(reading, fields(output, "the output"), speech, leg, channel)
        reading.end(speech, leg, _capabilities(asked, leg, timed=timed))
    return reading.done()


def _capabilities(asked: Asked, leg: Leg, *, timed: bool) -> Capabilities:
    return capabilities_of(
        asked.own,
        word_times=timed,
        punctuation=True,
        fillers=False,
        channels_apart=not leg.guessed,
        fine_times=True,
    )


def _outputs(documents: Documents) -> list[Json]:
    """Return an output per side. A list of segments, in an array or one a line, is an output, too."""
    found: list[Json] = []
    for document in documents:
        values = document[0] if len(document) == 1 and isinstance(document[0], list) else document
        if values and all(isinstance(one, dict) and "start" in one and "segments" not in one for one in values):
            found.append({"segments": list(values)})
        else:
            found += values
    return found


def _side(reading: Reading, output: Fields, speech: Speech, leg: Leg, channel: int) -> bool:
    """Take the segments of a side. Return whether words have times."""
    role = leg.role(channel)
    named = text(output, "language").strip().lower()
    language = tag(_LANGUAGES.get(named, named if len(named) < 4 else None))  # noqa: PLR2004 - tags are shorter
    segments = items(output, "segments")
    loose = [_word(fields(word, "words")) for word in items(output, "words")]
    if not segments and not loose and text(output, "text").strip():
        raise UnreadableError("missing_field", "segments are missing: when it was said is not known")
    made = list(_segments(reading, segments))
    if loose:
        _given(made, loose)
    spaced = any(word.text[:1].isspace() for one in made for word in one.words)
    timed = False
    for one, said in zip(made, _without_loops(made), strict=True):
        if not said:
            reading.found.ignored += 1
            continue
        words = _whole(one.words) if spaced else one.words
        timed |= bool(words)
        with reading.part(one.where):
            reading.say(speech, _said(one, words, speech.numbered(f"{channel}-{one.start_ms}"), role, language))
    return timed


class _Segment:
    __slots__ = ("confidence", "end_ms", "ratio", "start_ms", "text", "where", "words")

    def __init__(self, where: str, start_ms: int, end_ms: int, said: str) -> None:
        self.where = where
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.text = said
        self.words: list[Word] = []
        self.ratio = 0.0
        self.confidence: float | None = None


def _segments(reading: Reading, segments: Sequence[Json]) -> Iterator[_Segment]:
    for number_, value in enumerate(segments, 1):
        with reading.part(f"segment {number_}"):
            segment = fields(value, "segments")
            said = text(segment, "text")
            start, end = seconds(segment.get("start"), "start"), seconds(segment.get("end"), "end")
            if not said.strip() or _is_silent(segment):
                reading.found.ignored += 1
                continue
            one = _Segment(f"segment {number_}", start, end, said)
            one.words = [_word(fields(word, "words")) for word in items(segment, "words")]
            ratio = segment.get("compression_ratio")
            one.ratio = number(ratio, "compression_ratio") if ratio is not None else _ratio(said)
            logprob = segment.get("avg_logprob")
            if logprob is not None:
                one.confidence = share(math.exp(min(0.0, number(logprob, "avg_logprob"))))
            yield one


def _is_silent(segment: Fields) -> bool:
    silent, logprob = segment.get("no_speech_prob"), segment.get("avg_logprob")
    if silent is None or logprob is None:
        return False
    return number(silent, "no_speech_prob") > _SILENT and number(logprob, "avg_logprob") < _IMPROBABLE


def _ratio(said: str) -> float:
    data = said.encode()
    return len(data) / len(zlib.compress(data))


def _without_loops(segments: Sequence[_Segment]) -> Iterator[bool]:
    """Yield whether each segment is speech: not a loop in itself, and not the same words again and again."""
    last, count = "", 0
    for one in segments:
        same = " ".join(one.text.lower().split())
        count = count + 1 if same == last else 1
        last = same
        yield one.ratio <= _LOOP_RATIO and not (count > _SAME_IN_A_ROW and " " in same)


def _word(word: Fields) -> Word:
    start = seconds(word.get("start"), "words.start")
    said = first(word, "word", "text")
    if not isinstance(said, str):
        raise UnreadableError("invalid_field", "words.word is no text")
    return Word(said, start, seconds(word.get("end", start), "words.end"))


def _given(segments: list[_Segment], words: Sequence[Word]) -> None:
    """Give words that stand beside the segments to them, by their times; without segments, cut the words at pauses."""
    if not segments:
        for word in words:
            if not segments or word.start_ms - segments[-1].end_ms >= _PAUSE_MS:
                segments.append(_Segment(f"word at {word.start_ms} ms", word.start_ms, word.end_ms, ""))
            segments[-1].end_ms = max(segments[-1].end_ms, word.end_ms)
            segments[-1].text += f" {word.text.strip()}"
            segments[-1].words.append(word)
        return
    place = 0
    for word in sorted(words, key=lambda one: one.start_ms):
        middle = (word.start_ms + word.end_ms) // 2
        while place + 1 < len(segments) and middle >= segments[place + 1].start_ms:
            place += 1
        segments[place].words.append(word)


def _whole(words: Sequence[Word]) -> list[Word]:
    """Return words in one piece. A piece that begins without a space goes on with the word before it."""
    found: list[Word] = []
    for word in words:
        if found and not word.text[:1].isspace():
            found[-1] = Word(found[-1].text + word.text, found[-1].start_ms, max(found[-1].end_ms, word.end_ms))
        else:
            found.append(word)
    return found


def _said(one: _Segment, words: Sequence[Word], key: str, role: Role, language: str | None) -> Said:
    return Said(
        key=key,
        role=role,
        start_ms=one.start_ms,
        end_ms=one.end_ms,
        text=one.text,
        words=words,
        language=language,
        confidence=one.confidence,
    )

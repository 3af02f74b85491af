"""Deepgram: messages of a live stream, and the JSON of a file or of its callback.

A live message is a window of the audio. `is_final` fixes it; `speech_final` only marks a pause after it, so an
utterance of a speaker becomes several events. The window's channel and start name it: an interim result, the final one
and a repeat of that have the same id. A file has `utterances`, or the words of each channel, which are cut at pauses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from streams.contract.events import Role
from streams.sources.frame import Translation, UnreadableError
from streams.sources.transcripts.leg import Asked, Leg, tag
from streams.sources.transcripts.reading import Documents, Reading
from streams.sources.transcripts.utterances import Said, Speech, Word, capabilities_of
from streams.sources.transcripts.values import Fields, Json, fields, first, flat, items, number, seconds, share, text

NAME: Final = "deepgram"
PAUSE_MS: Final = 800
"""The pause at which the words of a file are cut: Deepgram's own `utt_split`."""
_NO_TRANSCRIPT: Final = ("SpeechStarted", "UtteranceEnd", "Error", "Warning", "Connected")


def read(documents: Documents, asked: Asked) -> Translation:
    """Return the events of live messages in any number, or of the results of files."""
    reading = Reading()
    for number_, value in enumerate((one for document in documents for one in flat(document)), 1):
        with reading.part(f"message {number_}"):
            _message(reading, fields(value, "the message"), asked)
    return reading.done()


def _message(reading: Reading, message: Fields, asked: Asked) -> None:
    kind = text(message, "type")
    if kind in _NO_TRANSCRIPT:
        reading.found.ignored += 1
    elif "results" in message:
        leg = asked.leg(_extra(message))
        _file(reading, fields(message["results"], "results"), leg, asked)
    elif kind == "Results" or "channel" in message:
        _window(reading, message, asked)
    elif kind == "Metadata":
        leg = asked.leg({**_named(message.get("extra")), **_extra(message)})
        channels = message.get("channels")
        speech = reading.speech(NAME, leg, asked.received_at_ms)
        _end(reading, speech, leg, asked, None if channels is None else channels != 1)
    else:
        raise UnreadableError("unknown_type", "neither the result of a file nor a message of a live stream")


def _extra(message: Fields) -> Mapping[str, str]:
    metadata = message.get("metadata")
    return _named(metadata.get("extra")) if isinstance(metadata, dict) else {}


def _named(extra: Json) -> Mapping[str, str]:
    """Return the texts of `extra`. A repeated key has an array: its first value counts."""
    found: dict[str, str] = {}
    if isinstance(extra, dict):
        for name, value in extra.items():
            one = value[0] if isinstance(value, list) and value else value
            if isinstance(one, str):
                found[str(name)] = one
    return found


def _window(reading: Reading, message: Fields, asked: Asked) -> None:
    leg = asked.leg(_extra(message))
    index = items(message, "channel_index")
    is_single = not index or index[1:] == [1]
    channel = leg.channel if is_single else round(number(index[0], "channel_index"))
    best = _best(fields(message.get("channel"), "channel"))
    start = seconds(message.get("start"), "start")
    duration = seconds(message.get("duration"), "duration")
    final = message.get("is_final") is True
    said = text(best, "transcript")
    if not said.strip() and not final:
        reading.found.ignored += 1
        return
    if duration < 0:
        raise UnreadableError("invalid_time", "duration is negative")
    speech = reading.speech(NAME, leg, asked.received_at_ms)
    if channel is None:
        _voices(reading, best, speech, leg, final=final)
        return
    one = _said(best, f"{channel}-{start}", leg.role(channel), start, start + duration)
    reading.say(speech, replace(one, final=final, revision=duration))


def _voices(reading: Reading, best: Fields, speech: Speech, leg: Leg, *, final: bool) -> None:
    """Take a window of a stream with one channel, in which voices were distinguished.

    It is certain when it is final.
    """
    words = [fields(word, "words") for word in items(best, "words")]
    if not final or not words:
        reading.found.ignored += 1
        return
    for run in _cut(words):
        if run[0].get("speaker") is None:
            raise UnreadableError("missing_field", "one channel and no speakers: whose speech it is is not known")
        one = _joined(0, run, apart=False)
        side = _side(one, leg, apart=False)
        start, end = seconds(one["start"], "start"), seconds(one["end"], "end")
        reading.say(speech, _said(one, f"{side}-{start}", leg.role(side), start, end))


def _best(holder: Fields) -> Fields:
    alternatives = items(holder, "alternatives")
    return fields(alternatives[0], "alternatives") if alternatives else {}


def _said(best: Fields, key: str, role: Role, start: int, end: int) -> Said:
    languages = items(best, "languages")
    language = languages[0] if languages and isinstance(languages[0], str) else None
    return Said(
        key=key,
        role=role,
        start_ms=start,
        end_ms=end,
        text=text(best, "transcript"),
        words=_words(items(best, "words")),
        language=tag(language),
        confidence=share(best.get("confidence")),
    )


def _words(words: Sequence[Json]) -> list[Word]:
    return [_word(fields(word, "words")) for word in words]


def _word(word: Fields) -> Word:
    start = seconds(word.get("start"), "words.start")
    return Word(text(word, "punctuated_word", "word"), start, seconds(word.get("end", start), "words.end"))


def _file(reading: Reading, results: Fields, leg: Leg, asked: Asked) -> None:
    speech = reading.speech(NAME, leg, asked.received_at_ms)
    speech.begin_document()
    channels = items(results, "channels")
    apart = len(channels) > 1
    utterances = items(results, "utterances")
    if utterances:
        apart = apart or len({str(one.get("channel")) for one in utterances if isinstance(one, dict)}) > 1
        found = [(f"utterance {number_}", one) for number_, one in enumerate(utterances, 1)]
    else:
        found = list(_runs(reading, channels, apart))
    for where, one in found:
        with reading.part(where):
            _utterance(reading, fields(one, "utterances"), speech, leg, apart)
    _end(reading, speech, leg, asked, apart)


def _utterance(reading: Reading, one: Fields, speech: Speech, leg: Leg, apart: bool) -> None:
    start, end = seconds(one.get("start"), "start"), seconds(one.get("end"), "end")
    side = _side(one, leg, apart=apart)
    role = leg.role(side)
    if text(one, "transcript").strip():
        reading.say(speech, _said(one, speech.numbered(f"{side}-{start}"), role, start, end))
    else:
        reading.found.ignored += 1


def _side(one: Fields, leg: Leg, *, apart: bool) -> int:
    """Return the channel of an utterance, or the number of its speaker where the recording has one channel."""
    if apart:
        return round(number(one.get("channel"), "channel"))
    if leg.channel is not None:
        return leg.channel
    if one.get("speaker") is None:
        raise UnreadableError("missing_field", "one channel and no speakers: whose speech it is is not known")
    return round(number(one["speaker"], "speaker"))


def _runs(reading: Reading, channels: Sequence[Json], apart: bool) -> Iterator[tuple[str, Json]]:
    """Yield utterances made of the words of each channel, cut where a pause is long or the speaker another."""
    for number_, channel in enumerate(channels):
        runs: list[list[Fields]] = []
        best: Fields = {}
        with reading.part(f"channel {number_}"):
            best = _best(fields(channel, "channels"))
            runs = _cut([fields(word, "words") for word in items(best, "words")])
        yield from ((f"channel {number_}, {len(run)} words", _joined(number_, run, apart=apart)) for run in runs)
        if not runs and text(best, "transcript").strip():
            error = UnreadableError("missing_field", "words are missing: when it was said is not known")
            reading.refuse(error, f"channel {number_}")


def _cut(words: Sequence[Fields]) -> list[list[Fields]]:
    """Return words in runs, cut where a pause is long or the speaker another. Raises UnreadableError."""
    runs: list[list[Fields]] = []
    for word in words:
        if runs and not _is_apart(runs[-1][-1], word):
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def _is_apart(last: Fields, one: Fields) -> bool:
    pause = seconds(one.get("start"), "words.start") - seconds(last.get("end"), "words.end")
    return pause >= PAUSE_MS or last.get("speaker") != one.get("speaker")


def _joined(channel: int, run: Sequence[Fields], *, apart: bool) -> Fields:
    sure = [found for word in run if (found := share(word.get("confidence"))) is not None]
    return {
        "channel": channel,
        **({} if apart or run[0].get("speaker") is None else {"speaker": run[0]["speaker"]}),
        "start": first(run[0], "start"),
        "end": first(run[-1], "end"),
        "transcript": " ".join(str(first(word, "punctuated_word", "word") or "") for word in run),
        "words": list(run),
        "confidence": sum(sure) / len(sure) if sure else None,
    }


def _end(reading: Reading, speech: Speech, leg: Leg, asked: Asked, apart: bool | None) -> None:
    """Take the end. Deepgram leaves out "um" and "uh" unless they are requested."""
    reading.end(
        speech,
        leg,
        capabilities_of(
            asked.own,
            word_times=True,
            fillers=False,
            channels_apart=UNSET if apart is None else bool(apart) and not leg.guessed,
            fine_times=True,
        ),
    )

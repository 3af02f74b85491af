"""Utterances of a recogniser become events of the contract: in time, within the limits, with permanent ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from streams.contract.events import LONGEST_MS, Capabilities, Event, Role, SpeechEnded, SpeechUtterance, SpokenWord
from streams.sources.frame import UnreadableError
from streams.sources.transcripts.leg import Leg
from streams.sources.transcripts.settings import Recogniser

MOST_REVISIONS: Final = 1_000_000
_MOST_CHARACTERS: Final = 16_384
_MOST_WORDS: Final = 4_096
_LONGEST_WORD: Final = 256
# Of the 64 KiB of a record, names and ids take at most 6 KiB.
_MOST_BYTES: Final = 57 * 1024
_LONGEST_KEY: Final = 100


class Word(Struct, frozen=True):
    """A word and its times, counted like the recogniser's."""

    text: str
    start_ms: int
    end_ms: int


class Said(Struct, frozen=True, kw_only=True):
    """An utterance in the recogniser's form. `key` is its permanent name within the leg."""

    key: str
    role: Role
    start_ms: int
    end_ms: int
    text: str
    words: Sequence[Word] = ()
    final: bool = True
    revision: int = 0
    language: str | None = None
    confidence: float | None = None


class Speech:
    """Makes the events of one leg. `received_at_ms` dates them; None: each is dated by its own end."""

    def __init__(self, source: str, leg: Leg, received_at_ms: int | None) -> None:
        self._source = source
        self._leg = leg
        self._received_at_ms = received_at_ms
        of_leg = sha256(f"{leg.call}\x00{leg.manager}".encode()).hexdigest()
        self._prefix = f"{source}:{of_leg[:24]}"
        self._last_ms = 0
        self._keys: dict[str, int] = {}

    def events(self, said: Said) -> list[Event]:
        """Return the events of an utterance: one, or several where it is longer than a record may be.

        Speech before the answer is left out, so there may be none. An utterance that may still change and is too long
        is left out, too: the final one comes.

        Raises:
            UnreadableError: the utterance ends before it begins, or lies a week after the answer.
        """
        if said.end_ms < said.start_ms:
            raise UnreadableError("invalid_time", "the utterance ends before it begins")
        moved = _counted(said, self._leg.offset_ms.get(said.role, 0))
        if moved is None:
            return []
        if moved.end_ms > LONGEST_MS or any(word.end_ms > LONGEST_MS for word in moved.words):
            raise UnreadableError("invalid_time", "the utterance lies more than a week after the answer")
        parts = list(_parts(moved))
        if len(parts) > 1 and not moved.final:
            return []
        self._last_ms = max(self._last_ms, moved.end_ms)
        key = self._key(moved.key)
        return [self._event(part, key if number == 0 else f"{key}.{number}") for number, part in enumerate(parts)]

    def ended(self, capabilities: Capabilities) -> SpeechEnded:
        """Return the end of the transcript."""
        leg = self._leg
        return SpeechEnded(
            v=1,
            id=f"{self._prefix}:ended",
            at=self._at(self._last_ms),
            source=self._source,
            call=leg.call,
            manager=leg.manager,
            lead=leg.lead,
            capabilities=capabilities,
        )

    def begin_document(self) -> None:
        """Begin to count utterances that begin at the same time anew: the same document twice is a repeat."""
        self._keys.clear()

    def numbered(self, key: str) -> str:
        """Return a name for the next utterance of those with the same key: they begin at the same time."""
        count = self._keys[key] = self._keys.get(key, 0) + 1
        return key if count == 1 else f"{key}~{count}"

    def _event(self, part: Said, key: str) -> SpeechUtterance:
        leg = self._leg
        revision = min(max(part.revision, 0), MOST_REVISIONS)
        return SpeechUtterance(
            v=1,
            id=f"{self._prefix}:{key}:{'f' if part.final else 'i'}{revision}",
            at=self._at(part.end_ms),
            source=self._source,
            call=leg.call,
            manager=leg.manager,
            lead=leg.lead,
            utterance=key,
            role=part.role,
            start_ms=part.start_ms,
            end_ms=part.end_ms,
            text=part.text,
            final=part.final,
            words=tuple(SpokenWord(text=one.text, start_ms=one.start_ms, end_ms=one.end_ms) for one in part.words),
            revision=revision,
            language=part.language or leg.language,
            confidence=part.confidence,
        )

    def _at(self, end_ms: int) -> int:
        return self._leg.answered_at + end_ms if self._received_at_ms is None else self._received_at_ms

    @staticmethod
    def _key(key: str) -> str:
        plain = key.isprintable() and key.isascii() and "+" not in key and len(key) <= _LONGEST_KEY
        return key if plain else sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def capabilities_of(
    own: Recogniser,
    *,
    word_times: bool | UnsetType = UNSET,
    punctuation: bool | UnsetType = UNSET,
    fillers: bool | UnsetType = UNSET,
    channels_apart: bool | UnsetType = UNSET,
    fine_times: bool | UnsetType = UNSET,
) -> Capabilities:
    """Return the capabilities of a recogniser; the settings have its configuration."""
    return Capabilities(
        word_times=word_times,
        punctuation=punctuation,
        fillers=fillers if own.fillers == "usual" else own.fillers == "kept",
        channels_apart=channels_apart,
        fine_times=fine_times,
    )


def _counted(said: Said, offset_ms: int) -> Said | None:
    """Return an utterance as counted from the answer, or None if it was over by then.

    A word that ends before it begins gets no length. Where the tokens of the text are as many as the words, the words
    are written as in the text.
    """
    words = [word for word in said.words if word.text.strip()]
    text = " ".join((said.text or " ".join(word.text for word in words)).split())
    tokens = text.split(" ") if text else []
    start, end = said.start_ms + offset_ms, said.end_ms + offset_ms
    if start < 0 and end <= 0 and text:
        return None
    if len(tokens) == len(words):
        words = [Word(token, word.start_ms, word.end_ms) for token, word in zip(tokens, words, strict=True)]
    moved = [Word(one.text.strip(), one.start_ms + offset_ms, one.end_ms + offset_ms) for one in words]
    heard = [one for one in moved if one.start_ms >= 0 or one.end_ms > 0]
    if len(heard) < len(moved):
        text = " ".join(one.text for one in heard)
        if not text:
            return None
    fitted = [Word(one.text, max(one.start_ms, 0), max(one.start_ms, one.end_ms, 0)) for one in (heard if text else ())]
    start = max(start, 0)
    # An utterance without text is no speech: it withdraws earlier speech.
    end = max(end, start) if text else start
    return msgspec.structs.replace(said, start_ms=start, end_ms=end, text=text, words=fitted)


def _parts(said: Said) -> Iterator[Said]:
    """Yield an utterance in parts that a record can hold, cut between words."""
    if _fits(said):
        yield said
        return
    timed = bool(said.words)
    group: list[Word] = []
    size = characters = 0
    groups: list[list[Word]] = []
    for word in _cut(said.words if timed else _shared(said)):
        length = len(msgspec.json.encode(word.text)) + (_size(word) if timed else 1)
        if group and (
            size + length > _MOST_BYTES
            or characters + len(word.text) + 1 > _MOST_CHARACTERS
            or len(group) == _MOST_WORDS
        ):
            groups.append(group)
            group, size, characters = [], 0, 0
        group.append(word)
        size += length
        characters += len(word.text) + 1
    groups.append(group)
    for number, words in enumerate(groups):
        start = said.start_ms if number == 0 else words[0].start_ms
        end = said.end_ms if number == len(groups) - 1 else words[-1].end_ms
        yield msgspec.structs.replace(
            said,
            start_ms=start,
            end_ms=max(start, end),
            text=" ".join(word.text for word in words),
            words=words if timed else (),
        )


def _fits(said: Said) -> bool:
    if len(said.text) > _MOST_CHARACTERS or len(said.words) > _MOST_WORDS:
        return False
    if any(len(word.text) > _LONGEST_WORD for word in said.words):
        return False
    return len(msgspec.json.encode(said.text)) + sum(map(_size, said.words)) <= _MOST_BYTES


def _size(word: Word) -> int:
    return len(msgspec.json.encode(word)) + 1


def _shared(said: Said) -> Iterator[Word]:
    """Yield the tokens of a text without times; each gets its share of the utterance's time."""
    span, whole, done = said.end_ms - said.start_ms, len(said.text) + 1, 0
    for token in said.text.split(" "):
        begin, done = done, done + len(token) + 1
        yield Word(token, said.start_ms + span * begin // whole, said.start_ms + span * done // whole)


def _cut(words: Sequence[Word] | Iterator[Word]) -> Iterator[Word]:
    """Yield words, those that are too long in pieces."""
    for word in words:
        length = len(word.text)
        for begin in range(0, length, _LONGEST_WORD):
            end = min(begin + _LONGEST_WORD, length)
            span = word.end_ms - word.start_ms
            yield Word(
                word.text[begin:end], word.start_ms + span * begin // length, word.start_ms + span * end // length
            )

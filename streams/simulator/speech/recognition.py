"""A simulated recogniser: the events of a talk's transcript, with errors and ways of delivery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from streams.contract.events import Capabilities, SpeechEnded, SpeechEvents, SpeechUtterance, SpokenWord
from streams.simulator.rng import SeededRandom
from streams.simulator.speech.talks import Said, Talk, Word
from streams.simulator.telephony.legs import SimulatedLeg
from streams.units import SECOND_MS

_SOURCE: Final = "recogniser"
_LATENCY_MS: Final = (300, 900)
_REFINED_MS: Final = (1_000, 3_000)
_ENDED_MS: Final = (4_000, 6_000)  # after the last utterance and its revision
_AFTERWARDS_MS: Final = (10_000, 40_000)
_AGAIN_MS: Final = (100, 30_000)
_MARKS: Final = '«»"“”.,!?:;…'


class Recognition(Struct, frozen=True, kw_only=True):
    """The quality and the form of recognition. Shares from 0 to 1.

    `dropped` and `replaced` are of the words. `crumbled` utterances come in two pieces, `interims` are preceded by one
    that is not final, `revised` finals are replaced by a later revision. `late` events come up to `late_ms` later,
    `repeated` ones twice. `afterwards` is the share of legs whose transcript comes after their end, `word_times` and
    `punctuation` the share of legs whose recogniser gives them. Raises ValueError for a value that is no share.
    """

    dropped: float = 0.02
    replaced: float = 0.03
    crumbled: float = 0.15
    interims: float = 0.3
    revised: float = 0.1
    late: float = 0.02
    late_ms: int = 60 * SECOND_MS
    repeated: float = 0.02
    afterwards: float = 0.2
    word_times: float = 0.5
    punctuation: float = 0.6

    def __post_init__(self) -> None:
        """Refuse values that are no shares."""
        for name in self.__struct_fields__:
            if name != "late_ms" and not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, from 0 to 1; not {getattr(self, name)}")
        if self.late_ms < 1:
            raise ValueError(f"late_ms is above 0; not {self.late_ms}")

    @classmethod
    def none(cls) -> Recognition:
        """Return recognition without errors: each utterance once, as it was said, with the times of its words."""
        return cls(
            dropped=0,
            replaced=0,
            crumbled=0,
            interims=0,
            revised=0,
            late=0,
            repeated=0,
            afterwards=0,
            word_times=1,
            punctuation=1,
        )


class Due(NamedTuple):
    """An event, and its moment of arrival."""

    due_ms: int
    event: SpeechEvents


def transcript(
    rng: SeededRandom, recognition: Recognition, replacements: Sequence[str], leg: SimulatedLeg, talk: Talk
) -> Iterator[Due]:
    """Yield the events of the transcript of a leg, its end last, except for late or repeated events."""
    recogniser = _Recogniser(rng, recognition, replacements, leg, talk.language)
    for said in talk.said:
        yield from recogniser.utterance(said)
    yield from recogniser.ended()


class _Recogniser:
    """Recognises one leg. It has word times and punctuation throughout, or not at all."""

    def __init__(
        self,
        rng: SeededRandom,
        recognition: Recognition,
        replacements: Sequence[str],
        leg: SimulatedLeg,
        language: str,
    ) -> None:
        self._rng = rng
        self._r = recognition
        self._replacements = replacements
        self._leg = leg
        self._language = language
        self._answered_at = leg.answered_at or leg.started_at
        self._ended_at = self._answered_at + leg.talk_ms
        self._timed = rng.happens(recognition.word_times)
        self._punctuated = rng.happens(recognition.punctuation)
        self._afterwards = rng.happens(recognition.afterwards)

    def utterance(self, said: Said) -> Iterator[Due]:
        rng, r = self._rng, self._r
        words = self._heard(said.words)
        pieces = [(said.name, words)]
        if len(words) > 3 and rng.happens(r.crumbled):  # noqa: PLR2004 - a piece has two words or more
            cut = rng.between(2, len(words) - 2)
            pieces = [(f"{said.name}.1", words[:cut]), (f"{said.name}.2", words[cut:])]
        for name, piece in pieces:
            revision = 0
            if len(piece) > 2 and not self._afterwards and rng.happens(r.interims):  # noqa: PLR2004 - a part and a rest
                yield from self._send(said, name, piece[: len(piece) // 2], revision, final=False)
                revision += 1
            if rng.happens(r.revised):
                yield from self._send(said, name, self._confused(piece), revision)
                yield from self._send(said, name, piece, revision + 1, later_ms=rng.between(*_REFINED_MS))
            else:
                yield from self._send(said, name, piece, revision)

    def ended(self) -> Iterator[Due]:
        at = self._ended_at + self._rng.between(*_ENDED_MS)
        if self._afterwards:
            at += _AFTERWARDS_MS[1]
        event = SpeechEnded(
            v=1,
            id=f"{self._leg.call}-{self._leg.manager}-speech-ended",
            at=at,
            source=_SOURCE,
            call=self._leg.call,
            manager=self._leg.manager,
            lead=self._leg.lead,
            capabilities=Capabilities(
                word_times=self._timed,
                punctuation=self._punctuated,
                fillers=True,
                channels_apart=True,
                fine_times=True,
            ),
        )
        yield from self._deliver(event)

    def _send(
        self, said: Said, name: str, words: Sequence[Word], revision: int, *, final: bool = True, later_ms: int = 0
    ) -> Iterator[Due]:
        start_ms, end_ms = words[0].start_ms, words[-1].end_ms
        at = self._answered_at + end_ms + self._rng.between(*_LATENCY_MS) + later_ms
        if self._afterwards:
            at = self._ended_at + self._rng.between(*_AFTERWARDS_MS)
        event = SpeechUtterance(
            v=1,
            id=f"{self._leg.call}-{self._leg.manager}-{name}-{revision}",
            at=at,
            source=_SOURCE,
            call=self._leg.call,
            manager=self._leg.manager,
            lead=self._leg.lead,
            utterance=name,
            role=said.role,
            start_ms=start_ms,
            end_ms=end_ms,
            text=" ".join(word.text for word in words),
            final=final,
            words=tuple(SpokenWord(text=word.text, start_ms=word.start_ms, end_ms=word.end_ms) for word in words)
            if self._timed
            else (),
            revision=revision,
            language=self._language,
        )
        yield from self._deliver(event)

    def _deliver(self, event: SpeechEvents) -> Iterator[Due]:
        rng, r = self._rng, self._r
        due = event.at + (rng.between(1, r.late_ms) if rng.happens(r.late) else 1)
        yield Due(due, event)
        if rng.happens(r.repeated):
            yield Due(due + rng.between(*_AGAIN_MS), event)

    def _heard(self, words: Sequence[Word]) -> list[Word]:
        """Return the words with errors; at least one remains."""
        rng, r = self._rng, self._r
        heard = [word for word in words if not rng.happens(r.dropped)] or list(words[:1])
        heard = [self._replaced(word) if rng.happens(r.replaced) else word for word in heard]
        return heard if self._punctuated else [Word(_bare(word.text), word.start_ms, word.end_ms) for word in heard]

    def _confused(self, words: Sequence[Word]) -> list[Word]:
        place = self._rng.between(0, len(words) - 1)
        return [*words[:place], self._replaced(words[place]), *words[place + 1 :]]

    def _replaced(self, word: Word) -> Word:
        return Word(self._rng.choice(self._replacements), word.start_ms, word.end_ms)


def _bare(text: str) -> str:
    return text.strip(_MARKS).lower() or text

"""The transcripts of a department: the legs that have one, the languages of the speakers, and the labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from streams.contract.events import SpeechEvents
from streams.simulator.rng import SeededRandom
from streams.simulator.speech.dialogue import SHORTEST_MS, Habits, talk
from streams.simulator.speech.lines import Lines
from streams.simulator.speech.lines_en import EN
from streams.simulator.speech.lines_ru import RU
from streams.simulator.speech.recognition import Recognition, transcript
from streams.simulator.speech.talks import Talk
from streams.simulator.telephony.legs import SimulatedLeg

LANGUAGES: Final = (RU, EN)


class Transcribed(Struct, frozen=True):
    """A leg with a transcript, and its true talk."""

    call: str
    manager: str
    answered_at: int
    talk: Talk


OnTranscript: TypeAlias = Callable[[Transcribed], None]


class SpeechOptions(Struct, frozen=True, kw_only=True):
    """The selection of the legs with a transcript, and the quality of recognition.

    `share` is the share of the answered legs of at least ten seconds, from 0 to 1; `heard` is called with each of them
    before its first event is yielded. Raises ValueError for a value that is no share.
    """

    share: float = 1.0
    recognition: Recognition = Recognition()
    heard: OnTranscript | None = None

    def __post_init__(self) -> None:
        """Refuse a value that is no share."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is a share, from 0 to 1; not {self.share}")


class Post(Protocol):
    """Takes the events of transcripts."""

    def speech(self, event: SpeechEvents, due_ms: int) -> None:
        """Send an event of a transcript; it arrives at `due_ms`."""


class Speakers:
    """Makes the transcripts of answered legs. Each leg has a random generator of its own, so calls do not change."""

    def __init__(self, seed: int, options: SpeechOptions, post: Post) -> None:
        self._seed = seed
        self._share = options.share
        self._recognition = options.recognition
        self._heard = options.heard
        self._post = post
        self._managers: dict[str, tuple[Lines, Habits]] = {}

    def perhaps(self, leg: SimulatedLeg) -> None:
        """Send the transcript of a leg that has ended, if it has one."""
        if leg.answered_at is None or leg.disposition != "answered" or leg.talk_ms < SHORTEST_MS:
            return
        rng = SeededRandom(self._seed, "speech", leg.call, leg.manager)
        if not rng.happens(self._share):
            return
        lines, habits = self._managers.get(leg.manager) or self._manager(leg.manager)
        said = talk(rng, lines, habits, leg.talk_ms)
        if self._heard is not None:
            self._heard(Transcribed(leg.call, leg.manager, leg.answered_at, said))
        for due_ms, event in transcript(rng, self._recognition, lines.words, leg, said):
            self._post.speech(event, due_ms)

    def _manager(self, manager: str) -> tuple[Lines, Habits]:
        rng = SeededRandom(self._seed, "habits", manager)
        found = rng.choice(LANGUAGES), Habits.draw(rng)
        self._managers[manager] = found
        return found

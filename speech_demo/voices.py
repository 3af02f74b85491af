"""Text to voice: two recordings of a call on one clock, at 8 kHz as in a telephone network."""

from __future__ import annotations

import subprocess
import wave
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Final

from speech_demo.talks import Talk, Turn
from streams.contract.events import Role

RATE: Final = 8_000
PROGRAMS: Final[Mapping[str, str]] = MappingProxyType({"en": "espeak-ng", "ru": "text2wave"})
_VOICES: Final[Mapping[Role, str]] = MappingProxyType({"manager": "en-us+m3", "customer": "en-us+f2"})
_BEGIN_MS: Final = 400


def speak(language: str, talk: Talk, paths: Mapping[Role, Path]) -> dict[Role, list[tuple[int, int]]]:
    """Write what each side says into its file. Both files begin with the call and are equally long.

    Return when each side speaks, in milliseconds: the turns with the pauses that the voices make at their ends.

    Raises:
        OSError: the program that speaks is missing, or a file cannot be written.
        subprocess.CalledProcessError: it fails.
    """
    turns: dict[Role, list[tuple[int, int]]] = {role: [] for role in paths}
    tracks: dict[Role, array[int]] = {role: array("h") for role in paths}
    at = _samples(_BEGIN_MS)
    with TemporaryDirectory(prefix="callpulse-voices-") as folder:
        for number, turn in enumerate(talk.turns):
            begin = max(at + (_samples(turn.after_ms) if number else 0), len(tracks[turn.role]))
            track = tracks[turn.role]
            track.extend([0] * (begin - len(track)))
            track.extend(_spoken(language, turn, Path(folder) / f"{number}.wav"))
            at = len(track)
            turns[turn.role].append((begin * 1_000 // RATE, at * 1_000 // RATE))
    longest = max(map(len, tracks.values())) + _samples(_BEGIN_MS)
    for role, track in tracks.items():
        track.extend([0] * (longest - len(track)))
        with wave.open(str(paths[role]), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(track.tobytes())
    return turns


def _samples(span_ms: int) -> int:
    return span_ms * RATE // 1_000


def _spoken(language: str, turn: Turn, path: Path) -> array[int]:
    """Return the samples of a turn."""
    if language == "en":
        command = ["espeak-ng", "-v", _VOICES[turn.role], "-s", "150", "-w", str(path), "--stdin"]
        data = turn.text.encode()
    else:
        voice = "(voice_msu_ru_nsh_clunits)"
        command = ["text2wave", "-eval", voice, "-F", str(RATE), "-o", str(path)]
        data = turn.text.encode()
    subprocess.run(command, input=data, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with wave.open(str(path), "rb") as file:
        rate = file.getframerate()
        samples = array("h", file.readframes(file.getnframes()))
    return samples if rate == RATE else _resampled(samples, rate)


def _resampled(samples: Sequence[int], rate: int) -> array[int]:
    """Return samples at 8 kHz: each is the mean of those that it stands for."""
    found = array("h")
    for number in range(len(samples) * RATE // rate):
        begin, end = number * rate // RATE, (number + 1) * rate // RATE
        part = samples[begin:end]
        found.append(sum(part) // len(part))
    return found

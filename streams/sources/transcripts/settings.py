"""The settings of transcripts: the table `[sources.transcripts]`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from streams.settings.access import Access
from streams.settings.fields import Span
from streams.units import HOUR_MS

NAME: Final = "transcripts"


class Recogniser(Struct, frozen=True, kw_only=True):
    """What the transcripts of a recogniser do not say.

    - `manager_channel`: the channel of the manager in a recording with two.
    - `language`: a tag of BCP 47, where the transcript names none.
    - `manager_delay`, `customer_delay`: how much later the side's channel begins than the recording.
    - `fillers`: "kept" where the recogniser was asked to write sounds and fillers as they are said, "dropped" where it
      leaves them out; "usual" is what it does without being asked.
    """

    manager_channel: Literal[0, 1] = 0
    language: Annotated[str, Meta(max_length=35)] = ""
    manager_delay_ms: Annotated[Span, Meta(ge=0, le=HOUR_MS)] = 0
    customer_delay_ms: Annotated[Span, Meta(ge=0, le=HOUR_MS)] = 0
    fillers: Literal["usual", "kept", "dropped"] = "usual"


class TranscriptsSettings(Access, frozen=True, kw_only=True):
    """Who may post transcripts to `/hooks/transcripts/TOKEN/FORMAT`, and a table for each format."""

    bitrix24: Recogniser = Recogniser()
    contact_lens: Recogniser = Recogniser()
    deepgram: Recogniser = Recogniser()
    whisper: Recogniser = Recogniser()
    yandex: Recogniser = Recogniser()

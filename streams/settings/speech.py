"""The section `[speech]`: reading of transcripts, and the limits of the definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from streams.settings.fields import Number, Span, Text
from streams.settings.reader import Conflict


class Speech(Struct, frozen=True, kw_only=True):
    """Reading of transcripts, the lexicons, and the limits of the definitions. Spans in milliseconds.

    `lexicons` are files that extend the shipped ones or replace parts of them.
    """

    enabled: bool = True
    lexicons: tuple[Text, ...] = ()
    grace_ms: Annotated[Span, Meta(ge=1_000)] = 300_000
    word_gap_ms: Annotated[Span, Meta(ge=0, le=10_000)] = 500
    longest_word_ms: Annotated[Span, Meta(ge=100, le=60_000)] = 2_000
    silence_ms: Annotated[Span, Meta(ge=100)] = 2_000
    overlap_ms: Annotated[Span, Meta(ge=0, le=60_000)] = 500
    monologue_pause_ms: Annotated[Span, Meta(ge=0)] = 3_000
    plausible_overlap_ms: Annotated[Span, Meta(ge=0)] = 2_000
    plausible_overlap_share: Annotated[Number, Meta(ge=0, le=1)] = 0.25
    back_channel_words: Annotated[int, Meta(ge=0, le=20)] = 3
    long_turn_ms: Annotated[Span, Meta(ge=1_000)] = 90_000
    flag_fillers: Annotated[int, Meta(ge=1, le=1_000)] = 3
    flag_monologue_ms: Annotated[Span, Meta(ge=1_000)] = 120_000
    flag_interruptions: Annotated[int, Meta(ge=1, le=1_000)] = 3
    min_calls: Annotated[int, Meta(ge=1, le=10_000)] = 10

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields."""
        if self.monologue_pause_ms < self.word_gap_ms:
            yield (
                ("monologue_pause_ms", "word_gap_ms"),
                "must be at least word_gap: a pause that ends a monologue cannot be inside a stretch of speech",
            )

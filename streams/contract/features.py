"""Facts about transcripts: a leg for its transcript, and the features of a transcript for its manager.

A leg's end travels in topic `speech`, behind and between the utterances of the leg, so that one topic decides in which
order a transcript's row changes. The row sends the features of the call to topic `features`. They hold numbers, moments
and names of the lexicon, and no words of a speaker; figures of 90 days can be computed again from them, although text
is kept for a week only.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from streams.contract.events import Direction
from streams.contract.facts import VERSION

HEADER: Final = "callpulse-leg"
"""The header of a record of topic `speech` that callpulse wrote: about a leg, or to forget one."""

Evidence: TypeAlias = tuple[str, str, int]
"""(flag, the phrase of the lexicon that raised it or "", moment in ms from the answer)."""


class SpokenLeg(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="fact", tag="leg"):
    """An answered leg that is over, for its transcript. With `withdrawn` it takes back the same fact without it."""

    src: str
    seq: int
    manager: str
    call: str
    day: int  # the manager's local day in which the leg ended, days since 1970-01-01
    at: int  # when the leg ended, ms
    direction: Direction
    kind: str  # cold, targeted, inbound, repeat, unknown
    lead: str | None = None
    conversation: bool = False
    talk_ms: int = 0
    withdrawn: bool = False
    v: int = VERSION


class ForgottenCall(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="fact", tag="forgotten"):
    """For a transcript: its row loses all its contents. Their contributions to the manager's figures stay."""

    manager: str
    call: str
    v: int = VERSION


class Sides(Struct, frozen=True, array_like=True, gc=False):
    """A number for each side of a call."""

    manager: int
    customer: int


class CallFeatures(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The features of a call. None: the source cannot give it. Spans and moments in ms, moments from the answer.

    `span` is the time from the first speech to the last one; `talk` the speech of each side; `words` its words; `story`
    the customer's longest monologue; `patience` the median pause before the manager's replies.
    `interruptions` are those by each side, `back_channels` those of both. `questions` counts the manager's by type.
    `stages` are in the order in which they began. `objections` are (kind, moment, whether a reaction followed).
    `next_step` is (whether it was agreed, moment). `evidence` has what raised the flags of the call. `swapped`: the
    sides look swapped, and all the other fields are those of the other person then.
    """

    utterances: int
    span: int = 0
    talk: Sides | None = None
    words: Sides | None = None
    monologue: int | None = None
    monologue_at: int = 0
    story: int | None = None
    patience: int | None = None
    interruptions: Sides | None = None
    back_channels: int | None = None
    silence: int | None = None
    overlap: int | None = None
    fillers: dict[str, int] = {}
    questions: dict[str, int] | None = None
    clarifying: int | None = None
    stages: tuple[tuple[str, int], ...] = ()
    objections: tuple[tuple[str, int, bool], ...] = ()
    next_step: tuple[bool, int] | None = None
    arguments: int = 0
    promises: int = 0
    flags: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    swapped: bool = False


class HeardCall(Struct, frozen=True, array_like=True, gc=False):
    """A leg and the features of its transcript: the contribution of one call to the figures of its manager.

    `day` is the manager's local day in which the leg ended, `at` the moment. `talk_ms` is its talk by the telephone
    system.
    """

    day: int
    at: int
    direction: Direction
    kind: str
    conversation: bool
    talk_ms: int
    features: CallFeatures


class Features(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="fact", tag="features"):
    """The features of a call as they are `now`, and as the fact of this call before this one had them (`before`).

    The first fact of a call has no `before`; one of a leg that was withdrawn has no `now`. A reader subtracts `before`
    and adds `now`. `lexicon` is the version of the lexicon that found the phrases.
    """

    src: str
    seq: int
    manager: str
    call: str
    lexicon: str
    lead: str | None = None
    now: HeardCall | None = None
    before: HeardCall | None = None
    v: int = VERSION


spoken_decoder: Final = msgspec.json.Decoder(SpokenLeg | ForgottenCall)
"""Decodes the records of topic `speech` that have the header `HEADER`."""
features_decoder: Final = msgspec.json.Decoder(Features)

"""Flags: parts of a call that may be worth a training. A flag is no verdict; its evidence is a moment to listen to.

A flag that the source cannot give evidence for is not set. Their limits are settings, not a vendor's benchmark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streams.contract.features import CallFeatures
from streams.settings.speech import Speech

FILLERS: Final = "fillers"
NO_CLARIFYING: Final = "no_clarifying_question"
MONOLOGUE: Final = "monologue"
INTERRUPTIONS: Final = "interruptions"
OBJECTION: Final = "objection_unmet"
NO_NEXT_STEP: Final = "no_next_step"
FLAGS: Final = (FILLERS, NO_CLARIFYING, MONOLOGUE, INTERRUPTIONS, OBJECTION, NO_NEXT_STEP)
"""All flags, in the order in which they are shown."""


def flags(features: CallFeatures, speech: Speech, *, conversation: bool) -> Iterator[str]:
    """Yield the flags of a call, in the order of `FLAGS`. `conversation`: the leg lasted long enough to be one."""
    if any(count >= speech.flag_fillers for count in features.fillers.values()):
        yield FILLERS
    if conversation and features.clarifying == 0:
        yield NO_CLARIFYING
    if features.monologue is not None and features.monologue >= speech.flag_monologue_ms:
        yield MONOLOGUE
    if features.interruptions is not None and features.interruptions.manager >= speech.flag_interruptions:
        yield INTERRUPTIONS
    if any(not met for _, _, met in features.objections):
        yield OBJECTION
    if conversation and features.next_step is None:
        yield NO_NEXT_STEP

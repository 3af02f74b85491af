"""Sides that look swapped: the manager's channel taken for the customer's, and the other way round.

A swapped transcript gives plausible figures, but all of them are the other person's. The phrases of each side reveal
it: managers introduce themselves, ask and offer, and customers object. So the first minute of a call is also read as if
the sides were swapped, and the reading with more findings is the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.speech.marks import HitKind, UtteranceMarks
from streams.units import MINUTE_MS

LOOKED_AT_MS: Final = MINUTE_MS
"""Utterances that begin later in the call are read once: a further minute takes time and adds little evidence."""
TELLING: Final[frozenset[HitKind]] = frozenset({"stage", "objection"})
"""The kinds of phrases that are typical of one side."""
MARGIN: Final = 2
"""The fewest additional findings of the other reading in a swapped call. Of the labelled calls no other reaches it."""


def look_swapped(utterances: Mapping[str, UtteranceMarks]) -> bool:
    """Return whether a call's sides look swapped. False also for a call with too little speech to decide."""
    named = other = 0
    for marks in utterances.values():
        if marks.final and marks.start_ms < LOOKED_AT_MS:
            named += sum([hit.kind in TELLING for hit in marks.hits])
            other += marks.as_other
    return other - named >= MARGIN

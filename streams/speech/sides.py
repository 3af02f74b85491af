"""Sides that look swapped: the manager's channel taken for the customer's, and the other way round.

A swapped transcript gives figures like any other, and all of them are the other person's. From outside it can be told
by who says what: managers introduce themselves, ask and offer, and customers object. So the first minute of a call is
also read as if the sides were swapped, and the reading that finds more is the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.speech.marks import HitKind, UtteranceMarks
from streams.units import MINUTE_MS

LOOKED_AT_MS: Final = MINUTE_MS
"""Utterances that begin later in the call are read once: each further minute would cost time and tell little."""
TELLING: Final[frozenset[HitKind]] = frozenset({"stage", "objection"})
"""What one side says and not the other."""
MARGIN: Final = 2
"""The other reading must find so many more. Of the labelled calls none is so without being swapped."""


def look_swapped(utterances: Mapping[str, UtteranceMarks]) -> bool:
    """Return whether a call's sides look swapped. False also where too little was said to tell."""
    named = other = 0
    for marks in utterances.values():
        if marks.final and marks.start_ms < LOOKED_AT_MS:
            named += sum([hit.kind in TELLING for hit in marks.hits])
            other += marks.as_other
    return other - named >= MARGIN

"""What several utterances of a call say together, from their marks alone."""

from __future__ import annotations

from collections.abc import Mapping

from streams.speech.marks import Hit, UtteranceMarks


def heard(utterances: Mapping[str, UtteranceMarks]) -> dict[str, list[Hit]]:
    """Return the hits of each utterance that count, now that the end of the call is known."""
    last = max((marks.end_ms for marks in utterances.values()), default=0)
    return {
        name: [hit for hit in marks.hits if not hit.end_span_ms or hit.at_ms >= last - hit.end_span_ms]
        for name, marks in utterances.items()
    }

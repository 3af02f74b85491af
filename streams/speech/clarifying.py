"""Clarifying questions in their context: those that make precise, or confirm, what the other side said in this call.

A question clarifies if its own words say so (`Question.clarifying`), or if it follows up: it stands in a short
utterance, the first behind a longer turn of the other side. No earlier words are kept, so whether it takes up a word of
the other side is not known; a first question on a new topic behind a longer turn counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.contract.events import Role
from streams.speech.marks import UtteranceMarks

STORY_WORDS: Final = 8
"""Words of the other side's turn from which there is something to follow up."""
FOLLOW_UP_WORDS: Final = 16
"""A longer utterance with a question tells something of its own first, and opens a topic."""
BRIEF_WORDS: Final = 3
"""An utterance of so many words without a question, such as an acknowledgement, lets the other side's turn go on."""


def clarifying(utterances: Mapping[str, UtteranceMarks], role: Role) -> dict[str, tuple[bool, ...]]:
    """Return, for each utterance of `role` that asks, which of its questions clarify, in their order."""
    found: dict[str, tuple[bool, ...]] = {}
    story = 0
    own = True
    for name, marks in sorted(utterances.items(), key=_by_time):
        if marks.role != role:
            if not marks.back_channel:
                story = marks.words if own else story + marks.words
                own = False
            continue
        if not marks.questions:
            if marks.words > BRIEF_WORDS and not marks.back_channel:
                story, own = 0, True
            continue
        follows_up = story >= STORY_WORDS and marks.words <= FOLLOW_UP_WORDS
        found[name] = tuple(
            [question.type != "rhetorical" and (question.clarifying or follows_up) for question in marks.questions]
        )
        story, own = 0, True
    return found


def _by_time(item: tuple[str, UtteranceMarks]) -> tuple[int, int, str]:
    name, marks = item
    return marks.start_ms, marks.end_ms, name

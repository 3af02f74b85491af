"""Clarifying questions in their context: those that specify or confirm a statement of the other side in this call.

A question clarifies by its own words (`Question.clarifying`), or as a follow-up: it is in a short utterance, the first
after a longer turn of the other side. No earlier words are kept, so a repeated word of the other side is not
recognised. A first question on a new topic after a longer turn counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.contract.events import Role
from streams.speech.marks import UtteranceMarks

STORY_WORDS: Final = 8
"""The fewest words of the other side's turn that a question can follow up."""
FOLLOW_UP_WORDS: Final = 16
"""The most words of a follow-up question's utterance. A longer one tells something first, and opens a topic."""
BRIEF_WORDS: Final = 3
"""The most words of an utterance without a question, such as an acknowledgement, inside the other side's turn."""


def clarifying(utterances: Mapping[str, UtteranceMarks], role: Role) -> dict[str, tuple[bool, ...]]:
    """Return, for each utterance of `role` with questions, whether each question clarifies, in their order."""
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

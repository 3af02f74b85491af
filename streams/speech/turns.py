"""An utterance that takes a turn, in the form of the rules of a conversation."""

from __future__ import annotations

from collections.abc import Sequence

from streams.speech.marks import Hit, UtteranceMarks


class Said:
    """An utterance with the groups that were heard in it, by kind; each group with the moment of its first hit."""

    __slots__ = ("groups", "marks", "name", "number")

    def __init__(self, number: int, name: str, marks: UtteranceMarks, hits: Sequence[Hit]) -> None:
        self.number = number
        self.name = name
        self.marks = marks
        self.groups: dict[str, dict[str, int]] = {}
        for hit in hits:
            self.groups.setdefault(hit.kind, {}).setdefault(hit.group, hit.at_ms)

    def of(self, kind: str) -> dict[str, int]:
        """Return the groups of a kind."""
        return self.groups.get(kind, {})

    def steps(self, *groups: str) -> bool:
        """Return whether one of these groups, of next steps or of cues of them, was heard."""
        return any(group in self.of("next_step") or group in self.of("cue") for group in groups)

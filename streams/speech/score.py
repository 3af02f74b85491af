"""The score of a lexicon: marks of labelled dialogues compared with their labels.

The format of a dialogue is that of tests/fixtures/speech/dialogues. An answer that the labels leave open counts neither
as right nor as wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from streams.speech.conversation import Conversation, conversation
from streams.speech.labels import Dialogue, Objected, events
from streams.speech.marks import UtteranceMarks
from streams.speech.reading import Reader
from streams.speech.score_questions import QuestionScore, empty_score, score_questions
from streams.speech.words import Words

NEAR_STEP: Final = 2
"""The greatest distance, in utterances, of a next step from its label."""
NEAR_STAGE: Final = 1
"""The greatest distance, in utterances without back-channels, of the beginning of a stage from its label."""


class Tally(Struct):
    """The numbers of right findings, wrong findings and misses."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def precision(self) -> float | None:
        """Return the precision: the right part of the findings; None without findings."""
        found = self.right + self.wrong
        return self.right / found if found else None

    @property
    def recall(self) -> float | None:
        """Return the recall: the found part of the labels; None without labels."""
        there = self.right + self.missed
        return self.right / there if there else None


class Miss(Struct, frozen=True):
    """A miss or a wrong finding: its place, without text."""

    utterance: str
    part: str
    group: str
    wrong: bool


class Score:
    """The sums over some dialogues. `tallies[part][group]`; the group "" is the total of a part.

    `questions` are those of all dialogues, `unmarked_questions` those of sources without punctuation.
    """

    def __init__(self) -> None:
        self.tallies: dict[str, dict[str, Tally]] = {}
        self.misses: list[Miss] = []
        self.dialogues = 0
        self.questions: QuestionScore = empty_score()
        self.unmarked_questions: QuestionScore = empty_score()

    def right(self, part: str, group: str) -> None:
        """Count a right finding."""
        for tally in self._of(part, group):
            tally.right += 1

    def wrong(self, part: str, group: str, utterance: str) -> None:
        """Count a wrong finding."""
        for tally in self._of(part, group):
            tally.wrong += 1
        self.misses.append(Miss(utterance, part, group, wrong=True))

    def missed(self, part: str, group: str, utterance: str) -> None:
        """Count a miss."""
        for tally in self._of(part, group):
            tally.missed += 1
        self.misses.append(Miss(utterance, part, group, wrong=False))

    def _of(self, part: str, group: str) -> tuple[Tally, ...]:
        groups = self.tallies.setdefault(part, {})
        names = ("", group) if group else ("",)
        return tuple(groups.setdefault(name, Tally()) for name in names)


def score(dialogues: Iterable[Dialogue], reader: Reader) -> Score:
    """Compare the findings with the labels."""
    total = Score()
    for dialogue in dialogues:
        marks = {event.utterance: reader.read(event) for event in events(dialogue)}
        total.dialogues += 1
        _fillers(total, dialogue, marks)
        talk = conversation(marks)
        _objections(total, dialogue, talk)
        _next_step(total, dialogue, talk)
        _stages(total, dialogue, talk)
        _questions(total, dialogue, marks)
    return total


def _fillers(total: Score, dialogue: Dialogue, marks: Mapping[str, UtteranceMarks]) -> None:
    there = {}
    texts = {said.id: Words(said.text) for said in dialogue.utterances}
    for label in dialogue.labels.fillers:
        words = texts[label.utterance]
        token = next(at for at, place in enumerate(words.places) if place.end > label.offset)
        there[label.utterance, words.words_before(token)] = label
    for utterance, mark in marks.items():
        for hit in mark.hits:
            if hit.kind != "filler":
                continue
            part = "fillers" if hit.group in CORE_FILLERS else "extra_fillers"
            said = there.pop((utterance, hit.word), None)
            if said is not None and said.group == hit.group:
                total.right(part, hit.group)
                continue
            total.wrong(part, hit.group, utterance)
            if said is not None:
                total.missed(part, said.group, utterance)
    for label in there.values():
        total.missed("fillers" if label.core else "extra_fillers", label.group, label.utterance)


CORE_FILLERS: Final = frozenset(
    {
        "на самом деле",
        "как бы",
        "так сказать",
        "в принципе",
        "то есть",
        "короче",
        "это самое",
        "типа",
        "ну вот",
        "you know",
        "i mean",
        "sort of",
        "kind of",
        "basically",
        "actually",
        "to be honest",
        "like",
    }
)
"""The groups that are required; the others are scored apart."""


def _objections(total: Score, dialogue: Dialogue, talk: Conversation) -> None:
    labels = dialogue.labels
    there = {label.utterance: label for label in labels.objections}
    vague = labels.next_step.utterance if labels.next_step and not labels.next_step.agreed else ""
    for heard in talk.objections:
        label = there.pop(heard.utterance, None)
        if label is None:
            if heard.utterance != vague:  # a stall at the close may be taken for either
                total.wrong("objections", heard.kind, heard.utterance)
            continue
        total.right("objections", label.kind)
        kinds = {label.kind, *label.also}
        if kinds & {heard.kind, *heard.also}:
            total.right("objection_kinds", label.kind)
        else:
            total.missed("objection_kinds", label.kind, heard.utterance)
            total.wrong("objection_kinds", heard.kind, heard.utterance)
        _reaction(total, label, heard.reaction, heard.utterance)
    for label in there.values():
        total.missed("objections", label.kind, label.utterance)


def _reaction(total: Score, label: Objected, heard: str | None, utterance: str) -> None:
    if label.reaction is None or label.reaction.utterance is None:
        if heard is not None:
            total.wrong("reactions", "", utterance)
    elif heard is not None:
        total.right("reactions", "")
    else:
        total.missed("reactions", "", utterance)


def _next_step(total: Score, dialogue: Dialogue, talk: Conversation) -> None:
    place = {said.id: number for number, said in enumerate(dialogue.utterances)}
    label, heard = dialogue.labels.next_step, talk.next_step
    if heard is None:
        if label is not None:
            total.missed("next_steps", _agreed(label.agreed), label.utterance)
        return
    if label is None:
        total.wrong("next_steps", _agreed(heard.agreed), heard.utterance)
    elif label.agreed == heard.agreed and abs(place[label.utterance] - place[heard.utterance]) <= NEAR_STEP:
        total.right("next_steps", _agreed(label.agreed))
    else:
        total.wrong("next_steps", _agreed(heard.agreed), heard.utterance)
        total.missed("next_steps", _agreed(label.agreed), label.utterance)


def _agreed(agreed: bool) -> str:
    return "agreed" if agreed else "vague"


def _stages(total: Score, dialogue: Dialogue, talk: Conversation) -> None:
    passive = {label.utterance for label in dialogue.labels.back_channels}
    place: dict[str, int] = {}
    number = 0
    for said in dialogue.utterances:
        place[said.id] = number
        number += said.id not in passive
    left = list(dialogue.labels.stages)
    for heard in talk.stages:
        at = place[heard.utterance]
        near = [
            label for label in left if label.stage == heard.stage and abs(place[label.utterance] - at) <= NEAR_STAGE
        ]
        if near:
            left.remove(min(near, key=lambda label: abs(place[label.utterance] - at)))
            total.right("stages", heard.stage)
        else:
            total.wrong("stages", heard.stage, heard.utterance)
    for label in left:
        total.missed("stages", label.stage, label.utterance)


def _questions(total: Score, dialogue: Dialogue, marks: Mapping[str, UtteranceMarks]) -> None:
    labels = dialogue.labels
    found = score_questions(
        {said.id: said.text for said in dialogue.utterances}, labels.questions, labels.not_questions, marks
    )
    total.questions.add(found)
    if not dialogue.source_has_punctuation:
        total.unmarked_questions.add(found)


def percent(part: float | None) -> str:
    """Return a figure for people: two places, or a dash for none."""
    return "-" if part is None else f"{part:.2f}"


def table(total: Score) -> Sequence[tuple[str, str, Tally]]:
    """Return each part and group with its tally, the total of a part first."""
    return [
        (part, group, tally)
        for part, groups in total.tallies.items()
        for group, tally in sorted(groups.items(), key=lambda item: item[0])
    ]

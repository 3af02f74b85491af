"""The features of a call, made of the marks of utterances. Of a transcript, only they are kept for more than a week."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from streams.contract.events import Capabilities
from streams.contract.features import CallFeatures, Evidence, Sides
from streams.settings.speech import Speech
from streams.speech import flags as flagging
from streams.speech.conversation import conversation as conversation_of
from streams.speech.conversation import heard
from streams.speech.marks import Hit, QuestionType, UtteranceMarks
from streams.speech.question_counts import question_counts
from streams.speech.sides import look_swapped
from streams.speech.timing import Timing, timing

MOST_EVIDENCE: Final = 8
"""The most moments of a call that are kept for its flags: a fact is a few hundred bytes."""


def call_features(
    utterances: Mapping[str, UtteranceMarks], speech: Speech, capabilities: Capabilities | None, *, conversation: bool
) -> CallFeatures:
    """Return the features of a call. `conversation`: the leg lasted long enough to be one.

    They depend on the set of utterances alone.
    """
    spoken = {name: marks for name, marks in utterances.items() if marks.words}
    times = timing(spoken, speech, capabilities)
    hits = heard(spoken)
    own = sorted(
        (hit for name, found in hits.items() if spoken[name].role == "manager" for hit in found), key=lambda h: h.at_ms
    )
    fillers = [hit for hit in own if hit.kind == "filler"]
    manager, customer = times.manager, times.customer
    questions = question_counts(spoken, "manager", capabilities)
    talk = conversation_of(spoken)
    features = CallFeatures(
        utterances=len(spoken),
        span=times.span_ms,
        talk=_sides(manager.talk_ms, customer.talk_ms),
        words=Sides(manager.words, customer.words),
        monologue=_length(manager.longest_turn),
        monologue_at=manager.longest_turn[0] if manager.longest_turn else 0,
        story=_length(customer.longest_turn),
        patience=times.patience_ms,
        interruptions=_sides(_count(manager.interruptions), _count(customer.interruptions)),
        back_channels=_sum(manager.back_channels, customer.back_channels),
        silence=times.silence_ms,
        overlap=times.overlap_ms,
        fillers=dict(sorted(Counter(hit.group for hit in fillers).items())),
        questions=None if questions.asked is None else _asked(questions.by_type),
        clarifying=questions.clarifying,
        stages=tuple([(stage.stage, stage.at_ms) for stage in talk.stages]),
        objections=tuple([(one.kind, one.at_ms, one.reaction is not None) for one in talk.objections]),
        next_step=None if talk.next_step is None else (talk.next_step.agreed, talk.next_step.at_ms),
        arguments=sum(hit.kind == "argument" for hit in own),
        promises=sum(hit.kind == "promise" for hit in own),
        swapped=look_swapped(spoken),
    )
    found = tuple(flagging.flags(features, speech, conversation=conversation))
    return replace(features, flags=found, evidence=tuple(_evidence(found, features, fillers, times))[:MOST_EVIDENCE])


def _evidence(found: tuple[str, ...], features: CallFeatures, fillers: list[Hit], times: Timing) -> Iterator[Evidence]:
    """Yield the evidence of the flags: of each, the moments to listen to."""
    for flag in found:
        if flag == flagging.FILLERS:
            often = {group for group, count in features.fillers.items() if count == max(features.fillers.values())}
            yield from ((flag, hit.phrase, hit.at_ms) for hit in fillers if hit.group in often)
        elif flag == flagging.MONOLOGUE:
            yield flag, "", features.monologue_at
        elif flag == flagging.INTERRUPTIONS:
            yield from ((flag, "", at) for at in times.manager.interruptions or ())
        elif flag == flagging.OBJECTION:
            yield from ((flag, kind, at) for kind, at, met in features.objections if not met)


def _asked(by_type: Mapping[QuestionType, int]) -> dict[str, int]:
    """Return the questions that expect an answer, by type; types that did not occur are left out."""
    return {kind: number for kind, number in by_type.items() if number and kind != "rhetorical"}


def _sides(manager: int | None, customer: int | None) -> Sides | None:
    return None if manager is None or customer is None else Sides(manager, customer)


def _length(turn: tuple[int, int] | None) -> int | None:
    return None if turn is None else turn[1] - turn[0]


def _count(moments: tuple[int, ...] | None) -> int | None:
    return None if moments is None else len(moments)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other

"""The contributions of a call's features to its manager's figures: numbers by measure, on the day of the call.

A figure is a quotient of two sums, so that sums of calls, of managers and of days add up. A feature that the source
cannot give adds neither to the numerator nor to the denominator.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from streams.contract.facts import Outcome
from streams.contract.features import CallFeatures, Features, HeardCall, features_decoder
from streams.tables import measures
from streams.tables.measures import labelled

Change: TypeAlias = tuple[str, int, int]
"""(measure, local day, difference)."""

ANY: Final = "any"
"""The label of the calls that have any flag."""
_OPEN: Final = ("open", "wh")


def outcome_of(value: bytes) -> Outcome:
    """Return the changes of a record of topic `features`, in the form of the fold of sums.

    Raises msgspec.MsgspecError.
    """
    fact = features_decoder.decode(value)
    return Outcome(src=fact.src, seq=fact.seq, manager=fact.manager, changes=changes(fact))


def changes(fact: Features) -> tuple[Change, ...]:
    """Return the changes of `fact`: the contributions of `now` minus those of `before`."""
    sums: dict[tuple[str, int], int] = {}
    for heard, sign in ((fact.before, -1), (fact.now, 1)):
        if heard is not None:
            for measure, number in contributions(heard):
                if number:
                    place = measure, heard.day
                    sums[place] = sums.get(place, 0) + sign * number
    return tuple((measure, day, by) for (measure, day), by in sums.items() if by)


def contributions(heard: HeardCall) -> Iterator[tuple[str, int]]:
    """Yield (measure, number) of a call; a measure comes at most once."""
    features, kind = heard.features, heard.kind
    yield measures.HEARD, 1
    yield labelled(measures.HEARD_OF_KIND, kind), 1
    yield labelled(measures.HEARD_TALK_MS, kind), heard.talk_ms
    yield labelled(measures.HEARD_MOVES, kind), max(0, len(features.stages) - 1)
    yield from _speech(features)
    yield from _questions(features)
    yield measures.OBJECTIONS, len(features.objections)
    yield measures.OBJECTIONS_MET, sum(met for _, _, met in features.objections)
    if heard.conversation:
        yield measures.HEARD_CONVERSATIONS, 1
        yield measures.STEPS_HEARD, int(features.next_step is not None and features.next_step[0])
    for flag in features.flags:
        yield labelled(measures.FLAG, flag), 1
    if features.flags:
        yield labelled(measures.FLAG, ANY), 1


def _speech(features: CallFeatures) -> Iterator[tuple[str, int]]:
    talk = features.talk
    if talk is not None:
        yield measures.TALK_MANAGER_MS, talk.manager
        yield measures.TALK_CUSTOMER_MS, talk.customer
        yield measures.FILLERS, sum(features.fillers.values())
        yield measures.FILLERS_TALK_MS, talk.manager
    if features.monologue is not None:
        yield measures.MONOLOGUE_MS, features.monologue
        yield measures.MONOLOGUES, 1
    if features.patience is not None:
        yield measures.PATIENCE_MS, features.patience
        yield measures.PATIENCES, 1
    if features.interruptions is not None:
        yield measures.INTERRUPTIONS, features.interruptions.manager
        yield measures.INTERRUPTIBLE, 1
    if features.silence is not None:
        yield measures.SILENCE_MS, features.silence
        yield measures.SILENCE_SPAN_MS, features.span


def _questions(features: CallFeatures) -> Iterator[tuple[str, int]]:
    questions = features.questions
    if questions is None:
        return
    expected = sum(questions.values())
    yield measures.QUESTIONS, expected
    yield measures.QUESTIONED, 1
    yield measures.OPEN_QUESTIONS, sum(questions.get(kind, 0) for kind in _OPEN)
    if features.clarifying is not None:
        yield measures.CLARIFYING, features.clarifying
        yield measures.CLARIFIABLE, expected

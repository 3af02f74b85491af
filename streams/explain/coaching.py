"""Topics for a training: the flagged calls of a manager, and the habits that are farthest from those of the team.

A manager is compared with the team in calls of the same kind and about the same length, never with a number from
outside the team. A habit is a mean over calls; the team's value comes from all managers with enough calls. Fillers are
style: they are shown, but they are no habit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean, quantiles
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from streams.contract.features import CallFeatures, Evidence, Features, HeardCall
from streams.units import MINUTE_MS

MIN_CALLS: Final = 3
"""The fewest calls of a manager in a cell for which a mean is taken."""
MIN_MANAGERS: Final = 4
"""The fewest managers for whom a quartile is taken."""
PLANNED: Final = 2
SHOWN: Final = 3
_BANDS: Final = ((2 * MINUTE_MS, "under 2 min"), (5 * MINUTE_MS, "2 to 5 min"), (15 * MINUTE_MS, "5 to 15 min"))
_LONGEST: Final = "15 min and longer"

Cell: TypeAlias = tuple[str, str]
"""(kind, band of talk time)."""


class Habit(NamedTuple):
    """A figure of a call. `better` is 1 where more is better, -1 where less is; `of` returns None where unknown."""

    name: str
    better: int
    of: Callable[[CallFeatures], float | None]


def _per_question(features: CallFeatures) -> float | None:
    asked = sum((features.questions or {}).values())
    return None if features.clarifying is None or not asked else features.clarifying / asked


def _talk_share(features: CallFeatures) -> float | None:
    talk = features.talk
    return None if talk is None or not talk.manager + talk.customer else talk.manager / (talk.manager + talk.customer)


def _met(features: CallFeatures) -> float | None:
    objections = features.objections
    return sum(met for _, _, met in objections) / len(objections) if objections else None


HABITS: Final = (
    Habit("questions", 1, lambda f: None if f.questions is None else sum(f.questions.values())),
    Habit("clarifying questions", 1, _per_question),
    Habit("talk share", -1, _talk_share),
    Habit("longest monologue", -1, lambda f: None if f.monologue is None else f.monologue / 1000),
    Habit("patience", 1, lambda f: None if f.patience is None else f.patience / 1000),
    Habit("interruptions", -1, lambda f: None if f.interruptions is None else f.interruptions.manager),
    Habit("reactions to objections", 1, _met),
    Habit("stages", 1, lambda f: max(0, len(f.stages) - 1)),
    Habit("next steps", 1, lambda f: float(f.next_step is not None and f.next_step[0])),
)


class FlaggedCall(Struct, frozen=True):
    """A call with flags: its id, the moment at which it ended (ms), the flags, and the moments to listen to."""

    call: str
    at: int
    kind: str
    talk_ms: int
    flags: tuple[str, ...]
    evidence: tuple[Evidence, ...]


class ToListen(Struct, frozen=True):
    """A call to listen to, and the moment in it (ms from the answer; None: the whole call)."""

    call: str
    at: int
    value: float
    moment: int | None = None


class PlannedHabit(Struct, frozen=True):
    """A habit to train, in calls of a kind and length. `target` is the team's better quartile, `calls` the own calls.

    `gap` is the distance from the target in spreads of the team (the distance between its quartiles). `listen` are the
    own calls that are farthest from the target, `own_best` those that are nearest to it or beyond.
    """

    habit: str
    kind: str
    band: str
    own: float
    target: float
    gap: float
    calls: int
    listen: tuple[ToListen, ...]
    own_best: tuple[ToListen, ...]


class Plan(Struct, frozen=True):
    """The training plan of a manager. `heard` is the number of calls with a transcript on which it is based.

    `swapped` are the calls among them in which the sides look swapped, oldest first. They are no evidence about the
    manager.
    """

    manager: str
    heard: int
    flagged: tuple[FlaggedCall, ...]
    habits: tuple[PlannedHabit, ...]
    swapped: tuple[str, ...] = ()


class CallOf(NamedTuple):
    """A call with a transcript, and its manager."""

    manager: str
    call: str
    heard: HeardCall


def latest(facts: Iterable[Features], since_ms: int = 0) -> list[CallOf]:
    """Return the calls of `facts`, each as its newest fact has it, that ended at `since_ms` or later; oldest first."""
    newest: dict[tuple[str, str], Features] = {}
    for fact in facts:
        place = fact.manager, fact.call
        known = newest.get(place)
        if known is None or fact.seq >= known.seq:
            newest[place] = fact
    calls = [
        CallOf(manager, call, fact.now)
        for (manager, call), fact in newest.items()
        if fact.now is not None and fact.now.at >= since_ms
    ]
    return sorted(calls, key=lambda each: (each.heard.at, each.manager, each.call))


def band(talk_ms: int) -> str:
    """Return the band of talk time that a call belongs to."""
    return next((name for below, name in _BANDS if talk_ms < below), _LONGEST)


def plan(manager: str, calls: Sequence[CallOf]) -> Plan:
    """Return the training plan of `manager`; `calls` are those of the whole team."""
    own = [each for each in calls if each.manager == manager]
    found = sorted(_gaps(manager, calls), key=lambda habit: -habit.gap * habit.calls)
    chosen: list[PlannedHabit] = []
    for habit in found:
        if len(chosen) < PLANNED and habit.habit not in {each.habit for each in chosen}:
            chosen.append(habit)
    swapped = tuple(each.call for each in own if each.heard.features.swapped)
    return Plan(manager, len(own), tuple(_flagged(own)), tuple(chosen), swapped)


def _flagged(own: Iterable[CallOf]) -> Iterator[FlaggedCall]:
    for each in own:
        features = each.heard.features
        if features.flags:
            yield FlaggedCall(
                each.call, each.heard.at, each.heard.kind, each.heard.talk_ms, features.flags, features.evidence
            )


def _gaps(manager: str, calls: Iterable[CallOf]) -> Iterator[PlannedHabit]:
    """Yield each habit, in each cell, in which the manager is on the worse side of the team's better quartile."""
    cells: dict[Cell, dict[str, list[CallOf]]] = defaultdict(lambda: defaultdict(list))
    for each in calls:
        if each.heard.features.swapped:
            continue  # its figures are the customer's
        cells[each.heard.kind, band(each.heard.talk_ms)][each.manager].append(each)
    for (kind, length), by_manager in cells.items():
        if manager not in by_manager:
            continue
        for habit in HABITS:
            planned = _gap(habit, manager, by_manager, (kind, length))
            if planned is not None:
                yield planned


def _gap(habit: Habit, manager: str, by_manager: Mapping[str, Sequence[CallOf]], cell: Cell) -> PlannedHabit | None:
    known = {
        name: [(value, each) for each in calls if (value := habit.of(each.heard.features)) is not None]
        for name, calls in by_manager.items()
    }
    means = {name: fmean(value for value, _ in pairs) for name, pairs in known.items() if len(pairs) >= MIN_CALLS}
    if manager not in means or len(means) < MIN_MANAGERS:
        return None
    lower, _, upper = quantiles(means.values(), n=4, method="inclusive")
    target = upper if habit.better > 0 else lower
    distance = (target - means[manager]) * habit.better
    if distance <= 0 or upper == lower:
        return None
    ranked = sorted(known[manager], key=lambda pair: (pair[0] * habit.better, -pair[1].heard.at))
    listen = tuple(_to_listen(habit, value, each) for value, each in ranked[:SHOWN])
    best = [pair for pair in reversed(ranked[SHOWN:]) if pair[0] * habit.better >= target * habit.better]
    return PlannedHabit(
        habit=habit.name,
        kind=cell[0],
        band=cell[1],
        own=means[manager],
        target=target,
        gap=distance / (upper - lower),
        calls=len(known[manager]),
        listen=listen,
        own_best=tuple(_to_listen(habit, value, each) for value, each in best[:1]),
    )


def _to_listen(habit: Habit, value: float, each: CallOf) -> ToListen:
    features = each.heard.features
    moment: int | None = None
    if habit.name == "longest monologue":
        moment = features.monologue_at
    elif habit.name == "reactions to objections":
        moment = next((at for _, at, met in features.objections if not met), None)
    elif habit.name == "interruptions":
        moment = next((at for group, _, at in features.evidence if group == "interruptions"), None)
    elif habit.name == "next steps" and features.next_step is not None:
        moment = features.next_step[1]
    return ToListen(each.call, each.heard.at, value, moment)

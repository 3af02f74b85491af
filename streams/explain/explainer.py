"""The evidence behind a figure: which calls, leads and deals of a manager it counts.

Calls are folded once more, by the very fold that makes the table, but each finished leg is kept by its call. Each
contribution of a lead names the call, deal or activity behind it. So a figure that somebody disputes can be taken
apart, down to the ids that the telephone system and the CRM know.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, Literal, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from streams.contract.events import CallsEvent
from streams.explain.recipes import NOT_COUNTED, NOW, OfContributions, OfLegs, OfOpenLegs, Recipe, Source, recipes
from streams.metrics.catalogue import MANAGER, MANAGER_METRICS, manager_metrics
from streams.settings.settings import Settings, Thresholds
from streams.tables.lead.contributions import Contribution
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.legs import Finished, counts_alike
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.series import ManagerSeries
from streams.tables.outcome.fold import OTHER
from streams.units import MINUTE_MS
from streams.windows import DAYS, HOUR, HOUR_MINUTES, PREVIOUS, TODAY

__all__ = ["NOT_COUNTED", "CallLog", "Explainer", "Explanation", "Known", "Piece"]

_QUARTER: Final = DAYS["90d"]
_USUAL: Final = (TODAY, "30d", "90d", NOW)
"""The window that is meant where none is named: the first of these that a figure has."""
Role: TypeAlias = Literal["counted", "divided by"]


class Piece(Struct, frozen=True, kw_only=True):
    """One thing that a figure counts, on the manager's local `day` (days since 1970-01-01).

    `of` says what `id` names. `lead` is the lead's reference, "" where none is known. `adds` is what it adds to the
    sum, in the figure's unit. `label` is the value of the figure's own label, "" for a figure without one. `at` is the
    moment, ms; 0 where only the day is known.
    """

    of: str
    id: str
    lead: str
    day: int
    adds: float
    role: Role
    label: str = ""
    at: int = 0
    says: str = ""


class Explanation(Struct, frozen=True, kw_only=True):
    """A figure of a window, by the value of its label, with everything that it counts, oldest first.

    `figures` has every label that is exported; None where nothing was there to divide by.
    """

    metric: str
    help: str
    window: str
    figures: dict[str, float | None]
    pieces: list[Piece]


class CallLog:
    """The finished legs of one manager, by call, as the manager's row counts them."""

    def __init__(self, row: ManagerRow, thresholds: Thresholds) -> None:
        self.row = row
        self.legs: dict[str, list[Finished]] = {}
        self._call = ""
        self._fold = ManagerFold(thresholds, self._note)

    def feed(self, event: CallsEvent, pos: int) -> None:
        """Fold an event, the record at offset `pos`, and note how the legs that count change by it."""
        self._call = getattr(event, "call", "")  # an event of presence has none, and counts no leg
        self._fold.fold(self.row, event, pos)

    def _note(self, leg: Finished, sign: int) -> None:
        counted = self.legs.setdefault(self._call, [])
        if sign > 0:
            counted.append(leg)
        else:
            del counted[next(place for place, other in enumerate(counted) if counts_alike(other, leg))]

    def all(self) -> Iterator[tuple[str, Finished]]:
        """Yield every leg that counts, with its call."""
        for call, counted in self.legs.items():
            for leg in counted:
                yield call, leg


class Known(Struct, frozen=True):
    """What is known of a manager: finished legs, and the contributions of leads, as (lead, contribution)."""

    calls: CallLog
    contributions: list[tuple[str, Contribution]] = field(default_factory=list)

    def day(self, at_ms: int) -> int:
        """Return the manager's local day of a moment."""
        return self.calls.row.local.day(at_ms)


class _Moment(Struct, frozen=True):
    """The moment of reading, and the window that ends with it."""

    now_ms: int
    today: int
    window: str

    def holds(self, day: int, at_ms: int, *, bounded: bool) -> bool:
        """Tell whether a local day (in the last hour: a moment) lies in the window."""
        if self.window == HOUR:
            last = self.now_ms // MINUTE_MS
            return last - HOUR_MINUTES < at_ms // MINUTE_MS <= last
        if self.window == PREVIOUS:
            return self.today - 2 * _QUARTER < day <= self.today - _QUARTER
        return self.today - DAYS[self.window] < day and (not bounded or day <= self.today)


class Explainer:
    """Takes figures apart under the given settings. `windows` are those of each figure, the usual one first."""

    def __init__(self, settings: Settings) -> None:
        """Raise SettingsError for settings that make more series than a manager may have."""
        self._recipes = recipes(settings)
        self._help = {metric.name: metric.help for metric in manager_metrics(settings)}
        self._labels = _exported(settings, self._recipes)
        self.windows: Mapping[str, tuple[str, ...]] = {
            name: tuple(sorted(labels, key=lambda window: _USUAL.index(window) if window in _USUAL else len(_USUAL)))
            for name, labels in self._labels.items()
        }

    def explain(self, metric: str, known: Known, now_ms: int, window: str | None = None) -> Explanation:
        """Return what `metric` is made of at `now_ms`. Raise KeyError for one that counts nothing by id.

        `window` is one of those of the metric; its usual one if none is given. Raise ValueError for another.
        """
        recipe = self._recipes[metric]
        window = window or self.windows[metric][0]
        if window not in self.windows[metric]:
            raise ValueError(f"{metric} has the windows {', '.join(self.windows[metric])}")
        labels = self._labels[metric][window]
        moment = _Moment(now_ms, known.day(now_ms), window)
        pieces = [
            *_pieces(recipe.counted, known, "counted", labels, moment),
            *_pieces(recipe.divided, known, "divided by", labels, moment),
        ]
        pieces.sort(key=lambda piece: (piece.role, piece.day, piece.at, piece.id))
        figures = _figures(pieces, recipe, labels)
        return Explanation(metric=metric, help=self._help[metric], window=window, figures=figures, pieces=pieces)


def _exported(settings: Settings, made: Mapping[str, Recipe]) -> dict[str, dict[str, list[str]]]:
    """Return the labels with which every figure is exported, by window."""
    own = {metric.name: metric.labels[len(MANAGER) :] for metric in MANAGER_METRICS}
    found: dict[str, dict[str, list[str]]] = {}
    for name, values in ManagerSeries(settings).series:
        recipe = made.get(name)
        if recipe is not None:
            labels = dict(zip(own[name], values, strict=True))
            window = labels.pop("window", recipe.window)
            if window not in recipe.beyond:
                found.setdefault(name, {}).setdefault(window, []).append(next(iter(labels.values()), ""))
    return found


def _pieces(sources: Iterable[Source], known: Known, role: Role, labels: list[str], moment: _Moment) -> Iterator[Piece]:
    """Yield what is counted under the labels that are exported; `other` stands for those that are not, if it is."""
    for source in sources:
        for piece in _of(source, known, role, moment):
            if piece.label in labels:
                yield piece
            elif OTHER in labels:
                yield replace(piece, label=OTHER)


def _of(source: Source, known: Known, role: Role, moment: _Moment) -> Iterator[Piece]:
    if isinstance(source, OfLegs):
        return _of_legs(source, known, role, moment)
    if isinstance(source, OfOpenLegs):
        return _of_open_legs(source, known, role, moment)
    return (
        _netted(_of_contributions(source, known, role, moment))
        if source.net
        else _of_contributions(source, known, role, moment)
    )


def _of_legs(source: OfLegs, known: Known, role: Role, moment: _Moment) -> Iterator[Piece]:
    for call, leg in known.calls.all():
        day = known.day(leg.at)
        if moment.holds(day, leg.at, bounded=True) and source.counts(leg):
            yield Piece(
                of="call",
                id=call,
                lead=leg.lead or "",
                day=day,
                at=leg.at,
                adds=source.amount(leg) * source.unit,
                role=role,
                label=source.label(leg),
                says=_said(leg),
            )


def _of_open_legs(source: OfOpenLegs, known: Known, role: Role, moment: _Moment) -> Iterator[Piece]:
    for call, leg in known.calls.row.live.open.items():
        since = leg.since_ms
        if since > moment.now_ms - source.max_call_ms:
            says = f"{leg.direction}, {leg.kind or 'kind unknown'}, in progress" if leg.described else "in progress"
            yield Piece(
                of="call", id=call, lead=leg.lead or "", day=known.day(since), at=since, adds=1, role=role, says=says
            )


def _of_contributions(source: OfContributions, known: Known, role: Role, moment: _Moment) -> Iterator[Piece]:
    measure, is_family, bounded = source.measure, source.is_family, source.bounded
    for lead, contribution in known.contributions:
        matches = contribution.measure.startswith(measure) if is_family else contribution.measure == measure
        if matches and moment.holds(contribution.day, 0, bounded=bounded):
            at, says = _seen(known.calls, contribution)
            yield Piece(
                of=contribution.of,
                id=contribution.id or lead,
                lead=lead,
                day=contribution.day,
                at=at,
                adds=source.amount(contribution.n, moment.today) * source.unit,
                role=role,
                label=contribution.measure.removeprefix(measure).partition("@")[0]
                if is_family and source.labelled
                else "",
                says=says,
            )


def _netted(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield one piece for all that are of one lead and label, unless they come to nothing together."""
    sums: dict[tuple[str, str], Piece] = {}
    for piece in pieces:
        before = sums.get((piece.lead, piece.label))
        if before is not None:
            piece = replace(piece, adds=before.adds + piece.adds, day=max(before.day, piece.day))  # noqa: PLW2901 - the sum so far
        sums[piece.lead, piece.label] = piece
    return (piece for piece in sums.values() if piece.adds)


def _figures(pieces: list[Piece], recipe: Recipe, labels: list[str]) -> dict[str, float | None]:
    """Return the figure by label: the sum of what is counted, divided by the sum of what it is divided by."""
    counted: dict[str, list[float]] = {label: [] for label in labels}
    divided: dict[str, list[float]] = {label: [] for label in labels}
    for piece in pieces:
        (counted if piece.role == "counted" else divided)[piece.label].append(piece.adds)
    sums = [math.fsum(adds) for adds in counted.values()]
    if recipe.cumulative:
        sums = list(accumulate(sums))
    if not recipe.divided:
        return dict(zip(labels, sums, strict=True))
    wholes = [math.fsum(adds) for adds in divided.values()]
    return {label: part / whole if whole else None for label, part, whole in zip(labels, sums, wholes, strict=True)}


def _seen(calls: CallLog, contribution: Contribution) -> tuple[int, str]:
    """Return the moment of a contribution, 0 where only its day is known, and what stands behind it."""
    says = contribution.measure.replace(":", " ").replace("@", ", deal: ")
    legs = calls.legs.get(contribution.id) if contribution.of == "call" else None
    return (legs[-1].at, f"{says}; {_said(legs[-1])}") if legs else (0, says)


def _said(leg: Finished) -> str:
    talk = "talk time not known" if leg.talk_ms < 0 else f"{leg.talk_ms / 1000:g} s of talk"
    return f"{leg.direction}, {leg.kind or 'kind unknown'}, {leg.disposition}, {talk}"

"""The evidence behind a figure: the calls, leads and deals of a manager that it counts.

Calls are folded again, by the fold that makes the table, but each finished leg is kept with its call. Each contribution
of a lead names the call, deal or activity behind it. So a disputed figure can be traced to the ids of the telephone
system and the CRM.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, Literal, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from streams.calendars import LocalTime
from streams.contract.events import CallsEvent
from streams.contract.origin import Origin
from streams.explain.recipes import NOW, ContributionSource, LegSource, OpenLegSource, Recipe, Source, recipes
from streams.metrics.catalogue import MANAGER, MANAGER_METRICS, manager_metrics
from streams.settings.settings import Settings, Thresholds
from streams.tables.lead.contributions import Contribution
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.legs import Finished, counts_alike
from streams.tables.manager.records import INTERNAL
from streams.tables.manager.results import since_ms
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.series import ManagerSeries
from streams.tables.measures import parse
from streams.tables.outcome.fold import OTHER
from streams.units import HOUR_MS, MINUTE_MS
from streams.windows import DAYS, HOUR, HOUR_MINUTES, PREVIOUS, TODAY

_QUARTER: Final = DAYS["90d"]
_DEFAULT_WINDOWS: Final = (TODAY, "30d", "90d", NOW)
"""The default window of a figure is the first of these that it has."""
Role: TypeAlias = Literal["counted", "divided by"]


class Piece(Struct, frozen=True, kw_only=True):
    """One thing that a figure counts, on the manager's local `day` (days since 1970-01-01).

    `of` is the kind of thing that `id` names. `lead` is the lead's reference, "" if there is none. `adds` is the number
    that it adds to the sum, in the figure's unit. `label` is the value of the figure's own label, "" for a figure
    without one. `at` is the moment, ms; 0 if only the day is evidence. `says` is its description.
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

    `figures` has every label that is exported; None if there is nothing to divide by.
    """

    metric: str
    help: str
    window: str
    figures: dict[str, float | None]
    pieces: list[Piece]


class CallLog:
    """The finished legs of one manager by call, as the manager's row counts them."""

    def __init__(self, row: ManagerRow, thresholds: Thresholds) -> None:
        self.row = row
        self.legs: dict[str, list[Finished]] = {}
        self._call = ""
        self._fold = ManagerFold(thresholds, self._note)

    def feed(self, event: CallsEvent, pos: int, origin: Origin | None = None) -> None:
        """Fold an event, the record at offset `pos`, and keep the legs that count after it.

        `origin` is that of a copy of a misrouted record; a further copy changes nothing.
        """
        if origin is not None:
            live = self.row.live
            if live.includes(origin):
                return
            live.origins[origin.partition] = origin.offset
        self._call = getattr(event, "call", "")  # a presence event has no call and counts no leg
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


class ManagerEvidence(Struct, frozen=True):
    """The evidence of one manager: finished legs, and the contributions of leads as (lead, contribution)."""

    calls: CallLog
    contributions: list[tuple[str, Contribution]] = field(default_factory=list)

    def day(self, at_ms: int) -> int:
        """Return the manager's local day of a reading."""
        return self.calls.row.local.day(at_ms)

    def leads(self) -> set[str]:
        """Return every lead that a call or a contribution names."""
        legs = [leg.lead for _, leg in self.calls.all()] + [leg.lead for leg in self.calls.row.live.open.values()]
        return {lead for lead in legs if lead} | {lead for lead, _ in self.contributions}


class Need(Struct, frozen=True):
    """The evidence that figures need: calls from `since_ms` on (0: all), and contributions of leads or none."""

    since_ms: int = 0
    leads: bool = True


EVERYTHING: Final = Need()


class _Reading(Struct, frozen=True):
    """The moment of a reading, and the window that ends with it."""

    now_ms: int
    today: int
    window: str

    def holds(self, day: int, at_ms: int, *, bounded: bool) -> bool:
        """Return whether a local day (for the last hour: a moment) lies in the window."""
        if self.window == HOUR:
            last = self.now_ms // MINUTE_MS
            return last - HOUR_MINUTES < at_ms // MINUTE_MS <= last
        if self.window == PREVIOUS:
            return self.today - 2 * _QUARTER < day <= self.today - _QUARTER
        return self.today - DAYS[self.window] < day and (not bounded or day <= self.today)


class Explainer:
    """Finds the evidence of figures under the given settings.

    `windows` are the windows of each figure, the default one first.
    """

    def __init__(self, settings: Settings) -> None:
        """Raise SettingsError for settings that make more series than a manager may have."""
        self._recipes = recipes(settings)
        # A leg of a window may begin before it, and events come late.
        self._leg_ms = settings.thresholds.max_call_ms + settings.thresholds.retry_horizon_ms
        self._help = {metric.name: metric.help for metric in manager_metrics(settings)}
        self._labels = _exported(settings, self._recipes)
        self.windows: Mapping[str, tuple[str, ...]] = {
            name: tuple(
                sorted(
                    labels,
                    key=lambda window: (
                        _DEFAULT_WINDOWS.index(window) if window in _DEFAULT_WINDOWS else len(_DEFAULT_WINDOWS)
                    ),
                )
            )
            for name, labels in self._labels.items()
        }

    def need(self, metric: str | None, window: str | None, now_ms: int, local: LocalTime) -> Need:
        """Return the evidence that `metric`, or every figure, needs in `window`, or in its windows."""
        if metric is None:
            meant = {name: [w for w in windows if window in {None, w}] for name, windows in self.windows.items()}
        else:
            meant = {metric: [window or self.windows[metric][0]]}
        names = [name for name, windows in meant.items() if windows]
        windows = {w for name in names for w in meant[name]}
        sources = [source for name in names for source in (*self._recipes[name].counted, *self._recipes[name].divided)]
        starts = [_begin(w, now_ms, local) for w in windows]
        return Need(
            since_ms=max(0, min(starts, default=0) - self._leg_ms),
            leads=any(isinstance(source, ContributionSource) for source in sources),
        )

    def explain(self, metric: str, evidence: ManagerEvidence, now_ms: int, window: str | None = None) -> Explanation:
        """Return the pieces of `metric` at `now_ms`. Raise KeyError for a metric that counts no ids.

        `window` is a window of the metric; without it the default one. Raise ValueError for another.
        """
        recipe = self._recipes[metric]
        window = window or self.windows[metric][0]
        if window not in self.windows[metric]:
            raise ValueError(f"{metric} has the windows {', '.join(self.windows[metric])}")
        labels = self._labels[metric][window]
        reading = _Reading(now_ms, evidence.day(now_ms), window)
        pieces = [
            *_pieces(recipe.counted, evidence, "counted", labels, reading),
            *_pieces(recipe.divided, evidence, "divided by", labels, reading),
        ]
        pieces.sort(key=lambda piece: (piece.role, piece.day, piece.at, piece.id))
        figures = _figures(pieces, recipe, labels)
        return Explanation(metric=metric, help=self._help[metric], window=window, figures=figures, pieces=pieces)


def _begin(window: str, now_ms: int, local: LocalTime) -> int:
    """Return the first moment of a window."""
    if window in {HOUR, NOW}:
        return now_ms - HOUR_MS
    days = 2 * _QUARTER if window == PREVIOUS else DAYS[window]
    return local.day_bounds(local.day(now_ms) - days + 1)[0]


def _exported(settings: Settings, made: Mapping[str, Recipe]) -> dict[str, dict[str, list[str]]]:
    """Return the labels with which each figure is exported, by window."""
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


def _pieces(
    sources: Iterable[Source], evidence: ManagerEvidence, role: Role, labels: list[str], reading: _Reading
) -> Iterator[Piece]:
    """Yield the pieces of the labels that are exported; other labels are shown as `other` if that one is exported."""
    for source in sources:
        for piece in _of(source, evidence, role, reading):
            if piece.label in labels:
                yield piece
            elif OTHER in labels:
                yield replace(piece, label=OTHER)


def _of(source: Source, evidence: ManagerEvidence, role: Role, reading: _Reading) -> Iterator[Piece]:
    if isinstance(source, LegSource):
        return _of_legs(source, evidence, role, reading)
    if isinstance(source, OpenLegSource):
        return _of_open_legs(source, evidence, role, reading)
    return (
        _netted(_of_contributions(source, evidence, role, reading))
        if source.net
        else _of_contributions(source, evidence, role, reading)
    )


def _of_legs(source: LegSource, evidence: ManagerEvidence, role: Role, reading: _Reading) -> Iterator[Piece]:
    for call, leg in evidence.calls.all():
        day = evidence.day(leg.at)
        is_meant = (leg.kind == INTERNAL) == source.internal
        if is_meant and reading.holds(day, leg.at, bounded=True) and source.counts(leg):
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


def _of_open_legs(source: OpenLegSource, evidence: ManagerEvidence, role: Role, reading: _Reading) -> Iterator[Piece]:
    for call, leg in evidence.calls.row.live.open.items():
        since = since_ms(leg)
        if since > reading.now_ms - source.max_call_ms and leg.kind != INTERNAL:
            says = f"{leg.direction}, {leg.kind or 'kind unknown'}, in progress" if leg.described else "in progress"
            yield Piece(
                of="call", id=call, lead=leg.lead or "", day=evidence.day(since), at=since, adds=1, role=role, says=says
            )


def _of_contributions(
    source: ContributionSource, evidence: ManagerEvidence, role: Role, reading: _Reading
) -> Iterator[Piece]:
    measure, is_family, bounded = source.measure, source.is_family, source.bounded
    for lead, contribution in evidence.contributions:
        matches = contribution.measure.startswith(measure) if is_family else contribution.measure == measure
        if matches and reading.holds(contribution.day, 0, bounded=bounded):
            at, says = _seen(evidence.calls, contribution)
            yield Piece(
                of=contribution.of,
                id=contribution.id or lead,
                lead=lead,
                day=contribution.day,
                at=at,
                adds=source.amount(contribution.n, reading.today) * source.unit,
                role=role,
                label=parse(contribution.measure).label if is_family and source.labelled else "",
                says=says,
            )


def _netted(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield one piece for all pieces of a lead and label, unless they add up to 0."""
    sums: dict[tuple[str, str], Piece] = {}
    for piece in pieces:
        before = sums.get((piece.lead, piece.label))
        if before is not None:
            piece = replace(piece, adds=before.adds + piece.adds, day=max(before.day, piece.day))  # noqa: PLW2901 - the sum so far
        sums[piece.lead, piece.label] = piece
    return (piece for piece in sums.values() if piece.adds)


def _figures(pieces: list[Piece], recipe: Recipe, labels: list[str]) -> dict[str, float | None]:
    """Return the figure by label: the sum of the counted pieces, divided by the sum of the others."""
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
    """Return the moment of a contribution, 0 if only its day is known, and its description."""
    says = contribution.measure.replace(":", " ").replace("@", ", deal: ")
    legs = calls.legs.get(contribution.id) if contribution.of == "call" else None
    return (legs[-1].at, f"{says}; {_said(legs[-1])}") if legs else (0, says)


def _said(leg: Finished) -> str:
    talk = "talk time not known" if leg.talk_ms < 0 else f"{leg.talk_ms / 1000:g} s of talk"
    return f"{leg.direction}, {leg.kind or 'kind unknown'}, {leg.disposition}, {talk}"

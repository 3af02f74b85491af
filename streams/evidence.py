"""The evidence behind a figure: which calls, leads and deals of a manager it counts.

The source topics are folded once more, by the very folds that make the tables, but with what a table forgets kept: each
finished leg by its call, each claim of a lead by its call, deal or activity. So a figure that somebody disputes can be
taken apart, down to the ids that the telephone system and the CRM know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct, field

from streams.catalogue import CATALOGUE
from streams.events import CallsEvent, ManagerPresence
from streams.settings import Thresholds
from streams.tables.lead_claims import MEASURES_BOUNDED, Claim
from streams.tables.legs import TIMEOUT, Finished, alike
from streams.tables.manager import ManagerFold
from streams.tables.manager_row import ManagerRow
from streams.windows import DAYS, HOUR, HOUR_MINUTES, MINUTE_MS, TODAY

PREVIOUS: Final = "previous"
WINDOWS: Final = (HOUR, *DAYS, PREVIOUS)
_QUARTER: Final = DAYS["90d"]

Role: TypeAlias = Literal["counted", "divided by"]


class Piece(Struct, frozen=True, kw_only=True):
    """One thing that a figure counts, `n` times, on the manager's local `day` (days since 1970-01-01).

    `of` says what `id` names. `lead` is the lead's reference, "" where none is known. `label` is the value of the
    figure's own label, "" for a figure without one. `at` is the moment, ms; 0 where only the day counts.
    """

    of: str
    id: str
    lead: str
    day: int
    n: int
    role: Role
    label: str = ""
    at: int = 0
    says: str = ""


class Explanation(Struct, frozen=True, kw_only=True):
    """A figure of a window, by the value of its label, with everything that it counts, oldest first.

    A figure is None where nothing was there to divide by.
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
        self._fold = ManagerFold(thresholds)

    def feed(self, event: CallsEvent, pos: int) -> None:
        """Fold an event, the record at offset `pos`, and note how the legs that count change by it."""
        if isinstance(event, ManagerPresence):
            self._fold.fold(self.row, event, pos)
            return
        before = self._concluded(event.call)
        self._fold.fold(self.row, event, pos)
        after = self._concluded(event.call)
        if alike(before, after):
            return
        counted = self.legs.setdefault(event.call, [])
        if before is not None:
            counted[:] = [leg for leg in counted if not alike(leg, before)]
        if after is not None:
            counted.append(after)

    def _concluded(self, call: str) -> Finished | None:
        leg = self.row.past.get(call) or self.row.timed_out.get(call)
        return None if leg is None else leg.concluded()

    def all(self) -> Iterator[tuple[str, Finished]]:
        """Yield every leg that counts, with its call."""
        for call, counted in self.legs.items():
            for leg in counted:
                yield call, leg


class Known(Struct, frozen=True):
    """What is known of a manager: finished legs, the claims that leads make for the manager, and the local day."""

    calls: CallLog
    claims: list[tuple[str, Claim]] = field(default_factory=list)
    """(lead, claim)"""

    def day(self, at_ms: int) -> int:
        """Return the manager's local day of a moment."""
        return self.calls.row.local.day(at_ms)


class _Legs(Struct, frozen=True):
    """Legs that are counted, by a label of theirs; `amount` is what each of them adds."""

    counts: Callable[[Finished], bool]
    label: Callable[[Finished], str] = lambda _leg: ""
    amount: Callable[[Finished], int] = lambda _leg: 1


class _Claims(Struct, frozen=True):
    """Claims of a measure; of all that begin with it if it ends with ":" and the rest is the label."""

    measure: str
    labelled: bool = True


_Source: TypeAlias = _Legs | _Claims


class _Recipe(Struct, frozen=True):
    """How a figure is made: what is counted, what that is divided by, in which windows, and the unit's size."""

    windows: tuple[str, ...]
    counted: _Source
    divided: _Source | None = None
    scale: float = 1.0


def _is_answered(leg: Finished) -> bool:
    return leg.disposition == "answered"


def _is_dial(leg: Finished) -> bool:
    return leg.direction == "outbound"


def _is_reached(leg: Finished) -> bool:
    return _is_dial(leg) and _is_answered(leg)


def _is_talk(leg: Finished) -> bool:
    return _is_answered(leg) and leg.talk_ms >= 0


def _recipes(thresholds: Thresholds) -> Mapping[str, _Recipe]:
    """Return how every figure that counts calls, leads or deals is made."""
    always, recent = (HOUR, *DAYS), (TODAY, "7d", "30d")
    answered = _Claims("answered:", labelled=False)
    given = _Claims("given:", labelled=False)
    won = _Claims("won")

    def talked(least_ms: int) -> _Legs:
        return _Legs(lambda leg: _is_talk(leg) and leg.talk_ms >= least_ms)

    return {
        "calls": _Recipe(always, _Legs(lambda _leg: True, lambda leg: leg.direction)),
        "calls_by_kind": _Recipe((TODAY, "30d", "90d"), _Legs(lambda _leg: True, lambda leg: leg.kind or "unknown")),
        "calls_by_disposition": _Recipe((TODAY,), _Legs(lambda _leg: True, lambda leg: leg.disposition)),
        "answered_calls": _Recipe((HOUR, *recent), _Legs(_is_answered)),
        "connect_ratio": _Recipe(recent, _Legs(_is_reached), _Legs(_is_dial)),
        "attempts_per_contact": _Recipe(("30d",), _Legs(_is_dial), _Legs(_is_reached)),
        "short_call_ratio": _Recipe(
            recent, _Legs(lambda leg: _is_talk(leg) and leg.talk_ms < thresholds.short_ms), _Legs(_is_talk)
        ),
        "meaningful_calls": _Recipe(recent, talked(thresholds.meaningful_ms)),
        "conversations": _Recipe((TODAY, "30d"), talked(thresholds.conversation_ms)),
        "talk_time_seconds": _Recipe(always, _Legs(_is_talk, amount=lambda leg: leg.talk_ms), scale=1000),
        "calls_timed_out": _Recipe((TODAY,), _Legs(lambda leg: leg.rank == TIMEOUT)),
        "calls_per_won_deal": _Recipe(("90d", PREVIOUS), _Legs(lambda _leg: True), won),
        "won_deals": _Recipe(("30d", "7d", "90d"), won),
        "proposal_calls": _Recipe(("7d", "90d"), _Claims("proposed")),
        "conversion_ratio": _Recipe(("30d", "7d", "90d"), won, _Claims("proposed")),
        "presentation_ratio": _Recipe(("90d",), _Claims("presented:"), _Claims("answered:")),
        "stage_moves_per_call": _Recipe(("30d",), _Claims("moves"), answered),
        "next_step_ratio": _Recipe(("30d",), _Claims("agreed"), _Claims("talks")),
        "open_leads_by_calls": _Recipe(("30d",), _Claims("calls:")),
        "open_leads_by_conversations": _Recipe(("30d",), _Claims("streak:")),
        "leads_consultation_due": _Recipe(("30d",), _Claims("mentor")),
        "leads_stuck": _Recipe(("30d",), _Claims("stuck")),
        "leads_over_called": _Recipe((TODAY,), _Claims("over")),
        "open_leads_by_stage": _Recipe(("30d",), _Claims("stage:")),
        "leads_given": _Recipe(("90d",), _Claims("given:")),
        "first_call_deal_ratio": _Recipe(("90d", PREVIOUS), won, given),
        "mean_won_amount": _Recipe(("90d",), _Claims("amount:"), _Claims("amounts:"), scale=1000),
        "won_calls_per_deal": _Recipe(("90d",), _Claims("win_calls"), _Claims("win_leads")),
        "won_first_call_talk_seconds": _Recipe(("90d",), _Claims("win_talk"), _Claims("win_talked"), scale=1000),
        "follow_up_calls": _Recipe(("30d",), _Claims("reason:")),
        "next_steps_due": _Recipe(("30d",), _Claims("due")),
        "next_steps_kept_ratio": _Recipe(("30d",), _Claims("kept"), _Claims("due")),
        "calls_off_hours": _Recipe((TODAY,), _Claims("off_hours")),
    }


class Explainer:
    """Takes figures apart under the given thresholds. `windows` are those of each figure, the usual one first."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._recipes = _recipes(thresholds)
        self._help = {metric.name: metric.help for metric in CATALOGUE}
        self.windows: Mapping[str, tuple[str, ...]] = {
            name: recipe.windows for name, recipe in self._recipes.items() if name in self._help
        }

    def explain(self, metric: str, known: Known, now_ms: int, window: str | None = None) -> Explanation:
        """Return what `metric` is made of at `now_ms`. Raise KeyError for one that counts nothing by id.

        `window` is one of those of the metric; its usual one if none is given. Raise ValueError for another.
        """
        recipe = self._recipes[metric]
        window = window or recipe.windows[0]
        if window not in recipe.windows:
            raise ValueError(f"{metric} has the windows {', '.join(recipe.windows)}")
        pieces = list(self._pieces(recipe.counted, known, "counted", window, now_ms))
        if recipe.divided is not None:
            pieces += self._pieces(recipe.divided, known, "divided by", window, now_ms)
        pieces.sort(key=lambda piece: (piece.role, piece.day, piece.at, piece.id))
        figures = _figures(pieces, recipe)
        return Explanation(metric=metric, help=self._help[metric], window=window, figures=figures, pieces=pieces)

    def _pieces(self, source: _Source, known: Known, role: Role, window: str, now_ms: int) -> Iterator[Piece]:
        is_in = _bounds(window, known.day(now_ms), now_ms)
        if isinstance(source, _Legs):
            for call, leg in known.calls.all():
                day = known.day(leg.at)
                if source.counts(leg) and is_in(day, leg.at, bounded=False):
                    yield Piece(
                        of="call",
                        id=call,
                        lead=leg.lead or "",
                        day=day,
                        at=leg.at,
                        n=source.amount(leg),
                        role=role,
                        label=source.label(leg),
                        says=_said(leg),
                    )
            return
        of_family = source.measure.endswith(":")
        for lead, claim in known.claims:
            matches = claim.measure.startswith(source.measure) if of_family else claim.measure == source.measure
            if matches and is_in(claim.day, 0, bounded=claim.measure in MEASURES_BOUNDED):
                label = claim.measure.removeprefix(source.measure) if of_family and source.labelled else ""
                yield Piece(
                    of=claim.of,
                    id=claim.id or lead,
                    lead=lead,
                    day=claim.day,
                    n=claim.n,
                    role=role,
                    label=label.partition("@")[0] if source.measure == "reason:" else label,
                    says=claim.measure,
                )


def _bounds(window: str, today: int, now_ms: int) -> Callable[..., bool]:
    """Return whether a day (or, in the last hour, a moment) lies in the window."""
    if window == HOUR:
        last = now_ms // MINUTE_MS
        return lambda _day, at, *, bounded: last - HOUR_MINUTES < at // MINUTE_MS <= last  # noqa: ARG005 - an hour is bounded anyway
    if window == PREVIOUS:
        return lambda day, _at, *, bounded: today - 2 * _QUARTER < day <= today - _QUARTER  # noqa: ARG005 - as above
    first = today - DAYS[window] + 1
    return lambda day, _at, *, bounded: first <= day and (not bounded or day <= today)


def _figures(pieces: list[Piece], recipe: _Recipe) -> dict[str, float | None]:
    """Return the figure by label: the sum of what is counted, divided by the sum of what it is divided by."""
    counted: dict[str, int] = {}
    divided: dict[str, int] = {}
    for piece in pieces:
        sums = counted if piece.role == "counted" else divided
        sums[piece.label] = sums.get(piece.label, 0) + piece.n
    if recipe.divided is None:
        return {label: total / recipe.scale for label, total in sorted(counted.items())} or {"": 0.0}
    return {
        label: counted.get(label, 0) / recipe.scale / whole if (whole := divided.get(label, 0)) else None
        for label in sorted({*counted, *divided}) or [""]
    }


def _said(leg: Finished) -> str:
    talk = "talk time not known" if leg.talk_ms < 0 else f"{leg.talk_ms / 1000:g} s of talk"
    return f"{leg.direction}, {leg.kind or 'kind unknown'}, {leg.disposition}, {talk}"

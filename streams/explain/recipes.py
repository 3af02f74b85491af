"""How every figure of a manager that counts calls, leads or deals is made of them; and why the others are not.

Written apart from the code that makes the figures (`tables/manager/series.py`, `tables/outcome/view.py`), and held
equal to it by tests.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from streams.settings.results import CHANNELS
from streams.settings.settings import Settings
from streams.tables.lead.contributions import MEASURES_BOUNDED
from streams.tables.manager.legs import TIMEOUT, Finished
from streams.tables.manager.series import seconds
from streams.units import DAY_S
from streams.windows import PREVIOUS, TODAY

NOW: Final = "now"
"""The window of what is under way at the moment."""


class OfLegs(Struct, frozen=True):
    """Finished legs that count, by a label of theirs. Each adds `amount`, and that times `unit` to the figure."""

    counts: Callable[[Finished], bool] = lambda _leg: True
    label: Callable[[Finished], str] = lambda _leg: ""
    amount: Callable[[Finished], int] = lambda _leg: 1
    unit: float = 1.0


class OfContributions(Struct, frozen=True):
    """Contributions of leads to a measure; of all that begin with it if it ends with ":", and the rest is the label.

    Each adds `amount` of (its number, the local day of today), and that times `unit` to the figure. Contributions on
    days to come count in any window unless they are `bounded`. With `net`, those of one lead that cancel out are left
    out.
    """

    measure: str
    labelled: bool = True
    amount: Callable[[int, int], int] = lambda n, _today: n
    unit: float = 1.0
    net: bool = False

    @property
    def is_family(self) -> bool:
        """Whether it is of several measures, each with a label of its own."""
        return self.measure.endswith(":")

    @property
    def bounded(self) -> bool:
        """Whether a window ends with today."""
        return self.measure in (*MEASURES_BOUNDED, "over")


class OfOpenLegs(Struct, frozen=True):
    """Legs in progress; one that has lasted `max_call_ms` is none any more."""

    max_call_ms: int


Source: TypeAlias = OfLegs | OfContributions | OfOpenLegs


class Recipe(Struct, frozen=True):
    """What a figure counts, and what that is divided by (nothing: it is a sum).

    `window` is that of a figure without a label for it. `beyond` are windows further back than the evidence reaches.
    `cumulative`: the figure of a label includes those of the labels before it.
    """

    counted: tuple[Source, ...]
    divided: tuple[Source, ...] = ()
    window: str = "30d"
    beyond: tuple[str, ...] = ()
    cumulative: bool = False


def _is_answered(leg: Finished) -> bool:
    return leg.disposition == "answered"


def _is_dial(leg: Finished) -> bool:
    return leg.direction == "outbound"


def _is_reached(leg: Finished) -> bool:
    return _is_dial(leg) and _is_answered(leg)


def _is_talk(leg: Finished) -> bool:
    return _is_answered(leg) and leg.talk_ms >= 0


def _of(*sources: Source, by: tuple[Source, ...] = (), window: str = "30d") -> Recipe:
    return Recipe(sources, by, window)


def recipes(settings: Settings) -> Mapping[str, Recipe]:
    """Return how the figures are made under the given settings, by `Metric.name`."""
    thresholds, costs = settings.thresholds, settings.economics.costs
    bounds_ms = thresholds.histogram_ms
    names = (*map(seconds, bounds_ms), "+Inf")
    legs, won, proposed = OfLegs(), OfContributions("won"), OfContributions("proposed")
    given = OfContributions("given:", labelled=False)
    touches = [OfContributions(f"touch:{channel}", unit=costs[channel]) for channel in CHANNELS if channel != "call"]

    def talked(least_ms: int) -> Recipe:
        return _of(OfLegs(lambda leg: _is_talk(leg) and leg.talk_ms >= least_ms))

    return {
        "calls": _of(OfLegs(label=lambda leg: leg.direction)),
        "calls_by_kind": _of(OfLegs(label=lambda leg: leg.kind or "unknown")),
        "calls_by_disposition": _of(OfLegs(label=lambda leg: leg.disposition)),
        "answered_calls": _of(OfLegs(_is_answered)),
        "connect_ratio": _of(OfLegs(_is_reached), by=(OfLegs(_is_dial),)),
        "attempts_per_contact": _of(OfLegs(_is_dial), by=(OfLegs(_is_reached),)),
        "short_call_ratio": _of(
            OfLegs(lambda leg: _is_talk(leg) and leg.talk_ms < thresholds.short_ms), by=(OfLegs(_is_talk),)
        ),
        "meaningful_calls": talked(thresholds.meaningful_ms),
        "conversations": talked(thresholds.conversation_ms),
        "talk_time_seconds": _of(OfLegs(_is_talk, amount=lambda leg: leg.talk_ms, unit=0.001)),
        "calls_talked": Recipe(
            (OfLegs(_is_talk, label=lambda leg: names[bisect_left(bounds_ms, leg.talk_ms)]),), cumulative=True
        ),
        "calls_timed_out": _of(OfLegs(lambda leg: leg.rank == TIMEOUT)),
        "calls_in_progress": _of(OfOpenLegs(thresholds.max_call_ms), window=NOW),
        "open_leads_by_calls": _of(OfContributions("calls:", net=True)),
        "calls_per_lead": _of(OfContributions("sum"), by=(OfContributions("calls:", labelled=False, net=True),)),
        "leads_over_called": _of(OfContributions("over"), window=TODAY),
        "won_deals": _of(won),
        "proposal_calls": _of(proposed),
        "conversion_ratio": _of(won, by=(proposed,)),
        "presentation_ratio": _of(OfContributions("presented:"), by=(OfContributions("answered:"),)),
        "stage_moves_per_call": _of(OfContributions("moves"), by=(OfContributions("answered:", labelled=False),)),
        "next_step_ratio": _of(OfContributions("agreed"), by=(OfContributions("talks"),)),
        "open_leads_by_conversations": _of(OfContributions("streak:")),
        "leads_consultation_due": _of(OfContributions("mentor")),
        "leads_stuck": _of(OfContributions("stuck")),
        "open_leads_by_stage": _of(OfContributions("stage:")),
        "mean_stage_age_seconds": _of(
            OfContributions("since:", amount=lambda since, today: today - since, unit=DAY_S),
            by=(OfContributions("stage:"),),
        ),
        "leads_given": _of(OfContributions("given:")),
        "first_call_deal_ratio": _of(won, by=(given,)),
        # The topic of calls does not reach back to the 90 days before the last 90.
        "calls_per_won_deal": Recipe((legs,), (won,), beyond=(PREVIOUS,)),
        "cost_per_won_deal": _of(OfLegs(unit=costs.call), *touches, by=(won,)),
        "mean_won_amount": _of(OfContributions("amount:", unit=0.001), by=(OfContributions("amounts:"),)),
        "won_first_call_talk_seconds": _of(
            OfContributions("win_talk", unit=0.001), by=(OfContributions("win_talked"),)
        ),
        "won_calls_per_deal": _of(OfContributions("win_calls"), by=(OfContributions("win_leads"),)),
        "follow_up_calls": _of(OfContributions("reason:")),
        "next_steps_due": _of(OfContributions("due")),
        "next_steps_kept_ratio": _of(OfContributions("kept"), by=(OfContributions("due"),)),
        "calls_off_hours": _of(OfContributions("off_hours")),
    }


_EXPECTED: Final = "it sets what is done now against the same weekday and hour of the last 8 weeks, and counts no call"
_RUN: Final = "it is about runs of calling, which all telephony events together make"
_MOMENT: Final = "it says how things stand at the moment, and counts nothing"
NOT_COUNTED: Final[Mapping[str, str]] = {
    "conversion_ratio_lower": "it is how far `conversion_ratio` can be trusted; explain that",
    "conversion_ratio_upper": "it is how far `conversion_ratio` can be trusted; explain that",
    "target_ratio": "it is `first_call_deal_ratio` and the gain of the settings; explain that",
    "plan_calls_per_day": "it is the plan of the settings times `calls_per_won_deal`; explain that",
    "lead_attention": "each of its series is a lead; `callpulse leads --manager` lists them",
    "longest_call_in_progress_seconds": "it is the age of the oldest call; explain `calls_in_progress`",
    "last_activity_timestamp_seconds": _MOMENT,
    "idle_seconds": _MOMENT,
    "on_shift": _MOMENT,
    "presence": _MOMENT,
    "work_block_seconds": _RUN,
    "work_blocks": _RUN,
    "breaks_missed": _RUN,
    "expected_calls": _EXPECTED,
    "expected_talk_seconds": _EXPECTED,
    "calls_zscore": _EXPECTED,
    "talk_zscore": _EXPECTED,
    "expectation_days": _EXPECTED,
}
"""The figures of a manager that count nothing by id, each with the reason."""

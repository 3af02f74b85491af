"""A second definition of each figure of a manager that counts calls, leads or deals; and reasons for its lack.

It is independent of the code that computes the figures (`tables/manager/series.py`, `tables/outcome/view.py`). Tests
compare the two.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from streams.metrics.coaching import COACHING
from streams.settings.results import CHANNELS
from streams.settings.settings import Settings
from streams.tables import measures
from streams.tables.manager.legs import TIMEOUT, Finished
from streams.tables.manager.series import seconds
from streams.tables.measures import family, labelled
from streams.units import DAY_S
from streams.windows import PREVIOUS, TODAY

NOW: Final = "now"
"""The window of figures that count the present state."""


class LegSource(Struct, frozen=True):
    """The finished legs for which `counts` is true, by `label`. Each adds `amount` times `unit` to the figure.

    They are the internal ones if `internal` is set, otherwise the others.
    """

    counts: Callable[[Finished], bool] = lambda _leg: True
    label: Callable[[Finished], str] = lambda _leg: ""
    amount: Callable[[Finished], int] = lambda _leg: 1
    unit: float = 1.0
    internal: bool = False


class ContributionSource(Struct, frozen=True):
    """The contributions of leads to a measure, or to all measures of a family (`calls:`), each with its label.

    Each adds `amount` of (its number, today's local day) times `unit` to the figure. Contributions on future days count
    in every window, unless they are `bounded`. With `net`, contributions of one lead that cancel out are left out.
    """

    measure: str
    labelled: bool = True
    amount: Callable[[int, int], int] = lambda n, _today: n
    unit: float = 1.0
    net: bool = False

    @property
    def is_family(self) -> bool:
        """True if it has several measures, each with a label of its own."""
        return self.measure.endswith(":")

    @property
    def bounded(self) -> bool:
        """True if windows end with today."""
        return self.measure in (*measures.PROMISES, measures.OVER_DIALLED)


class OpenLegSource(Struct, frozen=True):
    """The legs in progress, without internal ones and those that have lasted `max_call_ms` or longer."""

    max_call_ms: int


Source: TypeAlias = LegSource | ContributionSource | OpenLegSource


class Recipe(Struct, frozen=True):
    """The sources that a figure counts, and the sources that it is divided by. Without the latter it is a sum.

    `window` is the window of a figure that has no label for it. `beyond` are windows that the evidence does not reach.
    `cumulative`: the figure of a label includes the labels before it.
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
    """Return the recipe of each figure under the given settings, by `Metric.name`."""
    thresholds, costs = settings.thresholds, settings.economics.costs
    bounds_ms = thresholds.histogram_ms
    names = (*map(seconds, bounds_ms), "+Inf")
    legs, won, proposed = LegSource(), ContributionSource(measures.WON), ContributionSource(measures.PROPOSED)
    given = ContributionSource(family(measures.GIVEN), labelled=False)
    touches = [
        ContributionSource(labelled(measures.TOUCH, channel), unit=costs[channel])
        for channel in CHANNELS
        if channel != "call"
    ]

    def talked(least_ms: int) -> Recipe:
        return _of(LegSource(lambda leg: _is_talk(leg) and leg.talk_ms >= least_ms))

    return {
        "calls": _of(LegSource(label=lambda leg: leg.direction)),
        "calls_by_kind": _of(LegSource(label=lambda leg: leg.kind or "unknown")),
        "calls_by_disposition": _of(LegSource(label=lambda leg: leg.disposition)),
        "answered_calls": _of(LegSource(_is_answered)),
        "connect_ratio": _of(LegSource(_is_reached), by=(LegSource(_is_dial),)),
        "attempts_per_contact": _of(LegSource(_is_dial), by=(LegSource(_is_reached),)),
        "short_call_ratio": _of(
            LegSource(lambda leg: _is_talk(leg) and leg.talk_ms < thresholds.short_ms), by=(LegSource(_is_talk),)
        ),
        "meaningful_calls": talked(thresholds.meaningful_ms),
        "conversations": talked(thresholds.conversation_ms),
        "talk_time_seconds": _of(LegSource(_is_talk, amount=lambda leg: leg.talk_ms, unit=0.001)),
        "calls_talked": Recipe(
            (LegSource(_is_talk, label=lambda leg: names[bisect_left(bounds_ms, leg.talk_ms)]),), cumulative=True
        ),
        "calls_timed_out": _of(LegSource(lambda leg: leg.rank == TIMEOUT)),
        "internal_calls": _of(LegSource(internal=True)),
        "internal_talk_seconds": _of(LegSource(_is_talk, amount=lambda leg: leg.talk_ms, unit=0.001, internal=True)),
        "calls_in_progress": _of(OpenLegSource(thresholds.max_call_ms), window=NOW),
        "open_leads_by_calls": _of(ContributionSource(family(measures.CALLS), net=True)),
        "calls_per_lead": _of(
            ContributionSource(measures.CALLS_OF_DAY),
            by=(ContributionSource(family(measures.CALLS), labelled=False, net=True),),
        ),
        "leads_over_called": _of(ContributionSource(measures.OVER_DIALLED), window=TODAY),
        "won_deals": _of(won),
        "proposal_calls": _of(proposed),
        "conversion_ratio": _of(won, by=(proposed,)),
        "presentation_ratio": _of(
            ContributionSource(family(measures.PRESENTED)),
            by=(ContributionSource(family(measures.ANSWERED)),),
        ),
        "stage_moves_per_call": _of(
            ContributionSource(measures.STAGE_MOVES),
            by=(ContributionSource(family(measures.ANSWERED), labelled=False),),
        ),
        "next_step_ratio": _of(
            ContributionSource(measures.NEXT_STEPS_AGREED), by=(ContributionSource(measures.CONVERSATIONS),)
        ),
        "open_leads_by_conversations": _of(ContributionSource(family(measures.STREAK))),
        "leads_consultation_due": _of(ContributionSource(measures.CONSULTATION_DUE)),
        "leads_stuck": _of(ContributionSource(measures.STUCK)),
        "open_leads_by_stage": _of(ContributionSource(family(measures.STAGE))),
        "mean_stage_age_seconds": _of(
            ContributionSource(family(measures.STAGE_SINCE), amount=lambda since, today: today - since, unit=DAY_S),
            by=(ContributionSource(family(measures.STAGE)),),
        ),
        "leads_given": _of(ContributionSource(family(measures.GIVEN))),
        "first_call_deal_ratio": _of(won, by=(given,)),
        # The topic of calls does not reach back to the 90 days before the last 90.
        "calls_per_won_deal": Recipe((legs,), (won,), beyond=(PREVIOUS,)),
        "cost_per_won_deal": _of(LegSource(unit=costs.call), *touches, by=(won,)),
        "mean_won_amount": _of(
            ContributionSource(family(measures.AMOUNT), unit=0.001),
            by=(ContributionSource(family(measures.AMOUNTS)),),
        ),
        "won_first_call_talk_seconds": _of(
            ContributionSource(measures.WIN_TALK_MS, unit=0.001), by=(ContributionSource(measures.WIN_TALKED),)
        ),
        "won_calls_per_deal": _of(ContributionSource(measures.WIN_CALLS), by=(ContributionSource(measures.WIN_LEADS),)),
        "follow_up_calls": _of(ContributionSource(family(measures.REASON))),
        "next_steps_due": _of(ContributionSource(measures.NEXT_STEPS_DUE)),
        "next_steps_kept_ratio": _of(
            ContributionSource(measures.NEXT_STEPS_KEPT), by=(ContributionSource(measures.NEXT_STEPS_DUE),)
        ),
        "calls_off_hours": _of(ContributionSource(measures.OFF_HOURS)),
    }


_EXPECTED: Final = "it sets what is done now against the same weekday and hour of the last 8 weeks, and counts no call"
_RUN: Final = "it is about runs of calling, which all telephony events together make"
_MOMENT: Final = "it says how things stand at the moment, and counts nothing"
_HEARD: Final = "it is made of what was heard in calls; `callpulse coaching MANAGER` shows which"
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
    **{metric.name: _HEARD for metric in COACHING},
}
"""The figures of a manager that count no ids, each with the reason."""

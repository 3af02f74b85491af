"""The figures of an outcome row on a local day: the values of its series, and the sums for its team.

Figures that also depend on the manager's calls (calls per won deal, cost per won deal) are in
`tables/manager/series.py`.
"""

from __future__ import annotations

from itertools import accumulate, chain, islice, product
from operator import mul
from typing import Final, TypeAlias

from msgspec import Struct

from streams.contract.events import KINDS, KINDS_AND_UNKNOWN
from streams.settings.results import CHANNELS, LOST, NONE, OTHER, WON
from streams.settings.settings import Settings
from streams.tables import measures
from streams.tables.measures import NUMBERS, all_labelled, labelled
from streams.tables.outcome.fold import OutcomeRow, attention
from streams.tables.outcome.fold import totals as totals_of
from streams.tables.outcome.totals import Layout, Shared, Totals
from streams.targets import target, wilson
from streams.units import DAY_S
from streams.windows import PREVIOUS, TODAY

Value: TypeAlias = float | None
Series: TypeAlias = tuple[str, tuple[str, ...]]
"""(metric, values of its labels behind `manager` and `team`); the metric is a `Metric.name` of the catalogue."""
Varying: TypeAlias = tuple[tuple[str, ...], float]
"""(values of those labels, value) of a metric whose series differ from manager to manager."""

CALL: Final = "call"


class OutcomeView(Struct, gc=False):
    """The figures of a manager's leads and deals on a day.

    `values` are aligned with `OutcomeReader.series`. `won` and `won_before` are the deals won in the last 90 days and
    in the 90 before, `touch_cost` is the cost of all touches except calls, `attention` are the leads to show, `shared`
    the sums that teams add up.
    """

    values: list[Value]
    won: int
    won_before: int
    touch_cost: float
    attention: list[Varying]
    shared: list[Shared]


class OutcomeCache:
    """The last reading of one row, and the local day, revision and number of listings that it belongs to.

    It may be used with another row: it starts anew. Use a cache with one reader only.
    """

    __slots__ = ("listings", "revision", "row", "today", "view")

    def __init__(self) -> None:
        self.row: OutcomeRow | None = None
        self.view: OutcomeView | None = None
        self.today = self.revision = self.listings = 0


class OutcomeReader:
    """Reads outcome rows under the given settings. Stateless; an `OutcomeCache` makes repeated readings fast."""

    def __init__(self, settings: Settings) -> None:
        results, economics = settings.results, settings.economics
        self._targets = settings.targets
        self._attention_series = results.attention_series
        self._currency = economics.currency
        self._stages = (NONE, *(stage for stage in results.stages if stage not in (WON, LOST)))
        self._reasons = results.reasons
        touches = [channel for channel in CHANNELS if channel != CALL]
        self._costs = [economics.costs[channel] for channel in touches]
        blocks = {
            "calls": measures.CALLS_BY_NUMBER,
            "streak": measures.STREAK_BY_NUMBER,
            "stage": all_labelled(measures.STAGE, self._stages),
            "since": all_labelled(measures.STAGE_SINCE, self._stages),
            "given": measures.GIVEN_BY_KIND,
            "answered": measures.ANSWERED_BY_KIND,
            "presented": measures.PRESENTED_BY_KNOWN_KIND,
            "touch": all_labelled(measures.TOUCH, touches),
            "of month": (
                *(measures.CALLS_OF_DAY, measures.STAGE_MOVES, measures.NEXT_STEPS_AGREED, measures.CONVERSATIONS),
                *(measures.CONSULTATION_DUE, measures.STUCK, *measures.PROMISES),
            ),
            "of quarter": (
                *(labelled(measures.AMOUNT, self._currency), labelled(measures.AMOUNTS, self._currency)),
                *(measures.WIN_TALK_MS, measures.WIN_TALKED, measures.WIN_CALLS, measures.WIN_LEADS),
            ),
            "of several": (measures.WON, measures.PROPOSED, measures.OFF_HOURS),
        }
        ends = [*accumulate(map(len, blocks.values()))]
        self._slices = {
            name: slice(end - len(block), end) for (name, block), end in zip(blocks.items(), ends, strict=True)
        }
        self._layout = Layout(*chain.from_iterable(blocks.values()))
        self.series = self._series()
        self.nothing = self.read(OutcomeRow(), 0)

    def _series(self) -> tuple[Series, ...]:
        """Return the series of `_values`, in the same order."""
        stages, reasons = self._stages, (*self._reasons, OTHER)
        of: dict[str, list[tuple[str, ...]]] = {
            "open_leads_by_calls": [(number,) for number in NUMBERS],
            "calls_per_lead": [("30d",)],
            "leads_over_called": [(TODAY,)],
            "won_deals": [("7d",), ("30d",), ("90d",)],
            "proposal_calls": [("7d",), ("90d",)],
            "conversion_ratio": [("7d",), ("30d",), ("90d",)],
            "conversion_ratio_lower": [("90d",)],
            "conversion_ratio_upper": [("90d",)],
            "presentation_ratio": list(product(("90d",), KINDS)),
            "stage_moves_per_call": [("30d",)],
            "next_step_ratio": [("30d",)],
            "open_leads_by_conversations": [(number,) for number in NUMBERS],
            "leads_consultation_due": [()],
            "leads_stuck": [()],
            "open_leads_by_stage": [(stage,) for stage in (*stages, OTHER)],
            "mean_stage_age_seconds": [(stage,) for stage in stages],
            "leads_given": list(product(("90d",), KINDS_AND_UNKNOWN)),
            "first_call_deal_ratio": [("90d",), (PREVIOUS,)],
            "target_ratio": [()],
            "mean_won_amount": [("90d", self._currency)],
            "won_first_call_talk_seconds": [("90d",)],
            "won_calls_per_deal": [("90d",)],
            "follow_up_calls": list(product(("30d",), reasons)),
            "next_steps_due": [("30d",)],
            "next_steps_kept_ratio": [("30d",)],
            "calls_off_hours": [(TODAY,)],
        }
        return tuple((name, labels) for name, all_labels in of.items() for labels in all_labels)

    def read(self, row: OutcomeRow, today: int, cache: OutcomeCache | None = None) -> OutcomeView:
        """Return the figures of the manager's leads and deals on the local day `today`.

        `cache` is the one of the previous reading, if any.
        """
        cache = cache or OutcomeCache()
        revision = row.state.revision
        last = cache.view if cache.row is row and cache.today == today else None
        if last is not None and cache.revision == revision:
            return last
        totals = totals_of(row, today, self._layout)
        of_won = self._slices["of several"].start
        view = OutcomeView(
            values=self._values(row, totals),
            won=totals.quarter[of_won],
            won_before=totals.before[of_won],
            touch_cost=sum(map(mul, totals.quarter[self._slices["touch"]], self._costs)),
            attention=last.attention
            if last is not None and cache.listings == row.listings
            else self._shown(row, today),
            shared=totals.shared(),
        )
        cache.row, cache.today, cache.view = row, today, view
        cache.revision, cache.listings = revision, row.listings
        return view

    def _shown(self, row: OutcomeRow, today: int) -> list[Varying]:
        shown = islice(attention(row, today), self._attention_series)
        return [((lead, entry.why), entry.without_progress) for lead, entry in shown]

    def _values(self, row: OutcomeRow, totals: Totals) -> list[Value]:
        month, quarter, before, slices = totals.month, totals.quarter, totals.before, self._slices
        today = totals.day
        by_calls, by_stage, given = month[slices["calls"]], month[slices["stage"]], quarter[slices["given"]]
        calls, moves, agreed, talks, mentor, stuck, due, kept = month[slices["of month"]]
        amount, amounts, talk_ms, talked, win_calls, win_leads = quarter[slices["of quarter"]]
        several = slices["of several"]
        won_7, proposed_7, _ = totals.week[several]
        won_30, proposed_30, _ = month[several]
        won_90, proposed_90, _ = quarter[several]
        own = _ratio(won_90, sum(given))
        over = row.state.steps.get(measures.OVER_DIALLED)
        return [
            *by_calls,
            _ratio(calls, sum(by_calls)),
            0 if over is None else over.get(today, 0),
            won_7,
            won_30,
            won_90,
            proposed_7,
            proposed_90,
            _ratio(won_7, proposed_7),
            _ratio(won_30, proposed_30),
            _ratio(won_90, proposed_90),
            *(wilson(won_90, proposed_90) or (None, None)),
            *map(_ratio, quarter[slices["presented"]], quarter[slices["answered"]]),
            _ratio(moves, sum(month[slices["answered"]])),
            _ratio(agreed, talks),
            *month[slices["streak"]],
            mentor,
            stuck,
            *by_stage,
            sum([month[place] for place in totals.stages]) - sum(by_stage),
            *[
                (today - days / leads) * DAY_S if leads else None
                for days, leads in zip(month[slices["since"]], by_stage, strict=True)
            ],
            *given,
            own,
            _ratio(before[several][0], sum(before[slices["given"]])),
            target(own, self._targets),
            _ratio(amount / 1000, amounts),
            _ratio(talk_ms / 1000, talked),
            _ratio(win_calls, win_leads),
            *self._by_reason(totals),
            due,
            _ratio(kept, due),
            totals.today[several][2],
        ]

    def _by_reason(self, totals: Totals) -> list[int]:
        """Return the calls of 30 days by reason; reasons that the settings do not name are summed at the end."""
        month = totals.month
        sums = {reason: sum([month[place] for place in places]) for reason, places in totals.reasons.items()}
        named = [sums.get(reason, 0) for reason in self._reasons]
        return [*named, sum(sums.values()) - sum(named)]


def _ratio(part: float, whole: int) -> Value:
    return part / whole if whole else None

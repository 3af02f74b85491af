"""What an outcome row says on a local day: the values of its series, and what its team adds up.

What depends on the manager's own calls as well (calls per won deal, cost per won deal) is put together in
`tables/manager/series.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, chain, islice, product
from operator import mul
from typing import Final, TypeAlias

from msgspec import Struct

from streams.settings.results import CHANNELS, LOST, NONE, OTHER, WON
from streams.settings.settings import Settings
from streams.tables.manager.counts import ALL_KINDS
from streams.tables.outcome.fold import OutcomeRow, attention
from streams.tables.outcome.fold import totals as totals_of
from streams.tables.outcome.totals import PREVIOUS, PROMISES, Layout, Shared, Totals
from streams.targets import target, wilson
from streams.units import DAY_S
from streams.windows import TODAY

Value: TypeAlias = float | None
Series: TypeAlias = tuple[str, tuple[str, ...]]
"""(metric, values of its labels behind `manager` and `team`); the metric is a `Metric.name` of the catalogue."""
Varying: TypeAlias = tuple[tuple[str, ...], float]
"""(values of those labels, value) of a metric whose series differ from manager to manager."""

NUMBERS: Final = ("1", "2", "3", "4", "5+")
KINDS: Final = ALL_KINDS[:-1]
CALL: Final = "call"


class OutcomeView(Struct, gc=False):
    """A manager's leads and deals on a day.

    `values` are aligned with `OutcomeReader.series`. `won` and `won_before` are the deals won in the last 90 days and
    in the 90 before, `touch_cost` what all touches but calls cost, `attention` the leads to show, `shared` what teams
    add up.
    """

    values: list[Value]
    won: int
    won_before: int
    touch_cost: float
    attention: list[Varying]
    shared: list[Shared]


class OutcomeReader:
    """Reads outcome rows under the given settings. What was read is kept in the row."""

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
            "calls": _measures("calls:", NUMBERS),
            "streak": _measures("streak:", NUMBERS),
            "stage": _measures("stage:", self._stages),
            "since": _measures("since:", self._stages),
            "given": _measures("given:", ALL_KINDS),
            "answered": _measures("answered:", ALL_KINDS),
            "presented": _measures("presented:", KINDS),
            "touch": _measures("touch:", touches),
            "of month": ("sum", "moves", "agreed", "talks", "mentor", "stuck", *PROMISES),
            "of quarter": (
                *(f"amount:{self._currency}", f"amounts:{self._currency}"),
                *("win_talk", "win_talked", "win_calls", "win_leads"),
            ),
            "of several": ("won", "proposed", "off_hours"),
        }
        ends = [*accumulate(map(len, blocks.values()))]
        self._slices = {
            name: slice(end - len(block), end) for (name, block), end in zip(blocks.items(), ends, strict=True)
        }
        self._layout = Layout(*chain.from_iterable(blocks.values()))
        self.series = self._series()
        self.nothing = self.read(OutcomeRow(), 0)

    def _series(self) -> tuple[Series, ...]:
        """Return the series whose values are read by `_values`, in the same order."""
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
            "leads_given": list(product(("90d",), ALL_KINDS)),
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

    def read(self, row: OutcomeRow, today: int) -> OutcomeView:
        """Return what the manager's leads and deals come to on the local day `today`."""
        revision = row.state.revision
        seen = row.view
        if seen is not None and seen[:2] != (self, today):
            seen = None
        if seen is not None and seen[2] == revision:
            view: OutcomeView = seen[4]
            return view
        totals = totals_of(row, today, self._layout)
        of_won = self._slices["of several"].start
        view = OutcomeView(
            values=self._values(row, totals),
            won=totals.quarter[of_won],
            won_before=totals.before[of_won],
            touch_cost=sum(map(mul, totals.quarter[self._slices["touch"]], self._costs)),
            attention=seen[4].attention if seen is not None and seen[3] == row.listings else self._shown(row, today),
            shared=totals.shared(),
        )
        row.view = self, today, revision, row.listings, view
        return view

    def _shown(self, row: OutcomeRow, today: int) -> list[Varying]:
        shown = islice(attention(row, today), self._attention_series)
        return [((lead, known.why), known.without_progress) for lead, known in shown]

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
        over = row.state.steps.get("over")
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
        """Return the calls of 30 days by reason, those of reasons without a name last."""
        month = totals.month
        found = {reason: sum([month[place] for place in places]) for reason, places in totals.reasons.items()}
        named = [found.get(reason, 0) for reason in self._reasons]
        return [*named, sum(found.values()) - sum(named)]


def _ratio(part: float, whole: int) -> Value:
    return part / whole if whole else None


def _measures(prefix: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(prefix + name for name in names)

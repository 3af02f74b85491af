"""What an outcome row says on a local day: the values of its series, and what its team adds up.

What depends on the manager's own calls as well (calls per won deal, cost per won deal) is put together in
`manager_series`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice, product
from typing import Final, TypeAlias

from msgspec import Struct

from streams.settings import Settings
from streams.settings_results import CHANNELS, LOST, NONE, OTHER, WON
from streams.tables.counts import ALL_KINDS
from streams.tables.outcome import OutcomeRow, attention
from streams.tables.outcome import totals as totals_of
from streams.tables.outcome_totals import NO_BINS, PREVIOUS, Bins, Totals
from streams.targets import target, wilson
from streams.windows import TODAY

Value: TypeAlias = float | None
Series: TypeAlias = tuple[str, tuple[str, ...]]
"""(metric, values of its labels behind `manager` and `team`); the metric is a `Metric.name` of the catalogue."""
Varying: TypeAlias = tuple[tuple[str, ...], float]
"""(values of those labels, value) of a metric whose series differ from manager to manager."""

NUMBERS: Final = ("1", "2", "3", "4", "5+")
KINDS: Final = ALL_KINDS[:-1]
_DAY_S: Final = 86_400


class OutcomeView(Struct, gc=False):
    """A manager's leads and deals on a day.

    `values` are aligned with `OutcomeReader.series`. `won` and `won_before` are the deals won in the last 90 days and
    in the 90 before, `touch_cost` what all touches but calls cost, `attention` the leads to show, `shared` the bins of
    what teams add up, by measure.
    """

    values: list[Value]
    won: int
    won_before: int
    touch_cost: float
    attention: list[Varying]
    shared: Mapping[str, Bins]


class OutcomeReader:
    """Reads outcome rows under the given settings. What was read is kept in the row."""

    def __init__(self, settings: Settings) -> None:
        results, economics = settings.results, settings.economics
        self._targets = settings.targets
        self._attention_series = results.attention_series
        self._currency = economics.currency
        self._costs = tuple((f"touch:{channel}", economics.costs[channel]) for channel in CHANNELS if channel != "call")
        self._stages = (NONE, *(stage for stage in results.stages if stage not in (WON, LOST)))
        self._reasons = results.reasons
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
        state = row.state
        seen = row.view
        if seen is not None and seen[0] == state.revision and seen[1] == today and seen[2] is self:
            view: OutcomeView = seen[3]
            return view
        totals = totals_of(row, today)
        get = totals.bins.get

        def of_90(measure: str) -> int:
            bins = get(measure, NO_BINS)
            return bins[0] + bins[1] + bins[2] + bins[3]

        view = OutcomeView(
            values=self._values(row, totals),
            won=of_90("won"),
            won_before=get("won", NO_BINS)[4],
            touch_cost=sum(of_90(measure) * cost for measure, cost in self._costs),
            attention=[
                ((lead, known.why), known.without_progress)
                for lead, known in islice(attention(row, today), self._attention_series)
            ],
            shared=totals.shared,
        )
        row.view = (state.revision, today, self, view)
        return view

    def _values(self, row: OutcomeRow, totals: Totals) -> list[Value]:
        get = totals.bins.get

        def of_30(measure: str) -> int:
            bins = get(measure, NO_BINS)
            return bins[0] + bins[1] + bins[2]

        def of_90(measure: str) -> int:
            bins = get(measure, NO_BINS)
            return bins[0] + bins[1] + bins[2] + bins[3]

        today = totals.today
        by_calls = [of_30("calls:" + number) for number in NUMBERS]
        over = row.state.steps.get("over")
        won, proposed = get("won", NO_BINS), get("proposed", NO_BINS)
        won_7, proposed_7 = won[0] + won[1], proposed[0] + proposed[1]
        won_30, proposed_30 = won_7 + won[2], proposed_7 + proposed[2]
        won_90, proposed_90 = won_30 + won[3], proposed_30 + proposed[3]
        bounds = wilson(won_90, proposed_90)
        answered = [get("answered:" + kind, NO_BINS) for kind in ALL_KINDS]
        given = [get("given:" + kind, NO_BINS) for kind in ALL_KINDS]
        given_90 = [bins[0] + bins[1] + bins[2] + bins[3] for bins in given]
        own = _ratio(won_90, sum(given_90))
        by_stage = [of_30("stage:" + stage) for stage in self._stages]
        staged = sum([bins[0] + bins[1] + bins[2] for bins in totals.stages.values()])
        reasons = totals.reasons
        by_reason = [_sum_30(reasons.get(reason, ())) for reason in self._reasons]
        all_reasons = sum([_sum_30(bins) for bins in reasons.values()])
        due = of_30("due")
        return [
            *by_calls,
            _ratio(of_30("sum"), sum(by_calls)),
            0 if over is None else over.get(today, 0),
            won_7,
            won_30,
            won_90,
            proposed_7,
            proposed_90,
            _ratio(won_7, proposed_7),
            _ratio(won_30, proposed_30),
            _ratio(won_90, proposed_90),
            *((None, None) if bounds is None else bounds),
            *[
                _ratio(of_90("presented:" + kind), bins[0] + bins[1] + bins[2] + bins[3])
                for kind, bins in zip(KINDS, answered, strict=False)
            ],
            _ratio(of_30("moves"), _sum_30(answered)),
            _ratio(of_30("agreed"), of_30("talks")),
            *[of_30("streak:" + number) for number in NUMBERS],
            of_30("mentor"),
            of_30("stuck"),
            *by_stage,
            staged - sum(by_stage),
            *[
                (today - of_30("since:" + stage) / leads) * _DAY_S if leads else None
                for stage, leads in zip(self._stages, by_stage, strict=True)
            ],
            *given_90,
            own,
            _ratio(won[4], sum([bins[4] for bins in given])),
            target(own, self._targets),
            _ratio(of_90("amount:" + self._currency) / 1000, of_90("amounts:" + self._currency)),
            _ratio(of_90("win_talk") / 1000, of_90("win_talked")),
            _ratio(of_90("win_calls"), of_90("win_leads")),
            *by_reason,
            all_reasons - sum(by_reason),
            due,
            _ratio(of_30("kept"), due),
            get("off_hours", NO_BINS)[0],
        ]


def _ratio(part: float, whole: int) -> Value:
    return part / whole if whole else None


def _sum_30(all_bins: Iterable[Bins]) -> int:
    return sum([bins[0] + bins[1] + bins[2] for bins in all_bins])

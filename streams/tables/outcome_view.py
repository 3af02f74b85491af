"""What an outcome row says on a local day: the values of its series, and what its team adds up.

What depends on the manager's own calls as well (calls per won deal, cost per won deal) is put together in
`manager_series`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, product, repeat
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
Shared: TypeAlias = tuple[str, int, int]
"""(measure, its sum over 30 days, over 90 days)."""

NUMBERS: Final = ("1", "2", "3", "4", "5+")
KINDS: Final = ALL_KINDS[:-1]
_DAY_S: Final = 86_400


def _measures(prefix: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(prefix + name for name in names)


_GIVEN: Final = _measures("given:", ALL_KINDS)
_ANSWERED: Final = _measures("answered:", ALL_KINDS)


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
        self._costs = tuple((f"touch:{channel}", economics.costs[channel]) for channel in CHANNELS if channel != "call")
        self._stages = (NONE, *(stage for stage in results.stages if stage not in (WON, LOST)))
        self._reasons = results.reasons
        self._months = (
            *("sum", "moves", "agreed", "talks", "mentor", "stuck", "due", "kept"),
            *_measures("calls:", NUMBERS),
            *_measures("streak:", NUMBERS),
            *_measures("stage:", self._stages),
            *_measures("since:", self._stages),
        )
        self._quarters = (
            *("won", "proposed", f"amount:{economics.currency}", f"amounts:{economics.currency}"),
            *("win_talk", "win_talked", "win_calls", "win_leads"),
            *_GIVEN,
            *_ANSWERED,
            *_measures("presented:", KINDS),
        )
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
        won = get("won", NO_BINS)
        view = OutcomeView(
            values=self._values(row, totals),
            won=sum(won[:4]),
            won_before=won[4],
            touch_cost=sum([sum(get(measure, NO_BINS)[:4]) * cost for measure, cost in self._costs]),
            attention=[
                ((lead, known.why), known.without_progress)
                for lead, known in islice(attention(row, today), self._attention_series)
            ],
            shared=[
                (measure, month := bins[0] + bins[1] + bins[2], month + bins[3])
                for measure, bins in totals.shared.items()
            ],
        )
        row.view = (state.revision, today, self, view)
        return view

    def _values(self, row: OutcomeRow, totals: Totals) -> list[Value]:
        get = totals.bins.get
        today = totals.today
        months = [bins[0] + bins[1] + bins[2] for bins in map(get, self._months, repeat(NO_BINS))]
        calls, moves, agreed, talks, mentor, stuck, due, kept, *rest = months
        numbers, stages = len(NUMBERS), len(self._stages)
        by_calls, streaks = rest[:numbers], rest[numbers : 2 * numbers]
        by_stage, since = rest[2 * numbers : 2 * numbers + stages], rest[2 * numbers + stages :]
        quarters = [bins[0] + bins[1] + bins[2] + bins[3] for bins in map(get, self._quarters, repeat(NO_BINS))]
        won_90, proposed_90, amount, amounts, talk_ms, talked, win_calls, win_leads, *rest = quarters
        kinds = len(ALL_KINDS)
        given, answered, presented = rest[:kinds], rest[kinds : 2 * kinds], rest[2 * kinds :]
        leads_given = sum(given)
        won, proposed = get("won", NO_BINS), get("proposed", NO_BINS)
        won_7, proposed_7 = won[0] + won[1], proposed[0] + proposed[1]
        won_30, proposed_30 = won_7 + won[2], proposed_7 + proposed[2]
        own = won_90 / leads_given if leads_given else None
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
            *map(_ratio, presented, answered),
            _ratio(moves, _month(map(get, _ANSWERED, repeat(NO_BINS)))),
            _ratio(agreed, talks),
            *streaks,
            mentor,
            stuck,
            *by_stage,
            _month(totals.stages.values()) - sum(by_stage),
            *[(today - days / leads) * _DAY_S if leads else None for days, leads in zip(since, by_stage, strict=True)],
            *given,
            own,
            _ratio(won[4], sum([bins[4] for bins in map(get, _GIVEN, repeat(NO_BINS))])),
            target(own, self._targets),
            _ratio(amount / 1000, amounts),
            _ratio(talk_ms / 1000, talked),
            _ratio(win_calls, win_leads),
            *self._by_reason(totals),
            due,
            _ratio(kept, due),
            get("off_hours", NO_BINS)[0],
        ]

    def _by_reason(self, totals: Totals) -> list[int]:
        """Return the calls of 30 days by reason, those of reasons without a name last."""
        months = {reason: _month(bins) for reason, bins in totals.reasons.items()}
        named = [months.get(reason, 0) for reason in self._reasons]
        return [*named, sum(months.values()) - sum(named)]


def _ratio(part: float, whole: int) -> Value:
    return part / whole if whole else None


def _month(all_bins: Iterable[Bins]) -> int:
    return sum([bins[0] + bins[1] + bins[2] for bins in all_bins])

"""The view of results: worked examples of every metric, one manager at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from streams.contract.facts import Attention, Outcome
from streams.metrics.catalogue import MANAGER_METRICS
from streams.metrics.coaching import COACHING
from streams.settings.settings import Economics, Results, Settings, SettingsError, Targets, Thresholds, load
from streams.tables.manager.series import MAX_SERIES, VARYING, ManagerSeries, series_count
from streams.tables.manager.view import ManagerCache, ManagerReader
from streams.tables.outcome.fold import OutcomeRow, fold
from streams.targets import wilson
from tests.streams.timeline import DAY, NINE, ended, folded, new_row

TODAY = NINE // DAY
LOCAL = new_row().local
BOUNDS = ", ".join(f'"{number}s"' for number in range(1, 17))
HISTOGRAM = f"thresholds.histogram = [{BOUNDS}]"
Key = tuple[str, tuple[str, ...]]


def outcomes(*changes: tuple[str, int, int], leads: dict[str, Attention | None] | None = None) -> OutcomeRow:
    row = OutcomeRow()
    fold(row, Outcome(src="contacts/0", seq=1, manager="anna", changes=changes, attention=leads or {}))
    return row


def read(
    row: OutcomeRow | None, settings: Settings | None = None, *, now: int = NINE, calls: Any = None, **more: Any
) -> dict[Key, float | None]:
    """Return the metrics of a manager with these outcomes, by (metric, labels)."""
    settings = settings or Settings()
    series = ManagerSeries(settings)
    view = ManagerReader(settings).read(calls or new_row(), now, outcome=row, **more)
    found: dict[Key, float | None] = dict(zip(series.series, series.values(view), strict=True))
    for name, told in zip(VARYING, series.varying(view), strict=True):
        found |= {(name, labels): value for labels, value in told}
    return found


# Contributions of leads, and the metrics of them. TODAY - 89 is in no window of 30 days, TODAY - 90 only in `previous`.
EXAMPLES: list[tuple[str, list[tuple[str, int, int]], dict[Key, Any]]] = [
    (
        "14 deals of 200 calls in which a proposal was discussed: 7 %",
        [("won", TODAY - 3, 9), ("won", TODAY - 60, 5), ("proposed", TODAY, 100), ("proposed", TODAY - 89, 100)],
        {
            ("won_deals", ("7d",)): 9,
            ("won_deals", ("30d",)): 9,
            ("won_deals", ("90d",)): 14,
            ("proposal_calls", ("7d",)): 100,
            ("proposal_calls", ("90d",)): 200,
            ("conversion_ratio", ("7d",)): 0.09,
            ("conversion_ratio", ("30d",)): 0.09,
            ("conversion_ratio", ("90d",)): 0.07,
        },
    ),
    (
        "deals without a proposal noted: more than 100 %, and an interval that ends at 1",
        [("won", TODAY, 3), ("proposed", TODAY, 2)],
        {("conversion_ratio", ("90d",)): 1.5, ("conversion_ratio_upper", ("90d",)): 1.0},
    ),
    (
        "presentations by kind of call",
        [("answered:cold", TODAY, 4), ("presented:cold", TODAY - 80, 1), ("answered:repeat", TODAY - 90, 1)],
        {
            ("presentation_ratio", ("90d", "cold")): 0.25,
            ("presentation_ratio", ("90d", "repeat")): None,
        },
    ),
    (
        "moves and next steps",
        [
            *[("answered:cold", TODAY, 3), ("answered:unknown", TODAY - 29, 2), ("answered:cold", TODAY - 30, 9)],
            *[("moves", TODAY, 4), ("agreed", TODAY, 1), ("talks", TODAY, 4)],
        ],
        {("stage_moves_per_call", ("30d",)): 0.8, ("next_step_ratio", ("30d",)): 0.25},
    ),
    (
        "open leads: by calls, by conversations without progress, those in need",
        [
            *[("calls:2", TODAY, 7), ("sum", TODAY, 14), ("over", TODAY, 3), ("over", TODAY - 1, 2)],
            *[("streak:5+", TODAY, 2), ("streak:1", TODAY - 30, 4), ("mentor", TODAY, 5), ("stuck", TODAY - 29, 2)],
        ],
        {
            ("open_leads_by_calls", ("2",)): 7,
            ("calls_per_lead", ("30d",)): 2.0,
            ("leads_over_called", ("today",)): 3,
            ("open_leads_by_conversations", ("5+",)): 2,
            ("open_leads_by_conversations", ("1",)): 0,
            ("leads_consultation_due", ()): 5,
            ("leads_stuck", ()): 2,
        },
    ),
    (
        "stages: two leads in proposal since 4 and 8 days, one since 40, one in a stage that the settings do not name",
        [
            *[("stage:proposal", TODAY, 3), ("since:proposal", TODAY, 3 * TODAY - 52)],
            *[("stage:other", TODAY, 1), ("stage:haggling", TODAY, 2)],
        ],
        {
            ("open_leads_by_stage", ("proposal",)): 3,
            ("open_leads_by_stage", ("none",)): 0,
            ("open_leads_by_stage", ("other",)): 3,
            ("mean_stage_age_seconds", ("proposal",)): pytest.approx(52 / 3 * 86_400),
            ("mean_stage_age_seconds", ("none",)): None,
        },
    ),
    (
        "2 deals of 100 leads given: 2 %, and a target of 2.75 %; the quarter before 1 of 50",
        [
            *[("given:cold", TODAY, 60), ("given:unknown", TODAY - 89, 40), ("won", TODAY - 80, 2)],
            *[("given:cold", TODAY - 90, 50), ("won", TODAY - 179, 1), ("won", TODAY - 180, 1)],
        ],
        {
            ("leads_given", ("90d", "cold")): 60,
            ("leads_given", ("90d", "unknown")): 40,
            ("first_call_deal_ratio", ("90d",)): 0.02,
            ("first_call_deal_ratio", ("previous",)): 0.02,
            ("target_ratio", ()): pytest.approx(0.0275),
        },
    ),
    (
        "won deals: mean amount where it is known, first talk, calls to win",
        [
            *[("won", TODAY, 4), ("amount:EUR", TODAY, 3_000_500), ("amounts:EUR", TODAY, 2)],
            *[("amount:USD", TODAY, 9_000_000), ("amounts:USD", TODAY, 1)],
            *[
                ("win_talk", TODAY, 900_000),
                ("win_talked", TODAY, 3),
                ("win_calls", TODAY, 10),
                ("win_leads", TODAY, 4),
            ],
        ],
        {
            ("mean_won_amount", ("90d", "EUR")): 1500.25,
            ("won_first_call_talk_seconds", ("90d",)): 300.0,
            ("won_calls_per_deal", ("90d",)): 2.5,
        },
    ),
    (
        "follow-ups by reason",
        [
            *[("reason:reminder@none", TODAY, 3), ("reason:reminder@proposal", TODAY - 29, 1)],
            *[("reason:other@x", TODAY, 2), ("reason:hobby@none", TODAY, 5), ("reason:reminder@none", TODAY - 30, 9)],
        ],
        {
            ("follow_up_calls", ("30d", "reminder")): 4,
            ("follow_up_calls", ("30d", "sending_proposal")): 0,
            ("follow_up_calls", ("30d", "other")): 7,
        },
    ),
    (
        "promises: 3 of 4 kept; tomorrow's are not due",
        [("due", TODAY, 4), ("kept", TODAY - 29, 3), ("due", TODAY + 1, 9), ("kept", TODAY + 1, 9)],
        {("next_steps_due", ("30d",)): 4, ("next_steps_kept_ratio", ("30d",)): 0.75},
    ),
    ("dials at night", [("off_hours", TODAY, 2), ("off_hours", TODAY - 1, 5)], {("calls_off_hours", ("today",)): 2}),
]


@pytest.mark.parametrize(("changes", "expected"), [example[1:] for example in EXAMPLES], ids=[e[0] for e in EXAMPLES])
def test_worked_examples(changes: list[tuple[str, int, int]], expected: dict[Key, float | None]) -> None:
    found = read(outcomes(*changes))
    assert {key: found[key] for key in expected} == expected


def test_every_metric_of_results_has_a_worked_example() -> None:
    shown = {name for _, _, expected in EXAMPLES for name, _ in expected}
    shown |= {"conversion_ratio_lower", "calls_per_won_deal", "plan_calls_per_day", "cost_per_won_deal"}  # below
    shown |= {"lead_attention"}
    shown |= {metric.name for metric in COACHING}  # in the tests of coaching
    others = {metric.name for metric in MANAGER_METRICS} - shown
    assert not {name for name in others if any(word in name for word in ("won", "lead", "ratio", "stage", "step"))} - {
        "connect_ratio",
        "short_call_ratio",
    }


def test_the_interval_is_wilsons() -> None:
    found = read(outcomes(("won", TODAY, 14), ("proposed", TODAY, 200)))
    bounds = found["conversion_ratio_lower", ("90d",)], found["conversion_ratio_upper", ("90d",)]
    assert bounds == wilson(14, 200)
    assert bounds == pytest.approx((0.0422, 0.1141), abs=1e-4)


class TestNorms:
    # 12 calls today, and 20 a hundred days ago
    CALLS = tuple(ended(f"c{number}", NINE + number, begun=NINE) for number in range(12))
    EARLIER = tuple(ended(f"e{number}", NINE - 100 * DAY + number, begun=NINE - 100 * DAY) for number in range(20))

    def test_calls_and_cost_per_deal(self) -> None:
        calls, _ = folded([*self.EARLIER, *self.CALLS])
        row = outcomes(
            *[("won", TODAY, 3), ("won", TODAY - 90, 4), ("touch:email", TODAY, 20), ("touch:meeting", TODAY - 89, 1)],
            ("touch:messenger", TODAY - 90, 100),
        )
        found = read(row, calls=calls, plan_deals=10.5)
        assert found["calls_per_won_deal", ("90d",)] == 4.0
        assert found["calls_per_won_deal", ("previous",)] == 5.0
        assert found["plan_calls_per_day", ()] == 2.0  # 10.5 deals of 4 calls in 21 days
        assert found["cost_per_won_deal", ("90d",)] == pytest.approx((12 * 1.0 + 20 * 0.1 + 25.0) / 3)

    def test_1200_calls_for_10_deals_are_120_calls_a_deal(self) -> None:
        begun = NINE - 40 * DAY
        calls, _ = folded([ended(f"c{number}", begun + number, begun=begun) for number in range(1200)])
        assert read(outcomes(("won", TODAY, 10)), calls=calls)["calls_per_won_deal", ("90d",)] == 120

    def test_without_deals_or_plan_there_is_no_norm(self) -> None:
        calls, _ = folded(self.CALLS)
        none, no_plan = read(outcomes(), calls=calls, plan_deals=5), read(outcomes(("won", TODAY, 1)), calls=calls)
        assert none["calls_per_won_deal", ("90d",)] is None
        assert none["plan_calls_per_day", ()] is None
        assert none["cost_per_won_deal", ("90d",)] is None
        assert no_plan["plan_calls_per_day", ()] is None

    def test_the_quarter_before_is_not_told_where_days_are_not_kept_for_so_long(self) -> None:
        row = outcomes(("won", TODAY, 1), ("won", TODAY - 90, 1))
        for days, told in ((179, False), (180, True)):
            found = read(row, Settings(thresholds=Thresholds(day_rows=days)))
            assert (found["calls_per_won_deal", ("previous",)] is not None) == told

    def test_the_quarter_before_goes_on_day_by_day_as_it_is_read(self) -> None:
        calls, _ = folded([ended(f"c{day}", NINE + day * DAY, begun=NINE + day * DAY) for day in range(3)])
        row = outcomes(("won", TODAY, 1))
        fold(row, Outcome(src="contacts/0", seq=2, manager="anna", changes=(("won", TODAY + 2, 1),)))
        reader, cache = ManagerReader(Settings()), ManagerCache()
        legs = [reader.read(calls, NINE + day * DAY, outcome=row, cache=cache).legs_before for day in range(88, 185)]
        assert legs == [0, 0, 1, 2, *[3] * 88, 2, 1, 0, 0, 0]
        fresh = [ManagerReader(Settings()).read(calls, NINE + day * DAY).legs_before for day in (90, 91, 92, 180, 181)]
        assert fresh == [1, 2, 3, 2, 1]

    @pytest.mark.parametrize(
        ("given", "won", "expected"), [(0, 0, 0.01), (100, 0, 0.01), (100, 3, 0.0375), (100, 40, 0.05)]
    )
    def test_the_target_lies_between_floor_and_cap(self, given: int, won: int, expected: float) -> None:
        found = read(outcomes(("given:cold", TODAY, given), ("won", TODAY, won)))
        assert found["target_ratio", ()] == pytest.approx(expected)

    def test_targets_and_costs_are_settings(self) -> None:
        settings = Settings(
            targets=Targets(gain=0.1, floor=0.2, cap=0.5),
            economics=Economics(currency="USD", currencies=("USD",), costs=replace(Economics().costs, call=2.0)),
        )
        calls, _ = folded(self.CALLS)
        found = read(outcomes(("won", TODAY, 2), ("given:cold", TODAY, 10)), settings, calls=calls)
        assert found["target_ratio", ()] == pytest.approx(0.3)
        assert found["cost_per_won_deal", ("90d",)] == 12.0
        assert ("mean_won_amount", ("90d", "USD")) in found


class TestAttention:
    @staticmethod
    def leads(number: int) -> dict[str, Attention | None]:
        return {
            f"lead-{without}": Attention(
                attempts=9, without_progress=without, stage="none", stage_since=NINE, why="consultation", day=TODAY
            )
            for without in range(3, 3 + number)
        }

    @pytest.mark.parametrize(("limit", "shown"), [(0, 0), (3, 3), (8, 5)])
    def test_the_leads_that_need_help_most_are_series(self, limit: int, shown: int) -> None:
        row = outcomes(leads=self.leads(5))
        found = read(row, Settings(results=Results(attention_series=limit)))
        of_leads = {labels: value for (name, labels), value in found.items() if name == "lead_attention"}
        assert of_leads == {(f"lead-{n}", "consultation"): n for n in range(7, 7 - shown, -1)}

    def test_the_list_is_read_anew_when_it_changes_and_when_it_ages(self) -> None:
        row, settings = outcomes(leads=self.leads(1)), Settings()
        reader, cache = ManagerReader(settings), ManagerCache()
        assert len(reader.read(new_row(), NINE, outcome=row, cache=cache).outcome.attention) == 1
        fold(row, Outcome(src="contacts/0", seq=2, manager="anna", attention=self.leads(2)))
        assert len(reader.read(new_row(), NINE, outcome=row, cache=cache).outcome.attention) == 2
        fold(row, Outcome(src="contacts/0", seq=3, manager="anna", changes=(("won", TODAY, 1),)))
        assert reader.read(new_row(), NINE, outcome=row, cache=cache).outcome.won == 1
        assert len(reader.read(new_row(), NINE + 30 * DAY, outcome=row, cache=cache).outcome.attention) == 0


class TestSettings:
    def test_a_manager_has_at_most_190_series(self) -> None:
        settings = Settings()
        series = ManagerSeries(settings)
        assert series_count(settings) == series.count <= MAX_SERIES == 190
        assert series.count == len(series.series) + 1 + settings.results.attention_series

    @pytest.mark.parametrize(
        ("toml", "key"),
        [
            ("[results]\nattention_series = 20", "results.attention_series"),
            (f"results.attention_series = 12\n{HISTOGRAM}", "thresholds.histogram"),
        ],
    )
    def test_settings_that_would_make_more_are_refused_with_the_count(self, toml: str, key: str) -> None:
        settings = load(toml, {})
        with pytest.raises(SettingsError) as caught:
            series_count(settings)
        problem = caught.value.problems[0]
        assert problem.key.startswith(key)
        assert "series a manager, and at most 190" in problem.message

    def test_stages_and_reasons_are_those_of_the_settings(self) -> None:
        results = Results(stages=("presentation", "proposal", "haggling", "won", "lost"), reasons=("hobby",))
        found = read(outcomes(("stage:haggling", TODAY, 2), ("reason:hobby@x", TODAY, 3)), Settings(results=results))
        assert found["open_leads_by_stage", ("haggling",)] == 2
        assert found["open_leads_by_stage", ("other",)] == 0
        assert found["follow_up_calls", ("30d", "hobby")] == 3
        assert [labels for name, labels in found if name == "follow_up_calls"] == [("30d", "hobby"), ("30d", "other")]
        assert not [labels for name, labels in found if "stage" in name and labels in {("won",), ("lost",)}]


def test_whatever_a_row_holds_its_series_are_the_same() -> None:
    changes = [(f"{head}:{number}", TODAY, 1) for head in ("stage", "since", "calls") for number in range(500)]
    changes += [(f"reason:r{number}@s{number}", TODAY, 1) for number in range(500)]
    changes += [(f"won@product=p{number}", TODAY, 1) for number in range(500)]
    crowded, empty = read(outcomes(*changes)), read(None)
    assert crowded.keys() == empty.keys()
    assert Counter(name for name, _ in crowded)["follow_up_calls"] == 5
    assert crowded["follow_up_calls", ("30d", "other")] == 500
    assert crowded["open_leads_by_stage", ("other",)] == 500

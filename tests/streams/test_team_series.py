"""The series of a team from its managers, and the values of a dimension that are shown by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.facts import Outcome
from streams.metrics.catalogue import TEAM_METRICS
from streams.settings.settings import Economics, Results, Settings
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.view import ManagerCache, ManagerReader, ManagerView
from streams.tables.outcome.fold import OutcomeRow, fold
from streams.tables.team.series import Teams, TeamSeries
from tests.examples import examples
from tests.streams.timeline import DAY, NINE, ended, folded, new_row

TODAY = NINE // DAY
PLAIN = Settings()
Change = tuple[str, int, int]


def view(
    *changes: Change,
    row: OutcomeRow | None = None,
    calls: ManagerRow | None = None,
    cache: ManagerCache | None = None,
) -> ManagerView:
    row = OutcomeRow() if row is None else row
    fold(row, Outcome(src="contacts/0", seq=row.state.revision, manager="anna", changes=changes))
    return ManagerReader(PLAIN).read(calls or new_row(), NINE, outcome=row, cache=cache)


def shown(*views: ManagerView, settings: Settings = PLAIN) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the series of a team of managers, by metric and labels."""
    teams = Teams()
    for number, of_manager in enumerate(views):
        teams.update(f"manager-{number}", "north", of_manager)
    return series(teams, settings)


def series(teams: Teams, settings: Settings = PLAIN) -> dict[str, dict[tuple[str, ...], float]]:
    found = zip(TEAM_METRICS, TeamSeries(settings).series(teams.sums["north"]), strict=True)
    named = {metric.name: dict(told) for metric, told in found}
    for metric, told in zip(TEAM_METRICS, TeamSeries(settings).series(teams.sums["north"]), strict=True):
        assert len(dict(told)) == len(told), f"{metric.name} has a series twice"
        assert all(len(labels) == len(metric.labels) - 2 for labels, _ in told)
    return named


def test_managers_of_a_team_are_added_up() -> None:
    found = shown(
        view(("won@product=crane", TODAY, 1), ("proposed@product=crane", TODAY - 89, 4), ("reach:call", TODAY, 3)),
        view(("won@product=crane", TODAY, 2), ("proposed@product=lift", TODAY - 90, 4), ("reach:call", TODAY - 30, 5)),
    )
    assert found["team_won_deals"] == {("90d", "product", "crane"): 3}
    assert found["team_proposal_calls"] == {("90d", "product", "crane"): 4}
    assert {labels: n for labels, n in found["team_funnel_leads"].items() if n} == {
        ("30d", "call"): 3,
        ("90d", "call"): 8,
    }
    assert len(found["team_funnel_leads"]) == 8


def test_a_value_without_deals_has_a_conversion_of_0_and_none_is_missing() -> None:
    found = shown(view(("proposed@first_kind=cold", TODAY, 4), ("won@first_kind=none", TODAY, 1)))
    assert found["team_won_deals"] == {("90d", "first_kind", "cold"): 0, ("90d", "first_kind", "none"): 1}
    assert found["team_proposal_calls"] == {("90d", "first_kind", "cold"): 4, ("90d", "first_kind", "none"): 0}


def test_touches_and_what_they_cost() -> None:
    calls, _ = folded([ended(f"c{number}", NINE + number, begun=NINE) for number in range(5)])
    found = shown(view(("touch:email", TODAY, 10), ("touch:meeting", TODAY - 89, 2), calls=calls), view(calls=calls))
    assert found["team_touches"] == {
        ("90d", "call"): 10,
        ("90d", "email"): 10,
        ("90d", "messenger"): 0,
        ("90d", "meeting"): 2,
    }
    assert found["team_cost"] == {
        ("90d", "call"): 10.0,
        ("90d", "email"): 1.0,
        ("90d", "messenger"): 0.0,
        ("90d", "meeting"): 50.0,
    }


def test_amounts_by_channel_and_currency() -> None:
    changes = [
        *[("won@channel=phone", TODAY, 2), ("won@channel=fax", TODAY, 1), ("won@channel=pigeon", TODAY, 1)],
        *[("amount@channel=phone:EUR", TODAY, 1_500), ("amount@channel=phone:USD", TODAY, 7_000)],
        *[("amount@channel=fax:EUR", TODAY, 250), ("amount@channel=pigeon:EUR", TODAY - 89, 1_000)],
        *[("amount@channel=phone:EUR", TODAY - 90, 9_000), ("amount@channel=phone:GBP", TODAY, 9_000)],
    ]
    two = Settings(economics=Economics(currencies=("EUR", "USD")), results=Results(channels=("phone",), max_values=1))
    assert shown(view(*changes), settings=two)["team_won_amount"] == {
        ("90d", "phone", "EUR"): 1.5,
        ("90d", "phone", "USD"): 7.0,
        ("90d", "other", "EUR"): 1.25,
    }


def test_follow_ups_by_reason_and_stage() -> None:
    changes = [("reason:reminder@none", TODAY, 2), ("reason:hobby@x", TODAY, 1), ("reason:other@other", TODAY - 29, 3)]
    found = shown(view(*changes, ("reason:reminder@none", TODAY - 30, 50)))
    assert found["team_follow_up_calls"] == {("30d", "reminder", "none"): 2, ("30d", "other", "other"): 4}


def test_weekdays_of_eight_weeks() -> None:
    # Two managers: one called twice on each of the last two Mondays, the other once today and once nine weeks ago.
    monday = NINE - (TODAY + 3) % 7 * DAY - 7 * DAY
    calls, _ = folded(
        [
            ended(f"c{week}{number}", monday - week * 7 * DAY + number, begun=monday - week * 7 * DAY, talk=30_000)
            for week in (1, 0)
            for number in range(2)
        ]
    )
    others, _ = folded([ended("a", NINE - 63 * DAY, begun=NINE - 63 * DAY), ended("b", NINE, begun=NINE)])
    found = shown(view(calls=calls), view(calls=others))
    assert found["team_weekday_days"] == {(day,): 2 * (day == "mon") for day in WEEK}
    assert found["team_weekday_calls"][("mon",)] == 4
    assert found["team_weekday_talk_seconds"][("mon",)] == 120.0


WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@pytest.mark.parametrize(
    ("limit", "listed", "names"),
    [
        (8, (), {"a", "b", "c", "d"}),
        (2, (), {"b", "c", "other"}),  # most deals and proposals first, then by name
        (2, ("d",), {"d", "b", "other"}),  # the settings come first
        (1, ("unheard-of",), {"b", "other"}),  # a value that does not occur takes no place
    ],
)
def test_values_are_shown_by_name_up_to_the_limit(limit: int, listed: tuple[str, ...], names: set[str]) -> None:
    changes = [("proposed@product=a", TODAY, 1), ("proposed@product=b", TODAY, 3), ("won@product=c", TODAY, 2)]
    changes += [("won@product=b", TODAY, 1), ("won@product=d", TODAY, 1)]
    found = shown(view(*changes), settings=Settings(results=Results(products=listed, max_values=limit)))
    assert {value for _, _, value in found["team_won_deals"]} == names
    assert sum(found["team_won_deals"].values()) == 4
    assert sum(found["team_proposal_calls"].values()) == 4


def test_a_value_that_reads_like_a_telephone_number_is_never_shown() -> None:
    changes = [("won@product=+31150010001", TODAY, 9), ("won@client_type=06 0015001000", TODAY, 9)]
    found = shown(view(*changes))
    assert found["team_won_deals"] == {("90d", "product", "other"): 9, ("90d", "client_type", "other"): 9}


def test_unknown_values_never_blow_up_the_series() -> None:
    views = [
        view(
            *((f"{head}@{dimension}=v{manager}.{number}", TODAY, 1)
            for head in ("won", "proposed") for dimension in ("product", "client_type", "channel", "first_kind")
            for number in range(100)),
            *((f"amount@channel=v{manager}.{number}:EUR", TODAY, 1) for number in range(100)),
            *((f"reason:r{manager}.{number}@s{number}", TODAY, 1) for number in range(100)),
        )
        for manager in range(20)
    ]  # fmt: skip
    found = shown(*views)
    assert {name: len(told) for name, told in found.items()} == {
        "team_won_deals": 4 * 9,
        "team_proposal_calls": 4 * 9,
        "team_won_amount": 9,
        "team_touches": 4,
        "team_cost": 4,
        "team_funnel_leads": 8,
        "team_follow_up_calls": 1,
        "team_weekday_days": 7,
        "team_weekday_calls": 7,
        "team_weekday_talk_seconds": 7,
    }
    assert sum(found["team_won_deals"].values()) == 20 * 4 * 100
    assert sum(found["team_follow_up_calls"].values()) == 2000


@examples(100)
@given(st.data())
def test_sums_that_are_kept_are_those_of_what_was_told_last(data: st.DataObject) -> None:
    measures = ["won@product=a", "won@product=b", "proposed@product=a", "reach:call", "touch:email", "reason:x@none"]
    rows = [OutcomeRow(), OutcomeRow()]
    calls = [new_row(), new_row()]
    caches = [ManagerCache(), ManagerCache()]
    kept, last = Teams(), dict[int, ManagerView]()
    for step in range(data.draw(st.integers(1, 10))):
        number = data.draw(st.integers(0, 1))
        change = st.tuples(
            st.sampled_from(measures),
            st.sampled_from([0, 29, 30, 89, 90]).map(TODAY.__sub__),
            st.sampled_from([-1, 1, 2]),
        )
        if data.draw(st.booleans()):
            at = NINE - data.draw(st.integers(0, 20)) * DAY
            folded([ended(f"c{step}", at, begun=at)], calls[number])
        changes = data.draw(st.lists(change, max_size=4))
        last[number] = view(*changes, row=rows[number], calls=calls[number], cache=caches[number])
        kept.update(f"manager-{number}", "north", last[number])
    fresh = Teams()
    for number, of_manager in last.items():
        fresh.update(f"manager-{number}", "north", of_manager)
    assert series(kept) == series(fresh)

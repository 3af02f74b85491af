"""Outcome rows: deltas of many leads, summed by window for one manager, with any order of folds and reads."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.facts import Attention, Outcome, Why
from streams.tables.measures import PROMISES
from streams.tables.outcome import fold as outcome
from streams.tables.outcome.fold import (
    DAYS_KEPT,
    MAX_ATTENTION,
    MAX_NAMES,
    OutcomeRecords,
    OutcomeRow,
    attention,
    days_kept,
    fold,
    totals,
)
from streams.tables.outcome.totals import Layout
from tests.examples import examples

TODAY = 20_000
LAYOUT = Layout("won", "due", "stage:none")
# Ages around the edges of every window, and some days ahead.
AGES = [-1, 0, 1, 5, 6, 7, 28, 29, 30, 31, 88, 89, 90, 91, 178, 179, 180, 181, 190]
MEASURES = ["sum", "calls:1", "due", "kept", "won", "given:cold", "stage:none", "stage:qualified", "reach:call"]
DIMENSIONED = [
    "won@product=a",
    "proposed@product=a",
    "proposed@product=b@c=d:e",
    "amount@channel=phone:EUR",
    "reason:x@none",
]


Change: TypeAlias = tuple[str, int, int]
Leads: TypeAlias = dict[str, Attention | None]


def changes(today: int) -> st.SearchStrategy[list[Change]]:
    """Draw the changes of a fact: ages at the edges of the windows, and promises for next year."""
    by = st.sampled_from([1, 1, 2, -1, 1000])
    days = st.sampled_from(AGES).map(today.__sub__)
    later = st.sampled_from([today + 2, today + 400])
    one = st.tuples(st.sampled_from(MEASURES + DIMENSIONED), days, by) | st.tuples(st.sampled_from(PROMISES), later, by)
    return st.lists(one, max_size=6)


def told(seq: int, *changes: Change, src: str = "contacts/0", leads: Leads | None = None) -> Outcome:
    return Outcome(src=src, seq=seq, manager="anna", changes=changes, attention=leads or {})


def row_of(*changes: tuple[str, int, int]) -> OutcomeRow:
    row = OutcomeRow()
    fold(row, told(1, *changes))
    return row


def listed(why: Why = "consultation", *, without: int = 3, since: int = 0, day: int = TODAY) -> Attention:
    return Attention(
        attempts=9, without_progress=without, reason="reminder", stage="none", stage_since=since, why=why, day=day
    )


def sums(row: OutcomeRow, measure: str, today: int = TODAY) -> tuple[int, ...]:
    """Return the sums of a measure: today, 7d, 30d, 90d, previous."""
    found = totals(row, today, LAYOUT)
    place = found.places.get(measure)
    windows = (found.today, found.week, found.month, found.quarter, found.before)
    return (0,) * 5 if place is None else tuple(window[place] for window in windows)


def counted(entries: dict[tuple[str, int], int], measure: str, today: int) -> tuple[int, ...]:
    """The definition: the sums of a measure by the days that its entries lie on."""

    def between(first: int, last: int) -> int:
        return sum(n for (name, day), n in entries.items() if name == measure and first <= day <= last)

    ahead = today if measure in {"due", "kept"} else 1_000_000
    windows = [between(today - length + 1, ahead) for length in (1, 7, 30, 90)]
    return *windows, between(today - 179, today - 90)


class TestWindows:
    @pytest.mark.parametrize("measure", ["won", "due"])
    @pytest.mark.parametrize(("age", "windows"), [(0, 4), (1, 3), (6, 3), (7, 2), (29, 2), (30, 1), (89, 1), (90, 0)])
    def test_a_window_holds_its_local_days(self, measure: str, age: int, windows: int) -> None:
        row = row_of((measure, TODAY - age, 5))
        assert sums(row, measure)[:4] == (0,) * (4 - windows) + (5,) * windows

    @pytest.mark.parametrize(("age", "inside"), [(89, 0), (90, 5), (179, 5), (180, 0)])
    def test_the_window_before_the_last_90_days_has_90_days(self, age: int, inside: int) -> None:
        assert sums(row_of(("won", TODAY - age, 5)), "won")[4] == inside

    def test_what_is_dated_ahead_counts_today_but_a_promise_on_its_day(self) -> None:
        row = row_of(("won", TODAY + 1, 1), ("due", TODAY + 1, 1), ("kept", TODAY + 1, 1))
        assert sums(row, "won")[0] == 1
        assert (sums(row, "due")[3], sums(row, "kept")[3]) == (0, 0)
        assert (sums(row, "due", TODAY + 1)[0], sums(row, "kept", TODAY + 1)[0]) == (1, 1)

    @examples(150)
    @given(st.data())
    def test_sums_are_those_of_the_entries_whenever_they_are_read(self, data: st.DataObject) -> None:
        row, entries, today = OutcomeRow(), Counter[tuple[str, int]](), TODAY
        for seq in range(data.draw(st.integers(1, 12))):
            fact = told(seq, *data.draw(changes(today)))
            fold(row, fact)
            for measure, day, by in fact.changes:
                entries[measure, day] += by
            if data.draw(st.booleans()):  # the sums go on from here, change by change and day by day
                today += data.draw(st.sampled_from([0, 0, 1, 1, 1, 2, 40]))
                for measure in MEASURES + DIMENSIONED:
                    assert self.read(row, measure, today) == self.expected(entries, measure, today)
        fresh = outcome.load(outcome.dump(row))
        assert fresh == row
        for measure in MEASURES + DIMENSIONED:
            assert self.read(fresh, measure, today) == self.expected(entries, measure, today)

    def read(self, row: OutcomeRow, measure: str, today: int) -> tuple[int, ...]:
        return sums(row, measure, today)[: self.windows(measure)]

    def expected(self, entries: Counter[tuple[str, int]], measure: str, today: int) -> tuple[int, ...]:
        return counted(entries, measure, today)[: self.windows(measure)]

    @staticmethod
    def windows(measure: str) -> int:
        """Return the number of windows that a metric reads: entries are not kept for the others."""
        return {32: 3, 92: 4, DAYS_KEPT: 5}[days_kept(measure)]


class TestFacts:
    def test_a_fact_that_is_sent_again_is_a_duplicate(self) -> None:
        row = OutcomeRow()
        folded = [fold(row, told(seq, ("sum", TODAY, 1))) for seq in (1, 1, 7, 3)]
        assert folded == ["applied", "duplicate", "applied", "duplicate"]
        assert fold(row, told(1, ("sum", TODAY, 1), src="contacts/1")) == "applied"
        assert sums(row, "sum")[0] == 3

    def test_a_duplicate_lists_no_lead(self) -> None:
        row = OutcomeRow()
        fold(row, told(2, leads={"lead": listed()}))
        fold(row, told(2, leads={"lead": None}))
        assert len(list(attention(row, TODAY))) == 1

    def test_what_is_taken_back_leaves_nothing(self) -> None:
        row = row_of(("won", TODAY, 1), ("won@product=a", TODAY, 1))
        fold(row, told(2, ("won", TODAY, -1), ("won@product=a", TODAY, -1)))
        assert row.state.steps == {}

    def test_of_two_leads_one_may_take_back_before_the_other_gives(self) -> None:
        row = row_of(("stage:none", TODAY - 3, -1))
        fold(row, told(1, ("stage:none", TODAY - 3, 1), src="contacts/1"))
        assert row.state.steps == {}

    @examples(100)
    @given(
        st.lists(changes(TODAY), max_size=12),
        st.data(),
    )
    def test_facts_sent_again_after_a_crash_change_nothing(self, log: list[list[Change]], data: st.DataObject) -> None:
        facts = [told(seq, *said) for seq, said in enumerate(log)]
        undisturbed, row = OutcomeRow(), OutcomeRow()
        for fact in facts:
            fold(undisturbed, fact)
        at = data.draw(st.integers(0, len(facts)))
        back = data.draw(st.integers(0, at))
        for fact in [*facts[:at], *facts[back:], *facts[back:]]:
            fold(row, fact)
        assert row == undisturbed


class TestForgetting:
    @pytest.mark.parametrize(("measure", "days"), [("stage:none", 32), ("reach:call", 92), ("won", 182)])
    def test_entries_go_once_no_window_holds_them(self, measure: str, days: int) -> None:
        row = row_of((measure, TODAY - days, 1))
        fold(row, told(2, ("sum", TODAY, 1)))
        assert measure in row.state.steps
        fold(row, told(3, ("sum", TODAY + 1, 1)))
        assert measure not in row.state.steps

    def test_a_promise_of_next_year_ages_nothing(self) -> None:
        row = row_of(("stage:none", TODAY, 1), ("due", TODAY + 400, 1))
        assert row.state.latest_day == TODAY
        assert sums(row, "stage:none")[2] == 1

    def test_listed_leads_go_with_their_month(self) -> None:
        row = OutcomeRow()
        fold(row, told(1, ("sum", TODAY, 1), leads={"lead": listed(day=TODAY)}))
        assert [lead for lead, _ in attention(row, TODAY + 29)] == ["lead"]
        assert list(attention(row, TODAY + 30)) == []
        fold(row, told(2, ("sum", TODAY + 33, 1)))
        assert row.state.attention == {}


class TestNames:
    def test_beyond_the_limit_values_count_as_other(self) -> None:
        row = OutcomeRow()
        for number in range(1000):
            fold(row, told(number, (f"proposed@product=p{number}", TODAY, 1), ("proposed@channel=phone", TODAY, 1)))
        products = [measure for measure in row.state.steps if "@product=" in measure]
        assert len(products) == MAX_NAMES + 1
        assert sums(row, "proposed@product=other")[0] == 1000 - MAX_NAMES
        assert sums(row, "proposed@channel=phone")[0] == 1000
        assert row.folded == ["product"] * (1000 - MAX_NAMES)

    def test_a_known_value_is_known_to_every_measure(self) -> None:
        row = OutcomeRow()
        for number in range(MAX_NAMES + 5):
            fold(row, told(number, (f"proposed@channel=c{number}", TODAY, 1)))
        fold(row, told(1000, ("won@channel=c3", TODAY, 1), ("amount@channel=c3:EUR", TODAY, 7)))
        fold(row, told(1001, ("won@channel=c66", TODAY, 1), ("amount@channel=c66:EUR", TODAY, 9)))
        found = {measure: sums(row, measure)[0] for measure in row.state.steps if not measure.startswith("proposed")}
        assert found == {
            "won@channel=c3": 1,
            "amount@channel=c3:EUR": 7,
            "won@channel=other": 1,
            "amount@channel=other:EUR": 9,
        }

    def test_names_of_which_nothing_is_left_make_room(self) -> None:
        row = OutcomeRow()
        for seq, (name, by) in enumerate((name, by) for by in (1, -1) for name in range(MAX_NAMES)):
            fold(row, told(seq, (f"won@product=old {name}", TODAY, by)))
        fold(row, told(1000, *((f"won@product=new {name}", TODAY, 1) for name in range(MAX_NAMES))))
        assert row.folded == []
        fold(row, told(1001, ("won@product=one more", TODAY - 50, 1), ("won@product=new 1", TODAY, -1)))
        assert row.folded == ["product"]
        fold(row, told(1002, ("won@product=late", TODAY, 1)))  # a name is free, but `other` is not
        assert row.folded == ["product"] * 2
        fold(row, told(1003, ("won@product=one more", TODAY - 50, -1), ("won@product=late", TODAY, -1)))
        fold(row, told(1004, ("won@product=later", TODAY, 1)))
        assert "won@product=later" in row.state.steps

    def test_names_of_days_that_are_forgotten_make_room(self) -> None:
        row = row_of(*((f"won@product=old {name}", TODAY, 1) for name in range(MAX_NAMES + 1)))
        fold(row, told(2, ("sum", TODAY + 93, 1)))
        fold(row, told(3, *((f"won@product=new {name}", TODAY + 93, 1) for name in range(MAX_NAMES))))
        assert row.folded == ["product"]
        assert len(row.state.steps) == MAX_NAMES + 1

    @examples(50)
    @given(st.data())
    def test_what_counted_as_other_is_taken_back_from_other(self, data: st.DataObject) -> None:
        row, given_, seq = OutcomeRow(), Counter[str](), 0
        names = [f"p{number}" for number in range(MAX_NAMES + 6)]
        for name in names:
            fold(row, told(seq := seq + 1, (f"won@product={name}", TODAY, 1)))
            given_[name] += 1
        for _ in range(data.draw(st.integers(0, 60))):
            name = data.draw(st.sampled_from(names))
            by = -1 if given_[name] and data.draw(st.booleans()) else 1
            fold(row, told(seq := seq + 1, (f"won@product={name}", TODAY, by)))
            given_[name] += by
            if data.draw(st.booleans()):
                row = outcome.load(outcome.dump(row))
        found = {measure: steps[TODAY] for measure, steps in row.state.steps.items()}
        assert sum(found.values()) == given_.total()
        assert min(found.values(), default=0) >= 0
        assert len(found) <= MAX_NAMES + 1
        for name in names:  # all of it lies under the name, or all of it under other
            assert found.get(f"won@product={name}", 0) in {0, given_[name]}


class TestAttention:
    def test_the_most_urgent_lead_comes_first(self) -> None:
        row = OutcomeRow()
        fold(
            row,
            told(
                1,
                leads={
                    "e": listed("consultation", without=9, since=1),
                    "d": listed("stuck", without=5, since=8),
                    "c": listed("stuck", without=5, since=7),
                    "b": listed("stuck", without=5, since=7),
                    "a": listed("stuck", without=6, since=9),
                },
            ),
        )
        assert [lead for lead, _ in attention(row, TODAY)] == ["a", "b", "c", "d", "e"]

    @examples(50)
    @given(st.data())
    def test_the_list_is_sorted_whenever_it_is_read(self, data: st.DataObject) -> None:
        row, known = OutcomeRow(), dict[str, Attention]()
        for seq in range(data.draw(st.integers(0, 25))):
            lead = data.draw(st.sampled_from("abcdef"))
            state = data.draw(
                st.none()
                | st.builds(
                    listed,
                    st.sampled_from(["stuck", "consultation"]),
                    without=st.integers(3, 5),
                    since=st.integers(1, 3),
                    day=st.sampled_from([TODAY - 31, TODAY - 30, TODAY - 29, TODAY, TODAY + 1]),
                )
            )
            fold(row, told(seq, leads={lead: state}))
            known.pop(lead, None)
            if state is not None:
                known[lead] = state
            if data.draw(st.booleans()):
                assert [lead for lead, _ in attention(row, TODAY)] == sorted(
                    (lead for lead, told_ in known.items() if told_.day > TODAY - 30),
                    key=lambda lead: (
                        known[lead].why != "stuck",
                        -known[lead].without_progress,
                        known[lead].stage_since,
                        lead,
                    ),
                )

    def test_beyond_the_limit_the_least_urgent_is_dropped_and_counted(self) -> None:
        row = OutcomeRow()
        for number in range(MAX_ATTENTION + 2):
            fold(row, told(number, leads={f"lead-{number}": listed(without=3 + number)}))
        assert row.folded == ["attention"] * 2
        shown = [lead for lead, _ in attention(row, TODAY)]
        assert len(shown) == len(row.state.attention) == MAX_ATTENTION
        assert (shown[0], shown[-1]) == (f"lead-{MAX_ATTENTION + 1}", "lead-2")
        fold(row, told(5000, leads={"lead-0": None}))  # long gone
        assert len(row.state.attention) == MAX_ATTENTION


def test_a_row_comes_back_from_the_changelog() -> None:
    row = row_of(("calls:1", TODAY, 1))
    fold(row, told(2, leads={"lead": listed()}))
    records = OutcomeRecords()
    rows: dict[bytes, OutcomeRow] = {}
    older = records.changelog(b"anna", row)
    fold(row, told(3, ("calls:2", TODAY, 1)))
    newer = records.changelog(b"anna", row)
    assert [records.restore(rows, key, value) for key, value in [*newer, *older]] == [None, b"anna"]
    assert rows[b"anna"] == row
    assert (sums(rows[b"anna"], "calls:1")[0], sums(rows[b"anna"], "calls:2")[0]) == (1, 1)
    assert dict(attention(rows[b"anna"], TODAY)) == {"lead": listed()}

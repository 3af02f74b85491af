"""The comparison of two groups by `callpulse rebuild`: figures that differ, and those that only follow the clock."""

from __future__ import annotations

from agents.cli.comparison import Difference, by_metric, differing, figures
from agents.cli.rebuild import how_to_switch, next_group
from agents.telemetry.scrape import Scrape
from tests.agents.cli_runner import Runner


def scrape(*lines: str) -> Scrape:
    return Scrape("http://w1", 0, 0, "".join(f"callpulse_{line}\n" for line in lines))


ANNA = 'calls{manager="anna",team="desk",direction="outbound",window="7d"}'
BORIS = ANNA.replace("anna", "boris")
IDLE = 'idle_seconds{manager="anna",team="desk"}'


def test_a_metric_is_told_with_the_largest_of_its_differences() -> None:
    before = figures([scrape(f"{ANNA} 10", f"{BORIS} 7", f"{IDLE} 5")])
    after = figures([scrape(f"{ANNA} 11", f"{BORIS} 3", f"{IDLE} 5")])
    labels = {"direction": "outbound", "manager": "boris", "team": "desk", "window": "7d"}
    expected = Difference(metric="callpulse_calls", series=2, differing=2, labels=labels, before=7, after=3)
    assert by_metric(before, after, differing(before, after, 0.0)) == [expected]


def test_equal_figures_do_not_differ_and_nan_is_equal_to_nan() -> None:
    some = figures([scrape(f"{ANNA} 10", f"{IDLE} NaN")])
    assert differing(some, dict(some), 0.0) == set()


def test_a_figure_that_one_group_lacks_differs() -> None:
    both = figures([scrape(f"{ANNA} 10", f"{BORIS} 0")])
    one = figures([scrape(f"{ANNA} 10")])
    assert [difference.after for difference in by_metric(both, one, differing(both, one, 0.0))] == [None]


def test_only_seconds_without_a_window_grow_between_two_readings() -> None:
    before = figures([scrape(f"{IDLE} 5", f"{ANNA} 5")])
    after = figures([scrape(f"{IDLE} 6.5", f"{ANNA} 6")])
    assert {name for name, _ in differing(before, after, 2.0)} == {"calls"}
    assert {name for name, _ in differing(before, after, 1.0)} == {"calls", "idle_seconds"}


def test_parts_of_a_team_are_summed_over_workers_and_partitions() -> None:
    part = 'team_won_deals{team="desk",window="7d",partition="%d"} %d'
    two = figures([scrape(part % (0, 3)), scrape(part % (1, 4))])
    three = figures([scrape(part % (0, 1), part % (1, 1), part % (2, 5))])
    assert list(two.values()) == [7.0]
    assert differing(two, three, 0.0) == set()


def test_the_new_group_has_the_next_number() -> None:
    assert [next_group(name) for name in ("callpulse", "callpulse-2", "a-b-9")] == [
        "callpulse-2",
        "callpulse-3",
        "a-b-10",
    ]
    assert "CALLPULSE_KAFKA__GROUP=b" in how_to_switch("a", "b")


def test_running_workers_that_do_not_answer_are_named_before_anything_is_made(callpulse: Runner) -> None:
    done = callpulse("rebuild", "http://127.0.0.1:1")
    assert done.code == 70
    assert "http://127.0.0.1:1/metrics" in done.err
    assert "--no-compare" in done.err


def test_the_new_group_must_have_another_name(callpulse: Runner) -> None:
    done = callpulse("rebuild", "--group", "callpulse")
    assert done.code == 2
    assert "must have another name than kafka.group, callpulse" in done.err


def test_new_topics_must_have_another_prefix(callpulse: Runner) -> None:
    done = callpulse("topics", "grow", "--partitions", 8, "--prefix", "")
    assert done.code == 2
    assert "--prefix must be another one" in done.err

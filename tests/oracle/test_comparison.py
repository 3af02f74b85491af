"""Reading a scrape, and naming the differences."""

from __future__ import annotations

import pytest

from tests.oracle.comparison import differences, from_exposition, named

KEY = ("callpulse_calls", (("direction", "inbound"), ("manager", "anna"), ("window", "1h")))
SCRAPE = """\
# HELP callpulse_calls Finished legs.
# TYPE callpulse_calls gauge
callpulse_calls{manager="anna",team="north",window="1h",direction="inbound"} 3.0
# HELP callpulse_calls_talked Answered legs.
# TYPE callpulse_calls_talked gauge
callpulse_calls_talked{manager="anna",team="north",window="today",le="6.0"} 1.0
callpulse_calls_talked{manager="anna",team="north",window="today",le="+Inf"} 2.0
# HELP callpulse_presence The state.
# TYPE callpulse_presence gauge
callpulse_presence{manager="anna",team="north",state="paused"} 1.0
callpulse_presence{manager="anna",team="north",state="offline"} 0.0
# HELP callpulse_idle_seconds Not the oracle's business.
# TYPE callpulse_idle_seconds gauge
callpulse_idle_seconds{manager="anna",team="north"} 9.0
# HELP callpulse_team_touches Touches.
# TYPE callpulse_team_touches gauge
callpulse_team_touches{team="north",partition="3",window="90d",channel="call"} 4.0
callpulse_team_touches{team="north",partition="3",window="90d",channel="email"} 0.0
# HELP callpulse_records_total Nor this.
# TYPE callpulse_records_total counter
callpulse_records_total{topic="calls"} 12.0
"""


def test_a_scrape_is_read_without_the_teams_of_managers_and_without_what_the_oracle_does_not_answer() -> None:
    talked = "callpulse_calls_talked"
    assert from_exposition(SCRAPE) == {
        KEY: 3,
        (talked, (("le", "6"), ("manager", "anna"), ("window", "today"))): 1,
        (talked, (("le", "+Inf"), ("manager", "anna"), ("window", "today"))): 2,
        ("callpulse_presence", (("manager", "anna"), ("state", "paused"))): 1,
        (
            "callpulse_team_touches",
            (("channel", "call"), ("partition", "3"), ("team", "north"), ("window", "90d")),
        ): 4,
    }


def test_a_sample_that_two_teams_export_is_refused() -> None:
    line = 'callpulse_calls{manager="anna",team="south",window="1h",direction="inbound"} 3.0\n'
    with pytest.raises(ValueError, match="exported twice"):
        from_exposition("# TYPE callpulse_calls gauge\n" + line + line.replace("south", "north"))


def test_differences_are_named_one_a_line() -> None:
    other = ("callpulse_calls_in_progress", (("manager", "anna"),))
    name = 'callpulse_calls{direction="inbound",manager="anna",window="1h"}'
    assert named(*KEY) == name
    assert differences({KEY: 3}, {KEY: 3}) == []
    assert differences({KEY: 3}, {KEY: 4}) == [f"{name} is 3; it should be 4"]
    assert differences({}, {KEY: 4}) == [f"{name} is missing; it should be 4"]
    assert differences({KEY: 3}, {}) == [f"{name} is 3; it should not be there"]
    assert len(differences({KEY: 3, other: 1}, {KEY: 4, other: 2})) == 2
    assert differences({KEY: 3}, {KEY: 4}, leaving_out={"callpulse_calls"}) == []


@pytest.mark.parametrize(("ours", "count"), [(0.3 + 1e-10, 0), (0.3 + 1e-8, 1), (float("nan"), 1)])
def test_only_a_rounding_error_is_no_difference(ours: float, count: int) -> None:
    assert len(differences({KEY: ours}, {KEY: 0.3})) == count

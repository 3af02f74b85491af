"""`leads` and `explain` without a broker: what is asked wrongly, and how what they find is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from agents.cli.common import cell
from agents.cli.explain import _newest, _number
from streams.explain.explainer import Piece, Role
from tests.agents.cli_runner import Runner
from tests.agents.test_cli import closed_port


class TestExplain:
    @pytest.mark.parametrize(
        ("measure", "told"),
        [
            ("conversion_rate", "did you mean conversion_ratio?"),
            ("callpulse_won_deal", "did you mean won_deals?"),
            ("xyz", "'xyz' is no figure of a manager."),
            ("team_cost", "'team_cost' is no figure of a manager"),
            ("target_ratio", "target_ratio has no calls, leads or deals of its own: it is `first_call_deal_ratio`"),
            ("callpulse_calls_zscore", "calls_zscore has no calls, leads or deals of its own"),
            ("lead_attention", "`callpulse leads --manager` lists them"),
        ],
    )
    def test_a_figure_that_cannot_be_taken_apart_says_why(self, callpulse: Runner, measure: str, told: str) -> None:
        said = callpulse("explain", "anna", measure)
        assert said.code == 2
        assert told in said.err
        assert "Traceback" not in said.err

    def test_an_unknown_figure_is_answered_with_those_that_there_are(self, callpulse: Runner) -> None:
        said = callpulse("explain", "anna", "xyz")
        assert "These can be explained: answered_calls, attempts_per_contact," in said.err

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("won_deals", "--window", "1h"), "won_deals has the windows 30d, 90d, 7d."),
            (("leads_stuck", "--window", "7d"), "leads_stuck has the window 30d."),
            (("calls_per_won_deal", "--window", "previous"), "calls_per_won_deal has the window 90d."),
            (("--window", "60d"), "'60d' is no window; there are 1h, 30d, 7d, 90d, now, previous, today."),
        ],
    )
    def test_a_window_that_there_is_not_is_told(self, callpulse: Runner, arguments: tuple[str, ...], told: str) -> None:
        said = callpulse("explain", "anna", *arguments)
        assert (said.code, said.err.strip()) == (2, f"callpulse: {told}")

    def test_without_a_broker_it_says_so(self, callpulse: Runner) -> None:
        said = callpulse("explain", "anna", "--bootstrap", f"127.0.0.1:{closed_port()}")
        assert said.code == 70
        assert "nobody answers there" in said.err

    def test_settings_that_make_too_many_series_are_told_by_their_key(self, callpulse: Runner, tmp_path: Path) -> None:
        (tmp_path / "callpulse.toml").write_text("[results]\nattention_series = 20\n")
        said = callpulse("explain", "anna")
        assert said.code == 2
        assert "results.attention_series" in said.err

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (0.0, "0"),
            (14.0, "14"),
            (0.07, "0.07"),
            (1 / 3, "0.3333"),
            (1234567.0, "1234567"),
            (1234567.89, "1234567.9"),
        ],
    )
    def test_numbers_are_shown_without_losing_what_matters(self, value: float, shown: str) -> None:
        assert _number(value) == shown

    def test_of_many_pieces_the_newest_of_both_kinds_are_shown(self) -> None:
        def pieces(role: Role, count: int) -> list[Piece]:
            return [Piece(of="call", id=f"{role[0]}{n}", lead="", day=n, adds=1, role=role) for n in range(count)]

        def shown(counted: int, divided: int, limit: int) -> list[str]:
            return [piece.id for piece in _newest(pieces("counted", counted) + pieces("divided by", divided), limit)]

        assert shown(9, 0, 3) == ["c6", "c7", "c8"]
        assert shown(9, 9, 4) == ["c7", "c8", "d7", "d8"]
        assert shown(1, 9, 4) == ["c0", "d6", "d7", "d8"]
        assert shown(9, 1, 4) == ["c6", "c7", "c8", "d0"]
        assert shown(2, 2, 50) == ["c0", "c1", "d0", "d1"]


class TestLeads:
    def test_a_worker_that_is_not_there_is_told(self, callpulse: Runner) -> None:
        port = closed_port()
        said = callpulse("leads", f"127.0.0.1:{port}")
        assert said.code == 70
        assert f"the worker at http://127.0.0.1:{port} cannot be asked" in said.err
        assert "Traceback" not in said.err

    def test_the_worker_of_the_settings_is_asked_under_the_url_it_advertises(self, callpulse: Runner) -> None:
        url = f"http://127.0.0.1:{closed_port()}"
        said = callpulse("leads", CALLPULSE_WORKER__ADVERTISED_URL=url)
        assert said.code == 70
        assert f"the worker at {url} cannot be asked" in said.err

    def test_any_free_port_is_no_address(self, callpulse: Runner) -> None:
        said = callpulse("leads", CALLPULSE_HTTP_PORT="0")
        assert said.code == 2
        assert "name the URL" in said.err

    def test_it_prints_one_form_at_a_time(self, callpulse: Runner) -> None:
        said = callpulse("leads", "--csv", "--json")
        assert (said.code, said.err.strip()) == (2, "callpulse: choose one of --csv and --json.")


def test_what_others_wrote_is_shown_as_it_is_and_does_nothing_to_the_terminal() -> None:
    console = Console(width=60)
    with console.capture() as capture:
        console.print(cell("[bold]crm-7[/bold] \x1b[2J\r\n"))
    assert (
        capture.get().rstrip("\n")
        == "[bold]crm-7[/bold] \N{REPLACEMENT CHARACTER}[2J" + 2 * "\N{REPLACEMENT CHARACTER}"
    )

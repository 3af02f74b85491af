"""`leads` and `explain` without a broker: wrong arguments, and the form of the output."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agents.cli.common import cell
from agents.cli.explain import _newest, _number
from agents.embedded.ports import find_free
from agents.kafka import evidence
from streams.calendars import local_time
from streams.contract.events import CallEnded
from streams.explain.explainer import CallLog, ManagerEvidence, Piece, Role
from streams.settings.settings import Thresholds
from streams.tables.lead.contributions import Contribution
from streams.tables.manager.row import ManagerRow
from tests.agents.cli_runner import Runner


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
        done = callpulse("explain", "anna", measure)
        assert done.code == 2
        assert told in done.err
        assert "Traceback" not in done.err

    def test_an_unknown_figure_is_answered_with_those_that_there_are(self, callpulse: Runner) -> None:
        done = callpulse("explain", "anna", "xyz")
        assert "These can be explained: answered_calls, attempts_per_contact," in done.err

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
        done = callpulse("explain", "anna", *arguments)
        assert (done.code, done.err.strip()) == (2, f"callpulse: {told}")

    def test_without_a_broker_it_says_so(self, callpulse: Runner) -> None:
        done = callpulse("explain", "anna", "--bootstrap", f"127.0.0.1:{find_free()}")
        assert done.code == 70
        assert "nobody answers there" in done.err

    def test_settings_that_make_too_many_series_are_told_by_their_key(self, callpulse: Runner, tmp_path: Path) -> None:
        (tmp_path / "callpulse.toml").write_text("[results]\nattention_series = 20\n")
        done = callpulse("explain", "anna")
        assert done.code == 2
        assert "results.attention_series" in done.err

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


CALLER = "phone:174605dd995a9e798138e50e3eab9f7d"
LINKED = """
[links]
lead = "https://crm.example/lead/{lead}"
deal = "https://crm.example/deal/{deal}"
call = "https://pbx.example/call/{call}"
"""


class TestOneLead:
    """`explain --lead`, over three calls of two leads and a deal."""

    @pytest.fixture(autouse=True)
    def known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = int(time.time() * 1000)
        log = CallLog(ManagerRow("anna", local_time("UTC")), Thresholds())
        for number, lead in enumerate(("crm-7", "crm-7", CALLER)):
            at = now - (9 - number) * 1000
            event = CallEnded(
                v=1, id=f"e{number}", at=at, source="pbx", call=f"c-{number}", manager="anna", lead=lead,
                direction="outbound", kind="cold", started_at=at - 100, talk_ms=0, disposition="no_answer",
            )  # fmt: skip
            log.feed(event, number)
        won = Contribution("anna", "won", now // 86_400_000, 1, "deal", "d-5")

        async def read(*_arguments: Any, **_named: Any) -> ManagerEvidence:
            return ManagerEvidence(log, [("crm-7", won)])

        monkeypatch.setattr(evidence, "read", read)

    def test_the_pieces_of_a_figure_are_those_of_the_lead(self, callpulse: Runner) -> None:
        done = callpulse("explain", "anna", "calls", "--window", "30d", "--lead", "crm-7")
        assert done.code == 0
        assert ("c-0" in done.out, "c-1" in done.out, "c-2" in done.out) == (True, True, False)
        assert "2 of the 3 pieces of this figure are of crm-7." in done.err

    @pytest.mark.parametrize("reference", ["174605dd", "unknown caller 174605dd", CALLER])
    def test_an_unknown_caller_is_named_by_the_short_reference(self, callpulse: Runner, reference: str) -> None:
        done = callpulse("explain", "anna", "calls", "--window", "30d", "--lead", reference)
        assert "c-2" in done.out
        assert "c-1" not in done.out
        assert "unknown caller 174605dd" in done.out
        assert CALLER not in done.out
        found = callpulse("explain", "anna", "calls", "--window", "30d", "--lead", reference, "--json").json
        assert [piece["lead"] for piece in found["pieces"]] == [CALLER]
        assert found["figures"] == {"inbound": 0, "outbound": 3}

    def test_without_a_figure_it_shows_those_that_count_the_lead(self, callpulse: Runner) -> None:
        rows = {row["metric"]: row for row in callpulse("explain", "anna", "--lead", "crm-7", "--json").json}
        assert (rows["calls"]["pieces"], rows["calls"]["of_lead"]) == (3, 2)
        assert rows["won_deals"]["of_lead"] == 1
        assert "won_deals" not in callpulse("explain", "anna", "--lead", "174605dd").out
        assert "of crm-7" in callpulse("explain", "anna", "--lead", "crm-7").out

    def test_a_lead_that_there_is_not_is_told(self, callpulse: Runner) -> None:
        done = callpulse("explain", "anna", "calls", "--lead", "00000000")
        assert done.code == 1
        assert "no call, lead or deal of manager 'anna' is of this lead" in done.err

    def test_several_callers_with_one_reference_are_listed(
        self, callpulse: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = "phone:174605dd" + 24 * "0"
        monkeypatch.setattr(ManagerEvidence, "leads", lambda _: {CALLER, other})
        done = callpulse("explain", "anna", "calls", "--lead", "174605dd")
        assert done.code == 2
        assert CALLER in done.err
        assert other in done.err

    def test_with_links_json_has_the_pages_of_calls_deals_and_leads(self, callpulse: Runner, tmp_path: Path) -> None:
        (tmp_path / "callpulse.toml").write_text(LINKED)
        first, *_, last = callpulse("explain", "anna", "calls", "--window", "30d", "--json").json["pieces"]
        assert (first["link"], first["lead_link"]) == (
            "https://pbx.example/call/c-0",
            "https://crm.example/lead/crm-7",
        )
        assert (last["link"], "lead_link" in last) == ("https://pbx.example/call/c-2", False)
        (deal,) = callpulse("explain", "anna", "won_deals", "--window", "30d", "--json").json["pieces"]
        assert deal["link"] == "https://crm.example/deal/d-5"

    def test_without_links_json_is_as_it_was(self, callpulse: Runner) -> None:
        (deal,) = callpulse("explain", "anna", "won_deals", "--window", "30d", "--json").json["pieces"]
        assert set(deal) == {"of", "id", "lead", "day", "adds", "role", "label", "at", "says"}


class TestLeads:
    def test_a_worker_that_is_not_there_is_told(self, callpulse: Runner) -> None:
        port = find_free()
        done = callpulse("leads", f"127.0.0.1:{port}")
        assert done.code == 70
        assert f"the worker at http://127.0.0.1:{port} cannot be asked" in done.err
        assert "Traceback" not in done.err

    def test_the_worker_of_the_settings_is_asked_under_the_url_it_advertises(self, callpulse: Runner) -> None:
        url = f"http://127.0.0.1:{find_free()}"
        done = callpulse("leads", CALLPULSE_WORKER__ADVERTISED_URL=url)
        assert done.code == 70
        assert f"the worker at {url} cannot be asked" in done.err

    def test_any_free_port_is_no_address(self, callpulse: Runner) -> None:
        done = callpulse("leads", CALLPULSE_HTTP_PORT="0")
        assert done.code == 2
        assert "name the URL" in done.err

    def test_it_prints_one_form_at_a_time(self, callpulse: Runner) -> None:
        done = callpulse("leads", "--csv", "--json")
        assert (done.code, done.err.strip()) == (2, "callpulse: choose one of --csv and --json.")


def test_what_others_wrote_is_shown_as_it_is_and_does_nothing_to_the_terminal() -> None:
    console = Console(width=60)
    with console.capture() as capture:
        console.print(cell("[bold]crm-7[/bold] \x1b[2J\r\n"))
    assert (
        capture.get().rstrip("\n")
        == "[bold]crm-7[/bold] \N{REPLACEMENT CHARACTER}[2J" + 2 * "\N{REPLACEMENT CHARACTER}"
    )

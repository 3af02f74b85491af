"""The board on the terminal: the figures from the samples of the workers, and their form."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from agents.cli.top import picture
from agents.cli.top.board import COLUMNS, ORDERS, View, board, fitting, silent, span
from agents.cli.top.department import CLOSER, NOISE, Department, Feed, Lead, Line, read_department
from agents.cli.top.page import page
from agents.telemetry.scrape import Scrape
from streams.settings.settings import Links, Manager, Thresholds
from tests.agents.cli_runner import Runner

NOW_MS = 1_795_435_200_000
VIEW = View(Thresholds(), {"anna": Manager(id="anna", name="Anna Weber", team="desk")})


def worker(*lines: str, newest_s: float | None = NOW_MS / 1000 - 3) -> Scrape:
    """The answer of a worker: lines without the prefix."""
    own = [] if newest_s is None else [f'newest_event_timestamp_seconds{{topic="calls"}} {newest_s!r}']
    return Scrape("http://w1/metrics", NOW_MS - 5, NOW_MS, "".join(f"callpulse_{line}\n" for line in (*own, *lines)))


def of(name: str, value: float, manager: str = "anna", team: str = "desk", **labels: str) -> str:
    pairs = ",".join(f'{label}="{text}"' for label, text in {"manager": manager, "team": team, **labels}.items())
    return f"{name}{{{pairs}}} {value}"


ANNA = worker(
    of("calls", 30, window="today", direction="outbound"),
    of("calls", 4, window="today", direction="inbound"),
    of("calls", 900, window="30d", direction="outbound"),
    of("connect_ratio", 0.5, window="today"),
    of("connect_ratio", 0.1, window="7d"),
    of("meaningful_calls", 41, window="today"),
    of("talk_time_seconds", 3725, window="today"),
    of("calls_in_progress", 1),
    of("longest_call_in_progress_seconds", 187),
    of("idle_seconds", 0),
    of("work_block_seconds", 11_000),
    of("leads_over_called", 2, window="today"),
    of("on_shift", 1),
    of("presence", 0, state="available"),
    of("presence", 1, state="after_call"),
    of("won_deals", 3, window="30d"),
    of("won_deals", 11, window="90d"),
    of("conversion_ratio", 0.31, window="30d"),
    of("conversion_ratio", 0.22, window="90d"),
    of("conversion_ratio_lower", 0.09, window="90d"),
    of("calls_per_won_deal", 240.4, window="90d"),
    of("next_step_ratio", 0.75, window="30d"),
    of("next_steps_due", 12, window="30d"),
    of("next_steps_kept_ratio", 0.5, window="30d"),
    of("leads_stuck", 6),
    of("leads_consultation_due", 4),
    of("expected_calls", 2.4, window="1h"),
    of("expected_calls", 41.2, window="today"),
    of("short_call_ratio", 0.25, window="today"),
    of("lead_attention", 3, lead="L-7", why="consultation"),
    of("lead_attention", 6, lead="L-9", why="stuck"),
    'lag_records{topic="calls",partition="0"} 5',
    'lag_records{topic="contacts",partition="1"} 2',
    'rejected_total{topic="calls",reason="not_json"} 3',
    'restore_progress_ratio{table="managers"} 0.5',
    'restore_progress_ratio{table="leads"} 1',
)


class TestDepartment:
    def test_a_manager_is_read_from_the_samples_of_today(self) -> None:
        found = read_department([ANNA], NOW_MS)
        assert found.lines == [
            Line(
                manager="anna",
                team="desk",
                presence="after_call",
                on_shift=True,
                in_progress=1,
                longest_s=187,
                calls=34,
                connect_ratio=0.5,
                meaningful=41,
                talk_s=3725,
                idle_s=0,
                work_block_s=11_000,
                over_called=2,
                calls_30d=900,
                won=3,
                conversion=0.22,
                conversion_lower=0.09,
                promises_due=12,
                promises_kept=0.5,
                stuck=6,
                consult=4,
                expected_calls=41.2,
                short_ratio=0.25,
                calls_per_deal=240.4,
                next_step=0.75,
                leads=[Lead(lead="L-7", why="consultation", talks=3), Lead(lead="L-9", why="stuck", talks=6)],
            )
        ]

    def test_the_feed_is_read_from_what_the_workers_say_of_themselves(self) -> None:
        found = read_department(
            [ANNA, worker('lag_records{topic="calls",partition="1"} 10', newest_s=NOW_MS / 1000 - 1)], NOW_MS
        )
        assert found.feed.age_s == pytest.approx(1)
        feed = Feed(workers=2, workers_up=2, age_s=found.feed.age_s, lag=17, restored=0.5, rejected=3)
        assert found.feed == feed

    def test_facts_of_the_agents_do_not_make_the_feed_fresh(self) -> None:
        found = read_department(
            [worker('newest_event_timestamp_seconds{topic="contacts"} 1795435200', newest_s=None)], NOW_MS
        )
        assert found.feed.age_s is None

    def test_the_topics_of_an_installation_may_have_a_prefix(self) -> None:
        found = read_department(
            [worker('newest_event_timestamp_seconds{topic="test.calls"} 1795435190', newest_s=None)], NOW_MS
        )
        assert found.feed.age_s == pytest.approx(10)

    def test_while_partitions_move_a_manager_is_counted_once(self) -> None:
        ahead = worker(of("calls", 31, window="today", direction="outbound"), of("on_shift", 1))
        for scrapes in ([ANNA, ahead], [ahead, ANNA]):
            (line,) = read_department(scrapes, NOW_MS).lines
            assert line.calls == 34

    def test_a_worker_that_does_not_answer_is_told_and_the_others_are_shown(self) -> None:
        found = read_department([ANNA, Scrape("http://w2/metrics", 0, 0, "", "connection refused")], NOW_MS)
        assert (found.feed.workers, found.feed.workers_up, len(found.lines)) == (2, 1, 1)
        assert found.feed.errors == ("http://w2/metrics: connection refused",)


def team_of(*figures: tuple[int, int], team: str = "desk") -> list[str]:
    """Samples of calls and deals of 30 days, of managers a, b and so on."""
    return [
        sample
        for manager, (calls, won) in zip("abcdefg", figures, strict=False)
        for sample in (
            of("calls", calls, manager, team, window="30d", direction="outbound"),
            of("won_deals", won, manager, team, window="30d"),
        )
    ]


class TestWhoStandsOut:
    @pytest.mark.parametrize(
        ("figures", "patterns"),
        [
            (((900, 0), (300, 5), (100, 9)), [NOISE, "", CLOSER]),
            (((900, 9), (300, 5), (100, 0)), ["", "", ""]),
            (((900, 0), (100, 9)), ["", ""]),
            (((300, 5), (300, 5), (300, 5)), ["", "", ""]),
            (
                ((900, 1), (800, 1), (300, 4), (200, 4), (100, 9)),
                [NOISE, NOISE, "", CLOSER, CLOSER],
            ),
        ],
    )
    def test_it_is_who_has_most_calls_and_fewest_deals_of_the_team_or_the_reverse(
        self, figures: tuple[tuple[int, int], ...], patterns: list[str]
    ) -> None:
        found = read_department([worker(*team_of(*figures))], NOW_MS)
        assert [line.pattern for line in sorted(found.lines, key=lambda line: line.manager)] == patterns

    def test_teams_are_compared_each_by_itself_and_queues_with_nobody(self) -> None:
        others = [line.replace('="a"', '="x"').replace('="b"', '="queue:y"') for line in team_of((9, 0), (1, 5))]
        found = read_department([worker(*team_of((900, 0), (300, 5), team="other"), *others)], NOW_MS)
        assert {line.pattern for line in found.lines} == {""}


def shown(found: Department, width: int = 170, height: int | None = None, order: str = "team") -> str:
    """The board as text."""
    screen = Console(file=io.StringIO(), width=width, record=True)
    screen.print(board(found, VIEW, width, height, order))
    return screen.export_text()


def department_of(*lines: Line, **feed: object) -> Department:
    return Department(at_ms=NOW_MS, feed=Feed(workers=1, workers_up=1, age_s=2.0, **feed), lines=list(lines))  # type: ignore[arg-type]  # some field


class TestBoard:
    def test_a_line_says_it_all(self) -> None:
        text = shown(read_department([ANNA], NOW_MS))
        for piece in (
            "Anna Weber",
            "desk",
            "after call",
            "1 3m07s",
            "34",
            "50%",
            "41/40-60",
            "1h02m",
            "3h03m",
            "22% ≥9%",
            "50% of 12",
        ):
            assert piece in text
        assert "22% ≥9%" in text
        assert "50% of 12" in text
        assert "workers 1/1" in text
        assert "newest event 3s ago" in text
        assert "lag 7" in text
        assert "restoring 50%" in text
        assert "rejected 3" in text

    @pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 200])
    def test_it_fits_the_terminal_however_narrow_that_is(self, width: int) -> None:
        text = shown(read_department([ANNA], NOW_MS), width)
        assert max(len(line.rstrip()) for line in text.splitlines()) <= width
        assert next(column.title for column in fitting(width)) == "manager"
        assert {"calls", "idle"} <= {column.title for column in fitting(width)}

    def test_a_wide_terminal_has_every_column(self) -> None:
        assert list(fitting(170)) == list(COLUMNS)

    def test_a_terminal_of_80_columns_has_result_beside_activity(self) -> None:
        titles = {column.title for column in fitting(80)}
        assert {"manager", "calls", "idle", "won", "conv.", "stuck", "stands out"} <= titles

    def test_it_fits_the_height_and_tells_how_many_are_not_shown(self) -> None:
        lines = [Line(manager=f"m{number:03}", team="t") for number in range(50)]
        text = shown(department_of(*lines), height=24)
        assert len(text.rstrip().splitlines()) <= 24
        assert "and 31 more" in text

    def test_silence_is_on_shift_and_longer_than_a_pause(self) -> None:
        limit_s = VIEW.thresholds.work_gap_ms / 1000
        assert silent(Line(manager="a", team="t", on_shift=True, idle_s=limit_s), VIEW.thresholds)
        assert not silent(Line(manager="a", team="t", on_shift=True, idle_s=limit_s - 1), VIEW.thresholds)
        assert not silent(Line(manager="a", team="t", on_shift=False, idle_s=limit_s), VIEW.thresholds)

    def test_the_silent_are_counted_and_a_dead_feed_is_given_as_the_likelier_reason(self) -> None:
        quiet = Line(manager="a", team="t", on_shift=True, idle_s=3600)
        found = department_of(quiet)
        assert "1 silent" in shown(found)
        assert "or the feed is down" not in shown(found)
        found.feed.age_s = 900
        assert "or the feed is down" in shown(found)

    def test_calls_of_a_queue_are_nobodys(self) -> None:
        text = shown(department_of(Line(manager="queue:desk", team="unassigned", calls=7, on_shift=False)))
        assert "0 managers" in text
        assert "queue:desk" in text
        assert "40-60" not in text

    def test_queues_stand_below_the_people_whatever_the_order(self) -> None:
        found = department_of(
            Line(manager="queue:desk", team="a", calls=9, talk_s=9, meaningful=9),
            Line(manager="anna", team="b", calls=1),
        )
        for order in ORDERS:
            text = shown(found, order=order)
            assert text.index("Anna Weber") < text.index("queue:desk")

    def test_the_name_is_the_one_that_the_worker_exports(self) -> None:
        scrape = worker(
            'manager_info{manager="bert",team="desk",name="Bert Müller"} 1',
            of("calls", 3, "bert", window="today", direction="outbound"),
        )
        found = read_department([scrape], NOW_MS)
        assert [(line.manager, line.name, line.calls) for line in found.lines] == [("bert", "Bert Müller", 3)]
        assert "Bert Müller" in shown(found)

    def test_the_order_can_be_chosen(self) -> None:
        found = department_of(
            Line(manager="a", team="z", calls=1, idle_s=5),
            Line(manager="b", team="y", calls=3),
            Line(manager="c", team="x", calls=2),
        )
        places = {order: sorted("abc", key=shown(found, order=order).rindex) for order in ("team", "idle", "calls")}
        assert {order: "".join(names) for order, names in places.items()} == {
            "team": "cba",
            "idle": "abc",
            "calls": "bca",
        }

    def test_the_picture_fetches_nothing_from_elsewhere(self) -> None:
        svg = picture(read_department([ANNA], NOW_MS), VIEW)
        assert "Anna&#160;Weber" in svg
        assert "url(http" not in svg
        assert "@font-face" not in svg

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(0, "0s"), (59.9, "59s"), (60, "1m00s"), (3599, "59m59s"), (3600, "1h00m"), (90_000, "25h00m")],
    )
    def test_a_span_is_written_for_a_person(self, seconds: float, text: str) -> None:
        assert span(seconds) == text


class TestPage:
    def test_it_says_now_today_result_and_the_leads_that_need_help_the_longest_first(self) -> None:
        screen = Console(file=io.StringIO(), width=100, record=True)
        screen.print(page(read_department([ANNA], NOW_MS), VIEW, "anna"))
        text = screen.export_text()
        for piece in (
            "Anna Weber",
            "on a call for 3m07s",
            "usual by now: 41",
            "number 1 of 1 in the team",
            "22% ≥9%",
            "240",
            "50% of 12",
            "4 to discuss with a mentor",
        ):
            assert piece in text
        assert text.index("L-9") < text.index("L-7")

    def test_an_unknown_caller_has_a_reference_and_with_links_leads_and_the_manager_have_pages(self) -> None:
        caller = "phone:174605dd995a9e798138e50e3eab9f7d"
        text = ANNA.text.replace('lead="L-9"', f'lead="{caller}"')
        out = io.StringIO()
        screen = Console(file=out, width=100, force_terminal=True, color_system="truecolor")
        links = Links(lead="https://crm.example/lead/{lead}", manager="https://crm.example/staff/{manager}")
        screen.print(page(read_department([ANNA._replace(text=text)], NOW_MS), VIEW._replace(links=links), "anna"))
        shown = out.getvalue()
        assert "unknown caller 174605dd" in shown
        assert caller not in shown
        assert ";https://crm.example/lead/L-7\x1b" in shown
        assert ";https://crm.example/staff/anna\x1b" in shown

    def test_a_manager_whom_nobody_exports_is_said_so(self) -> None:
        screen = Console(file=io.StringIO(), width=100, record=True)
        screen.print(page(read_department([ANNA], NOW_MS), VIEW, "bert"))
        assert "no worker exports a manager bert" in screen.export_text()


class _Metrics(BaseHTTPRequestHandler):
    """A worker with a constant answer."""

    def do_GET(self) -> None:
        body = ANNA.text.encode()
        self.send_response(200 if self.path == "/metrics" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log no requests."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Metrics) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class TestCommand:
    def test_once_prints_the_board(self, callpulse: Runner, address: str) -> None:
        done = callpulse("top", address, "--once")
        assert done.code == 0
        assert "anna" in done.out

    def test_json_is_for_scripts(self, callpulse: Runner, address: str) -> None:
        done = callpulse("top", address, "--json")
        assert done.json["feed"]["workers_up"] == 1
        assert [(line["manager"], line["calls"]) for line in done.json["lines"]] == [("anna", 34)]

    def test_one_team_can_be_shown(self, callpulse: Runner, address: str) -> None:
        assert callpulse("top", address, "--json", "--team", "other").json["lines"] == []

    @pytest.mark.parametrize("manager", ["anna", "ANNA WEBER"])
    def test_a_manager_of_the_roster_has_a_page(
        self, callpulse: Runner, address: str, tmp_path: Path, manager: str
    ) -> None:
        settings = tmp_path / "callpulse.toml"
        settings.write_text('managers = [{ id = "anna", name = "Anna Weber" }, { id = "bert" }]')
        done = callpulse("top", manager, address, "--once", "--config", str(settings))
        assert done.code == 0
        assert "number 1 of 1 in the team" in done.out
        told = callpulse("top", manager, address, "--json", "--config", str(settings)).json
        assert [line["manager"] for line in told["lines"]] == ["anna"]

    def test_the_worker_of_the_settings_is_asked_without_an_address(self, callpulse: Runner, address: str) -> None:
        done = callpulse("top", "--json", CALLPULSE_HTTP_PORT=address.rpartition(":")[2])
        assert done.json["feed"]["workers_up"] == 1

    def test_without_a_worker_it_says_where_it_looked(self, callpulse: Runner, address: str) -> None:
        done = callpulse("top", f"http://{address}/elsewhere", "--once")
        assert done.code == 70
        assert "HTTP status 404" in done.err
        assert "callpulse worker" in done.err

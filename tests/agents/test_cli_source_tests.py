"""`callpulse sources test` of files and of pushed sources: its reports, by real files and real metrics."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import generate_latest

from agents.gateway import file_test, people_heard, push_test
from agents.gateway.metrics import GatewayMetrics
from agents.gateway.source_report import Report
from agents.web.client import NOBODY
from streams.settings.settings import Settings, load
from streams.sources.people import People
from streams.sources.registry import SOURCES
from streams.sources.unmapped import Unmapped
from tests.agents.cli_runner import Runner
from tests.streams.files_cases import FIXTURES, LATEST, ROSTER, SECRET, STORY, settings_of

RECORDS = FIXTURES.parent / "records"
RUSSIAN = (FIXTURES / "storyA" / "csv_ru" / "calls-1.csv").read_bytes()
HEAD, *ROWS = RUSSIAN.splitlines(keepends=True)
MANAGERS = '[[managers]]\nid = "vera.lisina"\n'


def text(report: Report) -> str:
    return "\n".join(report.lines(LATEST))


def report_of(path: Path) -> Report:
    return file_test.test_mapping(settings_of(STORY), "csv_ru", path, SECRET, LATEST)


def a_file(folder: Path, *parts: bytes, age_ms: int = 0) -> Path:
    path = folder / "calls.csv"
    path.write_bytes(b"".join(parts))
    os.utime(path, ns=(0, (LATEST - age_ms) * 1_000_000))
    return path


def test_a_good_file_has_no_problem(tmp_path: Path) -> None:
    report = report_of(a_file(tmp_path, RUSSIAN))
    assert (report.problems, report.heard, report.understood, report.events) == ([], len(ROWS) + 1, len(ROWS) + 1, 12)
    assert "not on the roster" not in text(report)
    assert "  transfers" in text(report)


def test_of_a_long_file_the_newest_rows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_test, "NEWEST", 64 * 1024)
    many = ROWS * (2 * file_test.NEWEST // sum(map(len, ROWS)))
    report = report_of(a_file(tmp_path, HEAD, *many))
    assert report.problems == []
    assert 0.45 * len(many) < report.heard < 0.55 * len(many)
    assert "the last 64 of its 127 KiB" in text(report)


def test_rows_that_are_refused_are_counted_by_reason_and_show_no_value(tmp_path: Path) -> None:
    bad = ROWS[0].replace(b"17.11.2026", b"17.13.2026")
    report = report_of(a_file(tmp_path, HEAD, bad, *ROWS, bad, b"1;2\r\n"))
    assert [one.split(":")[:2] for one in report.problems] == [
        ["lines refused", " 2, invalid_time"],
        ["lines refused", " 1, missing_field"],
    ]
    assert report.heard - report.understood == 3
    assert b"2026" not in "".join(report.problems).encode()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "there is no whole line in it"),
        (HEAD, "no event came of it"),
        (RUSSIAN.replace("Длительность".encode("cp1251"), b"x").replace("Разговор".encode("cp1251"), b"y"), "Разговор"),
        (RUSSIAN.decode("cp1251").encode(), 'encoding = "utf-8"'),
        (b"\x00\x01\x02" * 100_000, "there is no whole line in it"),
    ],
    ids=["empty", "only its header", "a missing column", "another encoding", "no lines"],
)
def test_a_file_of_which_nothing_comes_says_why(tmp_path: Path, data: bytes, problem: str) -> None:
    report = report_of(a_file(tmp_path, data))
    assert problem in "\n".join(report.problems)
    assert report.events == 0


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert "No such file" in report_of(tmp_path / "calls.csv").problems[0]


def test_who_is_not_on_the_roster_is_named_with_counts(tmp_path: Path) -> None:
    settings = settings_of(STORY, '[[managers]]\nid = "csv_ru"\n')
    report = file_test.test_mapping(settings, "csv_ru", a_file(tmp_path, RUSSIAN), SECRET, LATEST)
    assert len(report.unmapped) == 3
    assert all(one.startswith("csv_ru:") and one.endswith(" events") for one in report.unmapped)


@pytest.mark.parametrize(("age_min", "is_said"), [(0, False), (100, False), (180, True), (181, True), (-60, True)])
def test_an_age_like_a_time_zone_is_said(tmp_path: Path, age_min: int, is_said: bool) -> None:
    newest = report_of(a_file(tmp_path, RUSSIAN)).last_at_ms
    assert newest is not None
    report = report_of(a_file(tmp_path, RUSSIAN, age_ms=LATEST - newest - age_min * 60_000))
    assert ("time zone" in text(report)) is is_said


@pytest.mark.parametrize(("kind", "path"), [("queue_log", "queue_log/queue_log"), ("cdr", "cdr/cdr-csv/Master.csv")])
def test_record_files_of_asterisk(kind: str, path: str) -> None:
    report = file_test.test_records(settings_of(""), kind, RECORDS / path, SECRET, LATEST)
    assert report.problems == []
    assert report.events > 5
    assert report.understood == report.heard
    assert report.cannot_know


async def of_gateway(
    metrics: GatewayMetrics, meanwhile: Callable[[], None] = lambda: None, name: str = "crm", cannot: str = "deals"
) -> Report:
    """Test a source by a process that exports these metrics. There is no Kafka."""

    async def answer(_request: web.Request) -> web.Response:
        metrics.refresh()
        return web.Response(body=generate_latest(metrics.registry))

    app = web.Application()
    app.router.add_get("/metrics", answer)
    settings: Settings = load('[kafka]\nbootstrap = "127.0.0.1:1"\n', {}, SOURCES)
    async with TestServer(app) as server:
        asyncio.get_running_loop().call_later(0.1, meanwhile)
        pushed = push_test.Pushed(name=name, is_meant=lambda _: True, cannot_know=(cannot,))
        return await push_test.test(settings, pushed, [str(server.make_url("/metrics"))], 0.2, SECRET, NOBODY)


def announced() -> GatewayMetrics:
    metrics = GatewayMetrics()
    metrics.announce("crm")
    metrics.rejected("crm", ["invalid_field"])
    return metrics


async def test_what_came_meanwhile_is_counted() -> None:
    metrics = announced()

    def meanwhile() -> None:
        metrics.rejected("crm", ["future", "future"])
        metrics.rejected("other", ["not_json"])
        metrics.unauthenticated("crm")
        metrics.unauthenticated()

    report = await of_gateway(metrics, meanwhile)
    assert (report.heard, report.understood, report.events) == (2, 0, 0)
    assert [one.split(";")[0] for one in report.problems] == [
        "events refused: 2, future",
        "requests with a wrong token, signature or network: 1",
        "requests of nobody whom the settings know: 1",
    ]
    shown = "\n".join(report.lines(int(time.time() * 1000)))
    assert "received 3, accepted 0, duplicates 0, rejected 3" in shown
    assert "the last one 0 s ago" in shown
    assert "what this source cannot know:\n  deals" in shown
    assert "who is not on the roster is not known: " in shown


async def test_a_source_that_sent_nothing_now_and_something_before_has_no_problem() -> None:
    assert (await of_gateway(announced())).problems == []


async def test_polls_that_fail_are_a_problem() -> None:
    metrics = announced()
    metrics.gauge("source_poll_failures").labels("crm").set(3)
    metrics.gauge("source_poll_status").labels("crm").set(401)
    assert (await of_gateway(metrics)).problems == ["polls that failed one after the other: 3; HTTP status 401"]


async def test_a_source_that_never_sent_anything_is_a_problem() -> None:
    metrics = GatewayMetrics()
    metrics.announce("crm")
    assert (await of_gateway(metrics)).problems == ["nothing has come of it since the start of the process"]


async def test_a_gateway_with_other_settings_is_a_problem() -> None:
    (problem,) = (await of_gateway(announced(), name="new")).problems
    assert "restart it" in problem


def test_the_people_of_records_are_taken_and_nonsense_is_not() -> None:
    settings: Settings = load(MANAGERS, {}, SOURCES)
    found = Unmapped(settings, People.of(settings, SECRET))
    for value in (None, b"", b"{", b"\xff", b"[]", b'{"manager": 1}', b'{"manager": "vera.lisina", "source": "crm"}'):
        people_heard.take(found, value)
    assert found.lines() == []
    for _ in range(2):
        people_heard.take(found, b'{"manager": "crm:77", "source": "crm", "at": 1}')
    assert found.lines() == ["crm:77: 2 events"]


def test_the_command_finds_a_test_by_the_name_of_the_source(callpulse: Runner, tmp_path: Path) -> None:
    config = tmp_path / "callpulse.toml"
    config.write_text(
        ROSTER + STORY + '[sources.http.desk]\nsecrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]\n', encoding="utf-8"
    )
    path = str(a_file(tmp_path, RUSSIAN))
    for arguments, code, told in (
        (("csv_ru", path), 0, "read 13 lines"),
        (("files.csv_ru", path), 0, "read 13 lines"),
        (("csv_ru",), 2, "which file?"),
        (("files.nothing", path), 2, "there is no table"),
        (("asterisk.queue-log", str(RECORDS / "queue_log" / "queue_log")), 0, "understood"),
        (("asterisk.cel",), 2, "sources.asterisk.cel.path"),
        (("desk", "--at", "127.0.0.1:1"), 1, "nothing answers"),
        (("http.desk", "--at", "127.0.0.1:1"), 1, "nothing answers"),
        (("nothing",), 2, "asterisk, asterisk.cdr"),
    ):
        done = callpulse("sources", "test", *arguments, "--config", config)
        assert (done.code, told in done.out + done.err) == (code, True), (arguments, done)

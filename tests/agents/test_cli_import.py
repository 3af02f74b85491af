"""`callpulse import` without Kafka: the summary of a dry run, and the errors before any event is sent."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.agents.cli_runner import Runner
from tests.streams.files_cases import FIXTURES, ROSTER, STORY

EXAMPLE = Path(__file__).parents[2] / "callpulse.example.toml"
CALLS = FIXTURES / "storyA" / "csv_ru"
GOOD = "2026-11-17 09:00:00,inbound,stranger@x.org,+74950000101,5,10,Answered,,\n"
WORD = "the disposition is a word without a meaning in values.disposition"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(ROSTER + STORY, encoding="utf-8")
    return path


def test_a_dry_run_counts_what_is_understood(callpulse: Runner, config: Path) -> None:
    done = callpulse("import", "-m", "csv_ru", "-c", config, "--dry-run", CALLS / "calls-1.csv", CALLS / "calls-2.csv")
    assert done.code == 0
    assert done.err == ""
    assert [line.partition(": ")[2] for line in done.out.splitlines()] == [
        "12 rows, 12 events, 0 rows of no concern, 0 rows not understood.",
        "11 rows, 12 events, 0 rows of no concern, 0 rows not understood.",
    ]


def test_the_events_of_a_dry_run_can_be_printed(callpulse: Runner, config: Path) -> None:
    done = callpulse("import", "-m", "csv_ru", "-c", config, "--dry-run", "--events", CALLS / "calls-1.csv")
    events = [orjson.loads(line) for line in done.out.splitlines()]
    assert len(events) == 12
    assert {event["source"] for event in events} == {"csv_ru"}
    assert "4950000" not in done.out


def test_what_is_not_understood_is_told_by_reason_with_its_rows_and_a_shape(
    callpulse: Runner, config: Path, tmp_path: Path
) -> None:
    export = tmp_path / "export.csv"
    header = "Start time,Direction,Agent,Customer,Ring (s),Talk (s),Result,Call ID,Note\n"
    export.write_text(header + GOOD + GOOD.replace("Answered", "Blurred") * 7 + GOOD.replace(",10,", ",ten,"))
    done = callpulse("import", "-m", "csv_en", "-c", config, "--dry-run", export)
    assert done.code == 1
    assert done.out.endswith(": 9 rows, 1 events, 0 rows of no concern, 8 rows not understood.\n")
    assert done.err.splitlines() == [
        f"  7 rows, invalid_field: {WORD} (line 3, line 4, line 5, line 6, line 7, ...)",
        "      9999-99-99 99:99:99,aaaaaaa,aaaaaaaa@a.aaa,+99999999999,9,99,aaaaaaa,,",
        "  1 rows, invalid_field: talk is no span of time (line 10)",
        "      9999-99-99 99:99:99,aaaaaaa,aaaaaaaa@a.aaa,+99999999999,9,aaa,aaaaaaaa,,",
        "On no roster entry (`identities` say whose these are):",
        "  csv_en:stranger@x.org: 1 events",
    ]
    told = callpulse("import", "-m", "csv_en", "-c", config, "--dry-run", "--json", export).json
    assert told[0]["problems"][0]["rows"] == 7
    assert told[0]["managers"] == {"csv_en:stranger@x.org": 1}


def test_a_file_that_is_something_else_does_not_keep_the_others_from_being_read(
    callpulse: Runner, config: Path, tmp_path: Path
) -> None:
    book = tmp_path / "book.csv"
    book.write_bytes(b"PK\x03\x04" + bytes(100))
    done = callpulse("import", "-m", "csv_ru", "-c", config, "--dry-run", book, CALLS / "calls-1.csv")
    assert done.code == 1
    assert "The file is a ZIP archive or an Excel workbook" in done.err
    assert "12 rows, 12 events" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-m", "csv_rus", "--dry-run", "x.csv"), "there is no table [sources.files.csv_rus]; did you mean csv_ru?"),
        (("-m", "zzz", "--dry-run", "x.csv"), "known here: csv_ru, csv_en, deals_ru, deals_en"),
        (("-m", "csv_ru", "--dry-run", "missing.csv"), "missing.csv is no file"),
        (("-m", "csv_ru", "--dry-run", "."), ". is no file"),
        (("-m", "csv_ru", "x.csv"), "privacy.lead_secret is not set"),
    ],
)
def test_a_wrong_command_line_is_told_before_anything_is_read(
    callpulse: Runner, config: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = callpulse("import", "-c", config, *arguments)
    assert done.code == 2
    assert words in done.err


def test_without_any_mapping_it_is_said_where_to_read_on(callpulse: Runner) -> None:
    assert "docs/files.md" in callpulse("import", "-m", "x", "--dry-run", "x.csv").err


def test_check_config_asks_for_a_memory_as_long_as_files_need(callpulse: Runner, config: Path) -> None:
    done = callpulse("check-config", "-c", config, "--json")
    assert done.code == 2
    assert [problem["key"] for problem in done.json["problems"]] == ["thresholds.retry_horizon"]
    assert callpulse("check-config", "-c", config, CALLPULSE_THRESHOLDS__RETRY_HORIZON="24h").code == 0
    assert callpulse("check-config", "-c", EXAMPLE).code == 0


def test_mappings_are_listed_by_the_source_that_their_events_carry(callpulse: Runner, config: Path) -> None:
    listed = callpulse("sources", "-c", config, "--json").json["sources"]
    assert [one["source"] for one in listed] == ["csv_ru", "csv_en", "deals_en"]

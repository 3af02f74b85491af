"""`callpulse reconcile` before it reads Kafka: the records that it reads, and the options that exclude each other."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.cli.common import UserError, read_settings
from agents.cli.reconcile.records import RecordFiles, files_of, read
from agents.cli.reconcile.rounds import ended_days
from agents.gateway import rotated
from streams.settings.settings import Settings, load
from streams.sources.registry import SOURCES
from tests.agents.cli_runner import Runner
from tests.streams.records import FOLDER

CEL = FOLDER / "cel" / "cel-custom" / "Master.csv"
CDR = FOLDER / "cdr" / "cdr-csv" / "Master.csv"
DAY = datetime(2026, 11, 17, tzinfo=UTC).toordinal() - datetime(1970, 1, 1, tzinfo=UTC).toordinal()
SETTINGS = """
timezone = "Europe/Moscow"
[[managers]]
id = "anna"
identities = { extension = ["101"] }
[[managers]]
id = "boris"
timezone = "Asia/Vladivostok"
identities = { extension = ["102"] }
[privacy]
region = "RU"
[sources.asterisk]
trunks = ["trunk-msk"]
[sources.files.crm-log]
what = "calls"
source = "asterisk"
timezone = "Europe/Moscow"
time = "%Y-%m-%d %H:%M:%S"
key = ["id"]
[sources.files.crm-log.columns]
manager = "who"
started = "at"
talk = "s"
direction = "way"
disposition = "how"
call = "id"
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CALLPULSE_LEAD_SECRET", "a secret of sixteen characters")
    (tmp_path / "callpulse.toml").write_text(SETTINGS, "utf-8")
    return read_settings(tmp_path / "callpulse.toml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "which records? Give --cel FILE"),
        (("--cel", "a", "--cdr", "b"), "give files of one kind: --cel or --cdr"),
        (("--file", "a"), "--map NAME says how --file FILE is read: give both"),
        (("--map", "nosuch", "--file", "a"), "there is no table [sources.files.nosuch]"),
        (("--cel", "a"), "--day is a date such as 2026-11-17, or yesterday"),
        (("--cel", "a", "--day", "17.11.2026"), "--day is a date such as 2026-11-17, or yesterday"),
        (("--cel", "a", "--every", "1h", "--day", "yesterday"), "leave --day and --dry-run out"),
        (("--cel", "a", "--every", "1h", "--dry-run"), "leave --day and --dry-run out"),
        (("--cel", "a", "--every", "10s"), "--every is a minute or longer"),
        (("--cel", "a", "--every", "soon"), '--every: "soon" is no duration'),
        (("--cel", "a", "--day", "yesterday", "--repair", "--dry-run"), "--repair sends, --dry-run does not"),
    ],
)
def test_what_must_not_be_said_is_refused_in_words(callpulse: Runner, words: tuple[str, ...], message: str) -> None:
    done = callpulse("reconcile", *words)
    assert done.code == 2
    assert message in done.err


def test_a_file_that_is_not_there_is_named(callpulse: Runner, tmp_path: Path) -> None:
    done = callpulse("reconcile", "--day", "yesterday", "--cdr", tmp_path / "none.csv")
    assert (done.code, "none.csv cannot be read: No such file or directory" in done.err) == (70, True)


def test_without_a_file_those_of_the_settings_are_read_with_the_rotated_ones() -> None:
    cel = load('[sources.asterisk.cel]\npath = "/x/cel"\n[sources.asterisk.cdr]\npath = "/x/cdr"', {}, SOURCES)
    assert files_of(cel, None, None, None, None) == RecordFiles(kind="cel", paths=(Path("/x/cel"),), rotated=True)
    cdr = load('[sources.asterisk.cdr]\npath = "/x/cdr"', {}, SOURCES)
    assert files_of(cdr, None, None, None, None) == RecordFiles(kind="cdr", paths=(Path("/x/cdr"),), rotated=True)
    assert files_of(cdr, [Path("a"), Path("b")], None, None, None) == RecordFiles(
        kind="cel", paths=(Path("a"), Path("b"))
    )


def test_of_the_rotated_files_those_are_read_that_were_written_to_since(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    for name, at in (("", 400), (".1", 300), (".2.gz", 200), (".3.gz", 100), ("-copy", 350), (".csv", 350)):
        file = tmp_path / f"Master.csv{name}"
        file.write_bytes(b"x")
        os.utime(file, (at, at))
    assert [file.name for file in rotated.since(path, 200_000)] == ["Master.csv.2.gz", "Master.csv.1", "Master.csv"]
    assert rotated.since(tmp_path / "other.csv", 0) == [tmp_path / "other.csv"]


@pytest.mark.parametrize(("kind", "whole"), [("cel", CEL), ("cdr", CDR)])
def test_rotated_and_packed_files_say_what_the_whole_file_says(
    kind: str, whole: Path, settings: Settings, tmp_path: Path
) -> None:
    lines = whole.read_bytes().splitlines(keepends=True)
    (tmp_path / "Master.csv.2.gz").write_bytes(gzip.compress(b"".join(lines[:20])))
    (tmp_path / "Master.csv.1").write_bytes(b"".join(lines[20:50]))
    (tmp_path / "Master.csv").write_bytes(b"".join(lines[50:]))
    os.utime(tmp_path / "Master.csv.2.gz", (1, 1))

    def said(path: Path, *, with_rotated: bool) -> set[tuple[str, str, int, int]]:
        files = RecordFiles(kind=kind, paths=(path,), rotated=with_rotated)  # type: ignore[arg-type]  # one of the two
        records = read(files, settings, [DAY], 0, 2000, lambda _: None)
        assert (records.name, records.source, records.terms.tolerance_ms) == (kind, "asterisk", 2000)
        return {(leg.end.call, leg.end.manager, leg.end.at, leg.end.talk_ms) for leg in records.legs}

    want = said(whole, with_rotated=False)
    assert len(want) > 3
    assert said(tmp_path / "Master.csv", with_rotated=True) == want
    assert said(tmp_path / "Master.csv", with_rotated=False) < want


def test_a_packed_file_that_is_damaged_is_named(settings: Settings, tmp_path: Path) -> None:
    packed = gzip.compress(CEL.read_bytes())
    for data in (packed[: len(packed) // 2], b"no gzip", packed[:-8] + b"\0" * 8):
        path = tmp_path / "Master.csv.1.gz"
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"Master.csv.1.gz cannot be read: it is packed, and cut or damaged\."):
            read(RecordFiles(kind="cel", paths=(path,)), settings, [DAY], 0, 2000, lambda _: None)


def test_an_exported_file_is_a_source_of_records_by_its_mapping(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "id,who,at,s,way,how\n"
        "c1,anna,2026-11-17 10:00:00,60,outbound,answered\n"
        "c2,boris,2026-11-17 11:00:00,0,outbound,no_answer\n"
        "c3,boris,2026-11-12 11:00:00,5,outbound,answered\n"
        "c4,boris,never,5,outbound,answered\n"
    )
    files = files_of(settings, None, None, [path], "crm-log")
    records = read(files, settings, [DAY], 0, 2000, lambda _: None)
    assert (records.name, records.source, records.refused) == ("crm-log", "asterisk", 1)
    assert [(leg.end.call, leg.end.manager, leg.end.talk_ms) for leg in records.legs] == [
        ("c1", "anna", 60_000),
        ("c2", "boris", 0),
    ]
    assert not records.terms.knows_cancels  # none occurs
    path.write_text("")
    with pytest.raises(UserError, match="first line"):
        read(files, settings, [DAY], 0, 2000, lambda _: None)


def test_days_have_ended_by_the_clock_of_each_zone(settings: Settings) -> None:
    evening = int(datetime(2026, 11, 17, 20, tzinfo=UTC).timestamp() * 1000)  # 23:00 in Moscow, 06:00 in Vladivostok
    assert list(ended_days(settings, evening, 2)) == [DAY - 2, DAY - 1, DAY]
    noon = evening - 10 * 3_600_000
    assert list(ended_days(settings, noon, 2)) == [DAY - 2, DAY - 1]

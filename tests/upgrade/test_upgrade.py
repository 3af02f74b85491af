"""An upgrade changes nothing: today's code reads, continues and repeats each frozen release, in memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import orjson
import pytest

from tests.upgrade import rows_on_disk
from tests.upgrade.frozen import Frozen, differences, read, releases, write
from tests.upgrade.in_memory import Installation
from tests.upgrade.today import (
    TABLES,
    Shelves,
    changelog,
    encoded_again,
    manager_record_again,
    meaning_changes,
    settings_of,
    settings_topic,
    source_names,
    topic_names,
)

ROOT: Final = Path(__file__).parents[2]
_OPEN: Final = "calls on closed leads no longer count among those on open leads"
CHANGED: Final[Mapping[str, Mapping[str, str]]] = {
    "329236d": {
        "outcomes": _OPEN,
        "outcomes-changelog": _OPEN,
        "leads-changelog": "rows hold the definition's version",
        "managers-changelog": "a leg with several starts, answers or ends keeps their moments, so that it can go on",
        "speech": "answered legs are sent to their transcripts",
    }
}
"""By release: topics whose bytes today's code makes otherwise, each with the reason. Rows must be read all the same."""
REDEFINED: Final[Mapping[str, Mapping[str, str]]] = {
    "329236d": {"callpulse_open_leads_by_calls": _OPEN, "callpulse_calls_per_lead": _OPEN}
}
"""By release: metrics that mean something else today, each with the reason. All others have the same values."""
RELEASES: Final = releases()


@pytest.fixture(scope="module", params=RELEASES)
def frozen(request: pytest.FixtureRequest) -> Frozen:
    return read(request.param)


@pytest.fixture(scope="module")
def made(frozen: Frozen) -> Installation:
    """Return an installation of today's code with the records that the sources sent then."""
    installation = Installation(settings_of(frozen.settings))
    installation.agree(frozen.readings[0].at_ms)
    go_on(installation, frozen, after=-1)
    return installation


def go_on(installation: Installation, frozen: Frozen, after: int) -> None:
    """Take in the records behind the reading `after`, with the checkpoints of then."""
    begun_ms = frozen.readings[after].at_ms if after >= 0 else 0
    for reading in frozen.readings[after + 1 :]:
        installation.work((a for a in frozen.input if begun_ms <= a.at_ms < reading.at_ms), reading.at_ms)
        begun_ms = reading.at_ms


def test_a_release_is_kept() -> None:
    assert "329236d" in RELEASES


# -- the frozen fixtures


def test_every_figure_is_told_of(frozen: Frozen) -> None:
    figures = [frozen.readings[number].figures or {} for number in frozen.read()]
    names = {series.partition("{")[0] for found in figures for series in found}
    shown = {series.partition("{")[0] for found in figures for series, value in found.items() if value}
    assert names - shown == set()
    assert len(names) > 50


def test_legs_are_late_and_withdrawn_leads_are_linked_and_rows_removed(frozen: Frozen) -> None:
    settings = settings_of(frozen.settings)
    contacts = [
        orjson.loads(value or b"")
        for log in frozen.topics[settings.kafka.topic_prefix + "contacts"]
        for _, value in log
    ]
    assert any(contact.get("withdrawn") for contact in contacts)
    assert any(fact["fact"] == "forwarded" and fact["event"]["type"] == "lead.linked" for fact in contacts)
    managers, leads = (
        [record for log in frozen.topics[changelog(settings, table)] for record in log]
        for table in ("managers", "leads")
    )
    assert any(value is None for _, value in leads)
    for begin in (b"l", b"2"):  # blocks of legs, and days
        values = [value for key, value in managers if (key or b"").partition(b"\0")[2].startswith(begin)]
        assert any(value is None for value in values)
        assert any(value is not None for value in values)
    assert sum(len(log) for log in frozen.topics[settings_topic(settings)]) == 1


# -- bytes


@pytest.mark.parametrize("name", ["leads", "outcomes", "calls", "crm", "contacts", "facts of outcomes"])
def test_a_record_is_encoded_to_the_bytes_that_it_was_decoded_from(frozen: Frozen, name: str) -> None:
    settings = settings_of(frozen.settings)
    if name in TABLES:
        topic = changelog(settings, name)
    else:
        topic = settings.kafka.topic_prefix + name.removeprefix("facts of ")
    again: Callable[[bytes], bytes] = encoded_again(settings, topic)
    values = [value for log in frozen.topics[topic] for _, value in log if value is not None]
    assert len(values) > 100
    assert [(number, value) for number, value in enumerate(values) if again(value) != value] == []


def test_a_row_of_a_manager_is_encoded_to_the_bytes_that_it_was_decoded_from(frozen: Frozen) -> None:
    settings = settings_of(frozen.settings)
    compared = 0
    for log in frozen.topics[changelog(settings, "managers")]:
        for number, (key, value) in enumerate(log):
            if value is not None:
                assert key is not None
                assert manager_record_again(settings, log[:number], key, value) == value, key
                compared += 1
    assert compared > 100


def test_the_same_records_make_the_same_bytes(frozen: Frozen, made: Installation) -> None:
    """Of every topic: the changelogs, what agents send each other, and the ends that callpulse concludes."""
    exceptions = CHANGED.get(frozen.release, {})
    settings = settings_of(frozen.settings)
    found = made.topics.found()
    assert frozen.topics.keys() <= found.keys()
    for topic in frozen.topics.keys() - {settings_topic(settings)}:
        differing = [
            (partition, offset)
            for partition, (now, then) in enumerate(zip(found[topic], frozen.topics[topic], strict=True))
            for offset in range(max(len(now), len(then)))
            if now[offset : offset + 1] != then[offset : offset + 1]
        ]
        short = topic.removeprefix(settings.kafka.topic_prefix).removeprefix(f"{settings.kafka.group}-")
        assert bool(differing) == (short in exceptions), f"{topic} differs at {differing[:5]}"


def test_topics_have_the_names_that_they_had(frozen: Frozen) -> None:
    assert frozen.topics.keys() <= set(topic_names(settings_of(frozen.settings)))


def test_the_settings_mean_what_they_meant(frozen: Frozen) -> None:
    settings = settings_of(frozen.settings)
    assert meaning_changes(settings, frozen.topics[settings_topic(settings)][0]) == []


# -- figures


def test_restored_from_the_changelogs_the_figures_are_those_of_then(frozen: Frozen) -> None:
    for number in frozen.read():
        installation = Installation(settings_of(frozen.settings))
        installation.restore(frozen, number)
        reading = frozen.readings[number]
        assert reading.figures
        assert differences(installation.figures(reading.at_ms), reading.figures) == {}


@pytest.mark.slow
def test_folding_goes_on_from_the_changelogs(frozen: Frozen, made: Installation) -> None:
    """The upgrade comes in the middle: leads are linked after it, and legs withdrawn that the release before ended."""
    sources = source_names(settings_of(frozen.settings))
    expected = made.topics.found()
    for number in frozen.read()[1:-1]:
        installation = Installation(settings_of(frozen.settings))
        installation.restore(frozen, number)
        go_on(installation, frozen, after=number)
        differing = differences(installation.figures(frozen.readings[-1].at_ms), frozen.last())
        assert {name for name in differing if name.partition("{")[0] not in REDEFINED.get(frozen.release, {})} == set()
        found = installation.topics.found()
        changed = {settings_of(frozen.settings).kafka.topic_prefix + name for name in CHANGED.get(frozen.release, {})}
        assert [topic for topic in sources if found[topic] != expected[topic] and topic not in changed] == []


# -- rows on disk


def test_a_worker_s_folder_is_used(frozen: Frozen, tmp_path: Path) -> None:
    settings = settings_of(frozen.settings)
    now_ms = int(time.time() * 1000)
    assert frozen.rows.keys() >= {"leads"}
    for table, families in frozen.rows.items():
        rows_on_disk.write(tmp_path / settings.worker.id / table, rows_on_disk.written_at(families, now_ms))
        shelves = Shelves(settings, tmp_path, table)
        try:
            for partition, log in enumerate(frozen.topics[changelog(settings, table)]):
                last = {key: value for key, value in log if key is not None}
                assert shelves.rows(partition) == {key: value for key, value in last.items() if value is not None}
                assert shelves.resumes_at(partition) == len(log) - 1
        finally:
            shelves.close()


def test_todays_folder_holds_the_same(frozen: Frozen, tmp_path: Path) -> None:
    settings = settings_of(frozen.settings)
    installation = Installation(settings, tmp_path)
    try:
        installation.agree(frozen.readings[0].at_ms)
        go_on(installation, frozen, after=-1)
    finally:
        installation.close()
    for table, families in frozen.rows.items():
        if f"{table}-changelog" in CHANGED.get(frozen.release, {}):
            continue  # the bytes of the rows changed
        found = rows_on_disk.read(tmp_path / settings.worker.id / table)
        assert rows_on_disk.written_at(found, frozen.readings[-1].at_ms) == families


# -- freezing


@pytest.mark.slow
def test_freezing_twice_gives_the_same_files(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.upgrade.freeze", "--release", "next", "--folder", str(tmp_path / seed)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    first, second = ({path.name: path.read_bytes() for path in tmp_path.glob(f"{seed}/next/*")} for seed in ("1", "2"))
    assert len(first) == 5
    assert first == second
    assert sum(map(len, first.values())) < 500_000


@pytest.mark.slow
def test_what_is_kept_is_never_replaced(frozen: Frozen, tmp_path: Path) -> None:
    write(frozen, tmp_path / frozen.release)
    before = {path.name: path.read_bytes() for path in (tmp_path / frozen.release).iterdir()}
    with pytest.raises(FileExistsError):
        write(read(frozen.release), tmp_path / frozen.release)
    assert {path.name: path.read_bytes() for path in (tmp_path / frozen.release).iterdir()} == before
    assert read(frozen.release, tmp_path) == frozen

"""`callpulse simulate` without a broker: the settings that it writes, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.settings.settings import load
from streams.simulator.people.stories import STORIES
from tests.agents.cli_runner import Runner

# Port 9 has no server: only the steps before sending are done.
NOWHERE = ("--bootstrap", "127.0.0.1:9", "--seconds", "0")


def test_the_department_of_the_stories_gives_its_settings_and_says_whom_to_look_for_after_two_quarters(
    callpulse: Runner, tmp_path: Path
) -> None:
    file = tmp_path / "stories.toml"
    done = callpulse("simulate", "--stories", "--roster", file, *NOWHERE)
    assert done.code == 70
    for story in STORIES:
        assert f"{story.name}: {story.subject}. {story.sees}" in done.err
    settings = load(file.read_text(encoding="utf-8"), {})
    assert {story.subject for story in STORIES} <= settings.managers.keys() | settings.teams.keys()
    checked = callpulse("check-config", "--config", file)
    assert checked.code == 0
    assert "22 managers in 6 teams" in checked.out


def test_stories_for_which_the_history_is_too_short_are_not_announced(callpulse: Runner) -> None:
    done = callpulse("simulate", "--stories", "--days", 60, *NOWHERE)
    assert "busy noise-maker: bruno.laut" in done.err
    assert "Thursday dip: ferry" in done.err
    assert "norm that drifts" not in done.err


@pytest.mark.parametrize("more", [("--managers", "5"), ("--always",)], ids=" ".join)
def test_the_stories_take_no_other_people_and_shifts(callpulse: Runner, more: tuple[str, ...]) -> None:
    done = callpulse("simulate", "--stories", *more, *NOWHERE)
    assert done.code == 2
    assert "--stories has its own managers and shifts" in done.err


def test_the_people_of_the_stories_work_although_the_settings_name_others(callpulse: Runner, tmp_path: Path) -> None:
    (tmp_path / "callpulse.toml").write_text('[[managers]]\nid = "anna"\n')
    file = tmp_path / "stories.toml"
    callpulse("simulate", "--stories", "--roster", file, *NOWHERE)
    assert '"anna"' not in file.read_text(encoding="utf-8")
    done = callpulse("simulate", "--roster", file, *NOWHERE)
    assert done.code == 2
    assert "the managers come from the settings here" in done.err


def test_a_history_is_written_as_an_export_that_the_roster_describes(callpulse: Runner, tmp_path: Path) -> None:
    roster, calls = tmp_path / "roster.toml", tmp_path / "calls.csv"
    made = ("--managers", 4, "--teams", 1, "--always", "--days", 0.1, "--roster", roster)
    done = callpulse("simulate", *made, "--as", "csv")
    assert done.code == 0
    calls.write_text(done.out, encoding="utf-8")
    rows = len(done.out.splitlines()) - 1
    assert rows > 20
    read = callpulse("import", "--config", roster, "--map", "calls", "--dry-run", calls)
    assert f"{rows} rows" in read.out + read.err
    assert "0 rows not understood" in read.out + read.err


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ("ami", "Asterisk Call Manager/"),
        ("cel", '"CHAN_START"'),
        ("cel-json", '{"eventtype"'),
        ("queue-log", "1"),
        ("cdr", '"'),
        ("events", '{"type":"'),
        ("cloudevents", '[{"specversion":"1.0"'),
        ("mango", '{"at_ms":'),
        ("megafon", '{"at_ms":'),
        ("zadarma", '{"at_ms":'),
        ("twilio", '{"at_ms":'),
        ("amazon-connect", '{"at_ms":'),
        ("freeswitch", '{"variables":'),
    ],
)
def test_a_history_is_written_as_another_system_would(callpulse: Runner, form: str, first: str) -> None:
    done = callpulse("simulate", "--managers", 3, "--teams", 1, "--always", "--days", 0.05, "--as", form)
    assert done.code == 0
    assert done.out.startswith(first)
    assert "--roster FILE would say it" in done.err


@pytest.mark.parametrize("more", [("--seconds", "0"), ("--json",), ("--rate", "5"), ("--speech", "0.5")], ids=" ".join)
def test_what_is_written_is_a_history_and_nothing_else(callpulse: Runner, more: tuple[str, ...]) -> None:
    done = callpulse("simulate", "--managers", 3, "--as", "ami", *more)
    assert done.code == 2
    assert "--as writes a history only" in done.err


def test_people_of_the_settings_have_no_invented_extensions(callpulse: Runner, tmp_path: Path) -> None:
    file = tmp_path / "callpulse.toml"
    file.write_text('[[managers]]\nid = "anna"\n')
    done = callpulse("simulate", "--config", file, "--as", "ami")
    assert done.code == 2
    assert "--as needs invented managers" in done.err

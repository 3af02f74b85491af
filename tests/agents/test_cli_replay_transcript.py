"""`callpulse replay transcript --json`: the leg by options and by names of files, and the errors of bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.agents.cli_runner import Runner, Said
from tests.streams.transcripts import FILES, FIXTURES, bodies, read

OPTIONS: Final = ("--call", "c-1", "--manager", "anna.weber", "--answered-at", "2026-11-20T09:30:00Z", "--json")
SIDES: Final = [FIXTURES / name for name in FILES["whisper openai"]]


def events(said: Said) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.out.splitlines()]


@pytest.mark.parametrize("case", ["bitrix24", "contact_lens file", "deepgram live", "whisper openai", "yandex stream"])
def test_the_events_of_files_are_those_of_the_reader(callpulse: Runner, case: str) -> None:
    paths = [FIXTURES / name for name in FILES[case]]
    done = callpulse("replay", "transcript", case.partition(" ")[0], *paths, *OPTIONS)
    assert (done.code, done.err) == (0, "")
    assert [event["id"] for event in events(done)] == [event.id for event in read(case).events]


def test_options_say_whose_channel_it_is_and_where_the_zeros_are(callpulse: Runner) -> None:
    moved = ("--offset", "customer=-1000", "--offset", "manager=500", "--manager-channel", "1", "--language", "de")
    said = callpulse("replay", "transcript", "whisper", *SIDES, *OPTIONS, *moved)
    first, *_, last = (event for event in events(said) if event["type"] == "speech.utterance")
    assert (first["role"], first["start_ms"], first["language"]) == ("customer", 0, "ru")
    assert (last["role"], last["start_ms"]) == ("manager", 9500)
    early = callpulse("replay", "transcript", "whisper", *SIDES, *OPTIONS, "--started-at", "2026-11-20T09:29:57Z")
    assert [event["start_ms"] for event in events(early) if "text" in event] == [3000, 500, 6000]


def test_a_manager_may_be_named_by_an_identity(callpulse: Runner, tmp_path: Path) -> None:
    config = tmp_path / "callpulse.toml"
    config.write_text('[[managers]]\nid = "anna.weber"\nidentities = { extension = "101" }\n')
    options = [*OPTIONS[:3], "101", *OPTIONS[4:], "--config", config]
    said = callpulse("replay", "transcript", "whisper", *SIDES, *options)
    assert {event["manager"] for event in events(said)} == {"anna.weber"}


def test_names_of_files_say_whose_they_are(callpulse: Runner, tmp_path: Path) -> None:
    for call in ("c-1", "c-2"):
        for channel, body in enumerate(bodies("whisper openai")):
            (tmp_path / f"{call}_anna.weber_1795167000000_{channel}.json").write_bytes(body)
    names = ("--names", "{call}_{manager}_{answered_at}_{channel}.json", "--json")
    for paths in (sorted(tmp_path.iterdir()), sorted(tmp_path.iterdir(), reverse=True)):
        said = callpulse("replay", "transcript", "whisper", *paths, *names)
        ids = {call: {event["id"] for event in events(said) if event["call"] == call} for call in ("c-1", "c-2")}
        assert ids["c-1"] == {event.id for event in read("whisper openai").events}
        assert len(ids["c-2"]) == len(ids["c-1"])
    one = callpulse("replay", "transcript", "whisper", tmp_path / "c-1_anna.weber_1795167000000_1.json", *names)
    assert {event.get("role", "customer") for event in events(one)} == {"customer"}


def test_what_cannot_be_read_is_named_by_its_place_and_not_by_its_words(callpulse: Runner, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    segments = [{"start": 2, "end": 1, "text": "kanarienvogel"}, {"start": 1, "end": 2, "text": "hallo"}]
    path.write_text(json.dumps(segments))
    done = callpulse("replay", "transcript", "whisper", path, *OPTIONS, "--channel", "0")
    assert done.code == 1
    assert [event.get("text") for event in events(done)] == ["hallo", None]
    assert done.err == (
        "Not everything could be read; the rest was taken.\n"
        f"  {path}, segment 1: invalid_time, the utterance ends before it begins\n"
    )
    path.write_bytes(b"\xff\xfe\0\0")
    done = callpulse("replay", "transcript", "whisper", path, *OPTIONS)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"Nothing could be read.\n  {path}, the body: not_utf8, invalid UTF-8 at byte 0\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("assemblyai", "x.json"), "there is no format assemblyai; known are bitrix24, contact_lens"),
        (("whisper", "no-such.json"), "no-such.json cannot be read: No such file or directory."),
        (("whisper", "x.json", "--offset", "anna=3"), "is not a side and milliseconds"),
        (("whisper", "x.json", "--names", "{who}.json"), "--names has {who}; known are call"),
        (("whisper", "x.json", "--names", "{call}.txt"), "the name of x.json does not fit --names"),
        (("whisper", "x.json", "--names", "{call}{call}"), "--names has a placeholder twice"),
    ],
)
def test_a_wrong_command_line_is_explained(callpulse: Runner, arguments: tuple[str, ...], text: str) -> None:
    done = callpulse("replay", "transcript", *arguments, "--json")
    assert done.code == 2
    assert text in done.err


def test_a_number_as_the_lead_is_refused(callpulse: Runner) -> None:
    done = callpulse("replay", "transcript", "whisper", *SIDES, *OPTIONS, "--lead", "+31150010001")
    assert (done.code, done.out) == (1, "")
    assert "could be a telephone number" in done.err
    assert "31150010001" not in done.err

"""`callpulse lexicon`: the phrases of a sentence, the errors in a file, and the score on labelled dialogues."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.agents.cli_runner import Runner

DIALOGUES = Path(__file__).parents[1] / "fixtures" / "speech" / "dialogues"
OURS = '[objection.price]\nadd = ["кусается"]\n[argument.green_roof]\nphrases = ["зеленая крыша"]\n'


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings with a lexicon file of ours: the same for all tests, so that it is loaded once."""
    folder = tmp_path_factory.mktemp("lexicon")
    path = folder / "settings.toml"
    ours = folder / "ours.toml"
    ours.write_text(OURS, encoding="utf-8")
    path.write_text(f'[speech]\nlexicons = ["{ours}"]\n', encoding="utf-8")
    return path


def test_a_sentence_shows_its_phrases_with_groups_and_sides(callpulse: Runner, config: Path) -> None:
    done = callpulse("lexicon", "try", "На самом деле цена кусается", "-c", config, "--json")
    assert done.code == 0
    found = {(one["kind"], one["group"], one["side"], one["offset"]) for one in orjson.loads(done.out)["matches"]}
    assert {("filler", "на самом деле", "both", 0), ("objection", "price", "customer", 14)} <= found


def test_a_sentence_without_a_phrase_is_said_to_be_one(callpulse: Runner, config: Path) -> None:
    assert "No phrase" in callpulse("lexicon", "try", "абракадабра", "-c", config).out
    assert callpulse("lexicon", "try", "да", "--side", "boss").code == 2


def test_a_good_file_has_a_version(callpulse: Runner, config: Path) -> None:
    done = callpulse("lexicon", "check", "-c", config, "--json")
    answer = orjson.loads(done.out)
    assert (done.code, answer["ok"]) == (0, True)
    assert {"kind": "argument", "group": "green_roof"} in answer["groups"]
    assert "Nothing is wrong" in callpulse("lexicon", "check", "-c", config).out


@pytest.mark.parametrize("as_json", [False, True])
def test_a_wrong_file_is_refused_with_key_and_reason(callpulse: Runner, tmp_path: Path, as_json: bool) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[objection.price]\nadd = ["{dya}"]\nsid = "both"\n', encoding="utf-8")
    done = callpulse("lexicon", "check", wrong, *(["--json"] if as_json else []))
    assert done.code == 1
    assert f"{wrong}: objection.price.sid" in done.out + done.err
    assert "did you mean side?" in done.out + done.err


def test_dialogues_are_scored(callpulse: Runner, tmp_path: Path) -> None:
    one = tmp_path / "one.ndjson"
    one.write_text((DIALOGUES / "ru.ndjson").read_text(encoding="utf-8").splitlines()[0], encoding="utf-8")
    done = callpulse("lexicon", "score", one, "--json", "--misses")
    assert done.code == 0
    answer = orjson.loads(done.out)
    assert answer["dialogues"] == 1
    assert {"fillers", "stages", "objections", "questions"} <= answer["parts"].keys()
    assert answer["parts"]["fillers"]["all"]["right"] > 0
    assert all(miss.keys() == {"utterance", "part", "group", "wrong"} for miss in answer["misses"])
    assert "1 dialogues" in callpulse("lexicon", "score", one).out


@pytest.mark.parametrize("content", [b'{"id": 1}', b"\xff\xfe", None])
def test_what_is_no_dialogue_is_refused(callpulse: Runner, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.ndjson"
    if content is not None:
        path.write_bytes(content)
    done = callpulse("lexicon", "score", path)
    assert done.code == 2
    assert str(path) in done.err

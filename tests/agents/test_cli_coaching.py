"""`callpulse coaching` without a broker: its output for the facts that it reads."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.kafka import heard
from streams.contract.features import CallFeatures, Features, HeardCall
from tests.agents.cli_runner import Runner

DAY_MS = 86_400_000


def fact(manager: str, number: int, **features: Any) -> Features:
    at = int(time.time() * 1000) - number * 60_000
    return Features(
        src="speech/0",
        seq=number,
        manager=manager,
        call=f"{manager}-{number}",
        lexicon="x",
        now=HeardCall(
            day=at // DAY_MS,
            at=at,
            direction="outbound",
            kind="cold",
            conversation=True,
            talk_ms=200_000,
            features=CallFeatures(utterances=9, span=200_000, **features),
        ),
    )


FACTS = [
    *(
        fact(name, n, monologue=ms)
        for name, ms in zip("abcd", range(20_000, 60_000, 10_000), strict=True)
        for n in range(3)
    ),
    *(fact("anna", n, monologue=90_000 + n, monologue_at=61_000) for n in range(3)),
    fact(
        "anna",
        9,
        flags=("fillers", "monologue"),
        evidence=(("fillers", "на самом деле", 65_000), ("monologue", "", 5_000)),
    ),
]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Features]], None]:
    def of(facts: list[Features]) -> None:
        async def read(*_: Any) -> list[Features]:
            return facts

        monkeypatch.setattr(heard, "read_features", read)

    return of


def test_it_shows_flagged_calls_with_their_moments_and_the_habit_to_train(
    callpulse: Runner, reads: Callable[[list[Features]], None]
) -> None:
    reads(FACTS)
    done = callpulse("coaching", "anna")
    assert done.code == 0
    assert "4 calls of anna with a transcript, 1 with a flag" in done.out
    assert "1:05 на самом деле" in " ".join(done.out.split())
    assert "1. longest monologue: 90, the team's better quarter 30 (3 cold calls, 2 to 5 min)" in done.out
    assert "listen to: anna-2 at 1:01" in done.out


def test_calls_whose_sides_look_swapped_are_named_and_compared_with_none(
    callpulse: Runner, reads: Callable[[list[Features]], None]
) -> None:
    reads([*FACTS[:12], *(fact("anna", n, monologue=90_000, swapped=True) for n in range(3))])
    done = callpulse("coaching", "anna")
    assert "In 3 of them the sides look swapped, the newest is anna-0" in done.out
    assert "No habit stands out" in done.out
    assert "look swapped" not in callpulse("coaching", "a").out


def test_json_has_all_of_it(callpulse: Runner, reads: Callable[[list[Features]], None]) -> None:
    reads(FACTS)
    found = callpulse("coaching", "anna", "--json").json
    assert found["heard"] == 4
    assert found["flagged"][0]["evidence"] == [["fillers", "на самом деле", 65_000], ["monologue", "", 5_000]]
    assert [habit["habit"] for habit in found["habits"]] == ["longest monologue"]


def test_a_manager_without_transcripts_is_said_to_have_none(
    callpulse: Runner, reads: Callable[[list[Features]], None]
) -> None:
    reads(FACTS)
    done = callpulse("coaching", "bert", "--days", "7")
    assert done.code == 1
    assert "there is no transcript of a call of manager 'bert' of these 7 days." in done.err
    assert "Traceback" not in done.err


def test_nothing_stands_out_in_a_team_of_one(callpulse: Runner, reads: Callable[[list[Features]], None]) -> None:
    reads(FACTS[-1:])
    assert "No habit stands out" in callpulse("coaching", "anna").out


def test_with_links_each_call_has_its_page(
    callpulse: Runner, reads: Callable[[list[Features]], None], tmp_path: Path
) -> None:
    (tmp_path / "callpulse.toml").write_text('[links]\ncall = "https://pbx.example/?call={call}"\n')
    reads(FACTS)
    found = callpulse("coaching", "anna", "--json").json
    (habit,) = found["habits"]
    rows = [*found["flagged"], *habit["listen"], *habit["own_best"]]
    assert len(rows) > 2
    assert all(row["link"] == f"https://pbx.example/?call={row['call']}" for row in rows)
    assert "pbx.example" not in callpulse("coaching", "anna").out, "no terminal, no hyperlinks"


def test_without_links_json_is_as_it_was(callpulse: Runner, reads: Callable[[list[Features]], None]) -> None:
    reads(FACTS)
    found = callpulse("coaching", "anna", "--json").json
    assert "link" not in found["flagged"][0]
    assert "link" not in found["habits"][0]["listen"][0]

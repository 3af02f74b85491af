"""`callpulse replay transcript` into Kafka: each utterance once, keyed by the manager."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.broker.installation import Installation
from tests.kafka_fixture import consume
from tests.streams.transcripts import FILES, FIXTURES, read

pytestmark = [pytest.mark.broker, pytest.mark.slow]

LEG = ("--call", "c-1", "--manager", "anna.weber", "--answered-at", "2026-11-20T09:30:00Z")


def test_a_transcript_that_is_sent_twice_is_in_kafka_once(bootstrap: str, tmp_path: Path) -> None:
    callpulse = Installation(bootstrap, tmp_path)
    callpulse.environment["CALLPULSE_GATEWAY__DATA_DIR"] = str(tmp_path / "gateway")
    assert callpulse("topics", "create").returncode == 0
    sides = [FIXTURES / name for name in FILES["whisper openai"]]
    first = callpulse("replay", "transcript", "whisper", *sides, *LEG)
    assert first.returncode == 0, first.stderr
    assert "5 events of 1 transcripts (4 utterances): 5 are in Kafka now" in first.stdout
    again = callpulse("replay", "transcript", "whisper", *sides, *LEG)
    assert "0 are in Kafka now" in again.stdout
    assert "5 were there already" in again.stdout
    broken = tmp_path / "broken.json"
    broken.write_text('[{"start": 9, "end": 1, "text": "kanarienvogel"}]')
    refused = callpulse("replay", "transcript", "whisper", broken, *LEG, "--channel", "0", "--call", "c-2")
    assert refused.returncode == 1
    prefix = callpulse.calls.removesuffix("calls")
    records = consume(bootstrap, f"{prefix}speech", at_least=6)
    assert len(records) == 6
    ids = [orjson.loads(record.value)["id"] for record in records]
    assert sorted(ids[:5]) == sorted(event.id for event in read("whisper openai").events)
    assert {record.key for record in records} == {b"anna.weber"}
    letters = consume(bootstrap, f"{prefix}rejected", at_least=1)
    assert [b"kanarienvogel" in (letter.value or b"") for letter in letters] == [False]

"""A gateway process and Kafka: the transcript of an hour is stored whole, and no word of a refused one is anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from streams.settings.access import hashed
from tests.broker.installation import Installation
from tests.broker.test_gateway_http import TOKEN, ask, gateway
from tests.kafka_fixture import consume

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(280)]

WORD: Final = "kanarienvogel"
QUERY: Final = "call=c-1&manager=anna.weber&answered_at=2026-11-20T09:30:00Z"
WORDS: Final = 4_500
"""Words of each side in an hour."""


def an_hour() -> bytes:
    """The result of Deepgram for a file of an hour: two channels, an utterance every ten words."""
    channels: list[Any] = []
    for channel in range(2):
        words: list[dict[str, Any]] = [
            {
                "word": f"{WORD}{channel}",
                "start": round(0.8 * n + n // 10 + channel * 0.4, 2),
                "end": round(0.8 * n + n // 10 + channel * 0.4 + 0.35, 2),
                "confidence": 0.98,
                "punctuated_word": f"{WORD.title()}{channel},",
            }
            for n in range(WORDS)
        ]
        said = " ".join(word["punctuated_word"] for word in words)
        channels.append({"alternatives": [{"transcript": said, "confidence": 0.98, "words": words}]})
    return json.dumps({"metadata": {"channels": 2}, "results": {"channels": channels}}).encode()


def test_the_transcript_of_an_hour_comes_in_and_a_refused_one_leaves_no_word(bootstrap: str, tmp_path: Path) -> None:
    here = Installation(bootstrap, tmp_path)
    here.environment["CALLPULSE_GATEWAY__HTTP__MAX_BODY_BYTES"] = str(8 << 20)
    assert here("topics", "create").returncode == 0
    config = tmp_path / "callpulse.toml"
    config.write_text(
        f'[sources.transcripts]\ntokens = ["{hashed(TOKEN)}"]\n[sources.http.crm]\ntokens = ["{hashed(TOKEN)}"]\n'
    )
    body = an_hour()
    assert len(body) > 1 << 20
    with gateway(here, config, "transcripts") as (_, told):
        hook = f"{told['url']}/hooks/transcripts/{TOKEN}"
        json_type = {"Content_Type": "application/json"}
        for _ in range(2):
            assert ask(f"{hook}/deepgram?{QUERY}", body, **json_type)[0] == 200
        status, answer = ask(f"{hook}/whisper?{QUERY}", f'{{"text": "{WORD}'.encode(), **json_type)
        assert (status, WORD in answer.decode()) == (400, False)
        event = {"v": 1, "id": "1", "type": "speech.utterance", "role": f"{WORD} - {WORD}", "text": WORD}
        status, answer = ask(
            f"{told['url']}/v1/events", json.dumps(event).encode(), Authorization=f"Bearer {TOKEN}", **json_type
        )
        assert (status, WORD in answer.decode()) == (422, False)
        metrics = ask(f"{told['status']}/metrics")[1].decode()
    prefix = here.calls.removesuffix("calls")
    events = [orjson.loads(record.value) for record in consume(bootstrap, f"{prefix}speech", at_least=100)]
    heard = [one for one in events if one["type"] == "speech.utterance"]
    assert sum(len(one["words"]) for one in heard) == 2 * WORDS
    assert len({one["id"] for one in events}) == len(events) == len(heard) + 1
    letters = consume(bootstrap, f"{prefix}rejected", at_least=2)
    assert len(letters) == 2
    left = [bytes(str(letter), "utf-8") + (letter.value or b"") for letter in letters]
    left += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(WORD.encode() in data.lower() for data in [*left, metrics.encode()])

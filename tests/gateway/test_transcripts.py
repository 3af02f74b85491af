"""Transcripts over HTTP: pushes of recognisers become utterances, and a refused one leaves no word anywhere."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from streams.contract.events import SpeechEnded, SpeechUtterance
from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.frame import Request
from streams.sources.registry import SOURCES
from streams.sources.transcripts.hook import TranscriptsHook
from tests.gateway.served import SETTINGS, TOKEN, Answer, Served, serving
from tests.streams.transcripts import FILES, bodies, lines, read

NOW_MS: Final = 1_795_167_600_000
WORD: Final = "kanarienvogel"
"""A spoken word: it must be nowhere after a refusal."""
MORE: Final = f"""
[sources.transcripts]
tokens = ["{hashed(TOKEN)}"]
[sources.transcripts.whisper]
manager_channel = 1
[[managers]]
id = "anna.weber"
identities = {{ extension = "101" }}
"""
LEG: Final = "call=c-1&manager=101&answered_at=2026-11-20T12:30:00%2B03:00"
EVENT: Final = {
    "v": 1,
    "id": "u-1",
    "type": "speech.utterance",
    "at": 1_795_167_001_000,
    "source": "stt",
    "call": "c-1",
    "manager": "anna.weber",
    "utterance": "1",
    "role": "manager",
    "start_ms": 0,
    "end_ms": 900,
    "final": True,
    "text": f"Das ist ein {WORD}.",
    "words": [{"text": WORD, "start_ms": 0, "end_ms": 900}],
    "revision": 3,
    "language": "de-DE",
    "confidence": 0.5,
}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(SETTINGS + MORE, clock=lambda: NOW_MS) as made:
        yield made


async def push(served: Served, form: str, body: bytes, query: str = LEG, *, token: str = TOKEN) -> Answer:
    return await served.ask("POST", f"/hooks/transcripts/{token}/{form}?{query}", body, Content_Type="application/json")


@pytest.mark.parametrize("case", FILES)
async def test_what_a_recogniser_pushes_is_what_its_file_says(served: Served, case: str) -> None:
    name = case.partition(" ")[0]
    for number, body in enumerate(bodies(case)):
        query = f"{LEG}&channel={1 - number}&more={'true' if number == 0 else ''}" if name == "whisper" else LEG
        assert (await push(served, name, body, query)).status == 200
    found = [event for event in served.sink.events if isinstance(event, SpeechUtterance)]
    assert {(event.call, event.manager, event.at) for event in found} == {("c-1", "anna.weber", NOW_MS)}
    assert isinstance(served.sink.events[-1], SpeechEnded)
    expected = lines(read(case))
    stands = {one.utterance: one for one in found if one.final and one.text}.values()
    assert sorted((one.role, one.start_ms, one.end_ms, one.text) for one in stands) == sorted(expected)
    assert served.sink.refused == []
    count = len(served.sink.events)
    for number, body in enumerate(bodies(case)):
        query = f"{LEG}&channel={1 - number}&more={'true' if number == 0 else ''}" if name == "whisper" else LEG
        await push(served, name, body, query)
    assert len(served.sink.events) == count


async def test_a_stream_of_deepgram_may_come_message_by_message(served: Served) -> None:
    for line in bodies("deepgram live")[0].splitlines():
        assert (await push(served, "deepgram", line, "")).status == 200
    ids = [event.id for event in served.sink.events]
    assert sorted(ids) == sorted({event.id for event in read("deepgram live", call="pbx-77").events})


@pytest.mark.parametrize(
    ("form", "query", "body", "reason"),
    [
        ("whisper", LEG, b"", "empty"),
        ("whisper", LEG, f'{{"text": "{WORD}'.encode(), "not_json"),
        ("whisper", f"{LEG}&channel=0", json.dumps({"text": WORD}).encode(), "missing_field"),
        ("whisper", "manager=101", json.dumps([{"start": 1, "end": 2, "text": WORD}]).encode(), "missing_field"),
        ("deepgram", LEG, json.dumps({"type": WORD, WORD: WORD}).encode(), "unknown_type"),
        ("contact_lens", LEG, json.dumps({"Segments": [{"Transcript": {"Content": WORD}}]}).encode(), "invalid_field"),
        ("yandex", LEG, json.dumps({"final": {"alternatives": [{"text": WORD}]}}).encode(), "missing_field"),
        ("bitrix24", LEG, json.dumps({"MESSAGES": [{"SIDE": WORD, "MESSAGE": WORD}]}).encode(), "invalid_field"),
        ("assemblyai", LEG, json.dumps({"text": WORD}).encode(), "unknown_type"),
        ("whisper", LEG + "&x=1" * 200, json.dumps({"text": WORD}).encode(), "invalid_field"),
    ],
)
async def test_a_refused_transcript_leaves_no_word_anywhere(
    served: Served, caplog: pytest.LogCaptureFixture, form: str, query: str, body: bytes, reason: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = await push(served, form, body, query)
    assert answer.status in (200, 400)
    assert [event for event in served.sink.events if isinstance(event, SpeechUtterance)] == []
    assert {one.reason for one in served.sink.refused} == {reason}
    assert WORD not in traces(served, answer, caplog)


def traces(served: Served, answer: Answer, caplog: pytest.LogCaptureFixture) -> str:
    """Return all data that a request leaves, except the events that were taken."""
    letters = [(one.detail, one.where, one.shape.decode()) for one in served.sink.refused]
    return f"{letters} {answer.body.decode()} {dict(answer.headers)} {caplog.text}".lower()


async def test_a_defect_of_the_adapter_leaves_no_word_either(
    served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: TranscriptsHook, request: Request) -> None:
        raise KeyError(request.body)

    monkeypatch.setattr(TranscriptsHook, "translate", broken)
    body = json.dumps({WORD: WORD}).encode()
    answer = await push(served, "whisper", body)
    assert answer.status == 400
    assert [(one.reason, one.shape) for one in served.sink.refused] == [("invalid_field", b"%d bytes" % len(body))]
    assert WORD not in traces(served, answer, caplog)


async def test_a_token_decides_who_may_push(served: Served) -> None:
    answer = await push(served, "bitrix24", bodies("bitrix24")[0], token="another-one")  # noqa: S106 - the wrong one
    assert answer.status == 404
    assert served.sink.events == []


async def test_events_of_speech_with_words_come_in_over_http(served: Served) -> None:
    ended = {
        **{name: EVENT[name] for name in ("v", "at", "source", "call", "manager")},
        "id": "e",
        "type": "speech.ended",
    }
    body = json.dumps([EVENT, ended | {"capabilities": {"word_times": True}}]).encode()
    answer = await served.ask(
        "POST", "/v1/events", body, Content_Type="application/json", Authorization=f"Bearer {TOKEN}"
    )
    assert answer.json["accepted"] == 2
    heard, over = served.sink.events
    assert isinstance(heard, SpeechUtterance)
    assert isinstance(over, SpeechEnded)
    assert (heard.words[0].text, heard.revision, heard.language, heard.confidence) == (WORD, 3, "de-DE", 0.5)


def wrong() -> list[Any]:
    """Events of speech that are refused, each for another reason, all with words in many places."""
    said = f"{WORD} - at `$.role`: {WORD}\n - {WORD}"
    return [
        EVENT | {"role": said},
        EVENT | {"role": WORD, WORD: WORD, "more": {WORD: [WORD]}},
        EVENT | {"final": WORD},
        EVENT | {"start_ms": WORD},
        EVENT | {"end_ms": -1},
        EVENT | {"start_ms": 5, "end_ms": 2},
        EVENT | {"text": WORD * 2_000},
        EVENT | {"words": [{"text": WORD * 30, "start_ms": 0, "end_ms": 1}]},
        EVENT | {"words": [{"text": WORD, "start_ms": 2, "end_ms": 1}]},
        EVENT | {"words": [WORD]},
        EVENT | {"confidence": 2},
        EVENT | {"language": WORD * 5},
        EVENT | {"at": NOW_MS + 10**8},
        EVENT | {"v": WORD},
        EVENT | {"type": f"speech.{WORD}"},
        EVENT | {"padding": WORD * 6_000},
        {name: value for name, value in EVENT.items() if name != "call"},
    ]


@pytest.mark.parametrize("cut", [0, 30])
@pytest.mark.parametrize("form", ["application/json", "application/cloudevents+json"])
async def test_a_refused_event_of_speech_leaves_no_word_anywhere(
    served: Served, caplog: pytest.LogCaptureFixture, cut: int, form: str
) -> None:
    for event in wrong():
        sent = event
        if "cloudevents" in form:
            kind = f"callpulse.{event['type']}"
            sent = {"specversion": "1.0", "id": "1", "source": "stt", "type": kind, "data": event}
        body = json.dumps(sent, ensure_ascii=False).encode()
        body = body[: len(body) - cut]
        with caplog.at_level(logging.DEBUG):
            answer = await served.ask("POST", "/v1/events", body, Content_Type=form, Authorization=f"Bearer {TOKEN}")
        assert answer.status >= 400
        assert WORD not in traces(served, answer, caplog)
    assert served.sink.events == []
    assert len(served.sink.refused) == len(wrong())
    assert not any("aaaa" in one.shape.decode() for one in served.sink.refused)


def test_a_defect_of_a_reader_would_cost_its_request_alone() -> None:
    hook = TranscriptsHook(load(SETTINGS + MORE, {}, SOURCES))
    request = Request(
        method="POST",
        url="https://host/hooks/transcripts/x/whisper",
        query="call=%ff&manager=m",
        headers={},
        body=b"[]",
        received_at_ms=NOW_MS,
    )
    assert [one.reason for one in hook.translate(request).refused] == ["missing_field"]

"""Transcripts of each recogniser as events: utterances, revisions, and the capabilities of the source."""

from __future__ import annotations

import base64
import itertools
import json
import re
import sys
import textwrap
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from msgspec import UNSET

from streams.contract.events import Capabilities, encode
from streams.sources.transcripts.settings import Recogniser
from streams.speech.stretches import stretches
from tests.streams.transcripts import (
    ANSWERED_MS,
    FILES,
    FIXTURES,
    LEG,
    REAL,
    bodies,
    capabilities,
    lines,
    made,
    read,
    standing,
    utterances,
    words_of,
)

ROOT = Path(__file__).parents[2]
PROPERTIES = ("word_times", "punctuation", "fillers", "channels_apart", "fine_times")
RUSSIAN = [
    ("manager", 400, 2440, "Добрый день, меня зовут Анна, компания Вектор."),
    ("customer", 3000, 4140, "Здравствуйте. Это слишком дорого."),
    ("manager", 7000, 8140, "Давайте договоримся на четверг."),
]
BY_CHANNEL = [case for case in FILES if case.startswith(("deepgram", "whisper", "yandex"))]
LINES = {
    "bitrix24": [
        ("manager", 1000, 3000, "Добрый день, чем могу помочь?"),
        ("customer", 4000, 8000, "Здравствуйте, сколько стоит поставка?"),
        ("manager", 9000, 11000, "Двести тысяч в месяц"),
        ("manager", 9000, 12000, "с доставкой"),
        ("customer", 13000, 13000, "Понятно"),
    ],
    "contact_lens stream": [
        (
            "manager",
            19010,
            24598,
            "Hello, thank you for calling Vector. My name is Anna. How can I help you?",
        ),
        ("customer", 25000, 29100, "My card is [PII] and it is too expensive."),
    ],
    "deepgram live": [
        ("manager", 0, 2720, "Good morning, this is Anna from Vector."),
        ("manager", 2720, 5820, "What is the main difficulty with your current supplier?"),
        ("customer", 5820, 7720, "They are always late."),
    ],
    "deepgram channels": [
        ("manager", 400, 2440, "Good morning, this is Anna from Vector."),
        ("manager", 3600, 6240, "What is the main difficulty with your current supplier?"),
        ("customer", 6800, 7940, "They are always late."),
    ],
    "deepgram utterances": RUSSIAN,
    "deepgram speakers": RUSSIAN,
    "whisper openai": [
        ("manager", 500, 2600, "Добрый день, меня зовут Анна, компания Вектор."),
        ("customer", 3500, 3800, "Здравствуйте."),
        ("manager", 6000, 7800, "С какими трудностями вы сталкиваетесь сейчас?"),
        ("customer", 9000, 10200, "Нам это слишком дорого."),
    ],
    "yandex stream": [
        ("manager", 200, 1900, "Добрый день, меня зовут Анна."),
        ("customer", 2600, 4300, "Это слишком дорого для нас!"),
        ("manager", 5200, 6550, "Давайте созвонимся в четверг?"),
    ],
    "yandex file": [
        ("manager", 200, 1900, "Добрый день, меня зовут Анна."),
        ("customer", 2600, 4300, "Это слишком дорого для нас!"),
    ],
}
CAPABILITIES: Final[dict[str, tuple[Any, ...]]] = {
    "bitrix24": (False, UNSET, UNSET, UNSET, False),
    "contact_lens stream": (False, True, UNSET, True, True),
    "contact_lens file": (False, True, UNSET, True, True),
    "deepgram live": (True, UNSET, False, True, True),
    "deepgram channels": (True, UNSET, False, True, True),
    "deepgram speakers": (True, UNSET, False, False, True),
    "whisper openai": (True, True, False, True, True),
    "whisper faster": (True, True, False, True, True),
    "yandex stream": (True, UNSET, UNSET, True, True),
    "yandex file": (True, UNSET, UNSET, True, True),
}


@pytest.mark.parametrize("case", LINES)
def test_what_stands_in_the_end_is_what_was_said(case: str) -> None:
    found = read(case)
    assert found.refused == []
    assert lines(found) == LINES[case]


@pytest.mark.parametrize("case", CAPABILITIES)
def test_a_source_says_what_it_can_give(case: str) -> None:
    assert capabilities(read(case)) == Capabilities(**dict(zip(PROPERTIES, CAPABILITIES[case], strict=True)))


@pytest.mark.parametrize("case", FILES)
def test_ids_are_permanent_and_a_repeat_has_the_same(case: str) -> None:
    ids = [event.id for event in read(case).events]
    assert ids == [event.id for event in read(case, at=ANSWERED_MS + 10**7).events]
    twice = {event.id for event in read(case, [*bodies(case), *bodies(case)]).events}
    if not case.startswith("whisper"):  # its documents are the sides of one call
        assert twice == set(ids)
    other = {event.id for event in read(case, call="c-2").events}
    assert not other & set(ids)
    assert all(len(id_) <= 128 and "anna" not in id_ for id_ in ids)


@pytest.mark.parametrize("case", FILES)
def test_utterances_are_dated_by_their_receipt_or_by_their_own_end(case: str) -> None:
    assert {event.at for event in read(case, at=ANSWERED_MS + 9).events} == {ANSWERED_MS + 9}
    answered = ANSWERED_MS
    assert all(one.at == answered + one.end_ms for one in utterances(read(case)))


@pytest.mark.parametrize("case", BY_CHANNEL)
def test_the_manager_may_have_the_other_channel(case: str) -> None:
    usual, other = read(case), read(case, manager_channel="1")
    swap = {"manager": "customer", "customer": "manager"}
    assert [swap[one.role] for one in utterances(usual)] == [one.role for one in utterances(other)]
    set_ = read(case, own=Recogniser(manager_channel=1))
    assert [one.role for one in utterances(set_)] == [one.role for one in utterances(other)]


@pytest.mark.parametrize("case", FILES)
def test_two_zeros_are_brought_to_one(case: str) -> None:
    usual = read(case)
    moved = read(case, manager_offset_ms="0", customer_offset_ms="2051")
    later = {"manager": 0, "customer": 2051}
    assert [one.start_ms + later[one.role] for one in standing(usual)] == [
        one.start_ms for one in sorted(standing(moved), key=lambda one: (one.start_ms - later[one.role], one.role))
    ]
    for one in utterances(moved):
        for word in one.words:
            assert one.start_ms <= word.start_ms or one.role == "manager"
    assert [event.id for event in usual.events] == [event.id for event in moved.events]


def test_a_recording_that_began_before_the_answer_counts_from_the_answer() -> None:
    found = read("deepgram utterances", started_at="2026-11-20T09:29:56Z")
    assert lines(found) == [
        ("customer", 0, 140, "дорого."),
        ("manager", 3000, 4140, "Давайте договоримся на четверг."),
    ]
    assert found.ignored == 1


@pytest.mark.parametrize("case", BY_CHANNEL)
def test_words_are_those_of_the_text(case: str) -> None:
    found = [one for one in utterances(read(case)) if one.text]
    assert all([word.text for word in one.words] == one.text.split() for one in found)
    assert found


def test_interim_results_of_deepgram_are_replaced_by_the_final_one_and_a_repeat_changes_nothing() -> None:
    found = utterances(read("deepgram live"))
    window = [(one.final, one.revision, one.text) for one in found if one.utterance == "0-2720"]
    said = "What is the main difficulty with your current supplier?"
    assert window == [(False, 1500, "What is the vane"), (True, 3100, said), (True, 3100, said)]
    assert len({one.id for one in found if one.utterance == "0-2720"}) == 2
    silent = next(one for one in found if one.utterance == "1-0")
    assert (silent.text, silent.start_ms, silent.end_ms, silent.words, silent.final) == ("", 0, 0, (), True)


def test_the_leg_stands_in_what_deepgram_was_asked_with() -> None:
    body = json.loads(bodies("deepgram channels")[0])
    body["metadata"]["extra"] = {**LEG, "call": ["pbx-9", "pbx-10"], "language": "en"}
    from streams.sources.transcripts.formats import translated  # noqa: PLC0415 - without the leg of the other tests
    from streams.sources.transcripts.leg import Asked  # noqa: PLC0415 - as above

    found = translated("deepgram", [json.dumps(body).encode()], Asked(Recogniser(), {}))
    assert {(event.call, event.manager) for event in utterances(found)} == {("pbx-9", "anna.weber")}
    assert {one.language for one in utterances(found)} == {"en"}
    assert {event.call for event in utterances(read("deepgram channels"))} == {"c-1"}


def test_voices_in_one_channel_of_a_stream_are_told_apart_when_they_are_certain() -> None:
    window = json.loads(bodies("deepgram live")[0].splitlines()[4])
    window["channel_index"] = [0, 1]
    for word in window["channel"]["alternatives"][0]["words"]:
        word["speaker"] = int(word["start"] >= 1.4)
    interim = window | {"is_final": False}
    found = made("deepgram live", interim, window, window, roles="guessed")
    assert lines(found) == [
        ("manager", 400, 1540, "Good morning, this is"),
        ("customer", 1600, 2440, "Anna from Vector."),
    ]
    assert found.ignored == 1
    assert len({event.id for event in found.events}) == 2
    side = made("deepgram live", window, channel="1")
    assert [one[0] for one in lines(side)] == ["customer"]


def test_words_of_deepgram_have_their_punctuation_even_where_the_text_is_written_in_another_way() -> None:
    window = json.loads(bodies("deepgram live")[0].splitlines()[4])
    window["channel"]["alternatives"][0]["transcript"] = "Good morning, this is Anna from the company Vector."
    (one,) = utterances(made("deepgram live", window))
    assert one.text.endswith("the company Vector.")
    assert [word.text for word in one.words][-1] == "Vector."


def test_words_of_a_channel_of_deepgram_are_cut_at_pauses() -> None:
    body = json.loads(bodies("deepgram channels")[0])
    assert len(utterances(read("deepgram channels"))) == 3
    for word in body["results"]["channels"][0]["alternatives"][0]["words"]:
        if word["start"] >= 3.6:
            word["start"], word["end"] = word["start"] - 0.5, word["end"] - 0.5
    assert [one[:3] for one in lines(made("deepgram channels", body))] == [
        ("manager", 400, 5740),
        ("customer", 6800, 7940),
    ]


def test_real_calls_of_whisper_keep_their_words() -> None:
    for number, count in (("40", 64), ("49", 70)):
        sides = [REAL / "whisper" / f"Auto_Repairs_{number}_UTC_{side}.whisper.json" for side in ("agent", "caller")]
        found = read("whisper", [path.read_bytes() for path in sides])
        assert len(utterances(found)) == count
        for channel, path in enumerate(sides):
            said = "".join(word["word"] for one in json.loads(path.read_bytes())["segments"] for word in one["words"])
            mine = [one for one in utterances(found) if one.role == ("manager", "customer")[channel]]
            assert words_of(mine) == " ".join(said.split())
    sides = [REAL / "whisper" / f"Auto_Repairs_40_UTC_{side}.whisper.json" for side in ("agent", "caller")]
    found = read("whisper", [path.read_bytes() for path in sides])
    longest = max((word.end_ms - word.start_ms, one) for one in utterances(found) for word in one.words)
    assert longest[0] == 19_240
    spoken = stretches(longest[1], 500, 2_000)
    assert sum(end - start for start, end in spoken) < 19_000


def test_loops_and_silence_of_whisper_are_no_speech() -> None:
    found = read("whisper", [(FIXTURES / "whisper/loop.json").read_bytes()], channel="0")
    assert [one.text for one in utterances(found)] == ["Good morning.", "So what do you need?", *["Thank you."] * 3]
    assert found.ignored == 5
    assert capabilities(found) == Capabilities(
        word_times=False, punctuation=True, fillers=False, channels_apart=True, fine_times=True
    )
    bare = {"segments": [{"start": 0, "end": 28, "text": "you know, " * 40}, {"start": 30, "end": 31, "text": "Yes."}]}
    assert [one.text for one in utterances(made("whisper", bare, channel="1"))] == ["Yes."]


def test_segments_of_whisper_may_stand_in_a_list_or_in_lines() -> None:
    segments = json.loads(bodies("whisper openai")[0])["segments"]
    expected = [one[3] for one in LINES["whisper openai"] if one[0] == "manager"]
    assert [one.text for one in utterances(made("whisper", segments, channel="0"))] == expected
    rows = "\n".join(json.dumps(one) for one in segments).encode()
    assert [one.text for one in utterances(read("whisper", [rows], channel="0"))] == expected
    both = [json.loads(body) for body in bodies("whisper openai")]
    assert lines(made("whisper", both)) == LINES["whisper openai"]


def test_words_without_segments_are_cut_at_pauses() -> None:
    body = json.loads(bodies("whisper openai")[0])
    del body["segments"]
    found = lines(made("whisper", body, channel="0"))
    assert [one[1:3] for one in found] == [(500, 2580), (6000, 7780)]
    assert found[0][3] == "Добрый день меня зовут Анна компания Вектор"


def test_a_refinement_of_speechkit_replaces_the_text_and_keeps_the_words() -> None:
    found = [one for one in utterances(read("yandex file")) if one.utterance == "0-0"]
    assert [(one.final, one.revision, one.text) for one in found] == [
        (True, 0, "добрый день меня зовут анна"),
        (True, 1, "Добрый день, меня зовут Анна."),
    ]
    assert [(word.start_ms, word.end_ms) for word in found[0].words] == [
        (word.start_ms, word.end_ms) for word in found[1].words
    ]
    assert {one.language for one in found} == {"ru-RU"}


def test_a_stream_of_speechkit_ends_when_its_session_is_closed() -> None:
    rows = bodies("yandex stream")[0].splitlines()
    open_, over = read("yandex stream", [b"\n".join(rows[:-1])], at=ANSWERED_MS), read("yandex stream", at=ANSWERED_MS)
    assert len(open_.events) + 1 == len(over.events)
    assert capabilities(over) is not None


def test_participants_of_contact_lens_are_joined_and_what_a_machine_says_is_left_out() -> None:
    found, example = (
        read("contact_lens file"),
        read("contact_lens", [(REAL / "contact_lens/example_original.json").read_bytes()]),
    )
    assert [one[:3] for one in lines(found)] == [one[:3] for one in lines(example)]
    assert found.ignored == 1
    assert [one.text for one in utterances(found)][3] == "I need to cancel. My number is [PII]."
    assert {one.call for one in utterances(found)} == {"c-1"}
    talk = {"manager": 0, "customer": 0}
    for one in utterances(example):
        talk[one.role] += one.end_ms - one.start_ms
    assert talk == {"manager": 15_150, "customer": 13_640}


def test_a_contact_is_the_call_where_none_is_named_and_kinesis_may_wrap_it() -> None:
    for line in bodies("contact_lens stream")[0].splitlines():
        record = {"kinesis": {"data": base64.b64encode(line).decode(), "partitionKey": "x"}}
        bare, wrapped = read("contact_lens stream", [line], call=""), made("contact_lens stream", record, call="")
        assert bare.events == wrapped.events
        assert {event.call for event in utterances(bare)} <= {"a1b2c3d4-5678-90ab-cdef-EXAMPLE22222"}


def test_the_function_of_the_docs_posts_what_the_hook_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "transcripts.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^   ```python\n(.*?)^   ```", page, re.DOTALL | re.MULTILINE)
    connected = datetime.fromtimestamp(ANSWERED_MS / 1000, UTC)
    contact: dict[str, Any] = {"Id": "c-2", "InitialContactId": "c-1", "InitiationTimestamp": connected}
    client = SimpleNamespace(describe_contact=lambda **_asked: {"Contact": contact})
    monkeypatch.setitem(sys.modules, "boto3", SimpleNamespace(client=lambda _name: client))
    monkeypatch.setenv("HOOK", "https://board.example/hooks/transcripts/TOKEN/contact_lens")
    posted: list[urllib.request.Request] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda request, **_how: posted.append(request))
    function: dict[str, Any] = {}
    exec(textwrap.dedent(code), function)  # noqa: S102 - the project's own page
    data = [base64.b64encode(line).decode() for line in bodies("contact_lens stream")[0].splitlines()]
    function["handler"]({"Records": [{"kinesis": {"data": one}} for one in data]}, None)
    assert posted == [], "no agent is connected yet"
    contact["AgentInfo"] = {"Id": "anna.weber", "ConnectedToAgentTimestamp": connected}
    function["handler"]({"Records": [{"kinesis": {"data": one}} for one in data]}, None)
    leg = dict(parse_qsl(urlsplit(posted[0].full_url).query))
    assert leg.keys() == {"call", "manager", "answered_at", "started_at"}
    found = read("contact_lens stream", [bytes(request.data or b"") for request in posted], **leg)  # type: ignore[arg-type]  # bytes are given
    assert lines(found) == LINES["contact_lens stream"]
    assert {(one.call, one.manager) for one in utterances(found)} == {("c-1", "anna.weber")}


def test_what_a_recogniser_was_asked_for_is_a_setting() -> None:
    own = Recogniser(fillers="kept", language="ru", customer_delay_ms=300)
    found = read("deepgram utterances", own=own)
    ended = capabilities(found)
    assert ended is not None
    assert ended.fillers is True
    assert {one.language for one in utterances(found)} == {"ru"}
    assert [one.start_ms for one in standing(found)] == [400, 3300, 7000]


def test_a_transcript_that_comes_in_two_requests_ends_with_the_second() -> None:
    first, second = bodies("whisper openai")
    begun = read("whisper", [first], channel="0", more="true")
    ended = read("whisper", [second], channel="1")
    whole = read("whisper openai")
    assert [event.id for event in [*begun.events, *ended.events]] == [event.id for event in whole.events]


def test_a_long_utterance_is_split_between_words_and_loses_none() -> None:
    words: list[Any] = [{"word": f" слово{n}.", "start": n * 0.5, "end": n * 0.5 + 0.4} for n in range(6_000)]
    segment = {"start": 0, "end": 3_000, "text": "".join(one["word"] for one in words), "words": words}
    found = utterances(made("whisper", {"segments": [segment | {"compression_ratio": 1.0}]}, channel="0"))
    assert len(found) > 4
    assert max(len(encode(one)) for one in found) <= 64 * 1024
    assert words_of(found) == " ".join(one["word"].strip() for one in words)
    assert [one.utterance for one in found[:3]] == ["0-0", "0-0.1", "0-0.2"]
    assert all(one.start_ms <= one.words[0].start_ms and one.words[-1].end_ms <= one.end_ms for one in found)
    assert all(one.end_ms <= other.start_ms for one, other in itertools.pairwise(found))


@pytest.mark.parametrize("said", ["долго " * 9_000, "x" * 40_000, "\\u0001" * 3 + "я" * 20_000])
def test_a_long_text_without_times_is_split_too(said: str) -> None:
    message = {"SIDE": "User", "START_TIME": 10, "STOP_TIME": 110, "MESSAGE": said}
    found = utterances(made("bitrix24", {"MESSAGES": [message]}))
    assert "".join(one.text for one in found).replace(" ", "") == said.replace(" ", "")
    assert all(len(one.text) <= 16_384 and len(encode(one)) <= 64 * 1024 for one in found)
    assert (found[0].start_ms, found[-1].end_ms) == (10_000, 110_000)
    assert all(one.end_ms == other.start_ms for one, other in itertools.pairwise(found))


def test_an_utterance_that_may_still_change_is_not_split_but_left_out() -> None:
    word = {"word": "слово", "start": 1, "end": 2}
    channel = {"alternatives": [{"transcript": "слово " * 9_000, "words": [word] * 9_000}]}
    message = {"type": "Results", "channel_index": [0, 2], "start": 0, "duration": 9, "channel": channel}
    assert utterances(made("deepgram live", message)) == []
    assert len(utterances(made("deepgram live", message | {"is_final": True}))) > 3

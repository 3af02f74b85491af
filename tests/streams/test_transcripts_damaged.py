"""Damaged transcripts: readable parts are read, others are refused without a word of them, and nothing raises."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import MAX_BYTES, encode
from streams.sources.frame import Translation
from streams.sources.transcripts.formats import FORMATS, translated
from streams.sources.transcripts.leg import PARAMETERS, Asked
from streams.sources.transcripts.settings import Recogniser
from tests.examples import examples
from tests.streams.test_damaged import CHANGES, PLACES, SPICE, damaged
from tests.streams.transcripts import FILES, LEG, bodies, made, read, utterances

CANARY: Final = "kanarienvogel"
VALUES: Final[st.SearchStrategy[Any]] = st.one_of(
    st.sampled_from([None, True, -1, 0, 1e308, -1e-9, 10**30, "", "-5", "NaN", "1e999", [], {}, [[]], {"a": 1}]),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.lists(st.none() | st.integers(), max_size=3),
)


def sound(found: Translation) -> None:
    """Return whether all events are of the contract, and no refusal contains spoken words."""
    assert all(len(encode(event)) <= MAX_BYTES for event in found.events)
    for one in utterances(found):
        assert one.words == () or one.text
    for refused in found.refused:
        said = f"{refused.detail} {refused.where} {refused.shape.decode()}"
        assert CANARY not in said.lower()
        assert len(refused.shape) < 30


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf  ", "empty"),
        (b"\x00\xff\xfe\x01RIFF", "not_utf8"),
        (b"RIFF....WAVE", "not_json"),
        (b'{"segments": [{"start": 1, "text": "kanarienvogel', "not_json"),
        (b'{"segments": [{"start": NaN, "text": "kanarienvogel"}]}', "not_json"),
        (b'{"segments": [{"start": 1e999}]}', "not_json"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 100_000, "too_deep"),
    ],
)
@pytest.mark.parametrize("name", FORMATS)
def test_what_is_no_json_is_refused_whole(name: str, data: bytes, reason: str) -> None:
    found = read(name, [data], channel="0")
    assert [one.reason for one in found.refused] == [reason]
    assert found.events == []
    sound(found)


@pytest.mark.parametrize("name", FORMATS)
def test_a_broken_side_costs_the_transcript_because_figures_of_one_side_are_wrong(name: str) -> None:
    found = read(name, [*bodies(next(case for case in FILES if case.startswith(name))), b"{"])
    assert found.events == []
    assert len(found.refused) == 1


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"call": ""}, "missing_field"),
        ({"manager": " "}, "missing_field"),
        ({"answered_at": ""}, "missing_field"),
        ({"answered_at": "yesterday"}, "invalid_time"),
        ({"answered_at": "1795167000"}, "invalid_time"),
        ({"answered_at": "2026-11-20T09:30:00"}, "invalid_time"),
        ({"call": "c" * 129}, "invalid_field"),
        ({"call": "c\n1"}, "invalid_field"),
        ({"manager_channel": "2"}, "invalid_field"),
        ({"customer_offset_ms": "1.5"}, "invalid_field"),
    ],
)
def test_a_leg_that_is_not_known_is_refused(name: str, said: dict[str, str], reason: str) -> None:
    case = next(case for case in FILES if case.startswith(name))
    leg = {**LEG, **said}
    if name == "contact_lens" and "call" in said and said["call"] == "":
        leg["manager"] = ""  # a contact names the call itself
    data = bodies(case)
    if name == "deepgram":
        data = [data[0].replace(b'"extra"', b'"other"')]
    if name == "bitrix24":
        data = [data[0].replace(b'"CALL_ID"', b'"OTHER"')]
    found = translated(name, data, Asked(Recogniser(), leg))
    assert found.events == []
    assert {one.reason for one in found.refused} == {reason}


def broken(case: str) -> Iterator[tuple[Any, str]]:
    """Yield a part that is wrong and the reason, in the form of a recogniser."""
    if case == "bitrix24":
        good = {"SIDE": "User", "START_TIME": 1, "STOP_TIME": 3, "MESSAGE": CANARY}
        yield good | {"STOP_TIME": 0}, "invalid_time"
        yield good | {"SIDE": "Operator"}, "invalid_field"
        yield good | {"START_TIME": "soon"}, "invalid_field"
        yield good | {"STOP_TIME": 700_000}, "invalid_time"
        yield good | {"MESSAGE": [CANARY]}, "invalid_field"
        yield CANARY, "invalid_field"
    elif case == "whisper":
        good = {"start": 1, "end": 3, "text": CANARY}
        yield good | {"end": 0}, "invalid_time"
        yield good | {"start": None}, "missing_field"
        yield good | {"start": True}, "invalid_field"
        yield good | {"end": 700_000}, "invalid_time"
        yield good | {"end": 1e306}, "invalid_time"
        yield good | {"text": 5}, "invalid_field"
        yield good | {"words": {"word": CANARY}}, "invalid_field"
        yield good | {"words": [{"word": CANARY, "start": "x"}]}, "invalid_field"
        yield [CANARY], "invalid_field"
    elif case == "contact_lens":
        good = {"Id": "1", "ParticipantId": "AGENT", "BeginOffsetMillis": 1, "EndOffsetMillis": 3, "Content": CANARY}
        yield good | {"EndOffsetMillis": 0}, "invalid_time"
        yield good | {"ParticipantId": "nobody"}, "invalid_field"
        yield good | {"Id": ""}, "missing_field"
        yield good | {"BeginOffsetMillis": 10**12, "EndOffsetMillis": 10**12}, "invalid_time"
        yield good | {"Content": 7}, "invalid_field"
    else:
        good = {"start": 1, "end": 3, "channel": 0, "transcript": CANARY, "words": []}
        yield good | {"end": 0.5}, "invalid_time"
        yield good | {"channel": 2}, "invalid_field"
        yield good | {"channel": []}, "invalid_field"
        yield good | {"start": None}, "missing_field"
        yield good | {"transcript": {}}, "invalid_field"
        yield good | {"words": [{"word": CANARY, "start": 10**9, "end": 10**9}]}, "invalid_time"


def whole(case: str, part: Any) -> Any:
    """Return a transcript with two sound parts around one."""
    if case == "bitrix24":
        sound_ = {"SIDE": "User", "START_TIME": 1, "STOP_TIME": 3, "MESSAGE": "да"}
        return {"MESSAGES": [sound_, part, {**sound_, "SIDE": "Client"}]}
    if case == "whisper":
        return {"segments": [{"start": 1, "end": 3, "text": "да"}, part, {"start": 5, "end": 6, "text": "нет"}]}
    if case == "contact_lens":
        turn = {"Id": "a", "ParticipantId": "AGENT", "BeginOffsetMillis": 1, "EndOffsetMillis": 3, "Content": "да"}
        return {"Transcript": [turn, part, {**turn, "Id": "b"}]}
    one = {"start": 1, "end": 3, "channel": 0, "transcript": "да", "words": []}
    return {"results": {"channels": [{}, {}], "utterances": [one, part, {**one, "channel": 1}]}}


@pytest.mark.parametrize(
    ("case", "part", "reason"),
    [(case, *one) for case in ("bitrix24", "whisper", "contact_lens", "deepgram") for one in broken(case)],
)
def test_a_part_that_is_wrong_costs_itself(case: str, part: Any, reason: str) -> None:
    found = made(case, whole(case, part), channel="0" if case == "whisper" else "")
    assert [one.reason for one in found.refused] == [reason]
    assert len(utterances(found)) == 2
    sound(found)


def test_messages_of_streams_that_are_wrong_cost_themselves() -> None:
    rows = bodies("deepgram live")[0].splitlines()
    window = json.loads(rows[4])
    wrong = [
        window | {"channel_index": [5, 6]},
        window | {"channel_index": [0, 1], "is_final": True},
        window | {"duration": -1},
        window | {"channel": {"alternatives": [CANARY]}},
        {"type": CANARY},
    ]
    found = made("deepgram live", *wrong, window)
    assert [one.reason for one in found.refused] == [
        *("invalid_field", "missing_field", "invalid_time", "invalid_field", "unknown_type")
    ]
    assert len(utterances(found)) == 1
    sound(found)
    final = json.loads(bodies("yandex stream")[0].splitlines()[2])
    del final["channel_tag"], final["final"]["channel_tag"]
    found = made("yandex stream", final, {CANARY: 1}, json.loads(bodies("yandex stream")[0].splitlines()[2]))
    assert [one.reason for one in found.refused] == ["missing_field", "unknown_type"]
    assert len(utterances(found)) == 1
    sound(found)


def test_roles_are_not_guessed_where_there_is_one_channel_and_no_speakers() -> None:
    body = json.loads(bodies("deepgram speakers")[0])
    for one in body["results"]["utterances"]:
        del one["speaker"]
    found = made("deepgram", body)
    assert utterances(found) == []
    assert {one.reason for one in found.refused} == {"missing_field"}
    assert len(utterances(made("deepgram", body, channel="1"))) == 3


def test_a_word_that_ends_before_it_begins_has_no_length() -> None:
    words = [{"word": "да", "start": 2, "end": 1}, {"word": "нет", "start": 2.5, "end": 3}]
    segment = {"start": 1, "end": 3, "text": "да нет", "words": words}
    (one,) = utterances(made("whisper", {"segments": [segment]}, channel="0"))
    assert [(word.start_ms, word.end_ms) for word in one.words] == [(2000, 2000), (2500, 3000)]


@pytest.mark.fuzz
@pytest.mark.parametrize("case", FILES)
@examples(30)
@given(begin=PLACES, changes=CHANGES)
def test_damaged_bytes_of_a_transcript_are_read_or_refused(case: str, begin: float, changes: list[Any]) -> None:
    for body in bodies(case):
        rows = body.replace(b"},", b"},\n").split(b"\n")
        sound(read(case, [b"\n".join(damaged(rows, begin, changes))], channel="0"))


@pytest.mark.fuzz
@pytest.mark.parametrize("case", FILES)
@examples(40)
@given(data=st.data())
def test_any_values_in_the_places_of_others_are_read_or_refused(case: str, data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(bodies(case)))
    lines = body.splitlines() if body.startswith(b"{") and b"\n{" in body else [body]
    values = [json.loads(line) for line in lines]
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.sampled_from(list(places(values))[:400]))
        holder, key = place
        holder[key] = data.draw(VALUES)
    rows = b"\n".join(json.dumps(value).encode() for value in values)
    sound(read(case, [rows], channel="0"))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place of a value that may hold another one."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


@pytest.mark.fuzz
@pytest.mark.parametrize("name", FORMATS)
@examples(40)
@given(data=st.binary(max_size=60) | st.lists(SPICE, max_size=8).map(b"".join), keep=st.booleans())
def test_any_bytes_are_read_or_refused(name: str, data: bytes, *, keep: bool) -> None:
    body = bodies(next(case for case in FILES if case.startswith(name)))[0]
    sound(read(name, [data + body if keep else data], channel="0"))


@pytest.mark.fuzz
@pytest.mark.parametrize("name", FORMATS)
@examples(30)
@given(said=st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=30) | st.sampled_from(["1", "-7", "0" * 12])))
def test_any_parameters_are_read_or_refused(name: str, said: dict[str, str]) -> None:
    case = next(case for case in FILES if case.startswith(name))
    sound(translated(name, bodies(case), Asked(Recogniser(), LEG | said)))


@pytest.mark.slow
def test_a_huge_transcript_takes_time_in_proportion() -> None:
    def seconds(count: int) -> float:
        segments = [{"start": n, "end": n + 1, "text": f"слово {n}"} for n in range(count)]
        begun = time.process_time()
        assert len(utterances(made("whisper", {"segments": segments}, channel="0"))) == count
        return time.process_time() - begun

    small, large = seconds(2_000), seconds(16_000)
    assert large <= max(0.5, 32 * small)


def test_of_very_many_broken_parts_the_first_are_named() -> None:
    found = made("whisper", [{"start": 2, "end": 1, "text": CANARY}] * 5_000, channel="0")
    assert len(found.refused) == 51
    assert found.refused[0].where == "segment 1"
    assert found.refused[-1].where == "4950 more"
    sound(found)

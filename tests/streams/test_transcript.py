"""Transcript rows: a call has the same features with any order, batches, repeats and revisions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.contract.events import Capabilities, SpeechEnded, SpeechUtterance
from streams.contract.features import SpokenLeg
from streams.settings.speech import Speech
from streams.tables.changelog import LayoutError
from streams.tables.transcript.fold import KEPT_MS, NOTHING, Sent, TranscriptFold, is_due, live_marks
from streams.tables.transcript.row import TranscriptRecords, TranscriptRow, row_key
from tests.lexicons import lexicon, reader

AT: Final = 1_795_435_200_000
LINES: Final = (
    "Добрый день, меня зовут Анна. На самом деле мы уже говорили.",
    "Как у вас устроены закупки? Правильно понимаю, что раз в месяц?",
    "Слишком дорого для нас.",
    "Понимаю. Давайте созвонимся в четверг в десять.",
    "Okay, you know, Thursday at ten works for me.",
    "Угу.",
    "",
)
UTTERANCES = st.builds(
    SpeechUtterance,
    v=st.just(1),
    id=st.text("abc", min_size=1, max_size=6),
    at=st.just(AT),
    source=st.just("stt"),
    call=st.just("c"),
    manager=st.just("anna"),
    utterance=st.sampled_from(["u1", "u2", "u3", "u4"]),
    role=st.sampled_from(["manager", "customer"]),
    start_ms=st.integers(0, 60).map(lambda n: n * 1_100),
    end_ms=st.just(70_000),
    text=st.sampled_from(LINES),
    final=st.booleans(),
    revision=st.integers(0, 3),
)


@cache
def folding() -> TranscriptFold:
    return TranscriptFold(reader(), Speech(), lexicon().version)


def ended(**more: object) -> SpeechEnded:
    return SpeechEnded(v=1, id="e", at=AT, source="stt", call="c", manager="anna", **more)  # type: ignore[arg-type]  # by name


def leg(seq: int = 1, **more: object) -> SpokenLeg:
    fields: dict[str, object] = {"day": 20_780, "kind": "cold", "conversation": True, "talk_ms": 70_000, **more}
    return SpokenLeg(src="calls/0", seq=seq, manager="anna", call="c", at=AT, direction="outbound", **fields)  # type: ignore[arg-type]  # by name


def one_of_each(some: Sequence[SpeechUtterance]) -> list[SpeechUtterance]:
    """One event of each revision: a source that sends two texts as the same revision leaves it to the order."""
    return list({(each.utterance, each.final, each.revision): each for each in some}.values())


def row_of(*records: SpeechUtterance | SpeechEnded | SpokenLeg) -> tuple[TranscriptRow, list[Sent]]:
    row, sent = TranscriptRow(), []
    for record in records:
        if isinstance(record, SpeechUtterance):
            folding().utterance(row, record)
        elif isinstance(record, SpeechEnded):
            sent.append(folding().ended(row, record))
        else:
            sent.append(folding().leg(row, record) or NOTHING)
        if len(sent) % 2:  # as after a restart
            ((_, value),) = TranscriptRecords().changelog(b"k", row)
            row = TranscriptRow(value)
    return row, [each for each in sent if each != NOTHING]


@given(st.lists(UTTERANCES, max_size=9).map(one_of_each), st.data())
def test_order_repetition_and_restarts_change_no_feature(some: list[SpeechUtterance], data: st.DataObject) -> None:
    records: list[SpeechUtterance | SpeechEnded | SpokenLeg] = [*some, leg(), ended()]
    first, _ = row_of(*records, ended())
    again = data.draw(st.permutations([*records, *data.draw(st.lists(st.sampled_from(records), max_size=4))]))
    second, sent = row_of(*again, ended())
    assert second.state.marks == first.state.marks
    assert folding().heard(second.state) == folding().heard(first.state) == second.state.sent == first.state.sent
    assert (sent[-1].now if sent else None) == second.state.sent


@given(
    st.lists(UTTERANCES, max_size=9).map(one_of_each), st.permutations(["leg", "end", "end", "withdrawn", "leg again"])
)
def test_what_is_sent_adds_up_to_what_counts(some: list[SpeechUtterance], order: list[str]) -> None:
    known: dict[str, SpeechEnded | SpokenLeg] = {
        "leg": leg(1),
        "withdrawn": leg(2, withdrawn=True),
        "leg again": leg(3, kind="repeat"),
        "end": ended(),
    }
    records: list[SpeechUtterance | SpeechEnded | SpokenLeg] = []
    for place, name in enumerate(order):
        records += [*some[place::5], known[name]]
    _, sent = row_of(*records, ended())
    before = None
    for each in sent:  # each withdraws exactly the amounts of its predecessor
        assert each.before == before
        before = each.now
    assert (before is None) == (not any(one.text for one in final(some)))
    assert before is None or before.kind == "repeat"


def final(some: Sequence[SpeechUtterance]) -> list[SpeechUtterance]:
    kept: dict[str, SpeechUtterance] = {}
    for each in some:
        known = kept.get(each.utterance)
        if known is None or (each.final, each.revision) >= (known.final, known.revision):
            kept[each.utterance] = each
    return list(kept.values())


@given(UTTERANCES)
def test_a_row_holds_no_word_that_was_said(event: SpeechUtterance) -> None:
    spoken = replace(event, text=f"{event.text} zanzibar")
    row, _ = row_of(spoken, leg(), ended())
    assert b"zanzibar" not in b"".join(value or b"" for _, value in TranscriptRecords().changelog(b"k", row))
    assert "zanzibar" not in repr(row.state)


def utterance(name: str = "u1", **more: Any) -> SpeechUtterance:
    fields: dict[str, object] = {"text": LINES[1], "final": True, "start_ms": 0, "end_ms": 4_000, **more}
    return SpeechUtterance(
        v=1,
        id="i",
        at=AT,
        source="stt",
        call="c",
        manager="anna",
        utterance=name,
        role="manager",
        **fields,  # type: ignore[arg-type]  # by name
    )


@pytest.mark.parametrize(
    ("known", "new", "wins"),
    [
        ({"final": False}, {"final": True}, True),
        ({"final": True}, {"final": False, "revision": 9}, False),
        ({"revision": 1}, {"revision": 2}, True),
        ({"revision": 2}, {"revision": 1}, False),
        ({"revision": 1}, {"revision": 1}, True),
    ],
)
def test_which_of_two_events_about_an_utterance_stays(known: dict[str, Any], new: dict[str, Any], wins: bool) -> None:
    row = TranscriptRow()
    assert folding().utterance(row, utterance(text="one", **known)) == "applied"
    assert folding().utterance(row, utterance(text="one two three", **new)) == ("applied" if wins else "duplicate")
    assert row.state.marks["u1"].words == (3 if wins else 1)


def test_a_leg_without_its_transcript_and_a_transcript_without_its_leg_send_nothing() -> None:
    assert row_of(leg(), ended())[1] == []
    assert row_of(utterance(), ended())[1] == []
    assert row_of(utterance(text="[noise]"), leg(), ended())[1] == []


def test_capabilities_of_the_source_count() -> None:
    talk = [utterance(), utterance("u2", start_ms=2_350, end_ms=9_120)]
    talk[1] = replace(talk[1], role="customer", text="Слишком дорого для нас, понимаете, очень дорого.")
    (unknown,) = row_of(*talk, leg(), ended())[1]
    assert unknown.now is not None
    assert unknown.now.features.interruptions is not None
    (known,) = row_of(*talk, leg(), ended(capabilities=Capabilities(channels_apart=False)))[1]
    assert known.now is not None
    assert known.now.features.interruptions is None
    assert known.now.features.talk == unknown.now.features.talk


def test_callpulse_ends_a_transcript_when_nothing_comes_any_more() -> None:
    row, _ = row_of(utterance(), leg())
    row.state.heard_at = AT
    assert not is_due(row.state, AT + 299_999, 300_000)
    assert is_due(row.state, AT + 300_000, 300_000)
    folding().ended(row, ended())
    assert not is_due(row.state, AT + KEPT_MS, 300_000)
    folding().utterance(row, utterance("u2"))
    assert not is_due(row.state, AT + 4_999, 300_000)
    assert is_due(row.state, AT + 5_000, 300_000)  # utterances after the end are sent soon


def test_a_call_is_in_progress_until_its_leg_or_its_transcript_is_over() -> None:
    row, _ = row_of(utterance())
    assert live_marks(row.state) is row.state.marks
    assert live_marks(row_of(utterance(), leg())[0].state) is None
    assert live_marks(row_of(utterance(), ended())[0].state) is None


@pytest.mark.source
def test_a_leg_has_so_many_utterances_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.tables.transcript.fold.MOST_UTTERANCES", 2)
    row = TranscriptRow()
    told = [folding().utterance(row, utterance(f"u{number}")) for number in range(3)]
    assert told == ["applied", "applied", "too_many"]
    assert folding().utterance(row, utterance("u1", revision=1, text="other")) == "applied"


def test_rows_are_read_back_and_the_newer_of_two_stays() -> None:
    records = TranscriptRecords()
    row, _ = row_of(utterance(), leg(), ended())
    row.state.pos, row.state.heard_at = 7, AT
    ((key, newer),) = records.changelog(row_key("anna", "c"), row)
    row.state.pos = 3
    ((_, older),) = records.changelog(key, row)
    rows: dict[bytes, TranscriptRow] = {}
    assert records.restore(rows, key, newer) is None
    assert rows[key].heard_at == AT
    assert records.restore(rows, key, older) == key
    assert rows[key].state.pos == 7
    assert records.restore(rows, key, None) is None
    assert rows == {}
    with pytest.raises(LayoutError):
        TranscriptRow(b"\x09" + (newer or b"")[1:]).state  # noqa: B018 - decodes it


def test_a_fact_of_a_call_is_a_few_hundred_bytes() -> None:
    talk = [
        utterance(f"u{number}", start_ms=number * 5_000, end_ms=number * 5_000 + 4_000, text=LINES[number % 5])
        for number in range(60)
    ]
    talk = [replace(each, role="customer" if number % 2 else "manager") for number, each in enumerate(talk)]
    row, _ = row_of(*talk, leg(), ended())
    assert 100 < len(msgspec.json.encode(row.state.sent)) < 1_500

"""The event contract: accepted events, refused records with their reasons, and current documents."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.cli.schema import text
from streams.contract.decoding import Decoder
from streams.contract.events import (
    EARLIEST_MS,
    EVENT_TYPES,
    LATEST_MS,
    LONGEST_MS,
    MAX_BYTES,
    REASONS,
    CallEnded,
    CallsEvent,
    DealStageChanged,
    Event,
    Rejection,
    encode,
)
from streams.contract.money import read_amount

ROOT = Path(__file__).parents[2]
AT = 1_795_435_200_000
COMMON: dict[str, Any] = {"v": 1, "id": "e-1", "at": AT, "source": "pbx"}
CALL: dict[str, Any] = {**COMMON, "call": "c-1", "manager": "anna"}
ENDED: dict[str, Any] = {
    **CALL,
    "type": "call.ended",
    "direction": "outbound",
    "started_at": AT - 65_000,
    "answered_at": AT - 60_000,
    "talk_ms": 60_000,
    "disposition": "answered",
}
LEAD: dict[str, Any] = {**COMMON, "lead": "l-1", "manager": "anna"}
EVENTS: dict[str, tuple[dict[str, Any], ...]] = {
    "calls": (
        {**CALL, "type": "call.started", "direction": "inbound", "kind": "inbound", "team": "desk", "queue": "desk"},
        {**CALL, "type": "call.answered", "lead": "l-1"},
        {**CALL, "type": "call.transferred", "to_manager": "boris", "how": "attended"},
        ENDED,
        {**COMMON, "type": "manager.presence", "manager": "anna", "state": "paused", "reason": "lunch"},
    ),
    "crm": (
        {
            **LEAD,
            "type": "call.annotated",
            "call": "c-1",
            "kind": "cold",
            "stages": ["need", "offer"],
            "reason": "price_objection",
            "next_step": {"agreed": True, "due_at": AT + 1},
            "revision": 2,
        },
        {**LEAD, "type": "deal.stage_changed", "deal": "d-1", "stage": "won", "amount": "1200.50", "currency": "EUR"},
        {**LEAD, "type": "deal.deleted", "deal": "d-1"},
        {**LEAD, "type": "lead.consulted", "mentor": "boris"},
        {**LEAD, "type": "activity.logged", "channel": "email"},
        {**LEAD, "type": "lead.linked", "old_key": "phone:00ff"},
    ),
    "speech": (
        {
            **CALL,
            "type": "speech.utterance",
            "utterance": "u-1",
            "role": "customer",
            "start_ms": 0,
            "end_ms": 900,
            "text": "да",
            "final": True,
        },
        {**CALL, "type": "speech.ended"},
    ),
}
GOOD = [(topic, event) for topic, events in EVENTS.items() for event in events]


def changed(**fields: Any) -> bytes:
    """A call.ended with some fields changed; a field that is Ellipsis is left out."""
    return msgspec.json.encode({name: value for name, value in {**ENDED, **fields}.items() if value is not ...})


def crm(**fields: Any) -> bytes:
    return msgspec.json.encode({**EVENTS["crm"][1], **fields})


def speech(**fields: Any) -> bytes:
    return msgspec.json.encode({**EVENTS["speech"][0], **fields})


def raw(old: str, new: bytes) -> bytes:
    """A call.ended in which a piece of the text is replaced."""
    whole = changed()
    assert old.encode() in whole
    return whole.replace(old.encode(), new)


BAD: list[tuple[str, str, bytes | None, str]] = [
    # the error, topic, value, reason
    ("no value", "calls", None, "empty"),
    ("an empty value", "calls", b"", "empty"),
    ("a byte too much", "calls", changed(note="x" * (MAX_BYTES + 1 - len(changed(note="")))), "too_large"),
    ("a mebibyte", "calls", b"x" * 1024 * 1024, "too_large"),
    ("not JSON", "calls", b"hello", "not_json"),
    ("torn off", "calls", changed()[:-9], "not_json"),
    ("two objects", "calls", changed() * 2, "not_json"),
    ("something behind it", "calls", changed() + b",", "not_json"),
    ("a list", "calls", b"[" + changed() + b"]", "not_json"),
    ("a number", "calls", b"17", "not_json"),
    ("null", "calls", b"null", "not_json"),
    ("NaN for a moment", "calls", raw(str(AT), b"NaN"), "not_json"),
    ("Infinity for a moment", "calls", raw(str(AT), b"Infinity"), "not_json"),
    ("NaN in a field nobody reads", "calls", raw('"v":1', b'"v":1,"x":NaN'), "not_json"),
    ("single quotes", "calls", changed().replace(b'"', b"'"), "not_json"),
    ("a byte-order mark", "calls", b"\xef\xbb\xbf" + changed(), "not_json"),
    ("UTF-16", "calls", changed().decode().encode("utf-16"), "not_utf8"),
    ("a broken byte in a field that is read", "calls", raw("anna", b"an\xffna"), "not_utf8"),
    ("a broken byte in a field nobody reads", "calls", raw('"v":1', b'"v":1,"x":"\xc3\x28"'), "not_utf8"),
    ("a surrogate in UTF-8", "calls", raw("anna", b"\xed\xa0\x80"), "not_utf8"),
    (
        "nested lists in a field nobody reads",
        "calls",
        raw('"v":1', b'"v":1,"x":' + b"[" * 20_000 + b"]" * 20_000),
        "too_deep",
    ),
    ("nested lists alone", "calls", b"[" * 30_000 + b"]" * 30_000, "too_deep"),
    ("nested objects", "calls", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "too_deep"),
    ("no type", "calls", changed(type=...), "missing_field"),
    ("a type nobody knows", "calls", changed(type="call.imagined"), "unknown_type"),
    ("a number for a type", "calls", changed(type=3), "unknown_type"),
    ("null for a type", "calls", changed(type=None), "unknown_type"),
    ("a type of another topic", "calls", crm(), "unknown_type"),
    ("a type of another topic", "crm", changed(), "unknown_type"),
    ("a type of another topic", "speech", changed(), "unknown_type"),
    ("the next version", "calls", changed(v=2), "unknown_version"),
    ("version 0", "calls", changed(v=0), "unknown_version"),
    ("a word for a version", "calls", changed(v="1"), "unknown_version"),
    ("true for a version", "calls", changed(v=True), "unknown_version"),
    ("no version", "calls", changed(v=...), "missing_field"),
    *(
        (f"no {name}", "calls", changed(**{name: ...}), "missing_field")
        for name in ("id", "at", "source", "call", "manager", "direction", "started_at", "talk_ms", "disposition")
    ),
    ("a number for an id", "calls", changed(id=7), "invalid_field"),
    ("an empty id", "calls", changed(id=""), "invalid_field"),
    ("an id without end", "calls", changed(id="x" * 129), "invalid_field"),
    ("null for a manager", "calls", changed(manager=None), "invalid_field"),
    ("a list for a manager", "calls", changed(manager=["anna"]), "invalid_field"),
    ("a direction nobody knows", "calls", changed(direction="sideways"), "invalid_field"),
    ("a disposition nobody knows", "calls", changed(disposition="maybe"), "invalid_field"),
    ("a kind nobody knows", "calls", changed(kind="lukewarm"), "invalid_field"),
    ("a talk time below zero", "calls", changed(talk_ms=-1), "invalid_field"),
    ("a talk time of a year", "calls", changed(talk_ms=LONGEST_MS + 1), "invalid_field"),
    ("a talk time with a fraction", "calls", changed(talk_ms=1.5), "invalid_field"),
    ("a word for a talk time", "calls", changed(talk_ms="60000"), "invalid_field"),
    ("true for a talk time", "calls", changed(talk_ms=True), "invalid_field"),
    ("a number beyond all bounds", "calls", raw('"talk_ms":60000', b'"talk_ms":1e999'), "not_json"),
    ("a moment below zero", "calls", changed(at=-1), "invalid_time"),
    ("a moment in seconds", "calls", changed(at=AT // 1000), "invalid_time"),
    ("a moment in microseconds", "calls", changed(at=AT * 1000), "invalid_time"),
    ("a moment with a fraction", "calls", changed(at=AT + 0.5), "invalid_time"),
    ("a date for a moment", "calls", changed(at="2026-11-23T12:00:00Z"), "invalid_time"),
    ("before 2000", "calls", changed(at=EARLIEST_MS - 1), "invalid_time"),
    ("after 2100", "calls", changed(at=LATEST_MS + 1), "invalid_time"),
    ("a start after the end", "calls", changed(started_at=AT + 1), "invalid_time"),
    ("an answer after the end", "calls", changed(answered_at=AT + 1), "invalid_time"),
    ("a start in seconds", "calls", changed(started_at=AT // 1000), "invalid_time"),
    ("a stage without a name", "crm", crm(stage=""), "invalid_field"),
    (
        "a next step due in seconds",
        "crm",
        msgspec.json.encode({**EVENTS["crm"][0], "next_step": {"agreed": True, "due_at": 5}}),
        "invalid_time",
    ),
    (
        "more stages than there are",
        "crm",
        msgspec.json.encode({**EVENTS["crm"][0], "stages": ["s"] * 33}),
        "invalid_field",
    ),
    ("speech that ends before it begins", "speech", speech(start_ms=901), "invalid_time"),
    ("speech of a third party", "speech", speech(role="dog"), "invalid_field"),
    ("speech without end", "speech", speech(text="x" * 16_385), "invalid_field"),
]
BY_THE_AGENT = {"future", "no_key", "wrong_key"}
"""Reasons that need the record around the value; the agents give them."""


@pytest.mark.parametrize(("topic", "event"), GOOD, ids=lambda part: part if isinstance(part, str) else part["type"])
def test_an_event_of_every_type_is_taken_in_and_comes_out_the_same(topic: str, event: dict[str, Any]) -> None:
    decoder: Decoder[Event] = Decoder(topic)
    taken = decoder.decode(msgspec.json.encode(event))
    assert isinstance(taken, Event), taken
    assert event.items() <= msgspec.json.decode(encode(taken)).items()
    assert decoder.decode(encode(taken)) == taken


def test_every_type_of_the_contract_has_its_good_event_here() -> None:
    for topic, types in EVENT_TYPES.items():
        assert {event["type"] for event in EVENTS[topic]} == {cls.__struct_config__.tag for cls in types}


def test_a_detail_quotes_no_value_even_one_that_looks_like_the_rest_of_an_error() -> None:
    value = changed(direction="secret - at `$.direction` secret\n - secret")
    assert Decoder("calls").decode(value) == Rejection("invalid_field", "Invalid enum value - at `$.direction`")


@pytest.mark.parametrize(("what", "topic", "value", "reason"), BAD, ids=[f"{case[1]}: {case[0]}" for case in BAD])
def test_what_is_no_event_is_refused_with_the_reason(what: str, topic: str, value: bytes | None, reason: str) -> None:
    told = Decoder(topic).decode(value)
    assert isinstance(told, Rejection), f"{what} was taken in"
    assert told.reason == reason, told.detail
    assert told.detail


@pytest.mark.parametrize(
    ("amount", "read"),
    [
        ("1000.50", "1000.50"),
        ("1 000,50", "1000.50"),
        ("1\N{NO-BREAK SPACE}000,50", "1000.50"),
        ("1000,50", "1000.50"),
        ("1,000.50", "1000.50"),
        ("1.000,50", "1000.50"),
        ("1'000.50", "1000.50"),
        ("1,000", "1000"),
        ("1.000", "1.000"),
        ("0,500", "0.500"),
        ("1,234,567", "1234567"),
        ("1.234.567,8", "1234567.8"),
        ("12,34,567", "1234567"),
        (" 1000 ", "1000"),
        ("+1000", "1000"),
        ("-500", "-500"),
        ("\N{MINUS SIGN}500", "-500"),
        ("1e3", "1e3"),
        ("1_000", "1000"),
        ("1000 \u0440\u0443\u0431.", "1000"),
        ("\N{EURO SIGN} 1.000,50", "1000.50"),
        ("USD 5", "5"),
        (1000.5, "1000.5"),
        (1000, "1000"),
        ("", None),
        (" ", None),
        (None, None),
    ],
)
def test_an_amount_is_read_as_crms_write_it(amount: object, read: str | None) -> None:
    event = Decoder[DealStageChanged]("crm").decode(crm(amount=amount))
    assert isinstance(event, DealStageChanged)
    assert event.amount == (None if read is None else Decimal(read))


WORDS = ["much", "NaN", "Infinity", "1e16", "1e999999999", "12.5.7", "1,2,3", "(500)", "-"]


@pytest.mark.parametrize("amount", [*WORDS, True, [1], {"value": 1}], ids=str)
def test_an_amount_that_cannot_be_read_does_not_cost_its_event(amount: object) -> None:
    event = Decoder[DealStageChanged]("crm").decode(crm(amount=amount))
    assert isinstance(event, DealStageChanged)
    assert event.amount == amount
    assert read_amount(event.amount) is None


@pytest.mark.parametrize(
    ("currency", "read"),
    [
        ("EUR", "EUR"),
        ("eur", "EUR"),
        (" Eur ", "EUR"),
        ("\N{EURO SIGN}", "EUR"),
        ("RUR", "RUB"),
        ("US$", "USD"),
        ("", None),
        ("$", "$"),
        ("EURO!", "EURO!"),
        (978, 978),
    ],
)
def test_a_currency_is_read_in_any_case_and_what_names_none_is_kept(currency: object, read: object) -> None:
    event = Decoder[DealStageChanged]("crm").decode(crm(currency=currency))
    assert isinstance(event, DealStageChanged)
    assert event.currency == read


def test_every_reason_of_the_contract_is_tried_here() -> None:
    assert {reason for *_, reason in BAD} | BY_THE_AGENT == set(REASONS)


def test_a_source_may_say_more_than_the_contract_asks() -> None:
    assert isinstance(Decoder("calls").decode(changed(mood="good", nested={"a": [1, {"b": None}]})), CallEnded)


def test_the_largest_event_is_taken_in() -> None:
    value = changed(note="x" * (MAX_BYTES - len(changed(note=""))))
    assert len(value) == MAX_BYTES
    assert isinstance(Decoder("calls").decode(value), CallEnded)


@pytest.mark.parametrize(
    "value",
    [
        changed(manager="+49 30 901820", direction="+49 30 901820"),
        changed(disposition="+49 30 901820"),
        changed(talk_ms="+49 30 901820"),
        changed(at="+49 30 901820"),
        changed(type="+49 30 901820"),
        changed(v="+49 30 901820"),
        raw('"v":1', b'"v":1,"+49 30 901820":NaN'),
        raw('"v":1', b'"v":1,"note":"+49 30 901820'),
    ],
)
def test_the_detail_of_a_refusal_never_quotes_what_was_sent(value: bytes) -> None:
    told = Decoder("calls").decode(value)
    assert isinstance(told, Rejection)
    assert "901820" not in told.detail


def test_a_decoder_keeps_nothing_between_two_records() -> None:
    decoder: Decoder[CallsEvent] = Decoder("calls")
    for _ in range(2):
        for _, topic, value, reason in BAD:
            if topic == "calls":
                assert isinstance(told := decoder.decode(value), Rejection)
                assert told.reason == reason
        assert isinstance(decoder.decode(changed()), CallEnded)


@pytest.mark.fuzz
class TestAnyBytes:
    @given(value=st.binary(max_size=300), topic=st.sampled_from(sorted(EVENTS)))
    def test_decoding_never_raises(self, value: bytes, topic: str) -> None:
        assert isinstance(Decoder(topic).decode(value), Event | Rejection)

    @given(data=st.data(), case=st.sampled_from(GOOD))
    def test_decoding_never_raises_on_an_event_with_a_broken_piece(
        self, data: st.DataObject, case: tuple[str, dict[str, Any]]
    ) -> None:
        topic, event = case
        value = msgspec.json.encode(event)
        start = data.draw(st.integers(0, len(value)))
        end = data.draw(st.integers(start, min(len(value), start + 12)))
        piece = data.draw(st.binary(max_size=12))
        assert isinstance(Decoder(topic).decode(value[:start] + piece + value[end:]), Event | Rejection)

    @given(
        data=st.data(),
        case=st.sampled_from(GOOD),
        other=st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
            max_leaves=8,
        ),
    )
    def test_decoding_never_raises_on_an_event_with_another_value_in_some_field(
        self, data: st.DataObject, case: tuple[str, dict[str, Any]], other: Any
    ) -> None:
        topic, event = case
        name = data.draw(st.sampled_from(sorted(event)))
        told = Decoder(topic).decode(_encode({**event, name: other}))
        assert isinstance(told, Event | Rejection)

    @given(value=st.text(max_size=200).map(str.encode))
    def test_decoding_never_raises_on_any_text(self, value: bytes) -> None:
        assert isinstance(Decoder("calls").decode(value), Event | Rejection)


class TestDocuments:
    @pytest.mark.parametrize("topic", sorted(EVENTS))
    def test_the_schema_in_docs_is_what_the_contract_says(self, topic: str) -> None:
        current = (ROOT / f"docs/schema/{topic}.json").read_text(encoding="utf-8")
        assert current == text(topic), "run `make docs`"

    @pytest.mark.parametrize("topic", sorted(EVENTS))
    def test_the_schema_names_every_type(self, topic: str) -> None:
        schema = msgspec.json.decode(text(topic))
        assert set(schema["discriminator"]["mapping"]) == {event["type"] for event in EVENTS[topic]}

    def test_the_description_has_every_type_and_every_reason(self) -> None:
        page = (ROOT / "docs/events.md").read_text(encoding="utf-8")
        for events in EVENTS.values():
            for event in events:
                assert f"`{event['type']}`" in page
        for reason in REASONS:
            assert f"`{reason}`" in page

    def test_every_example_of_the_description_is_an_event(self) -> None:
        page = (ROOT / "docs/events.md").read_text(encoding="utf-8")
        examples = re.findall(r"```json (calls|crm|speech)\n(.*?)```", page, flags=re.DOTALL)
        assert {topic for topic, _ in examples} == set(EVENTS)
        for topic, lines in examples:
            for line in filter(None, lines.splitlines()):
                assert isinstance(Decoder(topic).decode(line.encode()), Event), line


def _encode(value: Any) -> bytes:
    """JSON as a careless source writes it: numbers of any size, half characters."""
    return json.dumps(value).encode("utf-8", "surrogatepass")

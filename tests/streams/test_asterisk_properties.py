"""Invariants of any session: mixed with another, repeated, cut anywhere, with holes in it, or plain garbage."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, Event, encode
from streams.sources.asterisk import DRY_RUN_SECRET, Asterisk, AsteriskMapping, replay
from streams.sources.asterisk.repeats import REMEMBERED, RepeatFilter
from streams.sources.asterisk.translator import _HANDLERS
from tests.examples import examples
from tests.streams.asterisk_sessions import (
    NAMES,
    Ami,
    answered,
    assert_sound,
    brief,
    fed,
    is_idle,
    recorded,
    timed,
    translator_of,
)

names = st.sampled_from(NAMES)
EACH = [pytest.param(name, marks=pytest.mark.slow) if at % 4 else name for at, name in enumerate(NAMES)]
"""Every session; a quarter of them is enough for `make check` where one is read again for each of its events."""


@cache
def session(name: str) -> tuple[tuple[Ami, int], ...]:
    return tuple(timed(recorded(name)))


@cache
def alone(name: str) -> tuple[Event, ...]:
    return tuple(fed(translator_of(), list(session(name))))


@examples(150)
@given(first=names, second=names, seed=st.integers(0, 1 << 32))
def test_two_sessions_at_the_same_time_give_what_each_gives_alone(first: str, second: str, seed: int) -> None:
    if first == second:
        return
    turns = [0] * len(session(first)) + [1] * len(session(second))
    Random(seed).shuffle(turns)
    sources = [iter(session(first)), iter(session(second))]
    translator = translator_of()
    events = fed(translator, [next(sources[turn]) for turn in turns])
    for name in (first, second):
        ids = {event.id for event in alone(name)}
        assert tuple(event for event in events if event.id in ids) == alone(name)
    assert len(events) == len(alone(first)) + len(alone(second))
    assert is_idle(translator)


@examples(100)
@given(chosen=st.lists(names, min_size=3, max_size=6, unique=True), seed=st.integers(0, 1 << 32))
def test_many_sessions_at_the_same_time_give_what_each_gives_alone(chosen: list[str], seed: int) -> None:
    turns = [name for name in chosen for _ in session(name)]
    Random(seed).shuffle(turns)
    sources = {name: iter(session(name)) for name in chosen}
    events = fed(translator_of(), [next(sources[name]) for name in turns])
    key = lambda event: event.id  # noqa: E731  one key, used twice
    assert sorted(events, key=key) == sorted((event for name in chosen for event in alone(name)), key=key)


@pytest.mark.parametrize("name", NAMES)
def test_every_event_twice_changes_nothing(name: str) -> None:
    twice = [pair for pair in session(name) for _ in range(2)]
    assert tuple(fed(translator_of(), twice)) == alone(name)


@examples(200)
@given(name=names, data=st.data())
def test_repeats_that_come_late_change_nothing(name: str, data: st.DataObject) -> None:
    events = [({**event, "Timestamp": f"{at / 1000:.6f}"}, at) for event, at in session(name)]
    place = data.draw(st.integers(0, len(events) - 1))
    later = data.draw(st.integers(place + 1, len(events)))
    again = [*events[:later], events[place], *events[later:]]
    assert fed(translator_of(), again) == fed(translator_of(), events)


@pytest.mark.parametrize(
    ("stamp", "is_repeat"),
    [
        ("1531994176.120345", True),
        ("1531994176.120", True),
        ("1531994176.1", False),  # a tenth of a second holds two events that are alike
        ("1531994176", False),
        (None, False),
    ],
)
def test_the_same_text_is_a_repeat_where_its_time_is_exact(stamp: str | None, is_repeat: bool) -> None:
    event = {"event": "BridgeEnter", "uniqueid": "1.1", "bridgeuniqueid": "b"} | ({"timestamp": stamp} if stamp else {})
    seen = RepeatFilter()
    assert [seen.is_repeat(event), seen.is_repeat(dict(event))] == [False, is_repeat]


def test_the_memory_of_repeats_is_bounded() -> None:
    seen = RepeatFilter()
    events = [{"event": "Newstate", "timestamp": f"1531994176.{number:06d}"} for number in range(REMEMBERED + 1)]
    assert not any(map(seen.is_repeat, events))
    assert len(seen._seen) == REMEMBERED
    assert not seen.is_repeat(events[0])
    assert seen.is_repeat(events[-1])


@pytest.mark.parametrize("name", NAMES)
def test_a_session_that_is_played_again_says_nothing_new(name: str) -> None:
    translator = translator_of()
    fed(translator, list(session(name)))
    assert fed(translator, list(session(name))) == []
    assert is_idle(translator)


@pytest.mark.parametrize("name", EACH)
def test_a_session_that_is_cut_at_any_place_has_an_end_for_every_leg(name: str) -> None:
    events = session(name)
    for cut in range(len(events) + 1):
        translator = translator_of()
        found = fed(translator, list(events[:cut]))
        assert tuple(found) == alone(name)[: len(found)]
        found += translator.finish(events[max(cut - 1, 0)][1])
        assert is_idle(translator)
        assert_sound(found)


@pytest.mark.parametrize("name", EACH)
def test_a_session_that_is_joined_at_any_place_has_sound_legs_and_leaves_nothing_behind(name: str) -> None:
    events = session(name)
    for joined in range(len(events) + 1):
        translator = translator_of()
        found = fed(translator, list(events[joined:]))
        assert is_idle(translator)
        assert_sound(found)
        # Only managers who talk in the whole session talk in the cut one.
        assert {manager for _, manager in answered(found)} <= {manager for _, manager in answered(list(alone(name)))}


@pytest.mark.fuzz
@examples(300)
@given(name=names, seed=st.integers(0, 1 << 32), share=st.floats(0, 1))
def test_holes_anywhere_leave_sound_legs_and_nothing_behind(name: str, seed: int, share: float) -> None:
    events = session(name)
    chance = Random(seed)
    translator = translator_of()
    found = fed(translator, [pair for pair in events if chance.random() > share])
    found += translator.finish(events[-1][1])
    assert is_idle(translator)
    assert_sound(found)


@pytest.mark.fuzz
@examples(200)
@given(name=names, seed=st.integers(0, 1 << 32))
def test_events_in_any_order_leave_nothing_behind_and_raise_nothing(name: str, seed: int) -> None:
    events = list(session(name))
    Random(seed).shuffle(events)
    translator = translator_of()
    found = fed(translator, events)
    found += translator.finish(events[-1][1])
    assert is_idle(translator)
    assert len({event.id for event in found}) == len(found)


HEADERS = sorted(
    {key for name in NAMES for event in recorded(name) for key in event} | {"Timestamp", "Queue", "Newname"}
)
UIDS = st.sampled_from(["1530000000.1", "1530000000.2", "1530000000.3", "", "x", "?"])
CHANNELS = st.sampled_from(
    ["SIP/101-00000001", "SIP/102-2", "Local/1@x-1;1", "Local/1@x-1;2", "Local/", "", "PJSIP/trunk-9"]
)


def value_of(key: str) -> st.SearchStrategy[str]:
    if key.endswith(("Uniqueid", "Linkedid")):
        return UIDS
    if key.endswith("Channel"):
        return CHANNELS
    if key.endswith("ChannelState"):
        return st.sampled_from(["0", "4", "5", "6", "", "²", "99999"])
    return st.sampled_from(["", "1", "Bridge", "App", "ANSWER", "CANCEL", "Success", "101", "+31612345678", "\x00"])


@st.composite
def garbage(draw: st.DrawFn) -> Ami:
    keys = draw(st.lists(st.sampled_from(HEADERS), max_size=30, unique=True))
    event = {key: draw(value_of(key)) for key in keys}
    event["Event"] = draw(st.sampled_from([*_HANDLERS, "", "Nonsense"]))
    return event


@pytest.mark.fuzz
@examples(400)
@given(st.lists(garbage(), max_size=40))
def test_garbage_raises_nothing_and_leaves_nothing_behind(events: list[Ami]) -> None:
    translator = translator_of()
    found = [event for ami in events for event in translator.feed(ami, 1_600_000_000_000)]
    found += translator.finish(1_600_000_000_000)
    assert is_idle(translator)
    decoder: Decoder[CallsEvent] = Decoder("calls")
    for event in found:
        assert decoder.decode(encode(event)) == event  # events that the contract refuses must not be written


def leads_of(events: list[Event]) -> set[str]:
    return {lead for event in events if (lead := getattr(event, "lead", None))}


@examples(60)
@given(name=names, secret=st.binary(min_size=16, max_size=64))
def test_the_secret_changes_the_leads_and_nothing_else(name: str, secret: bytes) -> None:
    one = list(replay(recorded(name)))
    other = list(replay(recorded(name), AsteriskMapping(), secret))
    assert brief(one) == brief(other)
    if secret != DRY_RUN_SECRET:
        assert leads_of(one).isdisjoint(leads_of(other))


def test_a_day_of_calls_leaves_nothing_behind() -> None:
    translator = Asterisk(AsteriskMapping(), b"x" * 16)
    for number in range(100):
        for name in NAMES[:4]:
            for event, at in session(name):
                moved = {
                    key: value.replace("-15", f"-{number}15") if key.endswith(("Uniqueid", "Linkedid")) else value
                    for key, value in event.items()
                }
                translator.feed(moved, at)
    assert is_idle(translator)
    assert len(translator._hung_up) <= 10_000

"""A day of a department as exports of it: they give the true legs, deals and links."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from streams.contract.events import (
    CallAnswered,
    CallEnded,
    CallStarted,
    DealDeleted,
    DealStageChanged,
    Event,
    LeadLinked,
    encode,
)
from tests.streams.files_cases import FIXTURES, STORY, key, read, settings_of

SETTINGS = settings_of(STORY)
STORIES = {
    "csv_ru": (("calls-1.csv", "calls-2.csv"), "deals_ru"),
    "csv_en": (("calls-1.csv", "calls-2.csv"), "deals_en"),
}


def expected(story: str) -> Any:
    return json.loads((FIXTURES / "storyA" / story / "expected.json").read_bytes())


def file(story: str, name: str) -> bytes:
    return (FIXTURES / "storyA" / story / name).read_bytes()


def once(events: list[Event]) -> list[Event]:
    """The events as callpulse counts them: each id once, the first one."""
    found: dict[str, Event] = {}
    for event in events:
        found.setdefault(event.id, event)
    return list(found.values())


def calls(story: str, piece: int = 1 << 20) -> list[Event]:
    files, _ = STORIES[story]
    events: list[Event] = []
    for name in files:
        translation = read(file(story, name), SETTINGS, story, piece)
        assert translation.refused == []
        assert translation.ignored == 0
        events += translation.events
    return once(events)


@pytest.mark.parametrize("story", STORIES)
def test_every_leg_of_the_day_comes_out_once(story: str) -> None:
    told = expected(story)
    legs = {}
    for event in calls(story):
        if isinstance(event, CallEnded):
            legs[event.call] = (
                *(event.manager, event.direction, event.started_at, event.answered_at, event.at, event.talk_ms / 1000),
                *(event.disposition, event.lead, event.ended_by),
            )
    assert legs == {
        leg["source_call"]: (
            *(leg["manager"], leg["direction"], leg["started_ms"], leg["answered_ms"], leg["ended_ms"], leg["talk_s"]),
            *(leg["disposition"], key(leg["lead"]), leg["ended_by"]),
        )
        for leg in told["legs"]
        if leg["ended_ms"] is not None
    }


@pytest.mark.parametrize("story", STORIES)
def test_a_call_that_has_not_ended_has_a_start_and_an_answer_and_no_end(story: str) -> None:
    (leg,) = (leg for leg in expected(story)["legs"] if leg["ended_ms"] is None)
    events = [event for event in calls(story) if getattr(event, "call", "") == leg["source_call"]]
    assert [(type(event), event.at) for event in events] == [
        (CallStarted, leg["started_ms"]),
        (CallAnswered, leg["answered_ms"]),
    ]
    assert {(event.manager, event.lead) for event in events} == {(leg["manager"], key(leg["lead"]))}  # type: ignore[attr-defined]  # both are of a call


def test_the_same_rows_in_another_encoding_are_the_same_events() -> None:
    text = file("csv_ru", "calls-1-utf8.csv")
    utf8 = settings_of(STORY.replace('encoding = "cp1251"', 'encoding = "utf-8"'))
    assert read(text, utf8, "csv_ru").events == read(file("csv_ru", "calls-1.csv"), SETTINGS, "csv_ru").events
    utf16 = settings_of(STORY.replace('encoding = "cp1251"', 'encoding = "utf-16"'))
    again = text.decode("utf-8-sig").encode("utf-16")
    assert read(again, utf16, "csv_ru").events == read(text, utf8, "csv_ru").events


@pytest.mark.parametrize("story", STORIES)
def test_rows_that_overlap_are_the_same_events(story: str) -> None:
    files, _ = STORIES[story]
    ids = [{event.id for event in read(file(story, name), SETTINGS, story).events} for name in files]
    assert len(ids[0] & ids[1]) == expected(story)["overlap_rows"]


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_a_file_may_come_in_pieces_of_any_size(story: str, piece: int) -> None:
    assert calls(story, piece) == calls(story)


@pytest.mark.parametrize("story", STORIES)
def test_the_deals_of_the_day_come_out(story: str) -> None:
    told = expected(story)
    translation = read(file(story, "deals.csv"), SETTINGS, STORIES[story][1])
    assert translation.refused == []
    for deal in told["deals"]:
        changes = [
            event
            for event in translation.events
            if isinstance(event, DealStageChanged) and event.deal == deal["source_deal"]
        ]
        stages = [
            (group, next(events).at) for group, events in itertools.groupby(changes, lambda one: one.stage.lower())
        ]
        assert stages == [(stage["stage"], stage["at_ms"]) for stage in deal["stages"]]
        amounts = [f"{amount}" for amount, _ in itertools.groupby(one.amount for one in changes) if amount is not None]
        assert amounts == [one["amount"] for one in deal["amounts"]]
        assert {change.lead for change in changes} == {deal["lead"]}
        assert changes[-1].manager == deal["manager"]
        assert [manager for manager, _ in itertools.groupby(one.manager for one in changes)] == [
            one["manager"] for one in deal["managers"]
        ]
        assert {change.currency for change in changes} == {deal["currency"]}
        gone = [event for event in translation.events if isinstance(event, DealDeleted) and event.deal == deal["deal"]]
        assert [event.at for event in gone] == ([1794924000000] if deal["deleted"] else [])


@pytest.mark.parametrize("story", STORIES)
def test_the_numbers_of_a_contact_are_linked_to_it_once(story: str) -> None:
    events = read(file(story, "deals.csv"), SETTINGS, STORIES[story][1]).events
    links = sorted((event.lead, event.old_key) for event in events if isinstance(event, LeadLinked))
    leads = {lead for lead, _ in links}
    assert links == sorted(
        (link["lead"], key(number))
        for link in expected(story)["lead_links"]
        for number in link["numbers"]
        if link["lead"] in leads
    )
    assert leads == {deal["lead"] for deal in expected(story)["deals"]}


@pytest.mark.parametrize("story", STORIES)
def test_no_number_and_no_word_of_a_note_is_in_an_event(story: str) -> None:
    events = [*calls(story), *read(file(story, "deals.csv"), SETTINGS, STORIES[story][1]).events]
    said = b"\n".join(map(encode, events)).decode()
    numbers = {leg["lead"] for leg in expected(story)["legs"] if leg["lead"]}
    assert not [number for number in numbers if number[2:] in said]
    for word in ("перезвоните", "asked", "HYPERLINK"):
        assert word not in said

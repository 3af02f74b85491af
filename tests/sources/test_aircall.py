"""Aircall: the story of a day, in every order, and inputs that are wrong."""

from __future__ import annotations

import logging

import pytest

from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.aircall.hook import AircallHook
from streams.sources.aircall.join import AircallJoin
from streams.sources.registry import SOURCES
from tests.sources.bad import answered, index_of
from tests.sources.story import TOKEN, HookStory, has_number, keys_of, roster


def settings_text(token: str, more: str = "") -> str:
    return (
        roster("aircall")
        + f"""
[sources.aircall]
tokens = ["{hashed(TOKEN)}"]
webhook_token = "{token}"
{more}
"""
    )


SETTINGS = settings_text(keys_of("aircall")["token"])
STORY = HookStory("aircall", load(SETTINGS, {}, SOURCES), AircallHook, AircallJoin)


def test_the_story_comes_out_as_it_happened() -> None:
    events = STORY.play(STORY.deliveries)
    assert STORY.differences(events) == []
    assert has_number(STORY.numbers(), events) == []


def test_no_order_repeat_or_restart_changes_a_leg() -> None:
    for order in (*STORY.orders(2), [*STORY.deliveries, *STORY.deliveries]):
        assert STORY.differences(STORY.play(order)) == []
    for order in (STORY.deliveries, next(STORY.orders())):
        assert STORY.differences(STORY.play(order, restarts=True)) == []


REASONS = {
    "26-nan.http": "not_json",
    "27-number-1e400.http": "invalid_field",
}


async def test_a_wrong_input_gets_its_answer_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = settings_text(index_of("aircall")["keys"]["token"])
    assert await answered("aircall", wrong, AircallHook, AircallJoin, reasons=REASONS) == []
    assert "4950000101" not in caplog.text

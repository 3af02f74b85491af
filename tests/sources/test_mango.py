"""Mango Office: the story of a day, in every order, and inputs that are wrong."""

from __future__ import annotations

from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.mango.hook import MangoHook
from streams.sources.mango.join import MangoJoin
from streams.sources.registry import SOURCES
from tests.sources.story import TOKEN, HookStory, has_number, keys_of, roster

KEYS = keys_of("mango")
SETTINGS = (
    roster("mango")
    + f"""
[sources.mango]
tokens = ["{hashed(TOKEN)}"]
api_key = "{KEYS["vpbx_api_key"]}"
api_salt = "{KEYS["vpbx_api_salt"]}"
queues = {{ "600" = "sales" }}
"""
)
STORY = HookStory("mango", load(SETTINGS, {}, SOURCES), MangoHook, MangoJoin)


def test_the_story_comes_out_as_it_happened() -> None:
    events = STORY.play(STORY.deliveries)
    assert STORY.differences(events) == []
    assert has_number(STORY.numbers(), events) == []


def test_no_order_repeat_or_restart_changes_a_leg() -> None:
    for order in (*STORY.orders(3), [*STORY.deliveries, *STORY.deliveries]):
        assert STORY.differences(STORY.play(order)) == []
    for order in (STORY.deliveries, next(STORY.orders())):
        assert STORY.differences(STORY.play(order, restarts=True)) == []

"""Mango Office: the story of a day, in every order, and inputs that are wrong."""

from __future__ import annotations

import logging

import pytest

from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.mango.hook import MangoHook
from streams.sources.mango.join import MangoJoin
from streams.sources.registry import SOURCES
from tests.sources.bad import answered, index_of
from tests.sources.story import TOKEN, HookStory, keys_of, roster

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
    STORY.assert_as_expected()


def test_no_order_repeat_or_restart_changes_a_leg() -> None:
    STORY.assert_free_of_order(30)


BAD = index_of("mango")["keys"]
WRONG = (
    roster("mango")
    + f"""
[sources.mango]
tokens = ["{hashed(TOKEN)}"]
api_key = "{BAD["vpbx_api_key"]}"
api_salt = "{BAD["vpbx_api_salt"]}"
"""
)

REASONS = {
    "11-timestamp-1e400.http": "invalid_field",  # it is no number of JSON's reader
    "26-nested-1000-deep.http": "not_json",  # it is no object
}


async def test_a_wrong_input_gets_its_answer_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert await answered("mango", WRONG, MangoHook, MangoJoin, reasons=REASONS) == []
    assert "4950000101" not in caplog.text

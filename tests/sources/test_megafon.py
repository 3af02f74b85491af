"""MegaFon's virtual PBX: the story of a day, in every order, and inputs that are wrong."""

from __future__ import annotations

import logging

import pytest

from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.megafon.hook import MegafonHook
from streams.sources.megafon.join import MegafonJoin
from streams.sources.registry import SOURCES
from tests.sources.bad import answered, index_of
from tests.sources.story import TOKEN, HookStory, keys_of, roster

SETTINGS = (
    roster("megafon")
    + f"""
[sources.megafon]
tokens = ["{hashed(TOKEN)}"]
crm_token = "{keys_of("megafon")["crm_token"]}"
"""
)
STORY = HookStory("megafon", load(SETTINGS, {}, SOURCES), MegafonHook, MegafonJoin)


def test_the_story_comes_out_as_it_happened() -> None:
    STORY.assert_as_expected()


def test_no_order_repeat_or_restart_changes_a_leg() -> None:
    STORY.assert_free_of_order(30)


BAD = index_of("megafon")["keys"]
WRONG = (
    roster("megafon")
    + f"""
[sources.megafon]
tokens = ["{hashed(TOKEN)}"]
crm_token = "{BAD["crm_token"]}"
"""
)


async def test_a_wrong_input_gets_its_answer_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert await answered("megafon", WRONG, MegafonHook, MegafonJoin, reasons={}) == []
    assert "4950000101" not in caplog.text

"""Zadarma and Novofon: the story of a day, in every order, and inputs that are wrong."""

from __future__ import annotations

import logging

import pytest

from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.registry import SOURCES
from streams.sources.zadarma.hook import ZadarmaHook
from streams.sources.zadarma.join import ZadarmaJoin
from tests.gateway.served import SETTINGS as HTTP
from tests.gateway.served import serving
from tests.sources.bad import answered, index_of
from tests.sources.story import TOKEN, HookStory, keys_of, roster

SETTINGS = (
    roster("zadarma")
    + f"""
[sources.zadarma]
tokens = ["{hashed(TOKEN)}"]
secret = "{keys_of("zadarma")["secret"]}"
timezone = "Europe/Moscow"
"""
)
STORY = HookStory("zadarma", load(SETTINGS, {}, SOURCES), ZadarmaHook, ZadarmaJoin)


def test_the_story_comes_out_as_it_happened() -> None:
    STORY.assert_as_expected()


def test_no_order_repeat_or_restart_changes_a_leg() -> None:
    STORY.assert_free_of_order(30)


BAD = index_of("zadarma")["keys"]
WRONG = (
    roster("zadarma")
    + f"""
[sources.zadarma]
tokens = ["{hashed(TOKEN)}"]
secret = "{BAD["secret"]}"
timezone = "Europe/Moscow"
"""
)


async def test_a_wrong_input_gets_its_answer_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert await answered("zadarma", WRONG, ZadarmaHook, ZadarmaJoin, reasons={}) == []
    assert "4950000101" not in caplog.text


async def test_the_test_of_the_url_gets_its_text_back() -> None:
    async with serving(SETTINGS + HTTP) as served:
        answer = await served.ask("GET", f"/hooks/zadarma/{TOKEN}?zd_echo=976538370092")
        assert (answer.status, answer.body) == (200, b"976538370092")
        assert (await served.ask("GET", f"/hooks/zadarma/{TOKEN}")).status == 405
        assert (await served.ask("GET", "/hooks/zadarma/wrong?zd_echo=1")).status == 404
        assert (served.sink.statements, served.sink.refused) == ([], [])

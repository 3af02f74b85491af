"""Aircall: the story of a day, in every order, and inputs that are wrong."""

from __future__ import annotations

import logging
import sys

import pytest
from msgspec.structs import replace

from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.aircall.hook import AircallHook
from streams.sources.aircall.join import AircallJoin
from streams.sources.registry import SOURCES
from tests.sources.bad import answered, index_of
from tests.sources.story import TOKEN, HookStory, keys_of, roster


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
    STORY.assert_as_expected()


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
    # Unused fields may be nested: from Python 3.13 on, this input is not too deep to be skipped.
    differs = ["30-objects-1000-deep.http"] if sys.version_info >= (3, 13) else []
    assert await answered("aircall", wrong, AircallHook, AircallJoin, reasons=REASONS, differs=differs) == []
    assert "4950000101" not in caplog.text


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"answered_at":1794895344', '"answered_at":1794895330', "invalid_time"),
        ('"ended_at":1794895661', '"ended_at":1794895343', "invalid_time"),
        ('"started_at":1794895331', '"started_at":1794895700', "invalid_time"),
        ('"timestamp":1794895661', '"timestamp":1794896000', "future"),
        ('"direction":"outbound"', '"direction":"internal"', "invalid_field"),
    ],
)
def test_a_call_that_cannot_be_is_a_dead_letter_without_the_token(old: str, new: str, reason: str) -> None:
    (hungup,) = (one.request for one in STORY.deliveries if "004-A01" in one.file)
    body = hungup.body.replace(old.encode(), new.encode())
    assert body != hungup.body
    hook = AircallHook(STORY.settings)
    request = replace(hungup, body=body)
    assert hook.is_authentic(request)
    (refused,) = hook.translate(request).refused
    assert refused.reason == reason
    assert b'"token":""' in refused.shape

"""Mango Office: the story of a day, in every order, and inputs that are wrong."""

from __future__ import annotations

import logging

import pytest
from msgspec.structs import replace

from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.frame import Request, Translation
from streams.sources.mango.hook import MangoHook
from streams.sources.mango.join import MangoJoin
from streams.sources.registry import SOURCES
from tests.sources.bad import answered, index_of
from tests.sources.story import TOKEN, Delivery, HookStory, keys_of, roster

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


CALL = next(one for one in STORY.deliveries if one.kind != "refused" and one.request.url.endswith("/events/call"))
SUMMARY = next(one for one in STORY.deliveries if one.kind != "refused" and one.request.url.endswith("/events/summary"))


def under(request: Request, path: str) -> Translation:
    """Return the translation of a request whose URL is another one."""
    return MangoHook(STORY.settings).translate(replace(request, url=f"https://callpulse.example{path}"))


@pytest.mark.parametrize("base", ["/hooks/mango/TOKEN", "/hooks/mango/TOKEN/", "/events/hooks/mango/TOKEN"])
@pytest.mark.parametrize("end", ["", "/", "//"])
@pytest.mark.parametrize("sent", [CALL, SUMMARY], ids=["call", "summary"])
def test_the_kind_of_an_event_is_the_end_of_its_path(sent: Delivery, base: str, end: str) -> None:
    kind = sent.request.url.rpartition("/")[2]
    found = under(sent.request, f"{base}/events/{kind}{end}")
    assert (found.refused, found.ignored) == ([], 0)
    assert found == under(sent.request, f"/hooks/mango/TOKEN/events/{kind}")
    assert found == under(sent.request, f"/hooks/mango/TOKEN/events{end}"), "without a kind the JSON tells it"


@pytest.mark.parametrize("kind", ["dtmf", "sms/", "recording", "record/added", "record/tagged/", "recognized/offline"])
def test_a_kind_that_concerns_no_figure_is_ignored(kind: str) -> None:
    found = under(CALL.request, f"/hooks/mango/TOKEN/events/{kind}")
    assert (found.statements, found.refused, found.ignored) == ([], [], 1)


@pytest.mark.parametrize("kind", ["calls", "call/2", "Call", "summary%2F"])
def test_an_unknown_kind_is_refused(kind: str) -> None:
    assert [one.reason for one in under(CALL.request, f"/hooks/mango/TOKEN/events/{kind}").refused] == ["unknown_type"]


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

"""FreeSWITCH: the story of a day in each rendering of its records, in every order, over restarts of the gateway."""

from __future__ import annotations

from typing import Final

import pytest

from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.freeswitch import FreeSwitchHook, FreeSwitchJoin
from streams.sources.registry import SOURCES
from tests.sources.story import FIXTURES, TOKEN, Delivery, HookStory, has_number, keys_of, roster

SYSTEM: Final = "freeswitch_json_cdr"
USERNAME, _, PASSWORD = keys_of(SYSTEM)["basic_auth"].partition(":")
SETTINGS: Final = (
    roster(SYSTEM).replace(f"{SYSTEM} =", "freeswitch =")
    + f'[sources.freeswitch]\ntokens = ["{hashed(TOKEN)}"]\nusername = "{USERNAME}"\npassword = "{PASSWORD}"\n'
)
STORY: Final = HookStory(SYSTEM, load(SETTINGS, {}, SOURCES), FreeSwitchHook, lambda _: FreeSwitchJoin())


def rendered(variant: str) -> list[Delivery]:
    """The requests of one rendering; the raw records that could not be posted come last."""
    found = [one for one in STORY.deliveries if one.file.startswith(f"deliveries-{variant}/")]
    last = found[-1].request
    if variant == "raw":
        for path in sorted((FIXTURES / "storyA" / SYSTEM / "err-log-dir").iterdir()):
            request = type(last)(
                method=last.method,
                url=last.url,
                query=last.query,
                headers=last.headers,
                body=path.read_bytes(),
                received_at_ms=last.received_at_ms,
            )
            found.append(Delivery(path.name, "accepted", request))
    return found


@pytest.mark.parametrize("variant", ["raw", "form", "base64"])
def test_the_story_comes_out_as_it_happened(variant: str) -> None:
    events = STORY.play(rendered(variant))
    assert STORY.differences(events) == []
    assert has_number(STORY.numbers(), events) == []


def test_no_order_repeat_or_restart_changes_a_leg() -> None:
    asked = {one.file for one in rendered("base64")}
    for order in STORY.orders():
        assert STORY.differences(STORY.play([one for one in order if one.file in asked])) == []
    assert STORY.differences(STORY.play(rendered("raw") * 2)) == []
    assert STORY.differences(STORY.play(rendered("form"), restarts=True)) == []
    assert STORY.differences(STORY.play(rendered("form")[::-1], restarts=True)) == []

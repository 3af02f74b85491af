"""Twilio: the story of a day, in every order, and inputs that are wrong."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.frame import KeptStatement, Request
from streams.sources.registry import SOURCES
from streams.sources.twilio.hook import TwilioHook
from streams.sources.twilio.join import TwilioJoin
from streams.sources.twilio.signature import FORM
from streams.sources.twilio.statements import moment
from tests.sources.bad import answered, index_of
from tests.sources.story import HOUR_MS, TOKEN, HookStory, keys_of, roster

AT = 1_794_895_400_000


def settings_text(keys: Any, more: str = "") -> str:
    return (
        roster("twilio")
        + f"""
[gateway]
http_port = 0
[sources.twilio]
tokens = ["{hashed(TOKEN)}"]
auth_token = "{keys["auth_token"]}"
account_sid = "{keys["account_sid"]}"
public_url = "{keys["public_url"]}"
own_numbers = ["+74950001100"]
{more}
"""
    )


class PushedStory(HookStory):
    """The story without the data that Twilio never pushed: only the list of calls names the salesperson of A11."""

    def differences(self, events: Any) -> list[str]:
        return [text for text in super().differences(events) if not text.startswith("A11 gleb.ostrov: no such leg")]


STORY = PushedStory("twilio", load(settings_text(keys_of("twilio")), {}, SOURCES), TwilioHook, TwilioJoin)


def test_the_story_comes_out_as_it_happened() -> None:
    STORY.assert_as_expected()


def test_no_order_repeat_or_restart_changes_a_leg() -> None:
    for order in (*STORY.orders(), [*STORY.deliveries, *STORY.deliveries], [d for d in STORY.deliveries for _ in "ab"]):
        assert STORY.differences(STORY.play(order)) == []
    assert STORY.differences(STORY.play(STORY.deliveries, restarts=True)) == []


async def test_wrong_inputs_are_answered_as_they_deserve_and_harm_nothing() -> None:
    assert await answered("twilio", settings_text(index_of("twilio")["keys"]), TwilioHook, TwilioJoin) == []


@pytest.mark.fuzz
@given(st.binary(max_size=400) | st.text(max_size=60).map(lambda text: f"CallSid=CA1&{text}".encode()))
def test_any_body_is_read_without_an_exception(body: bytes) -> None:
    request = Request(
        method="POST", url="https://x/y", query="a=b", headers={"content-type": FORM}, body=body, received_at_ms=AT
    )
    hook = TwilioHook(STORY.settings)
    assert hook.is_authentic(request) is False
    for one in hook.translate(request).statements:
        TwilioJoin(STORY.settings).join([KeptStatement(AT, one.body)], AT)


FIELDS = (
    "CallSid",
    "ParentCallSid",
    "CallStatus",
    "Direction",
    "From",
    "To",
    "Timestamp",
    "CallDuration",
    "AnsweredBy",
)
VALUES = (
    *("", "CA1", "CA2", "client:anna", "sip:anna@x", "+74950000101", "+74950001100", "completed", "in-progress"),
    *("ringing", "no-answer", "inbound", "outbound-api", "outbound-dial", "7", "machine_end_beep"),
    *("Tue, 17 Nov 2026 06:02:11 +0000", "Tue, 17 Nov 2026 06:02:41 Etc/UTC", "2026-11-17 06:02:20.731479Z"),
)


@pytest.mark.fuzz
@given(
    st.lists(st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(VALUES), min_size=4), max_size=8), st.randoms()
)
def test_whatever_callbacks_say_their_order_makes_no_difference(forms: list[dict[str, str]], random: Any) -> None:
    hook, join = TwilioHook(STORY.settings), TwilioJoin(STORY.settings)
    kept = [
        KeptStatement(AT, one.body)
        for form in forms
        for one in hook.translate(
            Request(method="POST", url="", query="", headers={}, body=urlencode(form).encode(), received_at_ms=AT)
        ).statements
        if one.call == "CA1"
    ]
    shuffled = kept[:]
    random.shuffle(shuffled)
    first = join.join(kept, AT + HOUR_MS)
    assert join.join([*shuffled, *kept], AT + HOUR_MS) == first
    assert len({event.id for event in first.events}) == len(first.events)


def test_a_dialect_authenticates_in_its_own_way() -> None:
    (delivery, *_) = (one for one in STORY.deliveries if one.kind == "accepted")
    signature = delivery.request.headers["x-twilio-signature"]
    headers = {name: value for name, value in delivery.request.headers.items() if name != "x-twilio-signature"}
    for dialect, header, is_taken in (
        ("twilio", "x-twilio-signature", True),
        ("twilio", "x-signalwire-signature", False),
        ("signalwire", "x-signalwire-signature", True),
        ("signalwire", "x-twilio-signature", False),
        ("telnyx", "nothing", True),
    ):
        hook = TwilioHook(load(settings_text(keys_of("twilio"), f'dialect = "{dialect}"'), {}, SOURCES))
        request = msgspec.structs.replace(delivery.request, headers=headers | {header: signature})
        assert hook.is_authentic(request) is is_taken, (dialect, header)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("Tue, 17 Nov 2026 06:02:11 +0000", 1_794_895_331_000),
        ("Tue, 17 Nov 2026 06:02:11 Etc/UTC", 1_794_895_331_000),
        ("17 Nov 2026 09:02:11 +0300", 1_794_895_331_000),
        ("2026-11-17 06:02:11.731479Z", 1_794_895_331_731),
        ("2026-11-17T06:02:11Z", 1_794_895_331_000),
    ],
)
def test_moments_are_read_in_each_dialect(text: str, ms: int) -> None:
    assert moment(text) == ms

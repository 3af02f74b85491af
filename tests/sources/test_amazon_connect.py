"""Amazon Connect: the story of a day, in every order, and inputs that are wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.phone_numbers import lead_key
from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.amazon_connect.hook import ConnectHook
from streams.sources.amazon_connect.join import ConnectJoin
from streams.sources.frame import KeptStatement, Request
from streams.sources.registry import SOURCES
from tests.sources.bad import answered, index_of
from tests.sources.story import HOUR_MS, SECRET, TOKEN, HookStory, keys_of, roster

AT = 1_794_895_400_000


def settings_text(keys: Any) -> str:
    return (
        roster("amazon_connect")
        + f"""
[gateway]
http_port = 0
[sources.amazon_connect]
tokens = ["{hashed(TOKEN)}"]
api_key = "{keys["api_key"]}"
queues = {{ "b8e2151a-1f03-43f7-8c6b-b1f8a766a593" = "sales" }}
thresholds.retry_horizon = "24h"
"""
    ).replace("thresholds.retry", "\n[thresholds]\nretry")


class WithoutLeads(HookStory):
    """The story in its events: no contact event has the customer's number."""

    def differences(self, events: Any) -> list[str]:
        return [text for text in super().differences(events) if ": lead is None instead of" not in text]


STORY = WithoutLeads(
    "amazon_connect", load(settings_text(keys_of("amazon_connect")), {}, SOURCES), ConnectHook, ConnectJoin
)


def test_the_story_comes_out_as_it_happened() -> None:
    STORY.assert_as_expected()


def test_no_order_repeat_or_restart_changes_a_leg() -> None:
    for order in (*STORY.orders(), [*STORY.deliveries, *STORY.deliveries], [d for d in STORY.deliveries for _ in "ab"]):
        assert STORY.differences(STORY.play(order)) == []
    assert STORY.differences(STORY.play(STORY.deliveries, restarts=True)) == []


async def test_wrong_inputs_are_answered_as_they_deserve_and_harm_nothing() -> None:
    text = settings_text(index_of("amazon_connect")["keys"])
    assert await answered("amazon_connect", text, ConnectHook, ConnectJoin) == []


def read(body: bytes) -> list[KeptStatement]:
    headers = {"content-type": "application/json"}
    request = Request(method="POST", url="", query="", headers=headers, body=body, received_at_ms=AT)
    translation = ConnectHook(STORY.settings).translate(request)
    return [KeptStatement(AT, one.body) for one in translation.statements]


@pytest.mark.fuzz
@given(st.binary(max_size=400))
def test_any_body_is_read_without_an_exception(body: bytes) -> None:
    for sound in STORY.deliveries[1:3]:
        place = len(body) % max(1, len(sound.request.body))
        for text in (body, sound.request.body[:place] + body + sound.request.body[place + len(body) :]):
            ConnectJoin(STORY.settings).join(read(text), AT)


MOMENTS = st.sampled_from(["2026-11-17T06:02:11.240Z", "2026-11-17T06:02:21.240Z", "1970-01-01T00:00:00.001Z", None])
CONTACT = st.fixed_dictionaries(
    {
        "contactId": st.sampled_from(["c1", "c2"]),
        "initialContactId": st.just("c1"),
        "previousContactId": st.sampled_from(["c1", None]),
        "channel": st.just("VOICE"),
        "eventType": st.sampled_from(["INITIATED", "CONNECTED_TO_AGENT", "DISCONNECTED"]),
        "initiationMethod": st.sampled_from(["INBOUND", "OUTBOUND", "TRANSFER"]),
        "initiationTimestamp": MOMENTS,
        "connectedToSystemTimestamp": MOMENTS,
        "disconnectTimestamp": MOMENTS,
        "agentInfo": st.fixed_dictionaries(
            {"agentArn": st.sampled_from(["a/1", "a/2"]), "connectedToAgentTimestamp": MOMENTS}
        ),
    }
)


@pytest.mark.fuzz
@given(st.lists(CONTACT, max_size=6), st.randoms())
def test_whatever_events_say_their_order_makes_no_difference(contacts: list[Any], random: Any) -> None:
    kept = [
        statement
        for detail in contacts
        for statement in read(
            msgspec.json.encode(
                {"source": "aws.connect", "detail-type": "Amazon Connect Contact Event", "detail": detail}
            )
        )
    ]
    shuffled = kept[:]
    random.shuffle(shuffled)
    first = ConnectJoin(STORY.settings).join(kept, AT + HOUR_MS)
    assert ConnectJoin(STORY.settings).join([*shuffled, *kept], AT + HOUR_MS) == first
    assert len({event.id for event in first.events}) == len(first.events)


def test_a_tag_that_a_flow_sets_has_the_number_of_the_customer() -> None:
    text = settings_text(keys_of("amazon_connect")).replace("api_key =", 'number_tag = "customer"\napi_key =', 1)
    body = STORY.deliveries[1].request.body.replace(b'"tags":{', b'"tags":{"customer":"+74950000101",')
    request = msgspec.structs.replace(STORY.deliveries[1].request, body=body)
    (statement,) = ConnectHook(load(text, {}, SOURCES)).translate(request).statements
    assert msgspec.json.decode(statement.body)["lead"] == lead_key("+74950000101", SECRET.encode())

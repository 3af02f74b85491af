"""The list of calls of Twilio, which repairs lost pushes, and names the salesperson of a call in progress."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import pytest
from aiohttp import web

from streams.contract.events import CallStarted, Event
from streams.settings.settings import load
from streams.sources.frame import KeptStatement
from streams.sources.joins import OpenCalls
from streams.sources.registry import SOURCES
from streams.sources.twilio.hook import TwilioHook
from streams.sources.twilio.join import TwilioJoin
from streams.sources.twilio.poll import TwilioPoll, twilio_poll
from streams.sources.twilio.statements import moment
from tests.gateway.polled import Api, MemoryCursors, Time, answer, polling
from tests.sources.story import ACCEPTANCE, FIXTURES, HOUR_MS, Delivery, HookStory, keys_of
from tests.sources.test_twilio import settings_text

KEYS = keys_of("twilio")
STORY = HookStory("twilio", load(settings_text(KEYS), {}, SOURCES), TwilioHook, TwilioJoin)
LIST = json.loads((FIXTURES / "storyA/twilio/poll/Calls.json").read_bytes())["calls"]
EVENING = 1_794_934_800_000  # 20:00 in Moscow, on the day of the story
ENDS = {"completed", "busy", "failed", "no-answer", "canceled"}


def text(ms: int) -> str:
    return format_datetime(datetime.fromtimestamp(ms / 1000, UTC))


def calls_of(deliveries: Sequence[Delivery]) -> list[dict[str, Any]]:
    """The list of calls as Twilio would have it after these callbacks, the newest first."""
    calls: dict[str, dict[str, Any]] = {one["sid"]: one for one in LIST}
    for delivery in deliveries:
        if delivery.kind == "refused":
            continue
        said = dict(parse_qsl(delivery.request.body.decode(), keep_blank_values=True))
        call = calls.setdefault(
            said["CallSid"], {"sid": said["CallSid"], "parent_call_sid": said.get("ParentCallSid"), "status": "queued"}
        )
        at = text(moment(said["Timestamp"]))
        call |= {"from": said["From"], "to": said["To"], "direction": said["Direction"]}
        if said.get("AnsweredBy"):
            call["answered_by"] = said["AnsweredBy"]
        call["date_created"] = min(call.get("date_created", at), at, key=moment)
        if said["CallStatus"] in ENDS:
            call |= {"status": said["CallStatus"], "end_time": at, "duration": said.get("CallDuration", "0")}
            begun = moment(said["Timestamp"]) - int(call["duration"]) * 1000
            if call["parent_call_sid"] is None:
                call["date_created"] = text(min(begun, moment(call["date_created"])))
        elif call["status"] not in ENDS:
            call["status"] = said["CallStatus"]
    return sorted(calls.values(), key=lambda call: -moment(call["date_created"]))


class Account:
    """The API of an account: pages of the list, by two, or the calls in progress. `last` is the last page's next."""

    def __init__(self, calls: list[dict[str, Any]], last: str | None = None) -> None:
        self.calls = calls
        self.last = last

    def __call__(self, request: web.Request) -> web.Response:
        assert request.path == f"/2010-04-01/Accounts/{KEYS['account_sid']}/Calls.json"
        if request.headers["Authorization"].partition(" ")[0] != "Basic":
            return web.Response(status=401)
        if request.query.get("Status") == "in-progress":
            return answer({"calls": [call for call in self.calls if call["status"] == "in-progress"]})
        after = request.query.get("PageToken", "")
        place = [call["sid"] for call in self.calls].index(after) + 1 if after else 0
        page = self.calls[place : place + 2]
        is_last = place + 2 >= len(self.calls)
        following = f"{request.path}?PageSize=2&PageToken={page[-1]['sid']}" if page and not is_last else self.last
        return answer({"calls": page, "next_page_uri": following})


async def polled(account: Account, *, now_ms: int = EVENING, cursors: MemoryCursors | None = None) -> tuple[Any, Api]:
    """The result of one poll: the sink, and the API with its requests."""
    api = Api(account)
    async with api.serving():
        source = twilio_poll(load(settings_text(KEYS, f'api_url = "{api.url}"'), {}, SOURCES))
        assert isinstance(source, TwilioPoll)
        async with polling("twilio", source, Time(now_ms), cursors=cursors) as made:
            assert await made.poller.once() == "done"
            return made.sink, api


def joined(statements: Sequence[Any]) -> list[Event]:
    calls = OpenCalls({"twilio": TwilioJoin(STORY.settings)})
    for offset, one in enumerate(statements):
        calls.take("twilio", one.call, offset, KeptStatement(EVENING, one.body))
    made = [event for ready in calls.ready(EVENING + HOUR_MS) for event in ready.events]
    return [event for one in made if isinstance(event := ACCEPTANCE.of(one, EVENING + HOUR_MS), Event)]


def whole(events: Sequence[Event]) -> list[str]:
    """Return the differences once the list has been read, without exceptions."""
    expected = json.loads(json.dumps(STORY.expected))
    for leg in expected["legs"]:
        leg.pop("push_only", None)
    story = HookStory("twilio", STORY.settings, TwilioHook, TwilioJoin)
    story.expected = expected
    return story.differences(events)


def pushed(deliveries: Sequence[Delivery]) -> list[Any]:
    hook = TwilioHook(STORY.settings)
    return [
        statement for one in deliveries if one.kind != "refused" for statement in hook.translate(one.request).statements
    ]


@pytest.mark.parametrize("last", [None, ""])
async def test_the_list_alone_gives_every_leg(last: str | None) -> None:
    sink, _ = await polled(Account(calls_of(STORY.deliveries), last))
    assert whole(joined(sink.statements)) == []
    assert sink.refused == []


async def test_the_list_repairs_whatever_was_not_pushed_and_nothing_counts_twice() -> None:
    sink, _ = await polled(Account(calls_of(STORY.deliveries)))
    for seed in range(5):
        half = random.Random(seed).sample(STORY.deliveries, len(STORY.deliveries) // 2)
        assert whole(joined([*pushed(half), *sink.statements])) == [], seed
        assert whole(joined([*sink.statements, *pushed(half)])) == [], seed


async def test_a_call_in_progress_has_its_salesperson_at_once() -> None:
    begun = [one for one in STORY.deliveries if "A11" in one.file]
    assert joined(pushed(begun)) == []
    parent = {**LIST[0], "status": "in-progress", "end_time": None, "duration": None}
    sink, _ = await polled(Account([parent]), now_ms=begun[0].request.received_at_ms)
    (start,) = (event for event in joined([*pushed(begun), *sink.statements]) if isinstance(event, CallStarted))
    assert start.manager == "gleb.ostrov"


async def test_a_poll_within_five_minutes_asks_only_for_calls_in_progress() -> None:
    cursors = MemoryCursors()
    account = Account(calls_of(STORY.deliveries))
    _, first = await polled(account, cursors=cursors)
    sink, second = await polled(account, now_ms=EVENING + 60_000, cursors=cursors)
    assert len(first.requests) > len(account.calls) / 2
    assert [parse_qs(path.partition("?")[2])["Status"] for path, _, _ in second.requests] == [["in-progress"]]
    assert sink.statements == []
    sink, third = await polled(account, now_ms=EVENING + 300_000, cursors=cursors)
    assert sink.statements == [], "what ended long before is not stored again"
    assert len(third.requests) < len(first.requests)
    _, again = await polled(account, now_ms=EVENING - HOUR_MS, cursors=cursors)
    assert len(again.requests) > 1, "the clock was ahead"

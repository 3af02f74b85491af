"""Bitrix24: stories by pushes, by polls, by both and by halves of them; wrong inputs; a portal that refuses."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from msgspec.structs import replace

from agents.gateway import poller as poller_module
from streams.contract.events import DealDeleted, DealStageChanged, Event, LeadLinked
from streams.phone_numbers import lead_key
from streams.settings.access import hashed
from streams.settings.settings import load
from streams.simulator.rendering.bitrix24_rest import moment_ms
from streams.sources.bitrix24.hook import Bitrix24Hook
from streams.sources.bitrix24.poll import Bitrix24Poll
from streams.sources.frame import Translation
from streams.sources.registry import SOURCES
from tests.gateway.polled import Api, MemoryCursors, Polling, Time, answer, polling
from tests.gateway.served import MemorySink, serving
from tests.sources.bitrix24_portal import Portal
from tests.sources.story import (
    FIXTURES,
    SECRET,
    TOKEN,
    Delivery,
    Gateway,
    HookStory,
    has_number,
    keys_of,
    parsed,
    roster,
)
from tests.sources.story import differences as of_legs

STORIES = sorted(place.parent for place in FIXTURES.glob("story*/bitrix24"))
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def text_of(folder: Path, url: str = "") -> str:
    keys = keys_of("bitrix24", folder)
    stages = json.loads((folder / "bitrix24/expected.json").read_bytes())["settings"]["stages"]
    lines = "\n".join(f'"{key}" = "{stage}"' for key, stage in stages.items())
    return f"""{roster("bitrix24", folder)}
[gateway]
http_port = 0
[results]
stages = ["new", "qualified", "presentation", "proposal", "won", "lost"]
[sources.bitrix24]
tokens = ["{hashed(TOKEN)}"]
application_token = "{keys["application_token"]}"
webhook = "{url}{urlsplit(keys["webhook"]).path}"
[sources.bitrix24.stages]
{lines}
"""


class Story(HookStory):
    """A story with its portal."""

    def __init__(self, folder: Path) -> None:
        settings = load(text_of(folder, "http://127.0.0.1:1"), {}, SOURCES)
        super().__init__("bitrix24", settings, Bitrix24Hook, folder=folder)
        self.data = json.loads((folder / "bitrix24/portal.json").read_bytes())

    @property
    def ends_ms(self) -> int:
        return max(one.request.received_at_ms for one in self.deliveries)

    @property
    def begins_ms(self) -> int:
        return min(one.request.received_at_ms for one in self.deliveries) - HOUR_MS


@contextlib.asynccontextmanager
async def asked(story: Story, time: Time, **more: Any) -> AsyncIterator[tuple[Polling, Portal, Api]]:
    """A poller of the story's portal."""
    portal = Portal(story.data, time)
    async with Api(portal).serving() as api:
        source = Bitrix24Poll(load(text_of(story.folder, api.url), {}, SOURCES))
        async with polling("bitrix24", source, time, **more) as made:
            yield made, portal, api


async def watched(story: Story, deliveries: Sequence[Delivery], every_ms: int, sink: MemorySink | None = None) -> Any:
    """The events of a day on which the portal is polled at each doorbell and every `every_ms`."""
    time = Time(story.begins_ms)
    sink = sink or MemorySink()
    gateway = Gateway("bitrix24", story.settings, Bitrix24Hook)
    polls = range(story.begins_ms, story.ends_ms + 3 * HOUR_MS, every_ms)
    moments = sorted(
        [*((one.request.received_at_ms, one) for one in deliveries), *((at, None) for at in polls)], key=at_of
    )
    async with asked(story, time, sink=sink, is_pushed=True) as (made, portal, _):
        for at_ms, delivery in moments:
            time.now_ms = max(time.now_ms, at_ms)
            if delivery is not None:
                result = gateway.deliver(delivery.request)
                assert (result is None) is (delivery.kind == "refused")
                if result is None:
                    continue
                await sink.store("bitrix24", result.events)
                if not gateway.hook.translate(delivery.request).ring:
                    continue
            assert await made.poller.once() == "done", made.poller.trouble
        assert sink.refused == []
        return sink.events, made, portal


def at_of(moment: tuple[int, Delivery | None]) -> int:
    return moment[0]


# -- deals and links, by the plainest reading of the contract


def deal_differences(expected: Any, events: Sequence[Event], *, exact: bool) -> list[str]:
    """Return the differences. `exact`: the deletion came by its push, so its moment is known."""
    wrong: list[str] = []
    changes = [one for one in events if isinstance(one, DealStageChanged)]
    if {one.deal for one in changes} != {deal["source_deal"] for deal in expected["deals"]}:
        wrong.append(f"deals are {sorted({one.deal for one in changes})}")
    for deal in expected["deals"]:
        mine = sorted((one for one in changes if one.deal == deal["source_deal"]), key=lambda one: (one.at, one.id))
        stages = [next(run) for _, run in itertools.groupby(mine, key=lambda one: one.stage)]
        said = [(one.stage, one.at) for one in stages]
        want = [(one["stage"], one["at_ms"]) for one in deal["stages"]]
        if said != want:
            wrong.append(f"{deal['deal']}: stages {said} instead of {want}")
        amount = next((one.amount for one in reversed(mine) if one.amount is not None), None)
        if amount != (None if deal["amount"] is None else Decimal(deal["amount"])):
            wrong.append(f"{deal['deal']}: amount {amount} instead of {deal['amount']}")
        currencies = {one.currency for one in mine if one.currency is not None}
        if deal["amount"] is not None and currencies != {deal["currency"]}:
            wrong.append(f"{deal['deal']}: currency {currencies}")
        manager = next((one.manager for one in reversed(mine) if one.manager is not None), None)
        if manager != deal["manager"]:
            wrong.append(f"{deal['deal']}: manager {manager} instead of {deal['manager']}")
        if mine and mine[-1].lead != f"bitrix24:contact:{deal['lead']}":
            wrong.append(f"{deal['deal']}: lead {mine[-1].lead}")
        gone = [one.at for one in events if isinstance(one, DealDeleted) and one.deal == deal["source_deal"]]
        wrong += [f"{deal['deal']}: {text}" for text in deletion(deal["deleted"], gone, exact=exact)]
    return wrong


def deletion(deleted: str | None, gone: Sequence[int], *, exact: bool) -> Iterable[str]:
    if (deleted is None) is not (not gone):
        yield f"deletions {list(gone)} instead of {deleted}"
    elif deleted is not None and exact and abs(gone[0] - moment_ms(deleted)) > 10_000:
        yield f"deleted at {gone[0]}"


def link_differences(expected: Any, events: Sequence[Event]) -> list[str]:
    found = {(one.lead, one.old_key) for one in events if isinstance(one, LeadLinked)}
    wanted = set()
    for link in expected["lead_links"]:
        lead = link["lead"] if ":" in link["lead"] else f"contact:{link['lead']}"
        wanted |= {(f"bitrix24:{lead}", lead_key(number, SECRET.encode())) for number in link["numbers"]}
    numbers = {one for one in found if one[1].startswith("phone:")}
    return [f"links {sorted(numbers ^ wanted)} differ"] if numbers != wanted else []


def polled_legs(expected: Any) -> Any:
    """Return the expectation with polls, which have the events that a push misses."""
    return expected | {"legs": [{k: v for k, v in leg.items() if k != "push_only"} for leg in expected["legs"]]}


def differences(story: Story, events: Sequence[Event], *, exact: bool) -> list[str]:
    expected = polled_legs(story.expected)
    calls = [one for one in events if not isinstance(one, DealStageChanged | DealDeleted | LeadLinked)]
    return [
        *of_legs(expected, story.truth, calls),
        *deal_differences(expected, events, exact=exact),
        *link_differences(expected, events),
        *map(str, has_number(story.numbers(), events)),
    ]


@pytest.fixture(params=STORIES, ids=lambda folder: folder.name)
def story(request: pytest.FixtureRequest) -> Story:
    return Story(request.param)


@pytest.mark.slow
async def test_pushes_and_polls_together_tell_the_story(story: Story) -> None:
    events, made, portal = await watched(story, story.deliveries, 30 * MINUTE_MS)
    assert differences(story, events, exact=True) == []
    assert portal.limited == 0
    lost = sum("push_only" in leg for leg in story.expected["legs"])
    assert made.value("polled_unpushed_total") == lost, "the calls whose push never came"


@pytest.mark.parametrize("kept", [0.0, 0.5])
@pytest.mark.slow
async def test_polls_repair_what_pushes_lose(story: Story, kept: float) -> None:
    chosen = random.Random(7).sample(story.deliveries, int(len(story.deliveries) * kept))
    events, _, _ = await watched(story, chosen, 30 * MINUTE_MS)
    assert differences(story, events, exact=False) == []


@pytest.mark.slow
async def test_order_and_repeats_of_pushes_make_no_difference(story: Story) -> None:
    order = random.Random(1).sample(story.deliveries, len(story.deliveries))
    times = [one.request.received_at_ms for one in story.deliveries]
    moved = [
        one._replace(request=replace(one.request, received_at_ms=when)) for one, when in zip(order, times, strict=True)
    ]
    events, _, _ = await watched(story, [*moved, *moved], HOUR_MS)
    assert differences(story, events, exact=False) == []


async def test_a_gateway_that_is_killed_before_the_cursor_is_kept_repeats_and_nothing_counts_twice(
    story: Story,
) -> None:
    time, sink = Time(story.ends_ms + MINUTE_MS), MemorySink()
    for _ in range(2):
        async with asked(story, time, sink=sink, cursors=MemoryCursors()) as (made, _, _):
            assert await made.poller.once() == "done"
    ids = [event.id for event in sink.events]
    assert len(ids) == len(set(ids))


async def test_a_quiet_poll_is_one_request(story: Story) -> None:
    time = Time(story.ends_ms + 5 * HOUR_MS)
    async with asked(story, time) as (made, portal, _):
        await made.poller.once()
        time.now_ms += MINUTE_MS
        before = portal.batches
        await made.poller.once()
        assert portal.batches - before <= 3
        known = len(made.sink.events)
        await made.poller.once()
        assert len(made.sink.events) == known


async def test_doorbells_that_come_at_once_become_few_requests(story: Story) -> None:
    """1,000 doorbells: the portal's limit holds, and the state is read once."""
    time = Time(story.ends_ms)
    async with asked(story, time) as (made, portal, _):
        for _ in range(1000):
            made.poller.ring()
        await made.poller.once()
        assert (portal.limited, portal.batches < 12) == (0, True)


@pytest.mark.slow
async def test_a_thousand_doorbells_of_different_deals_are_answered_and_become_few_polls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Recipe 55 of the wrong inputs, at a real gateway."""
    monkeypatch.setattr(poller_module, "_APART_S", 0.2)
    story = Story(FIXTURES / "storyA")
    time = Time(story.ends_ms)
    token = keys_of("bitrix24")["application_token"]
    async with asked(story, time) as (made, portal, api):
        polls = asyncio.create_task(made.poller.run())
        async with serving(text_of(story.folder, api.url), ring=lambda _: made.poller.ring()) as served:

            async def doorbells(numbers: Iterable[int]) -> set[int]:
                found = set()
                for number in numbers:
                    form = f"event=ONCRMDEALUPDATE&data[FIELDS][ID]={number}&auth[application_token]={token}"
                    kind = {"Content_Type": "application/x-www-form-urlencoded"}
                    found.add((await served.ask("POST", f"/hooks/bitrix24/{TOKEN}", form.encode(), **kind)).status)
                return found

            answers = await asyncio.gather(*(doorbells(range(first, 1001, 10)) for first in range(1, 11)))
        assert set().union(*answers) == {200}
        polls.cancel()
        await asyncio.gather(polls, return_exceptions=True)
        assert 1 <= (made.value("polls_total", result="done") or 0) < 60
        assert portal.limited == 0
    assert len([one for one in made.sink.events if isinstance(one, DealStageChanged)]) > 10


# -- a portal that refuses

NAMELESS = {"history": {"items": [{"OWNER_ID": 1}]}, "deals": [], "contact": [], "lead": [], "calls": []}


@pytest.mark.parametrize(
    "said",
    [
        [answer({"error": "QUERY_LIMIT_EXCEEDED"}, 503) for _ in range(10)],
        [answer({"error": "OPERATION_TIME_LIMIT"}, 429)],
        [answer({}, 500), answer({}, 502)],
    ],
    ids=["limit", "operating", "fault"],
)
async def test_limits_are_waited_for(story: Story, said: list[web.Response]) -> None:
    time = Time(story.ends_ms + MINUTE_MS)
    async with asked(story, time) as (made, _, api):
        await made.poller._read_people()
        api.answers = list(said)
        assert await made.poller.once() == "done", made.poller.trouble
        assert len(made.sink.events) > 20


@pytest.mark.parametrize(
    ("said", "result", "why"),
    [
        (answer({"error": "expired_token"}, 401), "unauthenticated", "not valid"),
        (answer({"error": "INVALID_CREDENTIALS"}, 401), "unauthenticated", "not valid"),
        (answer({"error": "ERROR_ARGUMENT", "error_description": "+74950000101"}, 400), "failed", "ERROR_ARGUMENT"),
        (web.Response(text="<html>login</html>", content_type="text/html"), "failed", "web page"),
        (answer({"result": {"result": NAMELESS}}), "failed", "not expected"),
        (answer({"result": {"result": [], "result_error": []}}), "failed", "unanswered"),
    ],
    ids=["expired", "invalid", "argument", "html", "form", "empty"],
)
async def test_errors_are_said_in_words_and_the_cursor_stays(
    story: Story, said: web.Response, result: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with asked(story, Time(story.ends_ms)) as (made, _, api):
        await made.poller._read_people()
        api.answers = [said]
        assert await made.poller.once() == result
        assert why in made.poller.trouble
        assert made.cursor is None
        assert await made.poller.once() == "done"
    assert urlsplit(keys_of("bitrix24", story.folder)["webhook"]).path.split("/")[3] not in caplog.text
    assert "4950000101" not in caplog.text


async def test_a_right_that_is_missing_is_named(story: Story) -> None:
    async with asked(story, Time(story.ends_ms)) as (made, portal, _):
        portal.denied = {"voximplant.statistic.get"}
        assert await made.poller.once() == "unauthenticated"
        assert "voximplant.statistic.get (insufficient_scope)" in made.poller.trouble


async def test_the_stages_and_the_users_are_read(story: Story) -> None:
    async with asked(story, Time(story.ends_ms)) as (made, _, _):
        source = made.poller._source
        assert isinstance(source, Bitrix24Poll)
        stages = await made.poller._client.conduct(source.stages())
        assert [stage.key for stage in stages] == [row["STATUS_ID"] for row in story.data["stages"]]
        assert {stage.key for stage in stages if stage.is_won} == {
            row["STATUS_ID"] for row in story.data["stages"] if row["SEMANTICS"] == "S"
        }
        users = await made.poller._client.conduct(source.listed())
        assert {user.heard.user for user in users} == {row["ID"] for row in story.data["users"]}


# -- wrong inputs


BAD = FIXTURES / "bad/bitrix24"
INDEX = json.loads((BAD / "index.json").read_bytes())
CASES = [case for case in INDEX["cases"] if not (case.get("recipe") or case.get("framing"))]


def test_wrong_inputs_get_the_class_that_they_deserve() -> None:
    text = text_of(FIXTURES / "storyA", "http://127.0.0.1:1").replace(
        keys_of("bitrix24")["application_token"], INDEX["keys"]["application_token"]
    )
    gateway = Gateway("bitrix24", load(text, {}, SOURCES), Bitrix24Hook)
    for case in CASES:
        data = (BAD / case["file"]).read_bytes()
        request = parsed(data, "bitrix24", INDEX["keys"]["path"], INDEX["received_at_ms"])
        if request.method != "POST" or "content-encoding" in request.headers:
            continue  # the gateway's own part, for all hooks
        result = gateway.deliver(request)
        made = Translation() if result is None else gateway.hook.translate(request)
        kind = "refused" if result is None else "accepted" if result.events or made.ring else "ignored"
        assert kind in {case["expect"]["class"], *case["expect"].get("class_any", ())}, case
        if result is not None:
            assert kind != "ignored" or result.ignored or result.refused, (case, "is not counted")
            wanted = case["expect"].get("reason")
            if kind == "ignored" and wanted and result.refused:
                assert result.refused[0].reason in {wanted, "future"}, (case, result.refused)
            said = repr([result.events, result.refused])
            assert "4950000101" not in said, case


def test_a_form_of_a_hundred_thousand_fields_is_refused_at_once() -> None:
    hook = Bitrix24Hook(load(text_of(FIXTURES / "storyA", "http://127.0.0.1:1"), {}, SOURCES))
    request = parsed(b"POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n", "bitrix24", "/", 0)
    assert not hook.is_authentic(replace(request, body=b"a=1&" * 100_000))

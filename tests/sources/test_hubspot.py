"""HubSpot: a day of deals by polls, signed webhooks, wrong inputs, and an account that answers with errors."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import DealDeleted, DealStageChanged, Event
from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.frame import Request
from streams.sources.hubspot.hook import HubspotHook
from streams.sources.hubspot.poll import HubspotPoll, hubspot_poll
from streams.sources.registry import SOURCES
from streams.units import MINUTE_MS
from tests.gateway.polled import Api, MemoryCursors, Polling, Time, answer, polling
from tests.gateway.served import MemorySink
from tests.sources.bad import answered, index_of
from tests.sources.deals import deal_differences, link_differences
from tests.sources.story import FIXTURES, TOKEN, HookStory, has_number, keys_of, ms_of, roster

PLACE = FIXTURES / "storyA/hubspot"
EXPECTED = json.loads((PLACE / "expected.json").read_bytes())
LEADS = {deal["source_deal"]: f"hubspot:contact:{deal['lead']}" for deal in EXPECTED["deals"]}
DAY = 1_794_891_600_000  # 08:00 in Moscow
EVENING = DAY + 12 * 3_600_000
GONE = {
    "id": "16915092",
    "properties": {"deal_currency_code": "RUB"},
    "propertiesWithHistory": {
        "dealstage": [
            {"value": "qualifiedtobuy", "timestamp": "2026-11-17T08:30:00Z"},
            {"value": "appointmentscheduled", "timestamp": "2026-11-17T08:05:00Z"},
        ],
        "amount": [{"value": "9900.90", "timestamp": "2026-11-17T08:05:00Z"}],
        "hubspot_owner_id": [{"value": "5638374", "timestamp": "2026-11-17T08:05:00Z"}],
    },
}
"""The deal that is deleted in the afternoon, as it was before."""
DELETED = "2026-11-17T14:00:00.000Z"
OWNERS = {"16915081": "2026-11-17T10:10:00Z", "16915070": "2026-11-17T09:00:10Z"}
"""The moments at which a deal was changed without a change of its stage."""


def settings_text(url: str = "http://127.0.0.1:1", keys: Any = None, more: str = "") -> str:
    keys = keys or keys_of("hubspot")
    stages = "\n".join(f'{key} = "{stage}"' for key, stage in EXPECTED["settings"]["stages"].items())
    return f"""{roster("hubspot")}
[gateway]
http_port = 0
[thresholds]
retry_horizon = "24h"
[results]
stages = ["new", "qualified", "presentation", "proposal", "won", "lost"]
[sources.hubspot]
tokens = ["{hashed(TOKEN)}"]
token = "a-private-app"
client_secret = "{keys["client_secret"]}"
public_url = "{keys["public_url"]}"
api_url = "{url}"
{more}
[sources.hubspot.stages]
{stages}
"""


class Account:
    """The API of the story's account as it is at a moment of the day."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.deals = [*read("deals_batch_read"), GONE]
        self.contacts = read("contacts_batch_read")
        links = [*read("associations_batch_read"), {"from": {"id": GONE["id"]}, "to": [{"toObjectId": 28191830}]}]
        self.links = {one["from"]["id"]: one for one in links}
        self.page = 100
        self.deleted = DELETED

    async def answered(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer a-private-app":
            return answer({"category": "INVALID_AUTHENTICATION"}, 401)
        said = await request.json() if request.method == "POST" else {}
        if request.path.endswith("/search"):
            return self.search(request.path.split("/")[-2], said)
        found = self.results(request.path, request.query, [one["id"] for one in said.get("inputs", ())])
        return web.Response(status=404) if found is None else answer({"results": found})

    def results(self, path: str, query: Any, wanted: list[str]) -> list[Any] | None:
        if path == "/crm/v3/owners":
            return read("owners")
        if path == "/crm/v3/objects/deals" and query["archived"] == "true":
            return [{"id": GONE["id"], "archivedAt": self.deleted}] if self.time.now_ms >= ms_of(DELETED) else []
        if "associations" in path:
            return [self.links[one] for one in wanted if one in self.links]
        if "/contacts/" in path:
            return [one for one in self.contacts if one["id"] in wanted]
        return [self.now(one) for one in self.there() if one["id"] in wanted] if "/deals/" in path else None

    def there(self) -> list[Any]:
        return [one for one in self.deals if one is not GONE or self.time.now_ms < ms_of(DELETED)]

    def now(self, deal: Any) -> Any:
        history = {
            name: [one for one in values if ms_of(one["timestamp"]) <= self.time.now_ms]
            for name, values in deal["propertiesWithHistory"].items()
        }
        return {**deal, "propertiesWithHistory": history}

    def modified(self, kind: str) -> list[tuple[int, str]]:
        if kind == "contacts":
            return sorted((DAY + number, one["id"]) for number, one in enumerate(self.contacts))
        moments = [
            (max(times), deal["id"])
            for deal in map(self.now, self.there())
            if (times := [ms_of(one["timestamp"]) for one in deal["propertiesWithHistory"]["dealstage"]])
        ]
        return sorted(
            (max(at, ms_of(OWNERS[one])) if one in OWNERS and ms_of(OWNERS[one]) <= self.time.now_ms else at, one)
            for at, one in moments
        )

    def search(self, kind: str, said: Any) -> web.Response:
        first = said["filterGroups"][0]["filters"][0]
        rows = [row for row in self.modified(kind) if row[0] >= int(first["value"])]
        place = int(said.get("after", 0))
        part = rows[place : place + self.page]
        name = first["propertyName"]
        found = [{"id": one, "properties": {name: iso(at)}} for at, one in part]
        following = {"next": {"after": str(place + self.page)}} if len(rows) > place + self.page else None
        return answer({"total": len(rows), "results": found, "paging": following})


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def read(name: str) -> list[Any]:
    return list(json.loads((PLACE / f"answers/{name}.json").read_bytes())["results"])


@contextlib.asynccontextmanager
async def asked(time: Time, more: str = "", **given: Any) -> AsyncIterator[tuple[Polling, Account, Api]]:
    account = Account(time)
    async with Api(account.answered).serving() as api:
        source = hubspot_poll(load(settings_text(api.url, more=more), {}, SOURCES))
        assert isinstance(source, HubspotPoll)
        async with polling("hubspot", source, time, **given) as made:
            yield made, account, api


UNSEEN = ("D3: amount", "D3: currency", "D3: manager", "D3: lead", "D3: stages", "deals are")


def differences(events: Sequence[Event], *, but: tuple[str, ...] = UNSEEN) -> list[str]:
    return [
        *(text for text in deal_differences(EXPECTED, events, LEADS) if not text.startswith(but)),
        *link_differences(EXPECTED, events, "hubspot:contact:"),
        *map(str, has_number({b"4950000101", b"8120000102", b"4950000105"}, events)),
    ]


@pytest.mark.parametrize("polls", [1, 24, 100])
async def test_polls_of_a_day_tell_the_story(polls: int) -> None:
    time, sink, cursors = Time(DAY), MemorySink(), MemoryCursors()
    async with asked(time, 'sweep = "5m"', sink=sink, cursors=cursors) as (made, _, _):
        for number in range(1, polls + 1):
            time.now_ms = max(time.now_ms, DAY + number * (EVENING - DAY) // polls)
            assert await made.poller.once() == "done", made.poller.trouble
    assert differences(sink.events, but=UNSEEN if polls == 1 else ("nothing",)) == []
    assert sink.refused == []


@pytest.mark.parametrize("kind", ["deals", "contacts"])
@pytest.mark.parametrize(
    ("before", "at_once"), [(0, 99), (0, 100), (0, 101), (0, 200), (50, 100), (100, 100), (1, 250)]
)
async def test_a_change_of_many_at_one_moment_is_read_to_its_end(kind: str, before: int, at_once: int) -> None:
    moments = [*range(EVENING - before, EVENING), *[EVENING] * at_once]
    rows = [(at, str(number)) for number, at in enumerate(moments, 1)]
    async with asked(Time(EVENING)) as (made, account, api):
        with mock.patch.object(account, "modified", lambda asked_kind: rows if asked_kind == kind else []):
            assert await made.poller.once() == "done", made.poller.trouble
    read = [json.loads(body) for path, _, body in api.requests if path == f"/crm/v3/objects/{kind}/batch/read"]
    assert {one["id"] for part in read for one in part["inputs"]} == {number for _, number in rows}
    assert made.value("polled_until_timestamp_seconds") == EVENING / 1000


async def test_a_clock_that_is_ahead_of_the_account_loses_no_deal() -> None:
    time, rows, read = Time(DAY), list[tuple[int, str]](), set[str]()
    async with asked(time) as (made, account, api):
        api.clock = lambda: time.now_ms - 6 * MINUTE_MS
        with mock.patch.object(account, "modified", lambda kind: rows if kind == "deals" else []):
            for number in range(60):
                rows.append((api.clock(), f"7{number:02}"))
                time.now_ms += MINUTE_MS
                assert await made.poller.once() == "done", made.poller.trouble
        for path, _, body in api.requests:
            read |= {one["id"] for one in json.loads(body)["inputs"]} if path.endswith("deals/batch/read") else set()
    assert read == {number for _, number in rows}


async def test_a_poll_that_is_repeated_makes_the_same_events() -> None:
    sink = MemorySink()
    for _ in range(2):
        async with asked(Time(EVENING), sink=sink, cursors=MemoryCursors()) as (made, _, _):
            assert await made.poller.once() == "done"
            known = len(sink.events)
    assert known == len(sink.events) == len({event.id for event in sink.events})


async def test_a_merged_deal_is_gone_and_a_stage_that_the_account_calls_won_is_won() -> None:
    async with asked(Time(EVENING)) as (_, account, _):
        account.deals[0]["properties"] |= {"hs_merged_object_ids": "16915070;16919999"}
        account.deals[0]["propertiesWithHistory"]["dealstage"].insert(
            0, {"value": "own_won", "timestamp": "2026-11-17T14:30:00Z"}
        )
        known = {"label": "Sales", "stages": [WON, {"id": "own_lost", "metadata": {"isClosed": True}}]}
        normal = account.answered

        async def with_pipelines(request: web.Request) -> web.Response:
            if request.path == "/crm/v3/pipelines/deals":
                return answer({"results": [known]})
            return await normal(request)

        async with Api(with_pipelines).serving() as other:
            source = hubspot_poll(load(settings_text(other.url), {}, SOURCES))
            assert source is not None
            async with polling("hubspot", source, Time(EVENING)) as second:
                assert await second.poller.once() == "done"
                events = second.sink.events
                stages = await second.poller._client.conduct(source.stages())
    assert {one.deal for one in events if isinstance(one, DealDeleted)} >= {"16919999"}
    last = max((one for one in events if isinstance(one, DealStageChanged)), key=lambda one: one.at)
    assert (last.deal, last.stage) == ("16915070", "won")
    assert [(stage.key, stage.is_won, stage.is_lost) for stage in stages] == [
        ("own_won", True, False),
        ("own_lost", False, True),
    ]


WON = {"id": "own_won", "metadata": {"isClosed": "true", "probability": "1.0"}}


@pytest.mark.parametrize(
    ("said", "result", "why"),
    [
        ([answer({}, 429) for _ in range(5)], "done", ""),
        ([answer({}, 502)], "done", ""),
        ([answer({"category": "EXPIRED_AUTHENTICATION"}, 401)], "unauthenticated", "not valid"),
        ([answer({"category": "MISSING_SCOPES"}, 403)], "unauthenticated", "right"),
        ([web.Response(text="<html>", content_type="text/html")], "failed", "web page"),
    ],
    ids=["limit", "fault", "token", "scope", "html"],
)
async def test_errors_are_waited_for_or_said_in_words(said: list[web.Response], result: str, why: str) -> None:
    async with asked(Time(EVENING)) as (made, _, api):
        await made.poller._read_people()
        api.answers = list(said)
        assert await made.poller.once() == result
        assert why in made.poller.trouble
        assert await made.poller.once() == "done"


async def test_the_owners_are_read() -> None:
    async with asked(Time(EVENING)) as (made, _, _):
        source = made.poller._source
        assert isinstance(source, HubspotPoll)
        owners = await made.poller._client.conduct(source.listed())
        assert [(one.heard.user, one.heard.email, one.name) for one in owners][:1] == [
            ("5638360", "vera.lisina@romashka.example", "Vera Lisina")
        ]


# -- the webhook

STORY = HookStory("hubspot", load(settings_text(), {}, SOURCES), HubspotHook)


def test_each_delivery_of_the_story_has_its_class_and_starts_a_poll() -> None:
    hook = HubspotHook(STORY.settings)
    gone: list[str] = []
    for one in STORY.deliveries:
        assert hook.is_authentic(one.request) is (one.kind != "refused"), one.file
        if one.kind != "refused":
            made = hook.translate(one.request)
            assert (made.refused, made.ring) == ([], True), one.file
            gone += [event.deal for event in made.events if isinstance(event, DealDeleted)]
    assert gone == ["16915092"]


def item(action: str, at_ms: int, **more: Any) -> Any:
    return {"subscriptionType": f"deal.{action}", "objectId": 7, "occurredAt": at_ms, **more}


def gone(*items: Any) -> list[DealDeleted]:
    body = json.dumps(items).encode()
    request = Request(method="POST", url="", query="", headers={}, body=body, received_at_ms=EVENING)
    return [one for one in HubspotHook(STORY.settings).translate(request).events if isinstance(one, DealDeleted)]


def test_a_deal_that_is_restored_and_deleted_again_is_deleted_twice() -> None:
    first, again, second = gone(item("deletion", DAY), item("deletion", DAY), item("privacyDeletion", DAY + 60_000))
    assert first == again
    assert first.id != second.id
    merged = item("merge", DAY, newObjectId=9, mergedObjectIds=[7, 9])
    once, later = gone(merged, {**merged, "occurredAt": DAY + 60_000})
    assert once.id == later.id, "a merge is for good, and polls find it again and again"


async def test_the_poll_finds_the_second_deletion() -> None:
    time = Time(EVENING)
    async with asked(time) as (made, account, _):
        assert await made.poller.once() == "done"
        account.deleted = iso(EVENING + 60_000)
        time.now_ms = EVENING + 2 * 3_600_000
        assert await made.poller.once() == "done"
        found = [one.at for one in made.sink.events if isinstance(one, DealDeleted)]
    assert found == [ms_of(DELETED), EVENING + 60_000]


async def test_wrong_inputs_are_answered_as_they_deserve_and_harm_nothing() -> None:
    text = settings_text(keys=index_of("hubspot")["keys"])
    # A doorbell stores no events: three items start a poll.
    problems = await answered("hubspot", text, HubspotHook, differs=("44-one-bad-among-three.http",))
    assert [one for one in problems if "not even the sound one" not in one] == []


FIELDS = st.sampled_from(["objectId", "occurredAt", "subscriptionType", "mergedObjectIds", "propertyValue"])
ITEMS = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["deal.merge", "deal.deletion", DAY]),
    lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner),
    max_leaves=12,
)


@pytest.mark.fuzz
@given(st.binary(max_size=200) | ITEMS.map(lambda made: json.dumps([made]).encode()))
def test_any_body_is_read_without_an_exception(body: bytes) -> None:
    request = Request(method="POST", url="", query="", headers={}, body=body, received_at_ms=DAY)
    made = HubspotHook(STORY.settings).translate(request)
    assert all(isinstance(event, DealDeleted) for event in made.events)

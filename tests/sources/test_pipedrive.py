"""Pipedrive: a day of deals by polls and by its webhook, wrong inputs, and an account that answers with errors."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import DealDeleted, DealStageChanged, Event, LeadLinked
from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.frame import Request, Translation
from streams.sources.pipedrive.hook import PipedriveHook
from streams.sources.pipedrive.poll import PipedrivePoll, pipedrive_poll
from streams.sources.registry import SOURCES
from tests.gateway.polled import Api, MemoryCursors, Polling, Time, answer, polling
from tests.gateway.served import MemorySink
from tests.sources.bad import answered, index_of
from tests.sources.deals import deal_differences, link_differences
from tests.sources.story import FIXTURES, TOKEN, Delivery, HookStory, has_number, ms_of, roster

PLACE = FIXTURES / "storyA/pipedrive"
EXPECTED = json.loads((PLACE / "expected.json").read_bytes())
LEADS = {deal["source_deal"]: f"pipedrive:person:{deal['lead']}" for deal in EXPECTED["deals"]}
DAY = 1_794_891_600_000  # 08:00 in Moscow
EVENING = DAY + 12 * 3_600_000
NUMBERS = {b"4950000101", b"8120000102", b"4950000105", b"4950000199"}


def settings_text(url: str = "", more: str = "", basic: str = EXPECTED["settings"]["basic_auth"]) -> str:
    stages = "\n".join(f'"{key}" = "{ours}"' for key, ours in EXPECTED["settings"]["stages"].items() if key.isdigit())
    user, _, password = basic.partition(":")
    return f"""{roster("pipedrive")}
[gateway]
http_port = 0
[results]
stages = ["new", "qualified", "presentation", "proposal", "won", "lost"]
[sources.pipedrive]
tokens = ["{hashed(TOKEN)}"]
user = "{user}"
password = "{password}"
{f'address = "{url}"' if url else ""}
{'token = "an-api-token"' if url else ""}
{more}
[sources.pipedrive.stages]
{stages}
"""


STORY = HookStory("pipedrive", load(settings_text(), {}, SOURCES), PipedriveHook)
PUSHED = PipedriveHook(STORY.settings)


def held(name: str) -> list[Any]:
    return list(json.loads((PLACE / f"answers/{name}.json").read_bytes())["data"])


def bodies() -> list[Any]:
    """The bodies of the story's webhooks about deals, each once, in the order of their moments."""
    said = [json.loads(one.request.body) for one in STORY.deliveries if one.kind != "refused"]
    once = {one["meta"]["id"]: one for one in said if one["meta"]["entity"] == "deal"}
    return sorted(once.values(), key=lambda one: ms_of(one["meta"]["timestamp"]))


class Account:
    """The API of the story's account as it is at a moment of the day. Its deals have the history of the webhooks."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.said = bodies()
        self.persons = held("persons")
        self.page = 100
        self.has_changelog_of_deleted = True
        self.more: dict[str, list[Any]] = {}

    def __call__(self, request: web.Request) -> web.Response:
        if request.headers.get("x-api-token") != "an-api-token":
            return answer({"success": False, "error": "unauthorized access"}, 401)
        found = self.rows(request.path, request.query)
        if found is None:
            return answer({"success": False, "error": "not found"}, 404)
        first = int(request.query.get("cursor", "c0")[1:])
        part = found[first : first + self.page]
        following = f"c{first + self.page}" if len(found) > first + self.page else None
        return answer({"success": True, "data": part, "additional_data": {"next_cursor": following}})

    def rows(self, path: str, query: Mapping[str, str]) -> list[Any] | None:
        name = path.rpartition("/")[2]
        since = ms_of(query.get("updated_since", "2000-01-01T00:00:00Z"))
        if name == "deals":
            listed = self.deals().values()
            found = [one for one in listed if (one["status"] == "deleted") is (query.get("status") == "deleted")]
            return sorted((d for d in found if ms_of(d["update_time"]) >= since), key=lambda one: one["update_time"])
        if name == "changelog":
            return self.changelog(int(path.split("/")[-2]))
        if name == "persons":
            if "ids" in query:
                return [one for one in self.persons if str(one["id"]) in query["ids"].split(",")]
            return [one for one in self.persons if since <= ms_of("2026-11-17T07:25:40Z") <= self.time.now_ms]
        return {"users": held("users"), "stages": held("stages"), "pipelines": [{"id": 1, "name": "Sales"}]}.get(name)

    def until_now(self) -> list[Any]:
        return [one for one in self.said if ms_of(one["meta"]["timestamp"]) <= self.time.now_ms]

    def deals(self) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for one in self.until_now():
            if one["data"] is not None:
                found[one["data"]["id"]] = one["data"]
            else:
                gone = found[one["previous"]["id"]]
                found[gone["id"]] = {**gone, "status": "deleted", "is_deleted": True, "update_time": second(one)}
        return found

    def changelog(self, deal: int) -> list[Any] | None:
        if self.deals()[deal]["status"] == "deleted" and not self.has_changelog_of_deleted:
            return None
        found = []
        for one in self.until_now():
            if one["meta"]["action"] != "change" or one["data"]["id"] != deal:
                continue
            for field, old in one["previous"].items():
                key, new = {"owner_id": "user_id"}.get(field, field), one["data"][field]
                by = int(one["meta"]["user_id"])
                when = second(one).replace("T", " ").rstrip("Z")
                found.append({"field_key": key, "old_value": text(old), "new_value": text(new), "time": when})
                found[-1] |= {"actor_user_id": by, "change_source": "app", "is_bulk_update_flag": False}
        return found[::-1]


def second(one: Any) -> str:
    return datetime.fromtimestamp(ms_of(one["meta"]["timestamp"]) // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def text(value: Any) -> str | None:
    return None if value is None else str(value)


@contextlib.asynccontextmanager
async def asked(time: Time, more: str = "", **given: Any) -> AsyncIterator[tuple[Polling, Account, Api]]:
    account = Account(time)
    async with Api(account).serving() as api:
        source = pipedrive_poll(load(settings_text(api.url, more), {}, SOURCES))
        assert isinstance(source, PipedrivePoll)
        async with polling("pipedrive", source, time, **given) as made:
            yield made, account, api


def differences(events: Sequence[Event], *, but: tuple[str, ...] = ("nothing",), has_links: bool = True) -> list[str]:
    return [
        *(found for found in deal_differences(EXPECTED, events, LEADS) if not found.startswith(but)),
        *(link_differences(EXPECTED, events, "pipedrive:person:") if has_links else ()),
        *map(str, has_number(NUMBERS, events)),
    ]


@pytest.mark.parametrize("polls", [1, 24, 100])
async def test_polls_of_a_day_tell_the_story(polls: int) -> None:
    time, sink, cursors = Time(DAY), MemorySink(), MemoryCursors()
    async with asked(time, 'sweep = "5m"', sink=sink, cursors=cursors) as (made, _, api):
        for number in range(1, polls + 1):
            time.now_ms = max(time.now_ms, DAY + number * (EVENING - DAY) // polls)
            assert await made.poller.once() == "done", made.poller.trouble
    assert differences(sink.events) == []
    assert sink.refused == []
    if polls == 100:  # a changelog costs tokens: it is not requested again without an update
        assert sum("changelog" in path for path, _, _ in api.requests) <= len(bodies()) + 1


async def test_pages_are_read_one_by_one_and_an_end_on_the_way_loses_nothing() -> None:
    sink, cursors, time = MemorySink(), MemoryCursors(), Time(EVENING)
    async with asked(time, sink=sink, cursors=cursors) as (made, account, api):
        account.page = 1
        normal, asks = account.__call__, 0

        def ends(request: web.Request) -> web.Response:
            nonlocal asks
            asks += request.path.endswith("/changelog")
            return answer({}, 418) if asks == 4 else normal(request)

        api.handler = ends
        assert await made.poller.once() == "failed"
        assert sink.events
        api.handler = account
        assert await made.poller.once() == "done", made.poller.trouble
    assert differences(sink.events) == []


async def test_a_deal_that_is_gone_with_its_changelog_is_what_its_row_says() -> None:
    async with asked(Time(EVENING)) as (made, account, _):
        account.has_changelog_of_deleted = False
        assert await made.poller.once() == "done"
        assert differences(made.sink.events, but=("D3: stages",)) == []
        (last,) = (one for one in made.sink.events if isinstance(one, DealStageChanged) and one.deal == "108")
        assert (last.stage, last.amount, last.manager) == ("qualified", Decimal("9900.9"), "rimma.zueva")


async def test_a_poll_that_is_repeated_makes_the_same_events_and_those_of_the_webhook() -> None:
    sink = MemorySink()
    for _ in range(2):
        async with asked(Time(EVENING), sink=sink, cursors=MemoryCursors()) as (made, _, _):
            assert await made.poller.once() == "done"
            known = len(sink.events)
    assert known == len(sink.events) == len({event.id for event in sink.events})
    said = pushed(STORY.deliveries)
    assert {one.id for one in said} <= {one.id for one in sink.events}
    assert differences([*said, *sink.events]) == []


async def test_what_happens_to_a_deal_after_all_is_read_by_the_next_poll() -> None:
    time = Time(EVENING)
    async with asked(time) as (made, account, _):
        assert await made.poller.once() == "done"
        known = len(made.sink.events)
        later: list[tuple[str, Any]] = [
            ("19:00", {"value": 0}),
            ("19:01", {"person_id": 151}),
            ("19:02", {"status": "open", "won_time": None}),
        ]
        for number, (clock, data) in enumerate([*later, ("19:02", {"stage_id": 2, "owner_id": 39})]):
            when, before = f"2026-11-17T{clock}:00Z", account.said[-1]["data"] if number else WON["data"]
            meta = {**WON["meta"], "id": str(number), "timestamp": when}
            new = {**before, **data, "update_time": when}
            account.said.append({"meta": meta, "data": new, "previous": {key: before[key] for key in data}})
        time.now_ms = ms_of("2026-11-17T19:03:00Z")
        assert await made.poller.once() == "done"
        assert [
            (one.stage, str(one.amount), one.manager, one.lead[-3:])
            for one in sorted(made.sink.events[known:], key=lambda one: one.at)
            if isinstance(one, DealStageChanged)
        ] == [
            ("won", "0", "vera.lisina", "151"),
            ("won", "None", "vera.lisina", "151"),
            ("qualified", "None", "gleb.ostrov", "151"),
        ]


async def test_a_change_between_the_list_and_the_changelog_is_read_as_it_is() -> None:
    time = Time(EVENING)
    async with asked(time) as (made, account, api):
        when = "2026-11-17T16:00:00Z"
        new = {**WON["data"], "status": "lost", "won_time": None, "lost_time": when, "update_time": when}
        change = {"meta": {**WON["meta"], "id": "x", "timestamp": when}, "data": new, "previous": {"status": "won"}}

        def changes(request: web.Request) -> web.Response:
            if "changelog" in request.path and change not in account.said:
                time.now_ms = ms_of(when)
                account.said.append(change)
            return account(request)

        api.handler = changes
        time.now_ms = ms_of(when) - 60_000
        assert [await made.poller.once() for _ in "ab"] == ["done", "done"]
        mine = [one for one in made.sink.events if isinstance(one, DealStageChanged) and one.deal == "86"]
        stages = {one.at: one.stage for one in mine}
        assert (stages[ms_of("2026-11-17T13:40:21Z")], stages[ms_of(when)]) == ("won", "lost")
        assert len([one for one in mine if one.at == ms_of(when)]) == 1


async def test_a_row_that_cannot_be_read_costs_no_other() -> None:
    async with asked(Time(EVENING)) as (made, account, _):
        account.persons.append({"id": "+74950000101", "phones": []})
        account.said.append({**account.said[-2], "data": {**account.said[-2]["data"], "id": 7, "value": "much"}})
        assert await made.poller.once() == "done"
        assert [one.where for one in made.sink.refused] == ["persons", "deals"]
        assert differences(made.sink.events) == []


@pytest.mark.parametrize(
    ("said", "result", "why"),
    [
        ([answer({}, 429) for _ in range(5)], "done", ""),
        ([answer({}, 503)], "done", ""),
        ([answer({"success": False, "error": "unauthorized access"}, 401)], "unauthenticated", "not valid"),
        ([answer({}, 402)], "failed", "not paid"),
        ([web.Response(text="<html>", content_type="text/html")], "failed", "web page"),
        ([answer({"data": 1})], "failed", "not the form"),
    ],
    ids=["limit", "fault", "token", "unpaid", "html", "form"],
)
async def test_errors_are_waited_for_or_said_in_words(said: list[web.Response], result: str, why: str) -> None:
    async with asked(Time(EVENING)) as (made, _, api):
        await made.poller._read_people()
        api.answers = list(said)
        assert await made.poller.once() == result
        assert why in made.poller.trouble
        assert await made.poller.once() == "done"
        assert differences(made.sink.events) == []


async def test_the_stages_and_the_users_are_read() -> None:
    async with asked(Time(EVENING)) as (made, _, _):
        source = made.poller._source
        assert isinstance(source, PipedrivePoll)
        stages = await made.poller._client.conduct(source.stages())
        assert [(one.key, one.name, one.pipeline) for one in stages] == [
            *[("1", "new", "Sales"), ("2", "qualified", "Sales"), ("3", "presentation", "Sales")],
            ("4", "proposal", "Sales"),
        ]
        users = await made.poller._client.conduct(source.listed())
        assert (users[0].heard.user, users[0].heard.email) == ("32", "vera.lisina@romashka.example")


# -- the webhook


def pushed(deliveries: Sequence[Delivery]) -> list[Event]:
    """The events of the webhook alone, each once."""
    return STORY.play(deliveries)


def test_without_the_api_the_webhook_tells_the_story_in_any_order() -> None:
    for order in (STORY.deliveries, *STORY.orders()):
        events = pushed([*order, *order])
        assert differences(events, has_links=False) == []
        assert [one.lead for one in events if isinstance(one, LeadLinked)] == ["pipedrive:person:229"]
        assert len({event.id for event in events}) == len(events)
    assert differences(STORY.play(STORY.deliveries, restarts=True), has_links=False) == []


def test_where_the_api_is_asked_the_webhook_is_a_doorbell_and_only_deletions_count() -> None:
    hook = PipedriveHook(load(settings_text("http://127.0.0.1:1"), {}, SOURCES))
    for one in STORY.deliveries:
        if one.kind != "refused":
            made = hook.translate(one.request)
            assert made.ring is (one.kind != "ignored"), one.file
            assert [type(event) for event in made.events] == [DealDeleted] * ("deleted" in one.file), one.file


def said(body: Any, at_ms: int = EVENING) -> Translation:
    request = Request(method="POST", url="", query="", headers={}, body=json.dumps(body).encode(), received_at_ms=at_ms)
    return PUSHED.translate(request)


def only(made: Translation) -> DealStageChanged:
    (event,) = made.events
    assert isinstance(event, DealStageChanged), made
    return event


WON = next(one for one in bodies() if one["data"] and one["data"]["status"] == "won")


def changed(previous: Any, **data: Any) -> DealStageChanged:
    return only(said({**WON, "data": {**WON["data"], **data}, "previous": previous}))


def test_each_kind_of_change_has_its_moment_its_owner_and_its_amount() -> None:
    moved = "2026-11-17T12:00:00Z"
    assert changed({"status": "open"}).at == ms_of("2026-11-17T13:40:21Z")
    in_other = changed({"stage_id": 9, "pipeline_id": 2}, status="open", stage_change_time=moved)
    assert (in_other.at, in_other.stage) == (ms_of(moved), "proposal")
    assert changed({"owner_id": 32}, owner_id=46).manager == "rimma.zueva"
    assert changed({"owner_id": 32}, owner_id=None).manager is None
    assert changed({}, person_id=None).lead == "pipedrive:deal:86"
    amounts = [(135500.75, "135500.75"), (0.30000000000000004, "0.3"), ("100,50", "100.50"), (-1, "-1"), (None, None)]
    for value, amount in amounts:
        assert changed({}, value=value).amount == (None if amount is None else Decimal(amount))
    assert changed({}, value=0).amount is None
    corrected = changed({"value": 5}, value=0)
    assert (corrected.amount, corrected.currency) == (Decimal(0), "RUB")
    assert changed({}, stage_id=77, status="open").stage == "77"
    assert changed({}, value=1).id != changed({}, value=2).id  # within one second


def test_a_deal_that_is_restored_and_deleted_again_is_deleted_twice() -> None:
    moments = ("2026-11-17T14:00:00.100Z", "2026-11-17T14:00:00.100Z", "2026-11-17T14:05:00.100Z")
    meta = {**WON["meta"], "action": "delete"}
    each = [
        said({"data": None, "previous": WON["data"], "meta": {**meta, "timestamp": at}}).events[0] for at in moments
    ]
    assert each[0] == each[1]
    assert each[0].id != each[2].id


async def test_the_poll_finds_the_second_deletion() -> None:
    time = Time(EVENING)
    async with asked(time) as (made, account, _):
        assert await made.poller.once() == "done"
        (first,) = (one for one in made.sink.events if isinstance(one, DealDeleted))
        again = next(one for one in account.said if one["data"] is None)
        meta = {**again["meta"], "id": "again", "timestamp": "2026-11-17T19:05:00Z"}
        account.said.append({**again, "meta": meta})
        time.now_ms = ms_of("2026-11-17T21:05:00Z")
        assert await made.poller.once() == "done"
        found = [one for one in made.sink.events if isinstance(one, DealDeleted)]
    assert [(one.deal, one.at) for one in found] == [
        (first.deal, first.at),
        (first.deal, ms_of("2026-11-17T19:05:00Z")),
    ]


def test_a_merge_is_a_deletion_and_a_change() -> None:
    meta = {**WON["meta"], "merged_to_id": "97"}
    gone = said({"data": None, "previous": WON["data"], "meta": {**meta, "action": "delete"}})
    assert [(type(one), one.lead) for one in gone.events if isinstance(one, DealDeleted)] == [
        (DealDeleted, "pipedrive:person:138")
    ]
    assert changed({"value": 1}, value=190000).amount == Decimal(190000)


def test_version_1_says_the_same_with_other_names() -> None:
    current = {
        key: value.replace("T", " ").rstrip("Z") if value and key.endswith("_time") else value
        for key, value in WON["data"].items()
    }
    current["user_id"] = current.pop("owner_id")
    meta = {"action": "updated", "object": "deal", "id": 86, "timestamp": EVENING // 1000, "user_id": 46, "v": 1}
    event = only(said({"meta": meta, "current": current, "previous": {**current, "status": "open"}, "v": 1}))
    want = only(said(WON))
    assert event == want
    gone = said({"meta": {**meta, "action": "deleted"}, "current": None, "previous": current})
    assert [type(one) for one in gone.events] == [DealDeleted]
    person = {"id": 229, "phone": [{"value": "+74950000199"}]}
    named = said({"meta": {**meta, "action": "added", "object": "person", "id": 229}, "current": person})
    assert [type(one) for one in named.events] == [LeadLinked]


REASONS = {"11-time-2099.http": "future", "32-utf16.http": "not_json"}
if sys.version_info >= (3, 12):  # Python reads more levels than this input has, so it is refused for its type
    REASONS["28-nested-1000-deep.http"] = "invalid_field"


async def test_wrong_inputs_are_answered_as_they_deserve_and_harm_nothing() -> None:
    basic = index_of("pipedrive")["keys"]["basic_auth"]
    assert await answered("pipedrive", settings_text(basic=basic), PipedriveHook, reasons=REASONS) == []


def test_settings_that_cannot_work_are_refused() -> None:
    for old, new, why in [
        ('password = "3a2102638d2fc626af29b003"', "", "password"),
        ('"1" = "new"', '"1" = "+74950000101"', "telephone number"),
        ('token = "an-api-token"', "", "address"),
    ]:
        with pytest.raises(ValueError, match=why):
            load(settings_text("https://romashka.pipedrive.com").replace(old, new), {}, SOURCES)


FIELDS = st.sampled_from(
    [
        *("meta", "data", "current", "previous", "entity", "object", "action", "entity_id", "id", "timestamp"),
        *("stage_id", "status", "value", "owner_id", "person_id", "update_time", "won_time", "phones"),
    ]
)
VALUES = st.sampled_from(
    ["deal", "person", "change", "delete", "open", "won", "86", "+74950000101", "2026-11-17T12:00:00Z", 1, 86, DAY]
)
ITEMS = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=12,
)


@pytest.mark.fuzz
@given(
    st.sampled_from(bodies()),
    st.lists(st.tuples(st.sampled_from(["meta", "data", "previous"]), FIELDS, ITEMS), max_size=4),
    st.binary(max_size=60) | ITEMS.map(lambda made: json.dumps(made).encode()),
)
def test_any_body_is_read_without_an_exception(body: Any, changes: Any, other: bytes) -> None:
    body = json.loads(json.dumps(body))
    for part, field, value in changes:
        if isinstance(body.get(part), dict):
            body[part][field] = value
    for one in (json.dumps(body).encode(), other):
        request = Request(method="POST", url="", query="", headers={}, body=one, received_at_ms=EVENING)
        made = PUSHED.translate(request)
        assert len(made.events) + len(made.refused) + made.ignored >= 1
        assert b"74950000101" not in b"".join(one.shape + one.detail.encode() for one in made.refused)
        assert has_number({b"4950000101"}, made.events) == []

"""amoCRM: a day of deals by polls and by its webhook, wrong inputs, and an account that answers with errors."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import CallEnded, Event
from streams.phone_numbers import lead_key
from streams.settings.access import hashed
from streams.settings.settings import load
from streams.sources.amocrm.hook import FORM, AmocrmHook
from streams.sources.amocrm.poll import AmocrmPoll, amocrm_poll
from streams.sources.frame import Request
from streams.sources.registry import SOURCES
from tests.gateway.polled import Api, MemoryCursors, Polling, Time, answer, polling
from tests.gateway.served import MemorySink
from tests.sources.bad import answered
from tests.sources.deals import deal_differences, link_differences
from tests.sources.story import FIXTURES, SECRET, TOKEN, Delivery, HookStory, has_number, roster

STORY = FIXTURES / "storyA"
PLACE = STORY / "amocrm"
EXPECTED = json.loads((PLACE / "expected.json").read_bytes())
LEADS = {deal["source_deal"]: f"amocrm:contact:{deal['lead']}" for deal in EXPECTED["deals"]}
STAGES = EXPECTED["settings"]["stages"]
DAY = 1_794_891_600_000  # 08:00 in Moscow
EVENING = DAY + 12 * 3_600_000


def settings_text(url: str = "", more: str = "") -> str:
    stages = "\n".join(f'"{status}" = "{stage}"' for status, stage in STAGES.items())
    asked = f'address = "{url}"\ntoken = "a-long-lived-token"' if url else ""
    return f"""{roster("amocrm")}
[gateway]
http_port = 0
[results]
stages = ["new", "qualified", "presentation", "proposal", "won", "lost"]
[sources.amocrm]
tokens = ["{hashed(TOKEN)}"]
{asked}
{more}
[sources.amocrm.stages]
{stages}
"""


def held(name: str, part: str) -> list[Any]:
    return list(json.loads((PLACE / f"answers/{name}.json").read_bytes())["_embedded"][part])


GONE = {
    "id": 641016,
    "price": 9901,
    "responsible_user_id": 213682,
    "status_id": 50667872,
    "_embedded": {"contacts": [{"id": 1068370, "is_main": True}]},
}
"""The deal that is deleted in the afternoon, as it was before."""


class Account:
    """The API of the story's account as it is at a moment of the day."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.changes = sorted(held("events", "events"), key=lambda one: -one["created_at"])
        self.leads = [*held("leads", "leads"), GONE]
        self.contacts = held("contacts", "contacts")
        self.notes: list[Any] = []
        self.page = 100

    def __call__(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer a-long-lived-token":
            return web.Response(status=401)
        if request.path == "/api/v4/account":
            return answer({"id": 1, "currency": "RUB"})
        name = request.path.rpartition("/")[2]
        return self.listed(request.query, name, self.rows(request.path, name, request.query))

    def rows(self, path: str, name: str, query: Any) -> list[Any]:
        now_s = self.time.now_ms // 1000
        if name == "events":
            since, types = int(query["filter[created_at][from]"]), query["filter[type]"].split(",")
            return [e for e in self.changes if since <= e["created_at"] <= now_s and e["type"] in types]
        if name == "leads":
            gone = {e["entity_id"] for e in self.changes if e["type"] == "lead_deleted" and e["created_at"] <= now_s}
            return [self.now(one) for one in self.leads if one["id"] not in gone and str(one["id"]) in ids(query)]
        if name == "contacts":
            since = int(query.get("filter[updated_at][from]", 0))
            wanted = [one for one in self.contacts if since <= one["updated_at"] <= now_s]
            return wanted if since else [one for one in self.contacts if str(one["id"]) in ids(query)]
        if name == "notes":
            return self.notes if "/leads/" in path else []
        return held({"pipelines": "leads_pipelines"}.get(name, name), name)

    def listed(self, query: Any, name: str, rows: Sequence[Any]) -> web.Response:
        first = (int(query.get("page", 1)) - 1) * self.page
        part = rows[first : first + self.page]
        links = {"next": {"href": "x"}} if len(rows) > first + self.page else {}
        return answer({"_embedded": {name: part}, "_links": links}) if part else web.Response(status=204)

    def now(self, lead: Any) -> Any:
        """The lead as it was at this moment, from the later changes."""
        lead = dict(lead)
        for change in self.changes:  # the newest first
            if change["entity_id"] == lead["id"] and change["created_at"] * 1000 > self.time.now_ms:
                before = (change.get("value_before") or [{}])[0]
                lead["status_id"] = before.get("lead_status", {}).get("id", lead["status_id"])
                lead["price"] = before.get("sale_field_value", {}).get("sale", lead["price"])
                lead["responsible_user_id"] = before.get("responsible_user", {}).get("id", lead["responsible_user_id"])
        return lead


def ids(query: Any) -> set[str]:
    return {value for name, value in query.items() if name.startswith("filter[id]")}


@contextlib.asynccontextmanager
async def asked(time: Time, more: str = "", **given: Any) -> AsyncIterator[tuple[Polling, Account, Api]]:
    account = Account(time)
    async with Api(account).serving() as api:
        source = amocrm_poll(load(settings_text(api.url, more), {}, SOURCES))
        assert isinstance(source, AmocrmPoll)
        async with polling("amocrm", source, time, **given) as made:
            yield made, account, api


UNSEEN = ("D3: amount", "D3: currency", "D3: manager", "D3: lead")
"""The lost fields of a deal that is deleted before the poll. They count in no figure."""


def differences(events: Sequence[Event], *, but: tuple[str, ...] = UNSEEN) -> list[str]:
    return [
        *(text for text in deal_differences(EXPECTED, events, LEADS) if not text.startswith(but)),
        *link_differences(EXPECTED, events, "amocrm:contact:"),
        *map(str, has_number({b"4950000101", b"8120000102", b"4950000105"}, events)),
    ]


@pytest.mark.parametrize("polls", [1, 3, 24, 100])
async def test_polls_of_a_day_tell_the_story(polls: int) -> None:
    time, sink, cursors = Time(DAY), MemorySink(), MemoryCursors()
    async with asked(time, sink=sink, cursors=cursors) as (made, _, _):
        for number in range(1, polls + 1):
            time.now_ms = max(time.now_ms, DAY + number * (EVENING - DAY) // polls)
            assert await made.poller.once() == "done", made.poller.trouble
    assert differences(sink.events, but=UNSEEN if polls == 1 else ("nothing",)) == []
    assert sink.refused == []


async def test_pages_that_shift_while_they_are_read_lose_nothing() -> None:
    async with asked(Time(EVENING)) as (made, account, api):
        account.page = 5

        def grows(request: web.Request) -> web.Response:
            said = account(request)
            if request.path == "/api/v4/events":  # a contact is changed between two pages
                number = len(account.changes)
                new = {"id": f"n{number}", "type": "entity_linked", "entity_id": 1, "entity_type": "contact"}
                account.changes.insert(0, {**new, "created_at": EVENING // 1000})
            return said

        api.handler = grows
        assert await made.poller.once() == "done"
        assert differences(made.sink.events) == []
        assert sum("/events" in path for path, _, _ in api.requests) > 3


async def test_a_poll_that_is_repeated_makes_the_same_events() -> None:
    sink = MemorySink()
    for _ in range(2):
        async with asked(Time(EVENING), sink=sink, cursors=MemoryCursors()) as (made, _, _):
            assert await made.poller.once() == "done"
            known = len(sink.events)
    assert known == len(sink.events) == len({event.id for event in sink.events})


async def test_a_row_that_cannot_be_read_costs_no_other() -> None:
    async with asked(Time(EVENING)) as (made, account, _):
        account.contacts.append({"id": "+74950000101", "updated_at": EVENING // 1000 - 60})
        account.changes.insert(0, {"id": "x", "type": "lead_added", "entity_id": None, "created_at": EVENING // 1000})
        assert await made.poller.once() == "done"
        assert len(made.sink.refused) == 2
        assert differences(made.sink.events) == []


@pytest.mark.parametrize(
    ("said", "result", "why"),
    [
        ([answer({}, 429) for _ in range(5)], "done", ""),
        ([answer({}, 503)], "done", ""),
        ([answer({"title": "Unauthorized"}, 401)], "unauthenticated", "not valid"),
        ([answer({}, 402)], "failed", "not paid"),
        ([web.Response(text="<html>", content_type="text/html")], "failed", "web page"),
        ([answer({"_embedded": {"events": 1}}) for _ in "ab"], "failed", "not expected"),
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


async def test_the_stages_and_the_users_are_read() -> None:
    async with asked(Time(EVENING)) as (made, _, _):
        source = made.poller._source
        assert isinstance(source, AmocrmPoll)
        stages = await made.poller._client.conduct(source.stages())
        assert [stage.name for stage in stages][:3] == ["Неразобранное", "Первичный контакт", "Квалификация"]
        assert [stage.key for stage in stages if stage.is_won] == ["142"]
        assert [stage.key for stage in stages if stage.is_lost] == ["143"]
        users = await made.poller._client.conduct(source.listed())
        assert (users[0].heard.user, users[0].heard.email) == ("213668", "vera.lisina@romashka.example")


async def test_notes_of_calls_count_where_the_settings_say_so() -> None:
    note = {"id": 7, "note_type": "call_out", "created_at": EVENING // 1000 - 60, "responsible_user_id": 213668}
    talked = {**note, "params": {"phone": "+74950000101", "duration": 63, "call_status": 4, "uniq": "u"}}
    missed = {**note, "id": 8, "note_type": "call_in", "params": {"phone": "", "duration": "0", "call_status": 6}}
    wrong = {**note, "id": 9, "params": {"duration": -1}}
    async with asked(Time(EVENING), "calls = true") as (made, account, _):
        account.notes = [talked, missed, wrong, {**note, "id": 10, "note_type": "common"}]
        assert await made.poller.once() == "done"
        first, second = (event for event in made.sink.events if isinstance(event, CallEnded))
        assert (first.manager, first.talk_ms, first.disposition, first.direction) == (
            *("vera.lisina", 63_000, "answered", "outbound"),
        )
        assert first.lead == lead_key("+74950000101", SECRET.encode())
        assert (second.disposition, second.lead, second.direction) == ("no_answer", None, "inbound")
        assert len(made.sink.refused) == 1


# -- the webhook

PUSHED = HookStory("amocrm", load(settings_text(), {}, SOURCES), AmocrmHook)


def pushed(deliveries: Sequence[Delivery]) -> list[Event]:
    """The events of the webhook alone. The token in the path is checked before this step."""
    return PUSHED.play([one for one in deliveries if one.kind != "refused"])


def test_without_the_api_the_webhook_has_stages_amounts_and_managers() -> None:
    alone = {deal: f"amocrm:deal:{deal}" for deal in LEADS}
    for order in (PUSHED.deliveries, *PUSHED.orders()):
        events = pushed([*order, *order])
        assert deal_differences(EXPECTED, events, alone, has_currency=False) == []
        assert len({event.id for event in events}) == len(events)


def test_where_the_api_is_asked_the_webhook_is_a_doorbell() -> None:
    hook = AmocrmHook(load(settings_text("http://127.0.0.1:1"), {}, SOURCES))
    rings = {one.kind: hook.translate(one.request).ring for one in PUSHED.deliveries if one.kind != "refused"}
    assert rings["accepted"] is True
    assert not any(hook.translate(one.request).events for one in PUSHED.deliveries)


def test_a_deal_that_is_restored_and_deleted_again_is_deleted_twice() -> None:
    def gone(at: str, received_at_ms: int = EVENING) -> Event:
        said = {"leads[delete][0][id]": "7", "leads[delete][0][last_modified]": at}
        body = urlencode({name: value for name, value in said.items() if value}).encode()
        headers = {"content-type": FORM}
        request = Request(method="POST", url="", query="", headers=headers, body=body, received_at_ms=received_at_ms)
        (event,) = AmocrmHook(PUSHED.settings).translate(request).events
        return event

    first, second = str(DAY // 1000), str(DAY // 1000 + 60)
    assert gone(first) == gone(first, EVENING + 5_000)
    assert gone(first).id != gone(second).id
    assert gone("").id == gone("", EVENING + 5_000).id, "a repeat has another receipt"


async def test_wrong_inputs_are_answered_as_they_deserve_and_harm_nothing() -> None:
    no_secret = ("27-forged.http", "29-no-authentication.http")
    assert await answered("amocrm", settings_text(), AmocrmHook, differs=no_secret) == []


FIELDS = ("id", "status_id", "price", "responsible_user_id", "last_modified", "old_status_id")
VALUES = ("", "1", "142", "50667871", "1794898804", "-1", "9" * 30, "+74950000101", "x", "1e400", "0")


@pytest.mark.fuzz
@given(
    st.dictionaries(
        st.builds(
            "{}[{}][{}][{}]".format,
            st.sampled_from(["leads", "contacts", "account", "x"]),
            st.sampled_from(["add", "status", "delete", "x"]),
            st.sampled_from(["0", "1", "99999999999"]),
            st.sampled_from(FIELDS),
        )
        | st.text(max_size=8),
        st.sampled_from(VALUES) | st.text(max_size=8),
        max_size=14,
    ),
    st.binary(max_size=40),
)
def test_any_form_is_read_without_an_exception(form: dict[str, str], more: bytes) -> None:
    body = urlencode(form, errors="surrogatepass").encode() + more
    hook = AmocrmHook(PUSHED.settings)
    request = Request(method="POST", url="", query="", headers={"content-type": FORM}, body=body, received_at_ms=DAY)
    made = hook.translate(request)
    assert all(isinstance(event.id, str) for event in made.events)
    assert b"74950000101" not in b"".join(one.shape for one in made.refused)

"""Polls of a portal that changes while it is read, and rows that are odd."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import CallEnded, DealDeleted, DealStageChanged, LeadLinked
from streams.settings.settings import load
from streams.simulator.rendering.bitrix24_rest import nested
from streams.sources.bitrix24.cursor import MOST_DEALS, Cursor
from streams.sources.bitrix24.hook import Bitrix24Hook
from streams.sources.bitrix24.poll import Bitrix24Poll
from streams.sources.bitrix24.rest import query
from streams.sources.frame import Request
from streams.sources.polls import Ask, Found, PollError, Response
from streams.sources.registry import SOURCES
from tests.gateway.polled import BODY, Api, Polling, Time, polling
from tests.sources.bitrix24_portal import Portal

NOW_MS = 1_795_000_000_000
SECOND_MS, MINUTE_MS, HOUR_MS = 1000, 60_000, 3_600_000
EMPTY: dict[str, Any] = {
    "deals": {},
    "stagehistory": {"2": [], "1": []},
    "statistic": [],
    "contacts": {},
    "leads": {},
    "users": [],
    "stages": [],
}


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def deal(number: int, modified_ms: int, **more: Any) -> dict[str, Any]:
    fields = {"ID": str(number), "STAGE_ID": "NEW", "DATE_MODIFY": iso(modified_ms), "ASSIGNED_BY_ID": "7", **more}
    return {"from_ms": 0, "until_ms": None, "fields": fields}


def call(number: int, start_ms: int, appears_ms: int, **more: Any) -> dict[str, Any]:
    return {
        "ID": str(number),
        "CALL_ID": f"call.{number}",
        "CALL_TYPE": "2",
        "CALL_DURATION": str((appears_ms - start_ms) // SECOND_MS),
        "CALL_START_DATE": iso(start_ms),
        "CALL_FAILED_CODE": "200",
        "PORTAL_USER_ID": "7",
        "PHONE_NUMBER": "+74950000101",
        "appears_ms": appears_ms,
        **more,
    }


@contextlib.asynccontextmanager
async def asked(data: dict[str, Any], time: Time, more: str = "") -> AsyncIterator[tuple[Polling, Portal, Api]]:
    portal = Portal({**EMPTY, **data}, time)
    async with Api(portal).serving() as api:
        text = f"""
[privacy]
region = "RU"
lead_secret = "sixteen characters and more"
[sources.bitrix24]
webhook = "{api.url}/rest/1/7a3e00f519e0704f"
{more}
"""
        source = Bitrix24Poll(load(text, {}, SOURCES))
        async with polling("bitrix24", source, time) as made:
            yield made, portal, api


def states(made: Polling) -> list[DealStageChanged]:
    return [one for one in made.sink.events if isinstance(one, DealStageChanged)]


async def test_a_deal_that_is_modified_while_pages_are_read_is_read_by_the_next_poll() -> None:
    time = Time(NOW_MS)
    deals = {str(number): [deal(number, NOW_MS - HOUR_MS)] for number in range(1, 121)}
    async with asked({"deals": deals}, time) as (made, portal, api):
        pages = 0

        def handler(request: Any) -> Any:
            nonlocal pages
            said = portal(request)
            if b"crm.deal.list" in request[BODY]:
                pages += 1
                if pages == 1:
                    # Deal 3 was on this page; deal 110 comes on a later one with a later moment.
                    time.now_ms += 10 * MINUTE_MS
                    deals["3"][0]["fields"] |= {"DATE_MODIFY": iso(time.now_ms), "OPPORTUNITY": "5.10"}
                    time.now_ms += 20 * MINUTE_MS
                    deals["110"][0]["fields"] |= {"DATE_MODIFY": iso(time.now_ms)}
            return said

        api.handler = handler
        assert await made.poller.once() == "done"
        assert len({one.deal for one in states(made)}) == 120
        time.now_ms += MINUTE_MS
        assert await made.poller.once() == "done"
    assert [one.amount for one in states(made) if one.deal == "3"] == [None, Decimal("5.10")]


async def test_deals_that_are_removed_while_pages_are_read_hide_no_other() -> None:
    time = Time(NOW_MS)
    deals = {str(number): [deal(number, NOW_MS - HOUR_MS)] for number in range(1, 121)}
    async with asked({"deals": deals}, time) as (made, portal, api):

        def handler(request: Any) -> Any:
            said = portal(request)
            for number in range(1, 11):
                deals.pop(str(number), None)
            return said

        await made.poller._read_people()
        api.handler = handler
        assert await made.poller.once() == "done"
    assert {int(one.deal) for one in states(made)} == set(range(1, 121))


async def test_the_record_of_a_long_call_shows_late_and_has_a_small_id() -> None:
    time = Time(NOW_MS)
    begins = NOW_MS - 30 * MINUTE_MS
    long = call(5, begins, NOW_MS + HOUR_MS)
    short = [call(10 + number, begins + number, begins + MINUTE_MS) for number in range(120)]
    async with asked({"statistic": [long, *short]}, time) as (made, _, _):
        await made.poller.once()
        assert len(made.sink.events) == 120
        time.now_ms = NOW_MS + HOUR_MS + MINUTE_MS
        await made.poller.once()
    ends = [one for one in made.sink.events if isinstance(one, CallEnded)]
    assert len(ends) == 121
    assert ends[-1].talk_ms == HOUR_MS + 30 * MINUTE_MS


async def test_calls_of_a_day_on_which_the_gateway_was_away_are_read() -> None:
    time = Time(NOW_MS)
    starts = [NOW_MS + hour * HOUR_MS for hour in (-1, 1, 10, 23)]
    calls = [call(number, start, start + MINUTE_MS) for number, start in enumerate(starts, 1)]
    async with asked({"statistic": calls}, time) as (made, _, _):
        assert await made.poller.once() == "done"
        time.now_ms += 24 * HOUR_MS
        assert await made.poller.once() == "done"
    ends = {one.call: one.started_at for one in made.sink.events if isinstance(one, CallEnded)}
    assert ends == {f"call.{number}": start for number, start in enumerate(starts, 1)}


async def test_deals_that_are_merged_or_deleted_are_found_by_the_sweep() -> None:
    time = Time(NOW_MS)
    deals = {str(number): [deal(number, NOW_MS - HOUR_MS)] for number in range(1, 6)}
    async with asked({"deals": deals}, time) as (made, _, _):
        await made.poller.once()
        del deals["2"], deals["4"]
        time.now_ms += 10 * MINUTE_MS
        await made.poller.once()
        assert not [one for one in made.sink.events if isinstance(one, DealDeleted)], "the sweep is not due"
        time.now_ms += HOUR_MS
        await made.poller.once()
        time.now_ms += 2 * HOUR_MS
        await made.poller.once()
    gone = [one for one in made.sink.events if isinstance(one, DealDeleted)]
    assert [(one.deal, one.id) for one in gone] == [("2", "bitrix24:deal:2:deleted"), ("4", "bitrix24:deal:4:deleted")]


async def test_a_right_that_was_lost_deletes_no_deal() -> None:
    time = Time(NOW_MS)
    deals = {str(number): [deal(number, NOW_MS - HOUR_MS)] for number in range(1, 31)}
    async with asked({"deals": deals}, time) as (made, _, _):
        await made.poller.once()
        deals.clear()
        time.now_ms += 2 * HOUR_MS
        assert await made.poller.once() == "failed"
        assert "lost the right" in made.poller.trouble
    assert not [one for one in made.sink.events if isinstance(one, DealDeleted)]


async def test_an_unchanged_deal_is_said_once_and_a_change_of_manager_alone_is_said() -> None:
    time = Time(NOW_MS)
    deals = {"1": [deal(1, NOW_MS - HOUR_MS, OPPORTUNITY="1200.50", CURRENCY_ID="RUB", MODIFY_BY_ID="9")]}
    async with asked({"deals": deals}, time) as (made, _, _):
        for minutes, changed in (
            (1, {}),
            (2, {"COMMENTS": "x"}),
            (3, {"ASSIGNED_BY_ID": "8"}),
            (4, {"STAGE_ID": "C4:NEW"}),
        ):
            time.now_ms = NOW_MS + minutes * MINUTE_MS
            deals["1"][0]["fields"] |= {"DATE_MODIFY": iso(time.now_ms), **changed}
            await made.poller.once()
    said = [(one.stage, one.manager, one.amount) for one in states(made)]
    amount = Decimal("1200.50")
    assert said == [("new", "bitrix24:7", amount), ("new", "bitrix24:8", amount), ("c4:new", "bitrix24:8", amount)]


async def test_a_customer_with_several_deals_and_a_deal_of_a_company() -> None:
    time = Time(NOW_MS)
    contact = {
        "ID": "5",
        "DATE_CREATE": iso(NOW_MS - HOUR_MS),
        "HAS_PHONE": "Y",
        "PHONE": [{"VALUE": "8 495 000-01-01"}],
    }
    deals = {
        "1": [deal(1, NOW_MS - HOUR_MS, CONTACT_ID="5", COMPANY_ID="3")],
        "2": [deal(2, NOW_MS - HOUR_MS, CONTACT_ID=5)],
        "3": [deal(3, NOW_MS - HOUR_MS, CONTACT_ID="0", COMPANY_ID="3")],
        "4": [deal(4, NOW_MS - HOUR_MS, CONTACT_ID=None)],
    }
    async with asked({"deals": deals, "contacts": {"5": contact}}, time) as (made, _, _):
        assert await made.poller.once() == "done", made.poller.trouble
    assert {one.deal: one.lead for one in states(made)} == {
        "1": "bitrix24:contact:5",
        "2": "bitrix24:contact:5",
        "3": "bitrix24:company:3",
        "4": "bitrix24:deal:4",
    }
    assert [one.lead for one in made.sink.events if isinstance(one, LeadLinked)] == ["bitrix24:contact:5"]


async def test_a_row_that_cannot_be_read_is_refused_alone_and_shows_no_number() -> None:
    time = Time(NOW_MS)
    began = NOW_MS - HOUR_MS
    calls = [
        call(1, began, began + MINUTE_MS),
        call(2, began, began + MINUTE_MS, CALL_START_DATE="yesterday"),
        call(3, began, began + MINUTE_MS, CALL_DURATION="-1"),
        call(4, began, began + MINUTE_MS, CALL_ID=None),
        call(5, began, began + MINUTE_MS, CALL_TYPE="5"),
    ]
    calls[1]["CALL_START_DATE"] = "2026-11-17 10:00"
    deals = {"1": [deal(1, NOW_MS - HOUR_MS, STAGE_ID=["x"])], "2": [deal(2, NOW_MS - HOUR_MS)]}
    async with asked({"statistic": calls, "deals": deals}, time) as (made, portal, _):
        portal.call = tolerant(portal.call)  # type: ignore[method-assign]  # the portal does not filter odd rows
        assert await made.poller.once() == "done", made.poller.trouble
    assert {type(one) for one in made.sink.events} == {CallEnded, DealStageChanged}
    assert sorted(one.reason for one in made.sink.refused) == [
        *("invalid_field", "invalid_field", "invalid_time", "missing_field")
    ]
    assert b"4950000101" not in b"".join(one.shape for one in made.sink.refused)


def tolerant(answers: Any) -> Any:
    def call_(method: str, params: dict[str, Any]) -> Any:
        params.get("FILTER", {}).pop(">=CALL_START_DATE", None)
        return answers(method, params)

    return call_


def test_only_the_newest_deals_are_remembered() -> None:
    cursor = Cursor(deals=dict.fromkeys(range(MOST_DEALS + 5), 1))
    cursor.forget()
    assert (len(cursor.deals), min(cursor.deals)) == (MOST_DEALS, 5)
    assert Cursor.read(cursor.written(), 0) == cursor


@pytest.mark.parametrize(
    ("code", "disposition"), [("603", "busy"), ("480", "no_answer"), ("OTHER", "failed"), ("", "failed")]
)
async def test_codes_of_calls(code: str, disposition: str) -> None:
    began = NOW_MS - HOUR_MS
    rows = [call(1, began, began + MINUTE_MS, CALL_FAILED_CODE=code, PORTAL_USER_ID="0", PHONE_NUMBER="anonymous")]
    async with asked({"statistic": rows}, Time(NOW_MS)) as (made, _, _):
        await made.poller.once()
    (event,) = made.sink.events
    assert isinstance(event, CallEnded)
    assert (event.disposition, event.talk_ms, event.manager, event.lead) == (disposition, 0, "queue:inbound", None)


def test_parameters_are_written_as_php_reads_them() -> None:
    params: dict[str, Any] = {"filter": {">ID": 5, "@ID": [1, 2]}, "select": ["ID", "A B&C"], "start": -1}
    assert nested(query(params)) == {
        "filter": {">ID": "5", "@ID": {"0": "1", "1": "2"}},
        "select": {"0": "ID", "1": "A B&C"},
        "start": "-1",
    }


HOOK = Bitrix24Hook(load('[sources.bitrix24]\napplication_token = "a-token"\n', {}, SOURCES))
FORM = {"content-type": "application/x-www-form-urlencoded"}
WORDS = st.sampled_from(
    [b"event=", b"ONVOXIMPLANTCALLEND", b"ONCRMDEALDELETE", b"&data%5BFIELDS%5D%5BID%5D=", b"&ts=", b"7", b"%"]
)


@pytest.mark.fuzz
@given(st.lists(WORDS | st.binary(max_size=20), max_size=20).map(b"".join))
def test_any_form_is_read_without_an_exception(body: bytes) -> None:
    made = Request(method="POST", url="x", query="", headers=FORM, body=body, received_at_ms=NOW_MS)
    HOOK.is_authentic(made)
    said = HOOK.translate(made)
    assert bool(said.events) + bool(said.refused) + said.ring + said.ignored == 1


IDS: st.SearchStrategy[Any] = st.one_of(
    st.integers(-1, 10**20), st.sampled_from(["7", "0", "", "x", "\u00b2", None, [], "9" * 40])
)
MOMENTS: st.SearchStrategy[Any] = st.sampled_from(
    ["2026-11-17T10:00:00+03:00", "2026-11-17", "", None, 5, "0001-01-01T00:00:00+99:00"]
)
ROWS: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"ID": IDS},
    optional={
        **dict.fromkeys(("OWNER_ID", "CONTACT_ID", "LEAD_ID", "COMPANY_ID", "ASSIGNED_BY_ID", "CRM_ENTITY_ID"), IDS),
        **dict.fromkeys(("CREATED_TIME", "DATE_MODIFY", "CALL_START_DATE"), MOMENTS),
        **dict.fromkeys(("STAGE_ID", "STAGE_SEMANTIC_ID", "CALL_ID", "CALL_FAILED_CODE"), st.text(max_size=5) | IDS),
        "CRM_ENTITY_TYPE": st.sampled_from(["CONTACT", "LEAD", "COMPANY", 5, None]),
        "CALL_TYPE": st.sampled_from(["1", 2, "5", None]),
        "CALL_DURATION": IDS,
        "OPPORTUNITY": st.sampled_from(["1.50", 2, "NaN", "Infinity", "x", None, {}]),
        "PHONE": st.sampled_from([None, [], [{"VALUE": "+74950000101"}], [{"VALUE": None}], "x"]),
    },
)
RESULTS: st.SearchStrategy[Any] = st.lists(ROWS, max_size=3) | st.lists(ROWS | IDS, max_size=2) | IDS
POLL = Bitrix24Poll(load('[sources.bitrix24]\nwebhook = "http://x/rest/1/code/"\n', {}, SOURCES))


@pytest.mark.fuzz
@given(st.data())
def test_whatever_a_portal_answers_there_is_no_other_error_than_one_in_words(data: st.DataObject) -> None:
    known = Cursor(since_ms=NOW_MS - HOUR_MS, calls=5, history=5, deals={1: 1, 7: 1})
    steps = POLL.poll(data.draw(st.sampled_from([b"", known.written(), b"{", b"[]"])), NOW_MS)
    response: Response | None = None
    with contextlib.suppress(StopIteration, PollError):
        for _ in range(40):
            step = steps.send(response)
            response = None
            if isinstance(step, Ask):
                assert isinstance(step.json, dict)
                said = {"result": {"result": {name: data.draw(RESULTS) for name in step.json["cmd"]}}}
                response = Response(status=200, headers={}, body=msgspec.json.encode(said), at_ms=NOW_MS)
            elif isinstance(step, Found):
                shown = b"".join(one.shape for one in step.translation.refused)
                assert b"4950000101" not in shown
                Cursor.read(step.cursor, 0)

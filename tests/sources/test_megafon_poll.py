"""The history of MegaFon's virtual PBX: rows made from the truth repair lost pushes."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from streams.contract.events import CallEnded, Event
from streams.settings.settings import SettingsError, load
from streams.sources.frame import Statement
from streams.sources.megafon.poll import MegafonPoll, megafon_poll
from streams.sources.registry import SOURCES
from tests.gateway.polled import Api, MemoryCursors, Polling, Time, answer, polling
from tests.sources.story import HOUR_MS, Delivery, has_number, legs_of
from tests.sources.test_megafon import SETTINGS, STORY

KEY: Final = "a-key-of-the-pbx"
EVENING: Final = 1_794_934_800_000  # 20:00 in Moscow, on the day of the story
LOGINS: Final = {"vera.lisina": "vera", "gleb.ostrov": "gleb", "rimma.zueva": "rimma"}
STATUSES: Final = {"answered": "success", "voicemail": "success", "no_answer": "notavailable", "canceled": "cancel"}
IDS: Final = {leg["call"]: leg["source_call"] for leg in STORY.expected["legs"]}
SECONDS: Final = {
    form["callid"][0]: form["second_callid"][0]
    for one in STORY.deliveries
    if (form := parse_qs(one.request.body.decode())).get("type") == ["TRANSFERRED"]
}
"""The ids of the second parts of calls that were transferred."""


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def row(leg: Any, uid: str) -> dict[str, Any]:
    """The row of a leg, in whole seconds as the PBX counts them."""
    started, ended = leg["started"] // 1000, leg["ended"] // 1000
    answered = (leg["answered"] or leg["ended"]) // 1000
    user = LOGINS.get(leg["manager"])
    return {
        "uid": uid,
        "type": "out" if leg["direction"] == "outbound" else "in",
        "status": STATUSES.get(leg["disposition"], leg["disposition"]) if user else "missed",
        "client": leg["lead"][1:],
        "user": user,
        "group_name": "" if user else leg["manager"].removeprefix("queue:"),
        "diversion": "74950001100",
        "start": iso(started * 1000),
        "wait": answered - started,
        "duration": ended - answered,
    }


def rows() -> list[dict[str, Any]]:
    """A row for each part of a call: of who spoke, of who dialled, or of the queue that missed it."""
    found: list[dict[str, Any]] = []
    for leg in sorted(STORY.truth["legs"], key=lambda one: (one["call"], one["answered"] or 0)):
        if leg["consult"] or not (leg["answered"] or leg["direction"] == "outbound" or leg["manager"] not in LOGINS):
            continue
        uid = IDS[leg["call"]]
        is_second = any(one["uid"] == uid for one in found)
        found.append(row(leg, SECONDS[uid] if is_second else uid))
    return found


ROWS: Final = rows()


class History:
    """The PBX: checks the key, and has the rows of calls that began in the span."""

    def __init__(self, held: Sequence[Any] = ROWS, most: int = 1_000) -> None:
        self.held = held
        self.most = most
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: web.Request) -> web.Response:
        if request.path != "/crmapi/v1/history/json" or request.headers.get("X-API-KEY") != KEY:
            return web.Response(status=403)
        asked = dict(request.query)
        self.asked.append(asked)
        span = [datetime.strptime(asked[name], "%Y%m%dT%H%M%S%z") for name in ("start", "end")]
        found = [one for one in self.held if iso(ms(span[0])) <= one.get("start", iso(ms(span[1]))) <= iso(ms(span[1]))]
        return answer(found[: int(asked["limit"])])


def ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000


async def polled(
    api: Any, cursors: MemoryCursors | None = None, now_ms: int = EVENING, *, ends: str = "done", more: str = ""
) -> Polling:
    async with Api(api).serving() as server:
        text = SETTINGS + f'api_url = "{server.url}"\napi_key = "{KEY}"\n{more}\n'
        source = megafon_poll(load(text, {}, SOURCES))
        assert isinstance(source, MegafonPoll)
        async with polling("megafon", source, Time(now_ms), cursors=cursors) as made:
            assert await made.poller.once() == ends, made.poller.trouble
            return made


def joined(deliveries: Sequence[Delivery], statements: Sequence[Statement]) -> list[Event]:
    return STORY.with_polled(deliveries, statements, EVENING)


async def test_what_was_pushed_stays_and_the_end_that_never_came_is_there() -> None:
    made = await polled(History())
    assert made.sink.refused == []
    assert len(made.sink.statements) == len(ROWS)
    pushed, whole = joined(STORY.deliveries, []), joined(STORY.deliveries, made.sink.statements)
    before, after = legs_of(pushed), legs_of(whole)
    changed = {key for key, leg in after.items() if before.get(key) != leg}
    assert changed == {(IDS["A11"], "gleb.ostrov")}
    new = {event.id for event in whole} - {event.id for event in pushed}
    assert [type(event) for event in whole if event.id in new] == [CallEnded]


async def test_calls_without_any_push_have_their_legs_from_the_history() -> None:
    made = await polled(History())
    events = joined([], made.sink.statements)
    legs = legs_of(events)
    assert len(legs) == len(ROWS)
    for leg in STORY.truth["legs"]:
        known = [
            found
            for (call, manager), found in legs.items()
            if call == IDS.get(leg["call"]) and manager == leg["manager"]
        ]
        for found in known:
            assert abs((found.talk_ms or 0) - leg["talk_ms"]) <= 1_000, leg["call"]
            assert found.started == leg["started"] // 1000 * 1000
            told = "answered" if leg["disposition"] == "voicemail" else leg["disposition"]
            assert (found.direction, found.disposition) == (leg["direction"], told)
            assert found.lead is not None
    assert legs[IDS["A06"], "queue:sales"].disposition == "no_answer"
    assert has_number(STORY.numbers(), events, [one.body for one in made.sink.statements]) == []


@pytest.mark.parametrize("seed", range(5))
async def test_half_of_the_pushes_and_the_history_have_each_recorded_leg(seed: int) -> None:
    made = await polled(History())
    some = random.Random(seed).sample(STORY.deliveries, len(STORY.deliveries) // 2)
    legs = legs_of(joined(some, made.sink.statements))
    told = legs_of(joined(STORY.deliveries, made.sink.statements))
    same = [key for key in told if key[0] not in (IDS["A08"], IDS["A09"]) and key in legs and told[key].talk_ms]
    assert len(same) >= 5
    assert all(legs[key].talk_ms == told[key].talk_ms for key in same)
    assert {IDS[call] for call in IDS} <= {call for call, _ in legs}


async def test_a_poll_goes_on_from_its_cursor_and_repeats_only_the_last_minutes() -> None:
    cursors, history, begin = MemoryCursors(), History(), EVENING - 4 * HOUR_MS
    await polled(history, cursors, begin)
    made = await polled(history, cursors, begin + 10 * 60_000)
    assert made.sink.statements == [], "calls that began within four hours are listed, and ended before"
    assert int(made.cursor or b"0") == begin + 10 * 60_000
    assert history.asked[0]["start"] < history.asked[1]["start"] < history.asked[0]["end"]


async def test_a_full_answer_is_asked_for_in_halves() -> None:
    many = [{**ROWS[0], "uid": str(number), "start": iso(EVENING - number * 20_000)} for number in range(3, 1_800)]
    history = History(many)
    made = await polled(history)
    assert len({one.call for one in made.sink.statements}) == len(many)
    assert len(history.asked) > 2


async def test_more_calls_than_can_be_asked_for_fail_the_poll() -> None:
    many = [{**ROWS[0], "uid": str(number), "start": iso(EVENING - HOUR_MS)} for number in range(1_001)]
    made = await polled(History(many), ends="failed")
    assert "more calls" in made.poller.trouble
    assert made.cursor is None


async def test_rows_that_cannot_be_read_are_refused_and_the_others_count() -> None:
    good = ROWS[0]
    wrong = [
        {**good, "start": "2026-11-17T12:61:00Z"},
        {**good, "status": "+74950000101"},
        {**good, "type": "sideways"},
        {**good, "uid": "+74950000101"},
        {**good, "wait": "long"},
        {**good, "client": ["+74950000101"]},
        {"start": good["start"]},
    ]
    made = await polled(History([*wrong, {**good, "type": "missed", "status": "Missed", "duration": 0}]))
    assert sorted(one.reason for one in made.sink.refused) == ["invalid_field"] * 6 + ["invalid_time"]
    assert len(made.sink.statements) == 1
    shown = [json.dumps([one.detail, one.where, one.shape.decode()]).encode() for one in made.sink.refused]
    assert has_number({b"4950000101"}, [], [*shown, *(one.body for one in made.sink.statements)]) == []


@pytest.mark.parametrize(
    ("said", "ends", "why"),
    [
        (web.Response(status=403), "unauthenticated", ""),
        (web.Response(status=501), "failed", "does not give its history"),
        (answer({"error": "+74950000101"}), "failed", "form"),
        (web.Response(text="<html>", content_type="text/html"), "failed", "web page"),
    ],
    ids=["403", "501", "error", "html"],
)
async def test_errors_keep_the_cursor(said: web.Response, ends: str, why: str) -> None:
    made = await polled(lambda _: said, ends=ends)
    assert made.cursor is None
    assert why in made.poller.trouble
    assert "4950000101" not in made.poller.trouble


async def test_rows_may_stand_in_an_object() -> None:
    made = await polled(lambda _: answer({"items": ROWS, "info": {"total": len(ROWS)}}))
    assert len(made.sink.statements) == len(ROWS)


def test_there_is_a_poll_where_the_settings_say_where_to_ask() -> None:
    assert megafon_poll(STORY.settings) is None
    with pytest.raises(SettingsError, match="api_url"):
        load(SETTINGS + f'api_key = "{KEY}"\n', {}, SOURCES)

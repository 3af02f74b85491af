"""The statistics of Zadarma: rows made from the truth repair lost pushes."""

from __future__ import annotations

import base64
import hmac
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from hashlib import md5
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from aiohttp import web

from streams.contract.events import CallEnded, Event
from streams.settings.settings import SettingsError, load
from streams.sources.frame import Statement
from streams.sources.registry import SOURCES
from streams.sources.zadarma.poll import ZadarmaPoll, zadarma_poll
from tests.gateway.polled import Api, MemoryCursors, Polling, Time, answer, polling
from tests.sources.story import HOUR_MS, Delivery, has_number, keys_of, legs_of
from tests.sources.test_zadarma import SETTINGS, STORY

KEY: Final = "a-key-of-the-api"
SECRET: Final = keys_of("zadarma")["secret"]
ASKED: Final = SETTINGS.replace("[sources.zadarma]", f'[sources.zadarma]\napi_key = "{KEY}"')
EVENING: Final = 1_794_934_800_000  # 20:00 in Moscow, on the day of the story
MOSCOW: Final = timezone(timedelta(hours=3))
WORDS: Final = {"no_answer": "no answer", "canceled": "cancel", "voicemail": "answered"}
EXTENSIONS: Final = {"vera.lisina": "201", "gleb.ostrov": "202", "rimma.zueva": "203"}
IDS: Final = {leg["call"]: leg["source_call"] for leg in STORY.expected["legs"]}


def local(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(MOSCOW).strftime("%Y-%m-%d %H:%M:%S")


def row(call: str) -> Any:
    """The row of a call as its truth has it: one row for each call, with the last who spoke."""
    legs = [leg for leg in STORY.truth["legs"] if leg["call"] == call and not leg["consult"]]
    spoke = [leg for leg in legs if leg["answered"]]
    last = max(spoke or legs, key=lambda leg: leg["ended"])
    begun = min(leg["started"] for leg in legs)
    talk_ms = max(leg["ended"] for leg in spoke) - min(leg["answered"] for leg in spoke) if spoke else 0
    within, outside = EXTENSIONS.get(last["manager"], "1"), int(last["lead"][1:])
    is_out = last["direction"] == "outbound"
    return {
        "call_id": begun / 1000,
        "pbx_call_id": IDS[call],
        "callstart": local(begun),
        "sip": int(within) if is_out else 74950001100,
        "clid": 74950001100 if is_out else outside,
        "destination": outside if is_out else int(within),
        "disposition": WORDS.get(last["disposition"], last["disposition"]),
        "seconds": round(talk_ms / 1000),
        "is_recorded": False,
    }


ROWS: Final = [row(call) for call in sorted(IDS)]


class Statistics:
    """Zadarma's side: checks the signature, and has the rows of calls that began in the span."""

    def __init__(self, rows: Sequence[Any] = ROWS) -> None:
        self.rows = rows
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: web.Request) -> web.Response:
        query = urlencode(sorted(request.query.items()))  # as the library of Zadarma for PHP writes it
        covered = f"/v1/statistics/pbx/{query}{md5(query.encode(), usedforsecurity=False).hexdigest()}"
        signed = base64.b64encode(hmac.new(SECRET.encode(), covered.encode(), "sha1").hexdigest().encode()).decode()
        if request.path != "/v1/statistics/pbx/" or request.headers["Authorization"] != f"{KEY}:{signed}":
            return web.Response(status=401)
        asked = dict(request.query)
        self.asked.append(asked)
        skip, limit = int(asked["skip"]), int(asked["limit"])
        found = [one for one in self.rows if asked["start"] <= one.get("callstart", asked["end"]) <= asked["end"]]
        return answer({"status": "success", "version": 2, "stats": found[skip : skip + limit], **asked})


async def polled(
    api: Any, cursors: MemoryCursors | None = None, now_ms: int = EVENING, *, ends: str = "done", more: str = ""
) -> Polling:
    async with Api(api).serving() as server:
        source = zadarma_poll(load(ASKED.replace("api_key", f'api_url = "{server.url}"\n{more}\napi_key'), {}, SOURCES))
        assert isinstance(source, ZadarmaPoll)
        async with polling("zadarma", source, Time(now_ms), cursors=cursors) as made:
            assert await made.poller.once() == ends, made.poller.trouble
            return made


def joined(deliveries: Sequence[Delivery], statements: Sequence[Statement]) -> list[Event]:
    return STORY.with_polled(deliveries, statements, EVENING)


async def test_what_was_pushed_stays_and_the_end_that_never_came_is_there() -> None:
    statistics = Statistics()
    made = await polled(statistics)
    assert made.sink.refused == []
    assert statistics.asked[0]["end"] == "2026-11-17 20:00:00"
    pushed, whole = joined(STORY.deliveries, []), joined(STORY.deliveries, made.sink.statements)
    new = [event for event in whole if event.id not in {one.id for one in pushed}]
    assert [(type(event), event.call) for event in new if isinstance(event, CallEnded)] == [(CallEnded, IDS["A11"])]
    assert len(new) == 1
    assert legs_of(pushed).keys() == legs_of(whole).keys()


async def test_a_call_without_any_push_has_its_legs_from_the_statistics() -> None:
    made = await polled(Statistics())
    events = joined([], made.sink.statements)
    legs = legs_of(events)
    assert {(leg.ended_by, leg.ended is None) for leg in legs.values()} == {("cdr", False)}
    for leg in STORY.truth["legs"]:
        many = sum(one["call"] == leg["call"] and bool(one["answered"]) for one in STORY.truth["legs"]) > 1
        is_told = leg["answered"] or leg["direction"] == "outbound"
        if many or leg["consult"] or not is_told:  # a row has neither transfers nor telephones that rang
            continue
        found = legs[IDS[leg["call"]], leg["manager"]]
        told = "answered" if leg["disposition"] == "voicemail" else leg["disposition"]
        assert (found.direction, found.disposition) == (leg["direction"], told), leg["call"]
        assert abs((found.talk_ms or 0) - leg["talk_ms"]) <= 1_000, leg["call"]
        assert found.started is not None
        assert found.lead is not None
    assert legs[IDS["A06"], "queue:inbound"].disposition == "no_answer"
    assert has_number(STORY.numbers(), events, [one.body for one in made.sink.statements]) == []


@pytest.mark.parametrize("seed", range(5))
async def test_half_of_the_pushes_and_the_statistics_leave_no_call_open(seed: int) -> None:
    made = await polled(Statistics())
    some = random.Random(seed).sample(STORY.deliveries, len(STORY.deliveries) // 2)
    legs = legs_of(joined(some, made.sink.statements))
    assert {call for call, _ in legs} == set(IDS.values())
    assert all(leg.ended is not None for leg in legs.values())


@pytest.mark.parametrize("lost", ["A01-out-end", "A05-end", "A07-end", "A12-out-end"])
async def test_a_lost_end_is_repaired_with_the_talk_of_the_call_and_a_late_one_replaces_it(lost: str) -> None:
    made = await polled(Statistics())
    others = [one for one in STORY.deliveries if lost not in one.file]
    end = next(one for one in STORY.deliveries if lost in one.file)
    key = next(key for key, leg in legs_of(joined([end], [])).items() if leg.talk_ms)
    repaired = legs_of(joined(others, made.sink.statements))[key]
    whole = legs_of([*joined(others, made.sink.statements), *joined([*others, end], made.sink.statements)])[key]
    told = legs_of(joined(STORY.deliveries, []))[key]
    assert repaired.ended_by == "cdr"
    assert abs((repaired.talk_ms or 0) - (told.talk_ms or 0)) <= 2_000
    assert whole == told


async def test_statistics_in_another_zone_repair_the_same_calls() -> None:
    shifted = [{**one, "callstart": str(datetime.fromisoformat(one["callstart"]) - timedelta(hours=3))} for one in ROWS]
    some = [one for one in STORY.deliveries if "-end" not in one.file]
    right = (await polled(Statistics())).sink.statements
    wrong = (await polled(Statistics(shifted))).sink.statements
    assert legs_of(joined(some, wrong)) == legs_of(joined(some, right)), "the beginning of a call was pushed"
    told = (await polled(Statistics(shifted), more='statistics_timezone = "UTC"')).sink.statements
    assert legs_of(joined([], told)) == legs_of(joined([], right))


async def test_a_poll_goes_on_from_its_cursor_and_repeats_only_the_last_minutes() -> None:
    cursors, statistics, begin = MemoryCursors(), Statistics(), EVENING - 4 * HOUR_MS
    await polled(statistics, cursors, begin)
    made = await polled(statistics, cursors, begin + 10 * 60_000)
    assert made.sink.statements == [], "calls that began within four hours are listed, and ended before"
    assert int(made.cursor or b"0") == begin + 10 * 60_000
    assert statistics.asked[0]["start"] < statistics.asked[1]["start"] < local(EVENING)


async def test_pages_are_read_to_the_last_one() -> None:
    many = [{**ROWS[0], "pbx_call_id": f"out_{number:032x}"} for number in range(2_000)]
    statistics = Statistics(many)
    made = await polled(statistics)
    assert [one["skip"] for one in statistics.asked] == ["0", "1000", "2000"]
    assert len({one.call for one in made.sink.statements}) == 2_000


async def test_rows_that_cannot_be_read_are_refused_and_the_others_count() -> None:
    good = ROWS[0]
    wrong = [
        {**good, "callstart": "2026-11-17 12:61:00"},
        {**good, "callstart": "2026-11-17 19:59:59", "seconds": 3_600},
        {**good, "disposition": "+74950000101"},
        {**good, "seconds": -1},
        {**good, "pbx_call_id": "out_+74950000101"},
        {**good, "seconds": "long"},
        {**good, "clid": ["+74950000101"]},
        {"callstart": good["callstart"]},
        {**good, "pbx_call_id": "other_1"},
    ]
    made = await polled(Statistics([*wrong, good]))
    assert sorted(one.reason for one in made.sink.refused) == [
        *("future", "invalid_field", "invalid_field", "invalid_field"),
        *("invalid_field", "invalid_field", "invalid_field", "invalid_time"),
    ]
    assert len(made.sink.statements) == 1
    shown = [json.dumps([one.detail, one.where, one.shape.decode()]).encode() for one in made.sink.refused]
    assert has_number({b"4950000101"}, [], [*shown, *(one.body for one in made.sink.statements)]) == []


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        (web.Response(status=401), "unauthenticated"),
        (answer({"status": "error", "message": "wrong +74950000101"}), "failed"),
        (web.Response(text="<html>", content_type="text/html"), "failed"),
    ],
    ids=["401", "error", "html"],
)
async def test_errors_keep_the_cursor(said: web.Response, ends: str) -> None:
    made = await polled(lambda _: said, ends=ends)
    assert made.cursor is None
    assert "4950000101" not in made.poller.trouble


def test_there_is_a_poll_where_the_key_is_set_and_the_settings_say_what_it_needs() -> None:
    assert zadarma_poll(STORY.settings) is None
    assert isinstance(zadarma_poll(load(ASKED, {}, SOURCES)), ZadarmaPoll)
    alone = f'[privacy]\nlead_secret = "{"x" * 20}"\n[sources.zadarma]\napi_key = "{KEY}"\n'
    with pytest.raises(SettingsError, match="api_key"):
        load(alone, {}, SOURCES)

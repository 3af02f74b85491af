"""The list of calls of Aircall, which repairs lost pushes, and its users."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from streams.contract.events import Event
from streams.settings.settings import load
from streams.sources.aircall.poll import AircallPoll, aircall_poll
from streams.sources.frame import Statement
from streams.sources.people import Heard
from streams.sources.registry import SOURCES
from tests.gateway.polled import Api, MemoryCursors, Polling, Time, answer, polling
from tests.sources.story import Delivery, differences, keys_of, legs_of
from tests.sources.test_aircall import STORY, settings_text

EVENING: Final = 1_794_934_800_000  # 20:00 in Moscow, on the day of the story
API_ID, API_TOKEN = "an-api-id", "an-api-token"
TEXT: Final = settings_text(keys_of("aircall")["token"], f'api_id = "{API_ID}"\napi_token = "{API_TOKEN}"\n')
USERS: Final = [
    {"id": 795718, "name": "Vera Lisina", "email": "vera.lisina@romashka.example"},
    {"id": 731538, "name": "Gleb Ostrov", "email": None, "extension": "202"},
    {"id": 99, "name": "Nobody Known", "email": "nobody@romashka.example"},
]


def rows_of_day() -> list[dict[str, Any]]:
    """The list of calls after the day: each call as in its last event. A11 goes on."""
    rows: dict[int, dict[str, Any]] = {}
    for delivery in STORY.deliveries:
        if delivery.kind != "refused":
            data = json.loads(delivery.request.body)["data"]
            rows[data["id"]] = data
    return sorted(rows.values(), key=lambda row: row["started_at"])


class Portal:
    """The API of an account: checks the access, and has pages of two. `answers` come before its own answers.

    At each request for calls one of `arriving` is added to the list, and the first call of all is removed if
    `is_shrinking`, so that its pages shift.
    """

    def __init__(self, rows: Sequence[dict[str, Any]], page: int = 50) -> None:
        self.rows = sorted(rows, key=lambda row: int(row["started_at"]))
        self.page = page
        self.arriving: list[dict[str, Any]] = []
        self.is_shrinking = False
        self.access = b64encode(f"{API_ID}:{API_TOKEN}".encode()).decode()

    def __call__(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Basic {self.access}":
            return answer({"error": "Unauthorized"}, status=401)
        size = int(request.query["per_page"])
        assert size <= self.page
        place = (int(request.query["page"]) - 1) * size
        if request.path == "/users":
            return answer({"meta": {}, "users": USERS[place : place + size]})
        assert request.path == "/calls"
        assert request.query["order"] == "asc"
        since, until = int(request.query["from"]), int(request.query["to"])
        found = [row for row in self.rows if since <= row["started_at"] <= until]
        self.rows = sorted([*self.rows, *self.arriving[:1]], key=lambda row: int(row["started_at"]))
        self.arriving = self.arriving[1:]
        self.rows = self.rows[self.is_shrinking :]
        return answer({"meta": {}, "calls": found[place : place + size]})


async def polled(
    api: Api, cursors: MemoryCursors | None = None, now_ms: int = EVENING, want: str = "done"
) -> tuple[Polling, Time]:
    async with api.serving():
        source = aircall_poll(load(TEXT + f'api_url = "{api.url}"\n', {}, SOURCES))
        assert isinstance(source, AircallPoll)
        time = Time(now_ms)
        async with polling("aircall", source, time, cursors=cursors) as made:
            assert await made.poller.once() == want
            return made, time


def joined(deliveries: Sequence[Delivery], statements: Sequence[Statement], *, list_first: bool = False) -> list[Event]:
    return STORY.with_polled(deliveries, statements, EVENING, polled_first=list_first)


async def test_the_list_changes_nothing_of_a_day_that_was_pushed() -> None:
    made, _ = await polled(Api(Portal(rows_of_day())))
    assert made.sink.refused == []
    assert len(made.sink.statements) == 11
    for first in (True, False):
        assert STORY.differences(joined(STORY.deliveries, made.sink.statements, list_first=first)) == []


async def test_the_list_repairs_a_day_of_which_half_of_the_events_were_lost() -> None:
    made, _ = await polled(Api(Portal(rows_of_day())))
    whole = legs_of(joined(STORY.deliveries, made.sink.statements))
    for seed in range(6):
        some = random.Random(seed).sample(STORY.deliveries, len(STORY.deliveries) // 2)
        legs = legs_of(joined(some, made.sink.statements, list_first=seed % 2 == 0))
        files = " ".join(one.file for one in some)
        for (call, manager), leg in whole.items():
            name = next(one["call"] for one in STORY.expected["legs"] if one["source_call"] == call)
            rang_only = leg.disposition == "no_answer" and leg.direction == "inbound" and "queue:" not in manager
            if rang_only or name == "A11":
                continue  # only its own events have a telephone that rang in vain; A11 has not ended
            found = legs[call, manager]
            assert (found.disposition, found.lead) == (leg.disposition, leg.lead), (seed, name, manager)
            if name not in {"A08", "A09"} or f"{name}-transferred" in files:
                assert (found.talk_ms, found.ended) == (leg.talk_ms, leg.ended), (seed, name, manager)
        for name in ("A08", "A09"):
            talk = {
                sum(leg.talk_ms or 0 for (call, _), leg in every.items() if call == source_call(name))
                for every in (whole, legs)
            }
            assert len(talk) == 1, "whoever it is given to, the talk of a call is the same"
        assert legs.keys() <= whole.keys(), "nothing counts twice"


def source_call(name: str) -> str:
    return str(next(one["source_call"] for one in STORY.expected["legs"] if one["call"] == name))


async def test_a_list_alone_has_every_call_that_is_over() -> None:
    made, _ = await polled(Api(Portal(rows_of_day())))
    alone = differences(STORY.expected, STORY.truth, joined([], made.sink.statements))
    unlike = {text.split(":", maxsplit=1)[0] for text in alone}
    assert unlike == {
        "A05 rimma.zueva",  # its start is that of the call: the ring of the telephone is not in the list
        *("A06 gleb.ostrov", "A06 rimma.zueva", "A06 vera.lisina", "A07 gleb.ostrov"),  # rang in vain
        *("A07 vera.lisina", "A08 vera.lisina", "A09 rimma.zueva"),  # starts, and moments of transfers
        *("A08 gleb.ostrov", "A09 vera.lisina"),
        "A11 gleb.ostrov",  # goes on
    }


async def test_pages_that_shift_lose_no_call() -> None:
    same = [{**rows_of_day()[2], "id": 900 + number} for number in range(120)]  # more than two pages in one second
    rows = [{**rows_of_day()[0], "id": number, "started_at": 1_794_895_331 + number % 7} for number in range(130)]
    everything = {str(row["id"]) for row in (*rows, *same)}
    growing, shrinking = Portal([*rows, *same]), Portal(rows)
    growing.arriving = [{**rows_of_day()[0], "id": 5_000 + number, "started_at": 1_794_895_331} for number in range(9)]
    shrinking.is_shrinking = True
    for portal, wanted in ((growing, everything), (shrinking, {str(row["id"]) for row in rows})):
        made, _ = await polled(Api(portal))
        assert wanted <= {json.loads(one.body)[0] for one in made.sink.statements}


async def test_a_poll_goes_on_from_its_cursor_and_stores_only_what_ended_since() -> None:
    cursors = MemoryCursors()
    api = Api(Portal(rows_of_day()))
    await polled(api, cursors)
    long = {**rows_of_day()[0], "id": 8, "started_at": EVENING // 1000 - 10_800, "ended_at": EVENING // 1000 + 60}
    api = Api(Portal([*rows_of_day(), {**long, "answered_at": None}]))
    made, _ = await polled(api, cursors, EVENING + 300_000)
    assert [one.call for one in made.sink.statements] == ["8"], "it began three hours ago"
    assert int(made.cursor or b"0") == EVENING + 300_000


async def test_limits_and_faults_of_the_api_are_waited_for() -> None:
    api = Api(Portal(rows_of_day()))
    reset = str(EVENING // 1000 + 42)
    api.answers = [
        answer(USERS and {"users": USERS}),
        answer({}, status=429, X_AircallApi_Limit="60", X_AircallApi_Remaining="0", X_AircallApi_Reset=reset),
        answer({}, status=503, Retry_After="7"),
        answer({}, status=502),
    ]
    made, time = await polled(api)
    assert len(made.sink.statements) == 11
    assert 40 <= max(time.waits) <= 42
    assert 7.0 in time.waits


async def test_an_access_that_was_taken_back_is_said_and_the_cursor_stays() -> None:
    portal = Portal(rows_of_day())
    portal.access = "another one"
    made, _ = await polled(Api(portal), want="unauthenticated")
    assert made.cursor is None
    assert "access" in made.poller.trouble


async def test_rows_that_cannot_be_read_are_refused_and_the_others_count() -> None:
    good = rows_of_day()[0]
    wrong = [{**good, "ended_at": "soon"}, {**good, "direction": "sideways"}, {**good, "id": None}, {"started_at": 1}]
    portal = Portal([{**good, "id": 1}])
    api = Api(portal)
    api.answers = [answer({"users": []}), answer({"calls": [*wrong, good]})]
    made, _ = await polled(api)
    assert [one.reason for one in made.sink.refused] == [
        *("invalid_time", "invalid_field", "invalid_field", "missing_field"),
    ]
    assert len(made.sink.statements) == 1
    assert not [one for one in made.sink.refused if b"4950000101" in one.shape]


async def test_users_are_matched_by_e_mail_and_extension() -> None:
    api = Api(Portal(rows_of_day()))
    async with api.serving():
        source = aircall_poll(
            load(TEXT.replace('aircall = ["795718"]', 'login = "vera"') + f'api_url = "{api.url}"\n', {}, SOURCES)
        )
        assert source is not None
        async with polling("aircall", source, Time(EVENING)) as made:
            assert await made.poller.once() == "done"
        known = {user: source.people.find("aircall", Heard(user=user)) for user in ("795718", "731538", "99")}
    assert known["795718"] is not None
    assert known["795718"].manager == "vera.lisina"
    assert known["99"] is None


def test_there_is_a_poll_where_the_key_is_set() -> None:
    assert aircall_poll(STORY.settings) is None
    assert isinstance(aircall_poll(load(TEXT, {}, SOURCES)), AircallPoll)

"""The call log of RingCentral, which repairs lost pushes; its access, its limits, its users."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

from aiohttp import web

from streams.contract.events import Event
from streams.settings.settings import load
from streams.sources.frame import Statement
from streams.sources.people import Heard
from streams.sources.registry import SOURCES
from streams.sources.ringcentral.poll import RingCentralPoll, ringcentral_poll
from tests.gateway.polled import BODY, Api, MemoryCursors, Polling, Time, answer, polling
from tests.sources.story import Delivery, keys_of, legs_of
from tests.sources.test_ringcentral import IDS, STORY, VERA, settings_text

EVENING: Final = 1_794_934_800_000  # 20:00 in Moscow, on the day of the story
ACCESS: Final = 'client_id = "app"\nclient_secret = "secret"\njwt = "a.b.c"\n'
TEXT: Final = settings_text(keys_of("ringcentral")["validation_token"], ACCESS)
CALL: Final[dict[str, Any]] = {"type": "Voice", "direction": "Inbound", "result": "Accepted", "duration": 60}
RESULTS: Final = {"no_answer": "No Answer", "busy": "Busy", "canceled": "Hang Up"}


def moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def log_of_day() -> list[dict[str, Any]]:
    """The call log after the day, the newest call first: a record for a session, with a leg for each manager in it."""
    sessions: dict[str, list[Any]] = {}
    for leg in STORY.expected["legs"]:
        if not leg.get("consultation"):
            sessions.setdefault(leg["source_call"], []).append(leg)
    return sorted(map(record_of, sessions.items()), key=lambda one: str(one["startTime"]), reverse=True)


def record_of(session: tuple[str, list[Any]]) -> dict[str, Any]:
    call, legs = session
    legs = [leg for leg in legs if leg["manager"] in IDS]
    truth = {(one["call"], one["n"]): one for one in STORY.truth["legs"]}
    rows = []
    for leg in legs:
        really = truth[leg["call"], leg["truth_leg"]]
        started, ended = leg["started_ms"], leg["ended_ms"] or really["ended"] or leg["answered_ms"] + 60_000
        inbound = leg["direction"] == "inbound"
        answered = "Accepted" if inbound else "Call connected"
        result = answered if leg["answered_ms"] else "Missed" if inbound else RESULTS[leg["disposition"]]
        row = {"startTime": moment(started), "duration": round((ended - started) / 1000), "result": result}
        own = row | {"direction": leg["direction"].title(), "extension": {"id": int(IDS[leg["manager"]])}}
        # The leg of the telephone has the user's extension, too, and other moments.
        telephone = own | {"direction": "Outbound", "legType": "PstnToSip", "duration": own["duration"] + 30}
        rows += [own, telephone] if inbound else [own]
    first = legs[0]
    other, own_side = {"phoneNumber": first["lead"]}, {"phoneNumber": "+74950001100"}
    sides = {"from": other, "to": own_side} if first["direction"] == "inbound" else {"from": own_side, "to": other}
    start = min(row["startTime"] for row in rows)
    return {
        "telephonySessionId": call,
        **CALL,
        "direction": first["direction"].title(),
        "startTime": start,
        "legs": rows,
    } | sides


class Platform:
    """RingCentral's side: access tokens that end, pages of the log with the newest first, users, subscriptions."""

    def __init__(self, records: Sequence[dict[str, Any]], page: int = 250) -> None:
        self.records = list(records)
        self.page = page
        self.tokens = 0
        self.good_for = 1_000
        self.arriving: list[dict[str, Any]] = []
        self.is_shrinking = False
        self.subscriptions: list[dict[str, Any]] = []
        self.is_refused = False
        self.renewed: list[str] = []

    def __call__(self, request: web.Request) -> web.Response:
        if request.path == "/restapi/oauth/token":
            return self.granted(request)
        return self.asked(request)

    def granted(self, request: web.Request) -> web.Response:
        form = parse_qs(request[BODY].decode())
        assert request.headers["Authorization"] == f"Basic {b64encode(b'app:secret').decode()}"
        assert form["assertion"] == ["a.b.c"]
        if self.is_refused:
            return answer({"error": "invalid_grant", "error_description": "revoked"}, status=400)
        self.tokens += 1
        self.left = self.good_for
        return answer({"access_token": f"token-{self.tokens}", "expires_in": 3600})

    def asked(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bearer token-{self.tokens}" or self.left == 0:
            return answer({"errorCode": "TokenInvalid"}, status=401)
        self.left -= 1
        lists = {
            "/restapi/v1.0/account/~/extension": USERS,
            "/restapi/v1.0/subscription": self.subscriptions,
        }
        if request.path in lists:
            return answer({"records": lists[request.path]})
        if request.path.endswith("/renew"):
            self.renewed.append(request.path)
            return answer({})
        assert request.path == "/restapi/v1.0/account/~/call-log"
        assert request.query["view"] == "Detailed"
        since, until = request.query["dateFrom"], request.query["dateTo"]
        self.records += self.arriving[:1]
        self.arriving = self.arriving[1:]
        found = sorted(
            (one for one in self.records if since <= one["startTime"] <= until), key=lambda one: one["startTime"]
        )
        if self.is_shrinking:  # the newest record is removed
            self.records.remove(max(self.records, key=lambda one: str(one["startTime"])))
        place = (int(request.query["page"]) - 1) * int(request.query["perPage"])
        return answer({"records": found[::-1][place : place + int(request.query["perPage"])]})


USERS: Final = [
    {
        "id": int(IDS[VERA]),
        "type": "User",
        "extensionNumber": "201",
        "contact": {"email": "vera.lisina@romashka.example"},
    },
    {"id": 77, "type": "Department", "extensionNumber": "600", "name": "Sales"},
    {"id": 78, "type": "User", "extensionNumber": "999", "name": "Nobody Known"},
]


async def polled(
    platform: Platform, cursors: MemoryCursors | None = None, now_ms: int = EVENING, want: str = "done"
) -> tuple[Polling, Time, Api]:
    api = Api(platform)
    async with api.serving():
        source = ringcentral_poll(load(TEXT + f'api_url = "{api.url}"\n', {}, SOURCES))
        assert isinstance(source, RingCentralPoll)
        time = Time(now_ms)
        async with polling("ringcentral", source, time, cursors=cursors) as made:
            assert await made.poller.once() == want, made.poller.trouble
            return made, time, api


def joined(deliveries: Sequence[Delivery], statements: Sequence[Statement], *, log_first: bool = False) -> list[Event]:
    return STORY.with_polled(deliveries, statements, EVENING, polled_first=log_first)


async def test_the_log_changes_nothing_of_a_day_that_was_pushed_but_closes_the_call_whose_end_was_lost() -> None:
    made, _, _ = await polled(Platform(log_of_day()))
    assert made.sink.refused == []
    for first in (True, False):
        events = joined(STORY.deliveries, made.sink.statements, log_first=first)
        assert {text.split(":", maxsplit=1)[0] for text in STORY.differences(events)} == {"A11 gleb.ostrov"}
        closed = legs_of(events)[source_call("A11"), "gleb.ostrov"]
        assert (closed.disposition, closed.ended_by, closed.answered) == ("answered", "cdr", closed.answered)
        assert closed.talk_ms is not None


def source_call(name: str) -> str:
    return str(next(one["source_call"] for one in STORY.expected["legs"] if one["call"] == name))


async def test_the_log_repairs_a_day_of_which_half_of_the_notifications_were_lost() -> None:
    made, _, _ = await polled(Platform(log_of_day()))
    whole = legs_of(joined(STORY.deliveries, made.sink.statements))
    for seed in range(8):
        some = random.Random(seed).sample(STORY.deliveries, len(STORY.deliveries) // 2)
        legs = legs_of(joined(some, made.sink.statements, log_first=seed % 2 == 0))
        consultations = {
            (leg["source_call"], leg["manager"]) for leg in STORY.expected["legs"] if leg.get("consultation")
        }
        assert legs.keys() - consultations == whole.keys(), "nothing is lost, and nothing counts twice"
        for key, leg in whole.items():
            found = legs[key]
            assert (found.disposition == "answered") is (leg.disposition == "answered"), (seed, key)
            assert (found.direction, found.lead) == (leg.direction, leg.lead), (seed, key)
            assert found.ended is not None
            assert leg.ended is not None
            assert abs(found.ended - leg.ended) <= 1_000, "the log is in whole seconds"
            assert found.talk_ms is not None
            assert leg.talk_ms is not None
            # Where the answer was lost, the talk of the log holds the ringing.
            assert -1_000 <= found.talk_ms - leg.talk_ms <= 20_000, (seed, key)


async def test_the_log_alone_has_every_call_and_its_answered_ends_are_uncertain() -> None:
    made, _, _ = await polled(Platform(log_of_day()))
    alone = legs_of(joined([], made.sink.statements))
    whole = legs_of(joined(STORY.deliveries, made.sink.statements))
    assert alone.keys() == whole.keys()
    assert {key for key, leg in alone.items() if leg.disposition == "answered"} == {
        key for key, leg in whole.items() if leg.disposition == "answered"
    }


async def test_pages_that_shift_lose_no_record() -> None:
    begun = EVENING - 3_600_000
    records = [
        {"telephonySessionId": f"s-{number}", "startTime": moment(begun + number // 3 * 1000), **CALL}
        | {"extension": {"id": 78}, "from": {"phoneNumber": "+74950000101"}}
        for number in range(600)
    ]
    platform = Platform(records)
    late = {**records[599], "startTime": moment(begun + 150_000)}
    platform.arriving = [{**late, "telephonySessionId": f"s-late-{number}"} for number in range(5)]
    made, _, api = await polled(platform)
    assert {f"s-{number}" for number in range(600)} <= {one.call for one in made.sink.statements}
    assert len([path for path, _, _ in api.requests if "call-log" in path]) == 3
    shrinking = Platform(records)
    shrinking.is_shrinking = True
    made, _, _ = await polled(shrinking)
    assert {f"s-{number}" for number in range(600)} <= {one.call for one in made.sink.statements}


async def test_a_poll_goes_on_from_its_cursor_and_stores_only_what_ended_since() -> None:
    cursors = MemoryCursors()
    await polled(Platform(log_of_day()), cursors)
    long = {"telephonySessionId": "s-long", **CALL, "startTime": moment(EVENING - 10_800_000), "duration": 10_900}
    platform = Platform([*log_of_day(), {**long, "extension": {"id": 78}}])
    made, _, _ = await polled(platform, cursors, EVENING + 600_000)
    assert [one.call for one in made.sink.statements] == ["s-long"], "it began three hours ago"
    assert int(made.cursor or b"0") == EVENING + 600_000


async def test_an_access_that_ends_is_renewed_and_limits_are_waited_for() -> None:
    platform = Platform(log_of_day())
    platform.good_for = 1
    api = Api(platform)
    async with api.serving():
        source = ringcentral_poll(load(TEXT + f'api_url = "{api.url}"\n', {}, SOURCES))
        assert source is not None
        time = Time(EVENING)
        async with polling("ringcentral", source, time) as made:
            api.answers = [
                platform,
                platform,
                platform,
                answer({}, status=429, Retry_After="33"),
                answer({}, status=503),
            ]
            assert await made.poller.once() == "done"
    assert platform.tokens >= 2
    assert 33.0 in time.waits
    assert len(made.sink.statements) > 10


async def test_a_credential_that_was_taken_back_is_said_and_the_cursor_stays() -> None:
    platform = Platform(log_of_day())
    platform.is_refused = True
    made, _, _ = await polled(platform, want="unauthenticated")
    assert made.cursor is None


async def test_a_subscription_that_was_suspended_is_said_and_one_that_ends_soon_is_renewed() -> None:
    mine = {"id": "9", "deliveryMode": {"address": "https://x.example/hooks/ringcentral/abc"}, "expiresIn": 600}
    platform = Platform(log_of_day())
    platform.subscriptions = [mine | {"status": "Active"}, {"id": "8", "status": "Blacklisted"}]
    await polled(platform)
    assert platform.renewed == ["/restapi/v1.0/subscription/9/renew"]
    platform.subscriptions = [mine | {"status": "Blacklisted"}]
    made, _, _ = await polled(platform, want="failed")
    assert "suspended" in made.poller.trouble
    assert made.cursor is not None, "what was read is kept"


async def test_records_that_concern_no_leg_are_ignored_and_wrong_ones_refused() -> None:
    good = {"telephonySessionId": "s-1", "startTime": moment(EVENING - 60_000), **CALL, "extension": {"id": 78}}
    colleague = {**good, "from": {"extensionId": "1", "phoneNumber": "201"}}
    records = [good | {"type": "Fax"}, good | {"result": "In Progress"}, colleague, good | {"duration": -1}, good]
    platform = Platform([*records, good | {"direction": "Up"}])
    made, _, _ = await polled(platform)
    assert sorted(one.reason for one in made.sink.refused) == ["invalid_field", "invalid_field"]
    assert [one.call for one in made.sink.statements] == ["s-1"]


async def test_users_are_matched_by_e_mail_and_queues_are_none() -> None:
    api = Api(Platform([]))
    async with api.serving():
        text = TEXT.replace(f'ringcentral = ["{IDS[VERA]}"]', 'login = "vera"')
        source = ringcentral_poll(load(text + f'api_url = "{api.url}"\n', {}, SOURCES))
        assert source is not None
        async with polling("ringcentral", source, Time(EVENING)) as made:
            assert await made.poller.once() == "done"
        found = source.people.find("ringcentral", Heard(user=IDS[VERA]))
        assert found is not None
        assert found.manager == VERA
        assert source.people.find("ringcentral", Heard(user="77")) is None
    assert ringcentral_poll(STORY.settings) is None

"""The statistics of Mango, which are requested in two steps, and repair lost pushes."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import parse_qs

from aiohttp import web

from streams.contract.events import Event
from streams.sources.frame import Statement
from streams.sources.mango.poll import FIELDS, MangoPoll, mango_poll
from tests.gateway.polled import BODY, Api, MemoryCursors, Polling, Time, answer, polling
from tests.sources.story import FIXTURES, Delivery, differences, keys_of, legs_of
from tests.sources.test_mango import STORY

KEYS = keys_of("mango")
ROWS = (FIXTURES / "storyA/mango/poll/stats_result.csv").read_text(encoding="utf-8")
EVENING = 1_794_934_800_000  # 20:00 in Moscow, on the day of the story


class Statistics:
    """Mango's side: checks the signature, and has the rows ready at the third request."""

    def __init__(self, rows: str = ROWS) -> None:
        self.rows = rows
        self.asked: list[dict[str, str]] = []
        self.tries = 0

    def __call__(self, request: web.Request) -> web.Response:
        form = {name: values[0] for name, values in parse_qs(request[BODY].decode()).items()}
        signed = sha256((KEYS["vpbx_api_key"] + form["json"] + KEYS["vpbx_api_salt"]).encode()).hexdigest()
        if (form["vpbx_api_key"], form["sign"]) != (KEYS["vpbx_api_key"], signed):
            return web.Response(status=401)
        if request.path == "/stats/request":
            self.asked.append(json.loads(form["json"]))
            return answer({"key": "a key"})
        assert (request.path, json.loads(form["json"])) == ("/stats/result", {"key": "a key"})
        self.tries += 1
        return web.Response(status=204) if self.tries % 3 else web.Response(text=self.rows)


async def polled(statistics: Statistics, cursors: MemoryCursors | None = None, now_ms: int = EVENING) -> Polling:
    async with Api(statistics).serving() as api:
        source = MangoPoll(STORY.settings)
        source.base_url = api.url
        async with polling("mango", source, Time(now_ms), cursors=cursors) as made:
            assert await made.poller.once() == "done"
            return made


def joined(deliveries: Sequence[Delivery], statements: Sequence[Statement]) -> list[Event]:
    return STORY.with_polled(deliveries, statements, EVENING)


async def test_the_day_is_whole_with_its_statistics() -> None:
    statistics = Statistics()
    made = await polled(statistics)
    assert made.sink.refused == []
    assert statistics.asked[0]["fields"] == ",".join(FIELDS)
    events = joined(STORY.deliveries, made.sink.statements)
    repaired = {**STORY.expected, "legs": [{**leg, "push_only": {}} for leg in STORY.expected["legs"]]}
    assert differences(repaired, STORY.truth, events) == []


async def test_a_call_without_any_push_has_its_leg_from_the_statistics_and_a_push_beats_them() -> None:
    made = await polled(Statistics())
    alone = legs_of(joined([], made.sink.statements))
    whole = legs_of(joined(STORY.deliveries, made.sink.statements))
    same = [key for key, leg in alone.items() if (leg.talk_ms, leg.ended) == (whole[key].talk_ms, whole[key].ended)]
    assert len(alone) == 12
    assert len(same) == 9  # two calls are transferred, which is in no row, and one is of a group
    for seed in range(3):
        some = random.Random(seed).sample(STORY.deliveries, len(STORY.deliveries) // 2)
        legs = legs_of(joined(some, made.sink.statements))
        assert alone.keys() <= legs.keys()
        assert all(leg.ended is not None for leg in legs.values())
        assert all(legs[key].talk_ms == whole[key].talk_ms for key in same)


async def test_a_poll_goes_on_from_its_cursor_and_repeats_only_the_last_minutes() -> None:
    cursors = MemoryCursors()
    await polled(Statistics(), cursors)
    statistics = Statistics()
    made = await polled(statistics, cursors, EVENING + 10 * 60_000)
    assert made.sink.statements == []
    assert int(made.cursor or b"0") == EVENING + 10 * 60_000
    assert int(statistics.asked[0]["date_from"]) < EVENING // 1000


async def test_rows_that_cannot_be_read_are_refused_and_the_others_count() -> None:
    good = ROWS.splitlines()[0]
    wrong = ["a;b", good.replace("1794895661", "soon"), good.replace(";1794895331", ";1794895999"), good[:-1] + "x"]
    made = await polled(Statistics("\n".join([*wrong, good, ""])))
    assert [(one.reason, one.where) for one in made.sink.refused] == [
        ("missing_field", "row 1"),
        ("invalid_time", "row 2"),
        ("invalid_time", "row 3"),
        ("invalid_time", "row 4"),
    ]
    assert len(made.sink.statements) == 1
    assert not [one for one in made.sink.statements if b"4950000101" in one.body]


async def test_statistics_that_are_never_ready_fail_the_poll_and_keep_its_cursor() -> None:
    statistics = Statistics()
    statistics.tries = -1_000_000
    statistics.rows = ""

    def never(request: web.Request) -> web.Response:
        return statistics(request) if request.path == "/stats/request" else web.Response(status=204)

    async with Api(never).serving() as api:
        source = MangoPoll(STORY.settings)
        source.base_url = api.url
        async with polling("mango", source, Time(EVENING)) as made:
            assert await made.poller.once() == "failed"
            assert made.cursor is None


def test_there_is_a_poll_where_the_keys_are_set() -> None:
    assert isinstance(mango_poll(STORY.settings), MangoPoll)

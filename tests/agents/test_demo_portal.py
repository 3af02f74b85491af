"""The demo's portal of Bitrix24: polled over HTTP, posting to a hook, and the errors about missing events."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import parse_qsl

import aiohttp
import msgspec
from aiohttp import web

from agents.cli.demo.portal import DemoPortal
from agents.cli.demo.portal_check import differences
from streams.contract.events import CallEnded, CrmEvent, Event
from streams.settings.settings import load
from streams.simulator import Department
from streams.sources.bitrix24.hook import Bitrix24Hook
from streams.sources.bitrix24.poll import Bitrix24Poll
from streams.sources.bitrix24.settings import Bitrix24Settings
from streams.sources.frame import Request
from streams.sources.registry import SOURCES
from streams.units import MINUTE_MS
from tests.gateway.polled import BODY, Api, Time, polling

PRIVACY = '[privacy]\nlead_secret = "a secret of the tests, long enough"\nregion = "DE"\n'


async def test_all_that_the_portal_shows_is_polled_and_what_is_missing_is_said() -> None:
    portal = DemoPortal(7, 0.2, 1.0, 3 * MINUTE_MS)
    settings = load(PRIVACY + portal.text(), {}, SOURCES)
    source = Bitrix24Poll(settings)
    async with portal.working("http://127.0.0.1:1"), polling("bitrix24", source, Time(int(time.time() * 1000))) as made:
        await portal.finish()
        assert await made.poller.once() == "done", made.poller.trouble
        async with aiohttp.ClientSession() as session:
            guessed = await session.post(f"{portal.url}/rest/1/guess/batch.json", json={"cmd": {}})
            assert guessed.status == 401
            for body in (b"", b"{", b'{"cmd": {"one": "crm.deal.list?filter[!ID]=1"}}'):
                assert (await session.post(f"{source.base_url}batch.json", data=body)).status == 400
    calls: list[Event] = [event for event in made.sink.events if isinstance(event, CallEnded)]
    deals: list[Event] = [event for event in made.sink.events if isinstance(event, CrmEvent)]
    stages = settings.results.stages
    assert len(calls) == portal.counts()["calls"] > 30
    assert differences(calls, deals, portal.taken, stages) == []
    lines = differences(calls[1:], deals, portal.taken, stages)
    assert lines == [f"calls of the portal: 1 of {len(calls)} are missing, 0 are too many or not the same"]
    first = calls[0]
    assert isinstance(first, CallEnded)
    wrong = [msgspec.structs.replace(first, talk_ms=first.talk_ms + 1000), *calls[1:]]
    assert "1 are too many or not the same" in differences(wrong, deals, portal.taken, stages)[0]
    assert len(differences(calls, [], portal.taken, stages)) == 2


def test_nobody_of_the_portal_has_a_name_of_the_other_department() -> None:
    other = Department.make(7, 2000, 5).settings
    portal = DemoPortal(7, 0.0, 1.0, 0)
    portal.close()
    theirs = load(PRIVACY + portal.text(), {}, SOURCES)
    assert not theirs.managers.keys() & other.managers.keys()
    assert not {theirs.source(Bitrix24Settings).queue, *theirs.teams} & {*other.teams}


async def test_what_happens_live_is_posted_to_the_outgoing_webhook() -> None:
    portal = DemoPortal(7, 0.0, 300.0, 3 * MINUTE_MS)
    settings = load(PRIVACY + portal.text(), {}, SOURCES)
    hook = Bitrix24Hook(settings)
    events: list[Event] = []
    came = asyncio.Event()

    def answer(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        said = Request(
            method="POST", url="", query="", headers=headers, body=request[BODY], received_at_ms=int(time.time() * 1000)
        )
        assert hook.is_authentic(said), parse_qsl(request[BODY])
        events.extend(hook.translate(said).events)
        if events:
            came.set()
        return web.Response()

    api = Api(answer)
    async with api.serving(), portal.working(api.url):
        async with asyncio.timeout(20):
            await came.wait()
        await portal.finish()
    assert portal.counts()["posted"] == len(api.requests)
    path = api.requests[0][0]
    assert path.startswith("/hooks/bitrix24/")
    assert isinstance(events[0], CallEnded)
    assert time.time() * 1000 - events[0].at < MINUTE_MS

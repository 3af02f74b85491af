"""The ways in of the demo: its PBX behind a listener, its CRM before a gateway, and the comparison at the end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
from aiohttp import web

from agents.cli.common import UserError
from agents.cli.demo import crm as crm_module
from agents.cli.demo.crm import Crm
from agents.cli.demo.installation import RECORDINGS
from agents.cli.demo.pbx import RecordedPbx, in_a_row, recordings, stamped
from agents.cli.demo.ways import Ways, differences, of_calls, of_crm
from agents.gateway.ami import AmiSource
from agents.gateway.live import LiveListener
from agents.telemetry.scrape import Scrape
from streams.contract.events import ActivityLogged, Event
from streams.settings.settings import load
from streams.sources.asterisk import AsteriskMapping
from streams.sources.registry import SOURCES
from tests.gateway.fake_sink import FakeSink
from tests.gateway.served import TOKEN, serving

SECRET = "a secret of sixteen characters"  # noqa: S105 - of the tests


def touch(number: int) -> bytes:
    event = ActivityLogged(
        v=1,
        id=f"t-{number}",
        at=int(time.time() * 1000) - 1000,
        source="crm",
        lead=f"crm-{number % 7}",
        channel="email",
    )
    return msgspec.json.encode(event)


class TestCrm:
    async def test_every_event_is_posted_once_and_its_answer_counted(self) -> None:
        async with serving() as served, Crm(served.url, TOKEN) as crm:
            for number in range(1234):
                await crm.add(touch(number))
            await crm.add(touch(7))
            await crm.flush()
            assert [event.id for event in served.sink.events] == [f"t-{number}" for number in range(1234)]
            assert crm.acknowledged == {event.id for event in served.sink.events}
            assert (crm.posted, crm.accepted, crm.duplicates, crm.rejected) == (1235, 1234, 1, 0)
            assert crm.requests < 10

    @pytest.mark.parametrize("bad", [b"", b" ", b"no json", b"{\n\n", b"\xff", b"[" * 9999, b"x" * (2 << 20)], ids=len)
    async def test_a_bad_event_is_refused_and_counted_and_the_others_are_stored(self, bad: bytes) -> None:
        async with serving() as served, Crm(served.url, TOKEN) as crm:
            for value in (touch(1), bad, touch(2)):
                await crm.add(value)
            await crm.flush()
            assert [event.id for event in served.sink.events] == ["t-1", "t-2"]
            assert (crm.posted, crm.accepted, crm.rejected) == (3, 2, 1)

    async def test_a_wrong_token_ends_it_with_the_answer(self) -> None:
        async with serving() as served, Crm(served.url, "wrong") as crm:
            await crm.add(touch(1))
            with pytest.raises(UserError, match="401"):
                await crm.flush()

    async def test_a_batch_is_sent_again_after_a_refusal_for_now_and_after_a_cut(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(crm_module, "_FIRST_DELAY_S", 0.01)
        bodies: list[bytes] = []

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            bodies.append(await request.read())
            if len(bodies) == 1:
                return web.Response(status=503, headers={"Retry-After": "0"})
            if len(bodies) == 2:
                assert request.transport is not None
                request.transport.abort()
            results = [{"id": "t-1", "status": "duplicate"}]
            return web.json_response({"accepted": 0, "duplicates": 1, "rejected": 0, "results": results}, status=202)

        async with await asyncio.get_running_loop().create_server(web.Server(answer), "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with Crm(f"http://127.0.0.1:{port}", TOKEN) as crm:
                value = touch(1)
                await crm.add(value)
                await crm.flush()
                assert bodies == [value] * 3
                assert (crm.requests, crm.again, crm.acknowledged) == (3, 2, {"t-1"})

    async def test_a_gateway_that_is_away_for_good_ends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(crm_module, "PATIENCE_S", 0.05)
        async with Crm("http://127.0.0.1:1", TOKEN) as crm:
            await crm.add(touch(1))
            with pytest.raises(UserError, match="no answer"):
                await crm.flush()
            with pytest.raises(UserError):
                await crm.flush()


class TestPbx:
    def test_sessions_stand_one_behind_the_other_and_the_last_one_ends_now(self) -> None:
        now_ms = 1_795_900_000_000
        laid = in_a_row([stamped(recording) for recording in recordings(RECORDINGS)], now_ms)
        times = [float(event["Timestamp"]) for session in laid for event in session]
        assert len(laid) > 20
        assert times == sorted(times)
        assert times[-1] == now_ms / 1000
        assert times[-1] - times[0] < 3600

    async def test_a_listener_makes_of_them_what_a_replay_of_each_makes(self) -> None:
        pbx = RecordedPbx(recordings(RECORDINGS))
        settings = load(f'[privacy]\nlead_secret = "{SECRET}"\n{pbx.access()}', {}, SOURCES)
        expected = pbx.expected(settings)
        sink = FakeSink()
        stop = asyncio.Event()
        async with pbx, asyncio.timeout(30):
            listener = LiveListener(AmiSource(settings.source(AsteriskMapping), SECRET.encode()), sink)
            running = asyncio.create_task(listener.run(stop))
            await pbx.play()
            assert (listener.state.clock_ahead_ms or 0) < -60_000, "its clock stood at the beginning"
            while len(sink.events) < len(expected):  # noqa: ASYNC110 - the sink has no event of it
                await asyncio.sleep(0.01)
            stop.set()
            assert await running == 0
        assert len(expected) > 100
        assert pbx.sent > 1000
        assert differences(expected, {event.id: event for event in sink.events}) == []

    def test_an_event_that_is_missing_changed_or_too_many_is_named(self) -> None:
        one, two, three = (msgspec.json.decode(touch(number), type=ActivityLogged) for number in (1, 2, 3))
        changed = msgspec.structs.replace(two, channel="chat")
        expected: dict[str, Event] = {"t-1": one, "t-2": two}
        found: dict[str, Event] = {"t-2": changed, "t-3": three}
        assert [line.split()[0] for line in differences(expected, found)] == ["t-1", "t-2", "t-3"]


class TestWays:
    async def test_telephony_goes_into_kafka_and_the_crm_to_the_gateway_but_for_wrong_keys(self) -> None:
        kafka, gateway = Taken(), Taken()
        ways = Ways(kafka, gateway)  # type: ignore[arg-type]  # they only take records
        await ways.add("calls", b"anna", b"{}")
        touched = touch(1)
        await ways.add("crm", b"crm-1", touched)
        for key in (None, b"nobody.at.all"):
            await ways.add("crm", key, touched)
        await ways.add("crm", b"crm-1", b"no json")
        await ways.flush()
        assert [record[0] for record in kafka.got] == ["calls", "crm", "crm"]
        assert gateway.got == [(touched,), (b"no json",)]
        assert ways.direct == {"calls": 1, "crm": 2}


class TestVerdict:
    @pytest.mark.parametrize(
        ("applied", "acknowledged", "stored", "lines"),
        [(5, 5, 5, 0), (4, 5, 5, 1), (6, 5, 5, 1), (5, 5, 6, 1), (5, 4, 5, 2)],
    )
    def test_the_crm_is_counted_exactly(self, applied: int, acknowledged: int, stored: int, lines: int) -> None:
        text = scrape('events_applied_total{topic="crm"}', applied)
        assert len(of_crm(text, acknowledged=acknowledged, stored=stored)) == lines
        with_a_portal = scrape('events_applied_total{topic="crm"}', applied + 3)
        assert len(of_crm(with_a_portal, acknowledged=acknowledged, stored=stored, polled=3)) == lines

    def test_telephony_that_was_not_read_and_a_manager_without_figures_are_named(self) -> None:
        text = scrape('calls_in_progress{manager="pbx-1"} 0\ncallpulse_duplicates_total{topic="calls"}', 3)
        assert of_calls(text, 3, ["pbx-1"]) == []
        assert len(of_calls(text, 4, ["pbx-1"])) == 1
        assert of_calls(text, 3, ["pbx-1", "pbx-2"]) == ["pbx-2 of the PBX has no figures"]


class Taken:
    """Keeps the records that it takes."""

    def __init__(self) -> None:
        self.got: list[tuple[Any, ...]] = []

    async def add(self, *record: Any) -> None:
        self.got.append(record)

    async def flush(self) -> None:
        """Do nothing: no record waits."""


def scrape(line: str, value: int) -> Scrape:
    return Scrape("http://nowhere/metrics", 0, 0, f"callpulse_{line} {value}\n")

"""Recorded sessions of a real Asterisk, sent over a real socket: the listener stores the events of the replay."""

from __future__ import annotations

from random import Random

import pytest

from streams.contract.events import Event
from streams.sources.asterisk import Asterisk
from tests.gateway.ami_listening import FIXTURES, MAPPING, SECRET, at_once, listening
from tests.gateway.ami_server import AmiServer, Connection, connections_of
from tests.gateway.fake_sink import FakeSink

NAMES = sorted(path.stem for path in (FIXTURES / "ami").glob("*.ami"))
QUICK = {"02-out-answered-customer-hangs-up", "300-gap-with-coreshowchannels", "310-core-restart-now"}


def replayed(parts: list[Connection]) -> list[Event]:
    """Return the events of a recording that is fed directly to the translator."""
    translator = Asterisk(MAPPING, SECRET)
    found: list[Event] = []
    for part in parts:
        translator.begin_connection()
        complete = {"Event": "CoreShowChannelsComplete", "Timestamp": f"{part.begin_s:.6f}"}
        for event in (*part.listed, complete, *part.events):
            found += translator.feed(event, 0)
    return found


async def test_every_recording_is_tried() -> None:
    assert len(NAMES) > 110
    assert set(NAMES) >= QUICK


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES]
)
async def test_a_recording_through_a_socket_gives_the_events_of_its_replay(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(monkeypatch)
    parts = connections_of((FIXTURES / "ami" / f"{name}.ami").read_bytes())
    now = [parts[0].begin_s]
    sink = FakeSink()
    async with (
        AmiServer(clock=lambda: now[0], chance=Random(name), channels=parts[0].listed) as server,
        listening(server, sink, base=MAPPING, clock=lambda: round(now[0] * 1000)) as listener,
    ):
        for number, part in enumerate(parts, 1):
            await server.until(lambda number=number: server.logins == number and server.up)  # type: ignore[misc]  # the number of this turn
            await server.until(lambda: server.up and server.up[0].asked == {"CoreShowChannels", "QueueStatus"})
            await server.send(part.events)
            if number < len(parts):
                server.channels = parts[number].listed
                now[0] = parts[number].begin_s
                server.hang_up(server.up[0])
        expected = replayed(parts)
        await server.until(lambda: len(sink.events) >= len(expected), 5)
        assert listener.state.gaps == len(parts) - 1
    assert sink.events == expected

"""Shared parts of the tests of the Asterisk source: the recorded sessions, and a short form of contract events."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from streams.contract.events import CallAnswered, CallEnded, CallEvent, CallStarted, CallTransferred, Event
from streams.sources.asterisk import Asterisk, AsteriskMapping, RecordingClock, read_recording

FOLDER = Path(__file__).parents[1] / "fixtures" / "ami"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json") if path.name != "peer_expected.json")
PEER: dict[str, list[dict[str, Any]]] = {
    name.removesuffix(".json"): reports
    for name, reports in json.loads((FOLDER / "peer_expected.json").read_text()).items()
}
SECRET = b"a secret of the tests, long enough"

Ami = dict[str, str]


def recorded(name: str) -> list[Ami]:
    events = list(read_recording((FOLDER / f"{name}.json").read_bytes()))
    assert all(isinstance(event, dict) for event in events)
    return [event for event in events if isinstance(event, dict)]


def timed(events: list[Ami]) -> list[tuple[Ami, int]]:
    clock = RecordingClock()
    return [(event, clock.read(event)) for event in events]


def fed(translator: Asterisk, events: list[tuple[Ami, int]]) -> list[Event]:
    return [found for event, at in events for found in translator.feed(event, at)]


def translator_of(**settings: Any) -> Asterisk:
    return Asterisk(AsteriskMapping(**settings), SECRET)


def short(call: str) -> str:
    return call.rpartition(".")[2]


def brief(events: list[Event]) -> list[str]:
    """One line for each leg's end and each transfer, in order: `call manager direction disposition [lead]`."""
    lines = []
    for event in events:
        if isinstance(event, CallEnded):
            known = " lead" if event.lead else ""
            by = "" if event.ended_by == "hangup" else f" ({event.ended_by})"
            lines.append(f"{short(event.call)} {event.manager} {event.direction} {event.disposition}{known}{by}")
        elif isinstance(event, CallTransferred):
            lines.append(f"{short(event.call)} {event.manager} {event.how} to {event.to_manager}")
    return lines


def answered(events: list[Event]) -> set[tuple[str, str]]:
    return {(short(event.call), event.manager) for event in events if isinstance(event, CallAnswered)}


def started(events: list[Event]) -> list[tuple[str, str]]:
    return [(short(event.call), event.manager) for event in events if isinstance(event, CallStarted)]


def assert_sound(events: list[Event]) -> None:
    """Assert for any input: a leg begins before it is answered or ends, ends once, and no id is used twice."""
    assert len({event.id for event in events}) == len(events)
    open_legs: set[tuple[str, str]] = set()
    balance: Counter[tuple[str, str]] = Counter()
    for event in events:
        if not isinstance(event, CallEvent):
            continue
        leg = (event.call, event.manager)
        if isinstance(event, CallStarted):
            assert leg not in open_legs
            open_legs.add(leg)
        elif isinstance(event, CallEnded):
            assert leg in open_legs
            open_legs.remove(leg)
            balance[leg] += 1
            assert event.started_at <= event.at
            assert 0 <= event.talk_ms <= event.at - event.started_at
            assert (event.answered_at is not None) == (event.disposition == "answered")
        elif isinstance(event, CallAnswered):
            assert leg in open_legs
    assert not open_legs


def is_idle(translator: Asterisk) -> bool:
    """Return whether it is empty: without a channel, bridge, joined conversation or waiting end."""
    channels = translator._channels
    conversations = translator._conversations
    return not (channels.by_uid or channels.bridges or conversations.by_linkedid or len(conversations.ends))

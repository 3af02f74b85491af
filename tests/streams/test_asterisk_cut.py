"""Calls of a real Asterisk with the link cut at random moments: the events that the lists of channels restore.

The list that closes a gap is what Asterisk would answer then: it is built from the events before it.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from streams.contract.events import CallEnded, CallEvent, CallStarted, Event
from streams.settings.settings import load
from streams.sources.asterisk import Asterisk, AsteriskMapping, RecordingClock, read_recording
from streams.sources.registry import SOURCES
from tests.examples import examples
from tests.streams.asterisk_sessions import SECRET

Ami = dict[str, str]
FOLDER = Path(__file__).parents[1] / "fixtures" / "asterisk"
MAPPING = load((FOLDER / "callpulse.toml").read_text(), {}, SOURCES).source(AsteriskMapping)
NAMES = sorted(
    path.stem
    for path in (FOLDER / "ami").glob("*.ami")
    if not path.stem.startswith(("30", "31")) and b"Event" in path.read_bytes()
)
BEGIN_S = 1_800_000_000.0
OCCURRENCE = re.compile(r":(ended|uncertain):\d+$")


class Channels:
    """The channels of a PBX, kept by its events, and the list that it answers CoreShowChannels with."""

    def __init__(self) -> None:
        self._channels: dict[str, Ami] = {}
        self._since: dict[str, float] = {}

    def take(self, event: Ami) -> None:
        now = float(event["Timestamp"])
        name = event["Event"]
        for prefix in ("", "Dest"):
            uid = event.get(f"{prefix}Uniqueid", "")
            if not uid or f"{prefix}Channel" not in event or (name == "Hangup" and not prefix):
                continue
            channel = self._channels.setdefault(uid, {"Uniqueid": uid, "Application": "", "BridgeId": ""})
            self._since.setdefault(uid, now)
            for field in ("Channel", "ChannelState", "CallerIDNum", "AccountCode", "Context", "Exten", "Linkedid"):
                if f"{prefix}{field}" in event:
                    channel[field] = event[f"{prefix}{field}"]
        mine = self._channels.get(event.get("Uniqueid", ""))
        if name == "Hangup":
            self._channels.pop(event.get("Uniqueid", ""), None)
        elif mine is not None:
            self._change(name, event, mine)

    def _change(self, name: str, event: Ami, mine: Ami) -> None:
        if name == "Newexten":
            mine["Application"] = event.get("Application", "")
        elif name == "BridgeEnter":
            mine["BridgeId"] = event.get("BridgeUniqueid", "")
            held = event.get("BridgeTechnology") == "holding_bridge"
            mine["Application"] = "Park" if held else "" if mine["Application"] == "Park" else mine["Application"]
        elif name == "BridgeLeave":
            mine["BridgeId"] = ""
        elif name == "Rename":
            mine["Channel"] = event.get("Newname", mine["Channel"])
        elif name == "DialBegin" and (dialled := self._channels.get(event.get("DestUniqueid", ""))):
            dialled["Application"] = "AppDial"

    def listed(self, now: float) -> list[Ami]:
        entries = []
        for uid, channel in self._channels.items():
            age = max(0, int(now - self._since[uid]))
            duration = f"{age // 3600:02}:{age // 60 % 60:02}:{age % 60:02}"
            entries.append({"Event": "CoreShowChannel", **channel, "Duration": duration, "Timestamp": f"{now:.6f}"})
        return [*entries, {"Event": "CoreShowChannelsComplete", "Timestamp": f"{now:.6f}"}]


@cache
def session(name: str) -> tuple[Ami, ...]:
    """A recording, moved in time so that it begins at BEGIN_S."""
    clock = RecordingClock()
    read = [event for event in read_recording((FOLDER / "ami" / f"{name}.ami").read_bytes()) if isinstance(event, dict)]
    stamps = [clock.read(event) / 1000 for event in read]
    return tuple(
        event | {"Timestamp": f"{at - stamps[0] + BEGIN_S:.6f}"} for event, at in zip(read, stamps, strict=True)
    )


def mixed(names: list[str]) -> list[Ami]:
    return sorted((event for name in names for event in session(name)), key=lambda event: float(event["Timestamp"]))


def calls_of(event: Ami) -> set[str]:
    return {value for name, value in event.items() if name.endswith(("Uniqueid", "Linkedid")) and "Bridge" not in name}


def groups(events: list[Ami]) -> dict[str, str]:
    """The group of each Uniqueid: those that some event names together."""
    parent: dict[str, str] = {}

    def find(uid: str) -> str:
        while parent.setdefault(uid, uid) != uid:
            uid = parent[uid]
        return uid

    for event in events:
        uids = sorted(calls_of(event))
        for uid in uids:
            parent[find(uid)] = find(uids[0])
    return {uid: find(uid) for uid in parent}


def run(events: list[Ami], cut: int, again: int, *, restarted: bool) -> tuple[list[Event], set[str]]:
    """The contract events with a gap between two places, and the groups of channels of which something was missed."""
    pbx = Channels()
    translator = Asterisk(MAPPING, SECRET)
    found: list[Event] = []
    group_of = groups(events)
    missed: set[str] = set()
    for place, event in enumerate(events):
        if place == again:
            if restarted:
                translator = Asterisk(MAPPING, SECRET)
                translator.recall(found)
            translator.begin_connection()
            for entry in pbx.listed(float(events[max(again - 1, 0)]["Timestamp"])):
                found += translator.feed(entry, 0)
        pbx.take(event)
        if cut <= place < again:
            missed |= {group_of[uid] for uid in calls_of(event)}
        else:
            found += translator.feed(event, 0)
    found += translator.finish(int(float(events[-1]["Timestamp"]) * 1000) + 5_000)
    return found, missed


def whole(events: list[Ami]) -> list[Event]:
    translator = Asterisk(MAPPING, SECRET)
    found = [made for event in events for made in translator.feed(event, 0)]
    return found + translator.finish(int(float(events[-1]["Timestamp"]) * 1000) + 5_000)


def certain(event: Event) -> Event:
    """The event without a gap in its leg. Uncertain ends have numbers of their own."""
    if not isinstance(event, CallEnded):
        return event
    return replace(event, id=OCCURRENCE.sub(":ended", event.id), uncertain=UNSET)


def untouched(found: list[Event], events: list[Ami], missed: set[str]) -> list[Event]:
    """The events of the calls of which nothing was missed, by id.

    A listener cannot know that nothing was missed of a call in progress: its end is uncertain, and else the same.
    """
    group_of = groups(events)
    calls = [one for event in found if isinstance(one := certain(event), CallEvent)]
    return sorted(
        (event for event in calls if group_of[event.id.split(":")[1]] not in missed), key=lambda one: (one.id, one.at)
    )


@st.composite
def cuts(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    length = len(mixed(names))
    cut = draw(st.integers(0, length))
    return {"names": names, "cut": cut, "again": min(length, cut + draw(st.sampled_from((1, 1, 5, 20, 60))))}


@pytest.mark.slow
@examples(300, deadline=None)
@given(chosen=cuts())
def test_calls_of_which_nothing_was_missed_come_out_as_without_a_gap(chosen: dict[str, Any]) -> None:
    events = mixed(chosen["names"])
    found, missed = run(events, chosen["cut"], chosen["again"], restarted=False)
    assert untouched(found, events, missed) == untouched(whole(events), events, missed)


STEADY_S = 0.2
"""A restart takes longer than a telephone system takes to answer, to bridge or to hang up."""
UNSURE = {
    "110-attended-feature-code": "a customer who waited during a consultation counts as talked with",
    "115-attended-feature-abort": "the same",
    "116-three-way": "the same",
    "113-blonde-refer-replaces": "a telephone that rings for a transfer has a new leg",
    "215-blonde-to-queue": "the same",
    "114-blonde-feature-code": "the receiver of a transfer by feature code that was not announced has no lead",
    "144-originate-customer-first": "the lead of a call that the PBX placed is that of its caller id",
    "130-group-pickup": "a telephone that was picked up elsewhere is not seen to end",
    "131-directed-pickup": "the same",
    "237-dial-local-nobody": "a dial behind a Local channel that reached its limit looks canceled",
    "66-followme": "the same",
}
"""Recordings in which a restart at some steady moment changes an end, with the change; see docs/asterisk.md."""


def ends_of(found: list[Event]) -> dict[tuple[str, str], list[CallEnded]]:
    ends: dict[tuple[str, str], list[CallEnded]] = {}
    for event in found:
        if isinstance(event, CallEnded):
            ends.setdefault((event.call, event.manager), []).append(event)
    return ends


def is_same(one: CallEnded, other: CallEnded) -> bool:
    """Return whether two ends are the same on a board: times to the second of a list, talk to 50 ms."""
    fields = ("direction", "disposition", "ended_by", "lead", "internal")
    return (
        all(getattr(one, name) == getattr(other, name) for name in fields)
        and abs(one.talk_ms - other.talk_ms) <= 50
        and abs(one.started_at - other.started_at) <= 1_100
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_restart_in_a_steady_moment_changes_no_end(name: str) -> None:
    events = mixed([name])
    expected = ends_of(whole(events))
    unsure = False
    for cut in range(1, len(events)):
        if float(events[cut]["Timestamp"]) - float(events[cut - 1]["Timestamp"]) < STEADY_S:
            continue
        made, _ = run(events, cut, cut, restarted=True)
        assert len({event.id for event in made}) == len(made)
        found = ends_of(made)
        same = found.keys() == expected.keys() and all(
            len(found[leg]) == len(expected[leg]) and all(map(is_same, found[leg], expected[leg])) for leg in expected
        )
        assert same or name in UNSURE, f"cut at event {cut}"
        unsure |= not same
    assert unsure is (name in UNSURE)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_link_that_is_back_at_once_changes_nothing(name: str) -> None:
    events = mixed([name])
    expected = untouched(whole(events), events, set())
    for cut in range(len(events) + 1):
        assert untouched(run(events, cut, cut, restarted=False)[0], events, set()) == expected, f"cut at event {cut}"


@pytest.mark.slow
@examples(300, deadline=None)
@given(chosen=cuts())
def test_after_a_gap_every_leg_that_began_ends_and_no_id_comes_twice(chosen: dict[str, Any]) -> None:
    for restarted in (False, True):
        found, _ = run(mixed(chosen["names"]), chosen["cut"], chosen["again"], restarted=restarted)
        assert len({event.id for event in found}) == len(found)
        open_legs = set()
        for event in found:
            if isinstance(event, CallStarted):
                open_legs.add((event.call, event.manager))
            elif isinstance(event, CallEnded):
                open_legs.discard((event.call, event.manager))
        assert open_legs == set()

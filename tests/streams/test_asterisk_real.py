"""Sessions of a real Asterisk: their legs, transfers and presence are those of the script that drove it.

`tests/fixtures/asterisk/README.md` says where they come from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.contract.events import CallEnded, CallEvent, CallStarted, CallTransferred, Event, ManagerPresence
from streams.settings.settings import load
from streams.sources.asterisk import AsteriskMapping, read_recording, replay
from streams.sources.registry import SOURCES

FOLDER = Path(__file__).parents[1] / "fixtures" / "asterisk"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text())
MAPPING = load((FOLDER / "callpulse.toml").read_text(), {}, SOURCES).source(AsteriskMapping)
DIFFERENT: dict[str, str] = {
    "229-join-two-customers-hang-up": "the same events as a transfer to an outside number, which has the call (125)",
}
"""Scenarios that do not come out as expected, and why."""


def events_of(name: str) -> list[Event]:
    read = list(read_recording((FOLDER / "ami" / f"{name}.ami").read_bytes()))
    assert all(isinstance(event, dict) for event in read)
    return list(replay((event for event in read if isinstance(event, dict)), MAPPING))


def legs_of(events: list[Event]) -> list[CallEnded]:
    """Return the ends of legs. An answered leg that begins again goes on, with the sum of its talk, by the contract."""
    legs: list[CallEnded] = []
    talked: dict[tuple[str, str], int] = {}
    for event in events:
        if not isinstance(event, CallEnded):
            continue
        key = event.call, event.manager
        if event.disposition == "answered" and key in talked:
            whole = msgspec.structs.replace(event, talk_ms=event.talk_ms + legs[talked[key]].talk_ms)
            legs[talked[key]] = whole
            continue
        if event.disposition == "answered":
            talked[key] = len(legs)
        legs.append(event)
    return legs


def matching(want: dict[str, Any], ends: list[CallEnded]) -> CallEnded | None:
    """Return the leg that is nearest to the expected one, of the same manager and direction."""
    same = [end for end in ends if end.manager == want["manager"] and end.direction == want["direction"]]
    return max(
        same,
        key=lambda end: (
            end.disposition == want["disposition"],
            want["lead"] is None or bool(end.lead) == want["lead"],
            -abs(end.talk_ms - 1000 * want["talk"]),
        ),
        default=None,
    )


def differences(want: dict[str, Any], events: list[Event]) -> list[str]:
    ends = legs_of(events)
    if want["expected"] == "won":  # two picked up in the same moment: one of them has the call
        dispositions = sorted(end.disposition for end in ends)
        right = dispositions[:1] == ["answered"] and set(dispositions[1:]) <= {"canceled"}
        return [] if right else [f"dispositions {dispositions}"]
    found = []
    for leg in want["expected"]:
        end = matching(leg, ends)
        if end is None:
            found.append(f"missing: {leg}")
            continue
        ends.remove(end)
        if end.disposition != leg["disposition"]:
            found.append(f"{end.manager}: {end.disposition} instead of {leg['disposition']}")
        if abs(end.talk_ms - 1000 * leg["talk"]) > 1_000:
            found.append(f"{end.manager}: talk {end.talk_ms} ms instead of {leg['talk']} s")
        if leg["lead"] is not None and bool(end.lead) != leg["lead"]:
            found.append(f"{end.manager}: lead {end.lead}")
    found += [f"in excess: {end.manager} {end.direction} {end.disposition}" for end in ends]
    transfers = sorted(
        [event.manager, event.to_manager, event.how] for event in events if isinstance(event, CallTransferred)
    )
    if want["transfers"] != "any" and transfers != sorted(want["transfers"]):
        found.append(f"transfers {transfers} instead of {want['transfers']}")
    return found


def test_every_scenario_is_compared() -> None:
    assert len(EXPECTED) == 119
    assert DIFFERENT.keys() <= EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_scenario_has_the_legs_and_transfers_of_its_script(name: str) -> None:
    found = differences(EXPECTED[name], events_of(name))
    assert bool(found) is (name in DIFFERENT), found


@pytest.mark.parametrize("name", EXPECTED)
def test_every_leg_that_begins_ends(name: str) -> None:
    open_legs: set[tuple[str, str]] = set()
    for event in events_of(name):
        if isinstance(event, CallStarted):
            open_legs.add((event.call, event.manager))
        elif isinstance(event, CallEnded):
            open_legs.discard((event.call, event.manager))
    assert not open_legs


def test_the_scenario_with_pauses_gives_the_presence_of_its_script() -> None:
    events = [event for event in events_of("169-queue-agent-pause") if isinstance(event, ManagerPresence)]
    assert [(event.manager, event.state, event.reason) for event in events] == [
        ("101", "paused", "lunch"),
        ("101", "available", None),
        ("104", "available", None),
        ("104", "offline", None),
    ]


INTERNAL = {
    "20-internal-answered": {"101", "102"},
    "22-internal-dnd": {"101"},
    "26-forward-302-external": set(),
    "29-internal-group": {"101", "102", "103", "104"},
    "30-internal-voicemail": {"101", "104"},
    "74-anonymous": set(),
    "110-attended-feature-code": set(),
    "111-attended-refer-replaces": {"101", "102"},
    "115-attended-feature-abort": {"102"},
    "116-three-way": set(),
    "125-attended-to-outside": set(),
    "140-click-to-dial": set(),
    "150-confbridge-internal": {"101", "102"},
    "151-confbridge-customer": set(),
    "155-page": {"101", "102", "103"},
    "205-two-calls-of-one-manager": set(),
}


@pytest.mark.parametrize("name", INTERNAL)
def test_legs_between_colleagues_are_internal_and_have_no_lead(name: str) -> None:
    legs = [event for event in events_of(name) if isinstance(event, CallEnded) and event.internal is True]
    assert {leg.manager for leg in legs} == INTERNAL[name]
    assert not any(leg.lead for leg in legs)


def test_a_consultation_is_a_call_of_its_own_and_the_transferred_leg_is_an_ordinary_one() -> None:
    legs = [event for event in events_of("111-attended-refer-replaces") if isinstance(event, CallEnded)]
    found = {(leg.manager, leg.internal is True) for leg in legs if leg.disposition == "answered"}
    assert found == {("101", False), ("101", True), ("102", False), ("102", True)}
    assert len({leg.call for leg in legs if leg.internal is True}) == 1
    assert {leg.call for leg in legs if leg.internal is True}.isdisjoint({leg.call for leg in legs if leg.lead})


def test_a_call_that_ended_in_a_gap_is_not_certain() -> None:
    ends = [event for event in events_of("303-answered-and-ended-in-the-gap") if isinstance(event, CallEnded)]
    assert {event.ended_by for event in ends} == {"timeout"}


def test_a_caller_who_was_parked_at_the_connect_was_not_missed() -> None:
    events = events_of("307-conference-queue-park-at-the-connect")
    assert not [event for event in events if isinstance(event, CallEvent) and event.manager.startswith("queue:")]


def test_the_same_call_label_is_the_same_call() -> None:
    for name, want in EXPECTED.items():
        if want["expected"] == "won" or name in DIFFERENT:
            continue
        calls = {event.call for event in events_of(name) if isinstance(event, CallEvent)}
        labels = {leg["call"] for leg in want["expected"]}
        assert len(calls) == len(labels) or None in labels, name

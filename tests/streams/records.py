"""Record files of Asterisk for tests: the stories, and their expected legs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from streams.contract.events import CallEnded, CallEvent, CallStarted, CallTransferred, Event
from streams.phone_numbers import lead_key
from streams.sources.asterisk import DRY_RUN_SECRET, AsteriskMapping, Rule
from streams.sources.frame import LineSource, Refused

FIXTURES: Final = Path(__file__).parents[1] / "fixtures"
FOLDER: Final = FIXTURES / "records"
NOW_MS: Final = 1_795_950_000_000
PEOPLE: Final = json.loads((FOLDER / "people.json").read_text())["managers"]
MAPPING: Final = AsteriskMapping(
    rules=tuple(Rule(by="endpoint", pattern=held["extension"], manager=name) for name, held in PEOPLE.items()),
    trunks=("trunk-msk",),
    trunk_contexts=("from-trunk",),
    internal=r"\d{3,4}",
    region="RU",
)


def lines_of(data: bytes) -> list[bytes]:
    """Return the complete lines of a file. A last line without its end is still being written."""
    return data.split(b"\n")[:-1]


def read(source: LineSource, lines: Iterable[bytes], now_ms: int = NOW_MS) -> tuple[list[Event], list[Refused]]:
    """Return the events and refusals of lines, and the events once the file is quiet."""
    events: list[Event] = []
    refused: list[Refused] = []
    for place, line in enumerate(lines):
        done = source.take(line, place, now_ms)
        events += done.events
        refused += done.refused
    return events + source.quiet(now_ms), refused


def expected_of(folder: str) -> list[dict[str, Any]]:
    """Return the expected legs of a story."""
    held = json.loads((FOLDER / folder / "expected.json").read_text())
    return list(held["legs"])


def story_differences(expected: Iterable[dict[str, Any]], events: list[Event], *, slack_ms: int = 0) -> list[str]:
    """Return the differences in the legs of a story. A value `unknown` is not compared; ends by timeout do not come."""
    ends = [event for event in events if isinstance(event, CallEnded)]
    found = []
    for leg in expected:
        key = leg["source_call"], leg["manager"]
        mine = [end for end in ends if (end.call, end.manager) == key]
        if leg["ended_by"] == "timeout":
            starts = [one.at for one in events if isinstance(one, CallStarted) and (one.call, one.manager) == key]
            if mine or len(starts) != 1 or abs(starts[0] - leg["started_ms"]) > slack_ms:
                found.append(f"{key}: not one start and no end")
        elif len(mine) != 1:
            found.append(f"{key}: {len(mine)} ends")
        else:
            ends.remove(mine[0])
            transfers = [one for one in events if isinstance(one, CallTransferred) and (one.call, one.manager) == key]
            found += [f"{key}: {wrong}" for wrong in _wrong(leg, mine[0], transfers, slack_ms)]
    return found + [f"in excess: {end.call} {end.manager}" for end in ends]


def _wrong(leg: dict[str, Any], end: CallEnded, transfers: list[CallTransferred], slack_ms: int) -> Iterator[str]:
    lead = None if leg["lead"] is None else lead_key(leg["lead"], DRY_RUN_SECRET, "RU")
    for name, have, want in (
        ("direction", end.direction, leg["direction"]),
        ("disposition", end.disposition, leg["disposition"]),
        ("lead", end.lead, lead),
    ):
        if have != want:
            yield f"{name} {have}, not {want}"
    for name, at, wanted in (
        ("started", end.started_at, leg["started_ms"]),
        ("answered", end.answered_at, leg["answered_ms"]),
        ("ended", end.at, leg["ended_ms"]),
        ("talk", end.talk_ms, round(leg["talk_s"] * 1000)),
    ):
        if wanted not in ("unknown", at) and (at is None or wanted is None or abs(at - wanted) > slack_ms):
            yield f"{name} {at}, not {wanted}"
    if leg["transferred_to"] not in (None, "unknown"):
        given = [(one.to_manager, one.how) for one in transfers]
        if given != [(leg["transferred_to"], leg["how"])] and (given or leg["how"] != "unknown"):
            yield f"transferred {given}"


def shown(events: Iterable[Event]) -> str:
    """Return all values of events, to search for forbidden ones."""
    return " ".join(repr(event) for event in events)


def calls_of(events: Iterable[Event]) -> set[tuple[str, str]]:
    """Return the calls and managers of events."""
    return {(event.call, event.manager) for event in events if isinstance(event, CallEvent)}

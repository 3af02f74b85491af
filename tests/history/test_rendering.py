"""Rendered events have the order of recorded sessions: the renderers are compared with a real Asterisk.

Compared are the events of calls, with their channels. Left out: events that accompany another one (caller ids,
connected lines), and events of telephones that rang beside the one that was picked up.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from streams.simulator.rendering import ami, cel
from streams.simulator.rendering.exchange import Exchange
from streams.simulator.rendering.history import Call, History, Leg
from streams.simulator.rendering.pbx_facts import PbxFact
from streams.simulator.rendering.phone_book import PhoneBook
from streams.sources.asterisk import AmiParser
from streams.units import HOUR_MS
from tests.history.departments import MONDAY_MS, made

RECORDED: Final = Path(__file__).parents[1] / "fixtures" / "asterisk"
TOLD: Final = frozenset(
    {
        *("Newchannel", "Newstate", "DialBegin", "DialEnd", "BridgeEnter", "BridgeLeave", "BlindTransfer"),
        *("AttendedTransfer", "Hangup", "QueueCallerJoin", "QueueCallerLeave", "QueueCallerAbandon", "AgentConnect"),
        *("AgentComplete", "HangupRequest"),
    }
)
AT: Final = MONDAY_MS + 10 * HOUR_MS
ONE, TWO = list(made().book.extensions)[:2]


def leg(manager: str, direction: str, end: str = "answered", **more: Any) -> Leg:
    answered = AT + 2_000 if end == "answered" else None
    fields: dict[str, Any] = {
        "call": "c", "manager": manager, "direction": direction, "started_at": AT, "answered_at": answered,
        "ended_at": AT + 9_000, "talk_ms": 7_000 if answered else 0, "disposition": end, "lead": "l", "has_end": True,
    }  # fmt: skip
    return Leg(**(fields | more))


def then(how: str) -> dict[str, Any]:
    return {"transfer_at": AT + 6_000, "ended_at": AT + 6_000, "to": TWO, "how": how}


AFTER: Final[dict[str, Any]] = {"started_at": AT + 6_100, "answered_at": AT + 8_000}
ASKED: Final[dict[str, Any]] = {"started_at": AT + 3_000, "answered_at": AT + 4_000}
CASES: Final[Mapping[str, Call]] = {
    "03-out-busy": [leg(ONE, "outbound", "busy")],
    "42-in-rejected": [leg(ONE, "inbound", "busy")],
    "43-in-no-answer": [leg(ONE, "inbound", "no_answer")],
    "101-blind-refer": [leg(ONE, "inbound", **then("blind")), leg(TWO, "inbound", **AFTER)],
    "111-attended-refer-replaces": [leg(ONE, "inbound", **then("attended")), leg(TWO, "inbound", **ASKED)],
    "104-blind-refer-outbound": [leg(ONE, "outbound", **then("blind")), leg(TWO, "inbound", **AFTER)],
    "123-attended-outbound-to-internal": [leg(ONE, "outbound", **then("attended")), leg(TWO, "inbound", **ASKED)],
}


def _told(data: bytes) -> list[tuple[str, ...]]:
    """Return the events of each channel in their order, channels in the order of their beginning and without names."""
    parser = AmiParser()
    names: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for message in parser.feed(data):
        assert isinstance(message, dict)
        if message.get("Event") not in TOLD:
            continue
        event = message["Event"]
        uid = message.get("Uniqueid") or message.get("TransfererUniqueid") or message.get("OrigTransfererUniqueid", "")
        names.setdefault(uid, "trunk" if "trunk" in message.get("Channel", "trunk") else "telephone")
        about = [message.get(name, "") for name in ("ChannelState", "DialStatus")]
        if event in ("DialBegin", "DialEnd", "Hangup", "HangupRequest", "BridgeEnter", "BridgeLeave"):
            about[0] = ""
        if "DestUniqueid" in message and event.startswith("Dial"):
            about.append(names.get(message["DestUniqueid"], ""))
        found.setdefault(uid, []).append(" ".join([event, *about]).strip())
    return [(names[uid], *events) for uid, events in found.items()]


def _facts(name: str) -> list[PbxFact]:
    return list(Exchange(PhoneBook(made().settings.managers)).facts(History([CASES[name]], [])))


@pytest.mark.parametrize("name", CASES)
def test_a_call_is_rendered_as_it_was_recorded(name: str) -> None:
    recorded = (RECORDED / "ami" / f"{name}.ami").read_bytes()
    assert _either(_told(b"".join(ami.write(_facts(name))))) == _either(_told(recorded))


def _either(told: Iterable[tuple[str, ...]]) -> list[list[str]]:
    """Leave out who hangs up first, as either may, and the tone that the recorded dialplan plays."""
    left = ("HangupRequest", "Newstate 7")
    return [[event for event in events if not event.startswith(left)] for events in told]


ROWS: Final = frozenset(
    {
        *("CHAN_START", "ANSWER", "BRIDGE_ENTER", "BRIDGE_EXIT", "BLINDTRANSFER", "ATTENDEDTRANSFER", "HANGUP"),
        "CHAN_END",
    }
)


@pytest.mark.parametrize("name", CASES)
def test_rows_of_cel_are_rendered_as_they_were_written(name: str) -> None:
    recorded = (RECORDED / "cel" / f"{name}.csv").read_text(encoding="utf-8")
    rendered = b"".join(cel.csv(_facts(name))).decode()
    assert _rows(rendered) == _rows(recorded)


def _rows(text: str) -> list[list[str]]:
    """Return the rows of each channel in their order, with the fields of `extra` that they have.

    LINKEDID_END is left out: it is a row of the channel that hung up last.
    """
    found: dict[str, list[str]] = {}
    for row in csv.reader(text.splitlines()):
        if row[0] in ROWS:
            extra = sorted(json.loads(row[-1])) if row[-1] else []
            found.setdefault(row[14], []).append(" ".join([row[0], *extra]))
    return list(found.values())


def test_the_renderers_know_no_adapter() -> None:
    modules = (Path(__file__).parents[2] / "streams" / "simulator" / "rendering").glob("*.py")
    assert [path.name for path in modules if "streams.sources" in path.read_text(encoding="utf-8")] == []

"""Cases after public bug reports of people who run Asterisk: `tests/fixtures/asterisk/cases`."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.contract.events import CallEnded, CallTransferred, ManagerPresence
from streams.sources.asterisk import AsteriskMapping, BadLine, RecordingChecks, read_recording, replay

CASES = Path(__file__).parents[1] / "fixtures" / "asterisk" / "cases"


def seen(name: str) -> list[str]:
    """Return one line per leg, transfer, presence and warning of a case. Leads are numbered as they come."""
    lines: list[str] = []
    leads: dict[str, int] = {}
    checks = RecordingChecks()
    read = list(read_recording((CASES / name).read_bytes()))
    events = [event for event in read if not isinstance(event, BadLine)]
    for event in replay(events, AsteriskMapping(region="DE"), checks=checks):
        if isinstance(event, CallEnded):
            lead = f"lead {leads.setdefault(event.lead, len(leads) + 1)}" if event.lead else "no lead"
            internal = " internal" if event.internal is True else ""
            talk = f" {event.talk_ms // 1000} s" if event.disposition == "answered" else ""
            lines.append(f"{event.manager} {event.direction}{internal} {event.disposition}{talk}, {lead}")
        elif isinstance(event, CallTransferred):
            lines.append(f"{event.manager} to {event.to_manager}, {event.how}")
        elif isinstance(event, ManagerPresence):
            lines.append(f"{event.manager} {event.state}")
    lines += [f"line {bad.line}: {bad.reason}" for bad in read if isinstance(bad, BadLine)]
    return lines + [f"warning: {warning.partition(',')[0]}" for warning in checks.warnings()]


ONE_CALL = ["101 outbound answered 90 s, lead 1"]
EXPECTED = {
    "01-asterisk-1.8.txt": ["line 1: unsupported"],
    "02-node-lowercase-keys.json": ONE_CALL,
    "03-predictive-uuid-ids.txt": ["103 outbound answered 240 s, lead 1"],
    "05-member-of-two-queues.txt": ["129 available", "129 paused", "129 available", "129 offline"],
    "07-attended-transfer-to-ringall-queue.txt": [
        "201 inbound no_answer, no lead",
        "202 inbound no_answer, no lead",
        "203 inbound no_answer, no lead",
        "511 inbound answered 25 s, lead 1",
        "201 inbound canceled, lead 1",
        "203 inbound canceled, lead 1",
        "511 to 202, blind",
        "202 inbound answered 1140 s, lead 1",
    ],
    "11b-websocket-bot-then-abandoned-in-queue.txt": [
        "101 inbound no_answer, lead 1",
        "queue:sales inbound no_answer, lead 1",
    ],
    "14-no-last-blank-line.txt": ONE_CALL,
    "14d-two-json-captures-glued.json": [*ONE_CALL, "102 outbound answered 90 s, lead 1"],
    "14g-lines-with-log-times.txt": ONE_CALL,
    "14h-copied-with-trailing-blanks.txt": ONE_CALL,
    "16b-agent-pool-customers.txt": [
        "301 available",
        "301 inbound answered 120 s, lead 1",
        "301 inbound answered 300 s, lead 2",
        "301 inbound answered 45 s, lead 3",
        "301 offline",
    ],
    "24-trunk-named-by-digits.txt": ["101 inbound answered 50 s, lead 1"],
    "25-event-filter-without-bridges.txt": [
        "101 outbound no_answer, lead 1",
        "102 inbound no_answer, lead 2",
        "queue:inbound inbound no_answer, lead 2",
        "warning: 2 calls were answered and lasted for minutes",
    ],
    "26-outbound-attended-transfer.txt": [
        "101 outbound internal answered 75 s, no lead",
        "102 inbound internal answered 75 s, no lead",
        "101 to 102, attended",
        "101 outbound answered 198 s, lead 1",
        "102 inbound answered 200 s, lead 1",
    ],
}


def test_every_case_is_compared() -> None:
    assert sorted(path.name for path in CASES.iterdir()) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_case_gives_what_happened_in_it(name: str) -> None:
    assert seen(name) == EXPECTED[name]

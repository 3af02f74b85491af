"""`callpulse replay ami`: its errors and warnings, and the person that it takes each endpoint for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.agents.cli_runner import Runner
from tests.streams.asterisk_pbx import CUSTOMER, TRUNK, Pbx


def recording(tmp_path: Path, pbx: Pbx) -> Path:
    path = tmp_path / "recording.json"
    path.write_text(json.dumps(pbx.events))
    return path


def call(pbx: Pbx, device: str, number: str) -> None:
    """Let an outside caller talk with 101 for two minutes."""
    customer = pbx.caller(device, "0201234567", number, context="default")
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.answer(customer, phone)
    pbx.wait(120)
    pbx.hangup(phone, customer)


def test_who_lists_whom_each_endpoint_is_taken_for_and_why(callpulse: Runner, tmp_path: Path) -> None:
    pbx = Pbx()
    call(pbx, TRUNK, CUSTOMER)
    pbx.hangup(pbx.caller("PJSIP/anna", "102", "102"))
    done = callpulse("replay", "ami", "--who", recording(tmp_path, pbx))
    assert [re.split(r" {2,}", line) for line in done.out.splitlines()] == [
        ["ENDPOINT", "TAKEN FOR", "WHY", "CHANNELS"],
        ["PJSIP/101", "manager 101", "internal", "1"],
        ["PJSIP/provider-trunk", "trunk", "trunks", "1"],
        ["PJSIP/anna", "outside", "no rule, no trunk, not internal", "1"],
    ]
    found = json.loads(callpulse("replay", "ami", "--who", "--json", recording(tmp_path, pbx)).out)
    assert found[0] == {
        "name": "PJSIP/101",
        "role": "manager",
        "manager": "101",
        "reason": "internal",
        "channels": 1,
    }


def test_who_shows_no_telephone_number(callpulse: Runner, tmp_path: Path) -> None:
    pbx = Pbx()
    call(pbx, f"PJSIP/{CUSTOMER}", CUSTOMER)
    assert CUSTOMER[4:10] not in callpulse("replay", "ami", "--who", recording(tmp_path, pbx)).out


def test_a_recording_without_bridge_events_is_warned_of(callpulse: Runner, tmp_path: Path) -> None:
    pbx = Pbx()
    call(pbx, TRUNK, CUSTOMER)
    assert "Bridge" not in callpulse("replay", "ami", "--dry-run", recording(tmp_path, pbx)).err
    pbx.events = [event for event in pbx.events if not event["Event"].startswith("Bridge")]
    done = callpulse("replay", "ami", "--dry-run", recording(tmp_path, pbx))
    assert "must let Bridge events through" in done.err


def test_a_line_that_is_taken_for_a_manager_is_warned_of(callpulse: Runner, tmp_path: Path) -> None:
    pbx = Pbx()
    call(pbx, "SIP/3211234", "+31611111111")
    call(pbx, "SIP/3211234", "+31622222222")
    done = callpulse("replay", "ami", "--dry-run", recording(tmp_path, pbx))
    assert "SIP/3211234 is taken for a manager, but calls with 2 outside numbers come from it" in done.err


@pytest.mark.parametrize("greeting", ["Asterisk Call Manager/1.1", "Asterisk Call Manager/1.3"])
def test_a_recording_of_asterisk_11_is_refused(callpulse: Runner, tmp_path: Path, greeting: str) -> None:
    path = tmp_path / "old.txt"
    path.write_text(f"{greeting}\nEvent: Dial\nSubEvent: Begin\nChannel: SIP/1-1\n\n")
    done = callpulse("replay", "ami", "--dry-run", path)
    assert (done.code, done.out) == (1, "")
    assert "Refused; nothing of these recordings was taken." in done.err
    assert "Asterisk 11 or older" in done.err


def test_a_file_without_a_call_is_not_said_to_be_taken(callpulse: Runner, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("nothing of the kind\n")
    done = callpulse("replay", "ami", "--dry-run", path)
    assert done.code == 1
    assert "No call could be read." in done.err

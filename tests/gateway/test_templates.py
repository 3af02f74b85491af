"""The templates of docs/sources/templates.md: the gateway accepts their posts, with the lead key of the contract."""

from __future__ import annotations

import hmac
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from streams.contract.events import CallEnded
from streams.phone_numbers import lead_key
from tests.gateway.served import SETTINGS, Served, serving

FOLDER = Path(__file__).parents[2] / "docs/sources/templates"
SECRET = "a lead secret, long enough"  # noqa: S105 - it protects nothing
NUMBER = "+74950000101"
NOW_MS = 1_794_899_000_000
CALL = {
    "call_session_id": "88123",
    "direction": "in",
    "employee_full_name": "Vera Lisina",
    "contact_phone_number": "74950000101",
    "start_time": "2026-11-17 09:02:11",
    "talk_time_duration": "317",
    "total_time_duration": "330",
}
STARTED_MS = 1_794_895_331_000
NODE = shutil.which("node")


def of_uis(**more: str) -> dict[str, str]:
    """Return the post of UIS by the template."""
    text = (FOLDER / "uis-call.txt").read_text(encoding="utf-8")
    return dict(json.loads(re.sub(r"{{(\w+)}}", lambda macro: (CALL | more)[macro[1]], text)))


def of_n8n(body: dict[str, str]) -> Any:
    """Return the post of the workflow: its node *Lead key* by Python, its node *Event* by Node."""
    flow = json.loads((FOLDER / "n8n-calls.json").read_bytes())
    nodes = {node["name"]: node["parameters"] for node in flow["nodes"]}
    assert (nodes["Lead key"]["action"], nodes["Lead key"]["type"], nodes["Lead key"]["encoding"]) == (
        *("hmac", "SHA256", "hex"),
    )
    digits = "+" + re.sub(r"[^0-9]", "", body["number"])
    item = {
        "body": body,
        nodes["Lead key"]["dataPropertyName"]: hmac.digest(SECRET.encode(), digits.encode(), "sha256").hex(),
    }
    code = f"const made = (() => {{\n{nodes['Event']['jsCode']}\n}})();\nconsole.log(JSON.stringify(made.json));"
    script = f"const $json = {json.dumps(item)};\n{code}"
    assert NODE is not None
    done = subprocess.run([NODE, "-"], input=script, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


async def taken(served: Served, event: Any) -> CallEnded:
    answer = await served.post(json.dumps(event).encode())
    assert answer.status == 202, answer.body
    made = served.sink.events[-1]
    assert isinstance(made, CallEnded)
    return made


@pytest.mark.skipif(NODE is None, reason="the node of n8n is JavaScript, and there is no Node")
async def test_a_call_of_uis_comes_through_the_workflow_of_n8n() -> None:
    async with serving(SETTINGS, clock=lambda: NOW_MS) as served:
        event = await taken(served, of_n8n(of_uis()))
        assert (event.manager, event.direction, event.disposition) == ("vera.lisina", "inbound", "answered")
        assert (event.started_at, event.at, event.talk_ms) == (STARTED_MS, STARTED_MS + 330_000, 317_000)
        assert (event.answered_at, event.lead) == (STARTED_MS + 13_000, lead_key(NUMBER, SECRET.encode()))
        missed = of_uis(employee_full_name="", talk_time_duration="", contact_phone_number="", call_session_id="2")
        event = await taken(served, of_n8n(missed))
        assert (event.manager, event.disposition, event.lead) == ("queue:inbound", "no_answer", None)
        event = await taken(served, of_n8n(of_uis(employee_full_name="Somebody Else", call_session_id="3")))
        assert event.manager == "uis:Somebody Else"


async def test_the_body_for_make_is_an_event() -> None:
    formulas = {
        "1.call": "77",
        "1.manager": "vera.lisina",
        'substring(sha256("+" + 1.number; "hex"; "LEAD SECRET"); 0; 32)': hmac.digest(
            SECRET.encode(), NUMBER.encode(), "sha256"
        ).hex()[:32],
        'if(1.direction = "out"; "outbound"; "inbound")': "outbound",
        'formatDate(parseDate(1.started; "YYYY-MM-DD HH:mm:ss"; "Europe/Moscow"); "x")': str(STARTED_MS),
        'formatDate(addSeconds(parseDate(1.started; "YYYY-MM-DD HH:mm:ss"; "Europe/Moscow"); 1.total_s); "x")': str(
            STARTED_MS + 330_000
        ),
        "1.talk_s * 1000": "317000",
        'if(1.talk_s > 0; "answered"; "no_answer")': "answered",
    }
    text = (FOLDER / "make-call.txt").read_text(encoding="utf-8")
    async with serving(SETTINGS, clock=lambda: NOW_MS) as served:
        event = await taken(served, json.loads(re.sub(r"{{(.*?)}}", lambda found: formulas[found[1]], text)))
    assert (event.lead, event.talk_ms, event.at) == (lead_key(NUMBER, SECRET.encode()), 317_000, STARTED_MS + 330_000)

"""Any input in any order of a system that posts states of calls gives events of the contract, and no number."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.aircall.hook import AircallHook
from streams.sources.aircall.join import AircallJoin
from streams.sources.frame import Request
from streams.sources.mango.hook import MangoHook
from streams.sources.mango.join import MangoJoin
from streams.sources.megafon.hook import MegafonHook
from streams.sources.megafon.join import MegafonJoin
from streams.sources.ringcentral.hook import RingCentralHook
from streams.sources.ringcentral.join import RingCentralJoin
from streams.sources.zadarma.hook import ZadarmaHook
from streams.sources.zadarma.join import ZadarmaJoin
from tests.sources import test_aircall, test_mango, test_megafon, test_ringcentral, test_zadarma
from tests.sources.signed import Form, aircall, mango, megafon, ringcentral, zadarma
from tests.sources.story import Gateway, HookStory, has_number, rows_of

NUMBER: Final = "79161234567"
IDS: Final = {"id", "telephonySessionId", "entry_id", "call_id", "pbx_call_id", "callid", "second_callid"}
"""Ids of these systems are long numbers: one that is a telephone number looks like any other."""
VALUES: Final = st.one_of(
    st.sampled_from(
        ["", "0", "1", "-1", "201", "999", NUMBER, f"+{NUMBER}", "1794895331", "2026-10-25 02:30:00", "нет", "\0"]
    ),
    st.sampled_from(
        [
            "call.ended",
            "call.transferred",
            "outbound",
            "in",
            "out",
            "answered",
            "busy",
            "Success",
            "Missed",
            "20261117T060211Z",
            "NOTIFY_END",
            "COMPLETED",
        ]
    ),
    st.text(max_size=12),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.none(),
    st.lists(st.integers(), max_size=2),
)


SYSTEMS: Final[dict[str, tuple[HookStory, Any, Any, Callable[[Form], tuple[bytes, dict[str, str]]]]]] = {
    "aircall": (test_aircall.STORY, AircallHook, AircallJoin, aircall),
    "mango": (test_mango.STORY, MangoHook, MangoJoin, mango),
    "megafon": (test_megafon.STORY, MegafonHook, MegafonJoin, megafon),
    "ringcentral": (test_ringcentral.STORY, RingCentralHook, RingCentralJoin, ringcentral),
    "zadarma": (test_zadarma.STORY, ZadarmaHook, ZadarmaJoin, zadarma),
}


def forms(system: str) -> list[Form]:
    found = []
    for delivery in SYSTEMS[system][0].deliveries:
        if system == "aircall":
            envelope = json.loads(delivery.request.body)
            found.append({"event": envelope["event"], "timestamp": envelope["timestamp"], **envelope["data"]})
            continue
        if system == "ringcentral":
            said = json.loads(delivery.request.body)
            session, party = said["body"], said["body"]["parties"][0]
            status = party.pop("status")
            own = {name: session[name] for name in ("sequence", "telephonySessionId")}
            found.append({"timestamp": said["timestamp"], **own, **status, **party})
            continue
        form: Form = dict(parse_qsl(delivery.request.body.decode(), keep_blank_values=True))
        found.append(json.loads(form["json"]) if system == "mango" else form)
    return found


@pytest.mark.fuzz
@pytest.mark.parametrize("system", SYSTEMS)
@given(data=st.data())
def test_any_values_in_any_order_give_events_of_the_contract_without_a_number(system: str, data: st.DataObject) -> None:
    story, hook, join, signed = SYSTEMS[system]
    known = forms(system)
    gateway = Gateway(system, story.settings, hook, join)
    events, stored = [], list[bytes]()
    base = data.draw(st.integers(0, len(known) - 8))
    for number in data.draw(st.lists(st.integers(0, 7), max_size=12)):
        form = dict(known[base + number])
        for name in data.draw(st.lists(st.sampled_from(sorted(form.keys() - IDS)), max_size=2)):
            form[name] = data.draw(VALUES)
        body, headers = signed(form)
        delivery = story.deliveries[base + number].request
        request = Request(
            method="POST",
            url=delivery.url,
            query="",
            headers=headers,
            body=body,
            received_at_ms=delivery.received_at_ms,
        )
        result = gateway.deliver(request, story.deliveries[-1].request.received_at_ms)
        if result is not None:
            events += result.events
            stored += [statement.body for statement in result.statements] + [one.shape for one in result.refused]
    events += gateway.joined(2**42).events
    assert has_number([NUMBER.encode(), *story.numbers()], events, stored) == []
    rows_of(events)


@pytest.mark.fuzz
@pytest.mark.parametrize("system", SYSTEMS)
@given(body=st.binary(max_size=200), keeps_end=st.booleans())
def test_any_bytes_are_read_without_an_exception(system: str, body: bytes, *, keeps_end: bool) -> None:
    story, hook, _, signed = SYSTEMS[system]
    made = hook(story.settings)
    whole, headers = signed(forms(system)[1])
    request = Request(
        method="POST",
        url=story.deliveries[1].request.url,
        query="",
        headers=headers,
        body=body + b"&" + whole if keeps_end else body,
        received_at_ms=story.deliveries[1].request.received_at_ms,
    )
    if made.is_authentic(request):
        made.translate(request)

"""Polls whose cursor is of a clock that was ahead: they go back to the present with the clock."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from streams.settings.settings import load
from streams.sources.aircall.poll import aircall_poll
from streams.sources.amocrm.poll import amocrm_poll
from streams.sources.hubspot.poll import hubspot_poll
from streams.sources.pipedrive.poll import pipedrive_poll
from streams.sources.poll_verdicts import date_s
from streams.sources.registry import SOURCES
from streams.sources.ringcentral.poll import ringcentral_poll
from streams.units import DAY_MS, HOUR_MS
from tests.sources import test_aircall_poll, test_amocrm, test_hubspot, test_pipedrive, test_ringcentral_poll

NOW_MS = 1_794_934_800_000
URL = "https://crm.example"


def moment(until_ms: int) -> bytes:
    return str(until_ms).encode()


def crm(until_ms: int, **more: Any) -> bytes:
    kept = dict.fromkeys(("until", "page", "persons", "swept"), until_ms)
    return json.dumps({**kept, "staged": NOW_MS, "currency": "EUR", **more}).encode()


@pytest.mark.parametrize(
    ("make", "text", "cursor"),
    [
        pytest.param(aircall_poll, test_aircall_poll.TEXT, moment, id="aircall"),
        pytest.param(ringcentral_poll, test_ringcentral_poll.TEXT, moment, id="ringcentral"),
        pytest.param(amocrm_poll, test_amocrm.settings_text(URL), crm, id="amocrm"),
        pytest.param(hubspot_poll, test_hubspot.settings_text(URL), crm, id="hubspot"),
        pytest.param(pipedrive_poll, test_pipedrive.settings_text(URL), crm, id="pipedrive"),
    ],
)
def test_the_first_request_is_that_of_a_cursor_of_now(make: Any, text: str, cursor: Any) -> None:
    source = make(load(text, {}, SOURCES))
    first, ahead, behind = (
        next(source.poll(cursor(until_ms), NOW_MS)) for until_ms in (NOW_MS, NOW_MS + 3 * HOUR_MS, NOW_MS - DAY_MS)
    )
    assert first == ahead
    assert first != behind


def test_a_date_without_a_zone_is_in_utc_wherever_this_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Yekaterinburg")
    time.tzset()
    try:
        dates = ("Tue, 17 Nov 2026 11:00:00 GMT", "Tue, 17 Nov 2026 11:00:00 -0000", "Tue, 17 Nov 2026 11:00:00")
        assert {date_s(date) for date in dates} == {1_794_913_200.0}
    finally:
        monkeypatch.undo()
        time.tzset()

"""Sends the wrong inputs of tests/fixtures/sources/bad to a hook behind a real server, in the exact bytes.

problems = await answered("twilio", text, TwilioHook, TwilioJoin)
assert problems == []
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from streams.contract.events import Event
from streams.settings.settings import Settings, load
from streams.sources.frame import Hook, Join, KeptStatement, Refused
from streams.sources.joins import OpenCalls
from streams.sources.registry import SOURCES
from tests.gateway.raw_http import exchange
from tests.gateway.served import Served, serving
from tests.sources.story import ACCEPTANCE, FIXTURES, HOUR_MS, TOKEN, has_number

_TARGET: Final = re.compile(rb"^(\S+) /sources/[^/ ?]+(?:/[^/ ?]+)?([^ ]*) ")
"""A method, a path that the fixtures have in place of the hook's, and what its system appends."""
_NEVER_ENDS: Final = "content-length-too-long"
_GOOD: Final = range(200, 300)


def index_of(system: str) -> Any:
    """The wrong inputs, and the keys by which they are signed."""
    return json.loads((FIXTURES / "bad" / system / "index.json").read_bytes())


async def answered(
    system: str,
    text: str,
    hook: Callable[[Settings], Hook],
    join: Callable[[Settings], Join] | None = None,
    *,
    numbers: Iterable[bytes] = (b"4950000101",),
    differs: Iterable[str] = (),
    reasons: Mapping[str, str] | None = None,
) -> list[str]:
    """Return, in words, the wrong answers and stored events. `differs` names inputs that may differ.

    With `reasons`, the reason of a dead letter must be the expected one, or the one in `reasons` for the input.
    After each input the sound one is sent: it must be taken as before.
    """
    index = index_of(system)
    wrong: list[str] = []
    now_ms = index["received_at_ms"]
    async with serving(text, hooks={system: hook}, clock=lambda: now_ms) as served:
        for case in index["cases"]:
            if case.get("recipe") or _NEVER_ENDS in case["file"] or case["file"] in differs:
                continue
            refused = len(served.sink.refused)
            wrong += [f"{case['file']}: {text}" for text in await _tried(served, system, case, numbers)]
            if reasons is not None and len(served.sink.refused) > refused:
                reason = served.sink.refused[-1].reason
                if reason not in {case["expect"].get("reason", reason), reasons.get(case["file"])}:
                    wrong.append(f"{case['file']}: is refused as {reason}")
        events = list(served.sink.events)
        if join is not None:
            events += _joined(system, join(load(text, {}, SOURCES)), served, now_ms)
        stored = [*(one.body for one in served.sink.statements), *map(_shown, served.sink.refused)]
        wrong += [f"a number is stored: {number!r}" for number in has_number(numbers, events, stored)]
        if not events:
            wrong.append("not even the sound one became an event")
    return wrong


async def _tried(served: Served, system: str, case: Any, numbers: Iterable[bytes]) -> list[str]:
    expect = case["expect"]
    sink = served.sink
    held, refused, statements = len(sink.events), len(sink.refused), len(sink.statements)
    data = (FIXTURES / "bad" / system / case["file"]).read_bytes()
    answer = await exchange(
        served.url, _TARGET.sub(rb"\1 /hooks/%s/%s\2 " % (system.encode(), TOKEN.encode()), data, 1)
    )
    is_stored = len(sink.events) > held or len(sink.statements) > statements
    is_repeat = answer.status in _GOOD and len(sink.refused) == refused
    kind = "refused" if answer.status not in _GOOD else "accepted" if is_stored else "ignored"
    kinds = {expect["class"], *expect.get("class_any", ())}
    found: list[str] = []
    if kind not in kinds and not (is_repeat and "accepted" in kinds):
        found.append(f"is {kind} ({answer.status}), and should be {' or '.join(sorted(kinds))}")
    is_foreseen = kind != expect["class"] or answer.status in expect.get("status", [answer.status])
    if answer.status >= 500 or not is_foreseen:
        found.append(f"is answered with {answer.status}")
    if kind == "refused" and (is_stored or len(sink.refused) > refused):
        found.append("is refused, and leaves something behind")
    if any(number in answer.body for number in numbers):
        found.append("is answered with a number")
    return found


def _joined(system: str, join: Join, served: Served, now_ms: int) -> list[Event]:
    calls = OpenCalls({system: join})
    for offset, one in enumerate(served.sink.statements):
        calls.take(system, one.call, offset, KeptStatement(now_ms, one.body))
    made = [event for ready in calls.ready(now_ms + HOUR_MS) for event in ready.events]
    return [event for one in made if isinstance(event := ACCEPTANCE.of(one, now_ms), Event)]


def _shown(part: Refused) -> bytes:
    return b" ".join((part.detail.encode(), part.where.encode(), part.shape))

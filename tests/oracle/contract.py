"""A second implementation of the contract of `calls` and `crm`, from its description: it accepts or rejects records.

It shares neither code nor the JSON parser with callpulse's decoder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

MAX_BYTES: Final = 65_536
FUTURE_MS: Final = 300_000
YEAR_2000_MS: Final = 946_684_800_000
YEAR_2100_MS: Final = 4_102_444_800_000
WEEK_MS: Final = 604_800_000
MOST_AMOUNT: Final = 10**15


@dataclass(frozen=True, slots=True)
class Raw:
    """A record as Kafka keeps it. `timestamp_ms` is the moment at which the broker took it in (LogAppendTime)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


Check = Callable[[object], bool]


def _text(shortest: int, longest: int) -> Check:
    return lambda value: isinstance(value, str) and shortest <= len(value) <= longest


def _whole(least: int, most: int) -> Check:
    # bool is an int in Python, and not in JSON.
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _names(value: object) -> bool:
    return isinstance(value, list) and len(value) <= 32 and all(map(_NAME, value))


_NAME: Final = _text(1, 128)
_FLAG: Final[Check] = lambda value: isinstance(value, bool)  # noqa: E731 - a check like those around it
_MOMENT: Final = _whole(YEAR_2000_MS, YEAR_2100_MS)
_DIRECTION: Final = _one_of("inbound", "outbound")
_KIND: Final = _or_null(_one_of("cold", "targeted", "inbound", "repeat"))
_COMMON: Final[dict[str, Check]] = {"v": _whole(1, 1), "id": _NAME, "at": _MOMENT, "source": _NAME, "manager": _NAME}
_LEG: Final[dict[str, Check]] = {**_COMMON, "call": _NAME}
_OF_LEAD: Final[dict[str, Check]] = {"v": _whole(1, 1), "id": _NAME, "at": _MOMENT, "source": _NAME, "lead": _NAME}
_WHO: Final[dict[str, Check]] = {"manager": _or_null(_NAME)}
_WORD: Final = _or_null(_text(0, 256))
_REQUIRED: Final[dict[str, dict[str, Check]]] = {
    "call.started": {**_LEG, "direction": _DIRECTION},
    "call.answered": _LEG,
    "call.transferred": {**_LEG, "to_manager": _NAME, "how": _one_of("blind", "attended")},
    "call.ended": {
        **_LEG,
        "direction": _DIRECTION,
        "started_at": _MOMENT,
        "talk_ms": _whole(0, WEEK_MS),
        "disposition": _one_of("answered", "no_answer", "busy", "failed", "canceled", "voicemail"),
    },
    "manager.presence": {**_COMMON, "state": _one_of("available", "paused", "after_call", "offline")},
    "call.annotated": {**_OF_LEAD, "call": _NAME},
    "deal.stage_changed": {**_OF_LEAD, "deal": _NAME, "stage": _NAME},
    "deal.deleted": {**_OF_LEAD, "deal": _NAME},
    "lead.consulted": {**_OF_LEAD, "mentor": _NAME},
    "activity.logged": {**_OF_LEAD, "channel": _one_of("email", "messenger", "meeting")},
    "lead.linked": {**_OF_LEAD, "old_key": _NAME},
}
_OPTIONAL: Final[dict[str, dict[str, Check]]] = {
    "call.started": {"lead": _or_null(_NAME), "kind": _KIND, "team": _or_null(_NAME), "queue": _or_null(_NAME)},
    "call.answered": {"lead": _or_null(_NAME)},
    "call.transferred": {"lead": _or_null(_NAME)},
    "call.ended": {
        "lead": _or_null(_NAME),
        "kind": _KIND,
        "answered_at": _or_null(_MOMENT),
        "ended_by": _one_of("hangup", "timeout", "cdr"),
        "internal": _FLAG,
        "uncertain": _FLAG,
    },
    "manager.presence": {"reason": _WORD},
    "call.annotated": {
        **_WHO,
        "kind": _KIND,
        "stages": _names,
        "reason": _or_null(_NAME),
        "revision": _whole(0, 1_000_000),
    },
    "deal.stage_changed": {
        **_WHO,
        # An event with an unreadable amount or currency is accepted.
        "product": _WORD,
        "channel": _WORD,
        "client_type": _WORD,
    },
    "deal.deleted": _WHO,
    "lead.consulted": _WHO,
    "activity.logged": _WHO,
    "lead.linked": _WHO,
}
_OF_CRM: Final = frozenset(
    {"call.annotated", "deal.stage_changed", "deal.deleted", "lead.consulted", "activity.logged", "lead.linked"}
)
TYPES: Final = {"calls": _REQUIRED.keys() - _OF_CRM, "crm": _OF_CRM}
_CHECKS: Final = {kind: {**_REQUIRED[kind], **_OPTIONAL[kind]} for kind in _REQUIRED}
_MOMENTS: Final = frozenset({"at", "started_at", "answered_at"})


def why_not(record: Raw, future_ms: int = FUTURE_MS) -> str | None:
    """Return the reason for which the record of topic `calls` or `crm` is rejected, or None where it is an event."""
    event = _parsed(record.value)
    if isinstance(event, str):
        return event
    return (
        _kind(event, record.topic)
        or _fields(event)
        or _key(record, event)
        or ("future" if event["at"] > record.timestamp_ms + future_ms else None)
        or ("invalid_field" if event["type"] == "lead.linked" and event["old_key"] == event["lead"] else None)
    )


def _key(record: Raw, event: dict[str, Any]) -> str | None:
    """Return the error in the record's key, or in the manager's name, which becomes a label."""
    if record.key is None:
        return "no_key"
    if record.key != event["lead" if record.topic == "crm" else "manager"].encode():
        return "wrong_key"
    return None if record.topic == "crm" or event["manager"].isprintable() else "invalid_field"


def _parsed(value: bytes | None) -> dict[str, Any] | str:
    """Return the JSON object, or the reason why there is none."""
    if not value:
        return "empty"
    if len(value) > MAX_BYTES:
        return "too_large"
    try:
        event = json.loads(value.decode(), parse_constant=_no_number, parse_float=_number)
        if b"\\u" in value:
            json.dumps(event, ensure_ascii=False).encode()  # half of a surrogate pair is no character
    except RecursionError:
        return "too_deep"
    except UnicodeDecodeError:
        return "not_utf8"
    except ValueError:
        return "not_json"
    return event if isinstance(event, dict) else "not_json"


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("the number is out of range")
    return number


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"JSON knows no {word}")


def _kind(event: dict[str, Any], topic: str) -> str | None:
    """Return the error in the type or the version."""
    if "type" not in event:
        return "missing_field"
    if not isinstance(event["type"], str) or event["type"] not in TYPES[topic]:
        return "unknown_type"
    version = event.get("v", 1)
    return "unknown_version" if isinstance(version, bool) or version != 1 else None


def _fields(event: dict[str, Any]) -> str | None:
    """Return the error in the fields: of several errors the first one in the text; missing fields come last."""
    checks = _CHECKS[event["type"]]
    for name, value in event.items():
        check = checks.get(name)
        if check is not None and not check(value):
            return "invalid_time" if name in _MOMENTS else "invalid_field"
        if name == "next_step" and event["type"] == "call.annotated" and (reason := _step(value)) is not None:
            return reason
    if not _REQUIRED[event["type"]].keys() <= event.keys():
        return "missing_field"
    if event["type"] != "call.ended":
        return None
    moments = (event["started_at"], event.get("answered_at"))
    return "invalid_time" if any(moment is not None and moment > event["at"] for moment in moments) else None


def _step(value: object) -> str | None:
    """Return the error in the next step."""
    if value is None:
        return None
    if not isinstance(value, dict):
        return "invalid_field"
    for name, field in value.items():
        if name == "agreed" and not isinstance(field, bool):
            return "invalid_field"
        if name == "due_at" and field is not None and not _MOMENT(field):
            return "invalid_time"
    return None if "agreed" in value else "missing_field"

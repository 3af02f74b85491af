"""Malformed records, each with the reason for which it must be rejected.

Each is made from a valid event and has its own id, so a malformed record that is wrongly accepted changes a figure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from streams.contract.events import MAX_BYTES, CallEvent, CrmEvent, DealStageChanged, Reason
from streams.simulator.faults.edge_cases import FAR_MS
from streams.simulator.rng import SeededRandom

Fields: TypeAlias = dict[str, Any]
_STRANGER: Final = "nobody.at.all"


def malformed_call_event(rng: SeededRandom, event: CallEvent, manager: str) -> tuple[str | None, bytes, Reason]:
    """Return key and value of a malformed record made from `event`, and its reject reason."""
    reason, corrupt = rng.choice(_RECIPES)
    fields: Fields = msgspec.to_builtins(event)
    fields["id"] = f"bad-{rng.getrandbits(64):016x}"
    key: str | None = manager
    if reason == "no_key":
        key = None
    elif reason == "wrong_key":
        key = _STRANGER
    return key, corrupt(fields), reason


def malformed_crm_event(rng: SeededRandom, event: CrmEvent) -> tuple[str | None, bytes, Reason]:
    """Return key and value of a malformed record of topic `crm` made from `event`, and its reject reason."""
    deal = isinstance(event, DealStageChanged)
    reason, corrupt = rng.choice((*_CRM_RECIPES, *_DEAL_RECIPES) if deal else _CRM_RECIPES)
    fields: Fields = msgspec.to_builtins(event)
    fields["id"] = f"bad-{rng.getrandbits(64):016x}"
    key: str | None = event.lead
    if reason == "no_key":
        key = None
    elif reason == "wrong_key":
        key = _STRANGER
    return key, corrupt(fields), reason


def _json(fields: Fields) -> bytes:
    return msgspec.json.encode(fields)


def _with(**changed: object) -> Callable[[Fields], bytes]:
    return lambda fields: _json({**fields, **changed})


def _raw(name: str, text: bytes) -> Callable[[Fields], bytes]:
    """Set a field's value to these bytes, which may be invalid JSON."""
    return lambda fields: _json({**fields, name: "§"}).replace('"§"'.encode(), text)


def _of_itself(fields: Fields) -> bytes:
    """Link a lead to itself."""
    return _json({**fields, "type": "lead.linked", "old_key": fields["lead"]})


def _without(name: str) -> Callable[[Fields], bytes]:
    return lambda fields: _json({key: value for key, value in fields.items() if key != name})


def _nan(fields: Fields) -> bytes:
    at = str(fields["at"]).encode()
    return _json(fields).replace(b":" + at, b":NaN")


def _torn(fields: Fields) -> bytes:
    return _json(fields)[:-7]


def _not_utf8(fields: Fields) -> bytes:
    return _json({**fields, "note": "§"}).replace("§".encode(), b"\xff\xfe")


def _deep(fields: Fields) -> bytes:
    return _json(fields)[:-1] + b',"deep":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


_RECIPES: Final[tuple[tuple[Reason, Callable[[Fields], bytes]], ...]] = (
    ("empty", lambda _: b""),
    ("not_json", _torn),
    ("not_json", _nan),
    ("not_json", lambda fields: b"BEGIN " + _json(fields)),
    ("not_json", lambda fields: _json(fields) * 2),
    ("not_utf8", _not_utf8),
    ("too_deep", _deep),
    ("too_large", lambda fields: _json({**fields, "note": "x" * MAX_BYTES})),
    ("unknown_type", _with(type="call.imagined")),
    ("unknown_version", _with(v=2)),
    ("missing_field", _without("manager")),
    ("missing_field", _without("id")),
    ("missing_field", _without("type")),
    ("invalid_field", _with(call=17)),
    ("invalid_field", _with(source="")),
    ("invalid_time", lambda fields: _json({**fields, "at": fields["at"] // 1000})),  # seconds for milliseconds
    ("invalid_time", _with(at=-1)),
    ("future", _with(at=FAR_MS)),
    ("no_key", _json),
    ("wrong_key", _json),
)

_CRM_RECIPES: Final[tuple[tuple[Reason, Callable[[Fields], bytes]], ...]] = (
    ("empty", lambda _: b""),
    ("not_json", _torn),
    ("not_json", _nan),
    ("not_utf8", _not_utf8),
    ("too_deep", _deep),
    ("too_large", lambda fields: _json({**fields, "note": "x" * MAX_BYTES})),
    ("unknown_type", _with(type="deal.imagined")),
    ("unknown_type", _with(type="call.ended")),  # of another topic
    ("unknown_version", _with(v=2)),
    ("missing_field", _without("lead")),
    ("missing_field", _without("id")),
    ("invalid_field", _with(lead="")),
    ("invalid_field", _with(manager=17)),
    ("invalid_field", _of_itself),
    ("invalid_time", lambda fields: _json({**fields, "at": fields["at"] // 1000})),
    ("future", _with(at=FAR_MS)),
    ("no_key", _json),
    ("wrong_key", _json),
)
_DEAL_RECIPES: Final[tuple[tuple[Reason, Callable[[Fields], bytes]], ...]] = (
    ("not_json", _raw("amount", b"NaN")),
    ("invalid_field", _with(stage="")),
    ("missing_field", _without("deal")),
)

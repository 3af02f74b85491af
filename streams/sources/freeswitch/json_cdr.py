"""The records of mod_json_cdr: one JSON document for each channel, posted or in a file of `err-log-dir`."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Final, Never, TypeAlias
from urllib.parse import unquote, unquote_to_bytes

import msgspec

from streams.sources.frame import UnreadableError
from streams.sources.freeswitch.record import Profile, Record, moment_ms, read_record

_Json: TypeAlias = object
_FORM: Final = "application/x-www-form-urlencoded"
_BASE64: Final = "application/x-www-form-base64-encoded"
_FIELD: Final = b"cdr="
_BOM: Final = b"\xef\xbb\xbf"
_SPACES: Final = re.compile(rb"[\r\n\t]")
_MOST_PROFILES: Final = 100
# Characters that encode-values escapes, and that an unescaped record always has: blanks and colons of times, the @ of a
# channel's name.
_UNESCAPED: Final = re.compile(r"[ :@]")
_TELLING: Final = ("start_stamp", "channel_name", "sip_from_uri", "caller_id")


def read_body(body: bytes, content_type: str = "") -> Record:
    """Return the record in the body of a request. Raises UnreadableError."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _BASE64:
        return read_document(_base64(_cdr(body)))
    if kind == _FORM:
        return read_document(unquote_to_bytes(_cdr(body).replace(b"+", b" ")))
    return read_document(body)


def read_document(document: bytes) -> Record:
    """Return the record of a JSON document. Raises UnreadableError."""
    found = _decoded(document)
    if not isinstance(found, dict):
        raise UnreadableError("not_json", "the record is no JSON object")
    variables = found.get("variables")
    if variables is None:
        raise UnreadableError("missing_field", "`variables` is missing")
    if not isinstance(variables, dict):
        raise UnreadableError("invalid_field", "`variables` is no object")
    texts = {name: text for name, held in variables.items() if (text := _text(name, held)) is not None}
    if not any(_UNESCAPED.search(texts.get(name, "")) for name in _TELLING):
        texts = {name: unquote(text) for name, text in texts.items()}
    flows = _flows(found.get("callflow"))
    profiles = tuple(_profile(flow) for flow in flows)
    # A record has the present caller profile first, and the original one last.
    first = _strings(flows[0].get("caller_profile")) if flows else {}
    more = {name: first[name] for name in ("caller_id_number", "destination_number") if first.get(name)}
    return read_record({**texts, **more}, profiles, first.get("context", ""))


_NEEDED: Final = frozenset(("uuid", "direction", "channel_name", "call_uuid", "hangup_cause"))


def _text(name: str, held: _Json) -> str | None:
    """Return the text of a variable; None for another value. Raises UnreadableError for a required one."""
    if isinstance(held, str) and (name != "direction" or held):
        return held
    is_count = isinstance(held, int) and not isinstance(held, bool)
    if is_count and name != "direction":
        return str(held)
    if name in _NEEDED or name.endswith("_uepoch"):
        raise UnreadableError("invalid_field", f"`{name}` is no text" if name in _NEEDED else "a moment is no text")
    return None


def _decoded(document: bytes) -> _Json:
    document = document.removeprefix(_BOM)
    # A display name comes as the telephone of a stranger wrote it, and no figure depends on it.
    text = document.decode("utf-8", "replace")
    try:
        if text.count('"callflow"') > 1:  # older releases write the key once for each caller profile
            return json.loads(text, object_pairs_hook=_repeated, parse_constant=_refuse_constant)
        return msgspec.json.decode(text)
    except RecursionError:
        raise UnreadableError("too_deep", "the record is nested too deep") from None
    except (msgspec.MsgspecError, ValueError):
        if text.encode() != document:
            raise UnreadableError("not_utf8", "the record is not UTF-8, and not JSON") from None
        raise UnreadableError("not_json", "the record is not one JSON document") from None


def _repeated(pairs: list[tuple[str, _Json]]) -> dict[str, _Json]:
    """Return an object in which a repeated `callflow` is an array."""
    found = dict(pairs)
    flows = [held for name, held in pairs if name == "callflow"]
    if len(flows) > 1:
        found["callflow"] = [one for held in flows for one in (held if isinstance(held, list) else [held])]
    return found


def _refuse_constant(_name: str) -> Never:
    raise ValueError("is no JSON")


def _flows(held: _Json) -> list[dict[str, _Json]]:
    """Return the stretches of the dialplan, the oldest first."""
    flows = held if isinstance(held, list) else [held]
    return [one for one in flows[:_MOST_PROFILES] if isinstance(one, dict)][::-1]


def _strings(held: _Json) -> dict[str, str]:
    if not isinstance(held, dict):
        return {}
    return {name: unquote(value) for name, value in held.items() if isinstance(value, str)}


def _profile(flow: Mapping[str, _Json]) -> Profile:
    times = _strings(flow.get("times"))
    destination = _strings(flow.get("caller_profile")).get("destination_number", "")
    try:
        return Profile(destination, moment_ms(times.get("transfer_time", "0")))
    except ValueError:
        return Profile(destination)


def _cdr(body: bytes) -> bytes:
    """Return the value of the field `cdr`. Raises UnreadableError."""
    for field in body.split(b"&", 20)[:20]:
        if field.startswith(_FIELD):
            return field.removeprefix(_FIELD)
    raise UnreadableError("missing_field", "the form has no field `cdr`")


def _base64(text: bytes) -> bytes:
    if b"%" in text:
        text = unquote(text.decode("latin-1")).encode("latin-1", "replace")
    try:
        return base64.b64decode(_SPACES.sub(b"", text).replace(b" ", b"+"), validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableError("invalid_field", "the field `cdr` is no base64") from None

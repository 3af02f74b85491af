"""Bytes to events: the decoder of a topic, and the reason for refusing bytes that are no event."""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar, Union

import msgspec

from streams.contract.events import EVENT_TYPES, MAX_BYTES, TOPIC_EVENTS, VERSION, Rejection

E = TypeVar("E")


class Decoder(Generic[E]):
    """Decodes records of one topic, or of several, into their events, `E`. Reusable; keeps no state between calls."""

    def __init__(self, *topics: str) -> None:
        """Raise KeyError for a topic that carries no contract events."""
        self._types = {cls.__struct_config__.tag for topic in topics for cls in EVENT_TYPES[topic]}
        form: Any = Union[tuple(TOPIC_EVENTS[topic] for topic in topics)]  # noqa: UP007 - X | Y takes no tuple
        self._decode = msgspec.json.Decoder(form).decode

    def decode(self, value: bytes | None) -> E | Rejection:
        """Return the event that `value` holds, or the reason why it holds none. Never raises."""
        if not value:
            return Rejection("empty", "the record has no value")
        if len(value) > MAX_BYTES:
            return Rejection("too_large", f"{len(value)} bytes; at most {MAX_BYTES} are allowed")
        try:
            event: E = self._decode(value)
        except RecursionError:
            return Rejection("too_deep", "nested too deeply")
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return self._explain(value, str(error))
        # The decoder does not check the text of unknown fields; the contract requires UTF-8 in all of the record.
        if not value.isascii() and (broken := _not_utf8(value)) is not None:
            return broken
        return event

    def _explain(self, value: bytes, error: str) -> Rejection:  # noqa: PLR0911 - a return for each reason
        """Name the reason of a failed decode. The slow path: it decodes the value a second time."""
        if (broken := _not_utf8(value)) is not None:
            return broken
        try:
            raw = msgspec.json.decode(value)
        except RecursionError:
            return Rejection("too_deep", "nested too deeply")
        except msgspec.MsgspecError as broken_json:
            return Rejection("not_json", _without_values(str(broken_json)))
        if not isinstance(raw, dict):
            return Rejection("not_json", f"a JSON object was expected, not {type(raw).__name__}")
        if "type" not in raw:
            return Rejection("missing_field", "`type` is missing")
        if not isinstance(raw["type"], str) or raw["type"] not in self._types:
            return Rejection("unknown_type", f"known here: {', '.join(sorted(map(str, self._types)))}")
        if "v" in raw and (raw["v"] != VERSION or isinstance(raw["v"], bool)):
            return Rejection("unknown_version", f"this release understands version {VERSION}")
        if "missing required field" in error:
            return Rejection("missing_field", _without_values(error))
        if re.search(r"`\$\.(at|\w+_at|next_step\.due_at)`", error) or re.search(r"(later than|before) \w+", error):
            return Rejection("invalid_time", _without_values(error))
        return Rejection("invalid_field", _without_values(error))


def why_not_json(value: bytes, otherwise: str) -> Rejection:
    """Return the reason why bytes that are no record, such as a batch, cannot be read. `otherwise`: they are JSON."""
    if (broken := _not_utf8(value)) is not None:
        return broken
    try:
        msgspec.json.decode(value)
    except RecursionError:
        return Rejection("too_deep", "nested too deeply")
    except msgspec.MsgspecError as error:
        return Rejection("not_json", _without_values(str(error)))
    return Rejection("not_json", otherwise)


def _not_utf8(value: bytes) -> Rejection | None:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return Rejection("not_utf8", f"invalid UTF-8 at byte {error.start}")
    return None


def _without_values(text: str) -> str:
    # An enum error quotes the value. It may be a number or words of a customer and look like the rest of the error.
    return re.sub(r"Invalid enum value .+ - at `", "Invalid enum value - at `", text, flags=re.DOTALL)[:300]

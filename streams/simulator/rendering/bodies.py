"""Request bodies with events, as a sender posts them to the gateway: arrays, lines of JSON, batches of CloudEvents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import msgspec

from streams.contract.events import Event

MOST: Final = 500
"""Events in one body."""
_SOURCE: Final = "urn:callpulse:simulator"


def arrays(events: Iterable[Event]) -> Iterator[bytes]:
    """Yield JSON arrays: `application/json`."""
    for batch in _batches(events):
        yield b"[" + b",".join(map(msgspec.json.encode, batch)) + b"]"


def lines(events: Iterable[Event]) -> Iterator[bytes]:
    """Yield bodies of one JSON object a line: `application/x-ndjson`."""
    for batch in _batches(events):
        yield b"".join(msgspec.json.encode(event) + b"\n" for event in batch)


def cloudevents(events: Iterable[Event]) -> Iterator[bytes]:
    """Yield batches of CloudEvents 1.0: `application/cloudevents-batch+json`.

    The envelope has the type and the time of the event; the data leave them out.
    """
    for batch in _batches(events):
        yield msgspec.json.encode([_envelope(event) for event in batch])


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    left = iter(events)
    while batch := list(islice(left, MOST)):
        yield batch


def _envelope(event: Event) -> dict[str, Any]:
    data = msgspec.to_builtins(event)
    moment = datetime.fromtimestamp(data["at"] // 1000, UTC)
    return {
        "specversion": "1.0",
        "id": data.pop("id"),
        "source": _SOURCE,
        "type": f"callpulse.{data.pop('type')}",
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{data.pop('at') % 1000:03d}Z",
        "datacontenttype": "application/json",
        "data": {name: value for name, value in data.items() if name not in ("v", "source")},
    }

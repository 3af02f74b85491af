"""`callpulse schema`: the event contract of a topic as JSON Schema, for whoever writes a source."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import typer

from agents.cli.common import write
from streams.contract.events import TOPIC_EVENTS, VERSION


def schema(
    topic: Annotated[Literal["calls", "crm", "speech"], typer.Argument(help="The topic whose events are meant.")],
) -> None:
    """Print the JSON Schema of the events of a topic, to check a source against before it sends.

    What the schema cannot say: an event has at most 64 KiB, the record's key is its manager (calls, speech) or its lead
    (crm), and moments must be in order. docs/events.md says it all.

    For example:

        callpulse schema calls > calls.schema.json
    """
    write(text(topic).encode())


def text(topic: str) -> str:
    """Return the text of docs/schema/TOPIC.json."""
    made: dict[str, Any] = msgspec.json.schema(TOPIC_EVENTS[topic])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Events of the topic `{topic}`, contract version {VERSION}",
        **made,
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"

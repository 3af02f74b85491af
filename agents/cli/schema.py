"""`callpulse schema`: the contract as JSON Schema, and the HTTP way in as OpenAPI, for developers of sources."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Literal

import msgspec
import typer

from agents.cli.common import write
from streams.contract.events import TOPIC_EVENTS, VERSION
from streams.contract.schema import schema_components
from streams.sources.http.openapi import document_text


def schema(
    topic: Annotated[
        Literal["calls", "crm", "speech", "openapi"],
        typer.Argument(help="The topic whose events are meant, or openapi."),
    ],
) -> None:
    """Print the JSON Schema of the events of a topic, or the OpenAPI document, to check a source against.

    What the schema cannot say: an event has at most 64 KiB, the record's key is its manager (calls, speech) or its lead
    (crm), and moments must be in order. docs/events.md says it all.

    For example:

        callpulse schema calls > calls.schema.json

        callpulse schema openapi > openapi.json
    """
    write((document_text(version("callpulse")) if topic == "openapi" else text(topic)).encode())


def text(topic: str) -> str:
    """Return the text of docs/schema/TOPIC.json."""
    [made], components = schema_components([TOPIC_EVENTS[topic]])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Events of the topic `{topic}`, contract version {VERSION}",
        **made,
        "$defs": components,
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"

"""The OpenAPI 3.1 document of the HTTP way in, made from the contract and from the table of problems."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import Any, Final

import msgspec

from streams.contract.events import EVENT_TYPES, MAX_BYTES, REASONS, TOPIC_EVENTS, VERSION
from streams.contract.schema import schema_components
from streams.sources.http.batch import FORMS, MOST_EVENTS
from streams.sources.http.cloudevents import PREFIX, SPECVERSION
from streams.sources.http.problems import PROBLEMS, TYPE, Slug

_REF: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_AFTER: Final = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
_RETRIED: Final = (429, 503)
_EVENTS: Final[tuple[Slug, ...]] = (
    "malformed-request",
    "length-mismatch",
    "unauthenticated",
    "signature-invalid",
    "network-not-allowed",
    "certificate-not-allowed",
    "request-timeout",
    "body-too-large",
    "too-many-events",
    "unsupported-media-type",
    "unsupported-encoding",
    "none-accepted",
    "too-many-requests",
    "headers-too-large",
    "overloaded",
    "not-stored",
    "maybe-stored",
)
_TEXTS: Final = """\
Post the events of the contract (`docs/events.md`) as one object, an array, lines (NDJSON) or CloudEvents. The answer is
202 with a result for each event, in the order in which they were sent: one bad event fails no other. 202 is sent once
every accepted event is in Kafka, or on the gateway's disk. The same `id` twice is the same event, so a request whose
answer did not come may be sent again.

What this document cannot say: an event has at most {bytes} bytes; moments must be in order; `at` is not in the future;
no name or key could be a telephone number."""


@cache
def document_text(version: str) -> str:
    """Return the document as the text of docs/openapi.json. `version` is that of the release."""
    text = msgspec.json.encode(document(version))
    return msgspec.json.format(text, indent=2).decode() + "\n"


def document(version: str) -> dict[str, Any]:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "callpulse: the way in",
            "version": version,
            "summary": f"Events of calls and of the CRM, contract version {VERSION}.",
            "description": _TEXTS.format(bytes=MAX_BYTES),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/v1/events": {"post": _post("sendEvents", "Send events")},
            "/v1/cloudevents": {"post": _post("sendCloudEvents", "Send events; the same as /v1/events")},
            "/v1/openapi.json": {"get": _get("getDocument", "This document", _JSON, {"type": "object"})},
            "/-/healthy": {"get": _state("isHealthy", "Whether the process works", "healthy")},
            "/-/ready": {"get": _state("isReady", "Whether events are taken", "ready")},
            "/metrics": {"get": _get("getMetrics", "Metrics, for Prometheus", "text/plain", _TEXT)},
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "From `callpulse token new NAME`."},
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "webhook-signature",
                    "description": "Standard Webhooks, with `webhook-id` and `webhook-timestamp`.",
                },
            },
        },
    }


def _post(operation: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "security": [{"token": []}, {"signature": []}, {"token": [], "signature": []}],
        "parameters": [
            {
                "name": "Content-Encoding",
                "in": "header",
                "schema": {"enum": ["gzip", "identity"]},
                "description": "The size is bounded before and after decompression.",
            }
        ],
        "requestBody": {"required": True, "content": _bodies()},
        "responses": {"202": _stored(), **_problems(_EVENTS)},
    }


def _bodies() -> dict[str, Any]:
    event = {"$ref": _REF.format(name="AnyEvent")}
    batch = {"type": "array", "items": event, "maxItems": MOST_EVENTS}
    envelope = {"$ref": _REF.format(name="CloudEvent")}
    lines = {**_TEXT, "description": f"An event a line, at most {MOST_EVENTS} lines."}
    schemas: dict[str, Any] = {
        "json": {"anyOf": [event, batch]},
        "ndjson": lines,
        "cloudevent": envelope,
        "cloudevents": {"type": "array", "items": envelope, "maxItems": MOST_EVENTS},
    }
    return {media: {"schema": schemas[form]} for media, form in FORMS.items()}


def _stored() -> dict[str, Any]:
    return {
        "description": "Some events are accepted, or all, or were there before.",
        "content": {_JSON: {"schema": {"$ref": _REF.format(name="Results")}}},
    }


def _problems(slugs: tuple[Slug, ...]) -> dict[str, Any]:
    """Return the responses of problems, by their status."""
    by_status: dict[int, list[Slug]] = defaultdict(list)
    for slug in slugs:
        by_status[PROBLEMS[slug].status].append(slug)
    made = {}
    for status, some in sorted(by_status.items()):
        described = "\n".join(f"- `{TYPE}{slug}`: {PROBLEMS[slug].title}. {PROBLEMS[slug].advice}" for slug in some)
        answer: dict[str, Any] = {
            "description": described,
            "content": {_PROBLEM: {"schema": {"$ref": _REF.format(name="Problem")}}},
        }
        if status in _RETRIED:
            answer["headers"] = _AFTER
        made[str(status)] = answer
    return made


def _get(operation: str, summary: str, media: str, schema: dict[str, Any]) -> dict[str, Any]:
    found = {"description": summary, "content": {media: {"schema": schema}}}
    return {"operationId": operation, "summary": summary, "security": [], "responses": {"200": found}}


def _state(operation: str, summary: str, word: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {word: {"type": "boolean"}}, "required": [word]}
    made = _get(operation, summary, _JSON, schema)
    made["responses"]["503"] = {"description": "No.", "content": {_JSON: {"schema": schema}}}
    return made


def _schemas() -> dict[str, Any]:
    _, found = schema_components(list(TOPIC_EVENTS.values()), _REF)
    schemas = dict(sorted(found.items()))
    kinds = {str(cls.__struct_config__.tag): cls.__name__ for classes in EVENT_TYPES.values() for cls in classes}
    refs = {kind: _REF.format(name=name) for kind, name in sorted(kinds.items())}
    schemas["AnyEvent"] = {
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "type", "mapping": refs},
    }
    schemas["CloudEvent"] = {
        "type": "object",
        "description": "CloudEvents 1.0 in JSON. What `data` leaves out of v, id, type, at and source comes from here.",
        "properties": {
            "specversion": {"const": SPECVERSION},
            "id": {**_TEXT, "minLength": 1, "maxLength": 2048},
            "source": {**_TEXT, "minLength": 1, "maxLength": 2048},
            "type": {"enum": [PREFIX + kind for kind in refs]},
            "time": {**_TEXT, "format": "date-time"},
            "datacontenttype": _TEXT,
            "data": {"$ref": _REF.format(name="AnyEvent")},
            "data_base64": {**_TEXT, "contentEncoding": "base64"},
        },
        "required": ["specversion", "id", "source", "type"],
    }
    schemas["Result"] = {
        "type": "object",
        "properties": {
            "id": {"type": ["string", "null"], "description": "The event's own id, if one could be read."},
            "status": {"enum": ["accepted", "duplicate", "rejected"]},
            "reason": {"enum": list(REASONS), "description": "Why it is rejected: docs/events.md."},
            "detail": {**_TEXT, "description": "Names fields, and never a value."},
        },
        "required": ["id", "status"],
    }
    counts: dict[str, Any] = {"accepted": _COUNT, "duplicates": _COUNT, "rejected": _COUNT}
    results = {"type": "array", "items": {"$ref": _REF.format(name="Result")}}
    schemas["Results"] = {
        "type": "object",
        "properties": {**counts, "results": results},
        "required": [*counts, "results"],
    }
    schemas["Problem"] = {
        "type": "object",
        "description": "RFC 9457. `results` and the counts are there where no event was accepted.",
        "properties": {
            "type": {"enum": [TYPE + slug for slug in PROBLEMS]},
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            **counts,
            "results": results,
        },
        "required": ["type", "title", "status"],
    }
    return schemas

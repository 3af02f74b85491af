"""The problems of the HTTP way in: meaning, status and stable name of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct

TYPE: Final = "urn:callpulse:problem:"
"""The prefix of the `type` of a problem; its name follows."""

Slug: TypeAlias = Literal[
    "malformed-request",
    "unauthenticated",
    "signature-invalid",
    "network-not-allowed",
    "certificate-not-allowed",
    "not-found",
    "method-not-allowed",
    "request-timeout",
    "length-mismatch",
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
    "stopping",
    "internal-error",
]


class Problem(Struct, frozen=True):
    """A problem: its status code, its title, and the remedy for the sender."""

    status: int
    title: str
    advice: str


PROBLEMS: Final[Mapping[Slug, Problem]] = {
    "malformed-request": Problem(400, "The request is no valid HTTP", "Mend the sender; do not send it again."),
    "length-mismatch": Problem(400, "The body ended early", "Send it again."),
    "unauthenticated": Problem(401, "No valid token or signature", "Set the token; do not send it again before."),
    "signature-invalid": Problem(403, "The signature is wrong or too old", "Check the secret and the clock."),
    "network-not-allowed": Problem(403, "The address is not allowed", "Send from a network of the sender's list."),
    "certificate-not-allowed": Problem(403, "The client certificate is not allowed", "Use the sender's certificate."),
    "not-found": Problem(404, "There is nothing at this path", "Check the URL."),
    "method-not-allowed": Problem(405, "The path has no such method", "Use a method of the header Allow."),
    "request-timeout": Problem(408, "The body did not arrive in time", "Send it again."),
    "body-too-large": Problem(413, "The body is too large", "Send smaller batches."),
    "too-many-events": Problem(413, "The batch has too many events", "Send smaller batches."),
    "unsupported-media-type": Problem(415, "The content type is not understood", "Send one that is named here."),
    "unsupported-encoding": Problem(415, "The content encoding is not understood", "Send the body plain or in gzip."),
    "none-accepted": Problem(422, "No event was accepted", "Mend the events; do not send them again as they are."),
    "too-many-requests": Problem(429, "The sender has too many requests in flight", "Send it again after Retry-After."),
    "headers-too-large": Problem(431, "The headers are too large", "Send fewer or shorter headers."),
    "overloaded": Problem(503, "The gateway has too much to do", "Send it again after Retry-After."),
    "not-stored": Problem(503, "The events are not stored", "Send it again after Retry-After."),
    "maybe-stored": Problem(
        503, "It is not known whether the events are stored", "Send it again after Retry-After: ids are stable."
    ),
    "stopping": Problem(503, "The gateway is stopping", "Send it again after Retry-After."),
    "internal-error": Problem(500, "A defect of the gateway", "Send it again later, and report it."),
}

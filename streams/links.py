"""Addresses of pages of the CRM and the telephone system, made of templates such as `https://crm.example/lead/{lead}`.

An id is inserted percent-encoded, and never into the host, so an id from outside cannot lead to another host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote

from streams.phone_numbers import KEY_PREFIX

PARTS: Final = ("", ".source", ".kind", ".id")
"""The placeholders: the id as events carry it, and the parts of one with colons (`hubspot:contact:12`)."""
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9._-]+(?::[1-9][0-9]{0,4})?(?:[/?#].*)?")
# The signs of an address but $, [ and ], which begin a variable in Grafana, and the quotation mark of YAML.
_LITERAL: Final = re.compile(r"[A-Za-z0-9!#%&()*+,./:;=?@_~-]*")
_NO_STEP: Final = (".", "..")
"""A browser reads these as steps between folders, even percent-encoded."""


class Piece(NamedTuple):
    """A part of a template: text as it stands, or the name of a placeholder without braces."""

    text: str
    is_placeholder: bool


def pieces(template: str) -> Iterator[Piece]:
    """Yield the parts of a template in order."""
    at = 0
    for found in _PLACEHOLDER.finditer(template):
        if found.start() > at:
            yield Piece(template[at : found.start()], is_placeholder=False)
        yield Piece(found[1], is_placeholder=True)
        at = found.end()
    if at < len(template):
        yield Piece(template[at:], is_placeholder=False)


def placeholders(subject: str) -> tuple[str, ...]:
    """Return the placeholders for `subject`, such as "lead", without braces. A manager's id has no parts."""
    return (subject,) if subject == "manager" else tuple(subject + part for part in PARTS)


def problem(template: str, subject: str) -> str | None:
    """Return the problem of a template for `subject`, in words for its author, or None."""
    known = placeholders(subject)
    written = ", ".join(f"{{{name}}}" for name in known)
    literal = _PLACEHOLDER.sub("", template)
    named = [piece.text for piece in pieces(template) if piece.is_placeholder]
    if "{" in literal or "}" in literal:
        return f"has a brace without its other one; placeholders are {written}"
    unknown = next((name for name in named if name not in known), None)
    if unknown is not None:
        return f"has the unknown placeholder {{{unknown}}}; known here: {written}"
    if _ADDRESS.fullmatch(template) is None:
        return f'is no address that begins with http:// or https:// and a host; write for example "{_example(subject)}"'
    if (wrong := _LITERAL.match(literal)) is not None and wrong.end() < len(literal):
        return f'has the character "{literal[wrong.end()]}", which must be percent-encoded'
    needed = [name for name in known if name in (subject, f"{subject}.id")]
    if not {*needed} & {*named}:
        return f"does not name {' or '.join(f'{{{name}}}' for name in needed)}, so all links would lead to one page"
    return None


def render(template: str, subject: str, id_: str) -> str | None:
    """Return the address of the page of `id_`, or None where there is none.

    There is none without a template or an id, and for an id that lacks a part named by the template.
    """
    if not template or not id_:
        return None
    values = _values(subject, id_)
    made = []
    for text, is_placeholder in _pieces(template):
        if is_placeholder:
            value = values[text]
            if not value or value in _NO_STEP:
                return None
            text = quote(value, safe="", errors="replace")  # noqa: PLW2901 - the value that stands for it
        made.append(text)
    return "".join(made)


def is_page(lead: str) -> bool:
    """Return whether a lead can have a page in the CRM: one that is known by the hash of a number alone has none."""
    return bool(lead) and not lead.startswith(KEY_PREFIX)


@lru_cache(maxsize=16)
def _pieces(template: str) -> tuple[Piece, ...]:
    return tuple(pieces(template))


def _values(subject: str, id_: str) -> dict[str, str]:
    front, _, last = id_.rpartition(":")
    source, _, kind = front.partition(":")
    return dict(zip(placeholders(subject), (id_, source, kind, last), strict=False))


def _example(subject: str) -> str:
    return f"https://crm.example/{subject}/{{{subject}}}"

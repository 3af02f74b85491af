"""Pages of the CRM on boards and in alerts: the templates of `[links]` as Grafana and Prometheus fill them in."""

from __future__ import annotations

from typing import Final

from streams.links import pieces
from streams.phone_numbers import KEY_PREFIX

PAGE: Final = "page"
"""The label with the address of a lead's page, on boards."""
_SIGN: Final = "[A-Za-z0-9._~-]"
# A part of an id that is no step between folders; PromQL cannot encode any other sign.
_PART: Final = f"{_SIGN}*[A-Za-z0-9_~-]{_SIGN}*"
_GROUPS: Final = {"lead": 1, "lead.source": 2, "lead.kind": 3, "lead.id": 4}


def of_manager(template: str, value: str) -> str:
    """Return the template of a manager's page with `value` for the id, "" without a template."""
    return "".join(value if is_placeholder else text for text, is_placeholder in pieces(template))


def with_lead_page(expr: str, template: str) -> str:
    """Return the query of an expression per lead, with the address of the lead's page as the label `page`.

    A lead that is known by a number alone has no page, nor has an id with signs that would have to be encoded.
    """
    if not template:
        return expr
    named = {text for text, is_placeholder in pieces(template) if is_placeholder}
    kind = f"(?::({_PART}(?::{_PART})*))" + ("" if "lead.kind" in named else "?")
    front = f"(?:({_PART}){kind}:)" + ("" if named & {"lead.source", "lead.kind"} else "?")
    # ${1} and not $1: the next character may be a letter.
    address = "".join(f"${{{_GROUPS[text]}}}" if is_placeholder else text for text, is_placeholder in pieces(template))
    every = f'label_replace({expr}, "{PAGE}", "{address}", "lead", "({front}({_PART}))")'
    return f'label_replace({every}, "{PAGE}", "", "lead", "{KEY_PREFIX}.*")'

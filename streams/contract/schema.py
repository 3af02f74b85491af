"""The JSON Schema of the events, made from the contract."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import cleandoc
from typing import Any

import msgspec


def schema_components(types: Sequence[Any], ref_template: str = "#/$defs/{name}") -> tuple[Any, dict[str, Any]]:
    """Return the schemas of `types`, and by name the schemas to which they refer, as msgspec does.

    Descriptions have no indentation: Python keeps that of docstrings up to 3.12, and removes it from 3.13 on.
    """
    found, components = msgspec.json.schema_components(types, ref_template=ref_template)
    for component in components.values():
        if "description" in component:
            component["description"] = cleandoc(component["description"])
    return found, components

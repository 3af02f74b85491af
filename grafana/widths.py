"""How wide the columns of tables are, in pixels, so that no head is cut and no column is out of sight."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

SCREEN: Final = 1400
"""How wide a board is at least."""

GRID: Final = 24
"""The columns of a board."""

NARROW: Final = 60
"""A column of few characters."""

_LONG: Final = {"s": 84, "bytes": 84, "short": 72}
"""How wide columns of these units are at least, for values such as `22.9 hours`."""

_LEAST: Final = "custom.minWidth"
_MARGIN: Final = 10  # between panels, and the frame
_SCROLL_BAR: Final = 10
_CHARACTER: Final = 8
_PADDING: Final = 22
_WORD: Final = re.compile(r"<<[\w.]+>>")


def width_of(head: str, unit: str = "") -> int:
    """Return how wide a column with this head and unit is at least; a `<<word>>` counts as five characters."""
    return max(_LONG.get(unit, NARROW), _PADDING + _CHARACTER * len(_WORD.sub("5 min", head)))


def fitted(panel: dict[str, Any]) -> dict[str, Any]:
    """Return a table whose columns fit side by side on a screen of 1400 pixels; any other panel as it is.

    Grafana gives every column without a width of its own an even share of what is left, or its least width if that is
    more. So a few wide columns would push others out of sight. Columns that need more than their share get what they
    need, and the others share the rest.
    """
    if panel.get("type") != "table":
        return panel
    needed, given = _columns(panel)
    room = _inside(panel["gridPos"]["w"]) - sum(given.values())
    shared = dict(needed)
    while wide := [head for head, least in shared.items() if least > room / len(shared)]:
        for head in wide:
            room -= shared.pop(head)
        if not shared:
            break
    overrides = [_fixed(one, shared) for one in panel["fieldConfig"]["overrides"]]
    return panel | {"fieldConfig": panel["fieldConfig"] | {"overrides": overrides}}


def _inside(columns: int) -> float:
    """Return how many pixels a panel of so many columns of the grid has for a table, beside a bar to scroll."""
    return SCREEN * columns / GRID - _MARGIN - _SCROLL_BAR


def _columns(panel: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the least widths of the visible columns by head, and the widths of those that have their own."""
    (arranged,) = (one["options"] for one in panel["transformations"] if one["id"] == "organize")
    hidden = arranged["excludeByName"]
    usual = panel["fieldConfig"]["defaults"].get("custom", {}).get("minWidth", NARROW)
    needed = {head: usual for name, head in arranged["renameByName"].items() if not hidden.get(name)}
    given: dict[str, int] = {}
    for override in panel["fieldConfig"]["overrides"]:
        head = override["matcher"]["options"]
        properties = {one["id"]: one.get("value") for one in override["properties"]}
        if head not in needed:
            continue
        if properties.get("custom.hidden"):
            del needed[head]
        elif "custom.width" in properties:
            given[head] = properties["custom.width"]
            del needed[head]
        else:
            needed[head] = properties.get("custom.minWidth", usual)
    return needed, given


def _fixed(override: dict[str, Any], shared: Mapping[str, int]) -> dict[str, Any]:
    if override["matcher"]["options"] in shared:
        return override
    properties = [one | {"id": "custom.width"} if one["id"] == _LEAST else one for one in override["properties"]]
    return override | {"properties": properties}

"""The look of a number that is not there: its text in grey, not in the colour of the lowest threshold."""

from __future__ import annotations

from typing import Any, Final

from grafana.common import GREY

_LAST: Final = 99
"""Behind the other words of a panel."""


def greyed(panel: dict[str, Any]) -> dict[str, Any]:
    """Return a panel of numbers whose text for no value is grey; any other panel as it is.

    Grafana takes the lowest step for a missing value. So `Nobody` was red where the lowest step is.
    """
    if panel.get("type") != "stat":
        return panel
    config = panel["fieldConfig"]
    defaults = config["defaults"]
    said = {"text": defaults["noValue"], "color": GREY, "index": _LAST}
    missing = {"type": "special", "options": {"match": "null+nan", "result": said}}
    mappings = [*defaults.get("mappings", []), missing]
    return panel | {"fieldConfig": config | {"defaults": defaults | {"mappings": mappings}}}

"""The source of docs/adding-a-source.md, run from the page itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

PAGE = Path(__file__).parents[2] / "docs/adding-a-source.md"


def module() -> dict[str, Any]:
    """The module on the page."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "dialit"}
    exec(compile("\n".join(blocks), str(PAGE), "exec", dont_inherit=True), names)  # noqa: S102 - the page's own code
    return names


DIALIT: Final = module()

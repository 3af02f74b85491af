"""How wide the columns of tables are at least, in pixels, so that no head is cut."""

from __future__ import annotations

import re
from typing import Final

NARROW: Final = 60
"""A column of few characters."""

_CHARACTER: Final = 8
_PADDING: Final = 22
_WORD: Final = re.compile(r"<<[\w.]+>>")


def width_of(head: str) -> int:
    """Return how wide a column with this head is at least; a `<<word>>` counts as five characters."""
    return max(NARROW, _PADDING + _CHARACTER * len(_WORD.sub("5 min", head)))

"""The number of examples of a property: all that it requests in `make test`, a tenth in `make check`."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import settings

QUICK: Final = "quick"
"""The profile of `make check`; see tests/conftest.py."""
THOROUGH: Final = "thorough"
"""The profile of `make thorough`: ten times the examples."""
FUZZ: Final = "fuzz"
"""The profile of `make fuzz`: ten times the examples, of the tests that have the marker `fuzz`."""
USUAL: Final = 100
"""Examples of a property without a number of its own, outside the quick profile."""


def examples(count: int, **more: Any) -> settings:
    """Return the settings of a property with `count` examples, of which the profile in use takes a share."""
    return settings(max_examples=max(10, count * settings().max_examples // USUAL), **more)

"""The callpulse that is measured: the compiled wheel, as it is deployed, if it has been built; else the source."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
NATIVE: Final = ROOT / "build" / "native"
PURE_NOTE: Final = (
    "callpulse ran as pure Python: `make native` had not built its compiled modules (it needs a C compiler)."
)


@cache
def is_built() -> bool:
    """Return whether there is a compiled callpulse of the present sources.

    The result is cached: an edit of a source while benchmarks run must not change the measured callpulse.
    """
    compiled = list(NATIVE.rglob("*.so"))
    if not compiled:
        return False
    built_at = max(path.stat().st_mtime for path in compiled)
    sources = [path for package in ("streams", "agents") for path in (ROOT / package).rglob("*.py")]
    return max(path.stat().st_mtime for path in (*sources, ROOT / "hatch_build.py")) <= built_at


def python(*, native: bool, executable: str = sys.executable) -> list[str]:
    """Return the interpreter's command line, to be run with `environment` in the folder of the project."""
    return [executable, "-P"] if native else [executable]


def environment(*, native: bool) -> dict[str, str]:
    """Return the environment in which `python` finds the compiled callpulse, or the source."""
    path = [str(NATIVE), str(ROOT)] if native else [str(ROOT)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}

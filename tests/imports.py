"""Imports every module of callpulse: `python -m tests.imports`.

`make test` measures it, so that definitions count for the coverage although the collection of tests is not measured.
"""

from __future__ import annotations

import importlib
import pkgutil

import agents
import streams


def import_all() -> list[str]:
    """Import the modules; return their names."""
    names = [
        each.name
        for package in (agents, streams)
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    for name in names:
        importlib.import_module(name)
    return names


if __name__ == "__main__":
    import_all()

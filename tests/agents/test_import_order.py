"""The order of the packages in `agents`: each imports only what stands before it, and there are no import circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS: tuple[tuple[str, ...], ...] = (
    ("exit", "gc_tuning", "suspension", "process_guard"),
    ("processes",),
    ("embedded", "kafka"),
    ("delivery",),
    ("state",),
    ("telemetry",),
    ("calls", "crm", "leads", "outcomes"),
    ("loop",),
    ("app",),
    ("worker",),
    ("cli",),
)
"""Parts of the same layer do not import each other."""
LAYER = {part: number for number, layer in enumerate(LAYERS) for part in layer}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted((ROOT / "agents").rglob("*.py"))}


def imported(path: Path) -> Iterator[str]:
    """Yield the modules of `agents` that a module imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            while name and name not in MODULES:
                name = name.rpartition(".")[0]  # noqa: PLW2901 - an attribute of a module
            if name not in ("", "agents"):
                yield name


def part_of(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("module", [module for module in MODULES if module != "agents"])
def test_a_module_imports_only_what_stands_before_it(module: str) -> None:
    own = LAYER[part_of(module)]
    wrong = [
        name for name in imported(MODULES[module]) if part_of(name) != part_of(module) and LAYER[part_of(name)] >= own
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {module: set(imported(path)) - {module} for module, path in MODULES.items()}
    while free := [module for module, names in left.items() if not names & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}

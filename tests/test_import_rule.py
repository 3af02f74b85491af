"""Import rules: `streams` is pure (no agents, Kafka, HTTP, clock or environment), and imports go one way only.

Modules import each other without circles, and so do packages. An import for types only counts like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN_MODULES = {
    "agents",
    "aiohttp",
    "aiokafka",
    "asyncio",
    "faust",
    "grafana",
    "http",
    "io",
    "logging",
    "mode",
    "multiprocessing",
    "os",
    "pathlib",
    "prometheus_client",
    "random.SystemRandom",
    "requests",
    "secrets",
    "select",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "socketserver",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "tests",
    "threading",
    "time",
    "typer",
    "rich",
    "urllib.request",
    "yarl",
}
FORBIDDEN_CALLS = {"open", "print", "input", "breakpoint", "eval", "exec", "__import__", "compile"}
FORBIDDEN_ATTRIBUTES = {"now", "utcnow", "today", "fromtimestamp_now", "environ", "getenv", "perf_counter", "monotonic"}
"""Calls that read the clock in modules that are allowed: `datetime.now()`, `date.today()`."""
PURE = sorted((ROOT / "streams").rglob("*.py"))


@cache
def nodes(source: str) -> tuple[ast.AST, ...]:
    """Return every node of a module. Cached, because several tests use all of them, and parsing takes longest."""
    return tuple(ast.walk(ast.parse(source)))


def impurities(source: str) -> Iterator[str]:
    """Yield the violations of the rule in a module, with their lines."""
    for node in nodes(source):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield from _of_module(name.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield f"line {node.lineno}: a relative import, which this rule cannot follow"
            yield from _of_module(node.module or "", node.lineno)
            for name in node.names:
                yield from _of_module(f"{node.module}.{name.name}", node.lineno)
        elif isinstance(node, ast.Call):
            yield from _of_call(node)


def _of_call(call: ast.Call) -> Iterator[str]:
    called = call.func
    if isinstance(called, ast.Name) and called.id in FORBIDDEN_CALLS:
        yield f"line {call.lineno}: calls {called.id}"
    if isinstance(called, ast.Attribute) and called.attr in FORBIDDEN_ATTRIBUTES:
        yield f"line {call.lineno}: calls .{called.attr}(): the time and the surroundings are arguments"
    name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
    if name == "Random" and not call.args:
        yield f"line {call.lineno}: chance without a seed"


def _of_module(name: str, line: int) -> Iterator[str]:
    for forbidden in FORBIDDEN_MODULES:
        if name == forbidden or name.startswith(forbidden + "."):
            yield f"line {line}: imports {name}"
            return


def test_the_modules_of_streams_are_pure() -> None:
    broken = {str(path.relative_to(ROOT)): sorted(set(impurities(path.read_text(encoding="utf-8")))) for path in PURE}
    assert {path: impure for path, impure in broken.items() if impure} == {}


def test_there_are_modules_to_look_at() -> None:
    assert len(PURE) > 20


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os.path",
        "from os import environ",
        "from agents.app import create_app",
        "import agents",
        "from aiokafka.admin import NewTopic",
        "import prometheus_client as p",
        "def f():\n    import socket",
        "if TYPE_CHECKING:\n    import faust",
        "from urllib.request import urlopen",
        "from urllib import request",
        "from . import events",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.date.today()",
        "open('x')",
        "from random import Random\nRandom()",
    ],
)
def test_the_rule_sees_what_it_forbids(source: str) -> None:
    assert list(impurities(source))


@pytest.mark.parametrize(
    "source",
    [
        "import timeit_of_ours",
        "from urllib.parse import quote",
        "from random import Random\nRandom(7)",
        "import osmium",
    ],
)
def test_the_rule_leaves_alone_what_it_allows(source: str) -> None:
    assert list(impurities(source)) == []


@pytest.mark.parametrize("path", sorted((ROOT / "streams/settings").rglob("*.py")), ids=lambda path: path.name)
def test_the_settings_import_no_source(path: Path) -> None:
    assert "streams.sources" not in path.read_text(encoding="utf-8").replace("`streams.sources.registry`", "")


# -- circles, and the order of packages

ORDER: Final = (
    "streams.units",
    "streams.contract",
    "streams.phone_numbers",
    "streams.links",
    "streams.callers",
    "streams.settings",
    "streams.speech",
    "streams.calendars",
    "streams.windows",
    "streams.targets",
    "streams.metrics",
    "streams.tables",
    "streams.tables.lead",
    "streams.tables.outcome",
    "streams.tables.transcript",
    "streams.tables.coaching",
    "streams.tables.manager",
    "streams.tables.team",
    "streams.explain",
    "streams.sources",
    "streams.simulator",
    # The shell: the tools that need no worker, the parts of a worker, its agents, and the modules that connect them.
    "agents.exit",
    "agents.gc_tuning",
    "agents.suspension",
    "agents.repeated_lines",
    "agents.service_units",
    "agents.process_guard",
    "agents.processes",
    "agents.web",
    "agents.embedded",
    "agents.kafka",
    "agents.delivery",
    "agents.state",
    "agents.telemetry",
    "agents.calls",
    "agents.crm",
    "agents.leads",
    "agents.outcomes",
    "agents.lexicons",
    "agents.speech",
    "agents.loop",
    "agents.application",
    "agents.app",
    "agents.worker",
    "agents.gateway",
    "agents.cli",
)
"""Packages, and modules at the top, from the bottom up: each imports only what stands before it."""
WHOLE: Final = ("streams.sources", "streams.simulator", "agents.cli")
"""Packages that count as one, with the packages inside them."""
MODULES: Final = {
    name.removesuffix(".__init__"): path
    for root in ("streams", "agents")
    for path in (ROOT / root).rglob("*.py")
    if (name := ".".join(path.relative_to(ROOT).with_suffix("").parts))
}
Graph = Mapping[str, set[str]]


def imported(source: str, modules: Mapping[str, Path]) -> set[str]:
    """Return those of `modules` that a source imports."""
    found = set()
    for node in nodes(source):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            within = {f"{node.module}.{name.name}" for name in node.names}
            submodules = within & modules.keys()
            found |= submodules if submodules == within else submodules | {node.module or ""}
    return found & modules.keys()


def circle(graph: Graph) -> list[str]:
    """Return a circle of the graph, or an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def package_of(module: str) -> str:
    """Return the package of a module; a module directly under `streams` or `agents` is its own package."""
    for whole in WHOLE:
        if module == whole or module.startswith(whole + "."):
            return whole
    if MODULES[module].name == "__init__.py" or module.count(".") == 1:
        return module
    return module.rpartition(".")[0]


def by_package(graph: Graph) -> Graph:
    """Return the packages that each package imports."""
    packages: dict[str, set[str]] = {}
    for module, others in graph.items():
        package = package_of(module)
        packages.setdefault(package, set()).update({package_of(other) for other in others} - {package})
    return packages


def graph_of(root: str) -> Graph:
    return {
        name: imported(path.read_text(encoding="utf-8"), MODULES) - {name}
        for name, path in MODULES.items()
        if name.startswith(root + ".")
    }


@pytest.mark.parametrize("root", ["streams", "agents"])
def test_modules_import_each_other_without_circles(root: str) -> None:
    assert circle(graph_of(root)) == []


@pytest.mark.parametrize("root", ["streams", "agents"])
def test_packages_import_only_those_before_them(root: str) -> None:
    packages = by_package(graph_of(root))
    assert packages.keys() - {"streams", "agents"} == {package for package in ORDER if package.startswith(root + ".")}
    place = {package: number for number, package in enumerate(ORDER)}
    assert {
        f"{package} imports {other}"
        for package, others in packages.items()
        for other in others
        if place[other] >= place[package]
    } == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from streams.contract import events", {"streams.contract.events"}),
        ("from streams.contract import events as e, VERSION", {"streams.contract.events", "streams.contract"}),
        ("from streams.contract.events import KINDS", {"streams.contract.events"}),
        ("import streams.contract.events", {"streams.contract.events"}),
        ("if TYPE_CHECKING:\n    from streams.units import DAY_MS", {"streams.units"}),
        ("def f():\n    from streams import units", {"streams.units"}),
        ("import msgspec", set()),
    ],
)
def test_imports_are_found(source: str, found: set[str]) -> None:
    assert imported(source, MODULES) == found


def test_circles_are_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}

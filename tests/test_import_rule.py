"""The one import rule: `streams` is pure. It knows no agents, no Kafka, no HTTP, no clock, no environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

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
"""Where a module that is allowed would tell the time: `datetime.now()`, `date.today()`."""
PURE = sorted((ROOT / "streams").rglob("*.py"))


def impurities(source: str) -> Iterator[str]:
    """Yield what in a module breaks the rule, with its line."""
    for node in ast.walk(ast.parse(source)):
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


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_of_streams_is_pure(path: Path) -> None:
    assert sorted(set(impurities(path.read_text(encoding="utf-8")))) == []


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

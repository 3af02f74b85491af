"""The private attributes of libraries that callpulse uses are there, and a missing one is named at start."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from aiokafka.consumer.fetcher import Fetcher

from agents.kafka.internals import NEEDED, USED, IncompatibleLibraryError, Internals, check_internals
from agents.worker import run
from streams.settings.settings import load

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_installed_libraries_have_all_that_is_used() -> None:
    check_internals()


def test_an_attribute_that_is_missing_is_named_with_both_versions() -> None:
    renamed = Internals("aiokafka", Fetcher, ("_records", "_old_name"))
    installed = version("aiokafka").replace(".", r"\.")
    with pytest.raises(
        IncompatibleLibraryError,
        match=rf"needs aiokafka {NEEDED['aiokafka']}, and {installed} is installed: its Fetcher has no `_old_name`",
    ):
        check_internals((*USED, renamed))


async def test_a_worker_does_not_start_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    code = Fetcher.__init__.__code__
    names = tuple("_renamed" if name == "_records" else name for name in code.co_names)
    for method in vars(Fetcher).values():
        if hasattr(method, "__code__") and "_records" in method.__code__.co_names:
            changed = tuple("_renamed" if name == "_records" else name for name in method.__code__.co_names)
            monkeypatch.setattr(method, "__code__", method.__code__.replace(co_names=changed))
    assert names != code.co_names
    with pytest.raises(IncompatibleLibraryError, match="`_records`"):
        await run(load("", {}))


def test_the_needed_versions_are_the_pinned_ones() -> None:
    pinned = dict(line.split("==") for line in PROJECT["project"]["dependencies"] if "==" in line)
    assert pinned == NEEDED

"""The image: the findings of hadolint, its few rights, and the lock of all that it installs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "deploy/Dockerfile").read_text("utf-8")
LOCKS: Final = ("requirements-run.lock", "requirements-image.lock", "requirements-sbom.lock")


def entries(name: str) -> dict[str, set[str]]:
    """Return the packages of a lock with their versions (`name==version`), each with its hashes."""
    found: dict[str, set[str]] = {}
    package = ""
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if line[:1] not in ("", "#", " "):
            package = line.split()[0]
            found[package] = set()
        found.setdefault(package, set()).update(re.findall(r"--hash=(\S+)", line))
    found.pop("", None)
    return found


def needed(name: str) -> set[str]:
    """Return the names that a dependency group, or the package itself, requires."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = project["project"]["dependencies"] if name == "run" else project["dependency-groups"][name]
    return {re.split(r"[<>=!~ ]", one)[0].lower().replace("_", "-") for one in wanted}


def test_hadolint_has_nothing_to_say_against_it() -> None:
    done = subprocess.run(
        [Path(sys.prefix) / "bin/hadolint", ROOT / "deploy/Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_one_version_in_each_stage() -> None:
    assert re.findall(r"^ARG PYTHON=(.*)$", TEXT, re.MULTILINE) == ["python:3.11.14-slim-bookworm"]
    assert {found.split()[0] for found in re.findall(r"^FROM (.*)$", TEXT, re.MULTILINE)} == {"${PYTHON}"}


def test_the_process_is_not_root() -> None:
    last = TEXT.split("\nFROM ")[-1]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["10001:10001"]
    assert "apt-get" not in last


def test_pip_installs_nothing_that_is_not_locked() -> None:
    installs = re.findall(r"pip (?:install|wheel) (.*)", TEXT)
    assert len(installs) == 5
    for words in installs:
        assert words.startswith("--require-hashes -r ") or "--no-deps" in words, words
    assert {name for words in installs for name in re.findall(r"-r (\S+)", words)} == set(LOCKS)
    assert "--no-build-isolation" in TEXT
    for name in LOCKS:
        assert re.search(rf"^COPY .*{re.escape(name)}", TEXT, re.MULTILINE)


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_locked_with_its_hashes(name: str) -> None:
    assert len(entries(name)) > 10
    assert all(entries(name).values())


@pytest.mark.parametrize("name", LOCKS[:2])
def test_the_image_has_what_the_tests_ran_with(name: str) -> None:
    tested = entries("requirements.lock")
    assert {one: hashes for one, hashes in entries(name).items() if tested.get(one) != hashes} == {}


@pytest.mark.parametrize(("group", "name"), list(zip(("run", "image", "sbom"), LOCKS, strict=True)))
def test_what_is_needed_is_locked(group: str, name: str) -> None:
    assert needed(group) - {one.split("==")[0] for one in entries(name)} == set()


def test_what_compiles_is_what_the_build_asks_for() -> None:
    hook = (ROOT / "hatch_build.py").read_text("utf-8")
    (listed,) = re.findall(r"return \[(.*), \*self\.metadata\.core\.dependencies\]", hook)
    asked = {*re.findall(r'"([a-z]+)', listed), "hatchling"}
    assert needed("image") == asked


def test_the_image_keeps_its_bill_of_materials() -> None:
    assert "--output-file /opt/callpulse/sbom.cdx.json /opt/callpulse/bin/python" in TEXT

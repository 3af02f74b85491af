"""The repository contains only itself: no paths of a machine, no secrets, no leftovers, no dead links."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".json",
    ".txt",
    ".lock",
    ".cfg",
    ".sql",
    ".sh",
    ".java",
    ".xml",
    ".svg",
    "",
}
FOREIGN = {
    "a path of one machine": re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w+"),
    "a folder above the project": re.compile(r"\.\./(?:shared|work)\b"),
    "a registry's address": re.compile(
        r"pypi\.org|files\.pythonhosted|registry\.npmjs|repo1?\.maven\b|--index-url|--find-links"
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a conflict that was not resolved": re.compile(r"^(?:<{7} |>{7} )", re.MULTILINE),
}
FIXTURES = "tests/fixtures/"
"""Recordings of others, kept unchanged."""
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
SUPPRESSION = re.compile(
    r"(?:#\s*(?P<code>noqa(?::\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*)?|type:\s*ignore(?:\[[^\]]*\])?|pragma:\s*no cover)"
    r"|@?pytest\.(?:mark\.)?(?:skip|xfail)(?:\(\))?)\s*(?P<reason>\S.*)?$"
)
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def tracked() -> list[Path]:
    """Files that git tracks or would add; all files where this is not a clone."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


FILES = tracked()
TEXTS = [path for path in FILES if path.suffix in TEXT and path != Path(__file__)]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_are_files_to_look_at() -> None:
    assert len(TEXTS) > 80


@pytest.mark.parametrize("what", FOREIGN)
def test_no_file_has(what: str) -> None:
    found = []
    for path in TEXTS:
        if named(path).startswith(FIXTURES):
            continue
        text = path.read_text(encoding="utf-8")
        found += [f"{named(path)}: {hit[0]}" for hit in FOREIGN[what].finditer(text)]
    assert found == []


def test_nothing_is_left_to_be_done_in_a_comment() -> None:
    found = [
        f"{named(path)}: {hit[0]}"
        for path in TEXTS
        if path.suffix in {".py", ".yaml", ".toml", ".sql"} and not named(path).startswith(FIXTURES)
        for hit in UNFINISHED.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def unexplained(source: str) -> list[str]:
    """Return the suppressions without a reason beside them, in a comment above, or at an earlier one of their kind."""
    explained: set[str] = set()
    found = []
    above = ""
    for line in source.splitlines():
        suppressed = SUPPRESSION.search(line)
        if suppressed is not None:
            code = suppressed["code"]
            if suppressed["reason"] or above.lstrip().startswith("#"):
                explained.add(code)
            elif code not in explained:
                found.append(line.strip())
        above = line
    return found


def test_every_suppression_gives_its_reason() -> None:
    found = [
        f"{named(path)}: {line}"
        for path in TEXTS
        if path.suffix == ".py"
        for line in unexplained(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_a_suppression_without_a_reason_is_seen() -> None:
    bare, told = "x = y()  # no" + "qa: S311", "x = y()  # no" + "qa: S311 - a game of chance"
    assert unexplained(bare) == [bare]
    assert unexplained(f"# Nothing secret.\n{bare}") == []
    assert unexplained(f"{told}\n\n{bare}") == []
    assert unexplained(f"{bare}\n{told}") == [bare]
    assert unexplained("x: int = y  # type: ig" + "nore[assignment]")
    assert unexplained("@pytest.mark.skip") == ["@pytest.mark.skip"]


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        named(path)
        for path in TEXTS
        if path.suffix == ".py"
        and named(path).startswith(("streams/", "agents/", "grafana/"))
        and not re.match(r'(?:#!.*\n)?r?"""\S', path.read_text(encoding="utf-8"))
    ]
    assert silent == []


def test_no_module_has_grown_beyond_reading() -> None:
    long = {
        named(path): lines
        for path in TEXTS
        if path.suffix == ".py" and named(path).startswith(("streams/", "agents/"))
        if (lines := path.read_text(encoding="utf-8").count("\n")) > 450
    }
    assert long == {}


def test_no_large_file_is_kept() -> None:
    assert {named(path): path.stat().st_size for path in FILES if path.stat().st_size > 1_500_000} == {}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_of_a_page_leads_to_something(page: Path) -> None:
    broken = []
    for found in LINK.finditer(FENCED.sub("", page.read_text(encoding="utf-8"))):
        target = (found[1] or found[2]).split("#")[0]
        if target and "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists():
            broken.append(target)
    assert broken == []


class TestLocks:
    @pytest.mark.parametrize("name", ["requirements.lock", "requirements-bench.lock"])
    def test_every_package_is_pinned_with_its_hashes(self, name: str) -> None:
        text = (ROOT / name).read_text(encoding="utf-8")
        entries = re.split(r"\n(?=[a-z])", text.partition("\n")[2].strip())
        assert len(entries) > 50
        for entry in entries:
            assert re.match(r"[a-z0-9.-]+==\S+", entry), entry[:80]
            assert "--hash=sha256:" in entry, entry[:80]

    def test_what_the_project_needs_is_locked(self) -> None:
        locked = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        wanted = [*project["project"]["dependencies"]]
        for name in ("test", "boards", "lint", "build"):
            wanted += project["dependency-groups"][name]
        names = {re.split(r"[<>=!~ ]", one)[0].lower().replace("_", "-") for one in wanted}
        assert names - locked == set()

    def test_the_two_locks_agree_where_both_have_a_package(self) -> None:
        versions = [
            dict(
                line.removesuffix(" \\").split("==") for line in (ROOT / name).read_text().splitlines() if "==" in line
            )
            for name in ("requirements.lock", "requirements-bench.lock")
        ]
        assert {
            name: (version, versions[1].get(name))
            for name, version in versions[0].items()
            if versions[1].get(name) != version
        } == {}


def test_continuous_integration_runs_the_developers_own_command() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "make test" in script
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_every_command_of_make_is_explained() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())  # type: ignore[index]  # it is there
    assert phony == set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))

"""The compiled build, which the image deploys, behaves as the source does: tests of rows, workers and faults on it."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from hatch_build import COMPILED
from tests.examples import QUICK

ROOT: Final = Path(__file__).resolve().parents[1]
MODULES: Final = {path.removesuffix(".py").replace("/", ".") for path in COMPILED}
WITH_KAFKA: Final = (  # the parts that a wrong build affects first: delivery, crashes, leads, restores, and all figures
    "tests/broker/test_delivery.py::test_every_record_is_folded_once_and_committed",
    "tests/broker/test_delivery.py::test_a_crash_between_checkpoints_recounts_nothing",
    "tests/broker/test_delivery.py::test_rows_written_and_offsets_not_committed_are_not_counted_twice",
    "tests/broker/test_delivery.py::test_an_error_in_a_fold_ends_the_worker_before_it_commits",
    "tests/broker/test_delivery.py::test_revoked_partitions_are_forgotten_and_taken_up_by_the_other_worker",
    "tests/broker/test_leads.py::test_calls_and_what_the_crm_says_meet_in_the_lead_and_reach_its_manager",
    "tests/broker/test_leads.py::test_a_crash_between_the_hops_loses_and_doubles_nothing",
    "tests/broker/test_leads.py::test_links_across_partitions_go_on_through_rebalances",
    "tests/broker/test_store_restore.py::test_with_its_folder_a_worker_restores_next_to_nothing",
    "tests/broker/test_store_restore.py::test_without_its_folder_a_worker_restores_everything",
    "tests/broker/test_store_restore.py::test_with_an_older_folder_a_worker_restores_what_came_since",
    "tests/broker/test_leads_killed.py::test_killed_at_random_moments_while_leads_are_linked",
    "tests/faults/test_exact.py::test_a_quarter_gives_what_the_oracle_counts",
)

# Python runs `sitecustomize` in every process, also in the workers that tests start: it notes which file a compiled
# module comes from, as it is imported. Compiled modules are one library and import each other inside of it, so of
# `agents.calls` and the folds that it imports only `agents.calls` is noted.
WITNESS: Final = """\
import importlib.machinery, sys

class Witness:
    def find_spec(self, name, path=None, target=None):
        if name not in {modules!r}:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        with open({log!r}, "a") as log:
            log.write(f"{{' '.join(sys.orig_argv[1:5])!r}}\\t{{name}}\\t{{spec.origin}}\\n")
        return spec

sys.meta_path.insert(0, Witness())
"""


class Seen(NamedTuple):
    """A module that a process has imported, and the file that it came from."""

    process: str
    module: str
    origin: str


class Native:
    """The compiled build in a folder of its own, and pytest in a process that imports it."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self._log = log
        python_path = os.pathsep.join([str(folder), str(ROOT)])
        # Without `PYTHONSAFEPATH` the folder that a worker starts in, the source, would come first.
        self.environment = {**os.environ, "PYTHONPATH": python_path, "PYTHONSAFEPATH": "1"}

    def passes(self, *arguments: str) -> tuple[int, list[Seen]]:
        """Run tests; return the number that passed, and the imported modules of the processes. Fail where one fails."""
        self._log.write_text("", encoding="utf-8")
        pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={self.folder} ."]
        done = subprocess.run(
            [*pytest_, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-6000:]
        passed = re.search(r"(\d+) passed", done.stdout)
        assert passed
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return int(passed[1]), [Seen(*line.split("\t")) for line in lines]


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Native:
    if shutil.which("cc") is None or not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("no C compiler, or none of Python's headers: `make tools` installs them where it may")
    folder = tmp_path_factory.mktemp("native")
    source = folder / "source"  # built in a separate folder, so that no file of it stays in the project's folder
    for name in ("streams", "agents"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # As the image builds it: pip makes an environment for the build of what pyproject.toml and the hook ask for, so
    # a module that is compiled and imports what the hook forgets fails here. The C code is the same at each level.
    subprocess.run(
        [*pip, "--target", str(folder / "native"), str(source)],
        env={**os.environ, "COMPILE_CALLPULSE": "1", "COMPILE_CALLPULSE_LEVEL": "0"},
        check=True,
    )
    witness = WITNESS.format(modules=MODULES, log=str(folder / "imports.log"))
    (folder / "native" / "sitecustomize.py").write_text(witness, encoding="utf-8")
    return Native(folder / "native", folder / "imports.log")


def imported(path: Path) -> Iterator[str]:
    """Return the names of the modules that a file imports, and of the names that it imports from them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@cache
def passes_through(path: Path) -> bool:
    """Return whether a file of the tests imports compiled modules, itself or by way of a helper of the tests."""
    names = set(imported(path))
    helpers = (ROOT / f"{name.replace('.', '/')}.py" for name in names if name.startswith("tests."))
    return bool(names & MODULES) or any(helper.exists() and passes_through(helper) for helper in helpers)


def without_kafka() -> list[str]:
    """Return the tests of rows and agents; those that fold simulated weeks take long, and the faults fold a quarter."""
    files = [path for folder in ("agents", "streams") for path in (ROOT / "tests" / folder).glob("test_*.py")]
    brief = [path for path in sorted(files) if not path.name.startswith(("test_simulator", "test_stories"))]
    return [str(path.relative_to(ROOT)) for path in brief if passes_through(path)]


def assert_compiled(seen: list[Seen], native: Native) -> None:
    """Assert that every compiled module that the processes have imported came from the compiled build."""
    assert "agents.calls" in {one.module for one in seen}
    foreign = [one for one in seen if not (one.origin.startswith(str(native.folder)) and one.origin.endswith(".so"))]
    assert foreign == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_module_that_is_to_be_compiled_is_in_the_wheel(native: Native) -> None:
    made = {path.relative_to(native.folder).as_posix().split(".")[0] for path in native.folder.rglob("*.so")}
    assert {name.replace(".", "/") for name in MODULES} <= made


@pytest.mark.slow
def test_every_module_that_is_to_be_compiled_is_imported_as_native_code(native: Native) -> None:
    listing = "import importlib, sys; print(*(importlib.import_module(name).__file__ for name in sys.argv[1:]))"
    command = [sys.executable, "-c", listing, *sorted(MODULES)]
    done = subprocess.run(command, env=native.environment, cwd=ROOT, check=True, capture_output=True, text=True)
    assert all(path.startswith(str(native.folder)) and path.endswith(".so") for path in done.stdout.split())
    assert len(done.stdout.split()) == len(MODULES)


@pytest.mark.slow
def test_the_command_line_runs_on_the_compiled_build(native: Native) -> None:
    command = [sys.executable, "-m", "agents.cli", "check-config", "--config", str(ROOT / "callpulse.example.toml")]
    environment = {**native.environment, "PYTHONPATH": str(native.folder)}
    subprocess.run(command, env=environment, cwd=native.folder, check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tests_of_tables_and_agents_pass_on_the_compiled_build(native: Native) -> None:
    # Examples are tried in full on the source; the same lines run here with a tenth of them.
    passed, seen = native.passes("-m", "not slow and not source", f"--hypothesis-profile={QUICK}", *without_kafka())
    assert passed > 1000
    assert_compiled(seen, native)


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(1200)
def test_the_tests_of_delivery_leads_store_and_faults_pass_on_the_compiled_build(native: Native) -> None:
    passed, seen = native.passes("-m", "not source", *WITH_KAFKA)
    assert passed >= len(WITH_KAFKA)
    assert_compiled(seen, native)
    workers = [one for one in seen if "agents.cli worker" in one.process and one.module == "agents.calls"]
    assert len(workers) > 2  # some tests start workers as processes of their own, and kill them

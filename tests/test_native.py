"""The compiled build behaves as the source does: the tests of the tables run against it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMPILED = (  # the tests that pass through what is compiled
    "tests/agents/test_store_positions.py",
    "tests/agents/test_store_rows.py",
    "tests/streams/test_calendars.py",
    "tests/streams/test_contract.py",
    "tests/streams/test_evidence.py",
    "tests/streams/test_lead.py",
    "tests/streams/test_lead_contributions.py",
    "tests/streams/test_lead_links.py",
    "tests/streams/test_lead_deltas.py",
    "tests/streams/test_manager.py",
    "tests/streams/test_manager_codec.py",
    "tests/streams/test_manager_view.py",
    "tests/streams/test_outcome.py",
    "tests/streams/test_outcome_view.py",
    "tests/streams/test_properties.py",
    "tests/streams/test_topics.py",
    "tests/streams/test_windows.py",
)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None or not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("no C compiler, or none of Python's headers: `make tools` installs them where it may")
    folder = tmp_path_factory.mktemp("native")
    source = folder / "source"  # built apart, so that nothing of it stays in the project's folder
    for name in ("streams", "agents"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # As the image builds it: pip makes an environment for the build of what pyproject.toml and the hook ask for, so
    # a module that is compiled and imports what the hook forgets fails here.
    subprocess.run(
        [*pip, "--target", str(folder / "native"), str(source)],
        env={**os.environ, "COMPILE_CALLPULSE": "1"},
        check=True,
    )
    return folder / "native"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tests_of_the_tables_pass_on_the_compiled_build(native: Path) -> None:
    made = {path.relative_to(native).as_posix().split(".")[0] for path in native.rglob("*.so")}
    assert {
        "streams/tables/manager/fold",
        "streams/tables/lead/fold",
        "streams/contract/topics",
        "agents/calls",
    } <= made
    origin = "import streams.tables.manager.fold as m, agents.calls as c; print(m.__file__, c.__file__)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(native), str(ROOT)])}
    told = subprocess.run(
        [sys.executable, "-P", "-c", origin], env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert re.findall(r"\.so\b", told) == [".so", ".so"]
    checked = [
        sys.executable,
        "-P",
        "-m",
        "agents.cli",
        "check-config",
        "--config",
        str(ROOT / "callpulse.example.toml"),
    ]
    subprocess.run(checked, env={**environment, "PYTHONPATH": str(native)}, cwd=native, check=True, capture_output=True)
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *("-o", f"pythonpath={native} ."),
            *("-m", "not slow and not source"),
            *COMPILED,
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 300

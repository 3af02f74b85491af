"""Prometheus' own tools, which the tests of boards and rules run, and the paths of the tested files."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from streams.metrics.catalogue import CATALOGUE, Metric
from streams.metrics.gateway import GATEWAY_METRICS
from tests.yaml_text import parsed

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "grafana/rules").glob("*.yaml"))
CASES = sorted((ROOT / "grafana/rules/tests").glob("*.yaml"))
# Cases of days make much garbage and little else: collected seldom, they take two thirds of the time.
_ROOMY = {**os.environ, "GOGC": "400"}
PACKAGES = {"promtool": "prometheus", "prometheus": "prometheus", "docker": "docker-cli"}


def tool(*names: str) -> str:
    """Return the path of the program, by the first of its names that is installed; without it the test fails."""
    for name in names:
        if found := shutil.which(name):
            return found
    package = PACKAGES.get(names[0], "prometheus-alertmanager")
    pytest.fail(f"{names[0]} is not on the PATH; `make tools` installs it (Debian's package {package})", pytrace=False)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end and return its output."""
    return subprocess.run(
        [tool(str(command[0])), *command[1:]], capture_output=True, text=True, check=False, timeout=120, env=_ROOMY
    )


@cache
def rules() -> list[dict[str, Any]]:
    """Return every rule of every file."""
    return [rule for path in RULES for group in parsed(path.read_text())["groups"] for rule in group["rules"]]


def only(param: pytest.ParameterSet) -> Any:
    """Return the one value of a case."""
    return param.values[0]


@cache
def metrics() -> dict[str, Metric]:
    """Return what may be named, by the name it is scraped under."""
    known = {}
    for metric in (*CATALOGUE, *GATEWAY_METRICS):
        names = [metric.full_name]
        if metric.type == "histogram":
            names = [metric.full_name + suffix for suffix in ("_bucket", "_sum", "_count")]
        known.update(dict.fromkeys(names, metric))
    return known

"""Prometheus and Grafana beside the demo, where they are installed: with its worker, the rules and the boards."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson

from agents.cli.common import UserError
from agents.cli.demo.children import Child, listens
from agents.embedded.ports import find_free

ROOT: Final = Path(__file__).parents[3]
RULES: Final = ROOT / "grafana" / "rules"
DASHBOARDS: Final = ROOT / "grafana" / "dashboards"
_HOMES: Final = (Path("/usr/share/grafana"), Path("/usr/local/share/grafana"))


@contextlib.contextmanager
def companions(folder: Path, worker_url: str) -> Iterator[dict[str, str]]:
    """Run those of the two that are on the PATH, and yield the addresses of those that started, by name."""
    addresses: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        if (program := shutil.which("prometheus")) is not None:
            with contextlib.suppress(UserError):
                child, addresses["prometheus"] = _prometheus(program, folder, worker_url)
                stack.enter_context(child)
        if (program := shutil.which("grafana")) is not None and "prometheus" in addresses:
            with contextlib.suppress(UserError):
                child, addresses["grafana"] = _grafana(program, folder, addresses["prometheus"])
                stack.enter_context(child)
        yield addresses


def _prometheus(program: str, folder: Path, worker_url: str) -> tuple[Child, str]:
    home = folder / "prometheus"
    home.mkdir()
    config = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": [str(RULES / "*.yaml")] if RULES.is_dir() else [],
        "scrape_configs": [
            {"job_name": "callpulse", "static_configs": [{"targets": [worker_url.removeprefix("http://")]}]}
        ],
    }
    file = home / "prometheus.yml"
    file.write_bytes(orjson.dumps(config))  # JSON is YAML
    port = find_free()
    child = Child(
        "Prometheus",
        [
            program,
            f"--config.file={file}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        home / "log",
    )
    return _ready(child, port)


def _grafana(program: str, folder: Path, prometheus: str) -> tuple[Child, str]:
    home = folder / "grafana"
    provisioning = home / "provisioning"
    for name in ("datasources", "dashboards"):
        (provisioning / name).mkdir(parents=True)
    source = {
        "name": "Prometheus",
        "type": "prometheus",
        "uid": "callpulse-prometheus",
        "access": "proxy",
        "url": prometheus,
        "isDefault": True,
        "jsonData": {"timeInterval": "5s"},
    }
    boards = {"name": "callpulse", "type": "file", "options": {"path": str(DASHBOARDS)}}
    (provisioning / "datasources" / "demo.yaml").write_bytes(orjson.dumps({"apiVersion": 1, "datasources": [source]}))
    (provisioning / "dashboards" / "demo.yaml").write_bytes(orjson.dumps({"apiVersion": 1, "providers": [boards]}))
    port = find_free()
    homes = [path for path in (Path(program).resolve().parents[1], *_HOMES) if (path / "public").is_dir()]
    child = Child(
        "Grafana",
        [program, "server", *([f"--homepath={homes[0]}"] if homes else [])],
        home / "log",
        {
            "GF_SERVER_HTTP_ADDR": "127.0.0.1",
            "GF_SERVER_HTTP_PORT": str(port),
            "GF_PATHS_DATA": str(home / "data"),
            "GF_PATHS_LOGS": str(home / "logs"),
            "GF_PATHS_PROVISIONING": str(provisioning),
            "GF_AUTH_ANONYMOUS_ENABLED": "true",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        },
    )
    return _ready(child, port)


def _ready(child: Child, port: int) -> tuple[Child, str]:
    try:
        child.await_ready(lambda: listens(port))
    except BaseException:  # Ctrl-C, too
        child.kill()
        raise
    return child, f"http://127.0.0.1:{port}"

"""Prometheus, Alertmanager and Grafana beside callpulse, where they are installed: their files and their parts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from agents.cli.up.plan import GATEWAY, WORKERS_NEXT, Part, Ports
from agents.embedded.config import HOST
from agents.web.form import mapping
from agents.web.paths import READY
from streams.settings.settings import Settings

ROOT: Final = Path(__file__).parents[3]
RULES: Final = ROOT / "grafana" / "rules"
DASHBOARDS: Final = ROOT / "grafana" / "dashboards"
FOLDERS: Final = {"callpulse": DASHBOARDS, "callpulse по-русски": ROOT / "grafana" / "ru" / "dashboards"}
"""The boards of each folder in Grafana, as in deploy/grafana."""
ALERTMANAGER: Final = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
TEMPLATES: Final = tuple(ALERTMANAGER.with_name(name) for name in ("callpulse.tmpl", "callpulse.ru.tmpl"))
"""The texts of messages, in English and Russian. The examples of receivers name one beside the configuration."""
_HOMES: Final = (Path("/usr/share/grafana"), Path("/usr/local/share/grafana"))
_RETENTION: Final = "120d"  # the longest window is 90 days
_DEBIAN: Final = "sudo apt-get install {} && sudo systemctl disable --now {}"
_PORTS: Final = {"prometheus": 9090, "alertmanager": 9093, "grafana": 3000}
_FILES_OF_TLS: Final = ("ca_file", "cert_file", "key_file")
_FILES: Final = ("password_file", "credentials_file")


class Monitoring(NamedTuple):
    """The programs that run beside callpulse, and a line for each missing one, with the steps to install it."""

    parts: tuple[Part, ...]
    missing: tuple[str, ...]


def monitoring_parts(
    settings: Settings, parts: tuple[Part, ...], environ: Mapping[str, str], *, folder: Path, ports: Ports
) -> Monitoring:
    """Write the files of the programs that are on the PATH below `folder`, and return their parts."""
    found = {
        "prometheus": _found("prometheus"),
        "alertmanager": _found("prometheus-alertmanager", "alertmanager"),
        "grafana": _found("grafana", "grafana-server"),
    }
    taken = {name: ports.take(_PORTS[name]) for name, program in found.items() if program is not None}
    urls = {name: f"http://{HOST}:{port}" for name, port in taken.items()}
    # These programs need neither callpulse's settings nor the secrets among them.
    plain = {name: value for name, value in environ.items() if not name.startswith("CALLPULSE_")}
    made, missing = [], []
    if (program := found["alertmanager"]) is not None:
        made.append(_alertmanager(program, folder / "alertmanager", urls["alertmanager"], plain))
    else:
        named = "prometheus-alertmanager"
        missing.append(f"Alertmanager is not installed, nobody is told of alerts: {_DEBIAN.format(named, named)}")
    if (program := found["prometheus"]) is not None:
        config = prometheus_config(settings, parts, urls.get("alertmanager"))
        made.insert(0, _prometheus(program, folder / "prometheus", urls["prometheus"], plain, config))
    else:
        named = "prometheus"
        missing.append(f"Prometheus is not installed, no history and no alerts: {_DEBIAN.format(named, named)}")
    if (program := found["grafana"]) is not None:
        made.append(_grafana(program, folder / "grafana", urls, plain))
    else:
        missing.append(
            "Grafana is not installed, no boards (`callpulse top` shows the managers): "
            "https://grafana.com/docs/grafana/latest/setup-grafana/installation/debian/"
        )
    if not DASHBOARDS.is_dir():
        missing.append(
            "Rules and boards are in the source folder of callpulse, and not in the package: run it from there"
        )
    return Monitoring(tuple(made), tuple(missing))


def prometheus_config(settings: Settings, parts: tuple[Part, ...], alertmanager: str | None) -> dict[str, Any]:
    """Return the configuration of Prometheus: a job for the workers, and one for each kind of process of the way in."""
    login = _login(settings.worker.web_client)
    jobs: dict[str, list[Part]] = {}
    for part in parts:
        if isinstance(part.probe, str):
            jobs.setdefault(_job(part), []).append(part)
    scrapes: list[dict[str, Any]] = []
    for job, members in jobs.items():
        scheme = str(members[0].probe).partition(":")[0]
        targets = [str(member.probe).partition("://")[2].removesuffix(READY) for member in members]
        how = {} if not login else {"scheme": scheme, **login}
        scrapes.append(
            {
                "job_name": job,
                "scrape_interval": "5s",
                "scrape_timeout": "4s",
                "scheme": scheme,
                "static_configs": [{"targets": targets}],
                **how,
            }
        )
    config: dict[str, Any] = {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": [str(RULES / "*.yaml")] if RULES.is_dir() else [],
        "scrape_configs": scrapes,
    }
    if alertmanager is not None:
        target = alertmanager.partition("://")[2]
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [target]}]}]}
    return config


def _job(part: Part) -> str:
    if part.name == GATEWAY:
        return "callpulse-gateway"
    if part.name.startswith("listen-"):
        return f"callpulse-gateway-{part.name.removeprefix('listen-')}"
    return "callpulse"


def _login(path: str | None) -> dict[str, Any]:
    """Return the file of worker.web_client in the form of Prometheus: the same keys, with whole paths."""
    if path is None:
        return {}
    file = Path(path).absolute()
    found: dict[str, Any] = {}
    for table, held in mapping(file.read_text(encoding="utf-8")).items():
        files = _FILES_OF_TLS if table == "tls_config" else _FILES
        found[table] = {
            key: str(file.parent / value) if key in files and value else value for key, value in dict(held).items()
        }
    return found


def _prometheus(program: str, home: Path, url: str, environ: Mapping[str, str], config: dict[str, Any]) -> Part:
    file = _written(home / "prometheus.yml", config)
    command = (
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--storage.tsdb.retention.time={_RETENTION}",
        f"--web.listen-address={url.partition('://')[2]}",
        f"--web.external-url={url}",
    )
    return Part("prometheus", command, environ, url, f"{url}{READY}", WORKERS_NEXT)


def _alertmanager(program: str, home: Path, url: str, environ: Mapping[str, str]) -> Part:
    own = home / "alertmanager.yml"
    home.mkdir(parents=True, exist_ok=True)
    for template in TEMPLATES:
        if template.is_file():
            shutil.copyfile(template, home / template.name)
    if not own.exists():
        if ALERTMANAGER.is_file():
            shutil.copyfile(ALERTMANAGER, own)
        else:
            _written(own, {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]})
    command = (
        program,
        f"--config.file={own}",
        f"--storage.path={home / 'data'}",
        f"--web.listen-address={url.partition('://')[2]}",
        "--cluster.listen-address=",
    )
    return Part("alertmanager", command, environ, url, f"{url}{READY}", WORKERS_NEXT)


def _grafana(program: str, home: Path, urls: Mapping[str, str], environ: Mapping[str, str]) -> Part:
    provisioning = home / "provisioning"
    sources = [
        {"name": name.capitalize(), "type": name, "uid": f"callpulse-{name}", "access": "proxy", "url": urls[name]}
        | more
        for name, more in (
            ("prometheus", {"isDefault": True, "jsonData": {"timeInterval": "5s", "httpMethod": "POST"}}),
            ("alertmanager", {"jsonData": {"implementation": "prometheus"}}),
        )
        if name in urls
    ]
    boards = [
        {"name": name, "folder": name, "type": "file", "options": {"path": str(path)}}
        for name, path in FOLDERS.items()
        if path.is_dir()
    ]
    _written(provisioning / "datasources" / "callpulse.yaml", {"apiVersion": 1, "datasources": sources})
    _written(provisioning / "dashboards" / "callpulse.yaml", {"apiVersion": 1, "providers": boards})
    host, _, port = urls["grafana"].partition("://")[2].partition(":")
    places = (Path(program).resolve().parents[1], *_HOMES)
    homes = [f"--homepath={place}" for place in places if (place / "public").is_dir()][:1]
    is_new = Path(program).name == "grafana"  # `grafana-server` is the older name, without a command
    variables = {
        "GF_SERVER_HTTP_ADDR": host,
        "GF_SERVER_HTTP_PORT": port,
        "GF_PATHS_DATA": str(home / "data"),
        "GF_PATHS_LOGS": str(home / "logs"),
        "GF_PATHS_PROVISIONING": str(provisioning),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",  # on 127.0.0.1 alone, and to read
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    }
    command = (program, *(["server"] if is_new else []), *homes)
    url = urls["grafana"]
    return Part("grafana", command, {**environ, **variables}, url, f"{url}/api/health", WORKERS_NEXT)


def _found(*names: str) -> str | None:
    return next((program for name in names if (program := shutil.which(name)) is not None), None)


def _written(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a file that its owner alone may read: it may hold a password. JSON is YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    return path

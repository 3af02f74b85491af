"""The parts of `callpulse up`, by the settings: Kafka, a gateway, workers, and the listeners that are configured."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from agents.cli.common import USAGE, UserError
from agents.embedded.config import HOST
from agents.embedded.ports import find_free, is_free
from agents.web.client import own_url
from agents.web.paths import READY
from streams.settings.settings import PREFIX, SHORT_NAMES, Settings
from streams.sources.asterisk import AsteriskMapping
from streams.sources.freeswitch import FreeSwitchMapping

KAFKA: Final = "kafka"
GATEWAY: Final = "gateway"
SOURCES_FIRST, WORKERS_NEXT, KAFKA_LAST = range(3)
"""The order in which parts are stopped."""


class Part(NamedTuple):
    """A program that is to run. `environment` is all of its environment, `url` the address for a person.

    `probe` is the URL that answers 200 once the part is ready; for Kafka the port. `is_needed`: without it `up` does
    not start. `stop` is its turn at the end.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    url: str
    probe: str | int
    stop: int = SOURCES_FIRST
    is_needed: bool = False


class Plan(NamedTuple):
    """The parts that belong to callpulse. `bootstrap` is Kafka's address; `has_kafka`: it is one of the parts."""

    parts: tuple[Part, ...]
    bootstrap: str
    has_kafka: bool


class Ports:
    """Gives each part a port of its own: the one of the settings, or a free one if the taken port is only a default."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def take(self, wanted: int, key: str = "") -> int:
        """Return a port. Raises UserError for one that is taken and was set by `key`, "" for a default."""
        if not wanted or wanted in self._given or not is_free(wanted):
            if wanted and key and wanted not in self._given:
                raise UserError(
                    f"port {wanted} is taken by another program: stop that one, or set {key} to another port.", USAGE
                )
            wanted = find_free()
            while wanted in self._given:
                wanted = find_free()
        self._given.add(wanted)
        return wanted


def planned(
    settings: Settings, environ: Mapping[str, str], *, folder: Path, workers: int, config: Path | None, ports: Ports
) -> Plan:
    """Return what is to run. `folder` keeps the data; `environ` is the environment of this process.

    Raises UserError for a port that is set and taken.
    """
    bootstrap, kafka = _kafka(settings, environ, folder, ports)
    made = _Maker(settings, environ, {"kafka.bootstrap": bootstrap}, config, ports)
    parts = [] if kafka is None else [kafka]
    parts.append(made.gateway(folder / "gateway"))
    parts += [made.worker(number, folder / "workers") for number in range(workers)]
    parts += [made.listener(kind, folder / "gateway") for kind in listeners(settings)]
    return Plan(tuple(parts), bootstrap, kafka is not None)


def listeners(settings: Settings) -> Iterator[str]:
    """Yield the commands of `callpulse listen` for which the settings are sufficient."""
    asterisk, freeswitch = settings.source(AsteriskMapping), settings.source(FreeSwitchMapping)
    wanted = {
        "ami": asterisk.ami.host,
        "cel": asterisk.cel.path,
        "queue-log": asterisk.queue_log.path,
        "cdr": asterisk.cdr.path,
        "esl": freeswitch.esl.host,
        "json-cdr": freeswitch.err_log_dir,
    }
    yield from (kind for kind, place in wanted.items() if place)


def own_kafka(settings: Settings) -> int | None:
    """Return the port of the Kafka on this machine by the settings; None where it runs elsewhere."""
    host, _, port = settings.kafka.bootstrap.partition(":")
    is_plain = settings.kafka.security_protocol == "PLAINTEXT"
    return int(port) if is_plain and host in (HOST, "localhost") and port.isdigit() else None


def environment_of(environ: Mapping[str, str], settings: Mapping[str, object]) -> dict[str, str]:
    """Return an environment in which some settings have other values, by their dotted keys."""
    names = {key: PREFIX + key.upper().replace(".", "__") for key in settings}
    gone = {*names.values(), *(short for short, key in SHORT_NAMES.items() if key in settings)}
    kept = {name: value for name, value in environ.items() if name not in gone}
    return kept | {names[key]: str(value) for key, value in settings.items()}


def _kafka(settings: Settings, environ: Mapping[str, str], folder: Path, ports: Ports) -> tuple[str, Part | None]:
    """Return Kafka's address, and the embedded broker unless the settings name a Kafka that runs elsewhere."""
    port = own_kafka(settings)
    if port is None:
        return settings.kafka.bootstrap, None
    chosen = ports.take(port, "kafka.bootstrap" if "kafka.bootstrap" in settings.origins else "")
    address = f"{HOST}:{chosen}"
    command = _callpulse("kafka", "--port", str(chosen), "--data-dir", str(folder / KAFKA))
    return address, Part(KAFKA, command, dict(environ), address, chosen, KAFKA_LAST, is_needed=True)


class _Maker:
    """Makes the parts that are commands of callpulse with settings."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        more: Mapping[str, object],
        config: Path | None,
        ports: Ports,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._more = more
        self._options = () if config is None else ("--config", str(config))
        self._ports = ports

    def gateway(self, folder: Path) -> Part:
        gateway = self._settings.gateway
        port = self._port("gateway.http_port", gateway.http_port)
        status = self._port("gateway.status_port", gateway.status_port)
        more = {"gateway.http_port": port, "gateway.status_port": status, **self._folder("gateway.data_dir", folder)}
        tls = "https" if gateway.http.tls_certfile else ""
        url = own_url(_near(gateway.http_host), port, gateway.http.web_config)
        return self._part(
            GATEWAY,
            (GATEWAY,),
            more,
            url=f"{tls or url.partition(':')[0]}:{url.partition(':')[2]}/v1/events",
            base=own_url(_near(gateway.status_host), status, gateway.status_web_config),
            is_needed=True,
        )

    def worker(self, number: int, folder: Path) -> Part:
        worker = self._settings.worker
        name = worker.id if number == 0 else f"{worker.id.removesuffix('-1')}-{number + 1}"
        port = self._port("worker.http_port", worker.http_port + number if worker.http_port else 0, is_first=not number)
        more = {"worker.id": name, "worker.http_port": port, **self._folder("worker.data_dir", folder)}
        if number:
            more["worker.advertised_url"] = own_url(_near(worker.http_host), port, worker.web_config)
        url = own_url(_near(worker.http_host), port, worker.web_config)
        return self._part(name, ("worker",), more, url=url, base=url, stop=WORKERS_NEXT, is_needed=True)

    def listener(self, kind: str, folder: Path) -> Part:
        gateway = self._settings.gateway
        port = self._ports.take(gateway.status_port + 1 if gateway.status_port else 0)
        more = {"gateway.status_port": port, **self._folder("gateway.data_dir", folder)}
        url = own_url(_near(gateway.status_host), port, gateway.status_web_config)
        return self._part(f"listen-{kind}", ("listen", kind), more, url=url, base=url)

    def _port(self, key: str, wanted: int, *, is_first: bool = True) -> int:
        return self._ports.take(wanted, key if is_first and key in self._settings.origins else "")

    def _folder(self, key: str, folder: Path) -> dict[str, object]:
        return {} if key in self._settings.origins else {key: folder}

    def _part(
        self,
        name: str,
        words: tuple[str, ...],
        more: Mapping[str, object],
        *,
        url: str,
        base: str,
        stop: int = SOURCES_FIRST,
        is_needed: bool = False,
    ) -> Part:
        environment = environment_of(self._environ, {**self._more, **more})
        command = _callpulse(*words, *self._options)
        return Part(name, command, environment, url, f"{base}{READY}", stop, is_needed)


def _callpulse(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "agents.cli", *words)


def _near(host: str) -> str:
    """Return an address under which this machine reaches a server at `host`."""
    return {"0.0.0.0": HOST, "::": "::1"}.get(host, host)  # noqa: S104 - for requests, not for listening

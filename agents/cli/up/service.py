"""`callpulse up --install-service`: writes the systemd units for this installation, and prints the next steps."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agents import service_units
from agents.cli.common import INFRASTRUCTURE, USAGE, UserError
from agents.cli.kafka import DEFAULT_PORT
from agents.cli.up.plan import listeners, own_kafka
from streams.settings.settings import Settings

SYSTEM: Final = "/etc/systemd/system"
SETTINGS_FILE: Final = "callpulse.toml"
_KAFKA: Final = "callpulse-kafka.service"


def install(settings: Settings, config: Path | None, folder: Path, workers: int) -> list[str]:
    """Write the units into `folder` and return the lines about the files written and the commands to run next.

    systemd itself is not touched. Raises UserError for settings that a unit cannot name, and a folder that cannot be
    written.
    """
    file = Path(SETTINGS_FILE if config is None else config).absolute()
    if file.name != SETTINGS_FILE or not file.is_file():
        raise UserError(
            f"{file}: the units read a settings file of the name {SETTINGS_FILE}: name one by --config, such as "
            f"/etc/callpulse/{SETTINGS_FILE}.",
            USAGE,
        )
    program = Path(sys.executable).with_name("callpulse")
    if not program.is_file():
        raise UserError(f"{program} is not there: install callpulse (`make install`, or pip) first.", USAGE)
    try:
        texts = {name: service_units.unit(name, program=program, folder=file.parent) for name in service_units.names()}
        if (port := own_kafka(settings)) is not None:
            texts[_KAFKA] = texts[_KAFKA].replace(f"--port {DEFAULT_PORT} ", f"--port {port} ")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except ValueError as error:
        raise UserError(str(error), USAGE) from None
    except OSError as error:
        raise UserError(
            f"the units cannot be written into {folder}: {error.strerror}. Run it as root, or name another folder by "
            "--service-folder.",
            INFRASTRUCTURE,
        ) from None
    return [*(f"written: {folder / name}" for name in texts), *_next(settings, file, program, workers)]


def _next(settings: Settings, file: Path, program: Path, workers: int) -> Sequence[str]:
    worker, gateway = settings.worker, settings.gateway
    names = [worker.id if not number else f"worker-{number + 1}" for number in range(workers)]
    kinds = list(listeners(settings))
    lines = ["", "Next, as root:"]
    if program.is_relative_to("/home") or program.is_relative_to("/root"):
        lines.append(f"  # {program} is in a home folder, which the units cannot read: install callpulse elsewhere")
    lines.append(f"  (umask 077; echo CALLPULSE_LEAD_SECRET=... > {file.parent / 'callpulse.env'})   # your secrets")
    lines += [
        f"  echo CALLPULSE_HTTP_PORT={worker.http_port + number} > {file.parent / f'worker-{name}.env'}"
        for number, name in enumerate(names)
        if number
    ]
    lines += [
        f"  echo CALLPULSE_GATEWAY__STATUS_PORT={gateway.status_port + number} > {file.parent / f'listen-{kind}.env'}"
        for number, kind in enumerate(kinds, 1)
    ]
    units = [f"callpulse-worker@{name}" for name in names]
    units += ["callpulse-gateway", *(f"callpulse-listen@{kind}" for kind in kinds)]
    lines += [
        "  systemctl daemon-reload",
        *([] if own_kafka(settings) is None else ["  systemctl enable --now callpulse-kafka"]),
        f"  {program} topics create --config {file}",
        f"  systemctl enable --now {' '.join(units)}",
    ]
    return lines

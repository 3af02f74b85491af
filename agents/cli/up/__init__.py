"""`callpulse up`: everything on one machine, without Docker, in one terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from agents.cli.common import (
    FAILED,
    INFRASTRUCTURE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    print_json,
    read_settings,
    run,
    say,
)
from agents.cli.ports import client_of
from agents.cli.up.plan import Part, Plan, Ports, planned
from agents.cli.up.programs import Monitoring, monitoring_parts
from agents.cli.up.screen import Screen
from agents.cli.up.service import SYSTEM, install
from agents.cli.up.supervisor import READY, Supervised, Supervisor
from agents.web.client import WebClient
from streams.settings.settings import Settings

_LOOK_EVERY_S: Final = 0.5
_MONITORING_DEADLINE_S: Final = 30.0


def up(
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    data_dir: Annotated[Path, typer.Option(help="Where everything is kept between runs.")] = Path("var/up"),
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many workers to run.")] = 1,
    monitoring: Annotated[
        bool, typer.Option("--monitoring/--no-monitoring", help="Run Prometheus, Alertmanager and Grafana, too.")
    ] = True,
    install_service: Annotated[
        bool,
        typer.Option("--install-service", help="Write the systemd units, say what to do next, and leave."),
    ] = False,
    service_folder: Annotated[Path, typer.Option(help="Where --install-service writes the units.")] = Path(SYSTEM),
    as_json: JsonOption = False,
) -> None:
    """Run everything on this machine until Ctrl-C: Kafka, a gateway, workers, listeners, Prometheus and the rest.

    No Docker is needed. Kafka is embedded, unless kafka.bootstrap names one on another machine; its records, and all
    else, are kept in the data folder, so the next start goes on. Listeners run for the systems that the settings name.
    Prometheus, Alertmanager and Grafana run if they are installed; it says how to install what is missing. All ports
    are of this machine alone unless the settings say otherwise. What dies is started again, after a pause that grows.

    Ctrl-C or SIGTERM stops everything in good order. Logs are in the data folder. With --json, the first line on
    standard output tells the addresses, as soon as all runs.

    For example:

        callpulse up --config callpulse.toml --workers 2

        callpulse up --json --data-dir /srv/callpulse | jq '.parts'

        callpulse up --install-service --config /etc/callpulse/callpulse.toml
    """
    settings = read_settings(config, bootstrap)
    if install_service:
        for line in install(settings, config, service_folder, workers):
            typer.echo(line)
        return
    client = client_of(settings)
    folder = data_dir.absolute()
    with _locked(folder) as held:
        ports = Ports()
        environ = dict(os.environ)
        plan = planned(settings, environ, folder=folder, workers=workers, config=config, ports=ports)
        more = Monitoring((), ())
        if monitoring:
            more = monitoring_parts(settings, plan.parts, environ, folder=folder, ports=ports)
        run(_Up(settings, plan, more, folder, held, client, as_json=as_json).run())


class _Up:
    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        more: Monitoring,
        folder: Path,
        held: int,
        client: WebClient,
        *,
        as_json: bool,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._more = more
        self._folder = folder
        self._held = held
        self._as_json = as_json
        notes = (*more.missing, f"Data and logs are in {folder}. Ctrl-C stops everything.")
        self._screen = Screen(notes, is_silent=as_json)
        self._supervisor = Supervisor(self._screen.changed, client)
        self._stop = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        (self._folder / "logs").mkdir(exist_ok=True)
        with self._screen:
            drawing = asyncio.create_task(self._draw())
            try:
                await self._start()
                while not self._stop.is_set():
                    await self._supervisor.look()
                    await self._pause()
            finally:
                if not self._as_json:
                    say("stopping everything")
                await self._supervisor.stop()
                drawing.cancel()
                await asyncio.gather(drawing, return_exceptions=True)

    async def _start(self) -> None:
        from msgspec.structs import replace  # noqa: PLC0415 - beside its only use

        from agents.kafka import admin  # noqa: PLC0415 - slow to import

        rest = list(self._plan.parts)
        if self._plan.has_kafka:
            kafka = self._add(rest.pop(0))
            if not await self._supervisor.until_ready([kafka], self._stop, None):
                return
        made = await admin.create(replace(self._settings.kafka, bootstrap=self._plan.bootstrap))
        if made.differences:
            listed = "\n".join(f"  {difference}" for difference in made.differences)
            raise UserError(f"the topics are not as declared:\n{listed}", FAILED)
        started = [self._add(part) for part in rest]
        monitors = [self._add(part) for part in self._more.parts]
        if not await self._supervisor.until_ready([one for one in started if one.part.is_needed], self._stop, None):
            return
        await self._supervisor.until_ready(monitors, self._stop, _MONITORING_DEADLINE_S)
        if self._as_json and not self._stop.is_set():
            print_json(self._report())

    def _add(self, part: Part) -> Supervised:
        one = Supervised(part, self._folder / "logs" / f"{part.name}.log", self._held)
        self._supervisor.add(one)
        return one

    async def _draw(self) -> None:
        while True:
            self._screen.show(self._supervisor.supervised)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_EVERY_S):
                await self._stop.wait()
        except TimeoutError:
            pass

    def _report(self) -> dict[str, object]:
        parts = {
            one.part.name: {"url": one.part.url, "pid": one.pid, "state": one.state, "log": str(one.log)}
            for one in self._supervisor.supervised
        }
        return {
            "ready": all(one.state == READY for one in self._supervisor.supervised),
            "kafka": self._plan.bootstrap,
            "data_dir": str(self._folder),
            "parts": parts,
            "missing": list(self._more.missing),
        }


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Hold the data folder. The lock lasts as long as any program that was started with it. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "in-use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UserError(
            f"the data folder {folder} cannot be used: {error.strerror}. Make it writable, or name another by "
            "--data-dir.",
            INFRASTRUCTURE,
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 100).decode(errors="replace").strip() or "another process"
            raise UserError(
                f"the data folder {folder} is in use by {holder}: stop that one, or name another by --data-dir.",
                INFRASTRUCTURE,
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"`callpulse up`, process {os.getpid()}\n".encode(), 0)
        yield lock
    finally:
        os.close(lock)

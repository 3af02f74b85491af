"""`callpulse simulate`: a department that is not there, calling into a Kafka that is."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import orjson
import typer

from agents.cli.common import (
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    Trouble,
    print_json,
    progress,
    read_settings,
    run,
    say,
)
from streams.settings.settings import Settings
from streams.units import DAY_MS

if TYPE_CHECKING:
    from agents.kafka.feeder import Feeder
    from streams.simulator import Department, Truth

_HORIZON_DAYS: Final = 3660
"""How far the department's calendar is laid out when it is to work until somebody stops it."""


def simulate(  # noqa: PLR0913 - one option each
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    days: Annotated[
        float | None,
        typer.Option(
            min=0, show_default=False, help="Days of history before now. Without it: 1, or 200 with --stories."
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, show_default=False, help="Work live for so long, 0 not at all. Without it: until Ctrl-C."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, show_default=False, help="Play the history so many times as fast as it happened."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, show_default=False, help="Send so many records of the history a second.")
    ] = None,
    intensity: Annotated[float, typer.Option(min=0.01, help="Everybody calls so many times as much.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed is the same department, and the same chance.")] = 7,
    managers: Annotated[
        int | None,
        typer.Option(
            min=1, max=5000, show_default=False, help="Invent so many. Without it: those of the settings, or 60."
        ),
    ] = None,
    teams: Annotated[int, typer.Option(min=1, max=500, help="Invent so many teams.")] = 5,
    always: Annotated[
        bool, typer.Option("--always", help="Invent shifts round the clock: for a demo at night.")
    ] = False,
    stories: Annotated[
        bool, typer.Option("--stories", help="Let people work whose stories the figures must tell: docs/simulator.md.")
    ] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Nothing lost, late, repeated, out of order or broken on the way.")
    ] = False,
    crm: Annotated[
        bool, typer.Option("--crm/--no-crm", help="Let the CRM tell what comes of the calls: notes, deals, links.")
    ] = True,
    roster: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="Write the invented teams and managers as settings."),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="Write what every activity figure must be, as JSON."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Let a simulated department call: first its history, as fast as Kafka takes it, then live.

    Teams, shifts, lunch, personalities, transfers, missed calls, deals; and all that goes wrong on the way: lost and
    late events, duplicates, disorder, records that are none. The same seed gives the same department.

    Managers of the settings work if there are any; the worker then knows their shifts. Invented ones are in team
    "unassigned" unless the worker gets the file of --roster, too.

    With --stories, people work of whom it is known what the figures must show: who is busy and wins nothing, who calls
    little and closes, which team leaks, whose norm drifts. Some stories take two quarters to show.

    For example:

        callpulse simulate --days 30

        callpulse simulate --days 7 --seconds 0 --rate 10000 --json

        callpulse simulate --managers 200 --always --intensity 5 --roster roster.toml

        callpulse simulate --stories --roster stories.toml --seconds 0
    """
    settings = read_settings(config, bootstrap)
    if speed is not None and rate is not None:
        raise Trouble("--speed and --rate are two ways to pace the history: give one of them", USAGE)
    if stories and (managers is not None or always):
        raise Trouble("--stories has its own people and shifts: leave --managers and --always out", USAGE)
    if stories:
        department, days = _of_stories(seed, days)
    else:
        department = _department(settings, seed, managers, teams, always=always)
        days = 1.0 if days is None else days
    if roster is not None:
        if not department.text:
            raise Trouble("--roster writes invented managers; those of the settings have a file already", USAGE)
        roster.write_text(department.toml(), encoding="utf-8")
    work = _Work(settings, department, days, seconds, intensity=intensity, clean=clean, crm=crm)
    told = run(work.run(speed, rate))
    if answers is not None:
        answers.write_bytes(work.answers())
    if as_json:
        print_json(told)
    else:
        typer.echo(", ".join(f"{name} {value}" for name, value in told.items()))


class _Work:
    """One run of the department."""

    def __init__(
        self,
        settings: Settings,
        department: Department,
        days: float,
        seconds: float | None,
        *,
        intensity: float,
        clean: bool,
        crm: bool,
    ) -> None:
        from streams.simulator import Disturbance, Truth  # noqa: PLC0415 - slow to import

        self._settings = settings
        self.truth: Truth = Truth(department.settings)
        now_ms = int(time.time() * 1000)
        self._live = seconds != 0
        self._until_ms = None if seconds is None else now_ms + int(seconds * 1000)
        self._records = records(
            department,
            now_ms - int(days * DAY_MS),
            self._until_ms,
            self.truth,
            Disturbance.none() if clean else Disturbance(),
            intensity,
            crm=crm,
        )

    async def run(self, speed: float | None, rate: float | None) -> dict[str, Any]:
        """Send, and return what was done."""
        from agents.kafka.feeder import Feeder  # noqa: PLC0415 - slow to import
        from agents.kafka.producer import BatchProducer  # noqa: PLC0415 - slow to import

        started = time.monotonic()
        with progress("history", None) as advance:
            async with BatchProducer(self._settings.kafka) as producer:
                feeder: Feeder[Pending] = Feeder(
                    producer,
                    prefix=self._settings.kafka.topic_prefix,
                    speed=speed,
                    rate=rate,
                    on_progress=advance,
                    on_sent=Pending.sent,
                )
                stop_on_signals(feeder)
                if self._live:
                    told = asyncio.create_task(self._tell(feeder))
                await feeder.run(self._records, self._until_ms)
                if self._live:
                    told.cancel()
        seconds = time.monotonic() - started
        crm = self.truth.crm["produced"]
        return {**self.truth.counts(), "crm": crm, "sent": feeder.sent, "seconds": round(seconds, 3)}

    def answers(self) -> bytes:
        """Return the true answers of this moment as JSON."""
        now_ms = int(time.time() * 1000)
        found = [
            {"metric": name, "labels": labels, "value": value}
            for (name, labels), value in sorted(self.truth.answers(now_ms).items())
        ]
        return orjson.dumps({"at_ms": now_ms, "answers": found}, option=orjson.OPT_INDENT_2)

    async def _tell(self, feeder: Feeder[Pending]) -> None:
        await feeder.live.wait()
        say(f"{feeder.sent} records of history are in Kafka. Working live; Ctrl-C ends it.")


class Pending(NamedTuple):
    """A record of the simulator that has yet to be sent, with who is to be told when it is."""

    topic: str
    key: str | None
    value: bytes
    due_ms: int
    held: Held

    def sent(self) -> None:
        """Tell the truth that the record is on its way to Kafka."""
        self.held.release()


class Held:
    """Stands between the simulator and the truth, which would otherwise hear of a record that is never sent."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._next: tuple[int, Any, int] | None = None

    def arrived(self, due_ms: int, what: Any, piece: int) -> None:
        """Keep what the simulator tells of the record that comes next."""
        self._next = due_ms, what, piece

    def release(self) -> None:
        """Tell it."""
        if self._next is not None:
            self._truth.arrived(*self._next)
            self._next = None


def records(
    department: Department,
    start_ms: int,
    until_ms: int | None,
    truth: Truth,
    disturbance: Any,
    intensity: float = 1.0,
    *,
    crm: bool = True,
) -> Iterator[Pending]:
    """Yield the records of a department that works until `until_ms`, or as good as for ever."""
    from streams.simulator import simulate as work  # noqa: PLC0415 - slow to import

    end_ms = until_ms if until_ms is not None else start_ms + _HORIZON_DAYS * DAY_MS
    held = Held(truth)
    made = work(
        department,
        start_ms,
        max(start_ms, end_ms),
        disturbance=disturbance,
        intensity=intensity,
        truth=held,
        crm=crm,
    )
    for record in made:
        yield Pending(record.topic, record.key, record.value, record.due_ms, held)


def stop_on_signals(feeder: Feeder[Any]) -> None:
    """Let Ctrl-C and SIGTERM end the feeding in good order."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, feeder.stop.set)


def _department(settings: Settings, seed: int, managers: int | None, teams: int, *, always: bool) -> Department:
    from streams.simulator import Department  # noqa: PLC0415 - slow to import

    if managers is None and settings.managers:
        return Department.from_settings(settings, seed, always=always)
    return Department.make(seed, managers or 60, teams, always=always)


def _of_stories(seed: int, days: float | None) -> tuple[Department, float]:
    """Return the department of the stories and the days of its history, and say which stories these days tell."""
    from streams.simulator.people.stories import LONG_DAYS, STORIES, department  # noqa: PLC0415 - slow to import

    days = LONG_DAYS if days is None else days
    for story in STORIES:
        if story.days <= days:
            say(f"{story.name}: {story.who}. {story.sees}")
    return department(seed, int(days)), days

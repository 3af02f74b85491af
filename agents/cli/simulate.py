"""`callpulse simulate`: sends the records of a simulated department to Kafka."""

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
    UserError,
    print_json,
    progress,
    read_settings,
    run,
    say,
)
from agents.cli.simulate_as import Form, write_as
from streams.settings.settings import Settings
from streams.units import DAY_MS

if TYPE_CHECKING:
    from agents.kafka.feeder import Feeder
    from streams.simulator import Department, SpeechOptions, Truth

_HORIZON_DAYS: Final = 3660
"""Length of the simulation if it runs until it is stopped."""


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
        typer.Option(
            min=0,
            show_default=False,
            help="Seconds of live calls after the history; 0: none. Without it: until Ctrl-C.",
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, show_default=False, help="Send the history this many times faster than real time."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, show_default=False, help="Records of the history per second.")
    ] = None,
    intensity: Annotated[float, typer.Option(min=0.01, help="Multiply the number of calls per manager.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same department and the same random numbers.")] = 7,
    managers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=5000,
            show_default=False,
            help="Number of managers to invent. Without it: those of the settings, or 60.",
        ),
    ] = None,
    teams: Annotated[int, typer.Option(min=1, max=500, help="Number of teams to invent.")] = 5,
    always: Annotated[
        bool, typer.Option("--always", help="Invent shifts round the clock, for a demo at night.")
    ] = False,
    stories: Annotated[
        bool, typer.Option("--stories", help="Simulate a department with known stories (docs/simulator.md).")
    ] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="No lost, late, repeated, unordered or malformed records.")
    ] = False,
    crm: Annotated[bool, typer.Option("--crm/--no-crm", help="Also send CRM events: notes, deals, links.")] = True,
    speech: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the answered legs that have a transcript, in Russian or English."),
    ] = 0.0,
    roster: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="Write the invented teams and managers as settings."),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="Write the expected activity figures as JSON."),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option(
            "--as",
            show_default=False,
            help="Write the history as another system would, and send nothing. --roster says who is who.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate a department: first its history, as fast as Kafka takes it, then live calls.

    It has teams, shifts, breaks, personalities, transfers, missed calls and deals. It also has the faults of real
    sources: lost, late, repeated, unordered and malformed records. The same seed gives the same department.

    If the settings have managers, these work, and the worker knows their shifts. Invented managers are in team
    "unassigned" unless the worker gets the file of --roster, too.

    With --stories, the figures must show known stories: a busy manager who wins nothing, a quiet closer, a team that
    loses leads before the proposal, a drifting norm. Some stories need two quarters of history.

    For example:

        callpulse simulate --days 30

        callpulse simulate --days 7 --seconds 0 --rate 10000 --json

        callpulse simulate --managers 200 --always --intensity 5 --roster roster.toml

        callpulse simulate --stories --roster stories.toml --seconds 0

        callpulse simulate --managers 20 --always --speech 0.5 --roster roster.toml

        callpulse simulate --managers 20 --as cel --roster roster.toml > Master.csv
    """
    settings = read_settings(config, bootstrap)
    if speed is not None and rate is not None:
        raise UserError("--speed and --rate both set the pace of the history: give only one of them", USAGE)
    if stories and (managers is not None or always):
        raise UserError("--stories has its own managers and shifts: leave --managers and --always out", USAGE)
    if stories:
        department, days = _of_stories(seed, days)
    else:
        department = _department(settings, seed, managers, teams, always=always)
        days = 1.0 if days is None else days
    if form is not None:
        if as_json or answers is not None or seconds is not None or speed is not None or rate is not None or speech:
            raise UserError(
                "--as writes a history only: leave --json, --answers, --seconds, --speed, --rate and --speech out",
                USAGE,
            )
        write_as(form, department, days, intensity, roster)
        return
    if roster is not None:
        if not department.text:
            raise UserError("--roster writes invented managers only; the managers come from the settings here", USAGE)
        roster.write_text(department.toml(), encoding="utf-8")
    work = _Run(settings, department, days, seconds, intensity=intensity, clean=clean, crm=crm, speech=speech)
    counts = run(work.run(speed, rate))
    if answers is not None:
        answers.write_bytes(work.answers())
    if as_json:
        print_json(counts)
    else:
        typer.echo(", ".join(f"{name} {value}" for name, value in counts.items()))


class _Run:
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
        speech: float,
    ) -> None:
        from streams.simulator import FaultRates, Recognition, SpeechOptions, Truth  # noqa: PLC0415 - slow to import

        self._settings = settings
        self.truth: Truth = Truth(department.settings)
        now_ms = int(time.time() * 1000)
        self._live = seconds != 0
        self._until_ms = None if seconds is None else now_ms + int(seconds * 1000)
        self._transcripts = 0 if speech else None
        recognition = Recognition.none() if clean else Recognition()
        self._records = records(
            department,
            now_ms - int(days * DAY_MS),
            self._until_ms,
            self.truth,
            FaultRates.none() if clean else FaultRates(),
            intensity,
            crm=crm,
            speech=SpeechOptions(share=speech, recognition=recognition) if speech else None,
        )

    def _sent(self, record: Pending) -> None:
        """Pass a record that was sent to the truth. The truth has no transcripts: these are counted here."""
        record.sent()
        if self._transcripts is not None and record.topic == "speech":
            self._transcripts += 1

    async def run(self, speed: float | None, rate: float | None) -> dict[str, Any]:
        """Send the records, and return the counts."""
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
                    on_sent=self._sent,
                )
                stop_on_signals(feeder)
                if self._live:
                    announcement = asyncio.create_task(self._announce_live(feeder))
                await feeder.run(self._records, self._until_ms)
                if self._live:
                    announcement.cancel()
        seconds = time.monotonic() - started
        counts = {**self.truth.counts(), "crm": self.truth.crm["produced"]}
        if self._transcripts is not None:
            counts["speech"] = self._transcripts
        return {**counts, "sent": feeder.sent, "seconds": round(seconds, 3)}

    def answers(self) -> bytes:
        """Return the expected figures of this moment as JSON."""
        now_ms = int(time.time() * 1000)
        found = [
            {"metric": name, "labels": labels, "value": value}
            for (name, labels), value in sorted(self.truth.figures(now_ms).items())
        ]
        return orjson.dumps({"at_ms": now_ms, "answers": found}, option=orjson.OPT_INDENT_2)

    async def _announce_live(self, feeder: Feeder[Pending]) -> None:
        await feeder.live.wait()
        say(f"{feeder.sent} records of history are in Kafka. Live calls follow; Ctrl-C stops.")


class Pending(NamedTuple):
    """A record of the simulator that is not sent yet. `held` passes it to the truth after it was sent."""

    topic: str
    key: str | None
    value: bytes
    due_ms: int
    held: Held

    def sent(self) -> None:
        """Pass the record to the truth: it was sent to Kafka."""
        self.held.release()


class Held:
    """Holds back a record from the truth until it was sent. A record that is never sent must not count."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._next: tuple[int, Any, int] | None = None

    def arrived(self, due_ms: int, payload: Any, piece: int) -> None:
        """Keep the next record of the simulator."""
        self._next = due_ms, payload, piece

    def release(self) -> None:
        """Pass the kept record to the truth."""
        if self._next is not None:
            self._truth.arrived(*self._next)
            self._next = None


def records(
    department: Department,
    start_ms: int,
    until_ms: int | None,
    truth: Truth,
    faults: Any,
    intensity: float = 1.0,
    *,
    crm: bool = True,
    speech: SpeechOptions | None = None,
) -> Iterator[Pending]:
    """Yield the records of a department until `until_ms`, or practically without end if that is None."""
    from streams.simulator import simulate as simulate_department  # noqa: PLC0415 - slow to import

    end_ms = until_ms if until_ms is not None else start_ms + _HORIZON_DAYS * DAY_MS
    held = Held(truth)
    made = simulate_department(
        department,
        start_ms,
        max(start_ms, end_ms),
        faults=faults,
        intensity=intensity,
        truth=held,
        crm=crm,
        speech=speech,
    )
    for record in made:
        yield Pending(record.topic, record.key, record.value, record.due_ms, held)


def stop_on_signals(feeder: Feeder[Any]) -> None:
    """Stop the feeder on Ctrl-C and SIGTERM."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, feeder.stop.set)


def _department(settings: Settings, seed: int, managers: int | None, teams: int, *, always: bool) -> Department:
    from streams.simulator import Department  # noqa: PLC0415 - slow to import

    if managers is None and settings.managers:
        return Department.from_settings(settings, seed, always=always)
    return Department.make(seed, managers or 60, teams, always=always)


def _of_stories(seed: int, days: float | None) -> tuple[Department, float]:
    """Return the department of the stories and its days of history. Print the stories that these days show."""
    from streams.simulator.people.stories import LONG_DAYS, STORIES, department  # noqa: PLC0415 - slow to import

    days = LONG_DAYS if days is None else days
    for story in STORIES:
        if story.days <= days:
            say(f"{story.name}: {story.subject}. {story.sees}")
    return department(seed, int(days)), days

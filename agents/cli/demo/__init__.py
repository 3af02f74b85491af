"""`callpulse demo`: all processes on this machine, live, and at the end a check that the figures are right."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agents.cli.common import FAILED, INTERRUPTED, print_json, say


class Source(StrEnum):
    """The sources that the demo can show by a fake of their system."""

    BITRIX24 = "bitrix24"


def demo(
    *,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=1, show_default=False, help="Live for so long, then compare and leave. Without it: until Ctrl-C."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="Write what came of it, as JSON.")
    ] = None,
    managers: Annotated[int, typer.Option(min=1, max=2000, help="Size of the department.")] = 30,
    days: Annotated[float, typer.Option(min=0, max=400, help="Days of history before it gets live.")] = 14.0,
    intensity: Annotated[float, typer.Option(min=0.01, help="Live, everybody calls so many times as much.")] = 3.0,
    seed: Annotated[int, typer.Option(help="The same seed is the same department.")] = 7,
    board: Annotated[bool, typer.Option("--board/--no-board", help="Show the board, if this is a terminal.")] = True,
    source: Annotated[
        Source | None, typer.Option(show_default=False, help="Show a source, too: a fake of its system is started.")
    ] = None,
) -> None:
    """Show what callpulse does: Kafka, the topics, a worker, recorded calls of a real PBX, a department at work.

    Recorded sessions of a PBX are played over a manager interface on this machine, to `callpulse listen ami`. The
    simulated CRM posts its events to `callpulse gateway`. The simulated telephony, which is the load, goes straight
    into Kafka.

    With --source bitrix24 there is a fake portal of Bitrix24, too, in which five more people work. The gateway polls
    it, and each of its calls and deals must be counted in the end.

    Nothing has to be installed or configured. All programs take free ports of 127.0.0.1 and a temporary folder; all is
    gone when the demo ends. Prometheus and Grafana are started, too, where they are on the PATH.

    With --seconds the demo ends by itself: with 0 only if every activity figure of every simulated manager is what the
    simulator knows to be true, the events of the recorded sessions are in Kafka as they must be, and the worker has
    counted exactly the events of the CRM that the gateway acknowledged, and all that the portal shows; else with 1.

    For example:

        callpulse demo

        callpulse demo --seconds 60 --report report.json

        callpulse demo --managers 100 --intensity 5

        callpulse demo --source bitrix24
    """
    from agents.cli.demo.stage import Plan, perform  # noqa: PLC0415 - slow to import

    started = time.monotonic()
    plan = Plan(
        seconds=seconds, managers=managers, days=days, intensity=intensity, seed=seed, board=board, source=source or ""
    )
    try:
        result = perform(plan)
    except KeyboardInterrupt:
        say("interrupted; nothing is left running")
        raise typer.Exit(INTERRUPTED) from None
    result["seconds"] = round(time.monotonic() - started, 1)
    if report is not None:
        import orjson  # noqa: PLC0415 - only here

        report.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
        say(f"{report} says what came of it.")
    elif seconds is not None:
        print_json(result)
    if result["mismatches"]:
        say(f"{result['mismatches']} things are not what they should be, for example:")
        for line in result["examples"]:
            say(f"  {line}")
        raise typer.Exit(FAILED)
    if seconds is not None:
        say("Every figure of every simulated manager is what the simulator knows to be true.")
        gateway, heard = result["ways"]["gateway"], result["ways"]["socket"]
        say(f"All {gateway['acknowledged']} events of the CRM that the gateway acknowledged are counted.")
        if (portal := result["ways"].get("portal")) is not None:
            say(f"All {portal['calls']} calls and {portal['deals']} deals of the portal are counted.")
        if heard["sessions"]:
            say(f"All {heard['events']} events of the recorded sessions came out as they must.")

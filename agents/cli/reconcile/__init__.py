"""`callpulse reconcile`: compares the records of a day with the figures, and sends the ends that repair these."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from msgspec.structs import replace
from rich.table import Table

from agents.cli.common import (
    FAILED,
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    cell,
    console,
    print_json,
    progress,
    read_settings,
    run,
    say,
)
from agents.cli.reconcile.comparing import compare, since
from agents.cli.reconcile.records import RecordFiles, files_of, read, size
from agents.cli.service import infrastructure_errors, lead_secret, log_to_stderr
from streams.calendars import EPOCH_DAY, local_time
from streams.settings.reader import duration
from streams.settings.settings import Settings
from streams.sources.reconciled import FoundDay
from streams.units import MINUTE_MS, SECOND_MS

_SHOWN: Final = 10
_YESTERDAY: Final = "yesterday"
_DAYS: Final = 3

CelOption = Annotated[
    list[Path] | None, typer.Option("--cel", metavar="FILE", help="A file of CEL; again for more.", show_default=False)
]
CdrOption = Annotated[
    list[Path] | None, typer.Option("--cdr", metavar="FILE", help="A file of CDR; again for more.", show_default=False)
]
FileOption = Annotated[
    list[Path] | None,
    typer.Option("--file", metavar="FILE", help="An exported file, with --map; again for more.", show_default=False),
]
MapOption = Annotated[
    str | None, typer.Option("--map", metavar="NAME", help="The table [sources.files.NAME].", show_default=False)
]


def reconcile_day(  # noqa: PLR0913 - one option each
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    day: Annotated[
        str | None,
        typer.Option(
            "--day", metavar="YYYY-MM-DD", help="The local day of each manager, or `yesterday`.", show_default=False
        ),
    ] = None,
    cel: CelOption = None,
    cdr: CdrOption = None,
    file: FileOption = None,
    mapping: MapOption = None,
    tolerance: Annotated[float, typer.Option("--tolerance", min=0, help="Seconds by which talk may differ.")] = 2.0,
    repair: Annotated[
        bool, typer.Option("--repair", help="Send the ends that are missing; they count as `ended_by` cdr.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only; no result is stored.")] = False,
    every: Annotated[
        str | None,
        typer.Option(
            "--every",
            metavar="SPAN",
            show_default=False,
            help="Go on until a signal, and do it again after each span, such as 1h, for the days that have ended.",
        ),
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=30, help="With --every: so many days.")] = _DAYS,
    as_json: JsonOption = False,
) -> None:
    """Compare what records say about a day with what was counted, per manager, and keep the result.

    Records are CEL or CDR of Asterisk, or an exported file with its mapping. Without a file, those of the settings are
    read ([sources.asterisk.cel] or [sources.asterisk.cdr]), with the ones that were rotated away. The boards show the
    results: a day is final once records cover it and all of their calls count. The exit code is 1 where something
    differs.

    With --every it is a process that does this for the last days. The port gateway.status_port answers /metrics,
    /-/healthy and /-/ready.

    For example:

        callpulse reconcile --day yesterday

        callpulse reconcile --day 2026-11-17 --cdr Master.csv --repair

        callpulse reconcile --every 1h --cel /var/log/asterisk/cel-custom/Master.csv
    """
    settings = read_settings(config, bootstrap)
    files = files_of(settings, cel, cdr, file, mapping)
    tolerance_ms = int(tolerance * SECOND_MS)
    if every is not None:
        if day is not None or dry_run:
            raise UserError("--every is for the days that have ended: leave --day and --dry-run out.", USAGE)
        _go_on(settings, files, _span(every), days, tolerance_ms, repair=repair, as_json=as_json)
        return
    if repair and dry_run:
        raise UserError("--repair sends, --dry-run does not: give one of them.", USAGE)
    found, sent, refused = _once(settings, files, _day(day, settings), tolerance_ms, repair=repair, keep=not dry_run)
    if as_json:
        print_json({"days": [_plain(one) for one in found], **_ends(found), "sent": sent, "refused": refused})
    else:
        _show(found, sent, refused)
    if any(one.differences for one in found):
        raise typer.Exit(FAILED)


def _day(text: str | None, settings: Settings) -> int:
    if text == _YESTERDAY:
        return local_time(settings.timezone).day(time.time_ns() // 1_000_000) - 1
    try:
        return date.fromisoformat(text or "").toordinal() - EPOCH_DAY
    except ValueError:
        raise UserError("--day is a date such as 2026-11-17, or yesterday.", USAGE) from None


def _span(text: str) -> float:
    try:
        ms = duration(text)
    except ValueError as error:
        raise UserError(f"--every: {error}.", USAGE) from None
    if ms < MINUTE_MS:
        raise UserError("--every is a minute or longer: each time reads the files and the calls of days.", USAGE)
    return ms / SECOND_MS


def _once(
    settings: Settings, files: RecordFiles, day: int, tolerance_ms: int, *, repair: bool, keep: bool
) -> tuple[list[FoundDay], int, int]:
    """Return the findings, the number of ends that were sent, and the number of lines that could not be read."""
    since_ms = since(settings, [day])
    with progress("reading records", size(files, since_ms)) as advance:
        records = read(files, settings, [day], since_ms, tolerance_ms, advance)
    with progress("reading calls", None) as advance:
        done = run(
            compare(
                settings,
                [day],
                records,
                time.time_ns() // 1_000_000,
                to_send=lambda _: repair,
                advance=advance,
            )
        )
    if keep:
        from agents.kafka.reconciliations import store  # noqa: PLC0415 - slow to import

        run(store(settings.kafka, [one.result for one in done.after]))
    return done.found, len(done.sent), records.refused


def _go_on(
    settings: Settings,
    files: RecordFiles,
    every_s: float,
    days: int,
    tolerance_ms: int,
    *,
    repair: bool,
    as_json: bool,
) -> None:
    from agents.cli.reconcile import rounds  # noqa: PLC0415 - slow to import
    from agents.gateway.service import Service  # noqa: PLC0415 - slow to import

    lead_secret(settings)
    log_to_stderr()

    async def serve() -> None:
        async with Service(settings, rounds.PROCESS) as service:
            if as_json:
                print_json({"status": service.url, "files": [str(path) for path in files.paths]})
            else:
                say(f"the days that have ended are reconciled; state is at {service.url}/-/ready")
            going_on = rounds.Rounds(
                settings,
                replace(files, rotated=True),
                days=days,
                every_s=every_s,
                tolerance_ms=tolerance_ms,
                repair=repair,
            )
            await rounds.serve(service, going_on)

    with infrastructure_errors():
        run(serve())


def _plain(one: FoundDay) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(one.result)
    return plain | {
        "day": one.result.date,
        "final": one.result.is_final,
        "why_provisional": one.result.why_provisional,
        "differences": msgspec.to_builtins(one.differences),
    }


def _ends(found: Sequence[FoundDay]) -> dict[str, object]:
    return {"repairs": [msgspec.to_builtins(end) for one in found for end in one.repairs]}


def _show(found: Sequence[FoundDay], sent: int, refused: int) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = ("manager", "both", "missing", "lost ends", "extra", "other talk", "talk, s", "other disposition", "day")
    for name in names:
        table.add_column(name, justify="left" if name in ("manager", "day") else "right")
    for one in found:
        result = one.result
        counts = (result.both, result.missing, result.lost_end, result.extra, result.other_talk)
        table.add_row(
            cell(result.manager),
            *map(str, counts),
            f"{result.talk_difference_ms / SECOND_MS:+.0f}",
            str(result.other_disposition),
            "final" if result.is_final else f"provisional: {result.why_provisional}",
        )
    console().print(table)
    for one in found:
        manager = one.result.manager
        for leg in one.differences[:_SHOWN]:
            when = datetime.fromtimestamp(leg.at / SECOND_MS, UTC).isoformat(" ", "seconds")
            say(f"{manager}: {leg.kind}, call {leg.call}, {when}: counted {leg.counted}, recorded {leg.recorded}")
        if len(one.differences) > _SHOWN:
            say(f"{manager}: and {len(one.differences) - _SHOWN} more; --json lists them")
    if refused:
        say(f"{refused} lines could not be read")
    if sent:
        say(f"{sent} ends were sent; run it again to see the day with them")
    elif any(one.repairs for one in found):
        say(f"--repair would send {sum(len(one.repairs) for one in found)} ends")

"""`callpulse reconcile`: what records say about a day against what was counted live, and the ends that repair it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
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
from agents.cli.service import lead_secret
from streams.calendars import manager_time
from streams.contract import topics
from streams.contract.events import CallEnded, encode
from streams.settings.settings import Settings
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.cdr_calls import CdrLeg
from streams.sources.asterisk.records.sources import CdrSource, CelSource
from streams.sources.people import People
from streams.sources.reconciliation import CountedLeg, Reconciled, RecordLeg, Terms, legs_of, on_day, reconcile
from streams.units import DAY_MS, HOUR_MS

_EPOCH: Final = date(1970, 1, 1).toordinal()
_ANY_ZONE_MS: Final = 14 * HOUR_MS
_FUTURE_MS: Final = 1 << 62
_SHOWN: Final = 10

CelOption = Annotated[
    list[Path] | None, typer.Option("--cel", metavar="FILE", help="A file of CEL; again for more.", show_default=False)
]
CdrOption = Annotated[
    list[Path] | None, typer.Option("--cdr", metavar="FILE", help="A file of CDR; again for more.", show_default=False)
]


def reconcile_day(
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    day: Annotated[str, typer.Option("--day", metavar="YYYY-MM-DD", help="The local day of each manager.")],
    cel: CelOption = None,
    cdr: CdrOption = None,
    tolerance: Annotated[float, typer.Option("--tolerance", min=0, help="Seconds by which talk may differ.")] = 2.0,
    repair: Annotated[
        bool, typer.Option("--repair", help="Send the ends that are missing; they count as `ended_by` cdr.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare what Asterisk's records say about a day with what was counted, per manager.

    The files are read with the settings of [sources.asterisk.cel] or [sources.asterisk.cdr]. The exit code is 1 where
    something differs.

    For example:

        callpulse reconcile --day 2026-11-17 --cel /var/log/asterisk/cel-custom/Master.csv

        callpulse reconcile --day 2026-11-17 --cdr Master.csv --repair
    """
    settings = read_settings(config, bootstrap)
    if bool(cel) == bool(cdr):
        raise UserError("give files of one kind: --cel FILE or --cdr FILE.", USAGE)
    try:
        number = date.fromisoformat(day).toordinal() - _EPOCH
    except ValueError:
        raise UserError("--day is a date such as 2026-11-17.", USAGE) from None
    kind = "cel" if cel else "cdr"
    records, terms, refused = _read(kind, cel or cdr or [], settings, number, int(tolerance * 1000))
    result = on_day(run(_compare(settings, number, records, terms)), number)
    sent = run(_send(settings, result.repairs)) if repair and result.repairs else 0
    if as_json:
        print_json(msgspec.to_builtins(result) | {"sent": sent, "refused": refused})
    else:
        _show(result, sent, refused)
    if not result.agrees:
        raise typer.Exit(FAILED)


def _read(
    kind: str, files: Sequence[Path], settings: Settings, day: int, tolerance_ms: int
) -> tuple[list[RecordLeg], Terms, int]:
    """Return the legs that the files say about a day, what is compared, and the number of lines that were refused."""
    secret, mapping = lead_secret(settings), settings.source(AsteriskMapping)
    people = People.of(settings, secret)
    refused = 0
    ends: list[CallEnded] = []
    cdr_legs: list[CdrLeg] = []
    knows_missed = True
    with progress("reading records", sum(path.stat().st_size for path in files)) as advance:
        for path in files:
            if kind == "cel":
                cel = CelSource(mapping.cel, mapping, secret, settings.timezone, people)
                for place, line in enumerate(_lines(path, advance)):
                    done = cel.take(line, place, _FUTURE_MS)
                    ends += [event for event in done.events if isinstance(event, CallEnded)]
                    refused += len(done.refused)
                ends += [event for event in cel.quiet(0) if isinstance(event, CallEnded)]
                knows_missed &= cel.calls.knows_applications
            else:
                cdr = CdrSource(mapping.cdr, mapping, secret, settings.timezone, people)
                for place, line in enumerate(_lines(path, advance)):
                    legs, bad = cdr.legs(line, place, _FUTURE_MS)
                    cdr_legs += legs
                    refused += len(bad)
                cdr_legs += cdr.calls.finish()
    records = [RecordLeg(leg.end, (leg.end,), leg.is_exact, leg.other_calls) for leg in cdr_legs]
    records += legs_of(end for end in ends if end.ended_by != "timeout")
    moments = [record.end.at for record in records]
    terms = Terms(
        since_ms=min(moments, default=0),
        until_ms=max(moments, default=0),
        tolerance_ms=tolerance_ms,
        knows_cancels=kind == "cel",
        knows_missed=knows_missed,
    )
    mine = [
        record for record in records if _day(settings, record.end.manager, record.end.at) in (day - 1, day, day + 1)
    ]
    return mine, terms, refused


def _lines(path: Path, advance: object) -> Iterator[bytes]:
    assert callable(advance)  # noqa: S101 - what `progress` gives
    with path.open("rb") as stream:
        for line in stream:
            advance(len(line))
            yield line


async def _compare(settings: Settings, day: int, records: Iterable[RecordLeg], terms: Terms) -> Reconciled:
    from agents.kafka.counted import counted_legs  # noqa: PLC0415 - slow to import

    midnight = day * DAY_MS
    since_ms = midnight - _ANY_ZONE_MS - settings.thresholds.max_call_ms - settings.thresholds.future_ms
    with progress("reading calls", None) as advance:
        counted = await counted_legs(settings, settings.source(AsteriskMapping).source, since_ms, advance)
    return of_day(settings, day, counted, records, terms)


def of_day(
    settings: Settings, day: int, counted: Iterable[CountedLeg], records: Iterable[RecordLeg], terms: Terms
) -> Reconciled:
    """Compare all legs, and keep those of the day: by what was counted, or else by the records."""
    known = list(counted)
    days = {(leg.call, leg.manager): _day(settings, leg.manager, leg.result.at) for leg in known}
    mine: list[RecordLeg] = []
    for record in records:
        names = [*record.other_calls, record.end.call]
        held = next((days[name, record.end.manager] for name in names if (name, record.end.manager) in days), None)
        if (held if held is not None else _day(settings, record.end.manager, record.end.at)) == day:
            mine.append(record)
    return reconcile([leg for leg in known if days[leg.call, leg.manager] == day], mine, terms)


def _day(settings: Settings, manager: str, at_ms: int) -> int:
    return manager_time(settings, manager).day(at_ms)


async def _send(settings: Settings, repairs: Sequence[CallEnded]) -> int:
    from agents.kafka.clients import full_name  # noqa: PLC0415 - slow to import
    from agents.kafka.producer import BatchProducer  # noqa: PLC0415 - as above

    async with BatchProducer(settings.kafka) as producer:
        for end in repairs:
            await producer.add(full_name(settings.kafka, topics.CALLS), end.manager.encode(), encode(end))
    return len(repairs)


def _show(result: Reconciled, sent: int, refused: int) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("manager", "both", "missing", "lost ends", "extra", "other talk", "talk, s", "other disposition"):
        table.add_column(name, justify="left" if name == "manager" else "right")
    for day in result.days:
        counts = (day.both, day.missing, day.lost_ends, day.extra, day.other_talk)
        table.add_row(
            cell(day.manager),
            *map(str, counts),
            f"{day.talk_difference_ms / 1000:+.0f}",
            str(day.other_disposition),
        )
    console().print(table)
    for day in result.days:
        for one in day.differences[:_SHOWN]:
            when = datetime.fromtimestamp(one.at / 1000, UTC).isoformat(" ", "seconds")
            say(f"{day.manager}: {one.kind}, call {one.call}, {when}: counted {one.counted}, recorded {one.recorded}")
        if len(day.differences) > _SHOWN:
            say(f"{day.manager}: and {len(day.differences) - _SHOWN} more; --json lists them")
    if refused:
        say(f"{refused} lines could not be read")
    if sent:
        say(f"{sent} ends were sent")
    elif result.repairs:
        say(f"--repair would send {len(result.repairs)} ends")

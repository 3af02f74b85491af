"""`callpulse simulate --as`: a simulated history in the format of another system, on standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agents.cli.common import USAGE, UserError, say
from streams.units import DAY_MS

if TYPE_CHECKING:
    from streams.simulator import Department
    from streams.simulator.rendering.history import History
    from streams.simulator.rendering.pbx_facts import PbxFact
    from streams.simulator.rendering.phone_book import PhoneBook


class Form(StrEnum):
    """The formats in which the history is written."""

    AMI = "ami"
    CEL = "cel"
    CEL_JSON = "cel-json"
    CDR = "cdr"
    QUEUE_LOG = "queue-log"
    CSV = "csv"
    EVENTS = "events"
    CLOUDEVENTS = "cloudevents"
    MANGO = "mango"
    MEGAFON = "megafon"
    ZADARMA = "zadarma"
    TWILIO = "twilio"
    AMAZON_CONNECT = "amazon-connect"
    FREESWITCH = "freeswitch"


_ZONE: Final = "UTC"
_INTERNAL: Final = 0.1  # calls to a colleague for each talk


def write_as(form: Form, department: Department, days: float, intensity: float, roster: Path | None) -> None:
    """Write the history of `days` before now to standard output, and the roster to `roster`.

    Raises UserError for a roster of settings, which has extensions of its own or none.
    """
    from streams.simulator import FaultRates, simulate  # noqa: PLC0415 - slow to import
    from streams.simulator.rendering import bodies, export  # noqa: PLC0415 - as above
    from streams.simulator.rendering.exchange import Exchange  # noqa: PLC0415 - as above
    from streams.simulator.rendering.history import History  # noqa: PLC0415 - as above
    from streams.simulator.rendering.phone_book import PhoneBook  # noqa: PLC0415 - as above

    if not department.text:
        raise UserError("--as needs invented managers, who get extensions: give --managers", USAGE)
    end_ms = int(time.time() * 1000)
    start_ms = end_ms - int(days * DAY_MS)
    made = simulate(department, start_ms, end_ms, faults=FaultRates.none(), intensity=intensity, internal=_INTERNAL)
    history, book = History.of(made).until(end_ms), PhoneBook(department.settings.managers)
    if roster is not None:
        more = export.MAPPING.format(zone=_ZONE) if form is Form.CSV else ""
        system = "amazon_connect" if form is Form.AMAZON_CONNECT else ""
        roster.write_text(book.roster(department.text, system) + more, encoding="utf-8")
    else:
        say("who has which extension is not written anywhere: --roster FILE would say it")
    chunks: Iterable[bytes]
    if form is Form.CSV:
        chunks = export.rows(history, book, _ZONE)
    elif form is Form.EVENTS:
        chunks = bodies.lines(history.events())
    elif form is Form.CLOUDEVENTS:
        chunks = (body + b"\n" for body in bodies.cloudevents(history.events()))
    elif (requests := _requests().get(form)) is not None:
        chunks = requests(history, book)
    else:
        chunks = _writers()[form](Exchange(book).facts(history))
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def _writers() -> Mapping[Form, Callable[[Iterable[PbxFact]], Iterator[bytes]]]:
    from streams.simulator.rendering import ami, cdr, cel, queue_log  # noqa: PLC0415 - slow to import

    return {
        Form.AMI: ami.write,
        Form.CEL: cel.csv,
        Form.CEL_JSON: cel.json_lines,
        Form.CDR: cdr.rows,
        Form.QUEUE_LOG: queue_log.lines,
    }


def _requests() -> Mapping[Form, Callable[[History, PhoneBook], Iterator[bytes]]]:
    from streams.simulator.rendering import amazon_connect, freeswitch, mango, megafon, twilio, zadarma  # noqa: PLC0415 - as above

    return {
        Form.AMAZON_CONNECT: amazon_connect.lines,
        Form.FREESWITCH: freeswitch.lines,
        Form.MANGO: mango.lines,
        Form.MEGAFON: megafon.lines,
        Form.TWILIO: twilio.lines,
        Form.ZADARMA: lambda history, book: zadarma.lines(history, book, _ZONE),
    }

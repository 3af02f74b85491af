"""A table of calls, as a telephone system exports it for accountants: one row for each leg, in local time."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from streams.contract.events import QUEUE_PREFIX
from streams.simulator.rendering.history import History, Leg
from streams.simulator.rendering.phone_book import PhoneBook

HEADER: Final = (
    *("Call", "Started", "Answered", "Ended", "Talk", "Direction", "Result", "Kind", "Queue", "Extension", "Customer"),
    *("Transferred to", "Transfer"),
)
QUEUE: Final = "Queue "
DIRECTIONS: Final = {"inbound": "In", "outbound": "Out"}
INTERNAL: Final = "Internal"
RESULTS: Final = {
    "answered": "Answered",
    "no_answer": "No answer",
    "busy": "Busy",
    "failed": "Failed",
    "canceled": "Canceled",
    "voicemail": "Voicemail",
}
MAPPING: Final = """\
[sources.files.calls]
what = "calls"
delimiter = ";"
time = "%d.%m.%Y %H:%M:%S.%f"
timezone = "{zone}"
spans = "milliseconds"
queue_prefix = "Queue "

[sources.files.calls.columns]
call = "Call"
started = "Started"
answered = "Answered"
ended = "Ended"
talk = "Talk"
direction = "Direction"
disposition = "Result"
kind = "Kind"
queue = "Queue"
manager = "Extension"
extension = "Extension"
lead_number = "Customer"
transferred_to = "Transferred to"
how = "Transfer"

[sources.files.calls.values]
direction = {{ In = "inbound", Out = "outbound", Internal = "internal" }}

[sources.files.calls.values.disposition]
Answered = "answered"
"No answer" = "no_answer"
Busy = "busy"
Failed = "failed"
Canceled = "canceled"
Voicemail = "voicemail"
"""
"""The settings that read the table, with the IANA zone of its times."""


class _Line:
    """The target of the writer of rows, which keeps its text."""

    def write(self, text: str) -> None:
        """Keep one row."""
        self.text = text


def rows(history: History, book: PhoneBook, zone: str) -> Iterator[bytes]:
    """Yield the first line and the rows, in the order in which the legs ended. `zone` is an IANA zone."""
    line, local = _Line(), ZoneInfo(zone)
    writer = csv.writer(line, delimiter=";", lineterminator="\n")
    writer.writerow(HEADER)
    yield line.text.encode()
    for leg in sorted(history.legs(), key=lambda leg: leg.ended_at):
        writer.writerow(_row(leg, book, local))
        yield line.text.encode()


def _row(leg: Leg, book: PhoneBook, zone: ZoneInfo) -> tuple[str, ...]:
    queue = leg.manager.removeprefix(QUEUE_PREFIX)
    return (
        leg.call,
        _time(leg.started_at, zone),
        "" if leg.answered_at is None else _time(leg.answered_at, zone),
        _time(leg.ended_at, zone),
        str(leg.talk_ms),
        INTERNAL if leg.internal else DIRECTIONS[leg.direction],
        RESULTS[leg.disposition],
        leg.kind or "",
        leg.queue or "",
        f"{QUEUE}{queue}" if queue != leg.manager else book.extensions[leg.manager],
        "" if leg.lead is None else book.number(leg.lead),
        book.extensions[leg.to] if leg.to else "",
        leg.how if leg.to else "",
    )


def _time(at_ms: int, zone: ZoneInfo) -> str:
    moment = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone)
    return f"{moment:%d.%m.%Y %H:%M:%S}.{at_ms % 1000:03d}"

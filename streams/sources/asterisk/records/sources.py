"""Record files as sources: lines in, contract events and refusals out, and the line from which a restart has to read.

A restart begins at the oldest line that is still needed, or behind the last line with the state that `snapshot` gave.
Rows that are read twice give the same events, with the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from streams.contract.events import Event
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.cdr import CdrReader
from streams.sources.asterisk.records.cdr_calls import CdrCalls, CdrLeg
from streams.sources.asterisk.records.cel import CelReader
from streams.sources.asterisk.records.cel_events import CelEvents
from streams.sources.asterisk.records.queue_log import (
    Malformed,
    QueueLog,
    QueueLogState,
    UnmappedMember,
    read_line,
)
from streams.sources.asterisk.records.rows import Lines, refuse
from streams.sources.asterisk.records.settings import CdrSettings, CelSettings, QueueLogSettings
from streams.sources.frame import LineSource, ReadUntil, Refused, Translation
from streams.sources.people import People
from streams.units import HOUR_MS, MINUTE_MS

FUTURE_MS: Final = 5 * MINUTE_MS
"""A record may be dated later than the reader's clock by as much."""


RECORD_FILES: Final[Mapping[str, str]] = {
    "cel": "/var/log/asterisk/cel-custom/Master.csv",
    "queue_log": "/var/log/asterisk/queue_log",
    "cdr": "/var/log/asterisk/cdr-csv/Master.csv",
}
"""The kinds of record files, and the paths to which Asterisk writes them."""


class CelSource:
    """CEL. Its state is rebuilt from the rows of the calls that are open, so it has no snapshot."""

    def __init__(
        self,
        settings: CelSettings,
        mapping: AsteriskMapping,
        secret: bytes,
        zone: str = "UTC",
        people: People | None = None,
    ) -> None:
        """Raise ValueError for settings that cannot be used. `zone` is used where `settings` name none."""
        self._rows = CelReader(settings, zone)
        self.calls = CelEvents(
            mapping, secret, people, settings.ended_by, settings.longest_call_hours * HOUR_MS, settings.queues
        )
        self._row_place: int | None = None
        self.newest_ms = 0
        """The time of the newest row, 0 for none."""

    @property
    def unusable(self) -> str:
        """The reason why no line of the file can be read, "" for a readable file."""
        return self._rows.unusable

    @property
    def given_up(self) -> int:
        """The number of calls that were open for too long."""
        return self.calls.given_up

    @property
    def oldest(self) -> int | None:
        """The first row of the oldest open call, or the first line of a row that goes on."""
        places = [place for place in (self.calls.oldest, self._row_place) if place is not None]
        return min(places, default=None)

    def read_until(self, source: str) -> ReadUntil:
        """Return the progress of the reader. The rows fill the gaps of a listener whose events have this source."""
        return ReadUntil(read_until_key(source), lambda: self.newest_ms)

    def take(self, line: bytes, place: int, now_ms: int) -> Translation:
        """Process a line. Never raises."""
        done = Translation(events=[], refused=[])
        place = place if self._row_place is None else self._row_place
        for row in self._rows.take(line):
            if isinstance(row, Refused):
                done.refused.append(row)
            elif row.at > now_ms + FUTURE_MS:
                done.refused.append(_future(line, f"line {self._rows.number}"))
            else:
                self.newest_ms = max(self.newest_ms, row.at)
                events = self.calls.take(row, place)
                done.events += events
                done.ignored += not events
        self._row_place = place if self._rows.is_waiting else None
        return done

    def quiet(self, now_ms: int) -> list[Event]:
        """Return the events that waited for the next row."""
        return self.calls.quiet(now_ms)

    def snapshot(self) -> bytes:
        """Return b"": the state is rebuilt from the rows."""
        return b""

    def restore(self, snapshot: bytes) -> None:
        """Do nothing: the state is rebuilt from the rows."""


class QueueLogSource:
    """queue_log."""

    def __init__(
        self, settings: QueueLogSettings, mapping: AsteriskMapping, secret: bytes, people: People | None = None
    ) -> None:
        """Raise ValueError for settings that cannot be used."""
        self._lines = Lines()
        self.log = QueueLog(mapping, secret, people, settings.ended_by)

    @property
    def unusable(self) -> str:
        """The reason why no line of the file can be read, "" for a readable file."""
        return self._lines.unusable

    @property
    def given_up(self) -> int:
        """The number of calls that were dropped, because too many were open."""
        return self.log.given_up

    @property
    def oldest(self) -> None:
        """None: the snapshot holds the calls that are open."""
        return

    def take(self, line: bytes, place: int, now_ms: int) -> Translation:  # noqa: ARG002 - no line is read again
        """Process a line. Never raises."""
        done = Translation(events=[], refused=[])
        where = f"line {self._lines.number + 1}"
        for text in self._lines.take(line):
            if isinstance(text, Refused):
                done.refused.append(text)
                continue
            try:
                read = read_line(text)
                if read.at > now_ms + FUTURE_MS:
                    done.refused.append(_future(line, where))
                else:
                    done.events += self.log.take(read)
                    done.ignored += not self.log.knows(read.event)
            except Malformed as error:
                done.refused.append(refuse(error.reason, error.detail, line, where))
        return done

    def quiet(self, now_ms: int) -> list[Event]:  # noqa: ARG002 - no line waits for another
        """Return nothing: no line waits for the next one."""
        return []

    def snapshot(self) -> bytes:
        """Return the open calls and the memberships."""
        return msgspec.msgpack.encode(self.log.state)

    def restore(self, snapshot: bytes) -> None:
        """Continue with the open calls and the memberships of `snapshot`."""
        if snapshot:
            self.log.state = msgspec.msgpack.decode(snapshot, type=QueueLogState)


class CdrSource:
    """CDR. Its state is rebuilt from the rows of the calls that may go on: they hold numbers, and are not stored.

    Only the newest moment before these rows is stored.
    """

    def __init__(
        self,
        settings: CdrSettings,
        mapping: AsteriskMapping,
        secret: bytes,
        zone: str = "UTC",
        people: People | None = None,
    ) -> None:
        """Raise ValueError for settings that cannot be used. `zone` is used where `settings` name none."""
        self._rows = CdrReader(settings, zone)
        self.calls = CdrCalls(mapping, secret, people)
        self._row_place: int | None = None

    @property
    def unusable(self) -> str:
        """The reason why no line of the file can be read, "" for a readable file."""
        return self._rows.unusable

    @property
    def given_up(self) -> int:
        """None: a row is written when a call is over."""
        return 0

    @property
    def oldest(self) -> int | None:
        """The first row of the oldest call that may go on, or the first line of a row that goes on."""
        places = [place for place in (self.calls.open.oldest, self._row_place) if place is not None]
        return min(places, default=None)

    def take(self, line: bytes, place: int, now_ms: int) -> Translation:
        """Process a line. Never raises."""
        legs, refused = self.legs(line, place, now_ms)
        return Translation(events=[leg.end for leg in legs], refused=refused)

    def legs(self, line: bytes, place: int, now_ms: int) -> tuple[list[CdrLeg], list[Refused]]:
        """Return the legs of the calls that a line completes, and the refusals."""
        legs: list[CdrLeg] = []
        refused: list[Refused] = []
        place = place if self._row_place is None else self._row_place
        for row in self._rows.take(line):
            if isinstance(row, Refused):
                refused.append(row)
            elif row is not None and row.end > now_ms + FUTURE_MS:
                refused.append(_future(line, f"line {self._rows.number}"))
            elif row is not None:
                legs += self.calls.take(row, place)
        self._row_place = place if self._rows.is_waiting else None
        return legs, refused

    def quiet(self, now_ms: int) -> list[Event]:  # noqa: ARG002 - the rows have the moments
        """Return the legs of the calls whose last row has come."""
        return [leg.end for leg in self.calls.finish()]

    def snapshot(self) -> bytes:
        """Return the newest end of the rows before `oldest`, ms in digits. The rest is rebuilt from the rows."""
        return b"%d" % self.calls.open.newest_before_oldest

    def restore(self, snapshot: bytes) -> None:
        """Continue behind the rows of `snapshot`. Raise ValueError for one of another form."""
        if snapshot:  # earlier releases had none
            self.calls.open.resume(int(snapshot))


def read_until_key(source: str) -> str:
    """Return the name of the cursor of the records that fill gaps of a live connection."""
    return f"{source}/read until"


def record_source(
    kind: str, mapping: AsteriskMapping, secret: bytes, zone: str, people: People | None = None
) -> LineSource:
    """Return the reader of a kind of record file. `zone` is that of the PBX where its settings name none.

    Raises ValueError for settings that cannot be used, or an unknown kind.
    """
    if kind == "cel":
        return CelSource(mapping.cel, mapping, secret, zone, people)
    if kind == "queue_log":
        return QueueLogSource(mapping.queue_log, mapping, secret, people)
    if kind == "cdr":
        return CdrSource(mapping.cdr, mapping, secret, zone, people)
    raise ValueError(f"unknown kind of record file: {kind}")


def record_key(source: str, kind: str) -> str:
    """Return the prefix of the key of the cursor of a followed record file; its path follows."""
    return f"{source}/{kind} "


def unmapped_members(snapshot: bytes) -> Mapping[str, UnmappedMember]:
    """Return the members of a queue_log without a known manager, by the snapshot of its reader."""
    try:
        return msgspec.msgpack.decode(snapshot, type=QueueLogState).unmapped if snapshot else {}
    except msgspec.MsgspecError:
        return {}


def _future(line: bytes, where: str = "") -> Refused:
    return refuse("future", "dated later than this machine's clock; see the clock and the zone of the PBX", line, where)

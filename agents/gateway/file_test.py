"""The test of a file that is followed: read its newest part as the follower does, and store nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from agents.gateway.file_identity import identify
from agents.gateway.following import CHUNK, GrowingFile, Line, Position
from agents.gateway.source_report import Report, span_text
from streams.contract.events import Event
from streams.settings.settings import Settings
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.knowledge import CANNOT_KNOW
from streams.sources.asterisk.records.sources import record_source, unmapped_members
from streams.sources.files.followed import FollowedFile
from streams.sources.files.knowledge import cannot_know
from streams.sources.files.mapping import FileMapping
from streams.sources.frame import LineSource
from streams.sources.people import People
from streams.sources.skew import nearest_zone
from streams.sources.unmapped import Unmapped
from streams.units import MINUTE_MS

NEWEST: Final = 4 * CHUNK
"""Number of bytes of a long file that are read."""
_MOST_REASONS: Final = 10

Begin = Callable[[Iterable[Line]], LineSource]
"""A function that makes a source from the first lines of a file. The source can then read from any place in it."""


def test_mapping(settings: Settings, name: str, path: Path, secret: bytes, now_ms: int) -> Report:
    """Return the report of a test of `[sources.files.NAME]` with a file."""
    mapping = settings.named("files", FileMapping)[name]
    people = People.of(settings, secret)
    make = partial(FollowedFile, name, mapping, people, secret, settings.thresholds.future_ms)

    def begin(head: Iterable[Line]) -> FollowedFile:
        first, source = make(), make()
        for line in head:
            first.take(line.data, line.place, now_ms)
        source.restore(first.snapshot())
        source.unusable = source.unusable or first.unusable
        return source

    report = Report(source=mapping.source or name, cannot_know=list(cannot_know(mapping)))
    return _FileTest(report, path, Unmapped(settings, people), now_ms).run(begin)


def test_records(settings: Settings, kind: str, path: Path, secret: bytes, now_ms: int) -> Report:
    """Return the report of a test of a record file of Asterisk. Raises ValueError for an unknown kind."""
    mapping = settings.source(AsteriskMapping)
    people = People.of(settings, secret)
    source = record_source(kind, mapping, secret, settings.timezone, people)
    report = Report(source=f"{mapping.source}-{kind.replace('_', '-')}", cannot_know=list(CANNOT_KNOW[kind]))
    unmapped = Unmapped(settings, people, {mapping.outside_manager})
    _FileTest(report, path, unmapped, now_ms).run(lambda _head: source)
    if kind == "queue_log":
        for name, one in unmapped_members(source.snapshot()).items():
            unmapped.take_uncounted(mapping.source, name, one.lines, one.first_ms, one.last_ms)
        report.unmapped = unmapped.lines()
    return report


class _FileTest:
    def __init__(self, report: Report, path: Path, unmapped: Unmapped, now_ms: int) -> None:
        self._report = report
        self._path = path
        self._unmapped = unmapped
        self._now_ms = now_ms
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._shapes: dict[tuple[str, str], str] = {}

    def run(self, begin: Begin) -> Report:
        report = self._report
        try:
            with self._path.open("rb") as file:
                identity, size = identify(file), os.fstat(file.fileno()).st_size
                written_ms = os.fstat(file.fileno()).st_mtime_ns // 1_000_000
            growing = GrowingFile(self._path)
            head = growing.poll()
            is_cut = size > NEWEST
            if is_cut:
                growing.close()
                growing = GrowingFile(self._path, Position(identity, size - NEWEST))
            source = begin(head if is_cut else ())
            self._read(source, growing, [] if is_cut else head, is_cut=is_cut)
        except OSError as error:
            report.problems.append(f"{self._path} cannot be read: {error.strerror or error}")
            return report
        report.facts.append(
            f"{self._path}: the last {NEWEST >> 10} of its {size >> 10} KiB" if is_cut else f"{self._path}: all of it"
        )
        self._say(source, growing, written_ms)
        return report

    def _read(self, source: LineSource, growing: GrowingFile, lines: list[Line], *, is_cut: bool) -> None:
        begins_within = is_cut
        while lines or (lines := growing.poll()):
            if begins_within:
                del lines[0]  # the rest of a line
            for line in lines:
                self._take(source, line, begins_within=begins_within)
                begins_within = False
            lines = []
        for event in source.quiet(self._now_ms):
            self._event(event)
        growing.close()

    def _take(self, source: LineSource, line: Line, *, begins_within: bool) -> None:
        done = source.take(line.data, line.place, self._now_ms)
        if begins_within and done.refused:
            return  # may be the rest of a row of several lines
        self._report.heard += 1
        self._report.understood += not (done.refused or source.unusable)
        for refused in done.refused:
            reason = refused.reason, refused.detail
            self._reasons[reason] += 1
            self._shapes.setdefault(reason, refused.shape.decode(errors="replace"))
        for event in done.events:
            self._event(event)

    def _event(self, event: Event) -> None:
        report = self._report
        report.events += 1
        report.last_at_ms = max(report.last_at_ms or 0, event.at)
        for field in ("manager", "to_manager"):
            manager = getattr(event, field, None)
            if manager is not None:
                self._unmapped.take(event.source, manager, event.at)

    def _say(self, source: LineSource, growing: GrowingFile, written_ms: int) -> None:
        report = self._report
        if report.last_at_ms is not None:
            report.facts.append(_age(report.last_at_ms, written_ms))
        if growing.is_torn:
            report.facts.append("the last line has no end yet: it waits for it")
        if source.unusable:
            report.problems.append(source.unusable)
        elif not report.heard:
            report.problems.append("there is no whole line in it")
        elif not report.events:
            report.problems.append("no event came of it: nothing in it is a call or a deal that concerns a figure")
        common = self._reasons.most_common()
        for (reason, detail), count in common[:_MOST_REASONS]:
            shown = self._shapes[reason, detail]
            report.problems.append(f"lines refused: {count}, {reason}: {detail}" + (f" ({shown})" if shown else ""))
        if len(common) > _MOST_REASONS:
            report.problems.append(f"and {len(common) - _MOST_REASONS} more reasons")
        report.unmapped = self._unmapped.lines()


def _age(last_ms: int, written_ms: int) -> str:
    """Return in words the time from the newest event to the last change of the file."""
    behind_ms = written_ms - last_ms
    way = f"{span_text(behind_ms)} before" if behind_ms >= 0 else f"{span_text(-behind_ms)} after"
    text = f"the newest event is {way} the last change of the file"
    zone_ms = nearest_zone(behind_ms)
    if not zone_ms:
        return text
    return (
        f"{text}, about {zone_ms // MINUTE_MS} min: if a row is written when its call ends, the time zone of the "
        "file is set wrong"
    )

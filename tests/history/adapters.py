"""Bytes of each system through its real adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from streams.contract.events import Event
from streams.settings.settings import load
from streams.simulator.rendering import ami, bodies, cdr, cel, export, mango, queue_log
from streams.sources.asterisk import AmiParser, Asterisk, AsteriskMapping
from streams.sources.asterisk.records.settings import CdrSettings, CelSettings, QueueLogSettings
from streams.sources.asterisk.records.sources import CdrSource, CelSource, QueueLogSource
from streams.sources.files.mapping import FileMapping
from streams.sources.files.reader import FileReader
from streams.sources.frame import KeptStatement, LineSource, Request
from streams.sources.http.acceptance import Acceptance
from streams.sources.http.batch import FORMS, BatchReader, Unread
from streams.sources.joins import OpenCalls
from streams.sources.mango.hook import MangoHook
from streams.sources.mango.join import MangoJoin
from streams.sources.registry import SOURCES
from tests.history.departments import SECRET, ZONE, Made

SaidBy: TypeAlias = Literal["cdr", "hangup"]
MAPPING: Final = AsteriskMapping()


def of_frames(of: Made, frames: Iterable[bytes], received_at_ms: int = 0, pieces: int = 1447) -> list[Event]:
    """Return the events of the interface's bytes, which come in pieces of one size."""
    return of_bytes(Asterisk(MAPPING, SECRET, people=of.people), b"".join(frames), received_at_ms, pieces)


def of_bytes(state: Asterisk, data: bytes, received_at_ms: int = 0, pieces: int = 1447) -> list[Event]:
    """Return the events of one connection's bytes. A message that is torn off is left out."""
    parser = AmiParser()
    events: list[Event] = []
    for begin in range(0, len(data), pieces):
        for message in parser.feed(data[begin : begin + pieces]):
            assert isinstance(message, dict), message
            events += state.feed(message, received_at_ms)
    return events


def of_lines(source: LineSource, lines: Iterable[bytes], now_ms: int) -> list[Event]:
    """Return the events of a file of records, all of whose lines are understood."""
    events: list[Event] = []
    for place, line in enumerate(lines):
        translation = source.take(line, place, now_ms)
        assert translation.refused == []
        events += translation.events
    return events + source.quiet(now_ms)


def cel_source(of: Made, ended_by: SaidBy = "hangup", form: str = "csv") -> CelSource:
    """Return the adapter of CEL. `ended_by` is "hangup" where it is all that is known."""
    settings = CelSettings(format="json" if form == "json" else "csv", ended_by=ended_by)
    return CelSource(settings, MAPPING, SECRET, people=of.people)


def queue_log_source(of: Made, ended_by: SaidBy = "hangup") -> QueueLogSource:
    """Return the adapter of queue_log."""
    return QueueLogSource(QueueLogSettings(ended_by=ended_by), MAPPING, SECRET, people=of.people)


def cdr_source(of: Made) -> CdrSource:
    """Return the adapter of CDR."""
    return CdrSource(CdrSettings(), MAPPING, SECRET, people=of.people)


def of_export(of: Made, data: bytes, pieces: int = 4099, latest_ms: int | None = None) -> list[Event]:
    """Return the events of an exported table, all of whose rows are understood."""
    mapping: FileMapping = getattr(of.settings.sources, "files")["calls"]  # noqa: B009 - a field that `load` adds
    reader = FileReader("calls", mapping, of.people, SECRET, of.end_ms if latest_ms is None else latest_ms)
    read = [reader.feed(data[begin : begin + pieces]) for begin in range(0, len(data), pieces)]
    read.append(reader.finish())
    refused = sorted({refusal.reason for translation in read for refusal in translation.refused})
    assert not refused, refused
    return [event for translation in read for event in translation.events]


def of_bodies(posted: Iterable[bytes], content_type: str, now_ms: int) -> list[Event]:
    """Return the events of request bodies, all of whose parts are accepted."""
    reader = BatchReader(Acceptance(future_ms=300_000))
    events: list[Event] = []
    for body in posted:
        parts = reader.read(FORMS[content_type], {}, body, sender="simulator", received_at_ms=now_ms)
        assert [part for part in parts if isinstance(part, Unread)] == []
        events += [part for part in parts if not isinstance(part, Unread)]
    return events


def _posted(of: Made, write: Callable[[Iterable[Event]], Iterable[bytes]], content_type: str) -> list[Event]:
    return of_bodies(write(of.history.events()), content_type, of.end_ms)


def of_mango(of: Made) -> list[Event]:
    """Return the events of the requests of Mango, all of which are authentic and understood."""
    key, salt = "a key of the tests", "a salt of the tests"
    text = f'[sources.mango]\napi_key = "{key}"\napi_salt = "{salt}"\n'
    settings = load(of.book.roster(of.text) + text, {"CALLPULSE_LEAD_SECRET": SECRET.decode()}, SOURCES)
    hook, calls = MangoHook(settings), OpenCalls({"mango": MangoJoin(settings)})
    events: list[Event] = []
    for number, post in enumerate(mango.posts(of.history, of.book)):
        request = Request(
            method="POST",
            url=f"https://callpulse.example/hooks/mango/a-token{post.path}",
            query="",
            headers={},
            body=mango.body(post.said, key, salt),
            received_at_ms=post.at_ms + 500,
        )
        assert hook.is_authentic(request)
        translation = hook.translate(request)
        assert translation.refused == []
        for one in translation.statements:
            calls.take("mango", one.call, number, KeptStatement(post.at_ms + 500, one.body))
        for ready in list(calls.ready(post.at_ms + 500)):
            events += ready.events
            calls.done(ready)
        calls.forget(post.at_ms)
    return events


class Adapter(NamedTuple):
    """An adapter: `read` renders a history as bytes and reads them. `losses` names what the system cannot know."""

    losses: str
    read: Callable[[Made], list[Event]]


ADAPTERS: Final[Mapping[str, Adapter]] = {
    "AMI": Adapter("ami", lambda of: of_frames(of, ami.write(of.facts))),
    "CEL, csv": Adapter("cel", lambda of: of_lines(cel_source(of), cel.csv(of.facts), of.end_ms)),
    "CEL, JSON": Adapter("cel", lambda of: of_lines(cel_source(of, form="json"), cel.json_lines(of.facts), of.end_ms)),
    "queue_log": Adapter("queue_log", lambda of: of_lines(queue_log_source(of), queue_log.lines(of.facts), of.end_ms)),
    "CDR": Adapter("cdr", lambda of: of_lines(cdr_source(of), cdr.rows(of.facts), of.end_ms)),
    "export": Adapter("export", lambda of: of_export(of, b"".join(export.rows(of.history, of.book, ZONE)))),
    "Mango": Adapter("mango", of_mango),
    "HTTP, arrays": Adapter("http", lambda of: _posted(of, bodies.arrays, "application/json")),
    "HTTP, lines": Adapter("http", lambda of: _posted(of, bodies.lines, "application/x-ndjson")),
    "CloudEvents": Adapter("http", lambda of: _posted(of, bodies.cloudevents, "application/cloudevents-batch+json")),
}

"""Bytes of each system through its real adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from streams.contract.events import Event
from streams.settings.settings import Secret, Settings, load
from streams.simulator.rendering import (
    amazon_connect,
    ami,
    bodies,
    cdr,
    cel,
    export,
    freeswitch,
    freeswitch_events,
    mango,
    megafon,
    queue_log,
    twilio,
    zadarma,
)
from streams.simulator.rendering.call_script import OWN_NUMBER
from streams.sources.amazon_connect.hook import ConnectHook
from streams.sources.amazon_connect.join import ConnectJoin
from streams.sources.asterisk import AmiParser, Asterisk, AsteriskMapping
from streams.sources.asterisk.records.settings import CdrSettings, CelSettings, QueueLogSettings
from streams.sources.asterisk.records.sources import CdrSource, CelSource, QueueLogSource
from streams.sources.files.mapping import FileMapping
from streams.sources.files.reader import FileReader
from streams.sources.frame import Hook, Join, KeptStatement, LineSource, Request
from streams.sources.freeswitch import FreeSwitchHook, FreeSwitchJoin
from streams.sources.freeswitch.access import EslAccess
from streams.sources.freeswitch.hook import parties_of
from streams.sources.freeswitch.mapping import FreeSwitchMapping
from streams.sources.freeswitch.session import EslSession
from streams.sources.freeswitch.translator import FreeSwitch
from streams.sources.http.acceptance import Acceptance
from streams.sources.http.batch import FORMS, BatchReader, Unread
from streams.sources.joins import OpenCalls
from streams.sources.mango.hook import MangoHook
from streams.sources.mango.join import MangoJoin
from streams.sources.megafon.hook import MegafonHook
from streams.sources.megafon.join import MegafonJoin
from streams.sources.registry import SOURCES
from streams.sources.twilio.hook import TwilioHook
from streams.sources.twilio.join import TwilioJoin
from streams.sources.twilio.signature import FORM
from streams.sources.zadarma.hook import ZadarmaHook
from streams.sources.zadarma.join import ZadarmaJoin
from streams.units import HOUR_MS, SECOND_MS
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
    """Return the adapter of CEL. `ended_by` is "hangup" where CEL is the only source."""
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


def of_requests(
    of: Made,
    name: str,
    text: str,
    adapter: tuple[Callable[[Settings], Hook], Callable[[Settings], Join]],
    posts: Iterable[Posted],
) -> list[Event]:
    """Return the events of the requests of a system, all of which are authentic and understood.

    `text` is the content of the table of the source.
    """
    roster = of.book.roster(of.text, "amazon_connect")
    settings = load(f"{roster}[sources.{name}]\n{text}\n", {"CALLPULSE_LEAD_SECRET": SECRET.decode()}, SOURCES)
    hook, calls = adapter[0](settings), OpenCalls({name: adapter[1](settings)})
    events: list[Event] = []
    for number, post in enumerate(posts):
        request = Request(
            method="POST",
            url=f"https://callpulse.example/hooks/{name}/a-token{post.path}",
            query="",
            headers=post.headers,
            body=post.body,
            received_at_ms=post.at_ms,
        )
        assert hook.is_authentic(request)
        translation = hook.translate(request)
        assert translation.refused == [], translation.refused
        events += translation.events
        for one in translation.statements:
            calls.take(name, one.call, number, KeptStatement(post.at_ms, one.body))
        for ready in list(calls.ready(post.at_ms)):
            events += ready.events
            calls.done(ready)
        if number % 1000 == 0:  # it looks at all calls
            calls.forget(post.at_ms)
    for ready in list(calls.ready(of.end_ms + HOUR_MS)):
        events += ready.events
    return events


class Posted(NamedTuple):
    """A request as it comes."""

    at_ms: int
    body: bytes
    headers: Mapping[str, str] = {}
    path: str = ""


def of_mango(of: Made) -> list[Event]:
    """Return the events of Mango's requests."""
    key, salt = "a key of the tests", "a salt of the tests"
    posts = (
        Posted(post.at_ms + 500, mango.body(post.said, key, salt), path=post.path)
        for post in mango.posts(of.history, of.book)
    )
    text = f'api_key = "{key}"\napi_salt = "{salt}"'
    return of_requests(of, "mango", text, (MangoHook, MangoJoin), posts)


def of_megafon(of: Made) -> list[Event]:
    """Return the events of MegaFon's requests, which come in the second in which they happen."""
    token = "a-token-of-the-tests"  # noqa: S105 - it protects nothing
    posts = (
        Posted(post.at_ms // SECOND_MS * SECOND_MS, megafon.body(post.said, token))
        for post in megafon.posts(of.history, of.book)
    )
    return of_requests(of, "megafon", f'crm_token = "{token}"', (MegafonHook, MegafonJoin), posts)


def of_zadarma(of: Made) -> list[Event]:
    """Return the events of Zadarma's requests, which come in the second in which they happen."""
    secret = "a-secret-of-the-tests"  # noqa: S105 - it protects nothing

    def posts() -> Iterator[Posted]:
        for post in zadarma.posts(of.history, of.book, ZONE):
            body, signature = zadarma.signed(post.said, secret)
            yield Posted(post.at_ms // SECOND_MS * SECOND_MS, body, {"signature": signature})

    text = f'secret = "{secret}"\ntimezone = "{ZONE}"'
    return of_requests(of, "zadarma", text, (ZadarmaHook, ZadarmaJoin), posts())


def of_twilio(of: Made) -> list[Event]:
    """Return the events of Twilio's callbacks."""
    token, url = "a-token-of-the-tests", "https://callpulse.example/hooks/twilio/a-token"

    def posts() -> Iterator[Posted]:
        for post in twilio.posts(of.history, of.book):
            body, signature = twilio.signed(post.said, token, url)
            yield Posted(post.at_ms + 500, body, {"x-twilio-signature": signature, "content-type": FORM})

    text = f'auth_token = "{token}"\nown_numbers = ["{OWN_NUMBER}"]'
    return of_requests(of, "twilio", text, (TwilioHook, TwilioJoin), posts())


def of_amazon_connect(of: Made) -> list[Event]:
    """Return the events of Amazon Connect's contact events."""
    queues = ", ".join(f'"{queue}" = "{queue}"' for queue in sorted(set(of.book.queues.values())))
    posts = (
        Posted(
            post.at_ms + 500,
            msgspec.json.encode(post.said),
            {"content-type": "application/json", "x-callpulse-key": "k"},
        )
        for post in amazon_connect.posts(of.history, of.book)
    )
    text = f'api_key = "k"\nnumber_tag = "{amazon_connect.TAG}"\nqueues = {{ {queues} }}'
    return of_requests(of, "amazon_connect", text, (ConnectHook, ConnectJoin), posts)


def of_freeswitch(of: Made) -> list[Event]:
    """Return the events of FreeSWITCH's records."""
    posts = (
        Posted(record.at_ms + 500, msgspec.json.encode(record.said), {"content-type": "application/json"})
        for record in freeswitch.records(of.history, of.book)
    )
    return of_requests(of, "freeswitch", "", (FreeSwitchHook, lambda _: FreeSwitchJoin()), posts)


def of_event_socket(of: Made, pieces: int = 1447) -> list[Event]:
    """Return the events of FreeSWITCH's event socket, whose bytes come in pieces of one size."""
    settings = load(of.book.roster(of.text), {"CALLPULSE_LEAD_SECRET": SECRET.decode()}, SOURCES)
    translator = FreeSwitch(parties_of(settings, settings.source(FreeSwitchMapping)))
    session = EslSession(EslAccess(host="pbx.example", password=Secret("ClueCon")))
    data = freeswitch_events.LOGIN + b"".join(freeswitch_events.stream(of.history, of.book))
    events: list[Event] = []
    translator.begin_connection()
    for begin in range(0, len(data), pieces):
        for heard in session.receive(data[begin : begin + pieces], of.end_ms):
            translation = translator.take(heard, of.end_ms)
            assert translation.refused == [], translation.refused
            events += translation.events
    assert (session.error, session.is_torn(), len(translator)) == (None, False, 0)
    return events


class Adapter(NamedTuple):
    """An adapter: `read` renders a history as bytes and reads them. `losses` are those of the system."""

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
    "MegaFon": Adapter("megafon", of_megafon),
    "Amazon Connect": Adapter("amazon_connect", of_amazon_connect),
    "FreeSWITCH": Adapter("freeswitch", of_freeswitch),
    "FreeSWITCH, socket": Adapter("freeswitch", of_event_socket),
    "Twilio": Adapter("twilio", of_twilio),
    "Zadarma": Adapter("zadarma", of_zadarma),
    "HTTP, arrays": Adapter("http", lambda of: _posted(of, bodies.arrays, "application/json")),
    "HTTP, lines": Adapter("http", lambda of: _posted(of, bodies.lines, "application/x-ndjson")),
    "CloudEvents": Adapter("http", lambda of: _posted(of, bodies.cloudevents, "application/cloudevents-batch+json")),
}

"""The frame of all sources: the input of an adapter, and its results.

An adapter is pure. It turns the deliveries and files of a system into contract events, in their order, and refuses
parts that it cannot read. It makes the same event ids from a push, a poll and a file, so that each repairs the others
and no event counts twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from streams.contract.events import Event, Reason

LONGEST_SHAPE: Final = 4096
_LONGEST_PARSED: Final = 1 << 16
_LETTER: Final = re.compile(r"[^\W\d_]")
_DIGIT: Final = re.compile(r"\d")
_FIELD: Final = re.compile(r"[A-Za-z_][\w.\-]{0,63}", re.ASCII)
_Json: TypeAlias = object


class Refused(Struct, frozen=True, kw_only=True):
    """A part of a delivery that is no event, and the reason.

    `detail` quotes no value; `where` names the part ("row 7").

    `shape` is the part as `shape` describes it: it may be published.
    """

    reason: Reason
    detail: str
    where: str = ""
    shape: bytes = b""


class UnreadableError(ValueError):
    """A delivery, or a part of it, is no event. Its text is the detail of the refusal, without a value."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason

    def refused(self, data: bytes, where: str = "") -> Refused:
        """Return the refusal of the part with these bytes."""
        return Refused(reason=self.reason, detail=str(self), where=where, shape=shape(data))


class Statement(Struct, frozen=True, kw_only=True):
    """The contents of a delivery about a call, for systems of which only several deliveries make an event.

    `call` is the call's id at its system. `body` is the adapter's own JSON, at most a few hundred bytes. It may stand
    in a topic, so it has lead keys instead of numbers.
    """

    call: str
    body: bytes


class Translation(Struct, kw_only=True):
    """The result of reading a delivery, a message or a row.

    `ignored` counts the parts that were understood and concern no figure. `statements` are for the source's `Join`.
    `ring` starts a poll of the source now: the delivery only signals a change, and the poll reads it.
    """

    events: list[Event] = []
    refused: list[Refused] = []
    statements: list[Statement] = []
    ignored: int = 0
    ring: bool = False


def merged(parts: Iterable[Translation]) -> Translation:
    """Return several translations as one, in their order."""
    whole = Translation()
    for part in parts:
        whole.events += part.events
        whole.refused += part.refused
        whole.statements += part.statements
        whole.ignored += part.ignored
        whole.ring |= part.ring
    return whole


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request. Names of headers are in lower case. `url` is the public one, as its sender wrote it.

    `query` follows it, without its `?` and as it came.

    `received_at_ms` is the gateway's clock. A signature covers `body` as it came, before any decompression.
    """

    method: str
    url: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    received_at_ms: int


class Answers(Struct, frozen=True, kw_only=True):
    """The status codes that a sender expects. Some systems disable a hook after a 4xx, and one requires exactly 200."""

    done: int = 200
    unauthenticated: int = 401
    refused: int = 200
    """For a body that is authentic and cannot be read."""
    unavailable: int = 503


class Reply(Struct, frozen=True, kw_only=True):
    """The answer to a handshake."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = MappingProxyType({})


class Hook(Protocol):
    """A source that pushes to `/hooks/NAME/TOKEN`. An adapter extends this class.

    The token is checked before any method is called. The methods are pure and never raise.
    """

    answers: Answers
    methods: Collection[str] = ("POST",)
    """The methods of HTTP that its sender uses. All others are answered with 405."""
    cannot_know: Sequence[str] = ()
    """The facts that the system never sends, in words, for `callpulse sources test`."""
    has_subpaths: bool = False
    """True if its sender appends paths of its own to the URL. `Request.url` has them."""
    most_fields: int | None = None
    """The most fields of a form of its sender. One with more is answered with 413. None: it sends no forms."""

    def handshake(self, request: Request) -> Reply | None:  # noqa: ARG002 - most sources need none
        """Return the answer to a request that only tests the URL; None: it is no such request.

        Many systems do not sign it, so this comes before `is_authentic`. Such a request makes no events.
        """
        return None

    def is_authentic(self, request: Request) -> bool:
        """Return whether the request comes from its sender. The body is not parsed before this."""
        ...

    def translate(self, request: Request) -> Translation:
        """Return the events of an authentic request."""
        ...

    def shape(self, body: bytes) -> bytes:
        """Return the part of a body that a dead letter may hold."""
        return shape(body)


class KeptStatement(NamedTuple):
    """The body of a statement, and the moment at which Kafka received it, in milliseconds since epoch."""

    at_ms: int
    body: bytes


class Joined(Struct, frozen=True, kw_only=True):
    """The events of one call, as far as they are certain. At `again_ms` the same statements give more; None: never."""

    events: list[Event] = []
    again_ms: int | None = None
    missing: str = ""
    """Required facts that no statement has, in words without a value; "" for none."""


class Join(Protocol):
    """Makes events of the statements about one call, for a source whose deliveries are not complete one by one.

    The gateways keep the statements in the topic `statements`. They call the join again at every new statement, and
    after a restart, so an event that is returned again must have the same id.
    """

    keep_ms: int
    """The longest time after its last statement in which a call may get another one."""

    def join(self, statements: Sequence[KeptStatement], now_ms: int) -> Joined:
        """Return the events of one call. Pure; order and repeats of the statements make no difference. Never raises."""
        ...


class ReadUntil(Struct, frozen=True):
    """The progress of a reader of records: `newest_ms` gives the time of the newest record, 0 before there is one.

    It is stored under `key`, so that a live listener can check whether its gaps are filled.
    """

    key: str
    newest_ms: Callable[[], int]


class LineSource(Protocol):
    """A source that reads the lines of one file, and of those that follow it after a rotation.

    A restart begins at the oldest line that is still needed, or behind the last line with the state that `snapshot`
    gave. Lines that are read twice give the same events, with the same ids.
    """

    @property
    def unusable(self) -> str:
        """The reason why no line of the file can be read, "" for a readable file."""
        ...

    @property
    def given_up(self) -> int:
        """The number of calls that were given up, because their end was never written."""
        ...

    @property
    def oldest(self) -> int | None:
        """The place of the oldest line that a restart has to read again; None for none."""
        ...

    def take(self, line: bytes, place: int, now_ms: int) -> Translation:
        """Process a line, with or without its end. `place` grows from line to line. Never raises."""
        ...

    def quiet(self, now_ms: int) -> list[Event]:
        """Return the events that waited for the next line: none has come for seconds, and the file ends here."""
        ...

    def snapshot(self) -> bytes:
        """Return the state that a restart continues with, b"" for none."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Continue with the state that `snapshot` returned. Raise ValueError for one of another release."""
        ...


def shape(data: bytes) -> bytes:
    """Return the shape of `data`: each letter of a value becomes `a`, each digit `9`.

    Keys of JSON objects are kept where they look like names of fields, with their digits masked.

    A refused body holds numbers and words of customers. Its shape has none of them, and still shows the problem. It has
    at most `LONGEST_SHAPE` bytes. Of a very long body it is the shape of its beginning.
    """
    try:
        if len(data) > _LONGEST_PARSED:  # a megabyte of small values takes 0.3 s
            data = data[:LONGEST_SHAPE]
        masked = msgspec.json.encode(_masked(msgspec.json.decode(data)))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        masked = _mask(data[:LONGEST_SHAPE].decode("utf-8", "replace")).encode()
    return masked[:LONGEST_SHAPE]


def _masked(value: _Json) -> _Json:
    if isinstance(value, dict):
        return {_field(str(key)): _masked(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_masked(held) for held in value]
    if isinstance(value, bool) or value is None:
        return value
    return _mask(value) if isinstance(value, str) else _mask(str(value))


def _field(key: str) -> str:
    return _DIGIT.sub("9", key) if _FIELD.fullmatch(key) else _mask(key)


def _mask(text: str) -> str:
    return _DIGIT.sub("9", _LETTER.sub("a", text))

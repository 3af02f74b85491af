"""The frame of polls: requests of an adapter to a system, for data that was not pushed or never is.

A poll is a generator: pure, without a clock, without HTTP. It yields `Ask` and is sent the `Response`; it yields
`Found` when events up to a cursor are ready, and goes on once they and the cursor are stored. The next poll continues
from the cursor. Events that are read again have the same ids:

    def poll(self, cursor, now_ms):
        response = yield from ask(Ask(path="deals", query={"after": cursor.decode()}))
        yield Found(translation=..., cursor=...)
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Final, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import msgspec
from msgspec import Raw, Struct

from streams.contract.events import Event
from streams.sources.frame import Refused, Translation, shape
from streams.sources.people import Heard, People
from streams.units import DAY_MS, MINUTE_MS

T = TypeVar("T")
OVERLAP_MS: Final = 10 * MINUTE_MS
"""The span by which a poll by time goes back before its cursor, unless the adapter has a reason for another one.

Systems show some rows late, and ids make the repeats harmless.
"""
_LONGEST_MS: Final = 28 * DAY_MS
"""The longest span of one request. Systems that limit it allow a month."""


class PollError(Exception):
    """A poll cannot go on; its cursor stays. The text is the reason, in words for an operator and without any value."""


class DeniedError(PollError):
    """The access to the system is not valid, or lacks a right."""


class Ask(Struct, frozen=True, kw_only=True):
    """A request to the system, relative to the source's `base_url`. Its query, headers and body are in no log.

    `json` is a body of JSON, `form` one of a form; at most one of them is given. `allowed` are further status codes
    that the adapter handles itself, such as 404 for a contact that is gone. `headers` stand beside those of the source.
    """

    method: Literal["GET", "POST"] = "GET"
    path: str = ""
    query: Mapping[str, str] = {}
    json: object = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = {}
    allowed: tuple[int, ...] = ()

    def __repr__(self) -> str:
        """Return the method alone: a path may contain a secret, too."""
        return f"Ask({self.method})"


class Response(Struct, frozen=True, kw_only=True):
    """The answer. Names of headers are in lower case. `at_ms` is the time of its receipt, by callpulse's clock."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    at_ms: int

    def json(self, form: type[T]) -> T:
        """Return the body as `form`, with numbers written as texts read as numbers and the reverse.

        Raises:
            PollError: it is no JSON, or has another form.
        """
        try:
            return msgspec.json.decode(self.body, type=form, strict=False)
        except msgspec.ValidationError:
            raise PollError("the answer has not the form that is expected") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        if self.body.lstrip()[:1] == b"<":
            raise PollError("the answer is a web page, not data: is the address right, and the access still valid?")
        raise PollError("the answer is no JSON")

    def __repr__(self) -> str:
        """Return the status alone: a body contains customers' data."""
        return f"Response({self.status})"


class Found(Struct, frozen=True, kw_only=True):
    """Events that are to be stored, and the cursor behind them.

    `until_ms` is the moment up to which all is read; it is shown to operators. None: it is not known.
    """

    translation: Translation
    cursor: bytes
    until_ms: int | None = None


class Pause(Struct, frozen=True):
    """A pause before the next request: the system reported that its limit is near."""

    seconds: float


Step: TypeAlias = Ask | Found | Pause
Asking: TypeAlias = Generator[Step, Response | None, T]
"""A conversation with a system that ends with a `T`."""
Poll: TypeAlias = Asking[None]


def ask(request: Ask) -> Asking[Response]:
    """Send a request and return the response. A poll writes `yield from` before it."""
    response = yield request
    assert response is not None  # noqa: S101 - the conductor of a poll answers an Ask with a Response
    return response


class Limits(Struct, frozen=True, kw_only=True):
    """A leaky bucket: `burst` requests at once, and `per_second` in the long run."""

    per_second: float
    burst: int = 1


class Verdict(Struct, frozen=True):
    """The meaning of a response. `wait`: repeat after `wait_s`, or after a growing pause if that is None.

    `retry` is a fault that may pass: repeat a few times. `denied` is an access that is not valid. `broken` is any other
    fault that no repeat repairs; `why` describes it.
    """

    kind: Literal["good", "wait", "retry", "denied", "broken"]
    wait_s: float | None = None
    why: str = ""


GOOD: Final = Verdict("good")
DENIED: Final = Verdict("denied", why="the access is not valid, or lacks a right")


class Polled(Protocol):
    """A source with a poll. All methods are pure."""

    @property
    def limits(self) -> Limits:
        """The limits of the system."""
        ...

    @property
    def every_ms(self) -> int:
        """The period. A doorbell starts a poll at once."""
        ...

    @property
    def pushed(self) -> tuple[type[Event], ...]:
        """The kinds of events that the source's hook makes, too; of a source without a hook, none."""
        ...

    @property
    def base_url(self) -> str:
        """The address before every path. It may be a secret: it is in no log and in no error."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Return the headers of every request: the authorisation among them."""
        ...

    def poll(self, cursor: bytes, now_ms: int) -> Poll:
        """Read the changes since `cursor`; b"" is the first poll of all. May raise PollError.

        `now_ms` is the present by this machine's clock, or by the system's if that is behind. A cursor may be later: of
        a clock that was ahead until then.
        """
        ...

    def verdict(self, response: Response) -> Verdict | None:
        """Return the meaning of a response in the system's own notation, None where the status alone decides."""
        ...


class Listed(Struct, frozen=True, kw_only=True):
    """A person in a system's directory: identities for the roster, and a name to show."""

    heard: Heard
    name: str = ""


@runtime_checkable
class Directory(Protocol):
    """A source with a directory of its users. It is read once a day, and matched to the roster."""

    @property
    def people(self) -> People:
        """The directory in which the source looks people up. It takes the system's own directory over."""
        ...

    def listed(self) -> Asking[list[Listed]]:
        """Request the users."""
        ...


class Stage(Struct, frozen=True, kw_only=True):
    """A stage of a CRM: the key under which the settings map it, its name, and its kind by the CRM."""

    key: str
    name: str
    pipeline: str = ""
    is_won: bool = False
    is_lost: bool = False


@runtime_checkable
class Staged(Protocol):
    """A CRM with a list of its stages."""

    def stages(self) -> Asking[list[Stage]]:
        """Request the stages, in their order."""
        ...


@runtime_checkable
class Renewing(Protocol):
    """A source whose access ends after a while."""

    def renew(self) -> Asking[None]:
        """Request a new access. `headers` returns it from then on."""
        ...


def spans(cursor: bytes, now_ms: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of time that a poll by time reads one after the other, each as two moments in milliseconds.

    They lead from the cursor, the text of a moment, to `now_ms`; without a cursor they begin a day ago. A cursor of a
    clock that was ahead goes back to now.
    """
    since_ms = min(int(cursor), now_ms - 1) if cursor.isdigit() else now_ms - DAY_MS
    while since_ms < now_ms:
        until_ms = min(now_ms, since_ms + _LONGEST_MS)
        yield since_ms, until_ms
        since_ms = until_ms


def readable(raws: Iterable[Raw], form: type[T], where: str, refused: list[Refused]) -> list[T]:
    """Return the rows of a list that can be read as `form`; the others are added to `refused`, each by itself.

    `where` names the list.
    """
    found: list[T] = []
    for raw in raws:
        try:
            found.append(msgspec.json.decode(raw, type=form, strict=False))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            detail = "a row has not the form that is expected"
            refused.append(Refused(reason="invalid_field", detail=detail, where=where, shape=shape(bytes(raw))))
    return found

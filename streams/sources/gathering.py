"""Hooks of telephone systems that send a request for each state of a call: ringing, answered, over.

A request is a *piece* of its call, and travels as a statement. The events of a call are a function of the set of its
pieces, so the order of the requests, repeats and a restart make no difference. They are returned as soon as they are
known, so that the boards are live.

A later piece may correct an end. The fold prefers a hangup to a CDR row, and of two alike the answered one, then that
with the greater id. So an end that is only concluded has the rank of a CDR row, and the number of pieces behind an end
is a part of its id: adapters count those that change its moments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, Struct

from streams.contract.events import (
    LONGEST_MS,
    CallAnswered,
    CallEnded,
    CallStarted,
    CallTransferred,
    Direction,
    Disposition,
    EndedBy,
    Event,
)
from streams.sources.frame import (
    Hook,
    Joined,
    KeptStatement,
    Request,
    Statement,
    Translation,
    UnreadableError,
)
from streams.units import HOUR_MS

P = TypeVar("P", bound=Struct)
S = TypeVar("S", bound=Struct)

_LONGEST_STEM: Final = 96
_ID: Final = re.compile(r"(?!.*\+\d{7})[\w.:/=+@~-]{1,64}", re.ASCII)


def checked_id(text: str, field: str) -> str:
    """Return an id of the system. Raises UnreadableError for one that cannot be an id, or may hold a number."""
    if not text:
        raise UnreadableError("missing_field", f"`{field}` is missing")
    if _ID.fullmatch(text) is None:
        raise UnreadableError("invalid_field", f"`{field}` is no id of at most 64 characters")
    return text


def decoded(body: bytes, form: type[S]) -> S:
    """Return a JSON object in its form. Raises UnreadableError."""
    try:
        return msgspec.json.decode(body, type=form)
    except RecursionError:
        raise UnreadableError("too_deep", "is nested too deep") from None
    except msgspec.ValidationError as error:
        if "missing required" in str(error):
            raise UnreadableError("missing_field", "a field that is needed is missing") from None
        if "got `array`" in str(error) and "$" not in str(error):
            raise UnreadableError("not_json", "is no JSON object") from None
        raise UnreadableError("invalid_field", "a field has another type or value than it must") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UnreadableError("not_json", "is no JSON object") from None


def statement(call: str, at_ms: int, piece: Struct) -> Statement:
    """Return the statement of a piece that came at `at_ms`."""
    return Statement(call=call, body=msgspec.json.encode((call, at_ms, piece)))


class GatheringHook(Hook, Generic[P]):
    """A hook of which each request is a piece of one call, or of several. An adapter implements `pieces`."""

    def pieces(self, request: Request) -> Sequence[tuple[str, P]]:
        """Return the pieces of an authentic request, with the id of the call; none if it concerns no leg.

        Raises UnreadableError.
        """
        raise NotImplementedError

    def shown(self, request: Request) -> bytes:
        """Return the part of the body whose shape a dead letter shows. It has no secret."""
        return request.body

    def translate(self, request: Request) -> Translation:
        """Return the pieces of an authentic request, as statements."""
        try:
            pieces = self.pieces(request)
        except UnreadableError as error:
            return Translation(refused=[error.refused(self.shown(request))])
        at_ms = request.received_at_ms
        statements = [statement(call, at_ms, piece) for call, piece in pieces]
        return Translation(statements=statements, ignored=0 if statements else 1)


class GatheringJoin(Generic[P]):
    """The join of a `GatheringHook`. An adapter implements `events`."""

    keep_ms = 6 * HOUR_MS

    def __init__(self, form: object) -> None:
        """Take the type of the pieces: a frozen struct, or a union of them with tags."""
        self._decode: Callable[[bytes], tuple[str, int, P]] = msgspec.json.Decoder(tuple[str, int, form]).decode  # type: ignore[valid-type]  # a type that is given

    def events(self, call: str, pieces: Mapping[P, int], now_ms: int) -> Iterable[Event]:
        """Return all events of a call, from its pieces and the time of receipt of each. Never raises."""
        raise NotImplementedError

    def again_ms(self, call: str, pieces: Mapping[P, int], now_ms: int) -> int | None:  # noqa: ARG002 - most joins do not wait
        """Return the moment at which the same pieces give more events; None: never."""
        return None

    def join(self, statements: Sequence[KeptStatement], now_ms: int) -> Joined:
        """Return the events of a call, as `Join.join` describes. Of a repeated piece, the first receipt counts."""
        pieces: dict[P, int] = {}
        call = ""
        for statement in statements:
            try:
                call, at_ms, piece = self._decode(statement.body)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # of a release with other pieces
            pieces[piece] = min(at_ms, pieces.get(piece, at_ms))
        if not pieces:
            return Joined()
        return Joined(events=list(self.events(call, pieces, now_ms)), again_ms=self.again_ms(call, pieces, now_ms))


class LegEvents(Struct, frozen=True, kw_only=True):
    """Makes the events of one leg. `stem` begins their ids; moments out of order are put in order."""

    source: str
    stem: str
    call: str
    manager: str
    lead: str | None
    direction: Direction
    queue: str | None = None
    internal: bool = False

    def _id(self, *parts: str) -> str:
        stem = self.stem
        if len(stem) > _LONGEST_STEM:
            stem = f"{self.source}:{blake2b(stem.encode(), digest_size=16).hexdigest()}"
        return ":".join((stem, *parts))

    def started(self, at: int) -> CallStarted:
        """Return the start of the leg."""
        return CallStarted(
            v=1,
            id=self._id("started"),
            at=at,
            source=self.source,
            call=self.call,
            manager=self.manager,
            lead=self.lead,
            direction=self.direction,
            queue=self.queue,
            internal=self.internal or UNSET,
        )

    def answered(self, at: int) -> CallAnswered:
        """Return the answer."""
        return CallAnswered(
            v=1,
            id=self._id("answered"),
            at=at,
            source=self.source,
            call=self.call,
            manager=self.manager,
            lead=self.lead,
        )

    def transferred(self, at: int, to_manager: str, *, attended: bool) -> CallTransferred:
        """Return the transfer to another manager."""
        return CallTransferred(
            v=1,
            id=self._id("transferred"),
            at=at,
            source=self.source,
            call=self.call,
            manager=self.manager,
            lead=self.lead,
            to_manager=to_manager,
            how="attended" if attended else "blind",
        )

    def ended(
        self,
        at: int,
        started_at: int | None,
        *,
        answered_at: int | None = None,
        talk_ms: int | None = None,
        disposition: Disposition = "no_answer",
        ended_by: EndedBy = "hangup",
        uncertain: bool = False,
        pieces: int = 1,
    ) -> CallEnded:
        """Return the end. It is answered if `answered_at` is given, by a machine where `disposition` is `voicemail`.

        `talk_ms` is the time since the answer, unless given.

        `uncertain`: an end of which all events came overrides it.

        `pieces` is the number of pieces that change it. Without `started_at` the leg is the shortest that can be: the
        fold would count an end at its own start as another stretch.
        """
        started_at = at - 1 if started_at is None else min(started_at, at)
        if answered_at is not None:
            disposition = "voicemail" if disposition == "voicemail" else "answered"
            answered_at = min(max(answered_at, started_at), at)
            talk_ms = min(at - answered_at if talk_ms is None else talk_ms, LONGEST_MS)
        return CallEnded(
            v=1,
            id=self._id("ended", f"{pieces:03}", ended_by, disposition, *(["uncertain"] if uncertain else [])),
            at=at,
            source=self.source,
            call=self.call,
            manager=self.manager,
            lead=self.lead,
            direction=self.direction,
            started_at=started_at,
            answered_at=answered_at,
            talk_ms=talk_ms or 0,
            disposition=disposition,
            ended_by=ended_by,
            internal=self.internal or UNSET,
            uncertain=uncertain or UNSET,
        )

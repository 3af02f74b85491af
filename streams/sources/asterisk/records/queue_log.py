"""queue_log: the events of Asterisk's queues, their calls and members, a line for each event.

A line is `epoch|callid|queue|agent|event|data...`. Times are whole seconds, UTC. `RINGNOANSWER` and `RINGCANCELED` give
milliseconds, all other spans are seconds. Talk and waiting time are the queue's own figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import UNSET, Struct, field

from streams.contract.events import (
    EARLIEST_MS,
    LONGEST_MS,
    CallAnswered,
    CallEnded,
    CallStarted,
    Disposition,
    EndedBy,
    Event,
    ManagerPresence,
    Reason,
)
from streams.phone_numbers import digest
from streams.sources.asterisk.mapping import AsteriskMapping, Directory
from streams.sources.asterisk.records.moments import epoch_ms
from streams.sources.asterisk.records.queue_presence import QueuePresence
from streams.sources.people import People

_FEWEST_FIELDS: Final = 5
_LONGEST_MS: Final = 24 * 3_600_000
_SECOND_MS: Final = 1_000
_MOST_UNMAPPED: Final = 200
_MOST_OPEN: Final = 10_000
_NOBODY: Final = frozenset(("", "none"))


class Malformed(Exception):  # noqa: N818 - it ends the reading of one line, nothing else
    """A line that cannot be read. `detail` quotes no value."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


class QueueLine(Struct, frozen=True, gc=False):
    """One line. `at` is in ms."""

    at: int
    call: str
    queue: str
    agent: str
    event: str
    data: tuple[str, ...]


class OpenCall(Struct):
    """A call in a queue. `lead` is a key. `ends` has the end of the last ring by manager."""

    queue: str
    entered_at: int
    lead: str | None = None
    internal: bool = False
    connected: bool = False
    manager: str | None = None
    channel: str = ""
    started_at: int = 0
    answered_at: int = 0
    ends: dict[str, int] = {}


class UnmappedMember(Struct):
    """A member that no rule and no roster entry names: the number of lines, and the first and the last moment."""

    lines: int = 0
    first_ms: int = 0
    last_ms: int = 0


class QueueLogState(Struct):
    """The state after the lines so far: open calls, and the members of queues.

    `unmapped` are members whose calls count for no manager. Names that could be numbers are hashed.
    """

    calls: dict[str, OpenCall] = {}
    presence: QueuePresence = field(default_factory=QueuePresence)
    unmapped: dict[str, UnmappedMember] = {}


_Handler: TypeAlias = Callable[["QueueLog", QueueLine], list[Event]]


def read_line(text: str) -> QueueLine:
    """Return a line. Raise Malformed for one that is none."""
    fields = text.split("|")
    if len(fields) < _FEWEST_FIELDS:
        raise Malformed("missing_field", f"{len(fields)} fields; a line has at least {_FEWEST_FIELDS}")
    at = epoch_ms(fields[0])
    if at is None:
        raise Malformed("invalid_time", "the first field is no number of seconds since 1970 between 2000 and 2100")
    return QueueLine(at, fields[1], fields[2], fields[3], fields[4].upper(), tuple(fields[5:]))


class QueueLog:
    """Turns the lines of one queue_log into contract events. Pure: the same lines give the same events and ids."""

    def __init__(
        self, mapping: AsteriskMapping, secret: bytes, people: People | None = None, ended_by: EndedBy = "cdr"
    ) -> None:
        """Raise ValueError for a mapping that cannot be used."""
        self._directory = Directory(mapping, secret, people)
        self._mapping = mapping
        self._secret = secret
        self._ended_by: EndedBy = ended_by
        self.state = QueueLogState()
        self.given_up = 0

    def take(self, line: QueueLine) -> list[Event]:
        """Return the events of a line. Raise Malformed if the data of its event cannot be read."""
        handler = _HANDLERS.get(line.event)
        return [] if handler is None else handler(self, line)

    @staticmethod
    def knows(event: str) -> bool:
        """Return whether lines of this event concern a figure."""
        return event in _HANDLERS

    # -- callers

    def _enter(self, line: QueueLine) -> list[Event]:
        call = self._call(line)
        number = line.data[1] if len(line.data) == 3 else ""  # noqa: PLR2004 - url, caller id, position
        call.lead = self._directory.numbers.lead(number, self._secret)
        call.internal = self._directory.is_extension(number)
        return []

    def _connect(self, line: QueueLine) -> list[Event]:
        ring = _span(line.data, 2, _SECOND_MS) if len(line.data) > 2 else 0  # noqa: PLR2004 - before Asterisk 1.8 there is none
        if not line.data:
            raise Malformed("missing_field", "CONNECT without its data")
        call, manager = self._call(line), self._manager(line)
        call.connected = True
        call.manager, call.channel = manager, line.data[1] if len(line.data) > 1 else ""
        if manager is None:
            return []
        # Whole seconds: a ring must not seem to begin before the ring before it had ended.
        earliest = call.ends.get(manager, call.entered_at)
        call.answered_at = line.at
        call.started_at = min(line.at, max(line.at - ring, earliest))
        return [
            CallStarted(**self._fields(line, call, manager, "started", call.started_at), direction="inbound",
                        internal=call.internal or UNSET, queue=self._directory.public(line.queue)),
            CallAnswered(**self._fields(line, call, manager, "answered", line.at)),
        ]  # fmt: skip

    def _complete(self, line: QueueLine) -> list[Event]:
        return self._talked(line, 1)

    def _transfer(self, line: QueueLine) -> list[Event]:
        return self._talked(line, len(line.data) - 2)

    def _talked(self, line: QueueLine, place: int) -> list[Event]:
        """Return the end of a talk. `place` is that of its seconds in the data."""
        talk = _span(line.data, place, _SECOND_MS)
        call = self._call(line)
        manager = self._manager(line) if call.manager is None else call.manager
        if manager is None:
            self._close(line)
            return []
        if not call.connected:  # its beginning was not seen
            call.answered_at = call.started_at = line.at - talk
        talk = min(talk, line.at - call.answered_at + _SECOND_MS)
        self._close(line)
        return [self._end(line, call, manager, call.started_at, call.answered_at, max(talk, 0), "answered")]

    def _abandon(self, line: QueueLine) -> list[Event]:
        waited = _span(line.data, 2, _SECOND_MS)
        call = self._call(line)
        self._close(line)
        if call.connected:
            return []  # the caller was in a talk before
        started_at = min(call.entered_at, line.at) or line.at - waited  # if the caller's entry was not seen
        manager = self._directory.queue_name(line.queue)
        start = CallStarted(
            **self._fields(line, call, manager, "started", started_at),
            direction="inbound",
            internal=call.internal or UNSET,
            queue=self._directory.public(line.queue),
        )
        return [start, self._end(line, call, manager, started_at, None, 0, "no_answer")]

    def _leave(self, line: QueueLine) -> list[Event]:
        # The dialplan goes on with the caller. The queue log does not show a later talk.
        self._close(line)
        return []

    def _restart(self, _line: QueueLine) -> list[Event]:
        self.state.calls.clear()
        return []

    # -- members

    def _no_answer(self, line: QueueLine) -> list[Event]:
        return self._rang(line, "no_answer")

    def _canceled(self, line: QueueLine) -> list[Event]:
        return self._rang(line, "canceled")

    def _rang(self, line: QueueLine, disposition: Disposition) -> list[Event]:
        ring = _span(line.data, 0, 1)
        call, manager = self._call(line), self._manager(line)
        if manager is None:
            return []
        started_at = min(line.at, max(line.at - ring, call.ends.get(manager, 0)))
        call.ends[manager] = line.at + _SECOND_MS
        return [self._end(line, call, manager, started_at, None, 0, disposition)]

    def _presence(self, line: QueueLine) -> list[Event]:
        manager = self._member(line)
        if manager is None:
            return []
        public = self._directory.public
        changed = self.state.presence.take(line.event, public(line.queue), public(line.agent), line.data, manager)
        if changed is None:
            return []
        state, reason = changed
        source = self._mapping.source
        return [
            ManagerPresence(
                v=1,
                id=f"{source}:presence:{self._directory.call_name(manager)}:{state}:{line.at}",
                at=line.at,
                source=source,
                manager=manager,
                state=state,
                reason=reason or None,
            )
        ]

    def _manager(self, line: QueueLine) -> str | None:
        """Return the manager who is a member, or the one who has the calls that go to outside numbers."""
        found = self._member(line)
        return self._mapping.outside_manager or None if found is None and _is_device(line.agent) else found

    def _member(self, line: QueueLine) -> str | None:
        agent = line.agent
        if agent.casefold() in _NOBODY:
            return None
        found = self._directory.member_manager(agent, agent if "/" in agent else "")
        if found is None and self._mapping.unmapped == "manager" and "/" not in agent:
            return self._directory.public(agent)
        if found is None and not _is_device(agent):
            self._note_unmapped(self._directory.public(agent), line.at)
        return found

    def _note_unmapped(self, name: str, at: int) -> None:
        unmapped = self.state.unmapped
        if name not in unmapped and len(unmapped) >= _MOST_UNMAPPED:
            del unmapped[min(unmapped, key=lambda one: unmapped[one].last_ms)]
        one = unmapped.setdefault(name, UnmappedMember(first_ms=at))
        one.lines += 1
        one.last_ms = at

    # -- calls and events

    def _call(self, line: QueueLine) -> OpenCall:
        calls = self.state.calls
        call = calls.get(line.call)
        if call is None:
            while len(calls) >= _MOST_OPEN:
                del calls[next(iter(calls))]
                self.given_up += 1
            call = calls[line.call] = OpenCall(queue=line.queue, entered_at=line.at)
            if line.event != "ENTERQUEUE":
                call.entered_at = 0
        return call

    def _close(self, line: QueueLine) -> None:
        self.state.calls.pop(line.call, None)

    def _fields(self, line: QueueLine, call: OpenCall, manager: str, event: str, at: int) -> dict[str, Any]:
        # The channel of a member is the first of its leg in the other sources too, so the ids are the same.
        channel = call.channel if manager == call.manager and call.channel else line.call
        return {
            "v": 1,
            "id": f"{self._mapping.source}:{self._directory.call_name(channel)}:{event}:1",
            "at": max(at, EARLIEST_MS),
            "source": self._mapping.source,
            "call": self._directory.call_name(line.call),
            "manager": manager,
            "lead": None if call.internal else call.lead,
        }

    def _end(
        self,
        line: QueueLine,
        call: OpenCall,
        manager: str,
        started_at: int,
        answered_at: int | None,
        talk_ms: int,
        disposition: Disposition,
    ) -> CallEnded:
        name = digest(f"{manager} {line.at} {line.event}", self._secret)[:8]
        fields = self._fields(line, call, manager, f"queue_log-{name}", line.at)
        return CallEnded(
            **fields,
            direction="inbound",
            started_at=max(min(started_at, line.at), EARLIEST_MS),
            answered_at=None if answered_at is None else max(min(answered_at, line.at), EARLIEST_MS),
            talk_ms=min(talk_ms, LONGEST_MS),
            disposition=disposition,
            ended_by=self._ended_by,
            internal=call.internal or UNSET,
        )


def _is_device(agent: str) -> bool:
    """Return whether a member is a telephone: its calls belong to a manager, even if unknown.

    An agent of Asterisk is no telephone.
    """
    technology, slash, _ = agent.partition("/")
    return bool(slash) and technology.casefold() != "agent"


def _span(data: Sequence[str], place: int, unit_ms: int) -> int:
    """Return a span of the data in ms."""
    if not 0 <= place < len(data):
        raise Malformed("missing_field", "fewer data than its event has")
    text = data[place]
    if not (text.isascii() and text.isdecimal()) or len(text) > 12:  # noqa: PLR2004 - more is no span
        raise Malformed("invalid_field", "a span is no whole number")
    found = int(text) * unit_ms
    if found > _LONGEST_MS:
        raise Malformed("invalid_field", "a span of more than a day")
    return found


_HANDLERS: Final[Mapping[str, _Handler]] = {
    name: getattr(QueueLog, method)
    for method, names in {
        "_enter": "ENTERQUEUE",
        "_connect": "CONNECT",
        "_complete": "COMPLETEAGENT COMPLETECALLER",
        "_transfer": "TRANSFER BLINDTRANSFER ATTENDEDTRANSFER",
        "_abandon": "ABANDON",
        "_leave": "EXITWITHTIMEOUT EXITWITHKEY EXITEMPTY",
        "_no_answer": "RINGNOANSWER",
        "_canceled": "RINGCANCELED",
        "_restart": "QUEUESTART",
        "_presence": " ".join(QueuePresence.EVENTS),
    }.items()
    for name in names.split()
}

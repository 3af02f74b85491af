"""Rows of calls as contract events: one leg each, with its start, answer, end and talk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

from streams.contract.events import (
    LONGEST_MS,
    QUEUE_PREFIX,
    CallAnswered,
    CallEnded,
    CallStarted,
    CallTransferred,
    Direction,
    Event,
)
from streams.sources.files.cells import Cells
from streams.sources.files.mapping import IGNORE, UNFINISHED
from streams.sources.files.parties import Parties
from streams.sources.files.rows import RowError
from streams.units import SECOND_MS

_TALKED: Final = ("answered", "voicemail")
_SLACK_MS: Final = SECOND_MS  # moments and spans are rounded separately


class _Way(NamedTuple):
    """The direction of a call, its manager, and the number of the other side if no column has it."""

    direction: Direction
    internal: bool
    manager: str
    other: str = ""


class _Times(NamedTuple):
    started: int
    answered: int | None
    ended: int
    talk: int


class CallRows:
    """Turns rows of calls into events."""

    def __init__(self, source: str, cells: Cells, parties: Parties) -> None:
        self._source = source
        self._cells = cells
        self._parties = parties

    def read(self, row: Sequence[str], latest_ms: int) -> list[Event]:
        """Return the events of a row, none if it concerns no figure.

        Raises:
            RowError: it is no event, or after `latest_ms`.
        """
        cells = self._cells
        disposition = cells.word(row, "disposition")
        direction = cells.word(row, "direction")
        if IGNORE in (disposition, direction):
            return []
        started = cells.moment(row, "started")
        if started is None:
            raise RowError("missing_field", "started is empty")
        way = self._way(row, direction, disposition)
        if way is None:
            return []
        call = cells.text(row, "call")
        lead, numbers = (None, []) if way.internal else self._parties.lead(cells, row, way.other)
        # Without ids of calls, two customers may be called in one second. A later export may spell their numbers
        # differently.
        key = self._parties.hashed(cells.key(row) if call else f"{cells.key(row)}\x1f{lead}")
        common: dict[str, Any] = {
            "v": 1,
            "source": self._source,
            "call": self._parties.public_id(call) if call else key,
            "manager": way.manager,
            "lead": lead,
        }
        begin: dict[str, Any] = {"direction": way.direction, "kind": cells.optional_word(row, "kind")}
        if way.internal:
            begin["internal"] = True
        name = f"{self._source}:{key}"
        if disposition == UNFINISHED:
            _check_future(started, latest_ms)
            wait = cells.span(row, "wait")
            events = [self._start(row, name, started, common | begin)]
            if wait is not None:
                events.append(CallAnswered(id=f"{name}:answered", at=started + wait, **common))
            return events
        times = self._times(row, started, disposition)
        started = times.started
        _check_future(times.ended, latest_ms)
        events = []
        if cells.text(row, "team") or cells.text(row, "queue"):
            events.append(self._start(row, name, started, common | begin))
        events += self._transfer(row, name, times.ended, common)
        events.append(
            CallEnded(
                id=f"{name}:ended",
                at=times.ended,
                started_at=started,
                answered_at=times.answered,
                talk_ms=times.talk,
                disposition=cast("Any", disposition or ("answered" if times.talk else "no_answer")),
                ended_by="cdr",
                **common,
                **begin,
            )
        )
        return events + list(self._parties.links(lead, numbers, times.ended) if lead is not None else ())

    def _way(self, row: Sequence[str], direction: str | None, disposition: str | None) -> _Way | None:
        cells, parties = self._cells, self._parties
        queue = parties.queue_of(cells, row)
        if queue is not None:
            # A manager who took the call has a row too.
            return None if disposition in _TALKED else _Way("inbound", internal=False, manager=queue)
        other = ""
        manager = parties.manager(cells, row)
        if cells.has("caller") and cells.has("callee"):
            caller, callee = parties.side(cells.text(row, "caller")), parties.side(cells.text(row, "callee"))
            if direction is None:
                inside = "internal" if callee.is_internal else "outbound"
                direction = inside if caller.is_internal else "inbound"
            outward = direction in ("outbound", "internal")
            own, far = (caller, callee) if outward else (callee, caller)
            other = far.text
            if manager is None and own.is_internal:
                manager = parties.at_extension(own.text)
        if direction is None:
            raise RowError("missing_field", "direction is empty")
        if manager is None and direction == "inbound" and disposition not in _TALKED:
            manager = parties.queue(cells.text(row, "queue"))
        if manager is None:
            raise RowError("missing_field", "nobody is named whose call it was")
        if direction == "internal":
            return _Way("outbound", internal=True, manager=manager)
        return _Way(cast("Direction", direction), internal=False, manager=manager, other=other)

    def _times(self, row: Sequence[str], started: int, disposition: str | None) -> _Times:
        """Return the moments of a call. Raises RowError.

        Of a start that exists twice, the settings decide which one is meant, unless only the first one can be.
        """
        try:
            return self._times_from(row, started, disposition)
        except RowError:
            first = self._cells.moment_near(row, "started", 0)
            if first is None or first == started:
                raise
            return self._times_from(row, first, disposition)

    def _times_from(self, row: Sequence[str], started: int, disposition: str | None) -> _Times:
        cells = self._cells
        wait, talk, duration = (cells.span(row, name) for name in ("wait", "talk", "duration"))
        answered = cells.moment_near(row, "answered", started + (wait or 0))
        begun = started + (wait or 0) if answered is None else answered
        ended = cells.moment_near(row, "ended", begun + (talk or 0) if duration is None else started + duration)
        if ended is None:
            if duration is not None:
                ended = started + duration
            elif answered is not None and talk is not None:
                ended = answered + talk
            elif wait is not None or talk is not None:
                ended = started + (wait or 0) + (talk or 0)
            else:
                raise RowError("missing_field", "ended, duration, talk and wait are empty")
        talked = disposition in _TALKED or (disposition is None and bool(talk or (talk is None and answered)))
        if not talked:
            return self._checked(_Times(started, None, ended, 0))
        if answered is None and wait is not None:
            answered = started + wait
        if talk is None:
            if answered is None:
                raise RowError("missing_field", "talk is empty, and nothing says when the call was answered")
            talk = ended - answered
        return self._checked(_Times(started, ended - talk if answered is None else answered, ended, talk))

    def _checked(self, times: _Times) -> _Times:
        started, answered, ended, talk = times
        if ended < started or ended - started > LONGEST_MS:
            raise RowError("invalid_time", "the call ends before it starts, or lasts longer than 7 days")
        if answered is None:
            return times
        if not started - _SLACK_MS <= answered <= ended + _SLACK_MS:
            raise RowError("invalid_time", "the call is answered before it starts or after it ends")
        if not 0 <= talk <= ended - started + _SLACK_MS:
            raise RowError("invalid_field", "the talk is longer than the call")
        return times._replace(answered=min(max(answered, started), ended), talk=min(talk, ended - started))

    def _start(self, row: Sequence[str], name: str, started: int, fields: dict[str, Any]) -> Event:
        team, queue = self._cells.text(row, "team"), self._cells.text(row, "queue")
        more: dict[str, Any] = {
            "team": self._parties.public_id(team) if team else None,
            "queue": self._parties.queue(queue).removeprefix(QUEUE_PREFIX) if queue else None,
        }
        return CallStarted(id=f"{name}:started", at=started, **fields, **more)

    def _transfer(self, row: Sequence[str], name: str, at: int, common: dict[str, Any]) -> list[Event]:
        to = self._cells.text(row, "transferred_to")
        how = self._cells.optional_word(row, "how") if to else None
        if how is None:
            return []
        return [
            CallTransferred(
                id=f"{name}:transferred", at=at, to_manager=self._parties.person(to), how=cast("Any", how), **common
            )
        ]


def _check_future(at: int, latest_ms: int) -> None:
    if at > latest_ms:
        raise RowError("future", "is dated after now")

"""The history of MegaFon's virtual PBX: calls of which the push was lost. A row is the record that `history` pushes.

`GET crmapi/v1/history/json` with the header `X-API-KEY`. It has no pages: a span with the greatest number of rows of a
request is requested in halves.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Raw, Struct

from streams.contract.events import Event
from streams.settings.settings import Settings
from streams.sources.frame import Refused, Translation, UnreadableError
from streams.sources.gathering import checked_id, statement
from streams.sources.local_moments import settled
from streams.sources.megafon.hook import MegafonHook
from streams.sources.megafon.settings import NAME, MegafonSettings
from streams.sources.polls import (
    OVERLAP_MS,
    Ask,
    Asking,
    Found,
    Limits,
    Poll,
    PollError,
    Response,
    Verdict,
    ask,
    readable,
    spans,
)
from streams.units import MINUTE_MS, SECOND_MS

_PATH: Final = "crmapi/v1/history/json"
_MOST_ROWS: Final = 1_000
_NO_HISTORY: Final = 501
_ZONE_MS: Final = 14 * 60 * MINUTE_MS
"""The greatest span by which local times may be ahead of UTC."""


class _Row(Struct):
    """`client` is the customer, `user` the manager's login."""

    uid: str | int
    type: str
    status: str
    start: str
    client: str | int = ""
    user: str | None = None
    ext: str | int | None = None
    group_name: str | None = None
    wait: int = 0
    duration: int = 0

    def as_pushed(self) -> Mapping[str, str]:
        """Return the fields of `cmd=history`."""
        return {
            "callid": str(self.uid),
            "type": "in" if self.type == "missed" else self.type,
            "status": self.status,
            "phone": str(self.client),
            "user": self.user or "",
            "ext": str(self.ext or ""),
            "groupRealName": self.group_name or "",
            "start": self.start.replace("-", "").replace(":", ""),
            "wait": str(self.wait),
            "duration": str(self.duration),
        }


class _Items(Struct):
    items: list[Raw]


class MegafonPoll:
    """Polls the history of calls."""

    limits = Limits(per_second=0.2)
    every_ms = 10 * MINUTE_MS
    pushed: tuple[type[Event], ...] = ()

    def __init__(self, settings: Settings) -> None:
        own = settings.source(MegafonSettings)
        self.base_url = own.api_url.reveal()
        self._key = own.api_key.reveal()
        self._max_call_ms = settings.thresholds.max_call_ms
        self._ahead_ms = 0 if own.timezone is None else _ZONE_MS
        self._reader = MegafonHook(settings)

    def headers(self) -> Mapping[str, str]:
        """Return the key."""
        return {"X-API-KEY": self._key}

    def verdict(self, response: Response) -> Verdict | None:
        """Return the meaning of the answer of a PBX without a history; else the status alone decides."""
        if response.status == _NO_HISTORY:
            return Verdict("broken", why="this PBX does not give its history: leave api_url and api_key out")
        return None

    def poll(self, cursor: bytes, now_ms: int) -> Poll:
        """Read the calls that ended since the cursor, a moment in milliseconds; the first time, those of a day."""
        for since_ms, until_ms in spans(cursor, now_ms):
            made = Translation()
            # A long call that ended just now began much earlier. A PBX that writes local times may read them, too.
            from_ms = since_ms - OVERLAP_MS - self._max_call_ms - self._ahead_ms
            rows = yield from self._rows(from_ms, until_ms + self._ahead_ms, made)
            for number, row in enumerate(rows, 1):
                try:
                    self._take(row, since_ms - OVERLAP_MS, now_ms, made)
                except UnreadableError as error:
                    made.refused.append(Refused(reason=error.reason, detail=str(error), where=f"row {number}"))
            yield Found(translation=made, cursor=str(until_ms).encode(), until_ms=until_ms)

    def _rows(self, from_ms: int, to_ms: int, made: Translation) -> Asking[list[_Row]]:
        """Return the rows of the calls that began in a span. A call on the border of two halves may stand twice."""
        query = {"start": _utc(from_ms), "end": _utc(to_ms), "type": "all", "limit": str(_MOST_ROWS)}
        answer = yield from ask(Ask(path=_PATH, query=query))
        is_list = answer.body.lstrip()[:1] == b"["
        rows = answer.json(list[Raw]) if is_list else answer.json(_Items).items
        if len(rows) < _MOST_ROWS:
            return readable(rows, _Row, "history", made.refused)
        if to_ms - from_ms < MINUTE_MS:
            raise PollError("a minute has more calls than a request may have")
        middle_ms = (from_ms + to_ms) // 2
        first = yield from self._rows(from_ms, middle_ms, made)
        return first + (yield from self._rows(middle_ms, to_ms, made))

    def _take(self, row: _Row, since_ms: int, now_ms: int, made: Translation) -> None:
        """Add the piece of a row. Raises UnreadableError."""
        form = row.as_pushed()
        call = checked_id(form["callid"], "uid")
        said = self._reader.history(form, now_ms)
        ended_ms = settled(said.start, now_ms) + said.wait_ms + said.talk_ms
        if ended_ms >= since_ms:
            made.statements.append(statement(call, ended_ms, said))


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // SECOND_MS, UTC).strftime("%Y%m%dT%H%M%SZ")


def megafon_poll(settings: Settings) -> MegafonPoll | None:
    """Return the poll, if the settings have an address."""
    own = getattr(settings.sources, NAME, None)
    return MegafonPoll(settings) if isinstance(own, MegafonSettings) and own.api_url and own.api_key else None

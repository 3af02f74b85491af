"""The statistics of Mango Office: calls of which a push was lost. A row becomes a piece of its call, as a summary does.

Statistics are made on request: a first request returns a key, and those with the key return 204 until the rows are
ready. All moments are in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from streams.contract.events import Event
from streams.settings.settings import Settings
from streams.sources.frame import Refused, Translation, UnreadableError
from streams.sources.gathering import statement
from streams.sources.mango.pieces import PieceReader
from streams.sources.mango.settings import MangoSettings
from streams.sources.polls import (
    OVERLAP_MS,
    Ask,
    Asking,
    Found,
    Limits,
    Pause,
    Poll,
    PollError,
    Response,
    Verdict,
    ask,
    spans,
)
from streams.units import MINUTE_MS, SECOND_MS

FIELDS: Final = (
    *("records", "start", "finish", "answer", "from_extension", "from_number", "to_extension", "to_number"),
    *("disconnect_reason", "line_number", "location", "entry_id", "create"),
)
_API: Final = "https://app.mango-office.ru/vpbx"
_NOT_READY: Final = 204
_PAUSE_S: Final = 5.0
_MOST_TRIES: Final = 60


class _Key(Struct):
    key: str


class MangoPoll:
    """Polls `stats/request`, then `stats/result`."""

    limits = Limits(per_second=0.5)
    every_ms = 10 * MINUTE_MS
    pushed: tuple[type[Event], ...] = ()

    def __init__(self, settings: Settings) -> None:
        own = settings.source(MangoSettings)
        self.base_url = own.api_url.reveal() or _API
        self._key, self._salt = own.api_key.reveal(), own.api_salt.reveal()
        self._max_call_ms = settings.thresholds.max_call_ms
        self._reader = PieceReader(settings)

    def headers(self) -> Mapping[str, str]:
        """Return no headers: the form has the key and the signature."""
        return {}

    def verdict(self, response: Response) -> Verdict | None:  # noqa: ARG002 - its status alone decides
        """Return None: the status alone decides."""
        return None

    def poll(self, cursor: bytes, now_ms: int) -> Poll:
        """Read the calls that ended since the cursor, a moment in milliseconds; the first time, those of a day."""
        for since_ms, until_ms in spans(cursor, now_ms):
            # A long call that ended just now began much earlier.
            body = yield from self._rows(since_ms - OVERLAP_MS - self._max_call_ms, until_ms)
            translation = self._translation(body, since_ms - OVERLAP_MS, until_ms)
            yield Found(translation=translation, cursor=str(until_ms).encode(), until_ms=until_ms)

    def _rows(self, from_ms: int, to_ms: int) -> Asking[bytes]:
        span = {"date_from": str(from_ms // SECOND_MS), "date_to": str(to_ms // SECOND_MS + 1)}
        started = yield from ask(self._signed("stats/request", {**span, "fields": ",".join(FIELDS)}))
        key = started.json(_Key).key
        for _ in range(_MOST_TRIES):
            yield Pause(_PAUSE_S)
            answer = yield from ask(self._signed("stats/result", {"key": key}))
            if answer.status != _NOT_READY:
                return answer.body
        raise PollError("the statistics are not ready after five minutes")

    def _signed(self, path: str, fields: Mapping[str, str]) -> Ask:
        text = msgspec.json.encode(fields).decode()
        sign = sha256(f"{self._key}{text}{self._salt}".encode()).hexdigest()
        return Ask(method="POST", path=path, form={"vpbx_api_key": self._key, "sign": sign, "json": text})

    def _translation(self, body: bytes, since_ms: int, now_ms: int) -> Translation:
        made = Translation()
        for number, line in enumerate(body.decode("utf-8", "replace").splitlines(), 1):
            cells = line.split(";")
            if not line.strip():
                continue
            try:
                if len(cells) != len(FIELDS):
                    raise UnreadableError("missing_field", "has not the columns that were asked for")  # noqa: TRY301 - as below
                row = self._reader.row(dict(zip(FIELDS, (cell.strip() for cell in cells), strict=True)), now_ms)
            except UnreadableError as error:
                made.refused.append(Refused(reason=error.reason, detail=str(error), where=f"row {number}"))
                continue
            if row is None:
                made.ignored += 1
            elif row.ended >= since_ms:
                made.statements.append(statement(row.entry, row.ended, row))
        return made


def mango_poll(settings: Settings) -> MangoPoll | None:
    """Return the poll, if the settings have both keys."""
    own = getattr(settings.sources, "mango", None)
    if not isinstance(own, MangoSettings) or not (own.api_key.reveal() and own.api_salt.reveal()):
        return None
    return MangoPoll(settings)

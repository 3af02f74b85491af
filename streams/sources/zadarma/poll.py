"""The statistics of the PBX of Zadarma: calls of which a notification was lost. A row becomes a piece of its call.

A request is signed: base64 of the hex digits of an HMAC-SHA1 over the path, the query and its MD5, with the parameters
in their order by name. Source: Zadarma's OpenAPI description and its client library (both MIT).
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import md5
from typing import Final, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from msgspec import Raw, Struct

from streams.contract.events import Event
from streams.settings.settings import Settings
from streams.sources.frame import Refused, Translation, UnreadableError
from streams.sources.gathering import checked_id, statement
from streams.sources.local_moments import LocalTimes, settled
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
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
from streams.sources.times import TimeError
from streams.sources.zadarma.hook import FORM, Piece, disposition_of, duration_of
from streams.sources.zadarma.settings import NAME, ZadarmaSettings
from streams.units import MINUTE_MS, SECOND_MS

_API: Final = "https://api.zadarma.com"
_PATH: Final = "v1/statistics/pbx/"
_PAGE: Final = 1_000
_MOST_PAGES: Final = 100
_EXTENSION: Final = re.compile(r"\d{3,6}", re.ASCII)
"""The fewest digits of a number. A shorter one is a scenario of the PBX."""


class _Page(Struct):
    status: Literal["success"]
    stats: list[Raw]


class _Row(Struct):
    """`clid` is the caller, `destination` the callee; an extension is a short number."""

    pbx_call_id: str
    callstart: str
    disposition: str
    seconds: int
    clid: str | int = ""
    destination: str | int = ""
    sip: str | int = ""


class ZadarmaPoll:
    """Polls `statistics/pbx`. Zadarma allows three requests a minute."""

    limits = Limits(per_second=0.05)
    every_ms = 10 * MINUTE_MS
    pushed: tuple[type[Event], ...] = ()

    def __init__(self, settings: Settings) -> None:
        own = settings.source(ZadarmaSettings)
        self.base_url = own.api_url.reveal() or _API
        self._key, self._secret = own.api_key.reveal(), own.secret.reveal()
        self._lead_secret = settings.privacy.lead_secret.reveal().encode()
        self._max_call_ms = settings.thresholds.max_call_ms
        self._people = People.of(settings, self._lead_secret)
        self._numbers = Numbers(own.numbers, settings.privacy.region)
        zone = own.statistics_timezone or own.timezone or "UTC"
        self._times = LocalTimes(FORM, zone)
        self._zone = ZoneInfo(zone)

    def headers(self) -> Mapping[str, str]:
        """Return no headers: each request has a signature of its own."""
        return {}

    def verdict(self, response: Response) -> Verdict | None:  # noqa: ARG002 - its status alone decides
        """Return None: the status alone decides."""
        return None

    def poll(self, cursor: bytes, now_ms: int) -> Poll:
        """Read the calls that ended since the cursor, a moment in milliseconds; the first time, those of a day."""
        for since_ms, until_ms in spans(cursor, now_ms):
            made = Translation()
            # A long call that ended just now began much earlier.
            rows = yield from self._rows(since_ms - OVERLAP_MS - self._max_call_ms, until_ms, made)
            for number, row in enumerate(rows, 1):
                try:
                    self._take(row, since_ms - OVERLAP_MS, now_ms, made)
                except UnreadableError as error:
                    made.refused.append(Refused(reason=error.reason, detail=str(error), where=f"row {number}"))
            yield Found(translation=made, cursor=str(until_ms).encode(), until_ms=until_ms)

    def _rows(self, from_ms: int, to_ms: int, made: Translation) -> Asking[list[_Row]]:
        """Return the rows of calls that began in a span. Of rows that move between two pages, one may stand twice."""
        found: list[_Row] = []
        span = {"start": self._local(from_ms), "end": self._local(to_ms), "version": "2", "limit": str(_PAGE)}
        for page in range(_MOST_PAGES):
            answer = yield from ask(self._signed({**span, "skip": str(page * _PAGE)}))
            rows = answer.json(_Page).stats
            found += readable(rows, _Row, "statistics", made.refused)
            if len(rows) < _PAGE:
                return found
        raise PollError(f"more than {_MOST_PAGES * _PAGE} calls are listed for one span")

    def _local(self, at_ms: int) -> str:
        return datetime.fromtimestamp(at_ms // SECOND_MS, self._zone).strftime(FORM)

    def _signed(self, query: Mapping[str, str]) -> Ask:
        query = dict(sorted(query.items()))
        text = urlencode(query)
        # MD5 is Zadarma's choice: the protection is the HMAC.
        covered = f"/{_PATH}{text}{md5(text.encode(), usedforsecurity=False).hexdigest()}"
        digest = hmac.new(self._secret.encode(), covered.encode(), "sha1").hexdigest()
        signature = base64.b64encode(digest.encode()).decode()
        return Ask(path=_PATH, query=query, headers={"Authorization": f"{self._key}:{signature}"})

    def _take(self, row: _Row, since_ms: int, now_ms: int, made: Translation) -> None:
        """Add the piece of a row. Raises UnreadableError."""
        way = row.pbx_call_id.partition("_")[0]
        if way not in ("in", "out"):
            made.ignored += 1
            return
        call = checked_id(row.pbx_call_id, "pbx_call_id")
        try:
            begun = self._times.readings(row.callstart)
        except TimeError as error:
            raise UnreadableError("invalid_time", f"`callstart` {error}") from None
        duration_ms = duration_of(str(row.seconds))
        ended_ms = settled(begun, now_ms - duration_ms) + duration_ms
        if ended_ms > now_ms + MINUTE_MS:
            raise UnreadableError("future", "the call ends later than now; perhaps statistics_timezone is another one")
        if ended_ms < since_ms:
            return
        outside, within = (
            (row.destination, (row.sip, row.clid)) if way == "out" else (row.clid, (row.destination, row.sip))
        )
        extension = next((str(one) for one in within if _EXTENSION.fullmatch(str(one))), "")
        piece = Piece(
            what="out_row" if way == "out" else "row",
            begun=begun,
            manager=self._people.resolve(NAME, Heard(extension=extension)).manager if extension else "",
            lead=self._numbers.lead(str(outside), self._lead_secret),
            duration_ms=duration_ms,
            disposition=disposition_of(row.disposition),
        )
        made.statements.append(statement(call, ended_ms, piece))


def zadarma_poll(settings: Settings) -> ZadarmaPoll | None:
    """Return the poll, if the settings have the key of the API beside the secret and the zone."""
    own = getattr(settings.sources, NAME, None)
    if not isinstance(own, ZadarmaSettings) or not (own.api_key and own.secret and own.timezone):
        return None
    return ZadarmaPoll(settings)

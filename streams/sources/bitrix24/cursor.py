"""The progress of the poll of the portal, and checksums of its deals."""

from __future__ import annotations

from typing import Final
from zlib import crc32

import msgspec
from msgspec import Struct

from streams.sources.bitrix24.deals import DealRow
from streams.sources.polls import PollError

MOST_DEALS: Final = 2_000
"""The number of deals with a checksum: those with the greatest ids."""


class Cursor(Struct, kw_only=True):
    """Ids and moments up to which rows are read; 0: none is read yet, and reading begins at `since_ms`.

    `deals` has a checksum of the state of each kept deal, `semantics` the portal's semantics of each stage.
    """

    since_ms: int = 0
    history: int = 0
    calls: int = 0
    calls_again_ms: int = 0
    deals_ms: int = 0
    customers_ms: dict[str, int] = {}
    swept_ms: int = 0
    deals: dict[int, int] = {}
    semantics: dict[str, str] = {}

    @classmethod
    def read(cls, kept: bytes, since_ms: int) -> Cursor:
        """Return a stored cursor, or the first one. Raises PollError for one of another release."""
        if not kept:
            return cls(since_ms=since_ms)
        try:
            return msgspec.json.decode(kept, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise PollError("the cursor is of another release of callpulse") from None

    def written(self) -> bytes:
        """Return the stored form of the cursor."""
        return msgspec.json.encode(self)

    def is_news(self, row: DealRow) -> bool:
        """Return whether a deal has changed since it was read last, and keep its checksum."""
        said = (row.STAGE_ID, bytes(row.OPPORTUNITY), row.CURRENCY_ID, row.ASSIGNED_BY_ID, row.CONTACT_ID, row.LEAD_ID)
        mark = crc32(repr((*said, row.COMPANY_ID)).encode())
        was = self.deals.get(row.ID)
        self.deals[row.ID] = mark
        return was != mark

    def forget(self) -> None:
        """Keep the newest deals only."""
        if len(self.deals) > MOST_DEALS:
            self.deals = dict(sorted(self.deals.items())[-MOST_DEALS:])

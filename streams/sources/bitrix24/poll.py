"""The poll: the stage history, deals, customers and calls since the last one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from streams.contract.events import CallEnded, DealDeleted, Event, Reason
from streams.settings.settings import Settings
from streams.sources.bitrix24 import directory
from streams.sources.bitrix24.calls import Calls
from streams.sources.bitrix24.cursor import Cursor
from streams.sources.bitrix24.customers import CUSTOMER_FIELDS, KINDS, CustomerRow, linked, links
from streams.sources.bitrix24.deals import (
    DEAL_FIELDS,
    HISTORY_FIELDS,
    DealRow,
    Deals,
    HistoryRow,
    customer,
    deal_lead,
    lead_of,
    number,
)
from streams.sources.bitrix24.hook import deleted
from streams.sources.bitrix24.reading import List, by_ids, iso, read
from streams.sources.bitrix24.rest import verdict
from streams.sources.bitrix24.settings import Bitrix24Settings
from streams.sources.frame import Refused, Translation, UnreadableError, shape
from streams.sources.polls import Asking, Found, Limits, Listed, Poll, PollError, Response, Stage, Verdict
from streams.units import HOUR_MS, MINUTE_MS

T = TypeVar("T", bound=Struct)
_HISTORY_AGAIN: Final = 20  # rows of transactions that ended after later ones
_CALLS_AGAIN: Final = 50
_CALLS_AGAIN_EVERY_MS: Final = 15 * MINUTE_MS
_LONGEST_CALL_MS: Final = 6 * HOUR_MS
_MODIFIED_AGAIN_MS: Final = 2 * MINUTE_MS
_FEW_GONE: Final = 10
_TEXT: Final = msgspec.json.Decoder(dict[str, object])


class Bitrix24Poll:
    """Polls a portal by its incoming webhook. One request, a batch, is enough for few changes."""

    pushed: tuple[type[Event], ...] = (CallEnded, DealDeleted)

    def __init__(self, settings: Settings) -> None:
        own = settings.source(Bitrix24Settings)
        self.base_url = own.webhook.reveal()
        self.limits = Limits(per_second=own.per_second, burst=own.burst)
        self.every_ms = own.every_ms
        self._own = own
        self._calls = Calls(settings)
        self.people = self._calls.people

    def headers(self) -> Mapping[str, str]:
        """Return no headers: the address is the access."""
        return MappingProxyType({})

    def verdict(self, response: Response) -> Verdict | None:
        """Return the meaning of an error of the portal."""
        return verdict(response)

    def listed(self) -> Asking[list[Listed]]:
        """Request the users of the portal."""
        return directory.listed()

    def stages(self) -> Asking[list[Stage]]:
        """Request the stages of all pipelines."""
        return directory.stages()

    def poll(self, cursor: bytes, now_ms: int) -> Poll:
        """Read the changes since the cursor."""
        at = Cursor.read(cursor, now_ms - self._own.since_ms)
        lists = self._lists(at, now_ms)
        yield from read(lists)
        made = _Made(self._own, self._calls, at, now_ms)
        deals = lists.get("deals")
        made.deals(deals.rows if deals else [])
        history = made.rows("a row of the stage history", lists["history"].rows, HistoryRow) if deals else []
        missing = {row.OWNER_ID for row in history} - made.by_id.keys()
        made.deals((yield from by_ids("crm.deal.list", DEAL_FIELDS, missing)).values())
        records = made.records(lists["calls"].rows if "calls" in lists else [])
        for kind in KINDS:
            known = lists[kind].rows if kind in lists else []
            made.customers(kind, known)
            wanted = made.wanted(kind, records)
            made.customers(kind, (yield from by_ids(f"crm.{kind}.list", CUSTOMER_FIELDS, wanted)).values())
        made.calls(records)
        made.history(history)
        made.states()
        if self._own.deals and now_ms - at.swept_ms >= self._own.sweep_ms:
            yield from self._sweep(at, made, now_ms)
        self._advance(at, lists, now_ms)
        yield Found(translation=made.translation, cursor=at.written(), until_ms=now_ms)

    def _lists(self, at: Cursor, now_ms: int) -> dict[str, List]:
        lists: dict[str, List] = {}
        if self._own.deals:
            after = max(0, at.history - _HISTORY_AGAIN)
            since = {} if at.history else {">=CREATED_TIME": iso(at.since_ms)}
            lists["history"] = List("crm.stagehistory.list", since, HISTORY_FIELDS, after)
            lists["deals"] = List("crm.deal.list", _modified(at.deals_ms, at), DEAL_FIELDS)
            for kind in KINDS[:2]:
                phones = _modified(at.customers_ms.get(kind, 0), at) | {"HAS_PHONE": "Y"}
                lists[kind] = List(f"crm.{kind}.list", phones, CUSTOMER_FIELDS)
        if self._own.calls:
            after = max(0, at.calls - _CALLS_AGAIN)
            began: Mapping[str, str] = {} if at.calls else {">=CALL_START_DATE": iso(at.since_ms)}
            if at.calls and now_ms - at.calls_again_ms >= _CALLS_AGAIN_EVERY_MS:
                # The record of a long call may have a smaller id than those of short calls that were read before. The
                # last poll may be long ago, after an outage of the gateway.
                after, began = 0, {">=CALL_START_DATE": iso(max(at.since_ms, at.calls_again_ms - _LONGEST_CALL_MS))}
                at.calls_again_ms = now_ms
            lists["calls"] = List("voximplant.statistic.get", began, after=after)
        return lists

    def _advance(self, at: Cursor, lists: Mapping[str, List], now_ms: int) -> None:
        if "calls" in lists:
            at.calls = max(at.calls, lists["calls"].last)
            at.calls_again_ms = at.calls_again_ms or now_ms
        if "history" in lists:
            at.history = max(at.history, lists["history"].last)
        at.forget()

    def _sweep(self, at: Cursor, made: _Made, now_ms: int) -> Poll:
        """Find the known deals that exist no more: deleted, or merged into another one."""
        there = yield from by_ids("crm.deal.list", ("ID",), at.deals)
        gone = at.deals.keys() - there.keys()
        if len(gone) > max(_FEW_GONE, len(at.deals) // 2):
            raise PollError("most deals cannot be seen any more: has the webhook's user lost the right to see them?")
        for deal in sorted(gone):
            made.translation.events.append(deleted(deal, now_ms))
            del at.deals[deal]
        at.swept_ms = now_ms


class _Made:
    """Turns the rows of one poll into events. Each unreadable row is refused by itself."""

    def __init__(self, own: Bitrix24Settings, calls: Calls, at: Cursor, now_ms: int) -> None:
        self.translation = Translation()
        self.by_id: dict[int, DealRow] = {}
        self._deals = Deals(calls, own.stages, at.semantics)
        self._calls = calls
        self._at = at
        self._now_ms = now_ms
        self._linked: set[tuple[str, int]] = set()

    def rows(self, where: str, raws: Iterable[Raw], form: type[T]) -> list[T]:
        """Return the rows that have a form."""
        found = []
        for raw in raws:
            try:
                found.append(msgspec.json.decode(raw, type=form, strict=False))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self._refuse("invalid_field", f"{where} has not the form that is expected", raw)
        return found

    def deals(self, raws: Iterable[Raw]) -> None:
        """Take rows of deals."""
        for row in self.rows("a deal", raws, DealRow):
            self.by_id[row.ID] = row
            self._deals.learn(row.STAGE_ID, row.STAGE_SEMANTIC_ID)

    def records(self, raws: Iterable[Raw]) -> list[dict[str, str]]:
        """Return the records of calls, each value as text."""
        return [
            {name: "" if value is None else str(value) for name, value in _TEXT.decode(raw).items()} for raw in raws
        ]

    def wanted(self, kind: str, records: Iterable[Mapping[str, str]]) -> set[int]:
        """Return the customers of a kind that deals and calls name, and that are not read yet."""
        named = {number(getattr(row, f"{kind.upper()}_ID")) for row in self.by_id.values()}
        named |= {
            number(record.get("CRM_ENTITY_ID")) for record in records if record.get("CRM_ENTITY_TYPE") == kind.upper()
        }
        return {one for one in named if one and (kind, one) not in self._linked}

    def customers(self, kind: str, raws: Iterable[Raw]) -> None:
        """Link the numbers of customers."""
        for row in self.rows(f"a {kind}", raws, CustomerRow):
            self._linked.add((kind, row.ID))
            self.translation.events += links(kind, row, self._calls, self._now_ms)
            if row.DATE_MODIFY:
                modified = min(self._moment(row.DATE_MODIFY), self._now_ms)
                self._at.customers_ms[kind] = max(self._at.customers_ms.get(kind, 0), modified)

    def calls(self, records: Iterable[Mapping[str, str]]) -> None:
        """Make the events of calls."""
        for record in records:
            try:
                event = self._calls.event(record)
            except UnreadableError as error:
                self._refuse(error.reason, f"a call: {error}", msgspec.json.encode(record))
            else:
                self.translation.events += [event] if event is not None else []

    def history(self, rows: Iterable[HistoryRow]) -> None:
        """Make the events of changes of stage."""
        for row in rows:
            self._deals.learn(row.STAGE_ID, row.STAGE_SEMANTIC_ID)
        for row in rows:
            deal = self.by_id.get(row.OWNER_ID)
            try:
                lead = deal_lead(row.OWNER_ID) if deal is None else lead_of(deal)
                self.translation.events.append(self._deals.moved(row, lead))
            except UnreadableError as error:
                self._refuse(error.reason, f"a row of the stage history: {error}", msgspec.json.encode(row))

    def states(self) -> None:
        """Make the events of deals that have changed since they were read last."""
        for row in self.by_id.values():
            try:
                modified = self._deals.modified_ms(row)
                if self._at.is_news(row):
                    self.translation.events.append(self._deals.state(row))
            except UnreadableError as error:
                self._refuse(error.reason, f"a deal: {error}", msgspec.json.encode(row))
                continue
            # A deal that is modified while pages are read may be on an earlier page: the next poll reads it.
            self._at.deals_ms = max(self._at.deals_ms, min(modified, self._now_ms))
            if number(row.CONTACT_ID) and number(row.LEAD_ID):
                key, contact = customer("lead", number(row.LEAD_ID)), customer("contact", number(row.CONTACT_ID))
                self.translation.events.append(linked(key, contact, self._now_ms))

    def _moment(self, text: str) -> int:
        try:
            return self._calls.moment(text)
        except UnreadableError:
            return 0

    def _refuse(self, reason: Reason, detail: str, raw: bytes | Raw) -> None:
        self.translation.refused.append(Refused(reason=reason, detail=detail, shape=shape(bytes(raw))))


def _modified(after_ms: int, at: Cursor) -> dict[str, str]:
    return {">=DATE_MODIFY": iso(after_ms - _MODIFIED_AGAIN_MS if after_ms else at.since_ms)}


def bitrix24_poll(settings: Settings) -> Bitrix24Poll | None:
    """Return the poll of the portal, or None without a webhook."""
    return Bitrix24Poll(settings) if settings.source(Bitrix24Settings).webhook else None

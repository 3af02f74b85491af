"""The poll of Pipedrive: deals and persons that were updated since the last one, with the changelogs of the deals.

Each request costs the account tokens of its day. So a deal that was not updated again is not requested again, although
each poll goes back five minutes behind its cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from streams.contract.events import DealDeleted, Event
from streams.settings.settings import Settings
from streams.sources.frame import Refused, Translation
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.sources.pipedrive.deals import Deals, deleted, links
from streams.sources.pipedrive.rows import (
    Change,
    Deal,
    Page,
    Pipeline,
    StageRow,
    UnreadableError,
    User,
    as_deal,
    as_form,
    id_of,
    phones_of,
    rows,
)
from streams.sources.pipedrive.settings import NAME, PipedriveSettings
from streams.sources.polls import Ask, Asking, Found, Limits, Listed, Poll, PollError, Response, Stage, Verdict, ask
from streams.units import MINUTE_MS, SECOND_MS

T = TypeVar("T")
_OVERLAP_MS: Final = 5 * MINUTE_MS
_SETTLED_MS: Final = 5 * SECOND_MS
"""After this, a deal has no second change in the second of its last one."""
_PAGE: Final = 200
_MOST_PAGES: Final = 500
_MOST_AT_ONCE: Final = 100
_MOST_KNOWN: Final = 1_000
_NOT_FOUND: Final = 404
_NOT_PAID: Final = 402


class _Cursor(Struct, kw_only=True):
    """Moments in milliseconds.

    - `until`: all changes of deals before it are read. `page`: the moment up to which the list of deals is read; it is
      later than `until` after an interrupted poll.
    - `persons`, `swept`: the moments up to which persons and deletions are read.
    - `known`: the update moments of deals that are read already and will be listed again.
    """

    until: int
    page: int
    persons: int
    swept: int
    known: dict[int, int] = {}


class PipedrivePoll:
    """Polls the account by its API: version 2, and version 1 for changelogs and users."""

    limits = Limits(per_second=5, burst=10)
    pushed: tuple[type[Event], ...] = (DealDeleted,)

    def __init__(self, settings: Settings) -> None:
        own = settings.source(PipedriveSettings)
        self._secret = settings.privacy.lead_secret.reveal().encode()
        self.base_url = own.address.reveal()
        self.every_ms = own.every_ms
        self.people = People.of(settings, self._secret)
        self._own = own
        self._numbers = Numbers(own.numbers, settings.privacy.region)
        self._deals = Deals(own.stages, self.people)

    def headers(self) -> Mapping[str, str]:
        """Return the authorisation."""
        return {"x-api-token": self._own.token.reveal()}

    def verdict(self, response: Response) -> Verdict | None:
        """Return the meaning of an answer that is no HTTP error of the usual kind."""
        return Verdict("broken", why="the account is not paid for") if response.status == _NOT_PAID else None

    def listed(self) -> Asking[list[Listed]]:
        """Request the users of the account."""
        page = (yield from ask(Ask(path="api/v1/users"))).json(Page)
        users = rows(page.data, as_form(User), "users", [])
        return [Listed(heard=Heard(user=str(one.id), email=one.email or ""), name=one.name or "") for one in users]

    def stages(self) -> Asking[list[Stage]]:
        """Request the stages of all pipelines, in their order.

        None of them is won or lost, which are values of a deal's status.
        """
        pipelines = yield from self._all("api/v2/pipelines", as_form(Pipeline))
        stages = yield from self._all("api/v2/stages", as_form(StageRow))
        names = {one.id: one.name for one in pipelines}
        order = {one.id: one.order_nr for one in pipelines}
        stages.sort(key=lambda one: (order.get(one.pipeline_id, 0), one.pipeline_id, one.order_nr))
        return [Stage(key=str(one.id), name=one.name, pipeline=names.get(one.pipeline_id, "")) for one in stages]

    def poll(self, cursor: bytes, now_ms: int) -> Poll:
        """Read the changes since the cursor."""
        at = _read(cursor, now_ms - self._own.since_ms)
        at.until, at.page = min(at.until, now_ms), min(at.page, now_ms)
        at.persons, at.swept = min(at.persons, now_ms), min(at.swept, now_ms)
        linked = yield from self._persons(at, now_ms)
        yield from self._updated(at, linked, now_ms)
        if now_ms - at.swept >= self._own.sweep_ms:
            yield from self._deleted(at, now_ms)

    def _persons(self, at: _Cursor, now_ms: int) -> Asking[set[int]]:
        """Read the persons that were updated; return them."""
        made = Translation()
        linked: set[int] = set()
        query = {"updated_since": _iso(at.persons - _OVERLAP_MS), "sort_by": "update_time"}
        pages = self._pages("api/v2/persons", query)
        for page in (yield from pages) or ():
            linked |= self._link(page, made, now_ms)
        at.persons = now_ms
        yield self._found(made, at)
        return linked

    def _updated(self, at: _Cursor, linked: set[int], now_ms: int) -> Poll:
        """Read the deals that were updated, the oldest update first. Each page is stored before the next one."""
        since_ms = at.until - _OVERLAP_MS
        query = {"updated_since": _iso(at.page - _OVERLAP_MS), "sort_by": "update_time"}
        after = ""
        for _ in range(_MOST_PAGES):
            made = Translation()
            page = yield from self._page("api/v2/deals", query, after)
            deals = rows(page.data, as_deal, "deals", made.refused)
            fresh = [deal for deal in deals if at.known.get(deal.id) != deal.updated_ms]
            yield from self._named({deal.person for deal in fresh} - linked - {0}, linked, made, now_ms)
            for deal in fresh:
                yield from self._events(deal, since_ms, made)
                if deal.updated_ms + _SETTLED_MS < now_ms:
                    at.known[deal.id] = deal.updated_ms
            after = page.next
            at.page = max([at.page, *(min(deal.updated_ms, now_ms) for deal in deals)]) if after else now_ms
            if not after:
                at.until = now_ms
            at.known = _still_listed(at.known, at.page - _OVERLAP_MS)
            yield self._found(made, at)
            if not after:
                return
        raise PollError(f"more than {_MOST_PAGES * _PAGE} deals were updated: set a shorter `since`")

    def _deleted(self, at: _Cursor, now_ms: int) -> Poll:
        """Read the deals that were deleted: the account keeps them for 30 days."""
        since_ms = at.swept - _OVERLAP_MS
        made = Translation()
        query = {"status": "deleted", "updated_since": _iso(since_ms), "sort_by": "update_time"}
        for page in (yield from self._pages("api/v2/deals", query)) or ():
            for deal in rows(page, as_deal, "deals", made.refused):
                yield from self._events(deal, since_ms, made)
                made.events.append(deleted(deal.id, deal.person, min(deal.updated_ms, now_ms)))
        at.swept = now_ms
        yield self._found(made, at)

    def _events(self, deal: Deal, since_ms: int, made: Translation) -> Poll:
        """Add the state of a deal at each of its changes."""
        pages = yield from self._pages(f"api/v1/deals/{deal.id}/changelog", {})
        changes = [row for page in pages or () for row in rows(page, as_form(Change), "changelog", made.refused)]
        try:
            made.events += self._deals.history(deal, None if pages is None else changes, since_ms)
        except UnreadableError as error:
            made.refused.append(Refused(reason=error.reason, detail=str(error), where="changelog"))

    def _named(self, wanted: Iterable[int], linked: set[int], made: Translation, now_ms: int) -> Poll:
        """Read the persons of deals, which may not have been updated themselves."""
        ids = sorted(wanted)
        for place in range(0, len(ids), _MOST_AT_ONCE):
            part = ",".join(map(str, ids[place : place + _MOST_AT_ONCE]))
            page = yield from self._page("api/v2/persons", {"ids": part}, "")
            self._link(page.data or (), made, now_ms)
        linked.update(ids)

    def _link(self, raws: Iterable[Raw], made: Translation, now_ms: int) -> set[int]:
        found = rows(raws, _person, "persons", made.refused)
        for person, phones in found:
            made.events += links(person, phones, now_ms, self._numbers, self._secret)
        return {person for person, _ in found}

    def _all(self, path: str, read: Any) -> Asking[list[Any]]:
        return [row for page in (yield from self._pages(path, {})) or () for row in rows(page, read, path, [])]

    def _pages(self, path: str, query: Mapping[str, str]) -> Asking[list[list[Raw]] | None]:
        """Return the pages of a list, None where there is none."""
        found: list[list[Raw]] = []
        after = ""
        for _ in range(_MOST_PAGES):
            page = yield from self._page(path, query, after)
            if page is _NONE:
                return None
            found.append(page.data or [])
            after = page.next
            if not after:
                return found
        raise PollError(f"{path} has more than {_MOST_PAGES * _PAGE} rows: set a shorter `since`")

    def _page(self, path: str, query: Mapping[str, str], after: str) -> Asking[Page]:
        """Return a page of a list, `_NONE` where there is no such list."""
        more = {"cursor": after} if after else {}
        response = yield from ask(Ask(path=path, query={**query, "limit": str(_PAGE), **more}, allowed=(_NOT_FOUND,)))
        return _NONE if response.status == _NOT_FOUND else response.json(Page)

    def _found(self, made: Translation, at: _Cursor) -> Found:
        return Found(translation=made, cursor=msgspec.json.encode(at), until_ms=at.until)


_NONE: Final = Page()


def pipedrive_poll(settings: Settings) -> PipedrivePoll | None:
    """Return the poll of the account, or None without the settings for it."""
    own = getattr(settings.sources, NAME, None)
    return PipedrivePoll(settings) if isinstance(own, PipedriveSettings) and own.is_asked else None


def _read(cursor: bytes, since_ms: int) -> _Cursor:
    if not cursor:
        return _Cursor(until=since_ms, page=since_ms, persons=since_ms, swept=since_ms)
    try:
        return msgspec.json.decode(cursor, type=_Cursor)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise PollError("the cursor is of another release of callpulse") from None


def _still_listed(known: Mapping[int, int], since_ms: int) -> dict[int, int]:
    """Return the deals that the next poll will find in its overlap, the newest ones if there are many."""
    kept = sorted((item for item in known.items() if item[1] >= since_ms), key=lambda item: -item[1])
    return dict(kept[:_MOST_KNOWN])


def _person(raw: Raw) -> tuple[int, list[str]]:
    row = msgspec.json.decode(raw, type=dict[str, Any])
    return id_of(row.get("id"), "id"), list(phones_of(row))


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

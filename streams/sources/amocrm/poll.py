"""The poll of amoCRM: the changes since the last one, the deals and contacts that they concern, notes of calls.

The list of changes has the newest first. A change that is added while pages are read moves others to later pages, where
they are read again. So no change is missed, and repeats have the same ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from streams.contract.events import Event, LeadLinked
from streams.settings.settings import Settings
from streams.sources.amocrm.calls import ended
from streams.sources.amocrm.deals import LOST, TYPES, WON, Deals, lead_of
from streams.sources.amocrm.rows import Account, Change, Contact, Deal, Note, Page, Pipeline, User
from streams.sources.amocrm.settings import NAME, AmocrmSettings
from streams.sources.frame import Refused, Translation
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.sources.polls import (
    Ask,
    Asking,
    Found,
    Limits,
    Listed,
    Poll,
    PollError,
    Response,
    Stage,
    Verdict,
    ask,
    readable,
)
from streams.units import MINUTE_MS, SECOND_MS

_OVERLAP_MS: Final = 5 * MINUTE_MS
_PAGE: Final = 100
_MOST_AT_ONCE: Final = 50
_MOST_PAGES: Final = 500
_EMPTY: Final = 204
T = TypeVar("T")


class _Cursor(Struct):
    """The moments up to which changes and contacts are read, in milliseconds, and the account's currency."""

    until: int
    currency: str = ""


class AmocrmPoll:
    """Polls the account by its API, version 4."""

    limits = Limits(per_second=5, burst=5)
    pushed: tuple[type[Event], ...] = ()

    def __init__(self, settings: Settings) -> None:
        own = settings.source(AmocrmSettings)
        self._secret = settings.privacy.lead_secret.reveal().encode()
        self.base_url = own.address.reveal()
        self.every_ms = own.every_ms
        self.people = People.of(settings, self._secret)
        self._own = own
        self._numbers = Numbers(own.numbers, settings.privacy.region)

    def headers(self) -> Mapping[str, str]:
        """Return the authorisation."""
        return {"Authorization": f"Bearer {self._own.token.reveal()}"}

    def verdict(self, response: Response) -> Verdict | None:
        """Return the meaning of an answer that is no HTTP error of the usual kind."""
        return Verdict("broken", why="the account is not paid for") if response.status == 402 else None  # noqa: PLR2004 - payment required

    def listed(self) -> Asking[list[Listed]]:
        """Request the users of the account."""
        users = yield from self._pages("api/v4/users", {}, "users", User, [])
        return [Listed(heard=Heard(user=str(one.id), email=one.email or ""), name=one.name or "") for one in users]

    def stages(self) -> Asking[list[Stage]]:
        """Request the stages of all pipelines, in their order."""
        pipelines, _ = yield from self._page("api/v4/leads/pipelines", {}, "pipelines", Pipeline, [])
        return [
            Stage(
                key=str(status.id),
                name=status.name,
                pipeline=pipeline.name,
                is_won=status.id == WON,
                is_lost=status.id == LOST,
            )
            for pipeline in pipelines
            for status in sorted(pipeline.around.statuses, key=lambda one: one.sort)
        ]

    def poll(self, cursor: bytes, now_ms: int) -> Poll:
        """Read the changes since the cursor."""
        at = _read(cursor, now_ms - self._own.since_ms)
        if not at.currency:
            at.currency = ((yield from ask(Ask(path="api/v4/account"))).json(Account)).currency
        since = str((min(at.until, now_ms) - _OVERLAP_MS) // SECOND_MS)
        made = Translation()
        parameters = {"filter[type]": ",".join(TYPES), "filter[created_at][from]": since}
        by_deal: defaultdict[int, list[Change]] = defaultdict(list)
        for change in (yield from self._pages("api/v4/events", parameters, "events", Change, made.refused)):
            if change.entity_type in ("lead", ""):
                by_deal[change.entity_id].append(change)
        deals = {one.id: one for one in (yield from self._by_ids("leads", by_deal, Deal, made.refused))}
        updated = {"filter[updated_at][from]": since}
        contacts = yield from self._pages("api/v4/contacts", updated, "contacts", Contact, made.refused)
        named = {deal.contact for deal in deals.values()} - {0, *(one.id for one in contacts)}
        contacts += yield from self._by_ids("contacts", named, Contact, made.refused)
        made.events += self._links(contacts, now_ms)
        makes = Deals(self._own.stages, self.people, at.currency)
        for deal, changes in sorted(by_deal.items()):
            made.events += makes.events(deal, changes, deals.get(deal))
        if self._own.calls:
            yield from self._calls(made, since)
        yield Found(translation=made, cursor=msgspec.json.encode(_Cursor(now_ms, at.currency)), until_ms=now_ms)

    def _calls(self, made: Translation, since: str) -> Poll:
        parameters = {"filter[note_type]": "call_in,call_out", "filter[updated_at][from]": since}
        for kind in ("leads", "contacts", "companies"):
            for note in (yield from self._pages(f"api/v4/{kind}/notes", parameters, "notes", Note, made.refused)):
                event = ended(note, self.people, self._numbers, self._secret)
                if isinstance(event, Refused):
                    made.refused.append(event)
                elif event is not None:
                    made.events.append(event)

    def _links(self, contacts: Iterable[Contact], now_ms: int) -> Iterator[LeadLinked]:
        for contact in contacts:
            for number in contact.numbers:
                key = self._numbers.lead(number, self._secret)
                if key is not None:
                    yield _link(key, lead_of(0, contact.id), min(contact.updated_at * SECOND_MS, now_ms) or now_ms)

    def _pages(
        self, path: str, query: Mapping[str, str], name: str, form: type[T], refused: list[Refused]
    ) -> Asking[list[T]]:
        """Return all rows of a list."""
        found: list[T] = []
        for number in range(1, _MOST_PAGES):
            rows, is_last = yield from self._page(path, {**query, "page": str(number)}, name, form, refused)
            found += rows
            if is_last:
                return found
        raise PollError(f"{path} has more than {_MOST_PAGES * _PAGE} rows: set a shorter `since`")

    def _by_ids(self, kind: str, ids: Collection[int], form: type[T], refused: list[Refused]) -> Asking[list[T]]:
        found: list[T] = []
        wanted = sorted(ids)
        for place in range(0, len(wanted), _MOST_AT_ONCE):
            part = wanted[place : place + _MOST_AT_ONCE]
            query = {f"filter[id][{number}]": str(one) for number, one in enumerate(part)}
            if kind == "leads":
                query["with"] = "contacts"
            rows, _ = yield from self._page(f"api/v4/{kind}", query, kind, form, refused)
            found += rows
        return found

    def _page(
        self, path: str, query: Mapping[str, str], name: str, form: type[T], refused: list[Refused]
    ) -> Asking[tuple[list[T], bool]]:
        """Return the rows of a page that can be read, and whether it is the last one."""
        response = yield from ask(Ask(path=path, query={**query, "limit": str(_PAGE)}))
        if response.status == _EMPTY or not response.body:
            return [], True
        page = response.json(Page)
        try:
            raws = msgspec.json.decode(page.held.get(name, b"[]"), type=list[msgspec.Raw])
        except msgspec.MsgspecError:
            raise PollError(f"{path} answers in a form that is not expected") from None
        return readable(raws, form, name, refused), not page.has_next


def amocrm_poll(settings: Settings) -> AmocrmPoll | None:
    """Return the poll of the account, or None without the settings for it."""
    own = getattr(settings.sources, "amocrm", None)
    return AmocrmPoll(settings) if isinstance(own, AmocrmSettings) and own.is_asked else None


def _read(cursor: bytes, since_ms: int) -> _Cursor:
    if not cursor:
        return _Cursor(since_ms)
    try:
        return msgspec.json.decode(cursor, type=_Cursor)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise PollError("the cursor is of another release of callpulse") from None


def _link(key: str, lead: str, at_ms: int) -> LeadLinked:
    return LeadLinked(v=1, id=f"{NAME}:link:{key}:{lead}", at=at_ms, source=NAME, lead=lead, old_key=key)

"""The poll of HubSpot: deals and contacts that were modified since the last one, with the history of the deals.

The search shows a change some seconds late, so each poll goes back five minutes behind its cursor. Repeats have the
same ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from streams.contract.events import DealDeleted, Event, LeadLinked
from streams.settings.settings import Settings
from streams.sources.frame import Refused, Translation
from streams.sources.hubspot.deals import HISTORY, PROPERTIES, Deal, Deals, lead_of, moment
from streams.sources.hubspot.hook import deleted, merged_away
from streams.sources.hubspot.rows import Association, Owner, Page, Pipeline, Row
from streams.sources.hubspot.settings import NAME, HubspotSettings
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
from streams.sources.times import TimeError
from streams.units import DAY_MS, MINUTE_MS

T = TypeVar("T")
_OVERLAP_MS: Final = 5 * MINUTE_MS
_PAGE: Final = 100
_MOST_AT_ONCE: Final = 50
_MOST_PAGES: Final = 500
_PHONES: Final = ("phone", "mobilephone", "hs_whatsapp_phone_number")
_MODIFIED: Final = {"deals": "hs_lastmodifieddate", "contacts": "lastmodifieddate"}


class _Cursor(Struct, kw_only=True):
    """The progress of the poll.

    `until` is the moment up to which deals and contacts are read, `swept` and `staged` are those of the last reading of
    deletions and of stages. `semantics` has the won and lost stages. Moments in milliseconds.
    """

    until: int
    swept: int = 0
    staged: int = 0
    semantics: dict[str, str] = {}


class HubspotPoll:
    """Polls the account by its API, version 3."""

    limits = Limits(per_second=4, burst=10)
    pushed: tuple[type[Event], ...] = (DealDeleted,)

    def __init__(self, settings: Settings) -> None:
        own = settings.source(HubspotSettings)
        self._secret = settings.privacy.lead_secret.reveal().encode()
        self.base_url = own.api_url.reveal()
        self.every_ms = own.every_ms
        self.people = People.of(settings, self._secret)
        self._own = own
        self._numbers = Numbers(own.numbers, settings.privacy.region)

    def headers(self) -> Mapping[str, str]:
        """Return the authorisation."""
        return {"Authorization": f"Bearer {self._own.token.reveal()}"}

    def verdict(self, response: Response) -> Verdict | None:  # noqa: ARG002 - its status alone decides
        """Return None: the status alone decides."""
        return None

    def listed(self) -> Asking[list[Listed]]:
        """Request the owners, whose ids deals have."""
        found: list[Listed] = []
        after = ""
        for _ in range(_MOST_PAGES):
            page = yield from self._get("crm/v3/owners", {"limit": str(_PAGE)} | ({"after": after} if after else {}))
            for owner in readable(page.results, Owner, "owners", []):
                name = " ".join(part for part in (owner.first_name, owner.last_name) if part)
                found.append(Listed(heard=Heard(user=owner.id, email=owner.email or ""), name=name))
            after = page.after
            if not after:
                return found
        raise PollError("the list of owners has no end")

    def stages(self) -> Asking[list[Stage]]:
        """Request the stages of all pipelines, in their order."""
        page = yield from self._get("crm/v3/pipelines/deals", {})
        return [
            Stage(
                key=stage.id,
                name=stage.label,
                pipeline=pipeline.label,
                is_won=stage.is_won,
                is_lost=stage.is_closed and not stage.is_won,
            )
            for pipeline in readable(page.results, Pipeline, "pipelines", [])
            for stage in sorted(pipeline.stages, key=lambda one: one.display_order)
        ]

    def poll(self, cursor: bytes, now_ms: int) -> Poll:
        """Read the changes since the cursor."""
        at = _read(cursor, now_ms - self._own.since_ms)
        at.until, at.swept = min(at.until, now_ms), min(at.swept, now_ms)
        if now_ms - at.staged >= DAY_MS:
            known = yield from self.stages()
            at.semantics = {one.key: "won" if one.is_won else "lost" for one in known if one.is_won or one.is_lost}
            at.staged = now_ms
        since_ms = at.until - _OVERLAP_MS
        made = Translation()
        deals = yield from self._deals((yield from self._modified("deals", since_ms, made)), made.refused)
        contacts = yield from self._contacts_of([deal.id for deal in deals])
        changed = yield from self._modified("contacts", since_ms, made)
        yield from self._link({*changed, *contacts.values()}, made, now_ms)
        makes = Deals(self._own.stages, at.semantics, self.people)
        for deal in deals:
            try:
                made.events += makes.events(deal, contacts.get(deal.id, ""), since_ms)
            except TimeError:
                made.refused.append(Refused(reason="invalid_time", detail="a moment of a deal is none", where="deals"))
            made.events += [merged_away(merged, now_ms) for merged in deal.merged]
        if now_ms - at.swept >= self._own.sweep_ms:
            made.events += yield from self._gone(max(at.swept, at.until - self._own.sweep_ms) - _OVERLAP_MS)
            at.swept = now_ms
        at.until = now_ms
        yield Found(translation=made, cursor=msgspec.json.encode(at), until_ms=now_ms)

    def _modified(self, kind: str, since_ms: int, made: Translation) -> Asking[list[str]]:
        """Return the ids of objects that were modified since a moment.

        The next page begins after the last row's moment.
        """
        name = _MODIFIED[kind]
        found: dict[str, None] = {}
        from_ms, after = since_ms, ""
        for _ in range(_MOST_PAGES):
            filters = [{"propertyName": name, "operator": "GTE", "value": str(from_ms)}]
            if kind == "contacts":
                filters.append({"propertyName": "phone", "operator": "HAS_PROPERTY"})
                groups = [
                    {"filters": filters},
                    {"filters": [filters[0], {**filters[1], "propertyName": "mobilephone"}]},
                ]
            else:
                groups = [{"filters": filters}]
            body: dict[str, object] = {
                "filterGroups": groups,
                "sorts": [{"propertyName": name, "direction": "ASCENDING"}],
                "properties": [name],
                "limit": _PAGE,
            }
            if after:
                body["after"] = after
            page = (yield from ask(Ask(method="POST", path=f"crm/v3/objects/{kind}/search", json=body))).json(Page)
            read = readable(page.results, Row, kind, made.refused)
            found |= dict.fromkeys(row.id for row in read)
            if len(page.results) < _PAGE:
                return list(found)
            last_ms = max((_moment(row.properties.get(name)) for row in read), default=0)
            if last_ms > from_ms:
                from_ms, after = last_ms, ""
            elif page.after:  # rows that were modified in one moment, by an import, are paged by number
                after = page.after
            else:
                return list(found)
        raise PollError(f"more than {_MOST_PAGES * _PAGE} {kind} were modified: set a shorter `since`")

    def _deals(self, ids: Collection[str], refused: list[Refused]) -> Asking[list[Deal]]:
        body = {"properties": list(PROPERTIES), "propertiesWithHistory": list(HISTORY)}
        return (yield from self._batch("crm/v3/objects/deals/batch/read", ids, body, Deal, refused))

    def _contacts_of(self, deals: Collection[str]) -> Asking[dict[str, str]]:
        """Return the contact of each deal that has one: the first that the account names."""
        found = yield from self._batch("crm/v4/associations/deals/contacts/batch/read", deals, {}, Association, [])
        return {one.source.id: str(one.to[0].to_object_id) for one in found if one.to}

    def _link(self, contacts: Collection[str], made: Translation, now_ms: int) -> Poll:
        body = {"properties": list(_PHONES)}
        wanted = sorted(contacts)
        for row in (yield from self._batch("crm/v3/objects/contacts/batch/read", wanted, body, Row, made.refused)):
            for key in self._keys(row.properties.get(name) for name in _PHONES):
                lead = lead_of("", row.id)
                link = LeadLinked(v=1, id=f"{NAME}:link:{key}:{lead}", at=now_ms, source=NAME, lead=lead, old_key=key)
                made.events.append(link)

    def _keys(self, numbers: Iterable[str | None]) -> Iterator[str]:
        for number in numbers:
            if number and (key := self._numbers.lead(number, self._secret)) is not None:
                yield key

    def _gone(self, since_ms: int) -> Asking[list[Event]]:
        """Return the deals that were deleted since a moment: the account keeps them for 90 days."""
        found: list[Event] = []
        after = ""
        for _ in range(_MOST_PAGES):
            query = {"archived": "true", "limit": str(_PAGE)} | ({"after": after} if after else {})
            page = yield from self._get("crm/v3/objects/deals", query)
            for row in readable(page.results, Row, "deals", []):
                at_ms = _moment(row.archived_at)
                if at_ms >= since_ms:
                    found.append(deleted(row.id, at_ms))
            after = page.after
            if not after:
                break
        return found

    def _batch(
        self, path: str, ids: Collection[str], body: Mapping[str, object], form: type[T], refused: list[Refused]
    ) -> Asking[list[T]]:
        found: list[T] = []
        wanted = list(ids)
        for place in range(0, len(wanted), _MOST_AT_ONCE):
            part = [{"id": one} for one in wanted[place : place + _MOST_AT_ONCE]]
            page = (yield from ask(Ask(method="POST", path=path, json={**body, "inputs": part}))).json(Page)
            found += readable(page.results, form, path.split("/")[-3], refused)
        return found

    def _get(self, path: str, query: Mapping[str, str]) -> Asking[Page]:
        response = yield from ask(Ask(path=path, query=query, allowed=(404,)))
        return Page() if response.status == 404 else response.json(Page)  # noqa: PLR2004 - there is no such list


def hubspot_poll(settings: Settings) -> HubspotPoll | None:
    """Return the poll of the account, or None without a token."""
    own = getattr(settings.sources, "hubspot", None)
    return HubspotPoll(settings) if isinstance(own, HubspotSettings) and own.token else None


def _read(cursor: bytes, since_ms: int) -> _Cursor:
    if not cursor:
        return _Cursor(until=since_ms)
    try:
        return msgspec.json.decode(cursor, type=_Cursor)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise PollError("the cursor is of another release of callpulse") from None


def _moment(text: str | None) -> int:
    try:
        return moment(text or "")
    except TimeError:
        return 0

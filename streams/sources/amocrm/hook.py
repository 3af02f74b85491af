"""The webhook of amoCRM: a doorbell if there is a poll of the account, else the changes of deals themselves.

Its body is a form with brackets, as PHP writes lists: `leads[status][0][id]`. It names no contact of a deal. So without
the API a deal is a lead of its own, and no number belongs to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from streams.contract.events import DealDeleted, DealStageChanged, Event
from streams.settings.settings import Settings
from streams.sources.amocrm.deals import Deals, amount_of, lead_of
from streams.sources.amocrm.settings import NAME, AmocrmSettings
from streams.sources.forms import FormError, parsed, text
from streams.sources.frame import Answers, Hook, Request, Translation, UnreadableError
from streams.sources.people import People
from streams.sources.times import TimeError, Times
from streams.units import SECOND_MS

FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 2_000
_LONGEST_ID: Final = 18
_PLACE: Final = re.compile(r"(\w+)\[(\w+)\]\[(\d{1,4})\]\[(\w+)\]", re.ASCII)
_ENTITIES: Final = frozenset(
    ("leads", "contacts", "companies", "unsorted", "task", "catalogs", "talk", "message", "customers")
)
_RINGS: Final = frozenset(("leads", "contacts"))
_CHANGES: Final = frozenset(("add", "update", "status", "responsible", "restore"))
_UNIX: Final = Times("unix")

Entry = dict[str, str]


class AmocrmHook(Hook):
    """Reads `/hooks/amocrm/TOKEN`. The account signs nothing: the token is the only authentication."""

    answers = Answers(done=200, refused=200, unauthenticated=403, unavailable=503)
    most_fields = _MOST_FIELDS
    cannot_know = ("calls, but for notes that integrations write", "decimals of an amount", "the currency of a deal")

    def __init__(self, settings: Settings) -> None:
        own = settings.source(AmocrmSettings)
        self.people = People.of(settings, settings.privacy.lead_secret.reveal().encode())
        self._is_doorbell = own.is_asked
        self._deals = Deals(own.stages, self.people, "")
        self._future_ms = settings.thresholds.future_ms

    def is_authentic(self, request: Request) -> bool:
        """Return whether the body is a form. The token in the URL was right."""
        return request.headers.get("content-type", "").partition(";")[0].strip().casefold() == FORM

    def translate(self, request: Request) -> Translation:
        """Return the changes of deals, or ring."""
        try:
            form = {name: text(value) for name, value in parsed(request.body, _MOST_FIELDS).items()}
        except FormError as error:
            return _refused(request, UnreadableError("invalid_field", f"the form {error}"))
        entries = _entries(form)
        kinds = {name.partition("[")[0] for name in form} - {"account"}
        if not kinds & _ENTITIES:
            return _refused(request, UnreadableError("unknown_type", "no entity that is known"))
        made = Translation(ring=self._is_doorbell and bool(kinds & _RINGS))
        for (entity, action), entry in entries:
            if entity != "leads":
                continue
            try:
                made.events += self._events(action, entry, request.received_at_ms)
            except UnreadableError as error:
                made.refused.append(error.refused(request.body))
        made.events = [] if self._is_doorbell else _once(made.events)
        made.ignored = int(not (made.events or made.refused or made.ring))
        return made

    def _events(self, action: str, entry: Entry, now_ms: int) -> list[Event]:
        deal = entry.get("id", "")
        if not deal:
            raise UnreadableError("missing_field", "the id of a lead is missing")
        if not _is_id(deal):
            raise UnreadableError("invalid_field", "the id of a lead is none")
        if action == "delete":
            at = self._moment(entry.get("last_modified") or entry.get("updated_at") or "", now_ms)
            # It can be restored and deleted again. The receipt is no part of the id: a repeat has another one.
            id_ = f"{NAME}:deal:{deal}:deleted" + (f":{at // SECOND_MS}" if at else "")
            lead = lead_of(int(deal), 0)
            return [DealDeleted(v=1, id=id_, at=at or now_ms, source=NAME, lead=lead, deal=deal)]
        if action not in _CHANGES:
            raise UnreadableError("unknown_type", "an action of a lead that is not known")
        status, moment = entry.get("status_id", ""), entry.get("last_modified") or entry.get("updated_at") or ""
        if not status or not moment:
            raise UnreadableError("missing_field", "status_id or last_modified is missing")
        if not _is_id(status):
            raise UnreadableError("invalid_field", "status_id is none")
        owner = entry.get("responsible_user_id", "")
        at = self._moment(moment, now_ms)
        return [
            DealStageChanged(
                v=1,
                id=f"{NAME}:deal:{deal}:{at // SECOND_MS}:{status}",
                at=at,
                source=NAME,
                lead=lead_of(int(deal), 0),
                manager=self._deals.manager(int(owner))
                if owner.isascii() and owner.isdigit() and len(owner) <= _LONGEST_ID
                else None,
                deal=deal,
                stage=self._deals.stage(int(status)),
                amount=amount_of(entry.get("price")),
            )
        ]

    def _moment(self, text: str, now_ms: int) -> int:
        if not text:
            return 0
        try:
            at = _UNIX.moment(text)
        except TimeError as error:
            raise UnreadableError("invalid_time", f"last_modified {error}") from None
        if at > now_ms + self._future_ms:
            raise UnreadableError("future", "last_modified is later than the receipt")
        return at


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID


def _entries(form: Mapping[str, str]) -> list[tuple[tuple[str, str], Entry]]:
    """Return the entities of a body with their own fields, in the order in which they stand."""
    found: dict[tuple[str, str, str], Entry] = {}
    for name, value in form.items():
        place = _PLACE.fullmatch(name)
        if place is not None:
            found.setdefault((place[1], place[2], place[3]), {})[place[4]] = value
    return [((entity, action), entry) for (entity, action, _), entry in found.items()]


def _once(events: list[Event]) -> list[Event]:
    """Return each event once: a change of stage is a `status` and an `update` in one body."""
    return list({event.id: event for event in events}.values())


def _refused(request: Request, error: UnreadableError) -> Translation:
    return Translation(refused=[error.refused(request.body)])

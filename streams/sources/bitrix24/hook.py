"""Requests of the portal: the end of a call, which is complete, and doorbells, which only start a poll."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

from streams.contract.events import DealDeleted, Reason
from streams.settings.settings import Settings
from streams.sources.bitrix24.calls import Calls
from streams.sources.bitrix24.deals import deal_lead
from streams.sources.bitrix24.settings import NAME, Bitrix24Settings
from streams.sources.forms import MOST_FIELDS, FormError, fields, text
from streams.sources.frame import Answers, Hook, Refused, Request, Translation, UnreadableError, shape
from streams.sources.times import TimeError, Times

FORM: Final = "application/x-www-form-urlencoded"
_CALL_ENDED: Final = "ONVOXIMPLANTCALLEND"
_DELETED: Final = "ONCRMDEALDELETE"
_DOORBELLS: Final = ("ONCRMDEAL", "ONCRMLEAD", "ONCRMCONTACT")
_KNOWN: Final = ("ONCRM", "ONVOXIMPLANT", "ONEXTERNALCALL", "ONAPP", "ONUSER", "ONTASK", "ONIM", "ONCALENDAR")
_LONGEST_ID: Final = 18


class Bitrix24Hook(Hook):
    """Reads `/hooks/bitrix24/TOKEN`. The portal never repeats a request."""

    answers = Answers(done=200, refused=200, unauthenticated=403, unavailable=503)
    most_fields = MOST_FIELDS
    cannot_know = (
        "when a call was answered, and when it ended (its end is taken as start plus duration)",
        "whom a call rang before it was answered, and which queue it came through",
        "that two records are one transferred call",
        "whether a machine answered",
    )

    def __init__(self, settings: Settings) -> None:
        own = settings.source(Bitrix24Settings)
        self._token = own.application_token.reveal().encode()
        self._calls = Calls(settings)
        self._moments = Times("unix")
        self._wants_calls, self._wants_deals = own.calls, own.deals
        self.people = self._calls.people

    def is_authentic(self, request: Request) -> bool:
        """Return whether the form has the application token, the only authentication of the portal."""
        if request.headers.get("content-type", "").partition(";")[0].strip().casefold() != FORM:
            return False
        try:
            shown = fields(request.body).get("auth[application_token]", b"")
        except FormError:
            return False
        return bool(self._token) and hmac.compare_digest(shown, self._token)

    def translate(self, request: Request) -> Translation:
        """Return the event of a call or of a deletion, or ring."""
        try:
            form = {name: text(value) for name, value in fields(request.body).items() if not name.startswith("auth")}
            return self._of(form)
        except FormError as error:
            return _refused(request, "invalid_field", f"the form {error}")
        except UnreadableError as error:
            return _refused(request, error.reason, str(error))

    def _of(self, form: Mapping[str, str]) -> Translation:
        name = form.get("event", "").upper()
        if not name:
            raise UnreadableError("missing_field", "event is missing")
        if name == _CALL_ENDED:
            record = {key[5:-1]: value for key, value in form.items() if key.startswith("data[") and key[-1] == "]"}
            made = self._calls.event(record) if self._wants_calls else None
            return Translation(ignored=1) if made is None else Translation(events=[made])
        if name.startswith(_DOORBELLS):
            return self._rung(name, form.get("data[FIELDS][ID]", ""), form.get("ts", ""))
        if name.startswith(_KNOWN):
            return Translation(ignored=1)
        raise UnreadableError("unknown_type", "the event is none of Bitrix24")

    def _rung(self, name: str, number: str, sent: str) -> Translation:
        if not (number.isascii() and number.isdigit() and len(number) <= _LONGEST_ID and int(number)):
            raise UnreadableError("invalid_field" if number else "missing_field", "data[FIELDS][ID] is no id")
        if not self._wants_deals:
            return Translation(ignored=1)
        if name != _DELETED:
            return Translation(ring=True)
        try:
            at = self._moments.moment(sent)
        except TimeError as error:
            raise UnreadableError("invalid_time", f"ts {error}") from None
        return Translation(events=[deleted(int(number), at)])


def deleted(deal: int, at_ms: int) -> DealDeleted:
    """Return the event of a deal that is gone. It does not need the deal's manager."""
    return DealDeleted(
        v=1, id=f"{NAME}:deal:{deal}:deleted", at=at_ms, source=NAME, lead=deal_lead(deal), deal=str(deal)
    )


def _refused(request: Request, reason: Reason, detail: str) -> Translation:
    return Translation(refused=[Refused(reason=reason, detail=detail, shape=shape(request.body))])

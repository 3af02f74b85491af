"""The hook of FreeSWITCH: records that mod_json_cdr posts to `/hooks/freeswitch/TOKEN`."""

from __future__ import annotations

import base64
import hmac

from streams.settings.settings import Settings
from streams.sources.frame import Answers, Hook, Refused, Request, Translation, UnreadableError, shape
from streams.sources.freeswitch.json_cdr import read_body
from streams.sources.freeswitch.legs import Legs, Memory
from streams.sources.freeswitch.mapping import FreeSwitchMapping
from streams.sources.freeswitch.parties import Parties
from streams.sources.people import People


class FreeSwitchHook(Hook):
    """mod_json_cdr tries a record again after any other answer than 2xx, and then writes it to `err-log-dir`.

    A record that cannot be read would fail there, too, so it is answered with 200.
    """

    cannot_know = (
        "calls in progress: a record comes when its channel is over",
        "who made a blind transfer of a customer whom he had called",
        "whether a machine answered",
    )
    answers = Answers(done=200, refused=200, unauthenticated=401, unavailable=503)

    def __init__(self, settings: Settings) -> None:
        own = settings.source(FreeSwitchMapping)
        shown = f"{own.username}:{own.password.reveal()}".encode()
        self._authorization = base64.b64encode(shown) if own.password else b""
        # A repeat of a record gives the same events, whatever came before: only the join has the other records.
        self._legs = Legs(parties_of(settings, own), Memory(0))

    def is_authentic(self, request: Request) -> bool:
        """Return whether the request has the username and the password. Without a password, the token suffices."""
        if not self._authorization:
            return True
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        matches = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), self._authorization)
        return matches and scheme.lower() == "basic"

    def translate(self, request: Request) -> Translation:
        """Return the legs of a record."""
        return translated(self._legs, request.body, request.headers.get("content-type", ""))


def parties_of(settings: Settings, mapping: FreeSwitchMapping, secret: bytes = b"") -> Parties:
    """Return the directory of the mapping and the roster. Without `secret`, that of the settings keys the numbers."""
    secret = secret or settings.privacy.lead_secret.reveal().encode()
    return Parties(mapping, People.of(settings, secret), secret)


def translated(legs: Legs, body: bytes, content_type: str = "") -> Translation:
    """Return the events of a record, or a refusal. Never raises."""
    try:
        events = legs.take(read_body(body, content_type))
    except UnreadableError as error:
        return Translation(refused=[Refused(reason=error.reason, detail=str(error), shape=shape(body))])
    except ValueError:
        detail = "its moments cannot be in this order"
        return Translation(refused=[Refused(reason="invalid_time", detail=detail, shape=shape(body))])
    statements = legs.statements()
    return Translation(events=events, statements=statements, ignored=0 if events or statements else 1)

"""The hook of transcripts: `/hooks/transcripts/TOKEN/FORMAT?call=...&manager=...&answered_at=...`."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from streams.settings.settings import Settings
from streams.sources.frame import Answers, Hook, Refused, Request, Translation
from streams.sources.people import Heard, People
from streams.sources.transcripts.formats import FORMATS, size, translated
from streams.sources.transcripts.leg import PARAMETERS, Asked
from streams.sources.transcripts.settings import NAME, TranscriptsSettings

_MOST_PARAMETERS: Final = 100


class TranscriptsHook(Hook):
    """Reads requests of recognisers. Deepgram tries a callback again after any answer but a 2xx."""

    answers = Answers(done=200, refused=400, unauthenticated=401, unavailable=503)
    has_subpaths = True
    cannot_know = tuple(one.cannot_know for one in FORMATS.values())

    def __init__(self, settings: Settings) -> None:
        self._own = settings.source(TranscriptsSettings)
        self.people = People.of(settings, settings.privacy.lead_secret.reveal().encode())

    def is_authentic(self, request: Request) -> bool:  # noqa: ARG002 - the token in the URL decides
        """Return whether the request comes from its sender.

        The token in the URL is the only authentication of recognisers.
        """
        return True

    def translate(self, request: Request) -> Translation:
        """Return the events of a transcript, or of a part of one."""
        name = urlsplit(request.url).path.rstrip("/").rpartition("/")[2]
        if name not in FORMATS:
            detail = f"the URL must end with a format: {', '.join(FORMATS)}"
            return Translation(refused=[Refused(reason="unknown_type", detail=detail, shape=size(request.body))])
        try:
            said = parse_qsl(request.query, max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            return Translation(
                refused=[Refused(reason="invalid_field", detail="too many parameters", shape=size(request.body))]
            )
        parameters = {key: value for key, value in said if key in PARAMETERS}
        own = FORMATS[name].settings(self._own, name)
        asked = Asked(own, parameters, lambda manager: resolved(self.people, manager), request.received_at_ms)
        return translated(name, [request.body], asked)

    def shape(self, body: bytes) -> bytes:
        """Return the size of a body: its shape has the lengths of words, and keys that a recogniser may have made."""
        return size(body)


def resolved(people: People, manager: str) -> str:
    """Return the id of a manager who is named by id, extension, login, e-mail address or user id; else the name."""
    found = people.find(NAME, Heard(user=manager, endpoint=manager, extension=manager, login=manager, email=manager))
    return manager if found is None else found.manager

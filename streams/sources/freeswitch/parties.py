"""The party at the end of a channel: a manager, an outside party, or no person.

The direction that FreeSWITCH states is that of the switch: a telephone that dials out has an inbound channel. So the
internal party, and whether the PBX dialled the channel, decide a leg's direction.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias

from streams.contract.events import QUEUE_PREFIX
from streams.phone_numbers import digest
from streams.settings.identities import may_be_number
from streams.sources.freeswitch.mapping import FreeSwitchMapping
from streams.sources.freeswitch.record import Record, user_of
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People

Role: TypeAlias = Literal["manager", "outside", "machine"]
_MACHINES: Final = frozenset(("loopback", "null", "error", "file", "conference", "voicemail", "signalwire_ai"))
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PLAIN_ID: Final = re.compile(r"[A-Za-z][\w.-]{0,63}", re.ASCII)


class Party(NamedTuple):
    """The owner of a channel, and the setting that decided this. `manager` is "" for other parties."""

    role: Role
    manager: str = ""
    reason: str = ""


class Name(NamedTuple):
    """A channel's name `TECHNOLOGY/PROFILE/USER@HOST`. "" for a missing part."""

    technology: str
    profile: str = ""
    user: str = ""
    host: str = ""


def name_of(text: str) -> Name:
    """Split a channel's name. One without a profile, `verto.rtc/201`, has its technology as the profile."""
    technology, _, rest = text.partition("/")
    profile, slash, address = rest.partition("/")
    if not slash:
        profile, address = technology, rest
    address = address.rpartition("/")[2]
    return Name(technology, profile, user_of(address), address.partition("@")[2])


class Parties:
    """Applies a mapping and the roster. Holds no state of calls."""

    def __init__(self, mapping: FreeSwitchMapping, people: People, secret: bytes) -> None:
        self.source = mapping.source
        self.mapping = mapping
        self._people = people
        self._secret = secret
        self._numbers = Numbers(mapping.numbers, mapping.region)
        self._internal = _compiled(mapping.internal)
        self._trunks = tuple(map(_compiled, mapping.trunks))
        self._contexts = tuple(map(_compiled, mapping.trunk_contexts))
        self._voicemail = _compiled(mapping.voicemail_apps)

    def of(self, record: Record) -> Party:
        """Return the owner of a channel."""
        name = name_of(record.name)
        if name.technology.lower() in _MACHINES:
            return Party("machine", "", "a channel of the PBX itself")
        trunk = "a gateway" if record.gateway else self._trunk(name)
        if not trunk and not record.is_originated and not record.login and self._is_trunk_context(record.context):
            trunk = "trunk_contexts"
        if trunk:
            number = record.dialled if record.is_originated else ""
            person = self._people.identified(self.source, Heard(number=self.number(number) or "")) if number else None
            return Party("outside", "", trunk) if person is None else Party("manager", person.manager, "number")
        users = (record.user, name.user) if record.is_originated else (record.login, name.user)
        return self._internal_party((*users, user_of(record.agent) if record.member else ""))

    def of_name(self, text: str) -> Party:
        """Return the owner of a channel, by its name alone."""
        name = name_of(text)
        if name.technology.lower() in _MACHINES:
            return Party("machine", "", "a channel of the PBX itself")
        trunk = self._trunk(name)
        return Party("outside", "", trunk) if trunk else self._internal_party((name.user,))

    def manager_of(self, user: str) -> str:
        """Return the manager of an extension or user, "" for none."""
        return self._internal_party((user_of(user),)).manager

    def number(self, text: str) -> str | None:
        """Return the customer's number that a text means, or None."""
        return self._numbers.read(user_of(text))

    def lead(self, *texts: str) -> str | None:
        """Return the lead behind the first of these texts that is a number outside."""
        for text in texts:
            if text and not self.manager_of(text):
                found = self._numbers.lead(user_of(text), self._secret)
                if found is not None:
                    return found
        return None

    def queue(self, text: str) -> str:
        """Return the publishable name of a queue; "" stands for no queue."""
        return self._people.public(user_of(text) or self.mapping.default_queue)

    def queue_manager(self, text: str) -> str:
        """Return the pseudo-manager of a queue."""
        return QUEUE_PREFIX + self.queue(text)

    def is_voicemail(self, application: str) -> bool:
        """Return whether an application of the dialplan records a message."""
        return self._voicemail.fullmatch(application) is not None

    def public_id(self, text: str) -> str:
        """Return the publishable form of an id.

        An id that was set by hand could be a number: of such, the keyed hash.
        """
        if _UUID.fullmatch(text) or (_PLAIN_ID.fullmatch(text) and not may_be_number(text)):
            return text
        return digest(text, self._secret)

    def _trunk(self, name: Name) -> str:
        if any(pattern.fullmatch(part) for pattern in self._trunks for part in (name.profile, name.host) if part):
            return "trunks"
        return ""

    def _is_trunk_context(self, context: str) -> bool:
        return any(pattern.fullmatch(context) for pattern in self._contexts)

    def _internal_party(self, users: tuple[str, ...]) -> Party:
        named = [user for user in users if user]
        for user in named:
            person = self._people.find(self.source, Heard(endpoint=user, extension=user, login=user))
            if person is not None:
                return Party("manager", person.manager, f"roster, by {person.by}")
        for user in named:
            if self._internal.fullmatch(user):
                return Party("manager", self._people.resolve(self.source, Heard(extension=user)).manager, "internal")
        return Party("outside", "", "not internal")


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)

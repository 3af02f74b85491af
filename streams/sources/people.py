"""The directory in which every source looks up persons.

A source identifies a person by an extension, a device, a login, an e-mail address, a telephone number, or a user id of
its own. The roster's `identities` give the manager. A person without a roster entry is kept under a stable id, so that
no calls are lost: `callpulse unmapped` lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from streams.phone_numbers import digest
from streams.settings.identities import is_id, may_be_number, normal
from streams.settings.sections import Manager
from streams.settings.settings import Settings

_LONGEST_KEY: Final = 90
_TAIL: Final = 50
_MARK: Final = 12  # hex digits
_REMEMBERED: Final = 4096  # a department has fewer people; an export needs a look-up for each row
UNKNOWN: Final = "unknown"
"""The key of a person without any identity."""


class Heard(NamedTuple):
    """The identities of one person in a source. "" stands for none. `user` is the user id of the source itself."""

    user: str = ""
    endpoint: str = ""
    extension: str = ""
    login: str = ""
    email: str = ""
    number: str = ""


class Person(NamedTuple):
    """The manager that a person is. `by` is the identity that decided, "" for a person on no roster entry."""

    manager: str
    by: str

    @property
    def is_known(self) -> bool:
        """True if the person is on the roster."""
        return bool(self.by)


class People:
    """The directory. `secret` keys the hash of possible telephone numbers; numbers are held as hashes only."""

    def __init__(self, managers: Iterable[Manager], secret: bytes, region: str | None = None) -> None:
        self._secret = secret
        self._region = region
        self._identities: dict[tuple[str, str], str] = {}
        self._ids: dict[str, str] = {}
        self._learned: dict[tuple[str, str], str] = {}
        names: dict[str, set[str]] = {}
        for manager in managers:
            self._ids[normal("login", manager.id, region)] = manager.id
            names.setdefault(normal("login", manager.name, region), set()).add(manager.id)
            for identity in manager.identities:
                self._identities.setdefault(self._key(identity.kind, identity.value.reveal()), manager.id)
        self._names = {name: next(iter(ids)) for name, ids in names.items() if len(ids) == 1}
        self.resolve = lru_cache(maxsize=_REMEMBERED)(self._resolve)
        """Return the manager. A person without a roster entry is `SOURCE:KEY`, by the first identity."""

    @classmethod
    def of(cls, settings: Settings, secret: bytes) -> People:
        """Return the directory of a roster."""
        return cls(settings.managers.values(), secret, settings.privacy.region)

    def learn(self, source: str, managers: Mapping[str, str]) -> None:
        """Replace a source's own directory: the manager's id by the user id."""
        kept = {key: manager for key, manager in self._learned.items() if key[0] != source}
        new = {(source, normal("login", user, self._region)): manager for user, manager in managers.items()}
        if self._learned != kept | new:
            self._learned = kept | new
            self.resolve.cache_clear()

    def identified(self, source: str, heard: Heard) -> Person | None:
        """Return the manager with one of these identities, or None. The first known identity decides.

        The user id goes first, and the others after it. Last, the roster may have any of them under the source's name,
        or as it is published.
        """
        said = [(kind, value) for kind, value in zip((source, *Heard._fields[1:]), heard, strict=True) if value.strip()]
        for kind, value in said:
            if (manager := self._identities.get(self._key(kind, value))) is not None:
                return Person(manager, kind)
        for kind, value in said:
            form = normal(kind, value, self._region)
            for name in (form, self._published(kind, form)):
                if (manager := self._identities.get((source, name))) is not None:
                    return Person(manager, source)
        return None

    def find(self, source: str, heard: Heard) -> Person | None:
        """Return the manager, or None for a person without a roster entry.

        Identities come first, then the source's directory. Then the manager's `id` counts as extension, endpoint, login
        and e-mail address, and as the user id of a source unless it is all digits. Last, a source's user id may be a
        name that only one manager has.
        """
        found = self.identified(source, heard)
        if found is not None:
            return found
        learned = self._learned.get((source, normal("login", heard.user, self._region))) if heard.user else None
        if learned is not None:
            return Person(learned, "directory")
        for kind, value in zip((source, *Heard._fields[1:]), heard, strict=True):
            form = normal(kind, value, self._region)
            if is_id(kind, form) and (manager := self._ids.get(form)) is not None:
                return Person(manager, "id")
        named = self._names.get(normal("login", heard.user, self._region))
        return None if named is None else Person(named, "name")

    def _resolve(self, source: str, heard: Heard) -> Person:
        found = self.find(source, heard)
        if found is not None:
            return found
        for kind, value in zip((source, *Heard._fields[1:]), heard, strict=True):
            if value.strip():
                form = normal(kind, value, self._region)
                return Person(f"{source}:{self._published(kind, form)}", "")
        return Person(f"{source}:{UNKNOWN}", "")

    def public(self, name: str) -> str:
        """Return the publishable form of a name: its keyed hash if it could contain a telephone number.

        A long name keeps its end, after a part of its hash.
        """
        plain = " ".join("".join(char if char.isprintable() else " " for char in name).split())
        if may_be_number(plain):
            return self._hash(normal("number", plain, self._region) if _is_digits(plain) else plain)
        if len(plain) > _LONGEST_KEY:
            return f"{self._hash(plain)[:_MARK]}~{plain[-_TAIL:]}"
        return plain or UNKNOWN

    def _published(self, kind: str, form: str) -> str:
        return self._hash(form) if kind == "number" else self.public(form)

    def _key(self, kind: str, value: str) -> tuple[str, str]:
        form = normal(kind, value, self._region)
        return kind, self._hash(form) if kind == "number" else form

    def _hash(self, text: str) -> str:
        return digest(text, self._secret)


def _is_digits(text: str) -> bool:
    return re.fullmatch(r"\+?[\d\s().\-/]+", text) is not None

"""The names of a manager in the sources: the table `identities` of a roster entry.

A key is one of `GENERAL`, which hold for all sources, or the name of a source, which has its user ids. Values may be
telephone numbers, so no text made here quotes one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, Struct

from streams.phone_numbers import e164, has_number, is_outside_number
from streams.settings.fields import Secret
from streams.settings.reader import Parse, did_you_mean, join, kind_of

GENERAL: Final = ("extension", "endpoint", "login", "email", "number")
RESERVED: Final = frozenset({*GENERAL, "callpulse", "id", "name", "phone", "queue"})
"""Names that no source may have: ids such as `SOURCE:KEY` would be ambiguous."""
_LONGEST: Final = 256
_TECHNOLOGY: Final = re.compile(r"[a-z][a-z0-9_]*/|(?:sips?|tel|client):")
_SPELLING: Final = re.compile(r"[\s().\-/]")


class Identity(Struct, frozen=True):
    """One name of a manager: a key of `identities`, and one of its values."""

    kind: str
    value: Secret

    def __str__(self) -> str:
        value = self.value.reveal()
        return f"{self.kind} {'(not shown)' if self.kind == 'number' or may_be_number(value) else value}"


def may_be_number(text: str) -> bool:
    """Return whether a name may contain a telephone number, even one with spaces, brackets or dashes."""
    return has_number(text) or has_number(_SPELLING.sub("", text))


def normal(kind: str, text: str, region: str | None) -> str:
    """Return the form in which two values of a kind are compared.

    Case, outer and repeated spaces make no difference. An endpoint is compared without its technology and host, a
    number in E.164 or, where it cannot be completed, by its digits.
    """
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    if kind == "number":
        return e164(folded, region) or _SPELLING.sub("", folded)
    if kind == "endpoint":
        return _TECHNOLOGY.sub("", folded, count=1).partition("@")[0]
    return folded


def problems(
    roster: Mapping[str, tuple[str, tuple[Identity, ...]]], region: str | None, sources: Collection[str] | None
) -> Iterator[tuple[str, str]]:
    """Yield the key of each identity that cannot be used, with the reason.

    `roster` has the id and the identities of each entry by its place (`managers[3]`). `sources` has the names of the
    sources, or None where they are not known.
    """
    owners = {normal("login", manager, region): (place, manager) for place, (manager, _) in roster.items()}
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for place, (manager, identities) in roster.items():
        for identity in identities:
            kind, value = identity.kind, identity.value.reveal()
            key = join(f"{place}.identities", kind)
            if kind not in GENERAL and sources is not None and kind not in sources:
                known = (*GENERAL, *sorted(sources))
                yield key, "is no source" + (did_you_mean(kind, known) or f"; known here: {', '.join(known)}")
                continue
            if kind == "number" and not is_outside_number(value):
                yield key, "holds something that is no telephone number; extensions are under extension"
                continue
            found = normal(kind, value, region)
            other_key, other = first.setdefault((kind, found), (key, manager))
            if other != manager:
                yield key, f"has a value of {other_key}; an identity belongs to one manager"
            elif is_id(kind, found) and (owner := owners.get(found)) is not None and owner[1] != manager:
                yield key, f"has a value that is {owner[0]}.id; an identity belongs to one manager"


def names(sources: Struct) -> set[str]:
    """Return the names under which the events of `[sources]` may come.

    These are the names of its tables, those inside a table of tables, and the values of `source` in tables.
    """
    tables = {name: getattr(sources, name) for name in sources.__struct_fields__}
    tables |= {name: one for held in tables.copy().values() if isinstance(held, Mapping) for name, one in held.items()}
    return {*tables, *(str(one.source) for one in tables.values() if getattr(one, "source", None) is not None)}


def is_id(kind: str, value: str) -> bool:
    """Return whether a value in normal form is taken for the id of a manager who has no such identity.

    A number is not. A source's own user id is not if it is all digits: another source may count its users too.
    """
    return kind != "number" and (kind in GENERAL or not value.isdigit())


def _several(value: object) -> object:
    if isinstance(value, list):
        return [_as_text(one) for one in value]
    if not isinstance(value, str | int) or isinstance(value, bool):
        # A Parse refuses every error with ValueError.
        raise ValueError(f"text or an array of texts was expected, not {kind_of(value)}")  # noqa: TRY004
    return [_as_text(value)]


def _as_text(value: Any) -> Any:
    """Return a whole number as text: `extension = 201` is clear."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _value(value: object) -> Secret:
    if not isinstance(value, str):
        raise ValueError(f"text was expected, not {kind_of(value)}")  # noqa: TRY004  as above
    text = value.strip()
    if not text or len(text) > _LONGEST:
        raise ValueError(f"must have 1 to {_LONGEST} characters")
    if not text.isprintable():
        raise ValueError("must not hold control characters")
    return Secret(text)


Values: TypeAlias = Annotated[
    tuple[Annotated[Secret, Parse(_value)], ...], Parse(_several), Meta(min_length=1, max_length=100)
]
"""The values of one key: text, a whole number, or an array of them."""

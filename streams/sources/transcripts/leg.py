"""The leg of a transcript: the channel of each side, and the zero of its times."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from streams.contract.events import LONGEST_MS, Role
from streams.sources.frame import UnreadableError
from streams.sources.times import TimeError, Times
from streams.sources.transcripts.settings import Recogniser

PARAMETERS: Final = (
    *("call", "manager", "answered_at", "started_at", "lead", "manager_channel", "channel", "language"),
    *("manager_offset_ms", "customer_offset_ms", "roles", "more"),
)
"""The parameters of a leg: in the query of a hook, in Deepgram's `extra`, in the name of a file, by an option."""
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,3}")
_UNIX_MS: Final = re.compile(r"\d{12,13}", re.ASCII)
_SIGNED: Final = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_LONGEST_NAME: Final = 128
_NO_MORE: Final[Mapping[str, str]] = MappingProxyType({})


class Leg(Struct, frozen=True, kw_only=True):
    """A leg, and the place of its recording in time.

    `offset_ms` is, by role, the delay of the zero of the side's times after the answer. `guessed` is true if roles come
    from the recognition of voices, and not from channels.
    """

    call: str
    manager: str
    answered_at: int
    lead: str | None = None
    manager_channel: int = 0
    channel: int | None = None
    language: str | None = None
    offset_ms: Mapping[Role, int] = MappingProxyType({})
    guessed: bool = False
    more: bool = False

    def role(self, channel: int) -> Role:
        """Return the side of a channel. Raises UnreadableError for a third channel."""
        if channel not in (0, 1):
            raise UnreadableError("invalid_field", "the channel is neither 0 nor 1: whose speech it is is not known")
        return "manager" if channel == self.manager_channel else "customer"


class Asked:
    """The data of a leg beside the transcript.

    `parameters` are those of `PARAMETERS`. `manager` turns a name into the id of the roster. `received_at_ms` is the
    moment at which utterances came in; None for a file, whose utterances are dated by their own times.
    """

    def __init__(
        self,
        own: Recogniser,
        parameters: Mapping[str, str],
        manager: Callable[[str], str] = str,
        received_at_ms: int | None = None,
    ) -> None:
        self.own = own
        self.received_at_ms = received_at_ms
        self._parameters = parameters
        self._manager = manager

    def leg(self, said: Mapping[str, str] = _NO_MORE) -> Leg:
        """Return the leg. `said` has the transcript's own data; a parameter goes before it.

        Raises:
            UnreadableError: the call, the manager or the moment of the answer is missing, or a value cannot be read.
        """
        found = {name: value.strip() for name, value in {**said, **self._parameters}.items() if value.strip()}
        own = self.own
        for name in ("call", "manager", "answered_at"):
            if name not in found:
                raise UnreadableError("missing_field", f"`{name}` of the leg is missing")
        answered_at = _moment(found["answered_at"], "answered_at")
        zero = _moment(found["started_at"], "started_at") - answered_at if "started_at" in found else 0
        language = found.get("language") or own.language
        channel = _number(found, "channel", 0)
        return Leg(
            call=_name(found["call"], "call"),
            manager=_name(self._manager(found["manager"]), "manager"),
            answered_at=answered_at,
            lead=_name(found["lead"], "lead") if "lead" in found else None,
            manager_channel=_channel(_number(found, "manager_channel", own.manager_channel), "manager_channel"),
            channel=_channel(channel, "channel") if "channel" in found else None,
            language=tag(language),
            offset_ms={
                "manager": zero + _number(found, "manager_offset_ms", own.manager_delay_ms),
                "customer": zero + _number(found, "customer_offset_ms", own.customer_delay_ms),
            },
            guessed=found.get("roles", "") == "guessed",
            more=found.get("more", "").lower() in ("true", "1", "yes"),
        )


def tag(language: str | None) -> str | None:
    """Return a language as a tag of BCP 47, None for another value."""
    return language if language and len(language) <= 35 and _LANGUAGE.fullmatch(language) else None  # noqa: PLR2004 - the contract's limit


def _moment(value: str, name: str) -> int:
    form = "unix_ms" if _UNIX_MS.fullmatch(value) else "iso"
    try:
        return _TIMES[form].moment(value.replace(" ", "+") if form == "iso" and "T" in value else value)
    except TimeError as error:
        raise UnreadableError("invalid_time", f"`{name}` {error}") from None


_TIMES: Final = {"unix_ms": Times("unix_ms"), "iso": Times("iso")}


def _name(value: str, name: str) -> str:
    if len(value) > _LONGEST_NAME or not value.isprintable():
        raise UnreadableError("invalid_field", f"`{name}` is too long, or has control characters")
    return value


def _number(found: Mapping[str, str], name: str, otherwise: int) -> int:
    value = found.get(name)
    if value is None:
        return otherwise
    if _SIGNED.fullmatch(value) is None or abs(int(value)) > LONGEST_MS:
        raise UnreadableError("invalid_field", f"`{name}` is no whole number in its range")
    return int(value)


def _channel(value: int, name: str) -> int:
    if value not in (0, 1):
        raise UnreadableError("invalid_field", f"`{name}` is neither 0 nor 1")
    return value

"""The settings that map channels to managers, and their application.

A channel's name is `TECHNOLOGY/ENDPOINT-SERIAL`. At its end is a manager, an outside party (a customer, or another
person behind a trunk), or no person: a Local half, a recorder, a conference announcer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias

from msgspec import Meta, Struct

from streams.contract.events import QUEUE_PREFIX
from streams.phone_numbers import digest, has_number
from streams.sources.asterisk.access import AmiAccess
from streams.sources.asterisk.records.settings import CdrSettings, CelSettings, QueueLogSettings
from streams.sources.numbers import NumberRules, Numbers
from streams.sources.people import Heard, People, Person

Conflict: TypeAlias = tuple[tuple[str, ...], str]
"""The wrong fields (the first one names the problem), and the reason."""
Pattern: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]

_LONGEST_ID: Final = 64  # an event id holds it and the source, and has at most 128 characters
# `[system name-]second.serial`; a system name with a telephone number in it was set by hand. Digits among letters are
# none: containers are called like b6093874285e.
_UNIQUEID: Final = re.compile(r"(?:(?!(?:.*[^0-9A-Za-z])?\d{10,15}-)[\w.-]+-)?\d{9,10}\.\d{1,18}", re.ASCII)


class Rule(Struct, frozen=True, kw_only=True):
    r"""Channels whose `by` matches `pattern` (a whole match, case-insensitive) belong to `manager`.

    `manager` may use groups of the pattern (`\1`, `\g<name>`). The default is the matched text.

    - `endpoint`: the device, `150010001` of `SIP/150010001-00000002`. Also for trunks.
    - `account`: the channel's first AccountCode. Not for trunks, which inherit the caller's.
    - `extension`: the channel's own caller id number. Not for trunks.
    - `member`: MemberName or Interface of the queue member that was called.
    - `number`: the number that was dialled through a trunk: a manager's mobile.
    """

    by: Literal["endpoint", "account", "extension", "member", "number"]
    pattern: Pattern
    manager: Label = r"\g<0>"


class AsteriskMapping(Struct, frozen=True, kw_only=True):
    """Settings of the Asterisk source. Patterns are regular expressions that must match as a whole, in any case.

    The first matching rule names the manager, and after the rules the roster's identities do. Else a channel is an
    outside party if its endpoint matches `trunks`, its context matches `trunk_contexts`, or it was dialled with another
    number than its endpoint. Else it is the manager `manager_prefix` + endpoint if its endpoint matches `internal`, its
    context matches `internal_contexts`, or it is the device of a queue member. `unmapped` decides about the rest.
    """

    source: Annotated[str, Meta(min_length=1, max_length=32)] = "asterisk"
    rules: tuple[Rule, ...] = ()
    trunks: tuple[Pattern, ...] = (r".*(trunk|siproute|gateway|provider|carrier|sbc|pstn).*",)
    trunk_contexts: tuple[Pattern, ...] = (
        r"from-(trunk|pstn|did|external|analog|digital|dahdi|zaptel|isdn|provider|carrier).*",
        r"(incoming|inbound)([-_].*)?",
        r"(provider|carrier|pstn)[-_].*",
    )
    internal: Pattern = r"\d{2,9}"
    internal_contexts: tuple[Pattern, ...] = (r"(from-)?(internal|inside|phones|extensions|users).*",)
    manager_prefix: Annotated[str, Meta(max_length=32)] = ""
    unmapped: Literal["outside", "manager"] = "outside"
    outside_manager: Annotated[str, Meta(max_length=100)] = "outside"
    """The manager of calls that the PBX forwards to a number without a rule. Empty: no manager."""
    default_queue: Label = "inbound"
    """NAME of the pseudo-manager `queue:NAME` for unanswered calls outside any queue."""
    voicemail_apps: Pattern = r"(voicemail|voicemailmain|minivm.*|comedian.*)"
    region: Annotated[str, Meta(pattern="^[A-Z]{2}$")] | None = None
    """ISO 3166 country of numbers without a country code."""
    numbers: NumberRules = NumberRules()
    """The notation of customers' numbers at the PBX; its `region` is that of the mapping unless it has its own."""
    ami: AmiAccess = AmiAccess()
    cel: CelSettings = CelSettings()
    queue_log: QueueLogSettings = QueueLogSettings()
    cdr: CdrSettings = CdrSettings()

    def conflicts(self) -> Iterator[Conflict]:
        """Yield every unusable field with the reason."""
        for name in ("cel", "queue_log", "cdr"):
            for field, why in getattr(self, name).conflicts():
                yield (f"{name}.{field}",), why
        single = (("internal", self.internal), ("voicemail_apps", self.voicemail_apps))
        several = (
            ("trunks", self.trunks),
            ("trunk_contexts", self.trunk_contexts),
            ("internal_contexts", self.internal_contexts),
        )
        for field, pattern in (*single, *((name, pattern) for name, patterns in several for pattern in patterns)):
            if (wrong := _wrong(pattern)) is not None:
                yield (field,), wrong
        for place, rule in enumerate(self.rules):
            if (wrong := _wrong(rule.pattern)) is not None:
                yield (f"rules[{place}].pattern", "rules"), wrong
            elif (wrong := _wrong_template(rule)) is not None:
                yield (f"rules[{place}].manager", "rules"), wrong
        for field in ("default_queue", "outside_manager", "source"):
            if has_number(getattr(self, field)):
                yield (field,), "looks like a telephone number; these must not be published"


class ChannelEnd(NamedTuple):
    """The known facts about the far end of a channel. "" stands for unknown.

    `extension` is the channel's own caller id number, `number` the number that was dialled to reach it, and `member`
    the names of the queue member that it was called for. `is_line`: it was dialled with a number that is not its own,
    or was called by its own name, so it is a line to the outside and no telephone.
    """

    endpoint: str
    context: str = ""
    account: str = ""
    extension: str = ""
    number: str = ""
    member: tuple[str, ...] = ()
    is_line: bool = False


Role: TypeAlias = Literal["manager", "trunk", "outside"]


class Classified(NamedTuple):
    """The owner of a channel; `reason` names the setting that decided this."""

    role: Role
    manager: str | None
    reason: str


class Directory:
    """Applies a mapping. Holds compiled patterns and the secret of the keyed hash, no state of calls.

    `people` has the identities of the roster; without it, rules and patterns alone decide.
    """

    def __init__(self, mapping: AsteriskMapping, secret: bytes, people: People | None = None) -> None:
        """Raise ValueError if a pattern of the mapping cannot be used."""
        problems = [f"{fields[0]}: {why}" for fields, why in mapping.conflicts()]
        if problems:
            raise ValueError("; ".join(problems))
        self.mapping = mapping
        self.secret = secret
        self.numbers = Numbers(mapping.numbers, mapping.region)
        self._people = people
        self._rules = tuple((rule.by, _compile(rule.pattern), rule.manager) for rule in mapping.rules)
        self._trunks = tuple(map(_compile, mapping.trunks))
        self._contexts = tuple(map(_compile, mapping.trunk_contexts))
        self._internal = _compile(mapping.internal)
        self._internal_contexts = tuple(map(_compile, mapping.internal_contexts))
        self._voicemail = _compile(mapping.voicemail_apps)

    def classify(self, end: ChannelEnd) -> Classified:
        """Return the owner of the far end of a channel."""
        trunk = self._trunk_reason(end)
        for place, (by, pattern, template) in enumerate(self._rules):
            for value in _values(by, end, trunk=bool(trunk)):
                found = pattern.fullmatch(value) if value else None
                if found is not None:
                    return Classified("manager", _label(found.expand(template)), f"rules[{place}], by {by}")
        person = self._identified(*_heard(end, self.numbers.read(end.number) or "", trunk=bool(trunk)))
        if person is not None:
            return Classified("manager", _label(person.manager), f"identities, by {person.by}")
        if trunk:
            return Classified("trunk", None, trunk)
        reason = self._manager_reason(end)
        if reason:
            return Classified("manager", _label(self.mapping.manager_prefix + end.endpoint), reason)
        return Classified("outside", None, "no rule, no trunk, not internal")

    def _identified(self, *heard: Heard) -> Person | None:
        """Return the manager with one of these identities; the first of `heard` goes before the second."""
        if self._people is None:
            return None
        found = (self._people.identified(self.mapping.source, one) for one in heard)
        return next((person for person in found if person is not None), None)

    def _trunk_reason(self, end: ChannelEnd) -> str:
        if any(pattern.fullmatch(end.endpoint) for pattern in self._trunks):
            return "trunks"
        if any(pattern.fullmatch(end.context) for pattern in self._contexts):
            return f"trunk_contexts ({self.public(end.context)})"
        return "dialled with a number that is not its own" if end.is_line else ""

    def _manager_reason(self, end: ChannelEnd) -> str:
        if self._internal.fullmatch(end.endpoint):
            return "internal"
        if end.endpoint and not has_number(end.endpoint):
            if any(pattern.fullmatch(end.context) for pattern in self._internal_contexts):
                return f"internal_contexts ({self.public(end.context)})"
            if any(_device(name) == end.endpoint.casefold() for name in end.member):
                return "member of a queue"
        return 'unmapped = "manager"' if self.mapping.unmapped == "manager" else ""

    def member_manager(self, member: str, interface: str) -> str | None:
        """Return the manager of a queue member, for events that belong to no channel."""
        for by, pattern, template in self._rules:
            endpoint = interface.partition("/")[2].partition("@")[0]
            for value in (member, interface) if by == "member" else (endpoint,) if by == "endpoint" else ():
                found = pattern.fullmatch(value) if value else None
                if found is not None:
                    return _label(found.expand(template))
        endpoint = interface.partition("/")[2].partition("@")[0]
        person = self._identified(Heard(user=member, endpoint=endpoint, extension=endpoint))
        if person is not None:
            return _label(person.manager)
        if not endpoint or any(pattern.fullmatch(endpoint) for pattern in self._trunks):
            return None
        if self._internal.fullmatch(endpoint) or (_device(interface) and not has_number(endpoint)):
            return _label(self.mapping.manager_prefix + endpoint)
        return None

    def is_extension(self, number: str) -> bool:
        """Return whether a number is that of a telephone of the PBX."""
        return self._internal.fullmatch(number) is not None

    def is_voicemail(self, application: str) -> bool:
        """Return whether a dialplan application records a message."""
        return self._voicemail.fullmatch(application) is not None

    def queue_name(self, queue: str | None) -> str:
        """Return the pseudo-manager of a queue; None stands for calls that were in no queue."""
        return QUEUE_PREFIX + self.public(queue or self.mapping.default_queue)

    def public(self, name: str) -> str:
        """Return `name`, or its keyed hash if it could contain a telephone number."""
        return _label(digest(name, self.secret) if has_number(name) else name)

    def call_name(self, linkedid: str) -> str:
        """Return the name of a call. Asterisk's own ids pass; one that was set by hand could be a number."""
        if _UNIQUEID.fullmatch(linkedid) and len(linkedid) <= _LONGEST_ID:
            return linkedid
        return digest(linkedid, self.secret)


def _values(by: str, end: ChannelEnd, *, trunk: bool) -> tuple[str, ...]:
    """Return the values that a rule of this sort is matched with."""
    if by == "endpoint":
        return (end.endpoint,)
    if by == "member":
        return end.member
    if by == "number":
        return (end.number,) if trunk else ()
    if trunk:  # a trunk inherits the caller's account and number
        return ()
    return (end.account if by == "account" else end.extension,)


def _heard(end: ChannelEnd, number: str, *, trunk: bool) -> tuple[Heard, ...]:
    """Return the identities in a channel's names, the most reliable first.

    The user id of this source is the account.
    """
    if trunk:  # it inherits the caller's account and number
        return Heard(endpoint=end.endpoint), Heard(number=number)
    return Heard(endpoint=end.endpoint, extension=end.endpoint), Heard(extension=end.extension), Heard(user=end.account)


def _device(interface: str) -> str:
    """Return the endpoint of a queue member's interface, or "" if a number or the dialplan is dialled."""
    technology, _, endpoint = interface.partition("/")
    return "" if technology.casefold() in ("", "local", "agent") or "@" in endpoint else endpoint.casefold()


def _label(text: str) -> str:
    return (text or "unknown")[:100]


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _wrong(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except re.error as error:
        return f"is no regular expression: {error}"
    return None


def _wrong_template(rule: Rule) -> str | None:
    # A pattern with every group optional also matches nothing, so the template can be tried on it.
    pattern = re.compile(f"(?:{rule.pattern})?")
    found = pattern.match("")
    try:
        if found is not None:
            found.expand(rule.manager)
    except (re.error, IndexError) as error:
        return f"does not fit its pattern: {error}"
    return None

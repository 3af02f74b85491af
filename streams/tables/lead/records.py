"""The parts of a lead's state: legs, notes, deal changes, activities. All of them are immutable."""

from __future__ import annotations

from operator import attrgetter
from typing import Final, TypeAlias, final

from mypy_extensions import mypyc_attr

from streams.contract.events import KINDS_AND_UNKNOWN
from streams.contract.facts import ChangeRecord
from streams.tables.value import Plain

UNKNOWN_KIND: Final = KINDS_AND_UNKNOWN.index("unknown")
# A leg's flags in one small integer: the index of its kind in KINDS_AND_UNKNOWN, and three bits.
KIND_MASK: Final = 7
FLAG_OUTBOUND: Final = 8
FLAG_ANSWERED: Final = 16
FLAG_CONVERSATION: Final = 32

DELETED: Final = ""
"""The stage of a change by which a deal ceased to exist. No stage of an event is empty."""

LegRecord: TypeAlias = tuple[str, str, int, int, int, int, int, int]
TombstoneRecord: TypeAlias = tuple[str, str, int]
NoteRecord: TypeAlias = tuple[int, int, str, str, int, tuple[str, ...], str, bool, int]
DealChangeRecord: TypeAlias = ChangeRecord
DealVersionRecord: TypeAlias = tuple[int, int, str]
ActivityRecord: TypeAlias = tuple[int, str, str, str]
"""Records as they are stored: the attributes of a class, in order."""


@final
@mypyc_attr(acyclic=True)
class LeadLeg(Plain):
    """A finished leg of one call, as the lead keeps it.

    `day` is the manager's local day in which the leg ended. `at` and `started_at` are in ms, `talk_ms` is -1 if the
    talk time is unknown. `flags` holds the kind and the FLAG_ bits. `seq` is the position of the fact in its source:
    of two facts of the same leg (call, manager), the later one applies.
    """

    __slots__ = ("at", "call", "day", "flags", "manager", "seq", "started_at", "talk_ms")

    def __init__(
        self,
        call: str,
        manager: str,
        day: int,
        at: int,
        started_at: int,
        flags: int,
        talk_ms: int,
        seq: int,
    ) -> None:
        self.call = call
        self.manager = manager
        self.day = day
        self.at = at
        self.started_at = started_at
        self.flags = flags
        self.talk_ms = talk_ms
        self.seq = seq

    def packed(self) -> LegRecord:
        """Return the attributes as plain data; `LeadLeg(*packed)` restores the object."""
        return (
            self.call,
            self.manager,
            self.day,
            self.at,
            self.started_at,
            self.flags,
            self.talk_ms,
            self.seq,
        )


@final
@mypyc_attr(acyclic=True)
class Tombstone(Plain):
    """A leg that the fact at `seq` withdrew. Earlier facts of the same leg are ignored."""

    __slots__ = ("call", "manager", "seq")

    def __init__(
        self,
        call: str,
        manager: str,
        seq: int,
    ) -> None:
        self.call = call
        self.manager = manager
        self.seq = seq

    def packed(self) -> TombstoneRecord:
        """Return the attributes as plain data; `Tombstone(*packed)` restores the object."""
        return (
            self.call,
            self.manager,
            self.seq,
        )


@final
@mypyc_attr(acyclic=True)
class Note(Plain):
    """The latest annotation of a call. `manager` and `reason` are "" if the event has none.

    `stages` are stages of the settings, in the order of the funnel. `reason` is one of the settings or "other".
    `due_at` is the time of the agreed next step in ms, 0 if there is none.
    """

    __slots__ = ("agreed", "at", "due_at", "id", "kind", "manager", "reason", "revision", "stages")

    def __init__(  # noqa: PLR0913, PLR0917 - in storage order
        self,
        revision: int,
        at: int,
        id: str,  # noqa: A002 - the name of the field in events
        manager: str,
        kind: int,
        stages: tuple[str, ...],
        reason: str,
        agreed: bool,
        due_at: int,
    ) -> None:
        self.revision = revision
        self.at = at
        self.id = id
        self.manager = manager
        self.kind = kind
        self.stages = stages
        self.reason = reason
        self.agreed = agreed
        self.due_at = due_at

    def packed(self) -> NoteRecord:
        """Return the attributes as plain data; `Note(*packed)` restores the object."""
        return (
            self.revision,
            self.at,
            self.id,
            self.manager,
            self.kind,
            self.stages,
            self.reason,
            self.agreed,
            self.due_at,
        )


@final
@mypyc_attr(acyclic=True)
class DealChange(Plain):
    """A deal entered `stage` ("other" if the settings do not name it), or ceased to exist (`DELETED`).

    `amount` is in thousandths of the currency.
    """

    __slots__ = ("amount", "at", "channel", "client_type", "currency", "id", "manager", "product", "stage")

    def __init__(  # noqa: PLR0913, PLR0917 - in storage order
        self,
        at: int,
        id: str,  # noqa: A002 - the name of the field in events
        stage: str,
        manager: str | None = None,
        amount: int | None = None,
        currency: str | None = None,
        product: str | None = None,
        channel: str | None = None,
        client_type: str | None = None,
    ) -> None:
        self.at = at
        self.id = id
        self.stage = stage
        self.manager = manager
        self.amount = amount
        self.currency = currency
        self.product = product
        self.channel = channel
        self.client_type = client_type

    def packed(self) -> DealChangeRecord:
        """Return the attributes as plain data; `DealChange(*packed)` restores the object."""
        return (
            self.at,
            self.id,
            self.stage,
            self.manager,
            self.amount,
            self.currency,
            self.product,
            self.channel,
            self.client_type,
        )


@final
@mypyc_attr(acyclic=True)
class DealVersion(Plain):
    """The version of the fact about a deal that the lead's row holds: `version` of `streams.contract.facts.Deal`.

    `floor_at` and `floor_id` are the `event_order` of the newest change that retention dropped, 0 and "" if it dropped
    none. The changes up to it come with each fact again, and must not count again.
    """

    __slots__ = ("floor_at", "floor_id", "version")

    def __init__(self, version: int, floor_at: int = 0, floor_id: str = "") -> None:
        self.version = version
        self.floor_at = floor_at
        self.floor_id = floor_id

    def packed(self) -> DealVersionRecord:
        """Return the attributes as plain data; `DealVersion(*packed)` restores the object."""
        return self.version, self.floor_at, self.floor_id

    def admits(self, change: DealChange) -> bool:
        """Return whether a change is newer than all that retention dropped."""
        return (change.at, change.id) > (self.floor_at, self.floor_id)


@final
@mypyc_attr(acyclic=True)
class Activity(Plain):
    """A contact with the lead other than a call. `manager` is "" if the event names none."""

    __slots__ = ("at", "channel", "id", "manager")

    def __init__(
        self,
        at: int,
        id: str,  # noqa: A002 - the name of the field in events
        channel: str,
        manager: str,
    ) -> None:
        self.at = at
        self.id = id
        self.channel = channel
        self.manager = manager

    def packed(self) -> ActivityRecord:
        """Return the attributes as plain data; `Activity(*packed)` restores the object."""
        return (
            self.at,
            self.id,
            self.channel,
            self.manager,
        )


def newest_day(legs: list[LeadLeg]) -> int:
    """Return the newest local day of `legs`, which must not be empty."""
    newest = legs[0].day
    for leg in legs:
        newest = max(newest, leg.day)
    return newest


def start_order(leg: LeadLeg) -> tuple[int, str, str]:
    """Return the key by which legs are ordered by their start, with a tie-break."""
    return leg.started_at, leg.call, leg.manager


def end_order(leg: LeadLeg) -> tuple[int, str, str]:
    """Return the key by which legs are ordered by their end, with a tie-break."""
    return leg.at, leg.call, leg.manager


event_order: Final = attrgetter("at", "id")
note_version: Final = attrgetter("revision", "at", "id")

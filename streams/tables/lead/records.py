"""What a lead's state is made of: legs, notes, changes of deals, activities. None of them ever changes."""

from __future__ import annotations

from operator import attrgetter
from typing import Final, TypeAlias, final

from mypy_extensions import mypyc_attr

from streams.contract import events
from streams.tables.value import Plain

KINDS: Final[tuple[str, ...]] = (*events.KINDS, "unknown")
UNKNOWN: Final = KINDS.index("unknown")
# A leg's flags in one small integer: the place of its kind in KINDS, and three bits.
KIND: Final = 7
OUTBOUND: Final = 8
ANSWERED: Final = 16
CONVERSATION: Final = 32

LegRecord: TypeAlias = tuple[str, str, int, int, int, int, int, int]
GoneRecord: TypeAlias = tuple[str, str, int]
NoteRecord: TypeAlias = tuple[int, int, str, str, int, tuple[str, ...], str, bool, int]
ChangeRecord: TypeAlias = tuple[int, str, str, str | None, int | None, str | None, str | None, str | None, str | None]
ActivityRecord: TypeAlias = tuple[int, str, str, str]
"""Parts as they are written: their attributes in their order."""


@final
@mypyc_attr(acyclic=True)
class Leg(Plain):
    """A finished leg. `day` is the local day of its manager in which it ended, `talk_ms` is -1 where it is not known.

    `seq` is the place of the fact in its source: of two facts of the same leg (call, manager) the later one holds.
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
        """Return all of it as plain data; `Leg(*packed)` is the same again."""
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
class Gone(Plain):
    """A leg that was withdrawn by the fact at `seq`: earlier facts of it say nothing any more."""

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

    def packed(self) -> GoneRecord:
        """Return all of it as plain data; `Gone(*packed)` is the same again."""
        return (
            self.call,
            self.manager,
            self.seq,
        )


@final
@mypyc_attr(acyclic=True)
class Note(Plain):
    """What was said of a call. `manager` is "" where nobody was named, `reason` where none was given.

    `stages` are known and ranked, `reason` is one of the settings or "other", `due_at` is 0 without an agreed next step
    that has a moment.
    """

    __slots__ = ("agreed", "at", "due_at", "id", "kind", "manager", "reason", "revision", "stages")

    def __init__(  # noqa: PLR0913, PLR0917 - in the order in which they are written
        self,
        revision: int,
        at: int,
        id: str,  # noqa: A002 - what events call it
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
        """Return all of it as plain data; `Note(*packed)` is the same again."""
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
class Change(Plain):
    """A deal came to `stage` ("other" for one that is not of the settings). `amount` is in thousandths."""

    __slots__ = ("amount", "at", "channel", "client_type", "currency", "id", "manager", "product", "stage")

    def __init__(  # noqa: PLR0913, PLR0917 - in the order in which they are written
        self,
        at: int,
        id: str,  # noqa: A002 - what events call it
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

    def packed(self) -> ChangeRecord:
        """Return all of it as plain data; `Change(*packed)` is the same again."""
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
class Activity(Plain):
    """The lead was reached by something other than a call. `manager` is "" where nobody was named."""

    __slots__ = ("at", "channel", "id", "manager")

    def __init__(
        self,
        at: int,
        id: str,  # noqa: A002 - what events call it
        channel: str,
        manager: str,
    ) -> None:
        self.at = at
        self.id = id
        self.channel = channel
        self.manager = manager

    def packed(self) -> ActivityRecord:
        """Return all of it as plain data; `Activity(*packed)` is the same again."""
        return (
            self.at,
            self.id,
            self.channel,
            self.manager,
        )


def newest_day(legs: list[Leg]) -> int:
    """Return the newest local day of any of `legs`, of which there must be one."""
    newest = legs[0].day
    for leg in legs:
        newest = max(newest, leg.day)
    return newest


def begun(leg: Leg) -> tuple[int, str, str]:
    """Return what orders legs: which began first, and a rule for those that began at once."""
    return leg.started_at, leg.call, leg.manager


def ended(leg: Leg) -> tuple[int, str, str]:
    """Return what orders what was said in legs: which ended first."""
    return leg.at, leg.call, leg.manager


moment: Final = attrgetter("at", "id")
rank_of: Final = attrgetter("revision", "at", "id")

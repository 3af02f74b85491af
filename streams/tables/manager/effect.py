"""What folding an event into a manager's row did, and what others must be told because of it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, final

from mypy_extensions import mypyc_attr

from streams.contract.events import CallAnswered, CallStarted
from streams.tables.manager.legs import Finished

Outcome: TypeAlias = Literal["applied", "late", "duplicate", "too_late"]


@final
@mypyc_attr(acyclic=True)
class Leave:
    """A finished leg that the lead must hear of, or must forget (`withdrawn`)."""

    __slots__ = ("call", "finished", "withdrawn")

    def __init__(self, call: str, finished: Finished, *, withdrawn: bool) -> None:
        self.call = call
        self.finished = finished
        self.withdrawn = withdrawn

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Leave)
            and (self.call, self.withdrawn) == (other.call, other.withdrawn)
            and self.finished == other.finished
        )

    def __hash__(self) -> int:
        return hash((self.call, self.finished, self.withdrawn))


Told: TypeAlias = Leave | CallStarted | CallAnswered


@final
@mypyc_attr(acyclic=True)
class Effect:
    """What folding an event did: `outcome`, and what must be told to others because of it."""

    __slots__ = ("outcome", "told")

    def __init__(self, outcome: Outcome, told: tuple[Told, ...] = ()) -> None:
        self.outcome: Outcome = outcome
        self.told = told

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Effect) and self.outcome == other.outcome and self.told == other.told

    def __hash__(self) -> int:
        return hash((self.outcome, self.told))

    def __repr__(self) -> str:
        return f"Effect({self.outcome!r}, {self.told!r})"


APPLIED: Final = Effect("applied")
LATE: Final = Effect("late")
DUPLICATE: Final = Effect("duplicate")
TOO_LATE: Final = Effect("too_late")
NOTHING: Final[tuple[Told, ...]] = ()

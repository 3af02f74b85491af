"""The effect of folding an event into a manager's row: the outcome, and the emitted events and facts."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, final

from mypy_extensions import mypyc_attr

from streams.contract.events import CallAnswered, CallStarted
from streams.tables.manager.legs import Finished

Outcome: TypeAlias = Literal["applied", "late", "duplicate", "too_late"]


@final
@mypyc_attr(acyclic=True)
class LegChange:
    """A finished leg that now counts, or with `withdrawn` no longer counts.

    With a lead it becomes a `Contact`; an answered one becomes a `SpokenLeg` too. One that is neither is not emitted.
    """

    __slots__ = ("call", "finished", "withdrawn")

    def __init__(self, call: str, finished: Finished, *, withdrawn: bool) -> None:
        self.call = call
        self.finished = finished
        self.withdrawn = withdrawn

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LegChange)
            and (self.call, self.withdrawn) == (other.call, other.withdrawn)
            and self.finished == other.finished
        )

    def __hash__(self) -> int:
        return hash((self.call, self.finished, self.withdrawn))


Emitted: TypeAlias = LegChange | CallStarted | CallAnswered
"""A leg change goes to the lead, an event goes back to `calls`."""


@final
@mypyc_attr(acyclic=True)
class ManagerEffect:
    """The result of folding an event: `outcome`, and the events and facts for other rows."""

    __slots__ = ("emitted", "outcome")

    def __init__(self, outcome: Outcome, emitted: tuple[Emitted, ...] = ()) -> None:
        self.outcome: Outcome = outcome
        self.emitted = emitted

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ManagerEffect) and self.outcome == other.outcome and self.emitted == other.emitted

    def __hash__(self) -> int:
        return hash((self.outcome, self.emitted))

    def __repr__(self) -> str:
        return f"ManagerEffect({self.outcome!r}, {self.emitted!r})"


APPLIED: Final = ManagerEffect("applied")
LATE: Final = ManagerEffect("late")
DUPLICATE: Final = ManagerEffect("duplicate")
TOO_LATE: Final = ManagerEffect("too_late")
NOTHING: Final[tuple[Emitted, ...]] = ()

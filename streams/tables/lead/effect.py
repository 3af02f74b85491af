"""The effect of folding a fact into a lead's row: the outcome, and the facts to be emitted."""

from __future__ import annotations

from typing import Final, Literal, final

from mypy_extensions import mypyc_attr

from streams.contract.events import Rejection
from streams.contract.facts import Deal, Forgotten, Forwarded, Linked, Moved
from streams.tables.lead.deltas import ManagerDelta


@final
@mypyc_attr(acyclic=True)
class LeadEffect:
    """The effect of a fact on the row of a lead.

    `deltas` are for the outcome rows of managers, one per manager. `facts` are for the rows of other leads. A fact that
    is rejected, or a duplicate, changed nothing. `folded` names the fields whose values were replaced by "other" or do
    not count. `link_ignored` is true if the fact links a lead that was linked to another lead before.
    """

    __slots__ = ("deltas", "facts", "folded", "link_ignored", "outcome", "rejection")

    def __init__(
        self,
        outcome: Literal["applied", "duplicate", "rejected"],
        deltas: tuple[ManagerDelta, ...] = (),
        facts: tuple[Linked | Moved | Forwarded | Deal | Forgotten, ...] = (),
        rejection: Rejection | None = None,
        folded: tuple[str, ...] = (),
        *,
        link_ignored: bool = False,
    ) -> None:
        self.outcome: Literal["applied", "duplicate", "rejected"] = outcome
        self.deltas = deltas
        self.facts = facts
        self.rejection = rejection
        self.folded = folded
        self.link_ignored = link_ignored

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LeadEffect)
            and (self.outcome, self.deltas, self.facts) == (other.outcome, other.deltas, other.facts)
            and (self.rejection, self.folded) == (other.rejection, other.folded)
            and self.link_ignored == other.link_ignored
        )

    __hash__ = None  # type: ignore[assignment]  # deltas hold dictionaries

    def __repr__(self) -> str:
        return f"LeadEffect({self.outcome!r}, {self.deltas!r}, {self.facts!r}, {self.rejection!r}, {self.folded!r})"


APPLIED: Final = LeadEffect("applied")
DUPLICATE: Final = LeadEffect("duplicate")

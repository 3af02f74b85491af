"""What folding a fact into a lead's row did, and what others must be told because of it."""

from __future__ import annotations

from typing import Literal, final

from mypy_extensions import mypyc_attr

from streams.contract.events import Rejection
from streams.contract.facts import Forwarded, Linked, Moved
from streams.tables.lead.deltas import Told


@final
@mypyc_attr(acyclic=True)
class LeadEffect:
    """What folding a fact did.

    `told` is for managers, one entry each; `sent` are facts for the rows of other leads. A fact that is rejected, or a
    duplicate, changed nothing. `folded` names the fields whose values were taken as "other" or left out; `link_ignored`
    is set where a lead that was linked before was linked to yet another.
    """

    __slots__ = ("folded", "link_ignored", "outcome", "rejection", "sent", "told")

    def __init__(
        self,
        outcome: Literal["applied", "duplicate", "rejected"],
        told: tuple[Told, ...] = (),
        sent: tuple[Linked | Moved | Forwarded, ...] = (),
        rejection: Rejection | None = None,
        folded: tuple[str, ...] = (),
        *,
        link_ignored: bool = False,
    ) -> None:
        self.outcome: Literal["applied", "duplicate", "rejected"] = outcome
        self.told = told
        self.sent = sent
        self.rejection = rejection
        self.folded = folded
        self.link_ignored = link_ignored

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LeadEffect)
            and (self.outcome, self.told, self.sent) == (other.outcome, other.told, other.sent)
            and (self.rejection, self.folded) == (other.rejection, other.folded)
            and self.link_ignored == other.link_ignored
        )

    __hash__ = None  # type: ignore[assignment]  # what is told holds dictionaries

    def __repr__(self) -> str:
        return f"LeadEffect({self.outcome!r}, {self.told!r}, {self.sent!r}, {self.rejection!r}, {self.folded!r})"

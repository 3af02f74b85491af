"""The components of `contributions` that each kind of change can affect.

A change is folded by computing these components before and after it. A component that is missing here is a wrong
figure; tests compare every change with the difference of all components.
"""

from __future__ import annotations

from typing import Final

from streams.tables.lead import contributions
from streams.tables.lead.contributions import Component
from streams.tables.lead.records import KIND_MASK, UNKNOWN_KIND, LeadLeg, Note, end_order
from streams.tables.lead.summary import LeadSummary

BY_CONSULTATION: Final[tuple[Component, ...]] = (contributions.streaks,)
BY_ACTIVITY: Final[tuple[Component, ...]] = (contributions.promises, contributions.activities)
BY_FIRST_LEG: Final[tuple[Component, ...]] = (*contributions.CURRENT, contributions.legs)


def by_deal(summary: LeadSummary) -> tuple[Component, ...]:
    """Return the components that a change of a deal can affect."""
    components = (
        contributions.days,
        contributions.streaks,
        contributions.stages,
        contributions.reach,
        contributions.deals,
    )
    return (*components, contributions.notes) if summary.noted else components


def by_hand_over(summary: LeadSummary) -> tuple[Component, ...]:
    """Return the components that a new owner can affect, by a leg without a note that started last."""
    components: list[Component] = [*contributions.CURRENT]
    if summary.noted:
        components.append(contributions.promises)
    if summary.deals:
        components.append(contributions.deals)
    if summary.state.activities:
        components.append(contributions.activities)
    return tuple(components)


def by_note(summary: LeadSummary, call: str, note: Note, old: Note | None) -> tuple[Component, ...]:
    """Return the components that a note on a call can affect; `old` is the note that it replaces."""
    versions = (note,) if old is None else (old, note)
    legs = [leg for leg in summary.legs if leg.call == call]
    first = summary.first
    gives_first_kind = first is not None and first.call == call and first.flags & KIND_MASK == UNKNOWN_KIND
    has_stages = any(version.stages for version in versions)
    components: list[Component] = []
    if gives_first_kind or (has_stages and not _end_last(summary, legs)):
        components.append(contributions.notes)
    else:
        components.append(lambda summary, policy: contributions.notes(summary, policy, call))
    if any(leg.flags & KIND_MASK == UNKNOWN_KIND for leg in legs):
        components.append(contributions.legs)
    if has_stages or any(version.agreed for version in versions):
        components.append(contributions.streaks)
    if gives_first_kind:
        components.append(contributions.given)
    if has_stages:
        components.append(contributions.reach)
    if any(version.due_at for version in versions):
        components.append(lambda summary, policy: contributions.promises(summary, policy, call))
    if gives_first_kind and summary.deals:
        components.append(contributions.deals)
    return tuple(components)


def _end_last(summary: LeadSummary, legs: list[LeadLeg]) -> bool:
    """Return whether `legs` ended after all legs that have a note."""
    noted = summary.noted
    return not noted or all(end_order(leg) > end_order(noted[-1][0]) for leg in legs)

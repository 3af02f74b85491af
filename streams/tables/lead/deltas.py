"""The deltas of a change: the contributions of a lead after it minus those before it.

    difference = Difference(lead, summary, policy)
    difference.before(components)
    ...                                     # change the state, bring the summary up to date
    difference.after(components, summary)
    deltas = difference.deltas()

`components` are those that the change can affect (`affected`). Tests compare the result with the difference of all
contributions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, final

from mypy_extensions import mypyc_attr

from streams.contract.facts import Attention
from streams.tables.lead import contributions
from streams.tables.lead.contributions import Component, Entry
from streams.tables.lead.policy import LeadPolicy
from streams.tables.lead.summary import LeadSummary

Changes: TypeAlias = tuple[tuple[str, int, int], ...]
"""(measure, day, difference)."""
Listing: TypeAlias = dict[str, Attention | None]
"""By lead, its entry in the list of leads that need help; None removes it."""
ManagerDelta: TypeAlias = tuple[str, Changes, Listing]
"""A manager, and `Outcome.changes` and `Outcome.attention` for that manager."""
Listed: TypeAlias = tuple[str, Attention | None]
"""The owner of the lead, and the lead's entry in that manager's list."""
ChangeList: TypeAlias = list[tuple[str, int, int]]


@final
@mypyc_attr(acyclic=True)
class Difference:
    """Collects the contributions before and after a change of one lead. Made before the change."""

    __slots__ = ("_counts", "_lead", "_policy", "_summary", "_was_listed")

    def __init__(self, lead: str, summary: LeadSummary, policy: LeadPolicy) -> None:
        self._lead = lead
        self._summary = summary
        self._policy = policy
        self._counts: dict[tuple[str, str, int], int] = {}
        self._was_listed: Listed = (summary.owner, contributions.attention(summary, policy))

    def before(self, components: Iterable[Component]) -> None:
        """Subtract the contributions before the change."""
        self._add(components, -1)

    def after(self, components: Iterable[Component], summary: LeadSummary) -> None:
        """Add the contributions after the change; `summary` is that of the changed lead."""
        self._summary = summary
        self._add(components, 1)

    def add(self, entries: Iterable[Entry]) -> None:
        """Add single contributions that the change brings."""
        counts = self._counts
        for manager, measure, day, n, _, _ in entries:
            key = (manager, measure, day)
            counts[key] = counts.get(key, 0) + n

    def deltas(self) -> tuple[ManagerDelta, ...]:
        """Return the deltas, one per manager, with the new entry of the lead in the list if it changed."""
        by_manager: dict[str, ChangeList] = {}
        for (manager, measure, day), n in self._counts.items():
            if n:
                changes = by_manager.get(manager)
                if changes is None:
                    by_manager[manager] = [(measure, day, n)]
                else:
                    changes.append((measure, day, n))
        summary = self._summary
        listed = (summary.owner, contributions.attention(summary, self._policy))
        return deltas_of(by_manager, self._lead, self._was_listed, listed)

    def _add(self, components: Iterable[Component], sign: int) -> None:
        counts = self._counts
        summary, policy = self._summary, self._policy
        for component in components:
            for manager, measure, day, n, _, _ in component(summary, policy):
                key = (manager, measure, day)
                counts[key] = counts.get(key, 0) + sign * n


def deltas_of(by_manager: dict[str, ChangeList], lead: str, was: Listed, now: Listed) -> tuple[ManagerDelta, ...]:
    """Return the deltas of `by_manager`, with the changes of lists from `was` to `now`."""
    if was == now or (was[1] is None and now[1] is None):
        return tuple([(manager, tuple(changes), {}) for manager, changes in by_manager.items()])
    listings: dict[str, Listing] = {}
    if was[0] != now[0] and was[1] is not None:
        listings[was[0]] = {lead: None}
    if now[1] is not None or was[0] == now[0]:
        listings[now[0]] = {lead: now[1]}
    for manager in listings:
        by_manager.setdefault(manager, [])
    return tuple([(manager, tuple(changes), listings.get(manager, {})) for manager, changes in by_manager.items()])


def merged(first: tuple[ManagerDelta, ...], then: tuple[ManagerDelta, ...]) -> tuple[ManagerDelta, ...]:
    """Return the deltas of two changes that one record made, one per manager."""
    if not first or not then:
        return first or then
    counts: dict[str, dict[tuple[str, int], int]] = {}
    listings: dict[str, Listing] = {}
    for manager, changes, listing in (*first, *then):
        of_manager = counts.setdefault(manager, {})
        for measure, day, n in changes:
            of_manager[measure, day] = of_manager.get((measure, day), 0) + n
        listings[manager] = listings.get(manager, {}) | listing
    return tuple(
        (manager, changed, listings[manager])
        for manager, of_manager in counts.items()
        if (changed := tuple((measure, day, n) for (measure, day), n in of_manager.items() if n)) or listings[manager]
    )

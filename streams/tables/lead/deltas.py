"""What is told when a lead changes: the claims after it less the claims before it, by the shortest way there is.

A fact can change few claims. Which components of `contributions` it may touch is written out here, and in `fast_append`
for the most frequent fact; tests hold all of it against the plain difference of all claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias, final

from mypy_extensions import mypyc_attr

from streams.contract.facts import Attention
from streams.tables.lead import contributions as of
from streams.tables.lead.contributions import Component, Raw
from streams.tables.lead.records import KIND, UNKNOWN, Leg, Note, ended
from streams.tables.lead.summary import Rules, Story

Changes: TypeAlias = tuple[tuple[str, int, int], ...]
"""(measure, day, difference), for `windows.Steps`."""
Listing: TypeAlias = dict[str, Attention | None]
Told: TypeAlias = tuple[str, Changes, Listing]
"""A manager, and what goes into `Outcome.changes` and `Outcome.attention` for that manager."""

Steps: TypeAlias = list[tuple[str, int, int]]


@final
@mypyc_attr(acyclic=True)
class Difference:
    """The claims that a change of a lead makes and takes back: first `before` it, then `after` it, then `told`."""

    __slots__ = ("_counts", "_lead", "_listed", "_owner", "_rules", "_story")

    def __init__(self, lead: str, story: Story, rules: Rules) -> None:
        self._lead = lead
        self._story = story
        self._rules = rules
        self._counts: dict[tuple[str, str, int], int] = {}
        self._owner = story.owner
        self._listed = of.attention(story, rules)

    def before(self, components: Iterable[Component]) -> None:
        """Note what is claimed before the change."""
        self._add(components, self._story, -1)

    def after(self, components: Iterable[Component], story: Story) -> None:
        """Note what is claimed after the change, of which `story` tells."""
        self._story = story
        self._add(components, story, 1)

    def add(self, claims: Iterable[Raw]) -> None:
        """Note claims that come."""
        counts = self._counts
        for manager, measure, day, n, _, _ in claims:
            key = (manager, measure, day)
            counts[key] = counts.get(key, 0) + n

    def told(self) -> tuple[Told, ...]:
        """Return what each manager is told: the differences, and how the lead is listed from now on if that changed."""
        by_manager: dict[str, Steps] = {}
        for (manager, measure, day), n in self._counts.items():
            if n:
                steps = by_manager.get(manager)
                if steps is None:
                    by_manager[manager] = [(measure, day, n)]
                else:
                    steps.append((measure, day, n))
        owner, listed = self._story.owner, of.attention(self._story, self._rules)
        return told(by_manager, self._lead, (self._owner, self._listed), (owner, listed))

    def _add(self, components: Iterable[Component], story: Story, sign: int) -> None:
        counts = self._counts
        for component in components:
            for manager, measure, day, n, _, _ in component(story, self._rules):
                key = (manager, measure, day)
                counts[key] = counts.get(key, 0) + sign * n


def told(
    by_manager: dict[str, Steps],
    lead: str,
    was: tuple[str, Attention | None],
    now: tuple[str, Attention | None],
) -> tuple[Told, ...]:
    """Return what each manager is told. `was` and `now` say who has the lead, and how it is listed for that manager."""
    if was == now or (was[1] is None and now[1] is None):
        return tuple([(manager, tuple(steps), {}) for manager, steps in by_manager.items()])
    listings: dict[str, Listing] = {}
    if was[0] != now[0] and was[1] is not None:
        listings[was[0]] = {lead: None}
    if now[1] is not None or was[0] == now[0]:
        listings[now[0]] = {lead: now[1]}
    for manager in listings:
        by_manager.setdefault(manager, [])
    return tuple([(manager, tuple(steps), listings.get(manager, {})) for manager, steps in by_manager.items()])


def merged(first: tuple[Told, ...], then: tuple[Told, ...]) -> tuple[Told, ...]:
    """Return what is told where a record tells twice: one entry a manager."""
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
        (manager, steps, listings[manager])
        for manager, of_manager in counts.items()
        if (steps := tuple((measure, day, n) for (measure, day), n in of_manager.items() if n)) or listings[manager]
    )


def changed(
    lead: str, story: Story, rules: Rules, components: tuple[Component, ...], apply: Callable[[], Story]
) -> tuple[Told, ...]:
    """Make a change by `apply`, which returns the story after it and can touch claims of `components` alone."""
    difference = Difference(lead, story, rules)
    difference.before(components)
    difference.after(components, apply())
    return difference.told()


# -- legs


def add_note(
    lead: str, story: Story, rules: Rules, call: str, note: Note, old: Note | None, apply: Callable[[], object]
) -> tuple[Told, ...]:
    """Add by `apply` what was noted of a call, instead of the `old` note if there is one."""
    versions = (note,) if old is None else (old, note)
    of_call = [leg for leg in story.legs if leg.call == call]
    first = story.first
    components: list[Component] = []
    names_first = first is not None and first.call == call and first.flags & KIND == UNKNOWN
    if names_first or (any(version.stages for version in versions) and not _is_last(story, of_call)):
        components.append(of.said)
    else:
        components.append(lambda story, rules: of.said(story, rules, call))
    if any(leg.flags & KIND == UNKNOWN for leg in of_call):
        components.append(of.legs)
    if any(version.stages or version.agreed for version in versions):
        components.append(of.streaks)
    if names_first:
        components.append(of.given)
    if any(version.stages for version in versions):
        components.append(of.reach)
    if any(version.due_at for version in versions):
        components.append(lambda story, rules: of.promises(story, rules, call))
    if names_first and story.deals:
        components.append(of.deals)

    def change() -> Story:
        apply()
        story.tell_notes()
        return story

    return changed(lead, story, rules, tuple(components), change)


def _is_last(story: Story, legs: list[Leg]) -> bool:
    """Tell whether legs ended after all that anything was noted of."""
    noted = story.noted
    return not noted or all(ended(leg) > ended(noted[-1][0]) for leg in legs)


_OF_LEGS: Final[tuple[Component, ...]] = (of.days, *of.NOW, of.legs)


def add_first(lead: str, story: Story, rules: Rules, leg: Leg) -> tuple[Told, ...]:
    """Add the first leg of a lead of which nothing else is known: there is nothing to take back."""
    story.legs.append(leg)
    story.tell_legs()
    owner = leg.manager
    steps = [(measure, day, n) for part in _OF_LEGS for _, measure, day, n, _, _ in part(story, rules)]
    return told({owner: steps}, lead, (owner, None), (owner, of.attention(story, rules)))


def add_hand_over(lead: str, story: Story, rules: Rules, leg: Leg) -> tuple[Told, ...]:
    """Add a leg that began last and was not noted: the lead changes hands."""
    components: list[Component] = [of.days, *of.NOW]
    if story.noted:
        components.append(of.promises)
    if story.deals:
        components.append(of.deals)
    if story.state.activities:
        components.append(of.touches)
    difference = Difference(lead, story, rules)
    difference.before(components)
    story.legs.append(leg)
    story.tell_legs()
    difference.after(components, story)
    difference.add(of.one_leg(leg, leg.flags & KIND, rules))
    return difference.told()

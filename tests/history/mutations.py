"""Faults in the messages of a system: lost, doubled, late, or in another order, as far as the system allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from streams.simulator.rendering import ami
from streams.simulator.rendering.pbx_facts import PbxFact

AT_ONCE_US = 2_000
_ROUNDS = 3


def frames(facts: Iterable[PbxFact]) -> list[bytes]:
    """Return the messages of the interface."""
    return [ami.frame(headers) for fact in facts for headers in ami.events(fact)]


def reordered(facts: Sequence[PbxFact], random: Random) -> list[PbxFact]:
    """Return facts of which some of one moment have changed places.

    The order of one channel is kept, as Asterisk promises. So is cause and effect: a channel begins after the one that
    dials it. Members of queues keep their order.
    """
    found = list(facts)
    for _ in range(_ROUNDS):
        for place in range(1, len(found)):
            one, two = found[place - 1 : place + 1]
            if two.at_us - one.at_us <= AT_ONCE_US and not _bound(one) & _bound(two) and random.random() < 0.5:
                found[place - 1 : place + 1] = two, one
    return found


def _bound(fact: PbxFact) -> set[str]:
    bound = {fact.channel.uid, *(other.uid for other in fact.others.values())}
    if fact.what == "new":
        bound.add(fact.channel.linkedid)
    return bound

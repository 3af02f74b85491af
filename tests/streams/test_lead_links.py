"""An unknown caller becomes a lead: earlier and later facts of the old key belong to the new lead."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.contract import facts
from streams.contract.events import DealDeleted, DealStageChanged, LeadLinked
from streams.contract.facts import MAX_HOPS, SLOTS, Contact, ContactsFact, Forwarded, Linked, Moved, deal_key
from streams.tables.lead.fold import refusal
from streams.tables.lead.row import LeadRow, dump
from tests.examples import examples
from tests.streams.lead_cases import (
    DAY,
    FOLD,
    HOUR,
    NOON,
    Lead,
    Received,
    Said,
    consulted,
    dial,
    fold_crm,
    histories,
    in_order_of_their_sources,
    leg,
    note,
    stage,
    touched,
)

PARTITIONS = 2


def link(old_key: str, lead: str, at: int = NOON) -> LeadLinked:
    return LeadLinked(v=1, id=f"{old_key}-{lead}", at=at, source="crm", lead=lead, old_key=old_key)


def place(lead: str) -> int:
    return sum(lead.encode()) % PARTITIONS


class Worker:
    """The leads agent of a partition of topic `contacts`, and the rows as they were at its last checkpoint."""

    def __init__(self, number: int) -> None:
        self.src = f"contacts/{number}"
        self.log: list[ContactsFact] = []
        self.rows: dict[str, LeadRow] = {}
        self.offset = 0
        self.kept: tuple[int, dict[str, bytes]] = (0, {})

    def checkpoint(self) -> None:
        self.kept = self.offset, {lead: dump(row) for lead, row in self.rows.items()}

    def crash(self) -> None:
        """Lose all rows since the checkpoint, but not the sent facts."""
        self.offset, rows = self.kept
        self.rows = {lead: LeadRow(value) for lead, value in rows.items()}


class Leads:
    """The topic `contacts` with its agents. Deltas to a manager pass the same check for duplicates."""

    def __init__(self) -> None:
        self.workers = [Worker(number) for number in range(PARTITIONS)]
        self.received = Received()
        self.positions: dict[tuple[str, str], int] = {}
        self.sent = 0
        self.ignored = 0

    def send(self, fact: ContactsFact) -> None:
        # Over the wire, as all facts come.
        self.workers[place(fact.lead)].log.append(facts.contacts_decoder.decode(facts.encode(fact)))

    def say(self, *said: Said) -> Leads:
        """Send the events through the agents of calls and of the CRM."""
        for fact in said:
            self.sent += 1
            if isinstance(fact, Contact):
                self.send(fact)
            else:
                to = deal_key(fact.source, fact.deal) if isinstance(fact, DealStageChanged | DealDeleted) else fact.lead
                self.send(Forwarded(src=f"crm/{place(fact.lead)}", seq=self.sent * SLOTS, lead=to, event=fact))
        return self

    def step(self, worker: Worker) -> None:
        fact = worker.log[worker.offset]
        seq = worker.offset * SLOTS
        worker.offset += 1
        effect = FOLD.contact(worker.rows.setdefault(fact.lead, LeadRow()), fact, worker.src, seq)
        self.ignored += effect.link_ignored
        for sent in effect.facts:
            self.send(sent)
        for manager, changes, attention in effect.deltas:
            if seq > self.positions.get((worker.src, manager), -1):
                self.positions[worker.src, manager] = seq
                for measure, day, by in changes:
                    self.received.sums[manager, measure, day] += by
                for lead, entry in attention.items():
                    if entry is None:
                        del self.received.listed[manager, lead]
                    else:
                        self.received.listed[manager, lead] = entry

    def run(self, choose: Callable[[int], int] = lambda _: 0) -> Leads:
        """Fold all, in an order among the partitions that `choose` chooses."""
        for _ in range(10_000):
            waiting = [worker for worker in self.workers if worker.offset < len(worker.log)]
            if not waiting:
                return self
            self.step(waiting[choose(len(waiting))])
        raise AssertionError("it does not end")

    def row(self, lead: str) -> LeadRow:
        return self.workers[place(lead)].rows.get(lead, LeadRow())

    @property
    def totals(self) -> dict[tuple[str, str, int], int]:
        """Return the contributions of all leads."""
        sums: dict[tuple[str, str, int], int] = {}
        for worker in self.workers:
            for row in worker.rows.values():
                for key, n in FOLD.totals(row.state).items():
                    sums[key] = sums.get(key, 0) + n
        return {key: n for key, n in sums.items() if n}


OLD, NEW = "phone:1", "lead-2"
SAID: list[Said] = [
    leg("c1", NOON - 3 * DAY, lead=OLD),
    dial("c2", NOON - 2 * DAY, lead=OLD),
    leg("c3", NOON - DAY, "boris", lead=OLD),
    note("c1", NOON - 3 * DAY + HOUR, NOON + DAY, lead=OLD, reason="reminder"),
    stage("won", NOON - HOUR, lead=OLD, amount="12", currency="EUR"),
    touched("email", NOON, lead=OLD),
    consulted(NOON, lead=OLD),
]


def to_new(said: list[Said]) -> list[Said]:
    return [replace(fact, lead=NEW) for fact in said]


@pytest.mark.parametrize("linked_after", range(len(SAID) + 1))
@pytest.mark.parametrize("order", [0, -1], ids=["old first", "new first"])
def test_a_linked_caller_is_as_if_all_had_been_the_leads_from_the_start(linked_after: int, order: int) -> None:
    plain = Lead().take(*to_new(SAID))
    world = Leads().say(*SAID[:linked_after]).run(lambda _: order)
    world.say(link(OLD, NEW), *SAID[linked_after:]).run(lambda _: order)
    assert FOLD.totals(world.row(NEW).state) == plain.totals == world.received.totals
    assert world.row(OLD).state.is_empty
    assert world.row(OLD).state.linked_to == NEW


def test_what_the_lead_knew_before_and_what_the_caller_knew_become_one() -> None:
    mine = to_new(SAID[::2])
    world = Leads().say(*mine, *SAID[1::2], link(OLD, NEW)).run()
    assert FOLD.totals(world.row(NEW).state) == Lead().take(*mine, *to_new(SAID[1::2])).totals


def test_a_caller_that_needed_help_is_listed_as_the_lead_from_then_on() -> None:
    calls: list[Said] = [leg(f"c{n}", NOON - n * DAY, lead=OLD) for n in range(3)]
    world = Leads().say(*calls).run()
    assert set(world.received.listed) == {("anna", OLD)}
    world.say(link(OLD, NEW)).run()
    assert set(world.received.listed) == {("anna", NEW)}


def test_the_first_link_stays_and_a_second_one_is_counted() -> None:
    world = Leads().say(SAID[0], link(OLD, NEW)).run().say(link(OLD, "lead-3"), link(OLD, NEW)).run()
    assert world.row(OLD).state.linked_to == NEW
    assert world.ignored == 1
    assert world.totals == Lead().take(*to_new(SAID[:1])).totals


def test_a_lead_that_is_linked_to_itself_is_refused() -> None:
    odd = link(NEW, NEW)
    refused = refusal(odd)
    assert refused is not None
    assert refused.reason == "invalid_field"
    row = LeadRow()
    assert fold_crm(row, odd, "crm/0", 4).rejection == refused
    assert FOLD.contact(row, Linked(src="x", seq=1, lead=NEW, to=NEW, at=NOON, id="i"), "y", 1).outcome == "rejected"
    assert row == LeadRow()


def test_links_in_a_chain_are_followed() -> None:
    chain = ["lead-a", "lead-b", "lead-c", "lead-d"]
    for links in (list(itertools.pairwise(chain)), list(itertools.pairwise(chain))[::-1]):
        world = Leads().say(dial("c1", lead="lead-a"))
        for old, new in links:
            world.say(link(old, new))
        world.run().say(dial("c2", NOON + HOUR, lead="lead-a")).run()
        assert [leg.call for leg in world.row("lead-d").state.legs] == ["c1", "c2"]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_links_that_lead_round_in_a_circle_end_and_lose_nothing(size: int) -> None:
    ring = [f"lead-{number}" for number in range(size)]
    world = Leads().say(*(dial(f"c{key}", NOON, lead=key) for key in ring))
    world.say(*(link(key, ring[(place + 1) % size]) for place, key in enumerate(ring))).run()
    world.say(*(dial(f"d{key}", NOON + HOUR, lead=key) for key in ring)).run()
    assert sum(n for (_, measure, _), n in world.totals.items() if measure == "sum") == 2 * size
    assert world.received.totals == world.totals


def test_a_fact_follows_eight_links_and_no_more() -> None:
    keys = [f"lead-{number}" for number in range(MAX_HOPS + 3)]
    world = Leads().say(*(link(old, new) for old, new in itertools.pairwise(keys))).run()
    world.say(dial(lead=keys[0]), stage("won", lead=keys[1], manager="anna")).run()
    assert [key for key in keys if world.row(key).state.legs] == [keys[MAX_HOPS]]
    assert [key for key in keys if world.row(key).state.deals] == [keys[MAX_HOPS + 1]]


@pytest.mark.parametrize(
    "fact",
    [
        Forwarded(src="crm/0", seq=1, lead=NEW),
        Moved(src="contacts/0", seq=1, lead=NEW, state=b"", hops=1),
        Moved(src="contacts/0", seq=1, lead=NEW, state=b"\x02nonsense", hops=1),
        Moved(src="contacts/0", seq=1, lead=NEW, state=b"\x01" + bytes(20), hops=1),
    ],
)
def test_a_fact_that_says_nothing_is_rejected_and_changes_nothing(fact: ContactsFact) -> None:
    row = LeadRow()
    effect = FOLD.contact(row, fact, "contacts/0", 4)
    assert effect.rejection is not None
    assert effect.rejection.reason == "invalid_field"
    assert row == LeadRow()


@examples(250)
@given(histories(10), st.data())
def test_a_caller_linked_at_any_time_is_as_if_all_had_been_the_leads(said: list[Said], data: st.DataObject) -> None:
    """The facts of one leg may name the caller and the lead; links form a chain; workers crash between the hops."""
    keys = ["lead-a", "lead-b", "lead-c"]
    order = in_order_of_their_sources(said, data.draw(st.permutations(range(len(said)))))
    named: list[Any] = [replace(fact, lead=data.draw(st.sampled_from(keys))) for fact in order]
    for position, fact in enumerate(named):
        if isinstance(fact, Contact) and fact.withdrawn:  # withdraws exactly the earlier contributions
            said_of = next(was for was in reversed(named[:position]) if _same_leg(was, fact))
            named[position] = replace(fact, lead=said_of.lead)
    for new, old in ((keys[2], keys[1]), (keys[1], keys[0])):
        named.insert(data.draw(st.integers(0, len(named))), link(old, new))
    world = Leads()
    for fact in named:
        world.say(fact)
        while data.draw(st.booleans()):
            waiting = [worker for worker in world.workers if worker.offset < len(worker.log)]
            if not waiting:
                break
            world.step(data.draw(st.sampled_from(waiting)))
            worker = data.draw(st.sampled_from(world.workers))
            if (chance := data.draw(st.integers(0, 7))) == 0:
                worker.crash()
            elif chance == 1:
                worker.checkpoint()
    world.run(lambda waiting: data.draw(st.integers(0, waiting - 1)))
    assert world.received.totals == world.totals == Lead().take(*(replace(fact, lead=keys[2]) for fact in order)).totals
    listed = FOLD.attention(world.row(keys[2]).state)
    assert world.received.listed == ({} if listed is None else {(listed[0], keys[2]): listed[1]})


def _same_leg(said: Any, contact: Contact) -> bool:
    return isinstance(said, Contact) and (said.call, said.manager) == (contact.call, contact.manager)

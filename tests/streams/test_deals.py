"""A deal counts once, with any leads in its events, in any order."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.contract.events import CrmEvents, DealDeleted, DealStageChanged
from streams.contract.facts import MAX_HOPS, SLOTS, Contact, Deal, Forwarded, Linked, deal_id, deal_key
from streams.tables.lead import retention
from streams.tables.lead.codec import pack, unpack
from streams.tables.lead.contributions import Totals
from streams.tables.lead.fold import refusal
from streams.tables.lead.records import DealVersion
from streams.tables.lead.row import LeadRow, dump, load
from tests.examples import examples
from tests.streams.lead_cases import (
    DAY,
    FOLD,
    HOUR,
    MOMENTS,
    NOON,
    TODAY,
    Lead,
    Received,
    Said,
    deleted,
    dial,
    histories,
    in_order_of_their_sources,
    leg,
    note,
    stage,
    stage_changes,
    touched,
)
from tests.streams.test_lead_links import Leads, link

DEALS = st.sampled_from(["deal-0", "deal-1"])
ONE, OTHER, THIRD = "lead-1", "phone:2", "lead-3"
KEY = deal_key("crm", "deal-1")


def figures(world: Leads) -> dict[str, int]:
    """Return the totals of all leads by measure, which managers must have received."""
    assert world.received.totals == world.totals
    sums: Counter[str] = Counter()
    for (_, measure, _), n in world.totals.items():
        sums[measure] += n
    return {measure: n for measure, n in sums.items() if n}


def holders(world: Leads) -> list[str]:
    """The leads that have a deal."""
    return sorted(lead for worker in world.workers for lead, row in worker.rows.items() if row.state.deals)


# -- under two leads


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_deal_under_two_leads_is_one_deal_of_the_lead_of_its_newest_stage(order: tuple[int, ...]) -> None:
    said = [
        stage("proposal", NOON - 2 * DAY, lead=OTHER, manager="anna", amount="12", currency="EUR", product="gold"),
        stage("won", NOON - DAY, lead=OTHER, manager="anna"),
        stage("won", NOON, lead=ONE, manager="anna"),
    ]
    world = Leads().say(*(said[place] for place in order)).run()
    found = figures(world)
    assert (found["won"], found["amount:EUR"], found["won@product=gold"]) == (1, 12_000, 1)
    assert holders(world) == [ONE]
    assert ("anna", "won", TODAY - 1) in world.totals, "it was won a day ago, under the other lead"


def test_a_deal_that_comes_back_to_a_lead_is_that_leads_again() -> None:
    leads = [ONE, OTHER, ONE, THIRD, ONE]
    world = Leads()
    for number, lead in enumerate(leads):
        world.say(stage("won", NOON + number * HOUR, lead=lead, manager="anna")).run()
        assert holders(world) == [lead]
        assert figures(world)["won"] == 1


def test_open_and_closed_leads_follow_the_deal() -> None:
    """The lead that the deal left is open again, and has no stage."""
    world = Leads().say(leg("c1", NOON - DAY, lead=ONE), leg("c2", NOON - DAY, lead=OTHER))
    world.say(stage("won", NOON - HOUR, lead=ONE)).run()
    assert figures(world)["sum"] == 1
    world.say(stage("proposal", NOON, lead=OTHER)).run()
    found = figures(world)
    assert (found["sum"], found["stage:none"], found["stage:proposal"], found.get("won")) == (2, 1, 1, None)


@pytest.mark.parametrize("lead", [ONE, OTHER])
@pytest.mark.parametrize("late", [False, True])
def test_a_deletion_takes_the_deal_out_whatever_lead_it_names(lead: str, late: bool) -> None:
    said: list[CrmEvents] = [stage("won", NOON - DAY, lead=ONE, manager="anna"), deleted(NOON, lead=lead)]
    world = Leads().say(*(said if late else reversed(said))).run()
    assert figures(world) == {}
    assert holders(world) == [ONE]
    world.say(stage("won", NOON + DAY, lead=OTHER, manager="anna")).run()
    assert (figures(world)["won"], holders(world)) == (1, [OTHER])


def test_a_deletion_alone_is_of_no_lead() -> None:
    world = Leads().say(deleted()).run()
    assert figures(world) == {}
    assert holders(world) == []


def test_ids_of_deals_are_those_of_their_source() -> None:
    said = [stage("won", NOON, manager="anna", source=source, id=source) for source in ("crm", "other")]
    world = Leads().say(*said).run()
    assert figures(world)["won"] == 2
    moved = Leads().say(*said, stage("won", NOON + HOUR, manager="anna", lead=OTHER)).run()
    assert figures(moved)["won"] == 2
    assert holders(moved) == [ONE, OTHER]


def test_at_the_same_time_the_later_stage_says_whose_deal_it_is() -> None:
    said = [stage("won", lead=ONE, manager="anna", id="a"), stage("proposal", lead=OTHER, id="b")]
    for order in (said, said[::-1]):
        assert holders(Leads().say(*order).run()) == [ONE]


def test_evidence_names_the_deal_as_the_crm_does() -> None:
    world = Leads().say(leg(lead=ONE), stage("won", NOON + HOUR, lead=ONE, deal="d-5")).run()
    found = {entry.ref for entry in FOLD.contributions(world.row(ONE).state) if entry.of == "deal"}
    assert found == {"deal:d-5"}


def test_values_outside_the_settings_are_counted_once() -> None:
    row = LeadRow()
    event = stage("dreaming", lead=ONE)
    effect = FOLD.contact(row, Forwarded(src="crm/0", seq=1, lead=KEY, event=event), "contacts/0", 4)
    assert effect.folded == ("stage",)
    assert effect.deltas == ()
    onward = FOLD.contact(LeadRow(), effect.facts[0], "contacts/1", 4)
    assert onward.folded == ()


# -- with links


@pytest.mark.parametrize("linked_after", range(4))
@pytest.mark.parametrize("order", [0, -1])
def test_a_link_before_between_or_after_makes_no_difference(linked_after: int, order: int) -> None:
    said: list[Said] = [
        stage("proposal", NOON - 2 * DAY, lead=OTHER, manager="anna"),
        stage("won", NOON - DAY, lead=ONE, manager="anna"),
        stage("lost", NOON, lead=OTHER, manager="anna"),
    ]
    world = Leads().say(*said[:linked_after]).run(lambda _: order)
    world.say(link(OTHER, ONE), *said[linked_after:]).run(lambda _: order)
    assert world.totals == world.received.totals == Lead().take(*(replace(fact, lead=ONE) for fact in said)).totals
    assert holders(world) == [ONE]


def test_a_deal_follows_as_many_links_as_any_fact() -> None:
    keys = [f"lead-{number}" for number in range(MAX_HOPS + 3)]
    world = Leads().say(*(link(old, new) for old, new in itertools.pairwise(keys))).run()
    world.say(stage("won", lead=keys[1], manager="anna")).run()
    assert holders(world) == [keys[MAX_HOPS + 1]]


# -- any order


def _named(said: Iterable[Said], leads: dict[str, str], drawn: st.DataObject, keys: list[str]) -> list[Any]:
    """Let each event of a deal name any lead, the same event always the same one; all else is of the first lead."""
    return [
        replace(
            fact,
            lead=leads.setdefault(fact.id, drawn.draw(st.sampled_from(keys)))
            if isinstance(fact, DealStageChanged | DealDeleted)
            else keys[0],
        )
        for fact in said
    ]


def _as_if_named_rightly(said: Iterable[Any]) -> Totals:
    """Return the totals if every event of a deal named its last holder."""
    stages = ("dreaming", "qualified", "presentation", "proposal", "won", "lost")
    facts = list(said)
    newest: dict[str, tuple[tuple[int, int, str], str]] = {}
    for fact in facts:
        if isinstance(fact, DealStageChanged):
            key = (fact.at, stages.index(fact.stage), fact.id), fact.lead
            newest[fact.deal] = max(newest.get(fact.deal, key), key)
    leads: dict[str, list[Said]] = {}
    for fact in facts:
        if isinstance(fact, DealStageChanged | DealDeleted):
            if fact.deal in newest:
                lead = newest[fact.deal][1]
                leads.setdefault(lead, []).append(replace(fact, lead=lead))
        else:
            leads.setdefault(fact.lead, []).append(fact)
    sums: Counter[tuple[str, str, int]] = Counter()
    for of_lead in leads.values():
        sums.update(Lead().take(*of_lead).totals)
    return {key: n for key, n in sums.items() if n}


def _run(world: Leads, said: Iterable[Any], data: st.DataObject) -> None:
    """Fold all, with workers that write checkpoints and crash in between."""
    for fact in said:
        world.say(fact)
        while data.draw(st.booleans()):
            waiting = [worker for worker in world.workers if worker.offset < len(worker.log)]
            if not waiting:
                break
            world.step(data.draw(st.sampled_from(waiting)))
            worker = data.draw(st.sampled_from(world.workers))
            chance = data.draw(st.integers(0, 7))
            if chance == 0:
                worker.crash()
            elif chance == 1:
                worker.checkpoint()
    world.run(lambda waiting: data.draw(st.integers(0, waiting - 1)))


@st.composite
def with_deals(draw: st.DrawFn) -> list[Said]:
    """Draw the events of a lead, most of them about its deals."""
    of_deals = st.one_of(stage_changes(), stage_changes(), stage_changes(), st.builds(deleted, MOMENTS, DEALS))
    return [*draw(histories(4)), *draw(st.lists(of_deals, min_size=3, max_size=10))]


@examples(150)
@given(with_deals(), st.data())
def test_deals_under_any_leads_are_as_if_each_had_been_its_leads_alone(said: list[Said], data: st.DataObject) -> None:
    """Events come in any order, some of them twice; workers crash between the hops."""
    keys = ["lead-a", "lead-b", "lead-c"]
    deals = [fact for fact in said if isinstance(fact, DealStageChanged | DealDeleted)]
    repeated = [*said, *(data.draw(st.lists(st.sampled_from(deals), max_size=3)) if deals else ())]
    order = in_order_of_their_sources(repeated, data.draw(st.permutations(range(len(repeated)))))
    named = _named(order, {}, data, keys)
    world = Leads()
    _run(world, named, data)
    assert world.received.totals == world.totals == _as_if_named_rightly(named)


@examples(150)
@given(with_deals(), st.data())
def test_deals_under_linked_leads_are_as_if_one_lead_had_been_named(said: list[Said], data: st.DataObject) -> None:
    """Three of four keys are linked, at any time; the fourth is another lead."""
    keys = ["lead-a", "lead-b", "lead-c", "lead-d"]
    order = in_order_of_their_sources(said, data.draw(st.permutations(range(len(said)))))
    named = _named(order, {}, data, keys)
    links = [link(keys[1], keys[2]), link(keys[0], keys[1])]
    mixed = list(named)
    for one in links:
        mixed.insert(data.draw(st.integers(0, len(mixed))), one)
    world = Leads()
    _run(world, mixed, data)
    homes = {keys[0]: keys[2], keys[1]: keys[2]}
    expected = _as_if_named_rightly(replace(fact, lead=homes.get(fact.lead, fact.lead)) for fact in named)
    assert world.received.totals == world.totals == expected


@examples(100)
@given(with_deals(), st.data())
def test_a_deals_deltas_are_the_difference_of_all_contributions(said: list[Said], data: st.DataObject) -> None:
    """At every fact, for one lead that deals come to and leave."""
    received, row = Received(), LeadRow()
    of_deals: dict[str, LeadRow] = {}
    seqs = itertools.count(SLOTS, SLOTS)
    for fact in said:
        seq = next(seqs)
        if isinstance(fact, DealStageChanged | DealDeleted):
            key = deal_key(fact.source, fact.deal)
            event = replace(fact, lead=data.draw(st.sampled_from([ONE, OTHER])))
            sent = Forwarded(src="crm/0", seq=seq, lead=key, event=event)
            ours: list[Any] = [
                onward
                for onward in FOLD.contact(of_deals.setdefault(key, LeadRow()), sent, "contacts/0", seq).facts
                if onward.lead == ONE
            ]
        elif isinstance(fact, Contact):
            ours = [fact]
        else:
            ours = [Forwarded(src="crm/0", seq=seq, lead=ONE, event=fact)]
        for one in ours:
            received.take(FOLD.contact(row, one, "contacts/1", seq))
            assert received.totals == FOLD.totals(LeadRow(unpacked=row.state).state)
        row = LeadRow(dump(row))


# -- versions


def fact(version: int, *changes: DealStageChanged, gone: bool = False, seq: int | None = None, **more: Any) -> Deal:
    records = tuple(
        (change.at, change.id, change.stage, change.manager, None, None, change.product, None, None)
        for change in changes
    )
    said: dict[str, Any] = {"src": f"contacts/{version}", "seq": seq or version, "lead": ONE, "at": NOON, **more}
    return Deal(deal=KEY, version=version, changes=records, gone=gone, **said)


QUALIFIED = stage("qualified", NOON - DAY, manager="anna")
WON = stage("won", NOON, manager="anna")


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_over_two_keys_the_greatest_version_counts(order: tuple[int, ...]) -> None:
    """One key had the deal from 1 to 2, the other one from 2 on. Each key's facts come in their order."""
    ways = {0: "one", 1: "one", 2: "other", 3: "other"}
    said = {
        0: fact(1, QUALIFIED, src="one", seq=1),
        1: fact(2, gone=True, src="one", seq=2),
        2: fact(2, QUALIFIED, WON, src="other", seq=1),
        3: fact(3, QUALIFIED, WON, src="other", seq=2),
    }
    in_order = {way: iter(sorted(number for number in said if ways[number] == way)) for way in ("one", "other")}
    row, received = LeadRow(), Received()
    for seq, number in enumerate(order):
        received.take(FOLD.contact(row, said[next(in_order[ways[number]])], "contacts/0", seq))
    assert received.totals == FOLD.totals(row.state)
    assert received.totals["anna", "won", TODAY] == 1
    assert [change.stage for change in row.state.deals[KEY]] == ["qualified", "won"]
    assert row.state.deal_versions == {KEY: DealVersion(3)}


@pytest.mark.parametrize("first", ["one", "other"])
def test_at_the_same_version_the_deal_stays(first: str) -> None:
    """The lead has both keys: over one it comes that the deal is gone, over the other the deal."""
    row = LeadRow()
    gone, whole = fact(2, gone=True, src="one", seq=2), fact(2, WON, src="other", seq=1)
    said = [fact(1, QUALIFIED, src="one", seq=1), *((gone, whole) if first == "one" else (whole, gone))]
    for seq, one in enumerate(said):
        FOLD.contact(row, one, "contacts/0", seq)
    assert list(row.state.deals) == [KEY]


def test_a_lead_is_heard_of_by_its_deals() -> None:
    row = LeadRow()
    FOLD.contact(row, fact(1, WON, at=NOON + DAY), "contacts/0", 0)
    assert row.state.heard_at == NOON + DAY
    FOLD.contact(row, fact(2, gone=True, at=NOON + 2 * DAY), "contacts/0", 4)
    assert row.state.heard_at == NOON + 2 * DAY, "or it would never expire"


def test_a_deal_that_is_gone_leaves_nothing_behind() -> None:
    row = LeadRow()
    for number, one in enumerate((fact(1, WON), fact(2, gone=True), fact(3, gone=True))):
        assert FOLD.contact(row, one, "contacts/0", number).outcome == "applied"
    assert row.state.is_empty
    assert len(pack(row.state)) == len(pack(_without_deals(row)))


def _without_deals(row: LeadRow) -> Any:
    state = unpack(pack(row.state))
    state.deals, state.deal_versions = {}, {}
    return state


def test_what_retention_dropped_does_not_count_again() -> None:
    """Each fact brings all changes of the deal; of those that the lead dropped, none comes back."""
    worlds = Leads()
    stages = ["qualified", "proposal", "won"]
    said = [
        stage(stages[number % 3], NOON + number * 1000, lead=ONE, manager="anna", product=f"p{number % 2}")
        for number in range(150)
    ]
    plain = Lead()
    for event in said:
        worlds.say(event).run()
        plain.take_unchecked(event)
        assert len(worlds.row(ONE).state.deals[KEY]) <= retention.MAX_CHANGES
    assert worlds.received.totals == plain.received.totals
    deal_row = worlds.row(KEY)
    assert len(deal_row.state.changes) <= retention.MAX_CHANGES


def test_changes_that_retention_dropped_do_not_come_back() -> None:
    """A lead with much else drops changes that the deal's row still has."""
    row = LeadRow()
    said = [stage(["qualified", "proposal"][number % 2], NOON + number * 1000) for number in range(21)]
    FOLD.contact(row, fact(1, *said[:20]), "contacts/0", 0)
    retention.forget(row.state, 1, 0.1)
    row.summary = None
    kept = [change.id for change in row.state.deals[KEY]]
    assert 0 < len(kept) < 10
    row = LeadRow(dump(row))
    FOLD.contact(row, fact(2, *said), "contacts/0", 4)
    assert [change.id for change in row.state.deals[KEY]] == [*kept, said[20].id]


@pytest.mark.parametrize("later", ["state", "other"])
def test_two_rows_of_one_lead_become_one_with_the_greater_version(later: str) -> None:
    rows = [LeadRow(), LeadRow()]
    for version, row in zip((3, 1) if later == "state" else (1, 3), rows, strict=True):
        FOLD.contact(row, fact(version, WON), "contacts/0", 0)
    link = Linked(src="x", seq=1, lead=OTHER, to=ONE, at=NOON, id="l")
    moved = FOLD.contact(rows[1], link, "contacts/1", 4)
    assert rows[1].state.deal_versions == {}
    FOLD.contact(rows[0], moved.facts[0], "contacts/0", 8)
    assert rows[0].state.deal_versions == {KEY: DealVersion(3)}
    FOLD.contact(rows[0], fact(2, gone=True, src="late"), "contacts/0", 12)
    assert list(rows[0].state.deals) == [KEY]


def test_a_deal_that_retention_dropped_does_not_count_again() -> None:
    world = Leads()
    deals = [f"deal-{number}" for number in range(retention.MAX_DEALS + 8)]
    world.say(*(stage("won", NOON + n, deal, lead=ONE, manager="anna") for n, deal in enumerate(deals))).run()
    assert world.received.totals["anna", "won", TODAY] == len(deals)
    assert len(world.row(ONE).state.deals) <= retention.MAX_DEALS
    world.say(stage("qualified", NOON - DAY, deals[0], lead=ONE)).run()
    assert deal_key("crm", deals[0]) not in world.row(ONE).state.deals
    assert world.received.totals["anna", "won", TODAY] == len(deals)


def test_versions_of_dropped_deals_are_bounded() -> None:
    world = Leads()
    for number in range(3 * retention.MAX_DEAL_VERSIONS):
        world.say(stage("won", NOON + number, f"deal-{number}", lead=ONE, manager="anna")).run()
    assert len(world.row(ONE).state.deal_versions) <= retention.MAX_DEAL_VERSIONS + retention.MAX_DEALS
    assert world.row(ONE).state.deals.keys() <= world.row(ONE).state.deal_versions.keys()


# -- keys and bytes


@pytest.mark.parametrize("key", [KEY, deal_key("b24", "a\x1fb"), "d-5", ""])
def test_the_id_of_a_deal_is_in_its_key(key: str) -> None:
    assert deal_id(key) == {KEY: "deal-1", "d-5": "d-5", "": ""}.get(key, "a\x1fb")


@pytest.mark.parametrize(
    "event",
    [
        stage("won", lead=KEY),
        stage("won", source="a\x1fb"),
        deleted(source="\x1f"),
        note(lead="\x1fx"),
        link(KEY, ONE),
        link(OTHER, KEY),
    ],
)
def test_no_event_can_name_the_row_of_a_deal(event: CrmEvents) -> None:
    refused = refusal(event)
    assert refused is not None
    assert refused.reason == "invalid_field"


@pytest.mark.parametrize(
    "said",
    [
        dial(lead=KEY),
        Forwarded(src="calls/0", seq=1, lead=KEY, contact=dial(lead=KEY), hops=1),
        Forwarded(src="crm/0", seq=1, lead=KEY, event=touched()),
        Forwarded(src="crm/0", seq=1, lead=KEY, event=stage("won", deal="deal-2")),
    ],
)
def test_what_is_no_event_of_the_deal_is_refused_and_changes_nothing(said: Any) -> None:
    row = LeadRow()
    first = Forwarded(src="crm/9", seq=1, lead=KEY, event=WON)
    FOLD.contact(row, first, "contacts/0", 0)
    before = dump(row)
    effect = FOLD.contact(row, said, "contacts/0", 8)
    assert effect.rejection is not None
    assert effect.rejection.reason == "invalid_field"
    assert dump(row) == before


def test_the_row_of_a_deal_counts_nothing_and_comes_back_from_its_bytes() -> None:
    row = LeadRow()
    FOLD.contact(row, Forwarded(src="crm/0", seq=1, lead=KEY, event=WON), "contacts/0", 4)
    again = load(dump(row))
    assert again == row
    assert (again.state.holder, len(again.state.changes), again.state.heard_at) == (ONE, 1, NOON)
    assert (FOLD.totals(again.state), list(FOLD.contributions(again.state))) == ({}, [])
    assert FOLD.attention(again.state) is None


def test_a_lead_without_deals_has_the_bytes_that_it_had() -> None:
    """Eleven elements, as the release before writes and reads them."""
    assert pack(Lead().take(dial(), WON).row.state)[7] == 0x90 | 11

"""The loads on leads: known answers, checked by a separate fold, and a million leads with at least one event each."""

import random
from collections import Counter, deque
from typing import Any

import orjson
import pytest

from benchmarks import many_leads, mix, workload
from benchmarks.measures import wrong_sums
from benchmarks.peers import plain_leads
from streams.contract import facts
from streams.contract.topics import partition_of
from streams.units import DAY_MS

EVENTS = 8_000
NOW_MS = 1_740_960_000_000


def plain_sums(topics: list[list[plain_leads.Fact]], rng: random.Random) -> dict[str, int]:
    """Fold contacts and events of the CRM as the peers do, the topics read in any order; return the sums."""
    leads: dict[str, plain_leads.State] = {}
    sums: Counter[str] = Counter()
    waiting = [deque(topic) for topic in topics]
    while left := [topic for topic in waiting if topic]:
        due = deque([rng.choice(left).popleft()])
        while due:
            fact = due.popleft()
            for told in plain_leads.apply(leads.setdefault(fact["lead"], plain_leads.empty()), fact):
                if told["type"] == "outcome":
                    for measure, _, by in told["changes"]:
                        sums[measure.partition(":")[0]] += by
                else:
                    due.append(told)
    return sums


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_plain_leads_come_to_the_known_sums_in_any_order_of_topics(seed: Any) -> None:
    known = mix.make(EVENTS)
    ends = [event for *_, value in known.calls if (event := orjson.loads(value))["type"] == "call.ended"]
    contacts = [contact for end in ends if (contact := plain_leads.contact_of(end)) is not None]
    crm = [orjson.loads(value) for *_, value in known.crm]
    assert known.lead_sums["won"]
    assert wrong_sums("plain", plain_sums([contacts, crm], random.Random(seed)), known.lead_sums) is None
    assert wrong_sums("plain", plain_sums([contacts[1:], crm], random.Random(seed)), known.lead_sums) is not None


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"calls": 3, "more": 1}, None),
        ({"calls": 2}, "a: calls 2 instead of 3"),
        ({}, "a: calls 0 instead of 3"),
        (None, "a gave no sums"),
    ],
)
def test_sums_are_wrong_where_one_differs_or_is_not_told(told: Any, complaint: str | None) -> None:
    assert wrong_sums("a", told, {"calls": 3}) == complaint


COUNT = 1_000
SELLERS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def contacts() -> list[workload.Record]:
    return list(many_leads.contacts("calls", SELLERS, NOW_MS, COUNT))


@pytest.fixture(scope="module")
def crm() -> list[workload.Record]:
    return list(many_leads.crm(SELLERS, NOW_MS, COUNT))


def test_many_leads_are_each_called_twice_and_heard_of_once_in_the_crm(contacts: Any, crm: Any) -> None:
    leads = [f"lead-{number:07d}".encode() for number in range(COUNT)]
    assert Counter(key for _, key, _ in contacts) == dict.fromkeys(leads, many_leads.CALLS_A_LEAD)
    assert Counter(key for _, key, _ in crm) == dict.fromkeys(leads, 1)
    assert all(partition == partition_of(key, workload.PARTITIONS) for partition, key, _ in contacts + crm)


def test_many_leads_are_new_in_another_order_than_they_are_talked_to_and_noted(contacts: Any, crm: Any) -> None:
    orders = [[key for _, key, _ in records] for records in (contacts[:COUNT], contacts[COUNT:], crm)]
    assert all(one != other for one, other in zip(orders, [*orders[1:], orders[0]], strict=True))


def test_what_the_crm_says_is_of_a_talk_of_the_same_lead_and_manager(contacts: Any, crm: Any) -> None:
    told = [facts.contacts_decoder.decode(value) for *_, value in contacts]
    talks = {fact.call: fact for fact in told if fact.conversation}
    events = [orjson.loads(value) for *_, value in crm]
    notes = [(event, talks[event["call"]]) for event in events if event["type"] == "call.annotated"]
    assert len(notes) > COUNT // 4
    assert all((note["lead"], note["manager"]) == (talk.lead, talk.manager) for note, talk in notes)
    assert all(note["at"] > talk.at for note, talk in notes)
    assert sum(event["type"] == "activity.logged" for event in events) == COUNT // 3


def test_calls_of_many_leads_come_in_order_and_not_in_the_future(contacts: Any) -> None:
    ended = [facts.contacts_decoder.decode(value).at for *_, value in contacts]
    assert ended == sorted(ended)
    assert ended[-1] <= NOW_MS
    assert ended[0] == NOW_MS - many_leads.DAYS * DAY_MS

"""The simulated mix: events of a department's telephones and CRM, with sums that are known beforehand.

The simulator makes some days of 200 managers; every event arrives once and in time, because no peer except callpulse
would get the same sums otherwise. Calls that are not over at the cut are left out, because a peer with timeouts would
count them. The sums are added up here from the events themselves, after the fact and over all managers and days, and
share no code with any of the folds that are measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct

from benchmarks.workload import MANAGERS, PARTITIONS, SEED, START_MS, Record
from streams.contract import facts
from streams.contract.topics import partitioner
from streams.settings.results import Results
from streams.simulator import Department, FaultRates, simulate
from streams.units import DAY_MS, MINUTE_MS

CONVERSATION_MS: Final = MINUTE_MS
CURRENCY: Final = "EUR"
RANKS: Final = {stage: rank for rank, stage in enumerate(Results().stages)}
_CLOSED: Final = ("won", "lost")
_TEAMS: Final = 8
_MOST_DAYS: Final = 28
_decode: Final = msgspec.json.decode


class Mix(Struct, frozen=True):
    """Records by topic, each list in the order of its events, and their expected sums.

    `contacts` are the facts that the calls agent makes of `calls` for leads. `sums` are over all managers and days;
    those of calls have names that begin with `call`.
    """

    calls: list[Record]
    crm: list[Record]
    contacts: list[Record]
    sums: dict[str, int]

    @property
    def lead_sums(self) -> dict[str, int]:
        """The sums that need no calls, only contacts."""
        return {name: value for name, value in self.sums.items() if not name.startswith("call")}

    @property
    def mean_bytes(self) -> float:
        """Mean size of the value of a record of `calls` and `crm`."""
        sizes = [len(value) for _, _, value in (*self.calls, *self.crm)]
        return sum(sizes) / len(sizes)


@lru_cache(maxsize=1)
def make(events: int, managers: int = MANAGERS) -> Mix:
    """Return about `events` events of both topics together: without those of calls that are not over yet.

    Raise ValueError for more than the managers have in four weeks: some sums are only kept for a month.
    """
    records = _arrivals(events, managers)
    open_calls = _open_calls(records)
    calls: list[dict[str, Any]] = []
    crm: list[dict[str, Any]] = []
    mix = Mix([], [], [], {})
    place = partitioner(PARTITIONS)
    for topic, key, value in records:
        event = _decode(value)
        if event.get("call") in open_calls:
            continue
        source, to = (calls, mix.calls) if topic == "calls" else (crm, mix.crm)
        source.append(event)
        to.append((place(key), key, value))
    mix.contacts.extend(_contacts(calls, place))
    mix.sums.update(_sums_of_calls(calls))
    mix.sums.update(_sums_of_leads(calls, crm))
    return mix


def _arrivals(events: int, managers: int) -> list[tuple[str, bytes, bytes]]:
    department = Department.make(SEED, managers, min(_TEAMS, managers))
    arriving = simulate(department, START_MS, START_MS + _MOST_DAYS * DAY_MS, faults=FaultRates.none(), crm=True)
    found = [
        (record.topic, record.key.encode(), record.value)
        for record in islice(arriving, events)
        if record.key is not None
    ]
    if len(found) < events:
        raise ValueError(f"{managers} managers have {len(found)} events in {_MOST_DAYS} days, not {events}")
    return found


def _open_calls(records: Iterable[tuple[str, bytes, bytes]]) -> set[str]:
    """Return the calls with a leg that is not over."""
    legs: dict[tuple[str, str], bool] = {}
    for topic, _, value in records:
        event = _decode(value)
        if topic == "calls" and "call" in event:
            leg = event["call"], event["manager"]
            legs[leg] = event["type"] == "call.ended" or legs.get(leg, False)
            if event["type"] == "call.transferred":
                legs.setdefault((event["call"], event["to_manager"]), False)
    return {call for (call, _), over in legs.items() if not over}


def _contacts(calls: Iterable[dict[str, Any]], place: Callable[[bytes], int]) -> Iterator[Record]:
    """Yield the facts of the calls agent for leads."""
    offsets: dict[int, int] = defaultdict(int)
    for event in calls:
        partition = place(event["manager"].encode())
        offsets[partition] += 1
        if event["type"] != "call.ended" or event.get("lead") is None:
            continue
        answered = event["disposition"] == "answered"
        contact = facts.Contact(
            src=f"calls/{partition}",
            seq=offsets[partition] * facts.SLOTS,
            lead=event["lead"],
            manager=event["manager"],
            call=event["call"],
            day=event["at"] // DAY_MS,
            at=event["at"],
            started_at=event["started_at"],
            direction=event["direction"],
            kind=event.get("kind") or "unknown",
            disposition=event["disposition"],
            answered=answered,
            conversation=answered and event["talk_ms"] >= CONVERSATION_MS,
            talk_ms=event["talk_ms"],
        )
        key = contact.lead.encode()
        yield place(key), key, facts.encode(contact)


def _sums_of_calls(calls: Iterable[dict[str, Any]]) -> dict[str, int]:
    ends = [event for event in calls if event["type"] == "call.ended"]
    talked = [end["talk_ms"] for end in ends if end["disposition"] == "answered"]
    return {"calls": len(ends), "calls_answered": len(talked), "calls_talk_ms": sum(talked)}


def _sums_of_leads(calls: Iterable[dict[str, Any]], crm: list[dict[str, Any]]) -> dict[str, int]:
    """Return the sums of leads. Events under an old key count for the lead to which it is linked."""
    became = {event["old_key"]: event["lead"] for event in crm if event["type"] == "lead.linked"}

    def lead_of(event: dict[str, Any]) -> str:
        lead: str = event["lead"]
        while lead in became:
            lead = became[lead]
        return lead

    legs = [event for event in calls if event["type"] == "call.ended" and event.get("lead") is not None]
    called = {lead_of(leg) for leg in legs}
    answered = [leg for leg in legs if leg["disposition"] == "answered"]
    noted = list(_noted(legs, crm))
    closed = _closed_leads(crm, lead_of)
    sums = {
        "contacts": sum(lead_of(leg) not in closed for leg in legs),
        "leads": len(called),
        "answered": len(answered),
        "conversations": sum(leg["talk_ms"] >= CONVERSATION_MS for leg in answered),
        "agreed": sum(
            _agreed(note)
            for leg, note in noted
            if leg["disposition"] == "answered" and leg["talk_ms"] >= CONVERSATION_MS
        ),
        "presented": sum(
            "presentation" in (note.get("stages") or ()) for leg, note in noted if leg["disposition"] == "answered"
        ),
        "touches": sum(
            event["type"] == "activity.logged" and bool(event.get("manager") or lead_of(event) in called)
            for event in crm
        ),
    }
    return sums | _sums_of_deals(crm, lambda event: lead_of(event) in called)


def _noted(
    legs: Iterable[dict[str, Any]], crm: Iterable[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each leg with a note, and its newest note."""
    by_call: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for leg in legs:
        by_call[leg["call"]].append(leg)
    notes: dict[str, dict[str, Any]] = {}
    for event in crm:
        if event["type"] == "call.annotated":
            notes[event["call"]] = max(event, notes.get(event["call"], event), key=_newest_note)
    for call, note in notes.items():
        manager = note.get("manager")
        meant = [leg for leg in by_call[call] if manager in (None, leg["manager"])]
        if meant:
            yield max(meant, key=lambda leg: (leg["started_at"], leg["manager"])), note


def _newest_note(note: dict[str, Any]) -> tuple[int, int, str]:
    return note.get("revision", 0), note["at"], note["id"]


def _agreed(note: dict[str, Any]) -> bool:
    return bool((note.get("next_step") or {}).get("agreed"))


def _closed_leads(crm: Iterable[dict[str, Any]], lead_of: Callable[[dict[str, Any]], str]) -> set[str]:
    """Return the leads whose deals are all won or lost: their contacts do not count. One without a deal is open."""
    deals: dict[str, list[bool]] = defaultdict(list)
    for newest, *_ in _deals(crm).values():
        deals[lead_of(newest)].append(newest["stage"] in _CLOSED)
    return {lead for lead, closed in deals.items() if all(closed)}


def _deals(crm: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the changes of each deal, the newest first."""
    deals: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in crm:
        if event["type"] == "deal.stage_changed":
            deals[event["deal"]].append(event)
    for changes in deals.values():
        changes.sort(key=lambda event: (event["at"], RANKS.get(event["stage"], -1), event["id"]), reverse=True)
    return deals


def _sums_of_deals(crm: Iterable[dict[str, Any]], was_called: Callable[[dict[str, Any]], bool]) -> dict[str, int]:
    sums = {"won": 0, "lost": 0, "amount": 0}
    for changes in _deals(crm).values():
        newest = changes[0]
        if newest["stage"] not in _CLOSED or not (
            any(map(was_called, changes)) or any(e.get("manager") for e in changes)
        ):
            continue  # open, or without a lead
        sums[newest["stage"]] += 1
        if newest["stage"] == "won":
            amount = next((event["amount"] for event in changes if event.get("amount") is not None), None)
            currency = next((event["currency"] for event in changes if event.get("currency") is not None), None)
            if amount is not None and currency == CURRENCY:
                sums["amount"] += round(float(amount) * 1000)
    return sums

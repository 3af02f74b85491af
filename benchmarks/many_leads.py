"""A million leads: one missed call each, or their history in a department after some months."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from benchmarks.workload import PARTITIONS, Record
from streams.contract import facts
from streams.contract.events import ActivityLogged, CallAnnotated, DealStageChanged, Event, NextStep, encode
from streams.contract.topics import partition_of
from streams.units import DAY_MS, MINUTE_MS

LEADS: Final = 1_000_000
DAYS: Final = 80
CALLS_A_LEAD: Final = 2
MAILS: Final = LEADS // 3  # every third event of the CRM
SOURCE: Final = "crm.example"
_STEP: Final = 611_953  # shares no divisor with LEADS, so steps of this length reach all leads before one repeats
_TALK_MS: Final = 150_000


def missed_calls(source: str, managers: Sequence[str], leads: int = LEADS) -> Iterator[Record]:
    """Yield the fact of one present call for each lead. `source` is the topic that the fact names as its origin."""
    now_ms = int(time.time() * 1000)
    for number in range(leads):
        yield _record(number, facts.encode(_contact(source, number, number, managers, now_ms, answered=False)))


def contacts(source: str, managers: Sequence[str], now_ms: int, leads: int = LEADS) -> Iterator[Record]:
    """Yield the facts of all calls of DAYS days: first a missed one of each lead, then, in another order, a talk."""
    for call in range(leads * CALLS_A_LEAD):
        lead, talk = (call, False) if call < leads else (_lead_of(call - leads, leads), True)
        contact = _contact(source, call, lead, managers, _moment(call, now_ms, leads), answered=talk)
        yield _record(lead, facts.encode(contact))


def crm(managers: Sequence[str], now_ms: int, leads: int = LEADS) -> Iterator[Record]:
    """Yield the CRM's events of each lead after its talk, in a third order: a note, a stage of a deal, an e-mail."""
    for number in range(leads):
        talk = (number + leads // 2) % leads
        lead = _lead_of(talk, leads)
        at = _moment(leads + talk, now_ms, leads) + MINUTE_MS
        event = _EVENTS[number % len(_EVENTS)](lead, leads + talk, managers[lead % len(managers)], at)
        yield _record(lead, encode(event))


def _lead_of(talk: int, leads: int) -> int:
    return talk * _STEP % leads


def _moment(call: int, now_ms: int, leads: int) -> int:
    span_ms = DAYS * DAY_MS
    return now_ms - span_ms + span_ms * call // (leads * CALLS_A_LEAD)


def _record(lead: int, value: bytes) -> Record:
    key = _name(lead).encode()
    return partition_of(key, PARTITIONS), key, value


def _name(lead: int) -> str:
    return f"lead-{lead:07d}"


def _contact(source: str, call: int, lead: int, managers: Sequence[str], at: int, *, answered: bool) -> facts.Contact:
    return facts.Contact(
        src=f"{source}/0",
        seq=call * facts.SLOTS,
        lead=_name(lead),
        manager=managers[lead % len(managers)],
        call=f"call-{call}",
        day=at // DAY_MS,
        at=at,
        started_at=at - _TALK_MS - 15_000,
        direction="outbound",
        kind="cold",
        disposition="answered" if answered else "no_answer",
        answered=answered,
        conversation=answered,
        talk_ms=_TALK_MS if answered else 0,
    )


def _note(lead: int, call: int, manager: str, at: int) -> Event:
    return CallAnnotated(
        v=1,
        id=f"note-{call}",
        at=at,
        source=SOURCE,
        lead=_name(lead),
        manager=manager,
        call=f"call-{call}",
        stages=("presentation",),
        reason="sending_proposal",
        next_step=NextStep(agreed=True, due_at=at + DAY_MS),
    )


def _stage(lead: int, call: int, manager: str, at: int) -> Event:
    return DealStageChanged(
        v=1,
        id=f"stage-{call}",
        at=at,
        source=SOURCE,
        lead=_name(lead),
        manager=manager,
        deal=f"deal-{lead}",
        stage="proposal",
        amount=Decimal("1200.00"),
        currency="EUR",
        product="basic",
        channel="web",
        client_type="company",
    )


def _mail(lead: int, call: int, manager: str, at: int) -> Event:
    return ActivityLogged(
        v=1, id=f"mail-{call}", at=at, source=SOURCE, lead=_name(lead), manager=manager, channel="email"
    )


_EVENTS: Final = (_note, _stage, _mail)

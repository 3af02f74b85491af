"""Events that the contract allows and that make no sense: they must be taken in and hurt nothing.

Nobody knows the leads of absurd events, and they name no manager, so they change no figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final, TypeAlias

from streams.contract.events import (
    MAX_AMOUNT,
    CallAnnotated,
    CallEnded,
    CrmEvent,
    DealStageChanged,
    LeadConsulted,
    NextStep,
    encode,
)
from streams.simulator.rng import Chance
from streams.simulator.telephony.legs import CRM_TOPIC, TOPIC, Record

FAR_MS: Final = 4_070_908_800_000  # 2099-01-01
_Fields: TypeAlias = dict[str, Any]


def absurd(rng: Chance, at: int) -> CrmEvent:
    """Return an absurd event of the CRM at `at`, with an id and a lead of its own."""
    number = rng.getrandbits(64)
    fields: _Fields = {"v": 1, "id": f"odd-{number:016x}", "at": at, "source": "crm", "lead": f"odd-lead-{number:016x}"}
    return rng.choice(_RECIPES)(fields)


def much_called(
    lead: str, manager: str, start_ms: int, *, calls: int = 10_000, every_ms: int = 240_000
) -> Iterator[Record]:
    """Yield the records of a lead that is called without end: the end of each call, and a note of every tenth.

    Every fourth dial is answered, and every eighth is a conversation of two minutes. With the defaults that is four
    weeks, day and night.
    """
    for number in range(calls):
        began = start_ms + number * every_ms
        answered, talked = number % 4 == 0, number % 8 == 0
        talk_ms = 120_000 if talked else 5_000 if answered else 0
        ended = CallEnded(
            v=1,
            id=f"{lead}-{number}-e",
            at=began + 20_000 + talk_ms,
            source="pbx",
            call=f"{lead}-{number}",
            manager=manager,
            lead=lead,
            direction="outbound",
            kind="cold" if number == 0 else "repeat",
            started_at=began,
            answered_at=began + 20_000 if answered else None,
            talk_ms=talk_ms,
            disposition="answered" if answered else "no_answer",
        )
        yield Record(TOPIC, manager, encode(ended), ended.at + 50)
        if number % 10 == 0:
            note = CallAnnotated(
                v=1, id=f"{lead}-{number}-n", at=ended.at + 1_000, source="crm", lead=lead, manager=manager,
                call=ended.call, reason="reminder",
            )  # fmt: skip
            yield Record(CRM_TOPIC, lead, encode(note), note.at + 50)


def _deal(**changed: Any) -> Callable[[_Fields], CrmEvent]:
    usual = {"deal": "odd-deal", "stage": "won", "amount": Decimal("100.00"), "currency": "EUR"}
    return lambda fields: DealStageChanged(**{**fields, **usual, **changed})


_RECIPES: Final[tuple[Callable[[_Fields], CrmEvent], ...]] = (
    _deal(amount=MAX_AMOUNT),
    _deal(amount=-MAX_AMOUNT),
    _deal(amount=Decimal("0.0000000001")),
    _deal(amount=Decimal(0), currency=None),
    _deal(currency="XTS"),
    _deal(stage="s" * 128),
    _deal(stage="lost and found", product="p" * 256, channel="pigeon", client_type=""),
    lambda fields: LeadConsulted(**fields, mentor="mentor.nobody"),
    lambda fields: CallAnnotated(**fields, call="odd-call", next_step=NextStep(agreed=True, due_at=FAR_MS)),
    lambda fields: CallAnnotated(**fields, call="odd-call", stages=("won", "lost", "s" * 128), revision=1_000_000),
    lambda fields: CallAnnotated(**fields, call="odd-call", reason="r" * 128, kind="cold"),
)

"""Edge cases: events that the contract allows although they make no sense.

Workers must accept them, and no figure may change.

Their leads occur in no other event, and they name no manager, so they change no figure.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeAlias

from streams.contract.events import (
    CallAnnotated,
    CrmEvent,
    DealStageChanged,
    LeadConsulted,
    NextStep,
)
from streams.contract.money import MAX_AMOUNT
from streams.simulator.rng import SeededRandom

FAR_MS: Final = 4_070_908_800_000  # 2099-01-01
_Fields: TypeAlias = dict[str, Any]


def edge_case_event(rng: SeededRandom, at: int) -> CrmEvent:
    """Return an edge case of topic `crm` at `at`, with its own id and lead."""
    number = rng.getrandbits(64)
    fields: _Fields = {"v": 1, "id": f"odd-{number:016x}", "at": at, "source": "crm", "lead": f"odd-lead-{number:016x}"}
    return rng.choice(_RECIPES)(fields)


def _deal(**changed: Any) -> Callable[[_Fields], CrmEvent]:
    usual = {"deal": "odd-deal", "stage": "won", "amount": Decimal("100.00"), "currency": "EUR"}
    return lambda fields: DealStageChanged(**{**fields, **usual, **changed})


_RECIPES: Final[tuple[Callable[[_Fields], CrmEvent], ...]] = (
    _deal(amount=MAX_AMOUNT),
    _deal(amount=-MAX_AMOUNT),
    _deal(amount=Decimal("0.0000000001")),
    _deal(amount=Decimal(0), currency=None),
    _deal(currency="XTS"),
    *(_deal(amount=amount) for amount in ("twelve", "NaN", "Infinity", "1e999999999", True, [12], "", "12.5.7")),
    *(_deal(currency=currency) for currency in ("EURO", "$", "euros", "", 978)),
    _deal(stage="s" * 128),
    _deal(stage="lost and found", product="p" * 256, channel="pigeon", client_type=""),
    lambda fields: LeadConsulted(**fields, mentor="mentor.nobody"),
    lambda fields: CallAnnotated(**fields, call="odd-call", next_step=NextStep(agreed=True, due_at=FAR_MS)),
    lambda fields: CallAnnotated(**fields, call="odd-call", stages=("won", "lost", "s" * 128), revision=1_000_000),
    lambda fields: CallAnnotated(**fields, call="odd-call", reason="r" * 128, kind="cold"),
)

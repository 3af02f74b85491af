"""One history through every adapter: the tables are the same, except for the losses of a system.

The renderers follow the documentation of the systems and recorded sessions, and import no adapter. Adapters and
renderers share the same documents as their base. `test_rendering.py` compares the order of their events with the
recordings. The same code folds the tables on both sides: `test_simulator_truth.py` tests it.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import msgspec
import pytest

from streams.contract.events import LATEST_MS, CallEnded, CallTransferred
from streams.simulator.rendering import cdr
from streams.simulator.rendering.exchange import Exchange
from streams.simulator.rendering.history import History, Leg, copied
from streams.simulator.truth.figures import Figures
from streams.units import HOUR_MS
from tests.history.adapters import ADAPTERS, cdr_source, of_lines
from tests.history.departments import EVENING_MS, MONDAY_MS, Made, differences, made, tables
from tests.history.losses import LOSSES, known_to, losses_of

pytestmark = pytest.mark.slow


POSTED: Final = ("amazon_connect", "freeswitch", "megafon", "twilio", "zadarma")
"""The losses of adapters that are slow to play and have few shapes of calls: two days are enough."""
UNTOLD: Final = ("queue_log", "cdr", "mango", "amazon_connect", "freeswitch", "megafon", "twilio", "zadarma")
"""The adapters whose systems report no transfers, or only a part of them."""
DAYS: Final = [
    (name, seed)
    for name, one in ADAPTERS.items()
    for seed in (7, 8, 9, 10, 11)
    if one.losses not in POSTED or seed in (7, 8)
]


@cache
def expected(of: Made, losses: str, now_ms: int) -> Figures:
    return tables(of, known_to(losses, of).events(), now_ms)


@pytest.mark.parametrize(("adapter", "seed"), DAYS)
def test_a_day_gives_the_same_tables(adapter: str, seed: int) -> None:
    of = made(seed)
    want = expected(of, ADAPTERS[adapter].losses, EVENING_MS)
    assert differences(want, tables(of, ADAPTERS[adapter].read(of), EVENING_MS)) == {}
    assert sum(value for (name, labels), value in want.items() if name == "calls" and labels[2] == "today") > 10


@pytest.mark.parametrize("adapter", [name for name, one in ADAPTERS.items() if one.losses not in UNTOLD])
def test_every_transfer_is_told(adapter: str) -> None:
    """No figure depends on transfers where all legs are present, so transfers are compared separately.

    A row of an export has one end, which may be a moment after the transfer.
    """
    of = made()
    handed = [leg for leg in of.history.legs() if leg.transfer_at is not None]
    want = {(leg.ended_at if adapter == "export" else leg.transfer_at, leg.manager, leg.to, leg.how) for leg in handed}
    told = (event for event in ADAPTERS[adapter].read(of) if isinstance(event, CallTransferred))
    assert {(event.at, event.manager, event.to_manager, event.how) for event in told} == want
    assert {how for *_, how in want} == {"blind", "attended"}


def test_a_call_that_was_made_and_handed_over_to_nobody_was_not_missed() -> None:
    """The rows of the dialling manager are written at the transfer, those of the receiver's telephone long after it."""
    of = made()
    one, two = list(of.book.extensions)[:2]
    at = MONDAY_MS + 10 * HOUR_MS
    begun = Leg(
        call="c", manager=one, direction="outbound", started_at=at, answered_at=at + 5_000, transfer_at=at + 30_000,
        ended_at=at + 30_000, talk_ms=25_000, to=two, lead="l", has_end=True,
    )  # fmt: skip
    in_vain = Leg(
        call="c", manager=two, direction="inbound", started_at=at + 30_500, ended_at=at + 55_000, lead="l",
        disposition="no_answer", has_end=True,
    )  # fmt: skip
    other = msgspec.structs.replace(begun, call="d", transfer_at=None, ended_at=at + 45_000, talk_ms=9_000, lead="m")
    facts = Exchange(of.book).facts(History([[begun, in_vain], [other]], []))
    ends = [event for event in of_lines(cdr_source(of), cdr.rows(facts), LATEST_MS) if isinstance(event, CallEnded)]
    want = [(one, "answered"), (one, "answered"), (two, "no_answer")]
    assert sorted((end.manager, end.disposition) for end in ends) == sorted(want)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_week_gives_the_same_tables(adapter: str) -> None:
    of = made(seed=11, days=7, managers=10)
    want = expected(of, ADAPTERS[adapter].losses, of.end_ms)
    assert differences(want, tables(of, ADAPTERS[adapter].read(of))) == {}


@pytest.mark.parametrize("adapter", sorted({name for loss in LOSSES for name in loss.adapters}))
def test_each_loss_concerns_the_metrics_that_the_table_says(adapter: str) -> None:
    """Series of managers whom the loss adds or removes are left out. Attention is needed after days only."""
    of = made()
    history = copied(of.history)
    before = tables(of, history.events(), EVENING_MS)
    found = {}
    for loss in losses_of(adapter):
        loss.change(history, of.book)
        after = tables(of, history.events(), EVENING_MS)
        known = {labels[0] for _, labels in before} & {labels[0] for _, labels in after}
        found[loss.name] = {name for name, labels in differences(before, after) if labels[0] in known}
        before = after
    assert found == {loss.name: loss.metrics - {"lead_attention"} for loss in losses_of(adapter)}

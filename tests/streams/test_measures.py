"""Measures: a made name is parsed to the same parts, and every measure that a lead contributes is registered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.tables import measures
from streams.tables.measures import COACHING, DAYS_READ, DIMENSIONS, Measure, parse
from tests.examples import examples
from tests.streams.lead_cases import DAY, NOON, Lead, consulted, dial, leg, note, stage, touched

ANY_TEXT = st.text(max_size=12)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("won", Measure("won")),
        ("calls:5+", Measure("calls", "5+")),
        ("stage:a@b=c:d", Measure("stage", "a@b=c:d")),
        ("won@product=a@b=c:d", Measure("won", "", "product", "a@b=c:d")),
        ("amount:EUR", Measure("amount", "EUR")),
        ("amount@channel=a:b:EUR", Measure("amount", "EUR", "channel", "a:b")),
        ("reason:price@proposal", Measure("reason", "price", "", "proposal")),
        ("reason:price@a=b", Measure("reason", "price", "", "a=b")),
        ("won@product", Measure("won@product")),
    ],
)
def test_a_measure_has_these_parts(text: str, parts: Measure) -> None:
    assert parse(text) == parts


@examples(200)
@given(st.sampled_from((measures.WON, measures.PROPOSED)), st.sampled_from(DIMENSIONS), ANY_TEXT, ANY_TEXT)
def test_a_measure_by_dimension_keeps_its_value_and_takes_another(
    head: str, dimension: str, value: str, other: str
) -> None:
    parts = parse(measures.by_dimension(head, dimension, value))
    assert parts == Measure(head, "", dimension, value)
    assert measures.with_value(parts, other) == measures.by_dimension(head, dimension, other)
    amount = parse(measures.amount_by_channel(value, "EUR"))
    assert amount == Measure(measures.AMOUNT, "EUR", "channel", value)
    assert measures.with_value(amount, other) == measures.amount_by_channel(other, "EUR")


def test_every_measure_that_a_lead_contributes_is_registered_and_every_registered_one_occurs() -> None:
    step = {"agreed": True, "due_at": NOON + DAY}
    lead = Lead().take(
        *(dial(f"d{number}") for number in range(5)),
        *(leg(f"t{number}", NOON + number * 1_000_000) for number in range(1, 7)),
        note("t1", stages=("presentation", "proposal"), reason="no_answer", **step),
        consulted(NOON - DAY),
        touched(),
        stage("won", NOON + 2 * DAY, "d1", amount="10", currency="EUR", channel="web"),
        stage("lost", NOON + 2 * DAY, "d2"),
        leg("late", NOON + DAY // 2, started_at=NOON + DAY // 2 - 60_000),
        dial("night", NOON - 10 * 3_600_000),
        *(leg(f"open{number}", NOON + 3 * DAY + number * 1_000_000) for number in range(6)),
        stage("proposal", NOON + 2 * DAY + 1, "d3"),
    )
    heads = {parse(measure).head for _, measure, _ in lead.received.totals}
    heads |= {parse(contribution.measure).head for contribution in lead.fold.contributions(lead.row.state)}
    assert heads == DAYS_READ.keys() - set(COACHING)  # which tests of coaching make

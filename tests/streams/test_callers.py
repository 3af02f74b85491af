"""Unknown callers: their shown names, and the caller of a short reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.callers import meant, reference, shown
from streams.phone_numbers import digest, lead_key

KEY = "phone:174605dd995a9e798138e50e3eab9f7d"
ALIKE = "phone:174605dd" + 24 * "0"
LEADS = ["crm-77", KEY, ALIKE, "phone:" + 32 * "a", "174605de"]


@pytest.mark.parametrize(
    ("lead", "short", "told"),
    [
        (KEY, "174605dd", "unknown caller 174605dd"),
        ("crm-77", None, "crm-77"),
        ("hubspot:contact:12", None, "hubspot:contact:12"),
        ("phone:home", None, "phone:home"),
        ("", None, ""),
    ],
)
def test_a_lead_is_shown_by_its_id_and_a_caller_by_the_reference(lead: str, short: str | None, told: str) -> None:
    assert (reference(lead), shown(lead)) == (short, told)


@pytest.mark.parametrize(
    ("text", "leads"),
    [
        ("crm-77", ["crm-77"]),
        (" crm-77 ", ["crm-77"]),
        ("crm-7", []),
        (KEY, [KEY]),
        ("174605dd", [ALIKE, KEY]),
        ("174605dd9", [KEY]),
        ("174605DD9", [KEY]),
        ("unknown caller 174605dd9", [KEY]),
        ("phone:174605dd9", [KEY]),
        ("aaaaaaaa", ["phone:" + 32 * "a"]),
        ("1746", []),
        ("174605de", ["174605de"]),
        ("", []),
    ],
)
def test_a_text_names_the_lead_with_this_id_or_every_caller_with_this_reference(text: str, leads: list[str]) -> None:
    assert meant(text, LEADS) == leads


@given(st.sets(st.text("0123456789", min_size=7, max_size=12), min_size=1, max_size=20))
def test_what_is_shown_finds_its_caller_again(numbers: set[str]) -> None:
    leads = [f"phone:{digest(number, b'a secret')}" for number in numbers]
    for lead in leads:
        assert lead in meant(shown(lead), leads)
        assert meant(lead, leads) == [lead]


def test_nothing_of_a_number_is_in_what_is_shown() -> None:
    key = lead_key("+31150010001", b"an example, 16 characters or more")
    assert key == KEY
    assert shown(key) == "unknown caller 174605dd"

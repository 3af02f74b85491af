"""Telephone numbers as keys."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.phone_numbers import e164, has_number, is_outside_number, lead_key

SECRET = b"a secret of the tests, long enough"


@pytest.mark.parametrize(
    ("number", "region", "expected"),
    [
        ("+31150010004", None, "+31150010004"),
        ("0031150010004", None, "+31150010004"),
        ("0150010004", "NL", "+31150010004"),
        ("+31 (15) 001-00.04", None, "+31150010004"),
        ("8 (495) 123-45-67", "RU", "+74951234567"),
        ("+7 495 123 45 67", "NL", "+74951234567"),
        ("0150010004", None, None),
        ("201", "NL", None),
        ("anonymous", "NL", None),
        ("", "NL", None),
        ("+", "NL", None),
        ("+999999999999999", None, None),
        ("0150010004", "XX", None),
    ],
)
def test_numbers_come_to_e164_where_they_can(number: str, region: str | None, expected: str | None) -> None:
    assert e164(number, region) == expected


def test_all_spellings_of_a_number_have_one_key() -> None:
    spellings = ["+31150010004", "0031150010004", "0150010004", "015-001 0004", "+31 15 0010004"]
    assert len({lead_key(number, SECRET, "NL") for number in spellings}) == 1


def test_the_key_is_the_truncated_hmac_of_the_number() -> None:
    digest = hmac.new(SECRET, b"+31150010004", sha256).hexdigest()
    assert lead_key("+31150010004", SECRET) == f"phone:{digest[:32]}"


@pytest.mark.parametrize(
    "number", ["201", "112", "*98", "anonymous", "", "sip:alice", "123456", "+" + "1" * 16, "٣١٢٣٤٥٦٧"]
)
def test_what_is_no_subscribers_number_is_no_lead(number: str) -> None:
    assert number == "٣١٢٣٤٥٦٧" or not is_outside_number(number)
    if number.isascii():
        assert lead_key(number, SECRET, "NL") is None


def test_a_number_that_cannot_be_completed_keeps_one_key_for_one_spelling() -> None:
    assert lead_key("0150010004", SECRET) == lead_key("015 0010004", SECRET)
    assert lead_key("0150010004", SECRET) != lead_key("0150010004", SECRET, "NL")


def test_another_secret_gives_another_key() -> None:
    assert lead_key("+31150010004", SECRET) != lead_key("+31150010004", SECRET + b"!")


@given(number=st.text(max_size=30), region=st.sampled_from([None, "NL", "RU", "US", "XX", ""]))
def test_any_text_gives_a_key_or_none_and_the_key_never_shows_the_number(number: str, region: str | None) -> None:
    key = lead_key(number, SECRET, region)
    assert key is None or re.fullmatch(r"phone:[0-9a-f]{32}", key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("sales", False), ("670100-540100", False), ("150010001", False), ("0201234567", True), ("q-+3115001", True)],
)
def test_names_that_could_show_a_number_are_found(text: str, expected: bool) -> None:
    assert has_number(text) is expected

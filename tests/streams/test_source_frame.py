"""The shape of a refused body: it has no digit and no word of a value, and still shows the error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.frame import LONGEST_SHAPE, shape


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"phone": "+49 171 39200", "n": 7}', b'{"phone":"+99 999 99999","n":"9"}'),
        ('{"кто": "Вера", "is": [true, null, 1.5]}'.encode(), b'{"aaa":"aaaa","is":[true,null,"9.9"]}'),
        (b'{"4917139200": {"a": "b"}}', b'{"9999999999":{"a":"a"}}'),
        (b'{"call_id2": 1, "Ann Lee": 2, "x-y.z": 3}', b'{"call_id9":"9","aaa aaa":"9","x-y.z":"9"}'),
        (b"From=%2B4917139200&Digits=", b"aaaa=%9a9999999999&aaaaaa="),
        (b"\xff\xfe12", "\ufffd\ufffd99".encode()),
        (b"", b""),
        (b"[" * 5000, b"[" * LONGEST_SHAPE),
    ],
)
def test_the_shape_keeps_keys_and_punctuation(data: bytes, expected: bytes) -> None:
    assert shape(data) == expected


@given(st.binary(max_size=200))
def test_no_digit_is_left_in_any_shape(data: bytes) -> None:
    assert set(shape(data).decode("utf-8", "replace")) & set("012345678") == set()


def test_the_shape_of_a_very_long_body_is_that_of_its_beginning() -> None:
    body = b'{"phone": "+4917139200", "more": [' + b"{}," * 300_000 + b"1]}"
    assert shape(body) == (b'{"aaaaa": "+9999999999", "aaaa": [' + b"{}," * 5_000)[:LONGEST_SHAPE]

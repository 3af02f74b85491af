"""The signature of Twilio, against the values in the tests of Twilio's own library (twilio-python, MIT)."""

from __future__ import annotations

import pytest

from streams.sources.twilio.signature import MOST_FIELDS, fields_of, is_signed

TOKEN = "12345"  # noqa: S105 - of the library's tests
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
BODY = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def signed(signature: str = SIGNATURE, key: str = TOKEN, url: str = URL, body: bytes = BODY) -> bool:
    fields = fields_of(body)
    assert fields is not None
    return is_signed(signature, key, url, fields)


def test_the_signature_of_the_library_holds() -> None:
    assert signed()
    assert signed(body=b"&".join(reversed(BODY.split(b"&")))), "fields are signed in their order by name"


@pytest.mark.parametrize(
    "changed",
    [
        {"signature": ""},
        {"signature": SIGNATURE[:-2] + "9="},
        {"signature": "\udc80"},
        {"key": "54321"},
        {"key": ""},
        {"url": URL.replace("https", "http")},
        {"url": URL + "&more=1"},
        {"body": BODY + b"&Empty="},
        {"body": BODY.replace(b"1234&", b"1235&")},
    ],
    ids=str,
)
def test_anything_else_is_not_signed(changed: dict[str, str]) -> None:
    assert not signed(**changed)  # type: ignore[arg-type]  # only its own keys


def test_the_port_that_the_scheme_implies_makes_no_difference() -> None:
    """Twilio signs with and without it: both are tried, whichever the gateway sees."""
    with_port = URL.replace(".com/", ".com:443/")
    assert signed(url=with_port)
    assert not signed(url=URL.replace(".com/", ".com:8443/"))
    assert not signed(url="https://[broken")
    assert not signed(url="ftp://mycompany.com/")


def test_a_field_that_stands_twice_with_one_value_is_signed_once() -> None:
    assert signed(body=BODY + b"&Digits=1234")


def test_a_form_with_too_many_fields_is_none() -> None:
    assert fields_of(b"&".join([b"a=1"] * (MOST_FIELDS + 1))) is None
    assert fields_of(b"&".join([b"a=1"] * MOST_FIELDS)) is not None
    assert fields_of("a=\xe9".encode("latin-1")) == [("a", "\udce9")]
    assert fields_of(b"") == []

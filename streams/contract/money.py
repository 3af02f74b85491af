"""Amounts and currencies as CRMs write them. A value that cannot be read is no reason to refuse its event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final

MAX_AMOUNT: Final = Decimal(10) ** 15
"""A larger amount cannot be read."""

_CODE: Final = re.compile(r"[A-Z]{3}")
_CURRENCIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "€": "EUR",
        "EURO": "EUR",
        "£": "GBP",
        "US$": "USD",
        "₽": "RUB",
        "RUR": "RUB",
        "РУБ": "RUB",
        "РУБ.": "RUB",
        "₴": "UAH",
        "₸": "KZT",
    }
)
"""Names of currencies other than their ISO 4217 code. "$" is no such name: several countries use it."""
_PLAIN: Final = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d{1,3})?")
_GROUPED: Final = re.compile(r"(?P<sign>[+-]?)(?P<number>\d[\d.,]*)")
_THOUSANDS: Final = re.compile(r"\d{1,3}(,\d{2,3})*,\d{3}")  # groups of two are Indian
_SPACES: Final = re.compile(r"[\s'\N{RIGHT SINGLE QUOTATION MARK}_]+")


def read_currency(value: object) -> str | None:
    """Return the ISO 4217 code that `value` names, in any case or by a common symbol; None if it names none."""
    if not isinstance(value, str):
        return None
    name = value.strip().upper()
    if name in _CURRENCIES:
        return _CURRENCIES[name]
    return name if _CODE.fullmatch(name) else None


def read_amount(value: object) -> Decimal | None:
    """Return the amount that `value` holds, a number or a text; None if it cannot be read or is beyond ±10^15.

    In a text, spaces and apostrophes separate thousands. If it has both a comma and a point, the last of them is the
    decimal separator. A single comma is the decimal separator unless three digits follow it, a single point always is
    ("1,000" is a thousand, "1.000" is one). The name of a currency before or behind the number is skipped.
    """
    if isinstance(value, Decimal):
        amount = value
    elif isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    else:
        text = _number(value) if isinstance(value, str) else str(value)
        if text is None:
            return None
        try:
            amount = Decimal(text)
        except InvalidOperation:
            return None
    return amount if amount.is_finite() and abs(amount) <= MAX_AMOUNT else None


def _number(text: str) -> str | None:
    """Return a text as Decimal reads it; None if it is no number."""
    if len(text) > 64:  # noqa: PLR2004 - no amount is longer
        return None
    text = _SPACES.sub("", _without_currency(text.strip())).replace("\N{MINUS SIGN}", "-")
    if _PLAIN.fullmatch(text):
        return text
    match = _GROUPED.fullmatch(text)
    if match is None:
        return None
    number = match["number"]
    last_comma, last_point = number.rfind(","), number.rfind(".")
    if last_comma > last_point >= 0 or (last_point < 0 and _is_decimal_comma(number)):
        whole, decimals, separator = number[:last_comma], number[last_comma + 1 :], "."
    elif number.count(".") == 1:
        whole, decimals, separator = number[:last_point], number[last_point + 1 :], ","
    else:
        whole, decimals, separator = number, "", "." if last_comma < 0 else ","
    if separator in whole and not _THOUSANDS.fullmatch(whole.replace(separator, ",")):
        return None
    whole = whole.replace(separator, "")
    return f"{match['sign']}{whole}.{decimals}" if whole.isdigit() and (not decimals or decimals.isdigit()) else None


def _is_decimal_comma(number: str) -> bool:
    whole, _, decimals = number.partition(",")
    return "," not in decimals and (len(decimals) != 3 or len(whole) > 3 or whole == "0")  # noqa: PLR2004 - thousands


def _without_currency(text: str) -> str:
    """Return the text without the name of a currency at its begin or end."""
    begin = re.match(r"[^\d+\-\N{MINUS SIGN}.,]+", text)
    if begin is not None and _names_currency(begin[0].strip()):
        return text[begin.end() :].strip()
    end = re.search(r"[^\d.,]+\.?$", text)
    if end is not None and _names_currency(end[0].strip()):
        return text[: end.start()].strip()
    return text


def _names_currency(text: str) -> bool:
    return text.upper() in _CURRENCIES or _CODE.fullmatch(text) is not None

"""Wrong files and wrong rows: each is refused with a reason that quotes nothing, and the rest is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.contract.events import DealStageChanged, encode
from streams.sources.files.text import UnreadableFileError
from streams.sources.frame import Translation
from tests.streams.files_cases import FIXTURES, read, settings_of

BAD = FIXTURES / "bad" / "csv"
CASES = {case["file"]: case for case in json.loads((BAD / "index.json").read_bytes())["cases"]}
TABLES = """
[sources.files.bad]
what = "calls"
encoding = "%s"
delimiter = ";"
time = "%%d.%%m.%%Y %%H:%%M:%%S"
timezone = "Europe/Berlin"
[sources.files.bad.columns]
call = "ID"
started = "Start"
direction = "Direction"
manager = "Manager"
lead_number = "Customer"
wait = "Ring"
talk = "Talk"
disposition = "Result"
[sources.files.bad.values]
direction = { in = "inbound", out = "outbound" }

[sources.files.deals]
what = "deals"
encoding = "utf-8"
delimiter = ";"
decimal = ","
time = "%%d.%%m.%%Y %%H:%%M:%%S"
timezone = "Europe/Berlin"
[sources.files.deals.columns]
deal = "Deal"
changed = "Changed"
stage = "Stage"
amount = "Amount"
"""
REASONS = {
    "06-row-short.csv": "missing_field",
    "07-row-long.csv": "invalid_field",
    "08-date-us.csv": "invalid_time",
    "09-date-ambiguous-hour.csv": "invalid_time",
    "10-date-missing-hour.csv": "invalid_time",
    "11-date-2099.csv": "future",
    "12-span-text.csv": "invalid_field",
    "13-span-60-seconds.csv": "invalid_field",
    "14-span-negative.csv": "invalid_field",
    "15-span-comma.csv": "invalid_field",
    "16-result-unknown.csv": "invalid_field",
    "25-open-quote.csv": "invalid_field",
    "26-nul.csv": "invalid_field",
}
UNREADABLE = {
    "02-no-header.csv": 'has no column "ID", "Start", "Ring", "Talk", "Direction" and 3 more',
    "03-column-missing.csv": 'has no column "Talk"',
    "04-column-twice.csv": 'has no column "Ring"',
    "05-columns-renamed.csv": 'has no column "Start"',
    "21-wrong-encoding.csv": 'is no UTF-8: set encoding = "cp1251"',
    "22-utf8-as-cp1251.csv": 'seems to be UTF-8, not cp1251: set encoding = "utf-8"',
    "23-utf16.csv": 'seems to be UTF-16, not utf-8: set encoding = "utf-16"',
    "24-xlsx.csv": "is a ZIP archive or an Excel workbook",
}


def translate(name: str) -> Translation:
    settings = settings_of(TABLES % CASES[name].get("encoding", "utf-8"), "")
    data = (BAD / name).read_bytes()
    return read(data, settings, "deals" if data.startswith(b"Deal;") else "bad")


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_file_is_answered_as_it_must_be(name: str) -> None:
    expect: Any = CASES[name]["expect"]
    right = {expect["class"], *expect.get("class_any", ())}
    try:
        found = translate(name)
    except UnreadableFileError:
        assert "refused" in right
        return
    rows = [row for row in (BAD / name).read_bytes().splitlines() if row][1:]
    if found.refused:
        assert "ignored" in right
    else:
        assert "accepted" in right
        assert len(found.events) == len(rows)
    said = b"\n".join(map(encode, found.events)) + b"\n".join(
        f"{row.detail} {row.where}".encode() + row.shape for row in found.refused
    )
    for digits in (b"4950000101", b"95000010"):
        assert digits not in said


@pytest.mark.parametrize("name", REASONS)
def test_a_wrong_row_has_its_reason_and_the_others_count(name: str) -> None:
    found = translate(name)
    assert found.refused[0].reason == REASONS[name]
    assert found.refused[0].where == "line 2"
    sound = [row for row in (BAD / name).read_bytes().splitlines()[2:] if row.count(b";") == 7]
    assert len(found.events) == len(sound)


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_is_something_else_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        translate(name)
    assert str(caught.value).startswith(UNREADABLE[name])
    assert "4950000101" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("28-amount-10550-75.csv", "10550.75"),
        ("30-amount-currency-sign.csv", "1200.50"),
        ("29-amount-two-commas.csv", None),
    ],
)
def test_an_amount_is_read_by_the_decimal_separator_that_is_set(name: str, amount: str | None) -> None:
    (event,) = translate(name).events
    assert isinstance(event, DealStageChanged)
    assert (None if event.amount is None else str(event.amount)) == amount
    assert event.currency == ("RUB" if "currency" in name else None)


def test_of_two_rows_with_one_key_the_first_counts() -> None:
    one, two = translate("27-same-id-other-values.csv").events
    assert one.id == two.id

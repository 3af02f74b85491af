"""The spellings of numbers in sources: every spelling that the rules admit has one key, a withheld caller has none."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streams.phone_numbers import lead_key
from streams.settings.settings import SettingsError, load
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.numbers import NumberRules, Numbers
from streams.sources.registry import SOURCES

SECRET = b"a secret of the tests, long enough"
RU = NumberRules(region="RU")
DE = NumberRules(region="DE")
MANGO = NumberRules(region="RU", international=True)
TRUNK = NumberRules(region="RU", international=True, dial_prefixes=("9", "0"))
DESK = NumberRules(region="DE", dial_prefixes=("0",))
US = NumberRules(region="US", dial_prefixes=("9",))


@pytest.mark.parametrize(
    ("rules", "written", "number"),
    [
        # with a plus, whatever the region
        (NumberRules(), "+7 (495) 000-01-01", "+74950000101"),
        (DE, "+7 495 0000101", "+74950000101"),
        (DE, "tel:+4930-23125000", "+493023125000"),
        (DE, "sip:+493023125000@10.0.0.1;user=phone", "+493023125000"),
        (DE, '"Kunde" <+493023125000>', "+493023125000"),
        (RU, "+7 (495) 000\u201101\u201101 \u0434\u043e\u0431. 12", "+74950000101"),
        (RU, "'+74950000101", "+74950000101"),  # as a spreadsheet writes text
        (RU, "+7\u00a0495\u00a0000\u00a001\u00a001", "+74950000101"),
        (RU, "\uff0b\uff17 495 0000101", "+74950000101"),  # full width
        # national
        (RU, "84950000101", "+74950000101"),
        (RU, "8 (495) 000-01-01", "+74950000101"),
        (RU, "4950000101", "+74950000101"),
        (RU, "74950000101", "+74950000101"),
        (DE, "030 / 23125000", "+493023125000"),
        (DE, "0171 3920001", "+491713920001"),
        # exit codes
        (DE, "0049 30 23125000", "+493023125000"),
        (RU, "810493023125000", "+493023125000"),
        (RU, "8~10 49 30 23125000", "+493023125000"),
        (US, "011 49 30 23125000", "+493023125000"),
        # international without a plus
        (NumberRules(region="DE", international=True), "491713920001", "+491713920001"),
        (MANGO, "442079460204", "+442079460204"),
        (MANGO, "74950000101", "+74950000101"),
        (MANGO, "84950000101", "+74950000101"),  # and not a number in Vietnam
        (MANGO, "493023125000", "+493023125000"),
        (NumberRules(international=True), "442079460204", "+442079460204"),
        (NumberRules(region="DE", international=True), "03023125000", "+493023125000"),
        # a prefix for the line stands before the number, or does not
        (TRUNK, "984950000101", "+74950000101"),
        (TRUNK, "9+74950000101", "+74950000101"),
        (TRUNK, "974950000101", "+74950000101"),
        (TRUNK, "9810493023125000", "+493023125000"),
        (TRUNK, "9161234567", "+79161234567"),
        (TRUNK, "99161234567", "+79161234567"),
        (DESK, "003023125000", "+493023125000"),
        (DESK, "03023125000", "+493023125000"),
        (DESK, "0004420 79460204", "+442079460204"),
        (US, "9 1 212 555 0123", "+12125550123"),
        (US, "912125550123", "+12125550123"),
        (NumberRules(region="DE", dial_prefixes=("#31#",)), "#31#03023125000", "+493023125000"),
        # an incomplete number is its digits
        (NumberRules(), "8 (495) 000-01-01", "84950000101"),
        (RU, "442079460204", "442079460204"),
        (NumberRules(region="DE", shortest=5), "23125", "+4923125"),
        # no number
        (RU, "201", None),
        (RU, "*98", None),
        (RU, "112", None),
        (RU, "", None),
        (RU, "Anna Weber", None),
        (RU, "queue:sales", None),
        (RU, "12+34567890", None),
        (NumberRules(region="RU", shortest=11), "4950000101", None),
        (RU, "1" * 200, None),
    ],
)  # fmt: skip
def test_a_number_is_read_by_the_rules_of_its_source(rules: NumberRules, written: str, number: str | None) -> None:
    assert Numbers(rules).read(written) == number


@pytest.mark.parametrize(
    "caller",
    [
        "anonymous", "Anonymous", " ANONYMOUS ", "restricted", "unavailable", "private", "unknown", "withheld",
        "sip:anonymous@anonymous.invalid", '"Anonymous" <anonymous>', "+266696687", "+7378742833", "+86282452253",
        "+8656696", "+7748283", "+2562533", "00266696687", "скрытый номер", "Неизвестно", "unbekannt",
    ],
)  # fmt: skip
@pytest.mark.parametrize("rules", [RU, DE, MANGO, NumberRules()])
def test_a_withheld_caller_is_no_lead_and_not_one_lead_for_all(caller: str, rules: NumberRules) -> None:
    numbers = Numbers(rules)
    assert numbers.is_withheld(caller)
    assert numbers.read(caller) is None
    assert numbers.lead(caller, SECRET) is None


def test_the_digits_of_a_word_are_withheld_without_a_plus_only_where_numbers_are_international() -> None:
    assert Numbers(MANGO).read("266696687") is None
    assert Numbers(DE).read("07748283") == "+497748283"
    assert not Numbers(DE).is_withheld("7748283")


def test_a_source_may_name_its_own_sign_of_a_withheld_caller() -> None:
    numbers = Numbers(NumberRules(region="RU", withheld=("+7 495 000-00-00", "Теневой")))
    assert numbers.read("+74950000000") is None
    assert numbers.is_withheld("теневой")
    assert numbers.read("+74950000001") == "+74950000001"


def test_the_general_region_is_taken_where_the_rules_have_none() -> None:
    assert Numbers(NumberRules(), "DE").read("03023125000") == "+493023125000"
    assert Numbers(RU, "DE").read("84950000101") == "+74950000101"


NATIONAL = {"RU": ("8", "810"), "DE": ("0", "00"), "US": ("1", "011"), "GB": ("0", "00")}
EXAMPLES = {
    region: [
        str(example.national_number)
        for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
        if (example := phonenumbers.example_number_for_type(region, kind)) is not None
    ]
    for region in NATIONAL
}


@pytest.mark.fuzz
@given(data=st.data(), region=st.sampled_from(sorted(NATIONAL)))
def test_every_spelling_that_the_rules_admit_is_one_number(data: st.DataObject, region: str) -> None:
    example = data.draw(st.sampled_from(EXAMPLES[region]))
    national = example[:-5] + "".join(data.draw(st.lists(st.sampled_from("0123456789"), min_size=5, max_size=5)))
    code = phonenumbers.country_code_for_region(region)
    full = f"+{code}{national}"
    assume(phonenumbers.is_valid_number(phonenumbers.parse(full)))
    home = data.draw(st.sampled_from(sorted(NATIONAL)))
    trunk, exit_code = NATIONAL[home]
    international = data.draw(st.booleans())
    prefix = data.draw(st.sampled_from(["", "*9"]))  # a prefix of digits alone may begin another number
    written = [full, f"00{code}{national}", f"{exit_code}{code}{national}"]
    if home == region:
        written.append(trunk + national)
    if international and home != "US":
        written.append(f"{code}{national}")
    spaced = "".join(
        data.draw(st.sampled_from(["", " ", "-", "(", ")", "."])) + char for char in data.draw(st.sampled_from(written))
    )
    numbers = Numbers(NumberRules(region=home, international=international, dial_prefixes=(prefix,) if prefix else ()))
    assert numbers.lead(prefix + spaced, SECRET) == lead_key(full, SECRET)


@given(
    st.sampled_from([None, "RU", "DE", "US"]),
    st.from_regex(r"(\+|00|8|0|)[1-9][0-9]{5,11}", fullmatch=True) | st.from_regex(r"[0-9*#]{1,6}", fullmatch=True),
)
def test_rules_at_their_defaults_give_the_key_that_a_number_always_had(region: str | None, written: str) -> None:
    numbers = Numbers(NumberRules(region=region))
    assume(not numbers.is_withheld(written))
    assert numbers.lead(written, SECRET) == lead_key(written, SECRET, region)


@pytest.mark.fuzz
@given(st.text(max_size=200) | st.from_regex(r"[+0-9*#a-z:@<> ]{0,40}", fullmatch=True))
def test_any_text_gives_a_key_or_none_and_never_the_number(text: str) -> None:
    key = Numbers(TRUNK).lead(text, SECRET)
    assert key is None or re.fullmatch(r"phone:[0-9a-f]{32}", key)


# -- in the settings


def test_the_region_of_a_table_holds_for_the_tables_inside_it() -> None:
    text = 'privacy.region = "DE"\n[sources.asterisk]\n'
    assert load(text, {}, SOURCES).source(AsteriskMapping).numbers.region == "DE"
    settings = load(f'{text}region = "NL"\nnumbers = {{ international = true }}', {}, SOURCES)
    assert settings.source(AsteriskMapping).numbers == NumberRules(region="NL", international=True)
    settings = load(f'{text}numbers = {{ region = "RU" }}', {}, SOURCES)
    assert settings.source(AsteriskMapping).numbers.region == "RU"
    assert load("", {}, SOURCES).source(AsteriskMapping).numbers == NumberRules()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("dial_prefixes = ['+']", "numbers.dial_prefixes[0]"),
        ("shortest = 2", "numbers.shortest: must be at least 3"),
        ("region = 'Russia'", "numbers.region"),
        ("internationl = true", "did you mean international?"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(table: str, words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        load(f"[sources.asterisk]\nnumbers = {{ {table} }}", {}, SOURCES)

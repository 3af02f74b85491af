"""Identities of the roster: comparison, refusal and lookup."""

from __future__ import annotations

import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings.identities import GENERAL
from streams.settings.settings import Settings, SettingsError, explain
from streams.settings.settings import load as load_without_sources
from streams.sources.asterisk.mapping import AsteriskMapping, ChannelEnd, Directory, Rule
from streams.sources.people import Heard, People, Person
from streams.sources.registry import SOURCES

load = partial(load_without_sources, environ={}, sources=SOURCES)
SECRET = b"a secret of the tests, long enough"
MOBILE = "+4915112345678"
ROSTER = f"""
privacy.region = "DE"
[[managers]]
id = "anna.weber"
name = "Anna Weber"
identities = {{ extension = ["201", "202"], email = "Anna@Example.org", number = "{MOBILE}", asterisk = "aw" }}
[[managers]]
id = "jonas.krueger"
name = "Jonas Krüger"
identities = {{ extension = 203, endpoint = "PJSIP/desk-7", login = ["jonas", "jk"] }}
[[managers]]
id = "301"
name = "Twin"
[[managers]]
id = "302"
name = "Twin"
"""


NO_TEXT = "text or an array of texts was expected, not true or false"
OF = "has a value of managers[0].identities."
ONE = "; an identity belongs to one manager"
NO_NUMBER = "holds something that is no telephone number; extensions are under extension"


def people(text: str = ROSTER) -> People:
    return People.of(load(text), SECRET)


def problems(roster: str) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(roster)
    return {problem.key: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("heard", "manager", "by"),
    [
        (Heard(extension="201"), "anna.weber", "extension"),
        (Heard(extension=" 202 "), "anna.weber", "extension"),
        (Heard(email="ANNA@example.ORG"), "anna.weber", "email"),
        (Heard(number="0151 12345678"), "anna.weber", "number"),
        (Heard(number="004915112345678"), "anna.weber", "number"),
        (Heard(user="AW"), "anna.weber", "asterisk"),
        (Heard(endpoint="desk-7"), "jonas.krueger", "endpoint"),
        (Heard(endpoint="SIP/desk-7@10.0.0.1"), "jonas.krueger", "endpoint"),
        (Heard(endpoint="sip:Desk-7@10.0.0.1:5060"), "jonas.krueger", "endpoint"),
        (Heard(login="JK"), "jonas.krueger", "login"),
        (Heard(user="nobody", extension="203"), "jonas.krueger", "extension"),
        (Heard(user="aw", extension="203"), "anna.weber", "asterisk"),
        (Heard(user="Jonas.Krueger"), "jonas.krueger", "id"),
        (Heard(login="jonas.krueger"), "jonas.krueger", "id"),
        (Heard(extension="301"), "301", "id"),
        (Heard(user="jonas  KRÜGER"), "jonas.krueger", "name"),
        (Heard(user="jonas kru\u0308ger"), "jonas.krueger", "name"),
        (Heard(user="301"), "asterisk:301", ""),  # another source may count its users from 1, too
        (Heard(user="Twin"), "asterisk:twin", ""),
        (Heard(extension="999"), "asterisk:999", ""),
        (Heard(endpoint="PJSIP/999"), "asterisk:999", ""),
        (Heard(), "asterisk:unknown", ""),
        (Heard(user=" \x00 "), "asterisk:unknown", ""),
    ],
)  # fmt: skip
def test_a_person_is_found_by_what_a_source_says(heard: Heard, manager: str, by: str) -> None:
    assert people().resolve("asterisk", heard) == Person(manager, by)
    assert Person(manager, by).is_known == bool(by)


def test_the_user_id_of_one_source_is_none_of_another() -> None:
    assert people().resolve("mango", Heard(user="aw")) == Person("mango:aw", "")


@pytest.mark.parametrize(
    "heard",
    [
        Heard(number="+49 30 2312500"),
        Heard(user="030 2312500 17"),
        Heard(user="8 (495) 000-01-99"),
        Heard(login="anna +4930231250"),
        Heard(number="2312500"),
    ],
)
def test_what_could_be_a_number_is_hashed_and_stays_the_same_person(heard: Heard) -> None:
    found = people().resolve("pbx", heard)
    assert re.fullmatch(r"pbx:[0-9a-f]{32}", found.manager)
    assert found == people().resolve("pbx", heard)
    assert found != people().resolve("pbx", Heard(number="+49302312599"))


def test_all_spellings_of_an_unknown_number_are_one_person() -> None:
    spellings = ["+49 30 23125000", "030 23125000", "004930-23125000"]
    assert len({people().resolve("pbx", Heard(number=one)).manager for one in spellings}) == 1
    assert len({people().resolve("pbx", Heard(user=one)).manager for one in spellings}) == 1


def test_an_identity_may_be_the_hash_that_is_listed_for_a_number() -> None:
    unknown = people().resolve("asterisk", Heard(user="464505208276")).manager
    listed = unknown.removeprefix("asterisk:")
    entry = f'[[managers]]\nid = "anna"\nidentities = {{ asterisk = "{listed}" }}\n'
    assert People.of(load(f'privacy.region = "DE"\n{entry}'), SECRET).resolve(
        "asterisk", Heard(user="464505208276")
    ) == Person("anna", "asterisk")


def test_long_ids_that_differ_at_one_end_stay_different_and_fit_into_an_event() -> None:
    arn = "arn:aws:connect:eu-central-1:47:instance/2fd19730-4de0-42c3-95a4-20b29ec94385/agent/"
    ids = [f"{arn}{'a' * 30}{end}" for end in ("1", "2")] + [f"x{arn}{'a' * 30}1"]
    found = {people().resolve("amazon_connect", Heard(user=one)).manager for one in ids}
    assert len(found) == 3
    assert all(len(one) <= 128 for one in found)


@pytest.mark.fuzz
@given(st.text(max_size=300), st.sampled_from(Heard._fields))
def test_any_text_gives_a_person_whose_id_can_be_published(text: str, field: str) -> None:
    one = people_once.resolve("pbx", Heard(**{field: text}))
    assert 1 <= len(one.manager) <= 128
    assert one.manager.isprintable()
    assert one == people_once.resolve("pbx", Heard(**{field: f"  {text} "}))


people_once = people()


def test_the_fields_are_the_keys_that_hold_for_all_sources() -> None:
    assert set(Heard._fields) == {"user", *GENERAL}


# -- the roster


@pytest.mark.parametrize(
    ("first", "second", "key", "message"),
    [
        ("extension = '201'", "extension = ['9', '201']", "managers[1].identities.extension", OF + "extension" + ONE),
        ("email = 'a@x.org'", "email = ' A@X.ORG '", "managers[1].identities.email", OF + "email" + ONE),
        ("number = '0151 12345678'", "number = '+4915112345678'", "managers[1].identities.number", OF + "number" + ONE),
        ("endpoint = 'PJSIP/7'", "endpoint = 'SIP/7'", "managers[1].identities.endpoint", OF + "endpoint" + ONE),
        ("asterisk = '1'", "asterisk = 1", "managers[1].identities.asterisk", OF + "asterisk" + ONE),
        ("login = 'TWO'", "login = '2'", "managers[0].identities.login", "has a value that is managers[1].id" + ONE),
        ("extention = '1'", "", "managers[0].identities.extention", "is no source; did you mean extension?"),
        ("number = '201'", "", "managers[0].identities.number", NO_NUMBER),
        ("login = ''", "", "managers[0].identities.login[0]", "must have 1 to 256 characters"),
        ("login = []", "", "managers[0].identities.login", "must have at least 1 values"),
        ("login = true", "", "managers[0].identities.login", NO_TEXT),
        ("login = [1.5]", "", "managers[0].identities.login[0]", "text was expected, not a number"),
        ('login = "a\\u0000b"', "", "managers[0].identities.login[0]", "must not hold control characters"),
    ],
)  # fmt: skip
def test_identities_that_cannot_be_used_are_refused_with_both_keys(
    first: str, second: str, key: str, message: str
) -> None:
    roster = f"""
privacy.region = "DE"
[[managers]]
id = "one"
identities = {{ {first} }}
[[managers]]
id = "two"
identities = {{ {second} }}
"""
    assert problems(roster) == {key: message}


def test_a_value_twice_in_one_entry_and_the_own_id_are_no_problem() -> None:
    load('[[managers]]\nid = "a"\nidentities = { login = ["a", "A"], extension = ["1", "1"], email = "a" }')


def test_two_sources_may_count_their_users_alike_and_like_the_ids_of_managers() -> None:
    load(
        '[[managers]]\nid = "1"\nidentities = { asterisk = "2" }\n'
        '[[managers]]\nid = "2"\nidentities = { asterisk = "1" }\n'
    )


def test_without_sources_every_key_may_be_one() -> None:
    assert load_without_sources('[[managers]]\nid = "a"\nidentities = { somewhere = "1" }', {}).managers["a"].identities


def test_a_number_is_seen_nowhere() -> None:
    settings = load(ROSTER)
    said = "\n".join([repr(settings), *map(str, explain(settings))])
    assert "15112345678" not in said
    assert "number (not shown)" in said
    assert "extension 201" in said
    duplicate = f'[[managers]]\nid = "x"\nidentities = {{ number = "{MOBILE}" }}\n'
    assert "15112345678" not in str(problems(ROSTER + duplicate))


# -- Asterisk


def classify(end: ChannelEnd, *rules: Rule, roster: str = ROSTER, region: str | None = "DE") -> tuple[str | None, str]:
    directory = Directory(AsteriskMapping(rules=rules, region=region), SECRET, people(roster))
    found = directory.classify(end)
    return found.manager, found.reason


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (ChannelEnd("desk-7"), ("jonas.krueger", "identities, by endpoint")),
        (ChannelEnd("201"), ("anna.weber", "identities, by extension")),
        (ChannelEnd("x", extension="203"), ("jonas.krueger", "identities, by extension")),
        (ChannelEnd("x", account="aw"), ("anna.weber", "identities, by asterisk")),
        (ChannelEnd("desk-7", extension="201"), ("jonas.krueger", "identities, by endpoint")),
        (ChannelEnd("trunk-1", extension="203"), (None, "trunks")),  # a caller outside whose number ends so
        (ChannelEnd("trunk-1", account="aw"), (None, "trunks")),
        (ChannelEnd("trunk-1", number=MOBILE), ("anna.weber", "identities, by number")),
        (ChannelEnd("trunk-1", number="015112345678"), ("anna.weber", "identities, by number")),
        (ChannelEnd("299"), ("299", "internal")),
        (ChannelEnd("anna.weber"), (None, "no rule, no trunk, not internal")),  # an id alone is no identity
    ],
)  # fmt: skip
def test_identities_name_the_manager_of_a_channel(end: ChannelEnd, expected: tuple[str | None, str]) -> None:
    assert classify(end) == expected


def test_rules_come_before_identities() -> None:
    rule = Rule(by="endpoint", pattern="201", manager="front-desk")
    assert classify(ChannelEnd("201"), rule) == ("front-desk", "rules[0], by endpoint")


@pytest.mark.slow
@given(
    st.builds(
        ChannelEnd,
        *(
            st.sampled_from(["", "201", "desk-7", "trunk-1", "anna.weber", "from-internal", "aw", MOBILE])
            for _ in range(5)
        ),
        is_line=st.booleans(),
    )
)
def test_a_roster_without_identities_changes_nothing(end: ChannelEnd) -> None:
    without = re.sub(r"identities = .*", "", ROSTER)
    assert classify(end, roster=without) == Directory(AsteriskMapping(region="DE"), SECRET).classify(end)[1:]


@pytest.mark.parametrize(
    ("member", "interface", "expected"),
    [
        ("Anna", "PJSIP/desk-7", "jonas.krueger"),
        ("Anna", "Local/202@from-queue/n", "anna.weber"),
        ("aw", "Local/9@from-queue/n", "anna.weber"),
        ("Anna", "PJSIP/299", "299"),
    ],
)
def test_a_queue_member_is_the_same_manager(member: str, interface: str, expected: str) -> None:
    assert Directory(AsteriskMapping(), SECRET, people()).member_manager(member, interface) == expected


def test_a_roster_without_identities_is_as_it_was() -> None:
    assert load('[[managers]]\nid = "a"').managers["a"].identities == ()
    assert Settings().managers == {}

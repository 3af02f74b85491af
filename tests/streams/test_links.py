"""Links: accepted templates, and the addresses that they make of ids."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.links import pieces, placeholders, problem, render
from streams.phone_numbers import lead_key
from streams.settings.settings import Links, SettingsError, load

KEY = lead_key("+31150010001", b"an example, 16 characters or more")
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("template", "id_", "address"),
    [
        ("https://crm.example/lead/{lead}", "crm-77", "https://crm.example/lead/crm-77"),
        ("https://crm.example/lead/{lead}", "a b/ü?&#%", "https://crm.example/lead/a%20b%2F%C3%BC%3F%26%23%25"),
        ("https://crm.example/?id={lead}&tab=1", "x&tab=2", "https://crm.example/?id=x%26tab%3D2&tab=1"),
        ("https://crm.example/lead/{lead}", "hubspot:contact:12", "https://crm.example/lead/hubspot%3Acontact%3A12"),
        ("https://p.example/crm/{lead.kind}/details/{lead.id}/", "bitrix24:deal:5", "https://p.example/crm/deal/details/5/"),
        ("http://127.0.0.1:8080/{lead.source}/{lead.id}", "a:b:c:9", "http://127.0.0.1:8080/a/9"),
        ("https://crm.example/{lead.id}", "crm-77", "https://crm.example/crm-77"),
        ("https://crm.example/{lead.kind}/{lead.id}", "crm-77", None),
        ("https://crm.example/{lead.source}/{lead.id}", "a:9", "https://crm.example/a/9"),
        ("https://crm.example/{lead.id}", "a:b:", None),
        ("https://crm.example/{lead}", "..", None),
        ("https://crm.example/{lead}", ".", None),
        ("https://crm.example/{lead}", "", None),
        ("", "crm-77", None),
        ("https://crm.example/{lead}", KEY, None),
    ],
)  # fmt: skip
def test_the_page_of_a_lead(template: str, id_: str, address: str | None) -> None:
    assert Links(lead=template).of_lead(id_) == address


def test_each_kind_of_thing_has_its_own_page() -> None:
    links = load(
        """
        [links]
        lead = "https://crm.example/l/{lead}"
        deal = "https://crm.example/d/{deal}"
        call = "https://pbx.example/c?id={call}"
        manager = "https://crm.example/m/{manager}"
        """,
        {},
    ).links
    assert links.of_lead("1") == "https://crm.example/l/1"
    assert links.of_deal("2") == "https://crm.example/d/2"
    assert links.of_call("1795435200.7") == "https://pbx.example/c?id=1795435200.7"
    assert links.of_manager("asterisk:201") == "https://crm.example/m/asterisk%3A201"
    nothing = load("", {}).links
    assert (nothing.of_lead("1"), nothing.of_deal("1"), nothing.of_call("1"), nothing.of_manager("1")) == (None,) * 4


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("https://crm.example/{lead}/{call}", "has the unknown placeholder {call}; known here: {lead}, {lead.source}"),
        ("https://crm.example/{}", "has the unknown placeholder {}"),
        ("https://crm.example/leads", "does not name {lead} or {lead.id}"),
        ("https://crm.example/{lead.kind}", "does not name {lead} or {lead.id}"),
        ("https://crm.example/{lead", "a brace without its other one"),
        ("https://crm.example/lead}", "a brace without its other one"),
        ("ftp://crm.example/{lead}", "begins with http:// or https://"),
        ("javascript:alert({lead})", "begins with http:// or https://"),
        ("crm.example/{lead}", "begins with http:// or https://"),
        ("https:///{lead}", "begins with http:// or https://"),
        ("https://{lead}/", "begins with http:// or https://"),
        ("https://{lead}.crm.example/", "begins with http:// or https://"),
        ("https://crm.example{lead}", "begins with http:// or https://"),
        ("https://crm.example:{lead}/", "begins with http:// or https://"),
        ("https://me:secret@crm.example/{lead}", "begins with http:// or https://"),
        ("https://crm.example/a b/{lead}", 'has the character " ", which must be percent-encoded'),
        ("https://crm.example/$team/{lead}", 'has the character "$"'),
        ("https://crm.example/ü/{lead}", 'has the character "ü"'),
        ("https://crm.example/\\x1b/{lead}", 'has the character "\\"'),
    ],
)
def test_a_template_that_cannot_be_right_says_why_under_its_key(template: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(f"[links]\nlead = '{template}'", {})
    (found,) = caught.value.problems
    assert found.key == "links.lead"
    assert told in found.message


def test_the_id_of_a_manager_has_no_parts() -> None:
    with pytest.raises(SettingsError, match=r"unknown placeholder \{manager\.id\}; known here: \{manager\}$"):
        load('links.manager = "https://crm.example/{manager.id}"', {})
    with pytest.raises(SettingsError, match=r"does not name \{manager\}, so"):
        load('links.manager = "https://crm.example/"', {})


def test_a_template_is_text_and_no_longer_than_an_address() -> None:
    for value in ("7", f'"https://crm.example/{"x" * 1000}{{call}}"'):
        with pytest.raises(SettingsError, match=r"links\.call"):
            load(f"[links]\ncall = {value}", {})
    assert load('[links]\ncall = " "', {}).links.call == ""


@given(IDS, st.sampled_from(["https://crm.example/a/{lead}/b?x=1#y", "http://crm.example:99/?id={lead}&x={lead.id}"]))
def test_no_id_changes_anything_of_the_address_but_the_place_it_is_for(id_: str, template: str) -> None:
    made = render(template, "lead", id_)
    if made is None:
        assert not id_.rpartition(":")[2] or {id_, id_.rpartition(":")[2]} & {".", ".."}
        return
    assert made.isascii()
    assert made.isprintable()
    assert " " not in made
    split, meant = urlsplit(made), urlsplit(template)
    assert (split.scheme, split.netloc, split.fragment) == (meant.scheme, meant.netloc, meant.fragment)
    if "id=" in template:
        found = parse_qs(split.query, keep_blank_values=True, strict_parsing=True)
        assert found == {"id": [id_], "x": [id_.rpartition(":")[2]]}
    else:
        parts = split.path.split("/")
        assert (len(parts), unquote(parts[2])) == (4, id_)


@given(IDS, st.integers(4, 15))
def test_a_lead_known_by_a_number_alone_has_no_page_whatever_its_hash_is(secret: str, digits: int) -> None:
    key = lead_key("+49" + "7" * digits, secret.encode())
    assert key is None or Links(lead="https://crm.example/{lead}").of_lead(key) is None


@given(st.text("{}lead.ikns/:x ", max_size=30))
def test_a_template_is_taken_or_refused_and_its_pieces_are_the_whole(text: str) -> None:
    template = f"https://crm.example/{text}"
    if problem(template, "lead") is None:
        made: Any = [f"{{{piece}}}" if is_placeholder else piece for piece, is_placeholder in pieces(template)]
        assert "".join(made) == template
        assert {piece for piece, is_placeholder in pieces(template) if is_placeholder} <= set(placeholders("lead"))
        assert render(template, "lead", "a:b:c") is not None

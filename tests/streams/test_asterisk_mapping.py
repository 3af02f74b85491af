"""The settings of the Asterisk source: accepted values, and the errors of refused ones."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from streams.settings.settings import SettingsError, load
from streams.sources.asterisk import Asterisk, AsteriskMapping, Rule
from streams.sources.asterisk.dialled import is_line
from streams.sources.asterisk.mapping import ChannelEnd, Directory
from streams.sources.asterisk.model import Channel
from streams.sources.registry import SOURCES

SECRET = b"a secret of the tests, long enough"


def manager(name: str, number: str = "", **settings: object) -> str | None:
    channel = Channel("1700000000.1", name, "1700000000.1", 0)
    end = ChannelEnd(channel.endpoint, number=number)
    return Directory(AsteriskMapping(**settings), SECRET).classify(end).manager  # type: ignore[arg-type]  # a table of cases


def read(table: str) -> AsteriskMapping:
    """Return the mapping of a settings file whose `[sources.asterisk]` holds these lines."""
    return load(f"[sources.asterisk]\n{table}", {}, SOURCES).source(AsteriskMapping)


def test_the_whole_table_can_be_written_in_toml() -> None:
    mapping = read(
        """
        source = "pbx1"
        rules = [{ by = "endpoint", pattern = 'sip-(\\d+)', manager = 'm\\1' }]
        trunks = ["acme.*"]
        trunk_contexts = ["from-world"]
        internal = '\\d{3}'
        manager_prefix = "x-"
        unmapped = "manager"
        default_queue = "front-desk"
        region = "NL"
        """
    )
    assert mapping.rules == (Rule(by="endpoint", pattern="sip-(\\d+)", manager="m\\1"),)
    assert read("") == AsteriskMapping()


def test_the_example_in_the_documentation_is_accepted_and_shows_the_defaults() -> None:
    text = (Path(__file__).parents[2] / "docs" / "asterisk.md").read_text()
    blocks = re.findall(r"^ *```toml\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    secret = {"CALLPULSE_SOURCES__ASTERISK__AMI__SECRET": "a secret of the manager interface"}
    read = [load(block, secret if ".ami]" in block else {}, SOURCES) for block in blocks]
    (mapping,) = (one.source(AsteriskMapping) for one in read if "sources.asterisk.trunks" in one.origins)
    assert len(mapping.rules) == 2
    assert msgspec.structs.replace(mapping, rules=(), region=None) == AsteriskMapping()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('trunk = "x"', "sources.asterisk.trunk"),
        ('internal = "("', "internal: is no regular expression"),
        ('trunks = ["ok", "["]', "trunks: is no regular expression"),
        ('rules = [{ by = "endpoint", pattern = "*" }]', "rules[0].pattern: is no regular expression"),
        ("rules = [{ by = 'endpoint', pattern = 'a', manager = '\\1' }]", "rules[0].manager: does not fit"),
        ('rules = [{ by = "colour", pattern = "a" }]', "colour"),
        ('rules = [{ pattern = "a" }]', "by"),
        ('region = "Netherlands"', "region"),
        ('source = ""', "source"),
        ('unmapped = "maybe"', "unmapped"),
        ('default_queue = "0201234567"', "default_queue: looks like a telephone number"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_key(table: str, words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        read(table)


def test_a_translator_refuses_a_mapping_that_cannot_be_used() -> None:
    with pytest.raises(ValueError, match="internal"):
        Asterisk(AsteriskMapping(internal="("), SECRET)


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("SIP/150010001-00000002", "150010001"),
        ("PJSIP/101-0000a1b2", "101"),
        ("IAX2/101-1234", "101"),
        ("SIP/101-00000002<ZOMBIE>", "101"),
        ("SIP/voipgrid-siproute-docker-00000016", None),
        ("PJSIP/My-Trunk-00000016", None),
        ("PJSIP/twilio-pstn-00000016", None),
        ("DAHDI/i1/0612345678-1", None),
        ("PJSIP/+31150010004-00000001", None),
        ("PJSIP/alice-00000001", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_the_endpoint_of_a_channel_names_its_manager(channel: str, expected: str | None) -> None:
    assert manager(channel) == expected


def test_a_number_rule_is_for_trunks_alone() -> None:
    rules = (Rule(by="number", pattern=r"\+?31612345678", manager="anna"),)
    assert manager("SIP/trunk-1", "+31612345678", rules=rules) == "anna"
    assert manager("SIP/101-1", "+31612345678", rules=rules) == "101"


@pytest.mark.parametrize(
    ("linkedid", "passes"),
    [
        ("1700000000.123", True),
        ("e25ad522d444-1553503669.94", True),
        ("pbx.example.org-1553503669.94", True),
        ("ua5-ams-1552575068.23242646", True),
        ("31612345678", False),
        ("0612345678.1", True),  # the form of an id of Asterisk's own; a second in 1989, and no number to dial
        ("call-31612345678", False),
        ("31612345678-1553503669.94", False),
        ("+31612345678", False),
        ("", False),
        ("x" * 500, False),
    ],
)
def test_only_asterisks_own_ids_are_published_as_they_are(linkedid: str, passes: bool) -> None:
    name = Directory(AsteriskMapping(), SECRET).call_name(linkedid)
    assert (name == linkedid) is passes
    assert 0 < len(name) <= 64


@pytest.mark.parametrize(
    ("end", "role", "manager", "reason"),
    [
        (ChannelEnd("101", "from-internal"), "manager", "101", "internal"),
        (ChannelEnd("anna.weber", "from-internal"), "manager", "anna.weber", "internal_contexts (from-internal)"),
        (ChannelEnd("anna.weber", "phones-berlin"), "manager", "anna.weber", "internal_contexts (phones-berlin)"),
        (ChannelEnd("anna", "x", member=("Anna", "PJSIP/anna")), "manager", "anna", "member of a queue"),
        (ChannelEnd("anna", "x", member=("A", "PJSIP/+4917@anna")), "outside", None, "no rule, no trunk, not internal"),
        (ChannelEnd("anna.weber", "default"), "outside", None, "no rule, no trunk, not internal"),
        (ChannelEnd("+31150010001", "from-internal"), "outside", None, "no rule, no trunk, not internal"),
        (ChannelEnd("3211234", "default", is_line=True), "trunk", None, "dialled with a number that is not its own"),
        (ChannelEnd("3211234", "provider-in"), "trunk", None, "trunk_contexts (provider-in)"),
        (ChannelEnd("12", "from-analog"), "trunk", None, "trunk_contexts (from-analog)"),
        (ChannelEnd("12", "from-digital"), "trunk", None, "trunk_contexts (from-digital)"),
        (ChannelEnd("12", "from-dahdi-2"), "trunk", None, "trunk_contexts (from-dahdi-2)"),
        (ChannelEnd("telekom", "incoming-telekom"), "trunk", None, "trunk_contexts (incoming-telekom)"),
        (ChannelEnd("my-trunk", "from-internal"), "trunk", None, "trunks"),
    ],
)  # fmt: skip
def test_a_channel_is_classified_by_its_endpoint_context_and_how_it_was_dialled(
    end: ChannelEnd, role: str, manager: str | None, reason: str
) -> None:
    assert Directory(AsteriskMapping(), SECRET).classify(end) == (role, manager, reason)


def test_a_rule_comes_before_a_line() -> None:
    rules = (Rule(by="endpoint", pattern="3211234", manager="front-desk"),)
    end = ChannelEnd("3211234", is_line=True)
    assert Directory(AsteriskMapping(rules=rules), SECRET).classify(end) == (
        "manager",
        "front-desk",
        "rules[0], by endpoint",
    )


@pytest.mark.parametrize(
    ("dial_string", "line"),
    [
        ("3211234/004930555000111", True),
        ("004930555000111@3211234", True),
        ("3211234", False),
        ("3211234/sip:3211234@10.0.0.1:5060", False),
        ("150010002/150010002/172.20.0.13!!201", False),  # of the telephone that 3211234 picked the call up for
        ("", False),
    ],
)
def test_a_line_is_dialled_by_its_endpoint_and_another_number(dial_string: str, line: bool) -> None:
    channel = Channel("1700000000.1", "SIP/3211234-1", "1700000000.1", 0)
    channel.dialled_by = "1700000000.0"
    channel.dial_string = dial_string
    assert is_line(channel) is line


@pytest.mark.parametrize(
    ("exten", "number", "line"),
    [("3211234", "+4930555000111", True), ("101", "+4930555000111", False), ("3211234", "3211234", False)],
)
def test_a_call_from_outside_that_asks_for_its_own_endpoint_comes_in_on_a_line(
    exten: str, number: str, line: bool
) -> None:
    channel = Channel("1700000000.1", "SIP/3211234-1", "1700000000.1", 0)
    channel.exten, channel.first_number = exten, number
    assert is_line(channel) is line

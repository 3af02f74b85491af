"""The settings of the Asterisk source: what is accepted, what is refused and in which words."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from streams.settings.settings import SettingsError, load
from streams.sources.asterisk import Asterisk, AsteriskMapping, Rule
from streams.sources.asterisk.mapping import ChannelEnd, Directory
from streams.sources.asterisk.model import Channel
from streams.sources.registry import SOURCES

SECRET = b"a secret of the tests, long enough"


def manager(name: str, number: str = "", **settings: object) -> str | None:
    channel = Channel("1700000000.1", name, "1700000000.1", 0)
    end = ChannelEnd(channel.endpoint, number=number)
    return Directory(AsteriskMapping(**settings), SECRET).manager_of(end)  # type: ignore[arg-type]  # a table of cases


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
    mapping = load(text.partition("```toml\n")[2].partition("```")[0], {}, SOURCES).source(AsteriskMapping)
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

"""`callpulse lead-key`: the same key of a number as in the sources, and no trace of the number."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path

import pytest

from streams.phone_numbers import lead_key
from streams.settings.settings import load
from streams.sources.asterisk import AsteriskMapping
from streams.sources.numbers import Numbers
from streams.sources.registry import SOURCES
from tests.agents.cli_runner import Runner

SECRET = "an example, 16 characters or more"  # noqa: S105 - that of docs/events.md
NUMBER, KEY = "+31150010001", "phone:174605dd995a9e798138e50e3eab9f7d"
SETTINGS = f"""
[privacy]
lead_secret = "{SECRET}"
region = "DE"
"""


@pytest.fixture(autouse=True)
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "callpulse.toml"
    path.write_text(SETTINGS)
    return path


@pytest.mark.parametrize("spelling", [NUMBER, "0031 15 001 0001", "+31 (15) 001-00-01", "tel:+31-15-0010001"])
def test_it_makes_the_key_of_the_contract_of_every_spelling(callpulse: Runner, spelling: str) -> None:
    done = callpulse("lead-key", spelling)
    assert (done.code, done.out.strip(), done.err) == (0, f"174605dd  {KEY}", "")


def test_a_national_number_is_of_the_region_of_the_settings(callpulse: Runner) -> None:
    key = lead_key("+493012345678", SECRET.encode())
    assert callpulse("lead-key", "030 12345678", "--json").json == [
        {"reference": key[6:14] if key else "", "lead": key, "read_by": ["events"]}
    ]


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_it_reads_standard_input_which_no_shell_keeps(
    callpulse: Runner, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{NUMBER}\nmore\n"))
    assert callpulse("lead-key", *arguments).out.strip() == f"174605dd  {KEY}"


def test_sources_that_read_a_number_in_another_way_have_a_line_each(callpulse: Runner, settings: Path) -> None:
    more = '[sources.asterisk]\nnumbers = { dial_prefixes = ["9"] }\n[sources.mango]\nqueues = { "600" = "sales" }\n'
    settings.write_text(SETTINGS + more)
    typed = "900 31 15 0010001"
    read = load(settings.read_text(), {}, SOURCES)
    own = Numbers(read.source(AsteriskMapping).numbers, "DE").lead(typed, SECRET.encode())
    assert own == KEY
    found = {line.split()[1]: line.split(maxsplit=2)[2] for line in callpulse("lead-key", typed).out.splitlines()}
    assert found[KEY] == "asterisk"
    assert {"events", "mango"} <= set(", ".join(found.values()).split(", "))
    assert callpulse("lead-key", typed, "--source", "asterisk").out.strip() == f"174605dd  {KEY}"
    assert callpulse("lead-key", NUMBER).out.count("\n") == 1, "all read this one alike"


def test_the_number_is_in_no_log_and_in_no_error(callpulse: Runner, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for arguments in ((NUMBER,), (NUMBER, "--source", "nobody"), ("+99999999999999999",), ("anonymous",), ("201",)):
        done = callpulse("lead-key", *arguments)
        assert arguments[0].lstrip("+") not in (done.out + done.err + caplog.text).replace(KEY, "")


@pytest.mark.parametrize("text", ["201", "112", "anonymous", "", "crm-77"])
def test_what_is_no_number_of_a_caller_is_told(callpulse: Runner, text: str) -> None:
    done = callpulse("lead-key", text)
    assert done.code == 1
    assert "this is no number of a caller" in done.err


def test_it_needs_the_secret_and_a_source_that_reads_numbers(callpulse: Runner, settings: Path) -> None:
    assert callpulse("lead-key", NUMBER, "--source", "http").code == 2
    settings.write_text("")
    done = callpulse("lead-key", NUMBER)
    assert done.code == 2
    assert "privacy.lead_secret is not set" in done.err

"""The commands for FreeSWITCH with missing settings: errors in words, with the setting to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.gateway.folder import Folder
from tests.agents.cli_runner import Runner

SECRET = {"CALLPULSE_LEAD_SECRET": "an example, 16 characters or more"}


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        (("listen", "esl"), SECRET, 2, "sources.freeswitch.esl.host is not set"),
        (("sources", "test", "freeswitch"), SECRET, 2, "sources.freeswitch.esl.host is not set"),
        (("listen", "json-cdr"), SECRET, 2, "set sources.freeswitch.err_log_dir"),
        (("listen", "json-cdr", "missing"), SECRET, 2, "missing is no folder"),
        (("listen", "json-cdr", "."), {}, 2, "CALLPULSE_LEAD_SECRET"),
        (("check-config",), {"CALLPULSE_SOURCES__FREESWITCH__ESL__HOST": "pbx"}, 2, "ESL__PASSWORD"),
        (("check-config",), {"CALLPULSE_SOURCES__FREESWITCH__INTERNAL": "("}, 2, "is no regular expression"),
        (("check-config",), {"CALLPULSE_SOURCES__FREESWITCH__REGION": "DE"}, 2, 'set "24h" or more'),
    ],
)
def test_what_is_missing_is_said(
    callpulse: Runner, arguments: tuple[str, ...], environment: dict[str, str], code: int, words: str
) -> None:
    done = callpulse(*arguments, **environment)
    assert (done.code, "Traceback" in done.err) == (code, False)
    assert words in done.err + done.out


def test_a_folder_that_another_process_uses_is_an_error_in_words(callpulse: Runner, tmp_path: Path) -> None:
    held = Folder(tmp_path / "freeswitch-json-cdr")
    try:
        done = callpulse("listen", "json-cdr", ".", CALLPULSE_GATEWAY__DATA_DIR=str(tmp_path), **SECRET)
    finally:
        held.close()
    assert done.code == 70
    assert "freeswitch-json-cdr is in use by another process" in done.err

"""`callpulse gateway` and `callpulse listen` where a folder cannot be used: an error in words, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.gateway.folder import Folder
from tests.agents.cli_runner import Runner

SECRET = {"CALLPULSE_LEAD_SECRET": "an example, 16 characters or more"}


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (("gateway",), "gateway"),
        (("gateway", "--name", "second"), "second"),
        (("listen", "cel", "Master.csv"), "asterisk-cel"),
    ],
)
def test_a_folder_that_another_process_uses_is_an_error_in_words(
    callpulse: Runner, tmp_path: Path, arguments: tuple[str, ...], folder: str
) -> None:
    held = Folder(tmp_path / folder)
    try:
        done = callpulse(*arguments, CALLPULSE_GATEWAY__DATA_DIR=str(tmp_path), **SECRET)
    finally:
        held.close()
    assert done.code == 70
    assert f"{folder} is in use by another process" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("name", "table", "path"),
    [("mango", "sources.mango", "/hooks/mango/{token}"), ("crm", "sources.http.crm", "/v1/events")],
)
def test_a_new_token_comes_with_the_lines_for_the_settings_and_the_url_of_a_hook(
    callpulse: Runner, name: str, table: str, path: str
) -> None:
    made = callpulse("token", "new", name, "--json").json
    assert (made["table"], made["path"]) == (table, path.format(token=made["token"]))
    done = callpulse("token", "new", name)
    assert f"[{table}]" in done.err
    assert (f"https://HOST/hooks/{name}/{done.out.strip()}" in done.err) is path.startswith("/hooks")

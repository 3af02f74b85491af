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
        said = callpulse(*arguments, CALLPULSE_GATEWAY__DATA_DIR=str(tmp_path), **SECRET)
    finally:
        held.close()
    assert said.code == 70
    assert f"{folder} is in use by another process" in said.err
    assert "Traceback" not in said.err

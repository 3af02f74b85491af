"""Settings that would give a manager too many series: commands that export them refuse to run."""

from __future__ import annotations

import pytest

from tests.agents.cli_runner import Runner


@pytest.mark.parametrize("command", ["check-config", "worker"])
def test_settings_for_too_many_series_are_refused_with_the_count(callpulse: Runner, command: str) -> None:
    done = callpulse(command, CALLPULSE_RESULTS__ATTENTION_SERIES="20")
    assert done.code == 2
    assert "results.attention_series" in done.err
    assert "these settings make 191 series a manager, and at most 190 are allowed" in " ".join(done.err.split())
    assert "Traceback" not in done.err

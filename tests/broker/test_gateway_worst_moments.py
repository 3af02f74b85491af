"""The gateway is killed between two steps that belong together: sync and answer, commit and removal, and so on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker import gateway_process as process
from tests.broker.gateway_process import Prepare
from tests.broker.gateway_sender import check, sender_of

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.mark.parametrize(
    "prepare",
    [
        process.die_after_sync,
        process.die_before_commit,
        process.die_after_commit,
        process.spooled(process.die_before_commit),
        process.spooled(process.die_after_commit),
        process.die_before_removal,
    ],
    ids=[
        "after sync",
        "before commit",
        "after commit",
        "before commit of the spool",
        "after commit of the spool",
        "before removal",
    ],
)
def test_killed_at_the_worst_moments(bootstrap: str, tmp_path: Path, prepare: Prepare) -> None:
    sender = sender_of(bootstrap, tmp_path)
    sender.start(prepare)
    sender.load(3)
    assert sender.ended() == -9
    sender.start()
    sender.load(0.3)
    sender.answers(30)
    sender.stop()
    assert not sender.unanswered
    check(sender)

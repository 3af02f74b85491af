"""Nothing that was acknowledged is lost, and all of it is in the topic once: the gateway is killed at any moment.

The sender sends unanswered events again, as senders do. So in the end every event is acknowledged, and each is in the
topic exactly once. A separate consumer, which does not use positions and spools, checks that.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.broker import gateway_process as process
from tests.broker.gateway_process import Prepare
from tests.broker.gateway_sender import check, sender_of

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.slow]

KILLS = 20


@pytest.mark.parametrize("prepare", [None, process.spool_now_and_then], ids=["direct", "by way of the spool"])
def test_killed_at_random_moments(bootstrap: str, tmp_path: Path, prepare: Prepare | None) -> None:
    sender = sender_of(bootstrap, tmp_path)
    chance = random.Random(12)
    for _ in range(KILLS // 2):
        sender.start(prepare)
        sender.load(chance.uniform(0.05, 0.9))
        sender.kill()
    sender.start(prepare)
    sender.answers(120)
    sender.stop()
    assert not sender.unanswered
    assert not sender.refused
    assert len(sender.stored) > 100 * KILLS
    check(sender)

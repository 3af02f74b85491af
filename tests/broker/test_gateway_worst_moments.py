"""The gateway is killed between two dependent steps: sync and answer, commit and removal, and so on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from agents.gateway import pipeline
from agents.gateway.entries import Bundle, Outgoing, records_of
from agents.gateway.folder import Folder
from agents.gateway.spool import Spool
from agents.gateway.transactions import Transactions
from tests.broker import gateway_process as process
from tests.broker.gateway_process import Prepare
from tests.broker.gateway_sender import check, in_topic, sender_of

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.slow]


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


def test_killed_with_a_segment_of_which_kafka_has_a_part(
    bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the position tells the committed part. A process that sent the whole segment would repeat that part."""
    sender = sender_of(bootstrap, tmp_path)
    folder = Folder(tmp_path / "gateway")
    spool = Spool(tmp_path / "gateway" / "spool", 1 << 24)
    spool.append([Bundle(folder.next_position(), "mine", records_of([process.event(number)])) for number in range(200)])
    spool.close()
    folder.close()
    sender.stored.update(range(200))
    send = Transactions.send
    commits = []

    async def dying(self: Transactions, records: Iterable[Outgoing], position: int) -> None:
        await send(self, records, position)
        commits.append(position)
        if len(commits) == 3:
            process.die()

    with monkeypatch.context() as patched:  # forked processes have it, too
        patched.setattr(pipeline, "_MOST_BYTES", 3_000)
        patched.setattr(Transactions, "send", dying)
        sender.start(may_die=True)
        assert sender.ended() == -9
    sender.start()
    sender.stop()
    assert in_topic(sender.settings) != []
    check(sender)

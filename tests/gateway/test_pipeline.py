"""The pipeline with transactions that a test ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import cast

from agents.exit import abort
from agents.gateway.entries import Entry, Outgoing
from agents.gateway.folder import Folder
from agents.gateway.metrics import GatewayMetrics
from agents.gateway.pipeline import Pipeline
from agents.gateway.spool import Spool
from agents.gateway.transactions import Transactions
from streams.settings.gateway import Gateway

RECORD: Outgoing = ("calls", b"key", b"value", [])


class SlowTransactions:
    """Transactions that commit when `may_commit` is set."""

    def __init__(self) -> None:
        self.committed = 0
        self.sent: list[Outgoing] = []
        self.begun = asyncio.Event()
        self.may_commit = asyncio.Event()

    async def send(self, records: Iterable[Outgoing], position: int) -> None:
        self.begun.set()
        await self.may_commit.wait()
        self.sent += records
        self.committed = position

    async def close(self) -> None:
        pass


def ignore(_: Entry) -> None:
    pass


async def test_the_spool_is_emptied_when_spooling_begins_anew_during_its_last_transaction(tmp_path: Path) -> None:
    transactions = SlowTransactions()

    async def begin() -> Transactions:
        return cast(Transactions, transactions)

    with closing(Folder(tmp_path)) as folder, closing(Spool(tmp_path / "spool", 1 << 20)) as spool:
        pipeline = Pipeline(
            Gateway(),
            folder,
            spool,
            begin=begin,
            on_stored=ignore,
            on_dropped=ignore,
            metrics=GatewayMetrics(),
            fail=abort,
        )
        pipeline.start()
        await pipeline.reached.wait()
        pipeline._start_spooling()
        await pipeline.submit("pbx", [RECORD], [1]).stored
        await transactions.begun.wait()
        assert spool.size
        pipeline._start_spooling()
        transactions.may_commit.set()
        async with asyncio.timeout(5):
            while spool.size:  # noqa: ASYNC110 - an empty spool has no event
                await asyncio.sleep(0.01)
        assert transactions.sent == [RECORD]
        assert not pipeline.is_spooling
        await pipeline.close()

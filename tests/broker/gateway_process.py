"""A process with a sink: a test sends it events and kills it, or makes it die at a certain step."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from typing import Final

from agents.gateway.kafka_sink import KafkaSink
from agents.gateway.sink import NotStoredError
from agents.gateway.transactions import Transactions
from streams.contract.events import CallAnswered
from streams.settings.settings import Settings

AT: Final = 1_795_435_200_000
MANAGERS: Final = 7

Prepare = Callable[[KafkaSink], None]


def event(number: int) -> CallAnswered:
    return CallAnswered(v=1, id=str(number), at=AT, source="pbx", call="c", manager=f"m{number % MANAGERS}")


def run(settings: Settings, connection: socket.socket, other: socket.socket, prepare: Prepare | None) -> None:
    other.close()
    asyncio.run(_serve(settings, connection, prepare))
    os._exit(0)  # without the exit handlers of the test's process


async def _serve(settings: Settings, connection: socket.socket, prepare: Prepare | None) -> None:
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection)
    tasks: set[asyncio.Task[None]] = set()
    async with KafkaSink(settings, fail=_fail) as sink:
        if prepare is not None:
            prepare(sink)
        writer.write(b"ready\n")
        while line := await reader.readline():
            task = asyncio.create_task(_store(sink, int(line), writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        async with asyncio.timeout(60):
            while sink.spool.size:  # noqa: ASYNC110 - the next start would send its bundles
                await asyncio.sleep(0.02)
    await writer.drain()
    writer.close()


async def _store(sink: KafkaSink, number: int, writer: asyncio.StreamWriter) -> None:
    try:
        (answer,) = await sink.store("mine", [event(number)])
    except NotStoredError as error:
        writer.write(f"{number} {'maybe' if error.maybe else 'not'} stored: {error}\n".encode())
    else:
        writer.write(f"{number} {answer}\n".encode())


def _fail(error: BaseException) -> None:
    print("a defect:", repr(error), flush=True)
    os._exit(70)


# -- preparations of a process before it takes events


def spool_now_and_then(sink: KafkaSink) -> None:
    """Send through the spool for a moment, four times a second, as if Kafka were slow."""

    async def switch() -> None:
        while True:
            await asyncio.sleep(0.25)
            sink.pipeline._start_spooling()

    sink.kept = asyncio.create_task(switch())  # type: ignore[attr-defined] # only to keep it


def die() -> None:
    """End at once, as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_after_sync(sink: KafkaSink) -> None:
    """Die when the spool has made a part durable, before a sender gets its answer."""
    append = sink.spool.append

    def dying(bundles: object) -> int:
        append(bundles)  # type: ignore[arg-type] # the type that `append` takes
        die()
        return 0

    sink.spool.append = dying  # type: ignore[method-assign] # the crash
    sink.pipeline._start_spooling()


def die_before_commit(_: KafkaSink) -> None:
    """Die when Kafka has all records of a transaction and not its end."""

    def patch(transactions: Transactions) -> None:
        async def dying() -> None:
            die()

        transactions._producer.commit_transaction = dying

    _patch_transactions(patch)


def die_after_commit(_: KafkaSink) -> None:
    """Die when Kafka has committed a transaction, before the process gets the answer."""

    def patch(transactions: Transactions) -> None:
        commit = transactions._producer.commit_transaction

        async def dying() -> None:
            await commit()
            die()

        transactions._producer.commit_transaction = dying

    _patch_transactions(patch)


def spooled(prepare: Prepare) -> Prepare:
    """Return the preparation for events that come by way of the spool."""

    def both(sink: KafkaSink) -> None:
        prepare(sink)
        sink.pipeline._start_spooling()

    return both


def die_before_removal(sink: KafkaSink) -> None:
    """Die when all spooled bundles are committed, before the spool is emptied."""

    def dying(committed: int, *, active: bool = False) -> None:  # noqa: ARG001 - as `release`
        if sink.spool.size and not sink.spool.has_unread() and active:
            die()

    sink.spool.release = dying  # type: ignore[method-assign] # the crash
    sink.pipeline._start_spooling()


def _patch_transactions(patch: Callable[[Transactions], None]) -> None:
    send = Transactions.send

    async def patched(self: Transactions, records: object, position: int) -> None:
        patch(self)
        await send(self, records, position)  # type: ignore[arg-type] # the type that `send` takes

    Transactions.send = patched  # type: ignore[method-assign] # only in this process, which is to die

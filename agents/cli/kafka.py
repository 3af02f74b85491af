"""`callpulse kafka`: the embedded broker in the foreground."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from agents.cli.common import JsonOption, UserError, print_json, say, write

DEFAULT_PORT = 9092


def kafka(
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="The port on 127.0.0.1; 0 takes a free one.")
    ] = DEFAULT_PORT,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where records are kept between runs. Without it: a temporary folder, deleted at the end."),
    ] = None,
    heap: Annotated[str, typer.Option(help="The largest heap of the JVM.")] = "512m",
    as_json: JsonOption = False,
) -> None:
    """Run a real Apache Kafka on this machine until Ctrl-C.

    No Java, no Docker and no download page needed: the first start fetches Kafka's jars (43 MB, cached) and uses the
    Java on the PATH or, without one, the Java that comes with the package.

    Prints the broker's address on standard output as soon as it serves clients.

    For example:

        callpulse kafka

        callpulse kafka --port 0 --json | head -1

        callpulse kafka --data-dir var/kafka
    """
    from agents.embedded import EmbeddedKafka  # noqa: PLC0415 - slow to import

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with EmbeddedKafka(data_dir, port=port, heap=heap) as broker:
        if as_json:
            print_json({"bootstrap": broker.bootstrap, "pid": broker.pid, "log": str(broker.log_file)})
        else:
            write(f"{broker.bootstrap}\n".encode())
            say("Kafka runs. Ctrl-C stops it. In another terminal:")
            say(f"  CALLPULSE_BOOTSTRAP={broker.bootstrap} callpulse topics create")
        while not ended.wait(0.5):
            if not broker.running:
                raise UserError(f"Kafka ended by itself. The end of its log:\n{broker.log_tail()}", 70)
        say("stopping Kafka")

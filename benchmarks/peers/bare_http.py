"""The smallest possible gateway: an aiohttp handler that sends each body to Kafka, and waits."""

from __future__ import annotations

import asyncio
import sys

import msgspec
from aiohttp import web
from aiokafka import AIOKafkaProducer


async def main(bootstrap: str, topic: str) -> None:
    """Listen until a signal; print the URL first."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        events = msgspec.json.decode(body)
        several = events if isinstance(events, list) else [events]
        sent = [
            await producer.send(topic, msgspec.json.encode(event), key=event["manager"].encode()) for event in several
        ]
        await asyncio.gather(*sent)
        return web.Response(status=202, body=b"{}")

    app = web.Application(client_max_size=1 << 21)
    app.router.add_post("/v1/events", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    print(msgspec.json.encode({"url": f"http://127.0.0.1:{port}"}).decode(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

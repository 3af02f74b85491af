"""`callpulse gateway`: take events in over HTTP until a signal ends it."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.common import (
    BootstrapOption,
    ConfigOption,
    JsonOption,
    print_json,
    read_settings,
    run,
    say,
)
from agents.cli.service import infrastructure_errors, lead_secret, log_to_stderr
from streams.settings.settings import Settings
from streams.sources.senders import HttpSender

NameOption = Annotated[
    str,
    typer.Option("--name", help="The folder of its spool. Gateways that share gateway.data_dir need one each."),
]


def gateway(
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    name: NameOption = "gateway",
    as_json: JsonOption = False,
) -> None:
    """Take events in: POST /v1/events, CloudEvents, the hooks of other systems, and polls of systems that can be asked.

    A sender is answered once Kafka has its events, or the spool on disk while Kafka is away. SIGTERM or Ctrl-C ends it
    in good order: it is not ready any more, finishes the requests in flight, and leaves.

    Senders and their tokens are in the settings; `callpulse token new NAME` makes a token.

    With --json, the first line on standard output gives the addresses as soon as the ports answer.

    For example:

        callpulse gateway --config callpulse.toml

        CALLPULSE_GATEWAY__STATUS_PORT=8792 callpulse gateway --name gateway-2
    """
    settings = read_settings(config, bootstrap)
    log_to_stderr()
    with infrastructure_errors():
        run(_run(settings, name, as_json=as_json))


async def _run(settings: Settings, name: str, *, as_json: bool) -> None:
    from agents.gateway.http import create, hooked, joined  # noqa: PLC0415 - slow to import
    from agents.gateway.http_server import metrics_page, state_pages  # noqa: PLC0415 - as above
    from agents.gateway.joining import Joiner  # noqa: PLC0415 - as above
    from agents.gateway.polling import Polling, polled  # noqa: PLC0415 - as above
    from agents.gateway.service import Service  # noqa: PLC0415 - as above
    from streams.sources.registry import HOOKS, JOINS  # noqa: PLC0415 - as above

    sources = polled(settings)
    adapters = dict.fromkeys([*hooked(settings, HOOKS), *sources])
    if adapters:
        lead_secret(settings)  # they read telephone numbers
    senders = dict.fromkeys([*settings.named("http", HttpSender), *adapters])
    if not senders:
        say("nobody may send: set [sources.http.NAME]; `callpulse token new NAME` prints what to add")
    async with Service(settings, name) as service:
        for sender in senders:
            service.metrics.announce(sender)
        pages = state_pages(service.why_not_ready) | metrics_page(service.metrics_text, settings.gateway.http)
        polling = Polling(settings, sources, service.sink, service.metrics)
        http = create(settings, service.sink, service.metrics, pages, ring=polling.ring)
        polling.hooks = http.hooks
        if joins := joined(settings, JOINS):
            left_out = service.metrics.statements_left_out
            service.background(Joiner(settings, joins, service.sink, on_left_out=left_out).run())
        await http.server.open()
        service.background(polling.run())
        service.at_stop(polling.stop)
        service.at_stop(http.close)
        if as_json:
            print_json({"url": http.server.url, "status": service.url, "name": name})
        else:
            say(f"events are taken at {http.server.url}/v1/events; state and metrics are at {service.url}/metrics")
        await service.run()

"""`callpulse listen ami`: listen to an Asterisk until a signal ends it."""

from __future__ import annotations

from agents.cli.common import (
    FAILED,
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    print_json,
    read_settings,
    run,
    say,
)
from agents.cli.service import infrastructure_errors, lead_secret, log_to_stderr
from streams.settings.settings import Settings
from streams.sources.asterisk import AsteriskMapping


def ami(config: ConfigOption = None, bootstrap: BootstrapOption = None, *, as_json: JsonOption = False) -> None:
    """Listen to an Asterisk over its manager interface (AMI), live, and store contract events in Kafka.

    The settings [sources.asterisk.ami] say where it is; [sources.asterisk] maps channels to managers. Numbers become
    keyed hashes; this needs CALLPULSE_LEAD_SECRET. Try it first: callpulse sources test asterisk.

    If the link breaks, it connects again and asks which channels there are. What began and ended meanwhile is lost:
    callpulse_source_gaps_total counts the gaps. The port gateway.status_port answers /metrics, /-/healthy, /-/ready.

    SIGTERM or Ctrl-C ends it in good order: what was heard is stored first.

    With --json, the first line on standard output gives the address as soon as the port answers.

    For example:

        callpulse listen ami --config callpulse.toml
    """
    settings = read_settings(config, bootstrap)
    check_ami(settings)
    lead_secret(settings)
    from agents.gateway import ami_service  # noqa: PLC0415 - slow to import

    log_to_stderr()

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "metrics": f"{url}/metrics"})
        else:
            say(f"the listener answers at {url}/metrics")

    with infrastructure_errors():
        lost = run(ami_service.run(settings, on_ready=ready))
    if lost:
        raise UserError(f"{lost} events that were heard could not be stored", FAILED)


def check_ami(settings: Settings) -> None:
    """Raise UserError if the settings name no PBX to listen to."""
    if not settings.source(AsteriskMapping).ami.host:
        raise UserError(
            "sources.asterisk.ami.host is not set: name the PBX, and a user of its manager.conf, under "
            "[sources.asterisk.ami] (docs/asterisk.md begins with the steps).",
            USAGE,
        )

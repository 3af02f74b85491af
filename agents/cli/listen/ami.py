"""`callpulse listen ami`: listen to an Asterisk until a signal ends it."""

from __future__ import annotations

from agents.cli.common import USAGE, BootstrapOption, ConfigOption, JsonOption, UserError, read_settings
from agents.cli.listen.live import listen
from agents.cli.service import lead_secret
from streams.settings.settings import Settings
from streams.sources.asterisk import AsteriskMapping
from streams.sources.people import People


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
    secret = lead_secret(settings)
    from agents.gateway.ami import AmiSource  # noqa: PLC0415 - slow to import

    source = AmiSource(settings.source(AsteriskMapping), secret, people=People.of(settings, secret))
    listen(settings, "ami", source, as_json=as_json)


def check_ami(settings: Settings) -> None:
    """Raise UserError if the settings name no PBX to listen to."""
    if not settings.source(AsteriskMapping).ami.host:
        raise UserError(
            "sources.asterisk.ami.host is not set: name the PBX, and a user of its manager.conf, under "
            "[sources.asterisk.ami] (docs/asterisk.md begins with the steps).",
            USAGE,
        )

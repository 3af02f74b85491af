"""`callpulse listen esl`: listen to a FreeSWITCH until a signal ends it."""

from __future__ import annotations

from agents.cli.common import USAGE, BootstrapOption, ConfigOption, JsonOption, UserError, read_settings
from agents.cli.listen.live import listen
from agents.cli.service import lead_secret
from streams.settings.settings import Settings
from streams.sources.freeswitch import FreeSwitchMapping


def esl(config: ConfigOption = None, bootstrap: BootstrapOption = None, *, as_json: JsonOption = False) -> None:
    """Listen to a FreeSWITCH over its event socket (ESL), live, and store contract events in Kafka.

    The settings [sources.freeswitch.esl] say where it is; [sources.freeswitch] maps channels to managers. Numbers
    become keyed hashes; this needs CALLPULSE_LEAD_SECRET. Try it first: callpulse sources test freeswitch.

    If the link breaks, it connects again and asks which channels there are. What began and ended meanwhile is lost,
    unless mod_json_cdr posts it: callpulse_source_gaps_total counts the gaps. The port gateway.status_port answers
    /metrics, /-/healthy, /-/ready.

    SIGTERM or Ctrl-C ends it in good order: what was heard is stored first.

    With --json, the first line on standard output gives the address as soon as the port answers.

    For example:

        callpulse listen esl --config callpulse.toml
    """
    settings = read_settings(config, bootstrap)
    check_esl(settings)
    lead_secret(settings)
    from agents.gateway.esl import EslSource  # noqa: PLC0415 - slow to import

    listen(settings, "esl", EslSource(settings), as_json=as_json)


def check_esl(settings: Settings) -> None:
    """Raise UserError if the settings name no PBX to listen to."""
    if not settings.source(FreeSwitchMapping).esl.host:
        raise UserError(
            "sources.freeswitch.esl.host is not set: name the PBX, and the password of its event socket, under "
            "[sources.freeswitch.esl] (docs/sources/freeswitch.md begins with the steps).",
            USAGE,
        )

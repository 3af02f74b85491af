"""The sources of events that have settings: the name of each table under `[sources]`, and its form.

The settings import no source; whoever loads them hands this over: `load(text, environ, SOURCES)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from msgspec import Struct

from streams.settings.settings import Named, Settings
from streams.sources.amazon_connect.hook import ConnectHook
from streams.sources.amazon_connect.join import ConnectJoin
from streams.sources.amazon_connect.settings import ConnectSettings
from streams.sources.amocrm import poll as amocrm_poll
from streams.sources.amocrm.hook import AmocrmHook
from streams.sources.amocrm.settings import AmocrmSettings
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.bitrix24.hook import Bitrix24Hook
from streams.sources.bitrix24.poll import bitrix24_poll
from streams.sources.bitrix24.settings import Bitrix24Settings
from streams.sources.files.mapping import FileMapping
from streams.sources.frame import Hook, Join
from streams.sources.freeswitch import FreeSwitchHook, FreeSwitchJoin, FreeSwitchMapping
from streams.sources.hubspot import poll as hubspot_poll
from streams.sources.hubspot.hook import HubspotHook
from streams.sources.hubspot.settings import HubspotSettings
from streams.sources.mango import poll as mango_poll
from streams.sources.mango.hook import MangoHook
from streams.sources.mango.join import MangoJoin
from streams.sources.mango.settings import MangoSettings
from streams.sources.megafon.hook import MegafonHook
from streams.sources.megafon.join import MegafonJoin
from streams.sources.megafon.settings import MegafonSettings
from streams.sources.pipedrive import poll as pipedrive_poll
from streams.sources.pipedrive.hook import PipedriveHook
from streams.sources.pipedrive.settings import PipedriveSettings
from streams.sources.polls import Polled
from streams.sources.senders import HttpSender
from streams.sources.twilio import poll as twilio_poll
from streams.sources.twilio.hook import TwilioHook
from streams.sources.twilio.join import TwilioJoin
from streams.sources.twilio.settings import TwilioSettings
from streams.sources.zadarma.hook import ZadarmaHook
from streams.sources.zadarma.join import ZadarmaJoin
from streams.sources.zadarma.settings import ZadarmaSettings

SOURCES: Final[Mapping[str, type[Struct] | Named]] = MappingProxyType(
    {
        "amazon_connect": ConnectSettings,
        "amocrm": AmocrmSettings,
        "asterisk": AsteriskMapping,
        "bitrix24": Bitrix24Settings,
        "files": Named(FileMapping),
        "freeswitch": FreeSwitchMapping,
        "http": Named(HttpSender),
        "hubspot": HubspotSettings,
        "mango": MangoSettings,
        "zadarma": ZadarmaSettings,
        "megafon": MegafonSettings,
        "pipedrive": PipedriveSettings,
        "twilio": TwilioSettings,
    }
)

MakeHook: TypeAlias = Callable[[Settings], Hook]
HOOKS: Final[Mapping[str, MakeHook]] = MappingProxyType(
    {
        "amocrm": AmocrmHook,
        "amazon_connect": ConnectHook,
        "bitrix24": Bitrix24Hook,
        "hubspot": HubspotHook,
        "freeswitch": FreeSwitchHook,
        "mango": MangoHook,
        "zadarma": ZadarmaHook,
        "megafon": MegafonHook,
        "pipedrive": PipedriveHook,
        "twilio": TwilioHook,
    }
)
"""The sources that are pushed to `/hooks/NAME/TOKEN`, by their names. Each one's settings extend `Access`."""

MakeJoin: TypeAlias = Callable[[Settings], Join]
JOINS: Final[Mapping[str, MakeJoin]] = MappingProxyType(
    {
        "amazon_connect": ConnectJoin,
        "freeswitch": lambda _: FreeSwitchJoin(),
        "mango": MangoJoin,
        "zadarma": ZadarmaJoin,
        "megafon": MegafonJoin,
        "twilio": TwilioJoin,
    }
)
"""The sources whose hook gives statements, by their names."""

MakePolled: TypeAlias = Callable[[Settings], Polled | None]
POLLS: Final[Mapping[str, MakePolled]] = MappingProxyType(
    {
        "amocrm": amocrm_poll.make,
        "bitrix24": bitrix24_poll,
        "hubspot": hubspot_poll.make,
        "mango": mango_poll.make,
        "pipedrive": pipedrive_poll.make,
        "twilio": twilio_poll.make,
    }
)
"""The sources that are asked, by their names. None: the settings do not say where to ask."""

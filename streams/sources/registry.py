"""The sources of events: their settings, hooks, joins and polls. A new source is an entry here.

The settings import no source; their caller passes the forms: `load(text, environ, SOURCES)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from streams.settings.settings import Named, Settings
from streams.sources.aircall.hook import AircallHook
from streams.sources.aircall.join import AircallJoin
from streams.sources.aircall.poll import aircall_poll
from streams.sources.aircall.settings import AircallSettings
from streams.sources.amazon_connect.hook import ConnectHook
from streams.sources.amazon_connect.join import ConnectJoin
from streams.sources.amazon_connect.settings import ConnectSettings
from streams.sources.amocrm.hook import AmocrmHook
from streams.sources.amocrm.poll import amocrm_poll
from streams.sources.amocrm.settings import AmocrmSettings
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.bitrix24.hook import Bitrix24Hook
from streams.sources.bitrix24.poll import bitrix24_poll
from streams.sources.bitrix24.settings import Bitrix24Settings
from streams.sources.files.mapping import FileMapping
from streams.sources.frame import Hook, Join
from streams.sources.freeswitch import FreeSwitchHook, FreeSwitchJoin, FreeSwitchMapping
from streams.sources.hubspot.hook import HubspotHook
from streams.sources.hubspot.poll import hubspot_poll
from streams.sources.hubspot.settings import HubspotSettings
from streams.sources.mango.hook import MangoHook
from streams.sources.mango.join import MangoJoin
from streams.sources.mango.poll import mango_poll
from streams.sources.mango.settings import MangoSettings
from streams.sources.megafon.hook import MegafonHook
from streams.sources.megafon.join import MegafonJoin
from streams.sources.megafon.poll import megafon_poll
from streams.sources.megafon.settings import MegafonSettings
from streams.sources.pipedrive.hook import PipedriveHook
from streams.sources.pipedrive.poll import pipedrive_poll
from streams.sources.pipedrive.settings import PipedriveSettings
from streams.sources.polls import Polled
from streams.sources.ringcentral.hook import RingCentralHook
from streams.sources.ringcentral.join import RingCentralJoin
from streams.sources.ringcentral.poll import ringcentral_poll
from streams.sources.ringcentral.settings import RingCentralSettings
from streams.sources.senders import HttpSender
from streams.sources.transcripts.hook import TranscriptsHook
from streams.sources.transcripts.settings import TranscriptsSettings
from streams.sources.twilio.hook import TwilioHook
from streams.sources.twilio.join import TwilioJoin
from streams.sources.twilio.poll import twilio_poll
from streams.sources.twilio.settings import TwilioSettings
from streams.sources.zadarma.hook import ZadarmaHook
from streams.sources.zadarma.join import ZadarmaJoin
from streams.sources.zadarma.poll import zadarma_poll
from streams.sources.zadarma.settings import ZadarmaSettings

MakeHook: TypeAlias = Callable[[Settings], Hook]
MakeJoin: TypeAlias = Callable[[Settings], Join]
MakePolled: TypeAlias = Callable[[Settings], Polled | None]


class Source(NamedTuple):
    """The parts of a source. Only the settings are mandatory.

    `settings` is the form of its table under `[sources]`; that of a source with a hook extends `Access`. `hook` reads
    requests to `/hooks/NAME/TOKEN`, `join` makes events of the hook's statements. `poll` returns None without the
    settings for it.
    """

    settings: type[Struct] | Named
    hook: MakeHook | None = None
    join: MakeJoin | None = None
    poll: MakePolled | None = None


_ALL: Final[Mapping[str, Source]] = MappingProxyType(
    {
        "aircall": Source(AircallSettings, hook=AircallHook, join=AircallJoin, poll=aircall_poll),
        "amazon_connect": Source(ConnectSettings, hook=ConnectHook, join=ConnectJoin),
        "amocrm": Source(AmocrmSettings, hook=AmocrmHook, poll=amocrm_poll),
        "asterisk": Source(AsteriskMapping),
        "bitrix24": Source(Bitrix24Settings, hook=Bitrix24Hook, poll=bitrix24_poll),
        "files": Source(Named(FileMapping)),
        "freeswitch": Source(FreeSwitchMapping, hook=FreeSwitchHook, join=lambda _: FreeSwitchJoin()),
        "http": Source(Named(HttpSender)),
        "hubspot": Source(HubspotSettings, hook=HubspotHook, poll=hubspot_poll),
        "mango": Source(MangoSettings, hook=MangoHook, join=MangoJoin, poll=mango_poll),
        "megafon": Source(MegafonSettings, hook=MegafonHook, join=MegafonJoin, poll=megafon_poll),
        "pipedrive": Source(PipedriveSettings, hook=PipedriveHook, poll=pipedrive_poll),
        "ringcentral": Source(RingCentralSettings, hook=RingCentralHook, join=RingCentralJoin, poll=ringcentral_poll),
        "transcripts": Source(TranscriptsSettings, hook=TranscriptsHook),
        "twilio": Source(TwilioSettings, hook=TwilioHook, join=TwilioJoin, poll=twilio_poll),
        "zadarma": Source(ZadarmaSettings, hook=ZadarmaHook, join=ZadarmaJoin, poll=zadarma_poll),
    }
)

SOURCES: Final = MappingProxyType({name: one.settings for name, one in _ALL.items()})
HOOKS: Final = MappingProxyType({name: one.hook for name, one in _ALL.items() if one.hook is not None})
JOINS: Final = MappingProxyType({name: one.join for name, one in _ALL.items() if one.join is not None})
POLLS: Final = MappingProxyType({name: one.poll for name, one in _ALL.items() if one.poll is not None})

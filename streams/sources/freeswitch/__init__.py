"""FreeSWITCH as a source: records of mod_json_cdr and events of the event socket in, contract events out."""

from streams.sources.freeswitch.hook import FreeSwitchHook
from streams.sources.freeswitch.joins import FreeSwitchJoin
from streams.sources.freeswitch.mapping import FreeSwitchMapping

__all__ = ["FreeSwitchHook", "FreeSwitchJoin", "FreeSwitchMapping"]

"""The state of an outcome row as plain data, and its encoding."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct, field

from streams.contract.facts import Attention


class OutcomeState(Struct, gc=False, array_like=True):
    """The results of one manager's leads.

    `steps` maps measures to entries by local day, `attention` maps listed leads to their entries. `applied` is the last
    `seq` of each source partition. `latest_day` is the newest day of any measure except promises; it decides which
    entries are dropped. `full` names the dimensions that had more values than are kept by name.
    """

    revision: int = 0
    applied: dict[str, int] = field(default_factory=dict)
    latest_day: int = 0
    steps: dict[str, dict[int, int]] = field(default_factory=dict)
    attention: dict[str, Attention] = field(default_factory=dict)
    full: list[str] = field(default_factory=list)


encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(OutcomeState).decode

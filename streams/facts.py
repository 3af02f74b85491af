"""Facts: what one table tells the next, over the topics `contacts` (keyed by lead) and `outcomes` (keyed by manager).

A fact says what changed because of one record of a source topic. It carries where it came from, `src` (topic and
partition) and `seq` (grows with the record's offset), and the row it is for remembers, per `src`, the highest `seq` it
has applied. Facts of one `src` reach a row in order, so a fact that is sent again after a crash changes nothing: the
two hops together are as exact as one, and no row must remember every call it ever saw.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from streams.events import Direction, Disposition

VERSION: Final = 1
# A record gives at most this many facts to one row, so `offset * SLOTS + slot` grows with the offset and is unique.
SLOTS: Final = 4


class Contact(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One finished leg, told to its lead. `withdrawn` takes back exactly what the same fact without it has said.

    A leg is withdrawn where better knowledge replaces it: the real end of a call that had been closed by timeout, a
    hangup after a CDR row. The better fact follows with the next `seq`.
    """

    src: str
    seq: int
    lead: str
    manager: str
    call: str
    day: int  # the manager's local day in which the leg ended, days since 1970-01-01
    at: int  # when the leg ended, ms
    started_at: int
    direction: Direction
    kind: str  # cold, targeted, inbound, repeat, unknown
    disposition: Disposition
    answered: bool = False
    conversation: bool = False  # answered, and the talk was long enough to be one
    talk_ms: int | None = None  # None: not known, the leg was closed by timeout
    withdrawn: bool = False
    v: int = VERSION


class Outcome(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a change of one lead means for one manager.

    `changes` are (measure, day, difference); `tables/lead.py` says which measures there are.
    """

    src: str
    seq: int
    manager: str
    changes: tuple[tuple[str, int, int], ...]
    v: int = VERSION


contact_decoder: Final = msgspec.json.Decoder(Contact)
outcome_decoder: Final = msgspec.json.Decoder(Outcome)
encode: Final = msgspec.json.Encoder().encode

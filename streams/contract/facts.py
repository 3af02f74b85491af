"""Facts: records from one table to the next, over `contacts` (keyed by lead) and `outcomes` (keyed by manager).

A fact describes a change that one record of a source topic caused. It carries its origin: `src` (topic and partition)
and `seq` (grows with the record's offset). The receiving row remembers the highest `seq` that it applied, per `src`.
Facts of one `src` reach a row in order, so a fact that is sent again after a crash changes nothing: all hops together
are as exact as one, and no row must remember every call.

The facts that a row emits depend on its state, so facts that are emitted again must come from records in the same
order. Records of one partition keep their order; records of two topics do not. So a lead receives everything over
`contacts`: an event of topic `crm` is passed into it, as `Forwarded` with no hops.

Events of one deal may name several leads, which have rows of their own. So they go to the row of the deal (`deal_key`),
and that row sends the deal to the one lead that has it, as `Deal`.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from streams.contract.events import CrmEvents, Direction, Disposition

VERSION: Final = 1
GROUP: Final = "callpulse-group"
"""The header of a fact that names the group that made it."""
# A record gives at most this many facts to one row, so `offset * SLOTS + slot` grows with the offset and is unique.
SLOTS: Final = 4
BY_HAND: Final = "forget"
"""The `src` of a fact of `callpulse forget`: an operator caused it, not a record."""
MAX_HOPS: Final = 8
"""The greatest number of links that a fact follows. A cycle of links ends there, and no fact is lost."""
RESERVED: Final = "\x1f"
"""Keys of rows of deals begin with this character, so no lead may."""

ChangeRecord: TypeAlias = tuple[int, str, str, str | None, int | None, str | None, str | None, str | None, str | None]
"""The stored form of a change of a deal: the attributes of `tables.lead.records.DealChange`, in order."""


def deal_key(source: str, deal: str) -> str:
    """Return the key of the row of a deal. Ids of deals are unique within their source, which has no `RESERVED`."""
    return f"{RESERVED}{source}{RESERVED}{deal}"


def deal_id(key: str) -> str:
    """Return the id of the deal that `key` names: the result of `deal_key`, or the id itself."""
    return key.split(RESERVED, 2)[2] if key.startswith(RESERVED) else key


class Contact(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="fact", tag="contact"):
    """One finished leg, for its lead. With `withdrawn` it takes back the same fact without it.

    A leg is withdrawn when a more reliable end replaces it: the real end of a call that was closed by timeout, or a
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
    talk_ms: int | None = None  # None: unknown, because the leg was closed by timeout
    withdrawn: bool = False
    v: int = VERSION


class Linked(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="fact", tag="linked"):
    """For the row of an old key, `lead`: the key is linked to the lead `to`. `at` and `id` are those of the event."""

    src: str
    seq: int
    lead: str
    to: str
    at: int
    id: str
    v: int = VERSION


class Moved(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="fact", tag="moved"):
    """The records of the row of an old key (`tables/lead/codec.py`), for the lead that it was linked to."""

    src: str
    seq: int
    lead: str
    state: bytes
    hops: int
    v: int = VERSION


class Forwarded(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="fact", tag="forwarded"):
    """A contact or an event of topic `crm` for `lead`: one of the two fields is set.

    An event of a deal is for the row of the deal: `lead` is then a `deal_key`. Groups of the release before send it to
    the lead that it names.

    With no hops it is an event that was sent for this very lead; with more, what came for an old key later than its
    link and was passed on. `src` and `seq` are those of the record that was passed on, not of what is in it.
    """

    src: str
    seq: int
    lead: str
    contact: Contact | None = None
    event: CrmEvents | None = None
    hops: int = 0
    v: int = VERSION


class Deal(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="fact", tag="deal"):
    """For a lead: all changes of its deal, in order. With `gone` the lead no longer has the deal.

    `deal` is the `deal_key`. `version` grows with each fact of the deal: it is the position of the record in topic
    `contacts` that caused the fact. `at` is the time of the event behind it, ms.
    """

    src: str
    seq: int
    lead: str
    deal: str
    version: int
    at: int
    changes: tuple[ChangeRecord, ...] = ()
    gone: bool = False
    hops: int = 0
    v: int = VERSION


class Forgotten(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, tag_field="fact", tag="forgotten"):
    """For the row of a lead or a deal: it loses all its records. Their contributions to managers' figures stay.

    `callpulse forget` sends it, with `BY_HAND` as `src` and the moment in ms as `seq`. A lead passes it on to
    its deals.
    """

    src: str
    seq: int
    lead: str
    v: int = VERSION


ContactsFact: TypeAlias = Contact | Linked | Moved | Forwarded | Deal | Forgotten
"""The facts of topic `contacts`."""

Why: TypeAlias = Literal["consultation", "stuck"]


class Attention(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A lead that needs help, as its manager's row lists it.

    `attempts` is the number of all dials, `without_progress` the number of conversations since the last progress,
    `reason` the reason of the last follow-up (None: not recorded), `stage` the stage of its deal ("none" without one)
    and `stage_since` the moment at which the deal entered it, ms. `day` is the local day of the lead's newest leg. A
    stuck lead of which a consultation is due as well is "stuck".
    """

    attempts: int
    without_progress: int
    stage: str
    stage_since: int
    why: Why
    day: int
    reason: str | None = None


class Outcome(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The effect of a change of one lead on one manager. A record causes at most one per manager.

    `changes` are (measure, day, difference); `tables/lead/contributions.py` lists the measures.
    `attention` has leads with their new entry in the list of leads that need help; None: the lead leaves the list.
    """

    src: str
    seq: int
    manager: str
    changes: tuple[tuple[str, int, int], ...] = ()
    attention: dict[str, Attention | None] = {}
    v: int = VERSION


contacts_decoder: Final = msgspec.json.Decoder(ContactsFact)
outcome_decoder: Final = msgspec.json.Decoder(Outcome)
encode: Final = msgspec.json.Encoder().encode

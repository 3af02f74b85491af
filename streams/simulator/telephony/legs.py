"""What the simulated department means to do, and the records by which it becomes known.

A `Leg` is an intention: what really happened, whatever is said about it. Each thing that is said is a *piece*: the
start, the answer, the transfer, the end, the row of the call detail records. `got` tells which pieces have arrived.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from streams.contract.events import Direction, Disposition, Kind, PresenceState

TOPIC: Final = "calls"
CRM_TOPIC: Final = "crm"

# Pieces of a leg, as bits.
START: Final = 1
ANSWER: Final = 2
TRANSFER: Final = 4
END: Final = 8
CDR: Final = 16
PRESENCE: Final = 32  # not of a leg
BAD: Final = 64
CRM: Final = 128  # all from here on belong to topic `crm`
BAD_CRM: Final = 256


class Record(Struct, frozen=True, gc=False):
    """A record for Kafka. `due_ms` is when it arrives; a record without a key is one of the bad ones."""

    topic: str
    key: str | None
    value: bytes
    due_ms: int


class Leg:
    """One manager's part in a call as it happened. Moments and spans in milliseconds.

    `answered_at` is None where nobody and nothing answered. A leg that was handed over has `transfer_at`, `how` and
    `to`, the leg that takes over; that one has `by`, the leg it came from. `on_the_way` counts pieces sent and not yet
    arrived; `settled` turns true when no further piece will be sent.
    """

    __slots__ = (
        "answered_at",
        "by",
        "call",
        "cdr_at",
        "cdr_talk_ms",
        "direction",
        "disposition",
        "ended_at",
        "got",
        "handed_over",
        "how",
        "kind",
        "lead",
        "manager",
        "on_the_way",
        "queue",
        "settled",
        "started_at",
        "talk_ms",
        "to",
        "transfer_at",
    )

    def __init__(
        self,
        call: str,
        manager: str,
        direction: Direction,
        kind: Kind | None,
        lead: str | None,
        started_at: int,
    ) -> None:
        self.call = call
        self.manager = manager
        self.direction = direction
        self.kind = kind
        self.lead = lead
        self.started_at = started_at
        self.answered_at: int | None = None
        self.ended_at = started_at
        self.talk_ms = 0
        self.disposition: Disposition = "no_answer"
        self.queue: str | None = None
        self.cdr_at = 0
        self.cdr_talk_ms = 0
        self.transfer_at = 0
        self.how: Literal["blind", "attended"] = "blind"
        self.to: Leg | None = None
        self.by: Leg | None = None
        self.handed_over = False  # whether `to` has been heard of through this leg's transfer
        self.got = 0
        self.on_the_way = 0
        self.settled = False


class Presence:
    """A change of presence as it happened; `got` once it has arrived."""

    __slots__ = ("at", "got", "id", "manager", "state")

    def __init__(self, manager: str, at: int, state: PresenceState, id_: str) -> None:
        self.manager = manager
        self.at = at
        self.state = state
        self.id = id_
        self.got = False

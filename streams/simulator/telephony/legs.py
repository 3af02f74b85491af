"""Simulated legs, and the records that report them.

A `SimulatedLeg` has the true course of a leg. The events about it are its *pieces*: start, answer, transfer, end, and
the row of the call detail records. `arrived` holds the pieces that have arrived, as bits.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from streams.contract.events import Direction, Disposition, Kind, PresenceState

TOPIC: Final = "calls"
CRM_TOPIC: Final = "crm"
SPEECH_TOPIC: Final = "speech"

# Pieces of a leg, as bits.
START: Final = 1
ANSWER: Final = 2
TRANSFER: Final = 4
END: Final = 8
CDR: Final = 16
PRESENCE: Final = 32  # not of a leg
BAD: Final = 64
CRM: Final = 128  # this and greater values belong to topic `crm`
BAD_CRM: Final = 256
SPEECH: Final = 512  # of topic `speech`


class Record(Struct, frozen=True, gc=False):
    """A record for Kafka. `due_ms` is its moment of arrival. A record without a key is malformed."""

    topic: str
    key: str | None
    value: bytes
    due_ms: int


class SimulatedLeg:
    """The true course of one manager's part in a call. Moments and spans in milliseconds.

    `answered_at` is None if neither a person nor a machine answered. A transferred leg has `transfer_at`, `how` and
    `to`, the receiver's leg; that one has `by`, the leg it came from. `in_flight` counts pieces that were sent and have
    not arrived. `settled` becomes true when no further piece will be sent. `internal`: the other party is a colleague.
    """

    __slots__ = (
        "answered_at",
        "arrived",
        "by",
        "call",
        "cdr_at",
        "cdr_talk_ms",
        "direction",
        "disposition",
        "ended_at",
        "handed_over",
        "how",
        "in_flight",
        "internal",
        "kind",
        "lead",
        "manager",
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
        self.to: SimulatedLeg | None = None
        self.by: SimulatedLeg | None = None
        self.handed_over = False  # whether the transfer event has made `to` known
        self.arrived = 0
        self.in_flight = 0
        self.settled = False
        self.internal = False

    @property
    def is_known_internal(self) -> bool:
        """True if a piece has arrived that marks the leg as internal: an answer does not."""
        return self.internal and bool(self.arrived & (START | END | CDR))


class Presence:
    """A change of presence. `arrived` becomes true when its event arrives."""

    __slots__ = ("arrived", "at", "id", "manager", "state")

    def __init__(self, manager: str, at: int, state: PresenceState, id_: str) -> None:
        self.manager = manager
        self.at = at
        self.state = state
        self.id = id_
        self.arrived = False
